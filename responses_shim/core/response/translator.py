"""The entry point of the translation: a host's bytes in, ready frames of our events out, round by round.

It connects the parts: the chunk decoder, the filters of the round, the state machine, the encoder; and the fast
path past all of them. `runtime.run` drives it with what a host sends, the tests with what they make up. For example

    feed(b'data: {"choices":[{"delta":{"role":"assistant"}}]}\\n\\n')   nothing
    feed(b'data: {"choices":[{"delta":{"content":"Hi"}}]}\\n\\n')     created, in_progress, …, output_text.delta
    feed(b'data: {"choices":[{"finish_reason":"stop"}]}\\n\\n')       nothing
    feed(b'data: [DONE]\\n\\n')                                       nothing; `state` is COMPLETE
    flush()                                                         what a filter held back
    end_round()                                                     output_text.done, …, output_item.done
    close()                                                         completed
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto

from responses_shim.core.response.answer_hold import AnswerHold
from responses_shim.core.response.encoder import (
    ENCODE_ERRORS,
    EventEncoder,
    Frame,
    Framing,
    can_be_encoded,
    encode_json,
)
from responses_shim.core.response.fast_path import FastPath, FastPaths, carried_field
from responses_shim.core.response.filters import Filter, FilterChain
from responses_shim.core.response.stream import ResponseStream, RoundResult
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.chat import Choice, Chunk, Delta, has_any_answer
from responses_shim.core.wire.chunks import END_OF_STREAM, ChunkReader, UnreadableChunk
from responses_shim.core.wire.events import Event
from responses_shim.core.wire.finish_reasons import end_of
from responses_shim.core.wire.responses import Response
from responses_shim.core.wire.sse import sse_framing
from responses_shim.errors import ShimError, UpstreamError


class RoundState(Enum):
    """How far the host's stream of the current round has come."""

    OPEN = auto()
    """More may come."""
    COMPLETE = auto()
    """It has ended, and there was a finish_reason."""
    CUT = auto()
    """It has ended without a finish_reason: the call itself may still say why."""
    FAILED = auto()
    """It carried an error or was invalid: whatever follows is ignored."""


def _no_filters() -> Iterable[Filter]:
    return ()


class Translator:
    """Makes the frames of one response from the bytes of one or several chat calls.

    - `stream`: the state machine, with the response to be made
    - `filters`: makes the filters of a round
    - `framing`: from an event type to the bytes around the event's JSON. None for a response that is not streamed:
      its only frame is the JSON of the response, from `close`
    - `hold_answers`: whether the text of an answer is held back until `send_answer` or `drop_answer`

    `fast_path`, while there is one, makes the frame of a body message that carries more of what is being written; what
    it refuses goes to `feed`. Every method that returns frames returns them in the order of their numbers.
    """

    def __init__(
        self,
        stream: ResponseStream,
        *,
        filters: Callable[[], Iterable[Filter]] = _no_filters,
        framing: Framing | None = sse_framing,
        hold_answers: bool = False,
    ) -> None:
        self.started = False
        """Whether `response.created` has been made."""
        self._stream = stream
        self._make_filters = filters
        self._encoder = EventEncoder(framing) if framing is not None else None
        self._hold_answers = hold_answers
        self._begin()

    def _begin(self, fallback: str | None = None) -> None:
        self.state = RoundState.OPEN
        """How far the stream of the current round has come."""
        self._fallback = fallback
        self._hold: AnswerHold | None = None
        if self._hold_answers:
            self._hold = AnswerHold(self._stream.mark_commentary, hides_errors=fallback is not None)
        self._filters = FilterChain([*self._make_filters(), *([self._hold] if self._hold is not None else ())])
        self._reader = ChunkReader()
        self._fast_paths: FastPaths | None = None
        if self._encoder is not None and self._stream.plain_deltas:
            self._fast_paths = FastPaths(self._stream, self._encoder)
        self.fast_path: FastPath | None = None

    # The state of the response -------------------------------------------------------------------------------------

    @property
    def response(self) -> Response:
        """The response object; complete once `close` has returned."""
        return self._stream.response

    @property
    def error(self) -> ShimError | None:
        """Why the response fails, as far as that is known."""
        return self._stream.error

    @property
    def finished(self) -> bool:
        """Whether the finish_reason of the round has come: at most usage follows."""
        return self._stream.finish_reason is not None

    @property
    def ignored_calls(self) -> int:
        """Calls beyond the one that `parallel_tool_calls: false` allows."""
        return self._stream.ignored_calls

    @property
    def ignored_annotations(self) -> int:
        """Annotations that are none of the API's: see `annotations_of`."""
        return self._stream.ignored_annotations

    # A round -------------------------------------------------------------------------------------------------------

    def start(self) -> list[Frame]:
        """`response.created` and `response.in_progress`; nothing if they have been made."""
        if self.started:
            return []
        self.started = True
        return self._encode(self._stream.start())

    def enqueue(self) -> list[Frame]:
        """`response.created` and `response.queued`: the response begins later, with `start`."""
        return self._encode(self._stream.enqueue())

    def feed(self, data: bytes) -> list[Frame]:
        """The frames for bytes of the host's event stream, cut anywhere. Offer them to `fast_path` before."""
        frames = self._feed_chunks(self._reader.read(data))
        if self._fast_paths is not None:
            at_frame_boundary = self.state is RoundState.OPEN and not self._reader.pending
            self.fast_path = self._fast_paths.current if at_frame_boundary else None
        return frames

    def end_stream(self) -> list[Frame]:
        """The frames for what is left when the host's bytes have ended: a last frame without its blank line."""
        return self._feed_chunks([*self._reader.close(), END_OF_STREAM])

    def feed_json(self, body: bytes) -> list[Frame]:
        """The frames for the JSON answer of a host that was asked to stream and did not."""
        return self._feed_chunks(self._reader.read_json(body))

    def flush(self) -> list[Frame]:
        """The frames for what the filters still hold back. The host's stream has ended, well or badly.

        If it has said nothing, the response starts here.
        """
        frames = self.start()
        return [
            *frames,
            *self._encode([event for chunk in self._filters.close() for event in self._stream.feed(chunk)]),
        ]

    @property
    def held_answer(self) -> str | None:
        """The text of the round's answer, if it was held back to be checked: `send_answer` or `drop_answer` is next.

        None if there is no answer: calls were made, the model refused, or the round was cut or has failed. It may be
        asked for once `flush` has been called.
        """
        finish_reason = self._stream.finish_reason
        if self._hold is None or self._hold.done or self.error is not None or finish_reason is None:
            return None
        return self._hold.text if end_of(finish_reason) == "completed" else None

    def send_answer(self, text: str) -> list[Frame]:
        """The frames of the answer that was held back, with this text."""
        assert self._hold is not None
        return self._encode(self._stream.feed(self._hold.send(text)))

    def drop_answer(self) -> list[Frame]:
        """The frames of what was held back besides the text, which is not sent: another round answers."""
        assert self._hold is not None
        self._stream.drop_answer()
        return self._encode(self._stream.feed(self._hold.drop()))

    def fail_round(self, error: ShimError) -> list[Frame]:
        """The round has failed, and with it the response, unless there is a fallback: the frames of that."""
        if self._fallback is None or self._hold is None or self._hold.done:
            frames = self.pass_on_text()
            self.fail(error)
            return frames
        answer = Choice(delta=Delta(content=self._fallback), finish_reason="stop")
        return [*self.drop_answer(), *self._encode(self._stream.feed(Chunk(choices=[answer])))]

    def pass_on_text(self) -> list[Frame]:
        """The frames of text that was held back although it is no answer, such as one that was cut."""
        if self._hold is None or self._hold.done:
            return []
        return self._encode(self._stream.feed(self._hold.pass_on()))

    def end_round(self) -> tuple[RoundResult, list[Frame]]:
        """How the round ended, and the frames that close its items. `begin_round` or `close` comes next."""
        result, events = self._stream.end_round()
        return result, self._encode(events)

    def begin_round(self, fallback: str | None = None) -> None:
        """Another chat call for the same response: with new filters, and nothing left of the bytes before.

        `fallback` is the answer if this round fails (see `fail_round`).
        """
        self._stream.begin_round()
        self._begin(fallback)

    def set_tools(self, tools: ToolMap) -> None:
        """Map the functions that the next rounds call back to these tools: there may be more than before."""
        self._stream.set_tools(tools)

    def settle(self) -> None:
        """Give the response object its final state: `response` is as the terminal event will have it.

        A response that cannot be encoded fails, and loses the items that are to blame: so it can be stored.
        """
        self._stream.settle()
        # Each item of a stream has been encoded already, or has failed the response.
        if (self._encoder is None or self.error is not None) and not can_be_encoded(self.response):
            self._stream.drop_unwritable(_unwritable())
            self._stream.settle()

    def close(self) -> list[Frame]:
        """The frames of the terminal event, after that of `error` if the response failed. Once, after `end_round`.

        For a response that is not streamed there is one frame, the JSON of the response itself. A response that cannot
        be encoded fails, and loses the items that are to blame.
        """
        try:
            return self._encode_end(self._stream.close())
        except ENCODE_ERRORS:
            self._stream.drop_unwritable(_unwritable())
        try:
            return self._encode_end(self._stream.close())
        except ENCODE_ERRORS:
            return []  # the request that it repeats is to blame: nothing of it has been written either

    def _encode_end(self, events: Sequence[Event]) -> list[Frame]:
        if self._encoder is not None:
            return self._encoder.encode(events)
        return [(events[-1].sequence_number, encode_json(self.response))]

    # At any time ---------------------------------------------------------------------------------------------------

    def fail(self, error: ShimError) -> None:
        """Remember why the response fails. The first reason stays, and what the host sends from now on is ignored."""
        self._stream.fail(error)
        if self._stream.error is not None:
            self.state = RoundState.FAILED

    def ping(self) -> list[Frame]:
        """A `response.ping`."""
        return self._encode([self._stream.ping()])

    def repeat_in_progress(self) -> list[Frame]:
        """`response.in_progress` again, with the items that are done."""
        return self._encode([self._stream.repeat_in_progress()])

    @property
    def lacks_prompt_tokens(self) -> bool:
        """Whether the prompt's token ids are wanted and the host's stream did not have them."""
        return self._stream.lacks_prompt_tokens

    def set_prompt_tokens(self, token_ids: list[int]) -> None:
        """The token ids of the prompt, from another source. The response fails if they contradict the usage."""
        self._stream.set_prompt_tokens(token_ids)

    # The slow path -------------------------------------------------------------------------------------------------

    def _feed_chunks(self, chunks: Sequence[Chunk]) -> list[Frame]:
        frames: list[Frame] = []
        for chunk in chunks:
            if self.state in (RoundState.COMPLETE, RoundState.FAILED):
                break  # whatever follows the end or an error is ignored
            if chunk is END_OF_STREAM:
                self.state = RoundState.COMPLETE if self.finished else RoundState.CUT
            elif not (self.finished and isinstance(chunk, UnreadableChunk)):  # the answer is there already
                if not self.started and has_any_answer(chunk):
                    frames += self.start()
                frames += self._feed_chunk(chunk)
        return frames

    def _feed_chunk(self, chunk: Chunk) -> list[Frame]:
        stream, filters = self._stream, self._filters
        fast_paths = self._fast_paths
        carried = carried_field(chunk) if fast_paths is not None else None  # before a filter changes the chunk
        stream.collect_tokens(chunk)
        events: list[Event] = []
        for filtered in filters.feed(chunk):
            events += stream.feed(filtered)
        frames = self._encode(events)
        if stream.error is not None:
            self.state = RoundState.FAILED
        if fast_paths is not None:
            fast_paths.choose(carried, filters, events)
        return frames

    def _encode(self, events: Sequence[Event]) -> list[Frame]:
        if self._encoder is None or not events:
            return []
        try:
            return self._encoder.encode(events)
        except ENCODE_ERRORS:
            # What the host sent is checked where it is read, so this should not happen. If it does, the response fails,
            # and the other events are kept, so that it has its end.
            self.fail(_unwritable())
            return self._encoder.encode(filter(can_be_encoded, events))


def _unwritable() -> UpstreamError:
    return UpstreamError("The host sent something that cannot be passed on.")
