"""The fast path of a token: from the host's frame to ours, without a chunk or an event between.

Almost every frame of an answer carries one thing: more of the text, the reasoning or the arguments that are being
written. A `FastPath` takes such a frame and makes the very bytes that decoder, filters, state machine and encoder would
have made of it. For example, while the text of item `msg_1` is open,

    data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":" fox"},"finish_reason":null}]}

becomes, by a template in which only number and text change,

    event: response.output_text.delta
    data: {"type":"response.output_text.delta","sequence_number":7,"item_id":"msg_1","output_index":0,"delta":" fox",…}

Which frames carry one thing only, `plain_frames` says. Any other frame is refused, without side effects, and takes
the slow path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from responses_shim.core.items.base import ItemBuilder
from responses_shim.core.items.message import MessageBuilder
from responses_shim.core.response.encoder import EventEncoder, Frame, Template, encode_json
from responses_shim.core.response.filters import MARKUP_CHARACTERS, FilterChain
from responses_shim.core.response.plain_frames import (
    CarriedField,
    Reader,
    arguments_reader,
    content_reader,
    decode_logprobs,
    decode_text,
    read_logprobs,
)
from responses_shim.core.response.stream import ResponseStream
from responses_shim.core.tools.base import CallBuilder
from responses_shim.core.wire.chat import Chunk
from responses_shim.core.wire.events import DeltaEvent, Event
from responses_shim.core.wire.lenient_json import JSON_ERRORS

MAX_REFUSED = 16
"""The fast path of a part is given up when it has refused more frames than this, and more than half of the events."""
MAX_LEARNED = 8
"""How often one path learns the bytes around the text.

They change, for example, with `created`, which some hosts set to the time of each chunk.
"""

FOLLOW_EVERY = 16
"""How often the end of arguments is looked for: whenever the sequence number is a multiple of this."""

_NO_CHARACTERS = frozenset[str]()
_ESCAPED_CHARACTERS = frozenset('"\\')
_ANY_START: tuple[str, ...] = ()
_JSON_STARTS = ("{", "[")  # it may be the arguments once more, which are then complete

# The paths ----------------------------------------------------------------------------------------------------------

FastPath: TypeAlias = "Callable[[bytes], Frame | None]"
"""Our frame for one body message of the host; None, and nothing done, if the message carries anything else."""


class PlainPath:
    """The fast path of text, reasoning or arguments: `frame` is the `FastPath`.

    `read` gives the text of a body message, or None. Text with one of `refused_characters` is refused, and text that
    begins with one of `refused_starts`.

    The frames of a host differ in their text alone, as a rule. So the bytes around the text of one frame are learned,
    and where another begins and ends with the same bytes, only the string between them is read. If all its characters
    are printable and JSON escapes none of them, it is the same in JSON as it is without.

    Between two tokens a busy server goes through more memory than the processor's caches hold, and what counts then is
    how little code and data a token needs. So neither the decoder nor the encoder of JSON is called for such text; and
    the methods that are called are those that Python calls fast: two that take one argument, in place of `startswith`,
    `endswith` and a slice, which also leaves no doubt about a frame whose two ends overlap.
    """

    __slots__ = (
        *("_after", "_around", "_before", "_learns_left", "_numbers", "_read"),
        *("_refused_characters", "_refused_starts", "_refuses_some", "_template", "_text"),
    )

    def __init__(
        self,
        builder: ItemBuilder,
        read: Reader,
        template: Template,
        refused_characters: frozenset[str] = _NO_CHARACTERS,
        refused_starts: tuple[str, ...] = _ANY_START,
    ) -> None:
        self._template = template
        self._numbers, self._text = builder.numbers, builder.text
        self._read = read
        self._refused_characters = refused_characters
        self._refused_starts = refused_starts
        self._refuses_some = bool(refused_characters or refused_starts)
        self._learns_left = MAX_LEARNED
        self._learn(*_NOTHING_LEARNED)

    def frame(self, data: bytes) -> Frame | None:
        """Our frame for one body message of the host; None, and nothing done, if the message carries anything else."""
        json = data.removeprefix(self._before).removesuffix(self._after)
        if len(data) - len(json) != self._around:
            return self._frame_of(self._read_and_learn(data))
        try:
            text = json.decode()
            if not text or not text.isprintable() or '"' in text or "\\" in text:
                return self._frame_of(decode_text(f'"{text}"'))
        except JSON_ERRORS:
            return None
        if self._refuses_some and self._is_refused(text):
            return None
        self._text.extend(json)
        number = next(self._numbers)
        return number, self._template % (number, json)

    def _frame_of(self, text: str | None) -> Frame | None:
        if text is None or self._is_refused(text):
            return None
        self._text.extend(text.encode())
        number = next(self._numbers)
        return number, self._template % (number, encode_json(text)[1:-1])

    def _is_refused(self, text: str) -> bool:
        return not self._refused_characters.isdisjoint(text) or text.startswith(self._refused_starts)

    def _read_and_learn(self, data: bytes) -> str | None:
        text = self._read(data)
        if text is not None and self._learns_left:
            self._learns_left -= 1
            self._learn(*_surrounding_bytes(data, text, self._read))
        return text

    def _learn(self, before: bytes, after: bytes) -> None:
        self._before, self._after = before, after
        self._around = len(before) + len(after) or -1  # no frame is longer than itself


class ArgumentsPath(PlainPath):
    """The fast path of arguments. Their end is looked for in small steps, for they may be of megabytes."""

    __slots__ = ("_follow",)

    def __init__(
        self, builder: CallBuilder, read: Reader, template: Template, *, refused_starts: tuple[str, ...]
    ) -> None:
        super().__init__(builder, read, template, refused_starts=refused_starts)
        self._follow = builder.follow

    def frame(self, data: bytes) -> Frame | None:
        frame = super().frame(data)
        if frame is not None and not frame[0] % FOLLOW_EVERY:
            self._follow()
        return frame


_NOTHING_LEARNED = b"", b""


def _surrounding_bytes(data: bytes, text: str, read: Reader) -> tuple[bytes, bytes]:
    """The bytes of a frame before and after its text, with the quotes; if they cannot be found, `_NOTHING_LEARNED`.

    To check that the right string was found, another text is put there: the reader must then read that.
    """
    before, found, after = data.partition(encode_json(text))
    if found and read(before + b'"\\u0001"' + after) == "\x01":
        return before + b'"', b'"' + after
    return _NOTHING_LEARNED


def logprobs_path(builder: MessageBuilder, template: Template, refused_characters: frozenset[str]) -> FastPath:
    """The fast path of text with log-probabilities: one entry, of that very text, goes on as the JSON that came.

    As `PlainPath` it learns the bytes around both.
    """
    numbers, keep = builder.numbers, builder.text.extend
    keep_logprobs = builder.keep_logprobs
    template = b"%b".join(template.rsplit(b"[]", 1))
    before, between, after, start, end, learns_left = b"\n", b"", b"", 0, 0, MAX_LEARNED

    def path(data: bytes) -> Frame | None:
        nonlocal before, between, after, start, end, learns_left
        try:
            if data.startswith(before) and data.endswith(after):
                text_end = data.find(between, start)  # not inside the text: there a quote is escaped
                text = decode_text(data[start:text_end])
                logprobs = data[text_end + len(between) : end]
            else:
                text, logprobs = read_logprobs(data)
                if learns_left:
                    learns_left -= 1
                    before, between, after = _surrounding_bytes_with_logprobs(data, text, logprobs)
                    start, end = len(before), -len(after)
            (entry,) = decode_logprobs(logprobs)
        except JSON_ERRORS:
            return None
        # A line end between the keys would end the `data` line of our frame.
        if entry.token != text or b"\n" in logprobs or b"\r" in logprobs or not refused_characters.isdisjoint(text):
            return None
        keep(text.encode())
        keep_logprobs(logprobs)
        number = next(numbers)
        return number, template % (number, encode_json(text)[1:-1], logprobs)

    return path


def _surrounding_bytes_with_logprobs(data: bytes, text: str, logprobs: bytes) -> tuple[bytes, bytes, bytes]:
    """The bytes of a frame before its text, between text and log-probabilities, and after them."""
    before, _, rest = data.partition(encode_json(text))
    between, _, after = rest.partition(logprobs)
    try:
        if between and read_logprobs(before + b'"\\u0001"' + between + b"[1]" + after) == ("\x01", b"[1]"):
            return before, between, after
    except JSON_ERRORS:
        pass
    return b"\n", b"", b""


# The choice of a path -----------------------------------------------------------------------------------------------


def carried_field(chunk: Chunk) -> CarriedField | None:
    """The one field that a chunk extends; None if it extends none or several."""
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
        """The path of the open part; None if it has none. `choose` updates it after every chunk on the slow path."""
        self._path: FastPath | None = None  # of `_chosen_for`; None if it was given up
        self._stream = stream
        self._encoder = encoder
        self._chosen_for: _Part | None = None
        self._refused = 0
        self._first_number = 0

    def choose(self, carried: CarriedField | None, filters: FilterChain, events: Sequence[Event]) -> None:
        """Choose the path for more of what a chunk has carried, `events` being what it became.

        The path of a part that is still open stays, so that an empty delta between costs nothing more, nor text that a
        filter holds back for a moment.
        """
        if carried is None and not events and self._chosen_for is not None:
            # An empty delta, such as a chunk with a role.
            if filters.done:
                return
            carried = self._chosen_for.carried
        part = self._part(carried, filters) if carried is not None else None
        if part is None:
            self.current = None
            return
        if part != self._chosen_for:
            self._chosen_for, self._refused = part, 0
            self._first_number = events[-1].sequence_number if events else 0
            self._path = self._make(part)
        elif events:
            self._refused += 1
            if self._refused > MAX_REFUSED and 2 * self._refused > events[-1].sequence_number - self._first_number:
                self._path = None
        self.current = self._path

    def _part(self, carried: CarriedField, filters: FilterChain) -> _Part | None:
        """The part that more of `carried` would go to, if it would go there as it is."""
        if not self._stream.plain_deltas:
            return None
        field = filters.passes_as("reasoning" if carried == "reasoning_content" else carried)
        builder = self._stream.builder(field) if field is not None else None
        delta = builder.next_delta() if builder is not None else None
        if builder is None or delta is None:
            return None
        index = self._stream.latest_call_index if field == "arguments" else None
        return _Part(carried, builder, delta, index, not filters.done)

    def _make(self, part: _Part) -> FastPath:
        builder = part.builder
        template = self._encoder.template(part.delta)
        if isinstance(builder, CallBuilder):
            read = arguments_reader(part.call_index)
            if builder.unwraps:
                return PlainPath(builder, read, template, _ESCAPED_CHARACTERS).frame
            return ArgumentsPath(builder, read, template, refused_starts=_JSON_STARTS).frame
        refused_characters = MARKUP_CHARACTERS if part.filtered else _NO_CHARACTERS
        if isinstance(builder, MessageBuilder) and self._stream.options.logprobs:
            return logprobs_path(builder, template, refused_characters)
        return PlainPath(builder, content_reader(part.carried), template, refused_characters).frame


class _Part(NamedTuple):
    """What a path is good for: one open part, written to by frames of one kind.

    `delta` is the event that such a frame makes; `filtered` says that a filter has to see text with one of
    `MARKUP_CHARACTERS`.
    """

    carried: CarriedField
    builder: ItemBuilder
    delta: DeltaEvent
    call_index: int | None
    filtered: bool
