"""The fast path of a token: from the host's frame to ours, without a chunk or an event between.

Almost every frame of an answer carries one thing: more of the text, the reasoning or the arguments that are being
written. A `FastPath` takes such a frame and makes the very bytes that decoder, filters, state machine and encoder would
have made of it. For example, while the text of item `msg_1` is open,

    data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":" fox"},"finish_reason":null}]}

becomes, by a template in which only number and text change,

    event: response.output_text.delta
    data: {"type":"response.output_text.delta","sequence_number":7,"item_id":"msg_1","output_index":0,"delta":" fox",…}

Whether a frame carries that one thing is left to the JSON decoder, which looks at every key anyway: the types below fit
such a frame and nothing else. Any other frame is refused, without a trace, and takes the slow path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct, field

from responses_shim.core.items.base import ItemBuilder
from responses_shim.core.items.message import MessageBuilder
from responses_shim.core.response.encoder import EventEncoder, Frame
from responses_shim.core.response.filters import FilterChain
from responses_shim.core.response.stream import ResponseStream
from responses_shim.core.tools.base import CallBuilder
from responses_shim.core.wire.chat import MIN_LOGPROB, Chunk
from responses_shim.core.wire.events import DeltaEvent, Event

JOIN_EVERY = 64
"""After so many events the pieces of text that were kept are joined."""
TRIES = 16
"""So many frames of a part may be refused before its fast path is given up, if they are half of all or more."""
LESSONS = 8
"""How often the bytes around the text of a frame are learned: they change with a `created` that is the time."""

_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_json = msgspec.json.Encoder().encode

_NOTHING = frozenset[str]()
_TAG = frozenset("<")
_IN_JSON = frozenset('"\\')

# Frames that carry one thing. `text` is that thing; every other key that could mean something is null or absent. -----

Text = Annotated[str, Meta(min_length=1)]
Logprob = Annotated[float, Meta(ge=MIN_LOGPROB, le=0)]
D = TypeVar("D")


class _Delta(Struct, gc=False, forbid_unknown_fields=True, kw_only=True):
    """What the deltas have in common: a role changes nothing, the rest must not be there."""

    role: Any = None
    name: None = None
    refusal: None = None
    tool_call_id: None = None
    function_call: None = None
    annotations: None = None


class _Content(_Delta, gc=False, forbid_unknown_fields=True, kw_only=True):
    text: Text = field(name="content")
    reasoning: None = None
    reasoning_content: None = None
    tool_calls: None = None


class _Reasoning(_Delta, gc=False, forbid_unknown_fields=True, kw_only=True):
    """Some hosts (mlx-vlm) give the same text in a second field."""

    text: Text = field(name="reasoning")
    reasoning_content: str | None = None
    content: None = None
    tool_calls: None = None


class _ReasoningContent(_Delta, gc=False, forbid_unknown_fields=True, kw_only=True):
    text: Text = field(name="reasoning_content")
    reasoning: None = None
    content: None = None
    tool_calls: None = None


class _Function(Struct, gc=False, forbid_unknown_fields=True):
    arguments: Text
    name: None = None


class _Call(Struct, gc=False):
    function: _Function
    index: int | None = None
    id: str | None = None


class _Arguments(_Delta, gc=False, forbid_unknown_fields=True, kw_only=True):
    tool_calls: tuple[_Call]
    content: None = None
    reasoning: None = None
    reasoning_content: None = None


class _Choice(Struct, Generic[D], gc=False):
    delta: D
    index: Literal[0] = 0
    message: None = None
    finish_reason: None = None


class _Chunk(Struct, Generic[D], gc=False):
    choices: tuple[_Choice[D]]
    usage: None = None
    error: None = None


_CONTENT = msgspec.json.Decoder(_Chunk[_Content])
_REASONING = msgspec.json.Decoder(_Chunk[_Reasoning])
_REASONING_CONTENT = msgspec.json.Decoder(_Chunk[_ReasoningContent])
_ARGUMENTS = msgspec.json.Decoder(_Chunk[_Arguments])


class _TopLogprob(Struct, gc=False, forbid_unknown_fields=True):
    token: str
    logprob: Logprob
    bytes: list[int]


class _TokenLogprob(Struct, gc=False, forbid_unknown_fields=True):
    """An entry that is in chat what it is in this API."""

    token: str
    logprob: Logprob
    bytes: list[int]
    top_logprobs: list[_TopLogprob]


class _Logprobs(Struct, gc=False):
    content: Raw


class _ChoiceWithLogprobs(Struct, gc=False):
    delta: _Content
    logprobs: _Logprobs
    index: Literal[0] = 0
    message: None = None
    finish_reason: None = None


class _ChunkWithLogprobs(Struct, gc=False):
    choices: tuple[_ChoiceWithLogprobs]
    usage: None = None
    error: None = None


_CONTENT_WITH_LOGPROBS = msgspec.json.Decoder(_ChunkWithLogprobs)
_decode_text = msgspec.json.Decoder(Text).decode
_decode_logprobs = msgspec.json.Decoder(tuple[_TokenLogprob]).decode

CarriedField = Literal["content", "reasoning", "reasoning_content", "arguments"]
_DECODERS: dict[CarriedField, msgspec.json.Decoder[Any]] = {
    "content": _CONTENT,
    "reasoning": _REASONING,
    "reasoning_content": _REASONING_CONTENT,
}


# The paths ----------------------------------------------------------------------------------------------------------

FastPath: TypeAlias = "Callable[[bytes], Frame | None]"
"""Our frame for one body message of the host; None, and nothing done, if the message carries anything else."""


def plain_path(
    builder: ItemBuilder, read: Callable[[bytes], str | None], template: bytes, stops: frozenset[str]
) -> FastPath:
    """The fast path of text, reasoning or arguments.

    `read` gives the text of a body message, or None; text with one of the characters of `stops` is refused.

    The frames of a host differ in their text alone, as a rule. So the bytes around the text of one frame are learned,
    and where another begins and ends with the same bytes, only the string between them is decoded.
    """
    number, keep, join = builder.number, builder.pieces.append, builder.join_pieces
    before, after, start, end, lessons = b"\n", b"", 0, 0, LESSONS  # no frame begins with a line end

    def path(data: bytes) -> Frame | None:
        nonlocal before, after, start, end, lessons
        text: str | None
        if data.startswith(before) and data.endswith(after):
            try:
                text = _decode_text(data[start:end])
            except _REFUSED:
                return None
        else:
            text = read(data)
            if text is not None and lessons:
                lessons -= 1
                before, after = _around(data, text, read)
                start, end = len(before), -len(after)
        if text is None or (stops and not stops.isdisjoint(text)):
            return None
        keep(text)
        count = number()
        if not count % JOIN_EVERY:
            join()
        return count, template % (count, _json(text))

    return path


def _around(data: bytes, text: str, read: Callable[[bytes], str | None]) -> tuple[bytes, bytes]:
    """The bytes of a frame before and after its text; what no frame begins with, if they cannot be told.

    Wherever the text stands in the frame: if another text in its place is read as the text of the frame, it is there.
    """
    before, found, after = data.partition(_json(text))
    if found and read(before + b'"\\u0001"' + after) == "\x01":
        return before, after
    return b"\n", b""


def content_reader(decoder: msgspec.json.Decoder[Any]) -> Callable[[bytes], str | None]:
    """Reads the text of frames of text or of reasoning."""
    decode = decoder.decode

    def read(data: bytes) -> str | None:
        if data[:7] != b"data: {" or data[-3:] != b"}\n\n":
            return None
        try:
            text: str = decode(data[6:-2]).choices[0].delta.text
        except _REFUSED:
            return None
        return text

    return read


def arguments_reader(index: int | None) -> Callable[[bytes], str | None]:
    """Reads the arguments of frames with the call's index, or with neither index nor id."""
    decode = _ARGUMENTS.decode

    def read(data: bytes) -> str | None:
        if data[:7] != b"data: {" or data[-3:] != b"}\n\n":
            return None
        try:
            (call,) = decode(data[6:-2]).choices[0].delta.tool_calls
        except _REFUSED:
            return None
        if call.index != index or (index is None and call.id is not None):
            return None
        return call.function.arguments

    return read


def logprobs_path(builder: MessageBuilder, template: bytes, stops: frozenset[str]) -> FastPath:
    """The fast path of text with log-probabilities: one entry, of that very text, goes on as the JSON that came.

    As `plain_path` it learns the bytes around both.
    """
    number, keep, join = builder.number, builder.pieces.append, builder.join_pieces
    keep_logprobs = builder.keep_logprobs
    template = template.replace(b'"logprobs":[]', b'"logprobs":%b')
    before, between, after, start, end, lessons = b"\n", b"", b"", 0, 0, LESSONS

    def path(data: bytes) -> Frame | None:
        nonlocal before, between, after, start, end, lessons
        try:
            if data.startswith(before) and data.endswith(after):
                middle = data.find(between, start)  # not inside the text: there a quote is escaped
                text = _decode_text(data[start:middle])
                logprobs = data[middle + len(between) : end]
            else:
                text, logprobs = _read_logprobs(data)
                if lessons:
                    lessons -= 1
                    before, between, after = _around_logprobs(data, text, logprobs)
                    start, end = len(before), -len(after)
            (entry,) = _decode_logprobs(logprobs)
        except _REFUSED:
            return None
        # A line end between the keys would end the `data` line of our frame.
        if entry.token != text or b"\n" in logprobs or b"\r" in logprobs or not stops.isdisjoint(text):
            return None
        keep(text)
        keep_logprobs(logprobs)
        count = number()
        if not count % JOIN_EVERY:
            join()
        return count, template % (count, _json(text), logprobs)

    return path


def _read_logprobs(data: bytes) -> tuple[str, bytes]:
    """The text of a frame, and the JSON array of its log-probabilities. Raises one of `_REFUSED`."""
    if data[:7] != b"data: {" or data[-3:] != b"}\n\n":
        raise msgspec.DecodeError
    choice = _CONTENT_WITH_LOGPROBS.decode(data[6:-2]).choices[0]
    return choice.delta.text, bytes(choice.logprobs.content)


def _around_logprobs(data: bytes, text: str, logprobs: bytes) -> tuple[bytes, bytes, bytes]:
    """The bytes of a frame before its text, between text and log-probabilities, and after them."""
    before, _, rest = data.partition(_json(text))
    between, _, after = rest.partition(logprobs)
    try:
        if between and _read_logprobs(before + b'"\\u0001"' + between + b"[1]" + after) == ("\x01", b"[1]"):
            return before, between, after
    except _REFUSED:
        pass
    return b"\n", b"", b""


# The choice of a path -----------------------------------------------------------------------------------------------


def carried_field(chunk: Chunk) -> CarriedField | None:
    """What a chunk carries more of, if it is one thing only."""
    choices = chunk.choices
    delta = choices[0].delta if choices and len(choices) == 1 else None
    if delta is None or delta.refusal or delta.annotations:
        return None
    reasoning = delta.reasoning or delta.reasoning_content
    if (bool(delta.content) + bool(reasoning) + bool(delta.tool_calls)) != 1:
        return None
    if delta.content:
        return "content"
    if delta.tool_calls:
        return "arguments"
    return "reasoning" if delta.reasoning else "reasoning_content"


class FastPaths:
    """The fast path of the part that is being written: chosen once a part, and given up where it does not pay."""

    def __init__(self, stream: ResponseStream, encoder: EventEncoder) -> None:
        self.current: FastPath | None = None
        """None if nothing that has one is open. After a chunk took the slow path, `choose` chooses it anew."""
        self._stream = stream
        self._encoder = encoder
        self._chosen_for: _Part | None = None
        self._refused = 0
        self._first_number = 0

    def choose(self, carried: CarriedField | None, filters: FilterChain, events: Sequence[Event]) -> None:
        """Choose the path for more of what a chunk has carried, `events` being what it became.

        The path of a part that is still open stays, so that an empty delta between costs nothing more.
        """
        if carried is None and not events and self._chosen_for is not None:
            if filters.empty:
                return
            carried = self._chosen_for.carried
        part = self._part(carried, filters) if carried is not None else None
        if part is None:
            self.current = self._chosen_for = None
        elif part != self._chosen_for:
            self._chosen_for, self._refused = part, 0
            self._first_number = events[-1].sequence_number if events else 0
            self.current = self._path(part)
        elif events:
            self._refused += 1
            if self._refused > TRIES and 2 * self._refused > events[-1].sequence_number - self._first_number:
                self.current = None

    def _part(self, carried: CarriedField, filters: FilterChain) -> _Part | None:
        """The part that more of `carried` would go to, if it would go there as it is."""
        if not self._stream.plain_deltas:
            return None
        field = filters.passes_as("reasoning" if carried == "reasoning_content" else carried)
        builder = self._stream.builder(field) if field is not None else None
        delta = builder.next_delta() if builder is not None else None
        if builder is None or delta is None:
            return None
        index = self._stream.calls.latest_index if field == "arguments" else None
        return _Part(carried, builder, delta, index, not filters.empty)

    def _path(self, part: _Part) -> FastPath:
        builder = part.builder
        template = self._encoder.template(part.delta)
        if isinstance(builder, CallBuilder):
            stops = _IN_JSON if builder.unwraps else _NOTHING
            return plain_path(builder, arguments_reader(part.call_index), template, stops)
        stops = _TAG if part.filtered else _NOTHING
        if isinstance(builder, MessageBuilder) and self._stream.options.logprobs:
            return logprobs_path(builder, template, stops)
        return plain_path(builder, content_reader(_DECODERS[part.carried]), template, stops)


class _Part:
    """What a path is good for: one open part, written to by frames of one kind.

    `delta` is the event that such a frame makes; `filtered` that a filter has to see text with a `<`.
    """

    def __init__(
        self, carried: CarriedField, builder: ItemBuilder, delta: DeltaEvent, call_index: int | None, filtered: bool
    ) -> None:
        self.carried = carried
        self.builder = builder
        self.delta = delta
        self.call_index = call_index
        self.filtered = filtered

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Part)
            and (self.builder is other.builder and self.delta == other.delta)
            and (self.carried, self.call_index, self.filtered) == (other.carried, other.call_index, other.filtered)
        )
