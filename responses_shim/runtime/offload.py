"""Run CPU work in a worker thread if its input is large, so that it does not hold up the event loop.

The event loop is the host's: while it is busy with a large request, the host streams no tokens to anyone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

Result = TypeVar("Result")

INLINE_LIMIT = 100_000
"""The largest input, in characters or bytes, that is worked on in the event loop itself.

Decoding that much JSON takes about 0.2 ms, translating it up to 1.5 ms. Handing work to a thread and back costs 0.1 ms,
so for the small requests of every day a thread would cost more than it saves.
"""

ITEM_COST = 50
"""As how many bytes of an input an item of it counts that is only looked at, to see whether it is of some kind."""

THREADS = 2
"""How many threads work for the shim at the same time, in one event loop.

More would be no faster, since only one of them at a time holds Python's lock (the GIL), and each that waits for it
makes the event loop wait longer. With one alone, a request of 150 kB would wait for one of 30 MB.
"""

_LIMITER: RunVar[anyio.CapacityLimiter] = RunVar("responses_shim.threads")


async def offload_if_large(size: int, work: Callable[[], Result]) -> Result:
    """Return `work()`, computed in a worker thread if its input has more than `INLINE_LIMIT` characters or bytes.

    `size` is the size of that input. What `work` raises is raised here.
    """
    return work() if size <= INLINE_LIMIT else await offload(work)


async def offload(work: Callable[[], Result], limiter: anyio.CapacityLimiter | None = None) -> Result:
    """Return `work()`, computed in a worker thread. What it raises is raised here.

    `limiter` says how many run at a time: by default `THREADS`, for all such work. The host's own threads are not used:
    its routes may keep all of them busy, for as long as they like.
    """
    # `work` and its result travel in lists that are emptied on the way: a worker thread of an older anyio keeps a
    # reference to the last function it ran and to what that returned, which here may be a request of megabytes.
    todo = [work]
    results: list[Result] = []

    def run() -> None:
        results.append(todo.pop()())

    await anyio.to_thread.run_sync(run, limiter=limiter or _limiter())
    return results.pop()


def _limiter() -> anyio.CapacityLimiter:
    """The limiter of the shim's threads: one for all requests of an event loop."""
    try:
        return _LIMITER.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(THREADS)
        _LIMITER.set(limiter)
        return limiter
