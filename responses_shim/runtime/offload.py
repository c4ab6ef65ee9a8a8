"""Work that takes long for its size, out of the way of the event loop, which is the host's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread

Result = TypeVar("Result")

LARGE = 100_000
"""Characters or bytes from which on work on them holds the event loop for too long; a thread takes 0.1 ms to reach."""


async def aside(size: int, work: Callable[[], Result]) -> Result:
    """Work on so many characters or bytes: in a thread if they are many, else on the spot."""
    if size <= LARGE:
        return work()
    # Handed over and back in lists: a thread of an older anyio that waits for more keeps hold of what it did last.
    given = [work]
    made: list[Result] = []

    def run() -> None:
        made.append(given.pop()())

    await anyio.to_thread.run_sync(run)
    return made.pop()
