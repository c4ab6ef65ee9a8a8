"""What the host has said of each client: whether it lets it in. Kept for seconds, and asked once for all who wait.

Only who has been let in is remembered, so that a key that becomes valid is valid at once. Nothing secret is kept: the
caller gives a client as a digest of its credentials.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from responses_shim.errors import ShimError
from responses_shim.runtime.interfaces import RawHeaders

SECONDS = 10.0
"""How long a client that was let in need not be asked for again."""
MAX_CLIENTS = 1024
"""How many such clients are remembered."""


@dataclass(frozen=True)
class Verdict:
    """What the host says of a client.

    - `refusal`: the client's error; None if the host lets it in
    - `headers`: those of the host's answer that belong on the shim's own answers too
    """

    refusal: ShimError | None = None
    headers: RawHeaders = field(default_factory=list)


@dataclass
class _Inquiry:
    """The host is being asked for one client. `verdict` stays None if that has failed."""

    waiting: int = 0
    answered: anyio.Event = field(default_factory=anyio.Event)
    verdict: Verdict | None = None
    task: asyncio.Task[None] | None = None


class Admissions:
    """Remembers who was let in, and has the host asked for anybody else."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._admitted: dict[bytes, tuple[float, Verdict]] = {}  # until when; the oldest first
        self._inquiries: dict[bytes, _Inquiry] = {}

    async def verdict(self, client: bytes, ask: Callable[[], Awaitable[Verdict]]) -> Verdict | None:
        """What the host says of `client`: what it said a moment ago, or what `ask` returns.

        Callers that come while the host is being asked wait for that answer. `ask` runs in a task of its own, which
        ends when nobody waits for it any more; one caller that is cancelled does not end it for the others.

        Returns None if `ask` was cancelled by the host, which gives no verdict then.
        """
        until, verdict = self._admitted.get(client, (0.0, None))
        if verdict is not None and self._clock() < until:
            return verdict
        inquiry = self._inquiries.get(client)
        if inquiry is None:
            inquiry = self._inquiries[client] = _Inquiry()
            inquiry.task = asyncio.create_task(self._ask(client, inquiry, ask))
        inquiry.waiting += 1
        try:
            await inquiry.answered.wait()
        finally:
            inquiry.waiting -= 1
            if not inquiry.waiting:
                self._end(client, inquiry)
        return inquiry.verdict

    async def _ask(self, client: bytes, inquiry: _Inquiry, ask: Callable[[], Awaitable[Verdict]]) -> None:
        until = self._clock() + SECONDS
        try:
            inquiry.verdict = await ask()
            if inquiry.verdict.refusal is None:
                self._remember(client, until, inquiry.verdict)
        finally:
            inquiry.answered.set()
            self._forget(client, inquiry)

    def _end(self, client: bytes, inquiry: _Inquiry) -> None:
        """Nobody waits any more: stop asking, and let nobody else wait for an answer that will not come."""
        self._forget(client, inquiry)
        if inquiry.task is not None:
            inquiry.task.cancel()  # without effect if it has ended
            inquiry.task = None

    def _forget(self, client: bytes, inquiry: _Inquiry) -> None:
        if self._inquiries.get(client) is inquiry:
            del self._inquiries[client]

    def _remember(self, client: bytes, until: float, verdict: Verdict) -> None:
        now = self._clock()
        self._admitted.pop(client, None)
        while self._admitted:
            oldest = next(iter(self._admitted))
            if self._admitted[oldest][0] > now and len(self._admitted) < MAX_CLIENTS:
                break
            del self._admitted[oldest]
        self._admitted[client] = (until, verdict)
