"""What goes on beside a run: it waits for the client to leave, and does what is due.

The code on the token path only records times (of the last bytes received and of the last write); nothing is armed or
disarmed per token. A timer asks now and then for the deadlines, which follow from those times. If none is due, it is
set to the first of them; if one is, a task does what is to be done, and the timer is set again when that has ended.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from operator import itemgetter
from typing import Any

Deadline = tuple[float, Callable[[], Awaitable[None]]]
"""When something is due, in seconds of the clock, and what."""


class Watchdog:
    """The timer and the tasks beside one run, between `start` and `stop`.

    It holds what it calls only while it runs, so that run and watchdog form no reference cycle.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._deadlines: Callable[[], Iterable[Deadline]] | None = None
        self._longest_nap = 0.0
        self._failed: Callable[[], object] | None = None
        self._timer: asyncio.Handle | None = None
        self._listening: asyncio.Task[None] | None = None
        self._acting: asyncio.Task[None] | None = None
        self._error: BaseException | None = None

    def start(
        self,
        deadlines: Callable[[], Iterable[Deadline]],
        *,
        longest_nap: float,
        disconnected: Callable[[], Awaitable[None]],
        client_gone: Callable[[], None],
        failed: Callable[[], object],
    ) -> None:
        """Start, on the running event loop.

        - `deadlines`: gives everything that is due some time, as things are now
        - `longest_nap`: seconds; deadlines may move closer by less than that without a call of `wake`
        - `disconnected`: returns when the client is gone, and can be cancelled; `client_gone` is then called, once
        - `failed`: called if any of these raises: the server's `receive` is broken, or its `send`
        """
        self._deadlines, self._longest_nap, self._failed = deadlines, longest_nap, failed
        # Bare tasks: a task group costs as much as fifty tokens, and none of these outlives `stop`.
        self._listening = self._spawn(_listen(disconnected, client_gone))
        self._look()

    def stop(self) -> None:
        """Cancel the timer and the tasks. Does nothing if it is not running."""
        self._deadlines = self._failed = None
        if self._timer is not None:
            self._timer.cancel()
        for task in (self._listening, self._acting):
            if task is not None:
                task.cancel()
        self._timer = self._listening = self._acting = None

    def check(self) -> None:
        """Raise what one of the tasks has raised."""
        if self._error is not None:
            raise self._error

    def wake(self) -> None:
        """Look at the deadlines again: one has moved closer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        """Do what is due, or set the timer."""
        self._timer = None
        if self._deadlines is None:
            return
        due, _ = min(self._deadlines(), key=itemgetter(0), default=_NEVER)
        wait = due - self._clock()
        if wait <= 0:
            self._acting = self._spawn(self._act())
        else:
            self._timer = asyncio.get_running_loop().call_later(min(wait, self._longest_nap), self._look)

    async def _act(self) -> None:
        """Do what is due, if it still is: the run may have gone on before this task began."""
        if self._deadlines is not None:
            due, action = min(self._deadlines(), key=itemgetter(0), default=_NEVER)
            if due <= self._clock():
                await action()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if self._deadlines is None:
            return
        if error is not None:
            self._error = error
            if self._failed is not None:
                self._failed()
        elif task is self._acting:
            self._acting = None
            self._look()


async def _nothing() -> None:
    """Do nothing."""


_NEVER: Deadline = (math.inf, _nothing)


async def _listen(disconnected: Callable[[], Awaitable[None]], client_gone: Callable[[], None]) -> None:
    await disconnected()
    client_gone()
