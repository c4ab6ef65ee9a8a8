"""A queue for work of which only so much may be done at a time: bounded, and fair between those who ask for it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from responses_shim.errors import InvalidRequest

RETRY_AFTER = 5
"""After how many seconds a client that finds the queue full may come again."""


@dataclass(eq=False)
class _Waiter:
    """A piece of work that waits. `woken` is set when its turn has come, or when it is refused to make room."""

    woken: anyio.Event = field(default_factory=anyio.Event)
    has_turn: bool = False


class FairQueue:
    """Lets `running` pieces of work run at a time, and `waiting` more wait.

        async with queue.turn(owner):
            await read_pdf(data)

    The owners take turns, however many pieces of work each of them has waiting. When the queue is full the owner with
    the most of them gives up its last one for an owner who has fewer, so that nobody can keep others out.
    """

    def __init__(self, running: int, waiting: int) -> None:
        self._free = running
        self._places = waiting
        self._waiting: dict[bytes, deque[_Waiter]] = {}  # by owner; the first owner is the next; no line is empty

    @asynccontextmanager
    async def turn(self, owner: bytes) -> AsyncIterator[None]:
        """A block that runs when `owner` has its turn.

        Raises InvalidRequest with status 429 and Retry-After if the queue is full.
        """
        await self._wait(owner)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, owner: bytes) -> None:
        if self._free:
            self._free -= 1
            return
        self._make_room(owner)
        waiter = _Waiter()
        self._waiting.setdefault(owner, deque()).append(waiter)
        try:
            await waiter.woken.wait()
        except BaseException:
            if waiter.has_turn:  # it came at the moment when the client left
                self._pass_on()
            elif not waiter.woken.is_set():
                self._remove(owner, waiter)
            raise
        if not waiter.has_turn:
            raise _full()

    def _pass_on(self) -> None:
        """A turn is over: the next owner's first waiter has it."""
        if not self._waiting:
            self._free += 1
            return
        owner = next(iter(self._waiting))
        line = self._waiting.pop(owner)
        waiter = line.popleft()
        if line:
            self._waiting[owner] = line  # behind the others
        waiter.has_turn = True
        waiter.woken.set()

    def _make_room(self, owner: bytes) -> None:
        """Refuse somebody if the queue is full: the last waiter of the longest line, or the newcomer itself."""
        if sum(map(len, self._waiting.values())) < self._places:
            return
        longest = max(self._waiting.values(), key=len, default=deque())
        if len(longest) <= len(self._waiting.get(owner, ())) + 1:
            raise _full()
        longest.pop().woken.set()

    def _remove(self, owner: bytes, waiter: _Waiter) -> None:
        line = self._waiting[owner]
        line.remove(waiter)
        if not line:
            del self._waiting[owner]


def _full() -> InvalidRequest:
    return InvalidRequest(
        "Too many files are being read here at the moment; try again later.",
        status=429,
        type="rate_limit_error",
        code="rate_limit_exceeded",
        headers=[("retry-after", str(RETRY_AFTER))],
    )
