"""One task beside a run: it waits for the client to leave, and wakes for what is due.

The code on the token path only records times (of the last bytes received and of the last write); nothing is armed or
disarmed per token. Each time it wakes, the watchdog asks for the deadlines anew, which follow from those times, and
does what the first of them says or sleeps until then.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from operator import itemgetter

import anyio

Deadline = tuple[float, Callable[[], Awaitable[None]]]
"""When something is due, in seconds of the clock, and what."""


class Watchdog:
    """The task beside one run, between `start` and `stop`.

    It holds what it calls only while it runs, so that run and watchdog form no reference cycle.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._nap: anyio.CancelScope | None = None
        self._task: asyncio.Task[None] | None = None

    def start(
        self,
        deadlines: Callable[[], Iterable[Deadline]],
        *,
        longest_nap: float,
        disconnected: Callable[[], Awaitable[None]],
        client_gone: Callable[[], None],
        failed: Callable[[], object],
    ) -> None:
        """Start the task, on the running event loop.

        - `deadlines`: gives everything that is due some time, as things are now
        - `longest_nap`: seconds; deadlines may move closer by less than that without a call of `wake`
        - `disconnected`: returns when the client is gone, and can be cancelled; `client_gone` is then called, once
        - `failed`: called if the task ends by itself: the server's `receive` is broken
        """
        # A bare task: a task group costs as much as fifty tokens, and this one never outlives `stop`.
        self._task = asyncio.create_task(self._watch(deadlines, longest_nap, disconnected, client_gone))
        self._task.add_done_callback(lambda task: None if task.cancelled() else failed())

    def stop(self) -> None:
        """Cancel the task. Does nothing if it is not running."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    def check(self) -> None:
        """Raise what ended the task, if it has ended by itself."""
        if self._task is not None and self._task.done():
            self._task.result()

    def wake(self) -> None:
        """Look at the deadlines again: one has moved closer."""
        if self._nap is not None:
            self._nap.cancel()

    async def _watch(
        self,
        deadlines: Callable[[], Iterable[Deadline]],
        longest_nap: float,
        disconnected: Callable[[], Awaitable[None]],
        client_gone: Callable[[], None],
    ) -> None:
        client_left = False
        while self._task is not None:  # before Python 3.11 a nap that is cut short can swallow the task's cancellation
            due, action = min([(math.inf, anyio.sleep_forever), *deadlines()], key=itemgetter(0))
            wait = due - self._clock()
            if wait <= 0:
                await action()
                continue
            with anyio.move_on_after(min(wait, longest_nap)) as self._nap:
                if client_left:
                    await anyio.sleep_forever()
                await disconnected()
                client_left = True  # servers report a disconnect also after the complete response was sent
                client_gone()
