"""When a server counts as gone: when it has been silent for too long, which is not the same as somebody having waited.

A process that gets hundreds of requests in one moment may need seconds to read a reply that came at once, and each
request waits for those before it. A deadline for each request would then call a server dead that is well, and end the
runs that depend on it. So whoever waits goes on waiting as long as the server answers anybody, up to a bound, and time
in which this process did nothing is not held against the server:

    0 s   forty requests are sent
    1 s   the process reads the first replies
    3 s   a request without a reply is three seconds old: the server has just answered others, so it waits on
    6 s   no reply since 3 s: the server counts as gone, for all that wait
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

STALL = 0.5
"""By how many seconds a timer is late if the event loop was held up."""


class Silence:
    """How long a server has sent nothing while somebody waits for it."""

    def __init__(self) -> None:
        self._heard_at = 0.0

    def end(self) -> None:
        """The server has sent something."""
        self._heard_at = asyncio.get_running_loop().time()

    @contextmanager
    def bounded(self, limit: float, longest: float) -> Iterator[None]:
        """End the block, with a TimeoutError, when the server has been silent for `limit` seconds.

        It ends after `longest` seconds in any case, whatever the server sends to others.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        timer: asyncio.TimerHandle

        def ring_at(due: float) -> None:
            nonlocal timer
            timer = loop.call_at(due, check, due)

        def check(due: float) -> None:
            now = loop.time()
            silent_since = now if now - due > STALL else max(began, self._heard_at)
            gone_at = min(silent_since + limit, began + longest)
            if gone_at <= now:
                scope.cancel()
            else:
                ring_at(gone_at)

        ring_at(began + limit)
        try:
            with anyio.CancelScope() as scope:
                yield
        finally:
            timer.cancel()
        if scope.cancelled_caught:
            raise TimeoutError(f"no reply for {limit:g} seconds")
