"""One run: chat calls in, the frames of one response out, from the first to the terminal event.

**Push.** The host's `send` ends up in `Run.data`, which translates when it is called, and whose awaitable is the
client's `send`. There is no queue between a token and the socket, and a slow client slows the engine down.

**Rounds.** A response may need several chat calls, one after the other. When a call has ended, `next_round` says
whether another follows; if not, the response is closed.

**Commit.** Until the first frame is written, a failure is raised by `execute`, and becomes an HTTP error with the right
status. The first chunk with any of the answer commits (a role alone is none), or `commit_after` seconds without one.
From then on every failure is an `error` event and `response.failed`. A sink that takes no frames commits with its last
write only.

**The end of a round.** It is over at `[DONE]`, at the end of the body, or when the call returns; never at
finish_reason, since usage may follow. If a finish_reason has come, the closing events go out at once. If not, the run
waits a moment for the call to return or raise: hosts exist that end a stream cleanly and then raise the reason.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import anyio

from responses_shim.core.response.encoder import Frame
from responses_shim.core.response.translator import RoundState, Translator
from responses_shim.core.wire.responses import Response
from responses_shim.errors import ShimError, UpstreamError
from responses_shim.hosts.profile import Chat
from responses_shim.runtime.answer_check import AnswerCheck
from responses_shim.runtime.ending import Ending
from responses_shim.runtime.interfaces import NextRound, RawHeaders, Sink, Upstream, last_round
from responses_shim.runtime.log_line import log_end
from responses_shim.runtime.phase import Phase
from responses_shim.runtime.signal import Signal
from responses_shim.runtime.translation import translated
from responses_shim.runtime.watchdog import Deadline, Watchdog
from responses_shim.runtime.writer import Writer
from responses_shim.settings import Settings

logger = logging.getLogger("responses_shim")

RETURN_SECONDS = 5.0
"""How long a call may take to return after its stream has ended."""
CANCEL_SECONDS = 1.0
"""How long it may take to notice that nobody wants it any more."""


_CALLING = Phase.CALLING  # looked up per token: before Python 3.11 a member of an enumeration is found slowly


async def _nothing() -> None:
    """Do nothing."""


class Run:
    """One response being made. `execute` once; it returns when the terminal event is out or the client is gone.

    - `disconnected`: returns when the client is gone, and can be cancelled
    - `unfinished_message`: the message of the error if the host's stream just stops
    - `headers`: the host's, as far as they are known before it answers; those of its answer replace them
    - `prompt_tokens`: gets the token ids of a chat's prompt, where they are wanted and the host's stream had none
    - `next_round`: what follows a round
    - `save`: keeps the response before its terminal event is sent; it fails if that raises ShimError. Nothing is kept
      of a response of which the client has got nothing. It is called again if the host gave up the `send` that waited
    - `starts_at_once`: the response begins before the first call is made, so that no failure is an exception
    - `answer_check`: checks the answers that the translator holds back, and may ask for another round

    It is the `Listener` of its own chat calls.
    """

    def __init__(
        self,
        translator: Translator,
        sink: Sink,
        settings: Settings,
        *,
        disconnected: Callable[[], Awaitable[None]],
        unfinished_message: str,
        headers: RawHeaders | None = None,
        prompt_tokens: Callable[[Chat], Awaitable[list[int] | None]] | None = None,
        next_round: NextRound = last_round,
        save: Callable[[Response], Awaitable[None]] | None = None,
        starts_at_once: bool = False,
        answer_check: AnswerCheck | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.gone = Signal()
        """Set once nobody wants the rest of the call: the client has left, or the run has failed."""
        self.call = anyio.CancelScope()
        """What is awaited, the call or the next request, is awaited within this scope."""
        self.retries = 0
        """How many times a call has been made again."""
        self._translator = translator
        self._settings = settings
        self._streams = sink.framing is not None
        self._disconnected = disconnected
        self._unfinished_message = unfinished_message
        self._starts_at_once = starts_at_once
        self._clock = clock
        self._phase = Phase.CALLING
        self._chat: Chat = {}  # the request of the current round, if the token ids of its prompt are wanted
        self._make_request: Callable[[], Awaitable[Chat]] | None = None  # of the next round
        self._started_at = self._last_received = self._last_write = clock()
        self._cancel_at: float | None = None
        self._end_made: Signal | None = None  # set once nobody is about the end of the round
        self._ending = Ending(
            translator, answer_check=answer_check, prompt_tokens=prompt_tokens, next_round=next_round, save=save
        )
        self._writer = Writer(sink, self._abandon)
        self._writer.headers = self._first_headers = headers or []
        self._watchdog = Watchdog(clock)

    async def execute(self, upstream: Upstream, chat: Chat) -> None:
        """Make the calls and see the response to its end. Raises ShimError if nothing was written yet."""
        # A write changes deadlines without waking the watchdog, so it looks again well before the shortest of them.
        settings = self._settings
        periods = [settings.write_timeout, settings.upstream_idle]
        periods += [settings.ping_interval] if settings.ping != "off" else []
        self._watchdog.start(
            self._deadlines,
            longest_nap=min(periods) / 4,
            disconnected=self._disconnected,
            client_gone=self._abandon,
            failed=self._cancel_call,  # with nobody to watch it, a call must not go on
        )
        try:
            if self._starts_at_once:
                await self._commit()
            # A request may be of megabytes, and its answer take long: it is kept only if it is wanted after that, so it
            # travels in a list that is emptied on the way.
            requests = [chat] if self._phase is Phase.CALLING else []
            del chat
            while requests:
                begins = self._streams and not self._writer.begun
                self._retry_until = self._started_at + settings.commit_after if begins else math.inf
                self._chat = requests[0] if self._translator.lacks_prompt_tokens else {}
                await self._round(upstream(requests.pop(), self))
                if self._phase is Phase.BETWEEN and (request := await self._next_request()) is not None:
                    requests.append(request)
                request = None
        finally:
            self._watchdog.stop()
            self._writer.close()
        abandoned = self._phase is Phase.ABANDONED
        log_end(self._translator, self._clock() - self._started_at, retries=self.retries, abandoned=abandoned)
        error = self._translator.error
        if not self._writer.begun and not abandoned and error is not None:
            headers = self._writer.headers
            error.headers += tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
            raise error

    async def _round(self, call: Awaitable[ShimError | None]) -> None:
        """Make one chat call. When it has returned, whatever it had left undone is done."""
        cause = await call
        if self._end_made is not None:
            await self._end_made.wait()  # another task is about it: one of the host's, or the watchdog's
        await self._writer.wait_until_free()  # wait for a write that the watchdog has begun
        self._watchdog.check()
        if self._phase is Phase.CALLING:
            await self._conclude(cause)
        elif self._phase is Phase.ENDING:  # the host has given up the `send` that waited for the response to be saved
            await self._write_with_timeout(self._close)
        elif self._writer.pending and self._phase is not Phase.ABANDONED:  # the host has cancelled its own last `send`
            await self._write_with_timeout(self._writer.write)

    async def _next_request(self) -> Chat | None:
        """The chat request of the next round, which then begins; None if the response has ended meanwhile."""
        request: Chat | None = None
        self._cancel_at = None  # that was for the call that has returned: what follows may take its time
        try:
            with anyio.CancelScope() as self.call:
                assert self._make_request is not None
                request = await self._make_request()
        except ShimError as error:
            self._translator.fail(error)
        except Exception:
            logger.exception("the next round of %s could not be prepared", self._translator.response.id)
            self._translator.fail(ShimError("The next step of the response could not be prepared."))
        if self._phase is not Phase.BETWEEN:
            return None
        if request is None:
            await self._write_with_timeout(self._close)
            return None
        self._phase, self._last_received, self.call = Phase.CALLING, self._clock(), anyio.CancelScope()
        self._ending.begin_round()
        return request

    # What the upstream reports (Listener) --------------------------------------------------------------------------

    @property
    def time_to_retry(self) -> float:
        """Until the stream begins without an answer. One that begins before its calls do is not waited for."""
        return self._retry_until - self._clock() if self._phase is Phase.CALLING else 0.0

    def renew_call(self) -> None:
        self.call, self._last_received = anyio.CancelScope(), self._clock()
        self.head(self._first_headers)

    def head(self, headers: RawHeaders) -> None:
        if not self._writer.begun:
            self._writer.headers = headers

    def data(self, data: bytes, more: bool) -> Awaitable[None]:
        """Bytes of the host's event stream, cut anywhere. What they hold goes out in one write."""
        clock = self._clock  # Python looks an attribute up slowly where it is called, unless it is a method
        now = self._last_received = clock()
        if self._phase is not _CALLING:
            return self._refuse()
        translator = self._translator
        if more and (fast_path := translator.fast_path) is not None:
            frame = fast_path(data)
            if frame is not None:
                self._last_write = now
                self._writer.queued.append(frame)
                return self._writer.write()
        frames = translated(translator, translator.feed, data)
        if not more:
            frames = [*frames, *translator.end_stream()]
        if translator.state is not RoundState.OPEN:
            return self._end_of_stream(frames)
        return self._write(frames)

    def json(self, body: bytes) -> Awaitable[None]:
        """The complete answer of a host that was asked to stream and did not."""
        if self._phase is not Phase.CALLING:
            return self._refuse()
        return self._end_of_stream(translated(self._translator, self._translator.feed_json, body))

    def _refuse(self) -> Awaitable[None]:
        """Ignore what comes after the end.

        If nobody reads any more, fail like a server's `send`, so that the host stops.
        """
        if self.gone.is_set():
            raise OSError("nobody reads this stream any more")  # as a server's `send` would (ASGI 2.4)
        return _nothing()

    def _end_of_stream(self, frames: list[Frame]) -> Awaitable[None]:
        if self._translator.state is not RoundState.CUT:
            self._writer.queue(frames)
            return self._end_round()
        # The call itself may still say why: wait for it, but not for ever.
        if self._cancel_at is None:
            self._cancel_after(RETURN_SECONDS)
        return self._write(frames)

    def _write(self, frames: list[Frame]) -> Awaitable[None]:
        if not frames:
            return _nothing()
        self._last_write = self._last_received
        self._writer.queue(frames)
        return self._writer.write()

    # The end of a round --------------------------------------------------------------------------------------------

    async def _conclude(self, cause: ShimError | None) -> None:
        """The call has returned or was cut off, and its stream had not ended by itself."""
        with suppress(OSError):
            self._writer.queue(self._translator.end_stream())
            failure = None if self._translator.finished else cause or UpstreamError(self._unfinished_message)
            await self._write_with_timeout(lambda: self._end_round(failure))

    async def _end_round(self, failure: ShimError | None = None) -> None:
        """Close the items of the round; then the response too, unless another round follows. Once for each round.

        `failure` is why the response fails now, if it does. What the host sent before that still counts, held back or
        not.
        """
        if self._phase is not Phase.CALLING:
            return
        self._phase, self._last_write = Phase.ENDING, self._clock()  # nothing else may write now
        self._end_made = Signal()
        try:
            self._writer.queue(self._translator.flush())
            if failure is not None:
                self._writer.queue(self._translator.fail_round(failure))
            await self._complete_round()
            result, frames = self._translator.end_round()
            self._writer.queue(frames)
            self._make_request = self._ending.request_after(result)
            if self._make_request is None:
                await self._close()
                return
            self._phase = Phase.BETWEEN
            self._cancel_after(RETURN_SECONDS)
            await self._writer.write()
        finally:
            self._end_made.set()

    async def _complete_round(self) -> None:
        """Await what is still to be known of the round."""
        try:
            self._writer.queue(await self._ending.check_answer())
            # less than the timeout of the write that may be waiting for this
            await self._ending.find_prompt_tokens(self._chat, min(RETURN_SECONDS, self._settings.write_timeout / 2))
        except BaseException:  # as when the host gives up the `send` that waits for this: `_round` does it again
            if self._phase is Phase.ENDING:
                self._phase = Phase.CALLING
            raise

    async def _close(self) -> None:
        """Write the terminal event, unless the run has failed before anything was written: then `execute` raises."""
        translator = self._translator
        self._phase = Phase.ENDING
        self._last_write = self._clock()
        if self._writer.begun and self._writer.is_full:
            with suppress(OSError):  # the client has left; its response is kept all the same
                await self._writer.write()
        await self._ending.save(begun=self._writer.begun)
        frames = translator.close()
        self._phase = Phase.ENDED
        failed = translator.error is not None
        try:
            if self._writer.begun or not failed:
                self._writer.queue(frames, translator.response)
                await self._writer.write()
            else:
                self._writer.discard()
        finally:
            # Not before the write: it is the host's own task that writes.
            if failed:
                self.gone.set()
            self._cancel_at = self._clock() + RETURN_SECONDS

    # The client and the timer --------------------------------------------------------------------------------------

    def _deadlines(self) -> Iterator[Deadline]:
        """What is due, and when: whatever comes first counts."""
        settings, abandoned = self._settings, self._phase is Phase.ABANDONED
        writing = self._writer.busy
        if self._cancel_at is not None and (abandoned or not writing):
            yield self._cancel_at, self._cancel_overdue_call
        if writing:
            self._last_received = self._clock()  # a host that waits for this write is not silent
            if not abandoned:
                yield self._last_write + settings.write_timeout, self._drop_client
            return
        if self._phase is Phase.CALLING:
            yield self._last_received + settings.upstream_idle, self._give_up
            if self._streams and not self._translator.started:
                yield self._started_at + settings.commit_after, self._commit
        if self._phase in (Phase.CALLING, Phase.BETWEEN) and self._writer.begun and settings.ping != "off":
            yield self._last_write + settings.ping_interval, self._ping

    def _abandon(self) -> None:
        """The client is gone: nothing more is written, and the engine is to stop at once."""
        if self._phase in (Phase.CALLING, Phase.BETWEEN):
            self._phase = Phase.ABANDONED
            self.gone.set()
            self._cancel_after(CANCEL_SECONDS)

    def _cancel_after(self, seconds: float) -> None:
        self._cancel_at = self._clock() + seconds
        self._watchdog.wake()

    async def _cancel_overdue_call(self) -> None:
        """End the call, which has not ended by itself."""
        self._cancel_at = None
        self._cancel_call()

    def _cancel_call(self) -> None:
        self.call.cancel()

    async def _drop_client(self) -> None:
        """A write has been going on for too long: a client that reads nothing counts as gone."""
        self._phase = Phase.ABANDONED
        self.gone.set()
        await self._cancel_overdue_call()

    async def _give_up(self) -> None:
        """The host is silent. An answer whose finish_reason has come is complete all the same."""
        silent = UpstreamError(f"The host sent nothing for {self._settings.upstream_idle:g} seconds.", status=504)
        failure = None if self._translator.finished else silent
        await self._write_with_timeout(lambda: self._end_round(failure))
        self._cancel_at = self._clock() + CANCEL_SECONDS

    async def _commit(self) -> None:
        self._writer.queue(self._translator.start())
        await self._write_with_timeout(self._writer.write)

    async def _ping(self) -> None:
        if self._settings.ping == "event":
            self._writer.queue(self._translator.ping())
        elif self._settings.ping == "in_progress":
            self._writer.queue(self._translator.repeat_in_progress())
        await self._write_with_timeout(self._writer.keep_alive)

    async def _write_with_timeout(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write, and drop the client if that takes longer than `write_timeout`."""
        self._last_write = self._clock()
        with anyio.move_on_after(self._settings.write_timeout) as scope, suppress(OSError):
            await write()
        self._last_received += self._clock() - self._last_write  # the host could not be heard during the write
        if scope.cancelled_caught:
            await self._drop_client()
