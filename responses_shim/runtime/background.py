"""Responses that run in the background: their log, who runs them, and how they end.

A run in the background is a run like any other, whose sink is a log in the store. The request is answered at once;
whoever wants to see the events reads the log, in any process, and the run does not wait for them.

    the run                              anybody                              a follower
    lease, every few seconds             cancel: ends the record              reads the log behind its number,
    events → log                                                              waits for more, until it has ended
    terminal event + record, one step

A response ends once, by one compare-and-set of its status: by its run, by whoever cancels it, or by whoever notices
that its process is gone. The others find that it has ended, and the run is woken by that and stops the engine.

Its process is gone if its lease has expired and nobody has renewed it for as long as a lease lasts, watched by one
and the same process: a clock that was set, or a store that was away, kills no run. That process takes the lease before
it ends the response, so that a run which renews it at the last moment lives.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

import anyio
import anyio.lowlevel
import msgspec

from responses_shim.core.response.encoder import Frame, Framing, encode_json
from responses_shim.core.response.interrupted import LoggedOutput
from responses_shim.core.wire.events import ErrorDetails
from responses_shim.core.wire.responses import Response, ResponseError
from responses_shim.core.wire.stored import conversation_of, ended, with_output, without_output
from responses_shim.errors import ShimError
from responses_shim.runtime.history import Turn
from responses_shim.runtime.interfaces import RawHeaders
from responses_shim.runtime.live_log import RETRY_SECONDS, LiveLogs
from responses_shim.stores.base import ENDED, RUNNING, ConversationTurn, History, Store, StoredItem, StoreUnavailable

logger = logging.getLogger(__name__)

LEASE_SECONDS = 5.0
"""How long the lease of a run lasts. It is renewed three times in that time, and looked at as often.

So a response whose process is gone has ended 15 seconds later, after at most one lease that expires, one that is
watched, and a third of one for each to be noticed.
"""
END_SECONDS = 5.0
"""How long it may take to store the end of runs that could not end by themselves."""


def _bare(wire_type: str) -> tuple[bytes, bytes]:
    """The framing of a log: an event is its JSON."""
    return b"", b""


class LogSink:
    """Writes the events of a run to its log, the last of them together with the response.

    Raises OSError, like a client that is gone, once the response has been ended by somebody else or the store is not
    available: then the run is given up.
    """

    framing: Framing | None = staticmethod(_bare)

    def __init__(self, turn: Turn, id: str) -> None:
        self._turn = turn
        self._id = id
        self._status: str | None = "in_progress"  # what the first write makes of `queued`

    async def begin(self, headers: RawHeaders) -> None:
        pass

    def write(self, frame: Frame) -> Awaitable[None]:
        return self.write_all([frame])

    def write_all(self, frames: Sequence[Frame]) -> Awaitable[None]:
        status, self._status = self._status, None
        return self._change(events=[*frames], status=status)

    async def finish(self, frames: Sequence[Frame], response: Response) -> None:
        turn = self._turn
        await self._change(
            events=frames,
            status=response.status,
            data=without_output(response),
            items=turn.unsaved_output(response),
            turn=turn.conversation_turn(response),
        )
        try:
            await turn.add_to_conversation(response)  # to see whether it is in there, and to stop renewing the lease
        except StoreUnavailable as error:
            logger.warning("%s may not be in its conversation: %s", self._id, error.message)

    async def _change(self, **changes: Any) -> None:
        try:
            if await self._turn.store.store.change(self._turn.owner, self._id, among=RUNNING, **changes):
                return
        except StoreUnavailable as error:
            logger.warning("%s is given up: %s", self._id, error.message)
            raise OSError(error.message) from None
        raise OSError("the response has been ended")


async def until_ended(store: Store, owner: bytes, id: str, holder: str) -> None:
    """Renew the lease of a run until its response has been ended by somebody else. It can be cancelled at any time."""
    number = -1
    while True:
        try:
            if not await store.lease(owner, id, holder, LEASE_SECONDS):
                return
            read = await store.read(owner, id, "messages", after=number, wait=LEASE_SECONDS / 3)
            if read is None or read.ended:
                return
            number = read.entries[-1][0] if read.entries else number
        except StoreUnavailable:
            await anyio.sleep(RETRY_SECONDS)


async def end_run(store: Store, owner: bytes, id: str, status: str, error: ShimError | None = None) -> History | None:
    """End a response from outside of its run: `cancelled`, or `failed` with an error. None if there is none.

    Returns the response as it is then: another end may have come first, and stays. Its output is what its log has, with
    the item in which it broke off as `incomplete`; if the log is so long that its beginning was dropped, or cannot be
    read, it is what has been stored. Its conversation is free.
    """
    failure = ResponseError(error.failure_code, error.message) if error is not None else None
    logged = LoggedOutput()
    last = -1
    while True:
        found = await store.get(owner, id)
        if found is None or found.record.status in ENDED:
            return found
        while (read := await store.read(owner, id, "events", after=last, wait=0)) is not None:
            logged.lost = logged.lost or last + 1 < read.first
            for _, event in read.entries:
                logged.feed(event)
            last = read.entries[-1][0] if read.entries else read.last
            if not read.entries:
                break
            await anyio.lowlevel.checkpoint()  # a log of 40,000 events takes a tenth of a second
        numbers = count(last + 1)
        closing, output = logged.close(numbers)
        stored = [item for item in found.items if item.output]
        ids = {item.id for item in stored}
        unsaved = [StoredItem(id, data, output=True) for id, data in output if id not in ids]
        data = ended(found.record.data, status, failure)
        response = with_output(data, [item.data for item in (*stored, *unsaved)], status)
        events = [(event.sequence_number, encode_json(event)) for event in closing]
        events += _terminal_events(next(numbers), response, error)
        conversation = conversation_of(data)
        turn = ConversationTurn(conversation, holder=id) if conversation is not None else None
        await store.change(owner, id, among=RUNNING, status=status, data=data, items=unsaved, events=events, turn=turn)


def _terminal_events(number: int, response: msgspec.Raw, error: ShimError | None) -> list[tuple[int, bytes]]:
    """`error` and `response.failed`; without an error `response.incomplete`, whose response is cancelled."""
    events: list[dict[str, Any]] = []
    if error is not None:
        code = error.failure_code
        details = ErrorDetails(error.type, error.code or code, error.message, error.param, error.status)
        flat = {"code": code, "message": error.message, "param": error.param}
        events.append({"type": "error", "sequence_number": number, **flat, "error": details})
    kind = "response.failed" if error is not None else "response.incomplete"
    events.append({"type": kind, "sequence_number": number + len(events), "response": response})
    return [(event["sequence_number"], encode_json(event)) for event in events]


class Runs:
    """The runs of one shim in the background, and the search for those whose process is gone.

    They live from the server's start to its shutdown: see `running`.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self.accepting = False
        """Whether runs can be started: the server has started and does not shut down."""
        self.live_logs = LiveLogs(store)
        """The logs of runs, of this process and of others, that are followed in this process."""
        self._store = store
        self._clock = clock
        self._tasks: dict[asyncio.Task[None], tuple[bytes, str]] = {}
        self._suspects: dict[tuple[bytes, str], float] = {}  # since when their lease has been seen expired
        self._holder = secrets.token_hex(8)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take runs, and end those of processes that are gone, until the block is left; then end the own ones."""
        search = asyncio.create_task(self._search())
        self.accepting = True
        try:
            yield
        finally:
            self.accepting = False
            search.cancel()
            stopped = dict(self._tasks)
            for task in stopped:
                task.cancel()
            if stopped:
                await asyncio.wait(stopped, timeout=END_SECONDS)
            shutdown = ShimError("The server was shut down before the response was complete.", status=503)
            await self._fail(stopped.values(), shutdown)

    def start(self, owner: bytes, id: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a response whose record is in the store. If it raises, or the server shuts down, the response fails."""
        task = asyncio.create_task(self._run(owner, id, run))
        self._tasks[task] = owner, id
        task.add_done_callback(self._tasks.pop)

    async def _run(self, owner: bytes, id: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await run()
        except Exception:
            logger.exception("%s failed", id)
        # Unless it has ended, which it has as a rule: its log could not be written, or it raised.
        await self._fail([(owner, id)], ShimError("The response could not be made, or not be stored."))

    async def _fail(self, runs: Iterable[tuple[bytes, str]], reason: ShimError) -> None:
        """End those responses that have not ended, if the store is available, or is so again soon."""
        with anyio.move_on_after(END_SECONDS, shield=True):
            for owner, id in runs:
                while True:
                    with suppress(StoreUnavailable):
                        await end_run(self._store, owner, id, "failed", reason)
                        break
                    await anyio.sleep(RETRY_SECONDS)

    async def _search(self) -> None:
        while True:
            await anyio.sleep(LEASE_SECONDS / 3)
            try:
                await self.end_orphans()
            except StoreUnavailable:
                pass
            except Exception:  # of one run, which must not keep all others from their end
                logger.exception("the search for runs whose process is gone has failed")

    async def end_orphans(self) -> None:
        """End the responses whose lease this process has seen expired for as long as a lease lasts.

        Raises StoreUnavailable. The watch begins anew then: while the store was away no run could renew its lease.
        """
        now = self._clock()
        try:
            expired = await self._store.expired()
            self._suspects = {key: self._suspects.get(key, now) for key in expired}
            for (owner, id), since in self._suspects.items():
                if now - since >= LEASE_SECONDS and await self._store.lease(owner, id, self._holder, LEASE_SECONDS):
                    gone = ShimError("The process that made the response is gone.", status=503)
                    await end_run(self._store, owner, id, "failed", gone)
        except StoreUnavailable:
            self._suspects.clear()
            raise
