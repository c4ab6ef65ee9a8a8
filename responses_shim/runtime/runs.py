"""One run: a chat call in, the events of one response out, from the first to the terminal one.

**Push.** The host's `send` ends up in `Run.data`, which decodes, translates and awaits the client's `send` before it
returns. There is no queue between a token and the socket, and a slow client slows the engine down.

**Commit.** Until the first event is written, a failure is raised by `execute`, and becomes an HTTP error with the
right status. The run commits at the first chunk, or when `commit_after` has passed. From then on every failure is an
`error` event and `response.failed`. A sink that does not stream commits with its last write only.

**One writer.** The host's path and the clock may both want to write. An event gets its number and its bytes in one
step without an await; `_writing` then guards the socket. The clock never waits for it: a ping beside a write that is
going out anyway is not needed. The host's path waits only while the clock is writing.

**The clock** is one task per run. It looks at times that the host's path leaves behind (`_heard`, `_wrote`) and is
never set anew by a token.

**The end.** A round is over at `[DONE]`, at the end of the body, or when the call returns; never at finish_reason,
since usage may follow. If finish_reason was seen, the terminal event goes out at once. If not, the run waits a
moment for the call to return or raise: hosts exist that end a stream cleanly and then raise the reason.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from operator import itemgetter
from typing import Any, Protocol

import anyio

from responses_shim.core.chat import Chunk, ChunkDecoder
from responses_shim.core.events import Event
from responses_shim.core.sse import SSEDecoder
from responses_shim.core.stream import ResponseStream
from responses_shim.errors import ShimError, UpstreamError
from responses_shim.settings import Settings

logger = logging.getLogger("responses_shim")

# How long a call may take to return after its stream has ended, and to notice that it is no longer wanted.
GRACE = 5.0
GONE_GRACE = 1.0

Headers = list[tuple[bytes, bytes]]


class Sink(Protocol):
    """Where the events of a run go. `streams` is False for one that writes nothing before the end.

    A method that raises OSError says that the client is gone.
    """

    streams: bool

    async def begin(self, headers: Headers) -> None:
        """The answer begins; `headers` are those of the host's answer, if it has come."""
        ...

    async def write(self, events: list[Event]) -> None: ...

    async def comment(self) -> None:
        """Something that is no event, to keep the connection alive."""
        ...

    async def finish(self, events: list[Event]) -> None:
        """The last events, the terminal one at their end."""
        ...


class Listener(Protocol):
    """What an upstream tells while it answers: its headers, the bytes of its stream, and their end."""

    gone: anyio.Event

    def head(self, headers: Headers) -> None: ...

    async def data(self, data: bytes) -> None: ...

    async def payload(self, payload: bytes) -> None: ...

    async def end(self) -> None: ...


Upstream = Callable[[dict[str, Any], Listener], Awaitable[ShimError | None]]
"""Make one chat call and tell the listener; return why it failed, if it did. It ends soon once `gone` is set."""


class Run:
    """One response being made. `execute` once; it returns when the terminal event is out or the client is gone.

    `disconnected` returns when the client is gone; `mend` puts a host's chunks right before the state machine;
    `unfinished` is what to tell the client when the host's stream just stops.
    """

    def __init__(
        self,
        stream: ResponseStream,
        sink: Sink,
        settings: Settings,
        *,
        disconnected: Callable[[], Awaitable[None]],
        mend: Callable[[Chunk], Chunk] | None,
        unfinished: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.gone = anyio.Event()
        """Nobody wants the rest of the call: the client has left, or the run has failed."""
        self.committed = False
        self._stream = stream
        self._sink = sink
        self._settings = settings
        self._disconnected = disconnected
        self._mend = mend
        self._unfinished = unfinished
        self._clock = clock
        self._frames = SSEDecoder()
        self._chunks = ChunkDecoder()
        self._headers: Headers = []
        self._call = anyio.CancelScope()
        self._ending = anyio.CancelScope()
        self._started = False  # the opening events have been made
        self._closed = False  # the last events have been made, or will never be
        self._client_gone = False
        self._writing = False
        self._written: anyio.Event | None = None
        self._wake = anyio.Event()
        self._began = self._heard = self._wrote = clock()
        self._cut_at: float | None = None

    async def execute(self, upstream: Upstream, chat: dict[str, Any]) -> None:
        """Make the call and see the response to its end. Raises ShimError if nothing was written yet."""
        async with anyio.create_task_group() as watchers:
            watchers.start_soon(self._watch_clock)
            watchers.start_soon(self._watch_client)
            cause: ShimError | None = None
            with self._call:
                cause = await upstream(chat, self)
            with self._ending:
                await self._conclude(cause)
            watchers.cancel_scope.cancel()
        self._log()
        if not self.committed and not self._client_gone and self._stream.error is not None:
            raise self._stream.error

    # What the upstream tells (Listener) --------------------------------------------------------------------------

    def head(self, headers: Headers) -> None:
        self._headers = headers

    async def data(self, data: bytes) -> None:
        """Bytes of the host's event stream, cut anywhere."""
        self._heard = self._clock()
        for payload in self._frames.feed(data):
            await self.payload(payload)

    async def payload(self, payload: bytes) -> None:
        """One data payload: a chunk, or `[DONE]`. What comes after the end is passed over, or refused."""
        if self._closed:
            if self.gone.is_set():
                raise OSError("nobody reads this stream any more")  # as a server's `send` would (ASGI 2.4)
            return
        if payload == b"[DONE]":
            await self._end_round()
            return
        stream = self._stream
        opening = self._opening()
        try:
            chunk = self._chunks.decode(payload)
        except ShimError as error:
            stream.fail(error)
            await self._close(opening)
            return
        events = stream.feed(chunk if self._mend is None else self._mend(chunk))
        if opening:
            events = opening + events
        if stream.error is not None:
            await self._close(events)
        elif events and self._sink.streams:
            self._wrote = self._heard
            await self._write(events)

    async def end(self) -> None:
        """The body is over; what is left of a frame without its blank line counts."""
        for payload in self._frames.close():
            await self.payload(payload)
        await self._end_round()

    async def _end_round(self) -> None:
        """Without a finish_reason the call itself may still tell why: wait for it, but not for ever."""
        if self._closed:
            return
        if self._stream.finish is not None:
            await self._close()
        elif self._cut_at is None:
            self._cut_soon(GRACE)

    async def _conclude(self, cause: ShimError | None) -> None:
        """The call has returned, or was cut off."""
        try:
            for payload in self._frames.close():
                await self.payload(payload)
            if self._closed:
                return
            if self._stream.finish is None:
                self._stream.fail(cause or UpstreamError(self._unfinished))
            await self._close()
        except OSError:
            pass  # the client is gone: _write has seen to it

    # Writing -----------------------------------------------------------------------------------------------------

    def _opening(self) -> list[Event]:
        """The opening events, once. They are numbered before whatever the first chunk makes."""
        if self._started:
            return []
        self._started = True
        return self._stream.start()

    async def _close(self, events: Sequence[Event] = ()) -> None:
        """Write the last events, unless it has failed before anything was written: then `execute` raises."""
        self._closed = True
        self._cut_soon(GRACE)
        _, ending = self._stream.end_round()
        ending += self._stream.close()
        if self._stream.error is not None:
            self.gone.set()
            if not self.committed:
                return
        self._wrote = self._clock()
        await self._write([*events, *ending], last=True)

    async def _write(self, events: list[Event], *, last: bool = False) -> None:
        """Hand events to the sink, one writer at a time. The first write begins the answer."""
        while self._writing:
            self._written = anyio.Event()
            await self._written.wait()
        self._writing = True
        try:
            if not self.committed:
                self.committed = True
                await self._sink.begin(self._headers)
            if last:
                await self._sink.finish(events)
            else:
                await self._sink.write(events)
        except OSError:
            self._abandon()
            raise
        finally:
            self._writing = False
            if self._written is not None:
                self._written.set()
                self._written = None

    # The client --------------------------------------------------------------------------------------------------

    async def _watch_client(self) -> None:
        await self._disconnected()
        if not self._closed:
            self._abandon()

    def _abandon(self) -> None:
        """The client is gone: nothing more is written, and the engine is to stop at once."""
        self._client_gone = self._closed = True
        self.gone.set()
        self._cut_soon(GONE_GRACE)

    # The clock ---------------------------------------------------------------------------------------------------

    async def _watch_clock(self) -> None:
        while True:
            due, act = min(self._deadlines(), key=itemgetter(0))
            wait = due - self._clock()
            if wait > 0:
                # A write may begin meanwhile without telling: look again before it could have timed out.
                with anyio.move_on_after(min(wait, self._settings.write_timeout / 4)):
                    await self._wake.wait()
                    self._wake = anyio.Event()
            else:
                await act()

    def _deadlines(self) -> Iterator[tuple[float, Callable[[], Awaitable[None]]]]:
        """What the clock has to do next, whichever comes first."""
        settings = self._settings
        yield math.inf, anyio.sleep_forever
        if self._cut_at is not None:
            yield self._cut_at, self._cut
        if self._writing:
            yield self._wrote + settings.write_timeout, self._drop_client
        elif not self._closed:
            yield self._heard + settings.upstream_idle, self._give_up
            if self._sink.streams and not self.committed:
                yield self._began + settings.commit_after, self._commit
            if self.committed and settings.ping != "off":
                yield self._wrote + settings.ping_interval, self._ping

    def _cut_soon(self, grace: float) -> None:
        due = self._clock() + grace
        self._cut_at = due if self._cut_at is None else min(due, self._cut_at)
        self._wake.set()

    async def _cut(self) -> None:
        self._cut_at = None
        self._call.cancel()

    async def _drop_client(self) -> None:
        """A write has been going on for too long: a reader that takes nothing is not there."""
        self._abandon()
        self._call.cancel()
        self._ending.cancel()

    async def _give_up(self) -> None:
        seconds = self._settings.upstream_idle
        self._stream.fail(UpstreamError(f"The host sent nothing for {seconds:g} seconds.", status=504))
        await self._by_clock(self._close(self._opening()))
        self._cut_soon(GONE_GRACE)

    async def _commit(self) -> None:
        await self._by_clock(self._write(self._opening()))

    async def _ping(self) -> None:
        if self._settings.ping == "comment":
            await self._by_clock(self._comment())
        elif self._settings.ping == "in_progress":
            await self._by_clock(self._write([self._stream.still_in_progress()]))
        else:
            await self._by_clock(self._write([self._stream.ping()]))

    async def _comment(self) -> None:
        self._writing = True
        try:
            await self._sink.comment()
        finally:
            self._writing = False

    async def _by_clock(self, write: Coroutine[Any, Any, None]) -> None:
        """A write of the clock's own, which nobody else can time out."""
        self._wrote = self._clock()
        with anyio.move_on_after(self._settings.write_timeout) as scope:
            with contextlib.suppress(OSError):
                await write
        if scope.cancelled_caught:
            await self._drop_client()

    def _log(self) -> None:
        response, now = self._stream.response, self._clock()
        logger.info(
            "%s %s in %.3f s, %d items, %s tokens out%s",
            response.id,
            "abandoned" if self._client_gone else response.status,
            now - self._began,
            len(response.output),
            response.usage.output_tokens if response.usage else "?",
            f": {self._stream.error.failure_code}" if self._stream.error else "",
        )
