"""One run: a chat call in, the events of one response out, from the first to the terminal one.

**Push.** The host's `send` ends up in `Run.data`, which decodes and translates when it is called, and whose awaitable
is the client's `send`. There is no queue between a token and the socket, and a slow client slows the engine down.

**Commit.** Until the first event is written, a failure is raised by `execute`, and becomes an HTTP error with the
right status. The run commits at the first chunk, or when `commit_after` has passed. From then on every failure is an
`error` event and `response.failed`. A sink that does not stream commits with its last write only.

**One writer.** The host's path and the clock may both want to write. An event gets its number and its bytes in one
step without an await; `_writing` then guards the socket. The clock never waits for it: a ping beside a write that is
going out anyway is not needed. The host's path waits only while the clock is writing.

**The short way.** While text comes, `core.plain` makes a host's frame into ours, without the steps between.

**The watch** is one task per run: it waits for the client to leave, and wakes for what is due. It looks at times that
the host's path leaves behind (`_heard`, `_wrote`) and is never set anew by a token.

**The end.** A round is over at `[DONE]`, at the end of the body, or when the call returns; never at finish_reason,
since usage may follow. If finish_reason was seen, the terminal event goes out at once. If not, the run waits a
moment for the call to return or raise: hosts exist that end a stream cleanly and then raise the reason.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any

import anyio

from responses_shim.core.response.fast_path import PlainText
from responses_shim.core.response.filters import Mend
from responses_shim.core.response.stream import ResponseStream
from responses_shim.core.wire.chat import Chunk
from responses_shim.core.wire.chunks import DONE, ChunkReader
from responses_shim.core.wire.events import Event
from responses_shim.errors import ShimError, UpstreamError
from responses_shim.runtime.interfaces import Headers, Sink, Upstream
from responses_shim.settings import Settings

logger = logging.getLogger("responses_shim")

# How long a call may take to return after its stream has ended, and to notice that it is no longer wanted.
GRACE = 5.0
GONE_GRACE = 1.0


async def _nothing() -> None:
    """There is nothing to write."""


class Run:
    """One response being made. `execute` once; it returns when the terminal event is out or the client is gone.

    `disconnected` returns when the client is gone, and can be cancelled; `mends` put a host's chunks right before
    the state machine, one after the other; `unfinished` is what to tell the client when the host's stream just stops;
    `prompt_tokens` gets the token ids of the prompt where they are wanted and the host's stream did not tell them.
    """

    def __init__(
        self,
        stream: ResponseStream,
        sink: Sink,
        settings: Settings,
        *,
        disconnected: Callable[[], Awaitable[None]],
        mends: Sequence[Mend] = (),
        unfinished: str,
        prompt_tokens: Callable[[], Awaitable[list[int] | None]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.gone = anyio.Event()
        """Nobody wants the rest of the call: the client has left, or the run has failed."""
        self.committed = False
        self._stream = stream
        self._sink = sink
        self._settings = settings
        self._disconnected = disconnected
        self._mends = list(mends)
        self._unfinished = unfinished
        self._prompt_tokens = prompt_tokens
        self._clock = clock
        self._reader = ChunkReader()
        self._plain: PlainText | None = None  # the short way, while the host's frames are of that kind
        self._headers: Headers = []
        self._call = anyio.CancelScope()
        self._nap = anyio.CancelScope()
        self._started = False  # the opening events have been made
        self._round_over = False  # finish_reason and the end of the stream have been seen
        self._closed = False  # the last events have been made, or will never be
        self._client_gone = False
        self._watching = True
        self._writing = False
        self._written: anyio.Event | None = None
        self._began = self._heard = self._wrote = clock()
        self._cut_at: float | None = None

    async def execute(self, upstream: Upstream, chat: dict[str, Any]) -> None:
        """Make the call and see the response to its end. Raises ShimError if nothing was written yet."""
        cause: ShimError | None = None
        # A bare task: a task group costs as much as fifty tokens, and this one task never outlives the call.
        watch = asyncio.create_task(self._watch())
        # With nobody to watch it, the call must not go on.
        watch.add_done_callback(lambda watch: None if watch.cancelled() else self._call.cancel())
        try:
            with self._call:
                cause = await upstream(chat, self)
            await self._turn()  # a write of the clock's may be half done
        finally:
            self._watching = False
            watch.cancel()
        if watch.done():
            watch.result()  # it does not return by itself: the server's receive or send is broken
        if not self._closed:
            await self._conclude(cause)
        self._log()
        if not self.committed and not self._client_gone and self._stream.error is not None:
            told = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._headers]
            self._stream.error.headers += tuple(told)
            raise self._stream.error

    # What the upstream tells (Listener) --------------------------------------------------------------------------

    def head(self, headers: Headers) -> None:
        self._headers = headers

    def data(self, data: bytes, more: bool) -> Awaitable[None]:
        """Bytes of the host's event stream, cut anywhere. What they hold goes out in one write."""
        self._heard = self._clock()
        if self._plain is not None:
            frame = self._plain.frame(data) if more and not self._writing and not self._closed else None
            if frame is not None:
                self._wrote = self._heard
                return self._write(frame)
            self._plain = None
        chunks = self._reader.read(data)
        if not more:
            chunks = [*chunks, *self._reader.close(), DONE]
        return self._take(chunks)

    def whole(self, body: bytes) -> Awaitable[None]:
        """The whole answer of a host that was asked to stream and did not."""
        return self._take(self._reader.whole(body))

    def _take(self, chunks: list[Chunk]) -> Awaitable[None]:
        """Translate chunks; awaiting the result writes. What comes after the end is passed over, or refused."""
        if self._closed:
            if chunks and self.gone.is_set():
                raise OSError("nobody reads this stream any more")  # as a server's `send` would (ASGI 2.4)
            return _nothing()
        stream = self._stream
        events: list[Event] = []
        for chunk in chunks:
            if chunk is DONE:
                self._end_round()
                break
            if not self._started:
                events = self._opening()
            stream.count(chunk)
            made = self._mended(chunk) if self._mends else stream.feed(chunk)
            events = events + made if events else made
            if stream.error is not None:
                break
        if self._round_over or stream.error is not None:
            return self._close(events)
        if events and self._sink.streams:
            self._wrote = self._heard
            if not self._mends and self._reader.between:
                self._plain = stream.plain()
            return self._write(events)
        return _nothing()

    def _mended(self, chunk: Chunk) -> list[Event]:
        """The events of a chunk that is put right first. What will put nothing right any more is let go."""
        chunks: Sequence[Chunk] = [chunk]
        for mend in self._mends:
            chunks = [right for wrong in chunks for right in mend.feed(wrong)]
        self._mends = [mend for mend in self._mends if not mend.done]
        return [event for right in chunks for event in self._stream.feed(right)]

    def _held_back(self) -> list[Event]:
        """The events of what is still held back when the call is over."""
        chunks: Sequence[Chunk] = []
        for mend in self._mends:
            chunks = [right for wrong in chunks for right in mend.feed(wrong)] + [*mend.close()]
        return [event for right in chunks for event in self._stream.feed(right)]

    def _end_round(self) -> None:
        """Without a finish_reason the call itself may still tell why: wait for it, but not for ever."""
        if self._stream.finish is not None:
            self._round_over = True
        elif self._cut_at is None:
            self._cut_after(GRACE)

    async def _conclude(self, cause: ShimError | None) -> None:
        """The call has returned or was cut off, and its stream had not ended by itself."""
        with suppress(OSError):
            await self._take(self._reader.close())
            if not self._closed:
                whole = self._stream.finish is not None
                why = None if whole else cause or UpstreamError(self._unfinished)
                await self._by_clock(lambda: self._close(self._opening(), why))

    # Writing -----------------------------------------------------------------------------------------------------

    def _opening(self) -> list[Event]:
        """The opening events, once. They are numbered before whatever the first chunk makes."""
        started, self._started = self._started, True
        return [] if started else self._stream.start()

    async def _close(self, events: Sequence[Event] = (), why: ShimError | None = None) -> None:
        """Write the last events, unless it has failed before anything was written: then `execute` raises.

        `why` it fails now, if it does: what the host said before that counts, held back or not.
        """
        self._closed = True
        self._wrote = self._clock()
        held_back = self._held_back()
        if why is not None:
            self._stream.fail(why)
        await self._find_prompt()
        _, ending = self._stream.end_round()
        ending = [*events, *held_back, *ending, *self._stream.close()]
        failed = self._stream.error is not None
        try:
            if self.committed or not failed:
                await self._write(ending, last=True)
        finally:
            # Not before the write: it is the host's own task that writes.
            if failed:
                self.gone.set()
            self._cut_at = self._clock() + GRACE

    async def _find_prompt(self) -> None:
        """Get the tokens of the prompt, where they are wanted and the host's stream has not told them."""
        if self._prompt_tokens is None or not self._stream.lacks_prompt:
            return
        try:
            with anyio.move_on_after(min(GRACE, self._settings.write_timeout / 2)):  # the clock may be waiting
                if (told := await self._prompt_tokens()) is not None:
                    self._stream.tell_prompt(told)
        except Exception as error:
            logger.warning("the tokens of the prompt could not be had: %s", type(error).__name__)

    async def _write(self, events: list[Event] | bytes, *, last: bool = False) -> None:
        """Hand events, or one that is a frame already, to the sink. One writer at a time; the first begins."""
        if self._writing:
            await self._turn()
        self._writing = True
        try:
            if not self.committed:
                self.committed = True
                await self._sink.begin(self._headers)
            if isinstance(events, bytes):
                await self._sink.pass_on(events)
            else:
                await (self._sink.finish(events) if last else self._sink.write(events))
        except OSError:
            self._abandon()
            raise
        finally:
            self._writing = False
            if self._written is not None:
                self._written.set()

    async def _turn(self) -> None:
        """Wait until the clock has written. It begins no other write meanwhile: what waits here is numbered."""
        while self._writing:
            self._written = anyio.Event()
            await self._written.wait()
        self._written = None

    # The client and the clock ------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Wait for the client to leave, and meanwhile do what is due."""
        left = False
        # A write may begin during a nap, and end: neither tells. So look again before what follows could be due.
        settings = self._settings
        longest = min(settings.write_timeout, settings.upstream_idle) / 4
        if settings.ping != "off":
            longest = min(longest, settings.ping_interval / 4)
        while self._watching:  # before Python 3.11 a nap that is cut short can swallow the task's own cancellation
            due, act = min(self._deadlines(), key=itemgetter(0))
            wait = due - self._clock()
            if wait <= 0:
                await act()
                continue
            with anyio.move_on_after(min(wait, longest)) as self._nap:
                if left:
                    await anyio.sleep_forever()
                await self._disconnected()
                left = True  # or has all that it wanted: servers say so too
                self._abandon()

    def _deadlines(self) -> Iterator[tuple[float, Callable[[], Awaitable[None]]]]:
        """What there is to do, and when: whatever comes first counts."""
        settings = self._settings
        yield math.inf, anyio.sleep_forever
        writing = self._writing or self._written is not None
        if self._cut_at is not None and (self._client_gone or not writing):
            yield self._cut_at, self._cut
        if writing:
            self._heard = self._clock()  # while its words are held up, a host is not silent
            if not self._client_gone:
                yield self._wrote + settings.write_timeout, self._drop_client
        elif not self._closed:
            yield self._heard + settings.upstream_idle, self._give_up
            if self._sink.streams and not self._started:
                yield self._began + settings.commit_after, self._commit
            if self.committed and settings.ping != "off":
                yield self._wrote + settings.ping_interval, self._ping

    def _abandon(self) -> None:
        """The client is gone: nothing more is written, and the engine is to stop at once."""
        if not self._closed:
            self._client_gone = self._closed = True
            self.gone.set()
            self._cut_after(GONE_GRACE)

    def _cut_after(self, grace: float) -> None:
        self._cut_at = self._clock() + grace
        self._nap.cancel()

    async def _cut(self) -> None:
        """End the call, which has not ended by itself."""
        self._cut_at = None
        self._call.cancel()

    async def _drop_client(self) -> None:
        """A write has been going on for too long: a reader that takes nothing is not there."""
        self._client_gone = self._closed = True
        self.gone.set()
        await self._cut()

    async def _give_up(self) -> None:
        """The host is silent. An answer whose finish_reason has come is whole all the same."""
        silent = UpstreamError(f"The host sent nothing for {self._settings.upstream_idle:g} seconds.", status=504)
        why = silent if self._stream.finish is None else None
        await self._by_clock(lambda: self._close(self._opening(), why))
        self._cut_at = self._clock() + GONE_GRACE

    async def _commit(self) -> None:
        await self._by_clock(lambda: self._write(self._opening()))

    async def _ping(self) -> None:
        events: list[Event] = []
        if self._settings.ping == "event":
            events = [self._stream.ping()]
        elif self._settings.ping == "in_progress":
            events = [self._stream.still_in_progress()]
        await self._by_clock(lambda: self._write(events))

    async def _by_clock(self, write: Callable[[], Awaitable[None]]) -> None:
        """A write of the clock's own, which nobody else can time out."""
        self._wrote = self._clock()
        with anyio.move_on_after(self._settings.write_timeout) as scope, suppress(OSError):
            await write()
        self._heard += self._clock() - self._wrote
        if scope.cancelled_caught:
            await self._drop_client()

    def _log(self) -> None:
        if not logger.isEnabledFor(logging.INFO):
            return
        response, now = self._stream.response, self._clock()
        logger.info(
            "%s %s in %.3f s, %d items, %s tokens out%s%s",
            response.id,
            "abandoned" if self._client_gone else response.status,
            now - self._began,
            len(response.output),
            response.usage.output_tokens if response.usage else "?",
            f", {self._stream.ignored_calls} calls ignored" if self._stream.ignored_calls else "",
            f": {self._stream.error.failure_code}" if self._stream.error else "",
        )
