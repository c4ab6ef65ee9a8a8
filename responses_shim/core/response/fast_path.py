"""The fast path of a token: from the host's frame to ours, without a chunk or an event between.

Almost every frame of an answer carries one thing: more of the text, the reasoning or the arguments that are being
written. A `FastPath` takes such a frame and makes the very bytes that decoder, filters, state machine and encoder would
have made of it. For example, while the text of item `msg_1` is open,

    data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":" fox"},"finish_reason":null}]}

becomes, by a template in which only number and text change,

    event: response.output_text.delta
    data: {"type":"response.output_text.delta","sequence_number":7,"item_id":"msg_1","output_index":0,"delta":" fox",…}

Which frames carry one thing only, `plain_frames` says. Any other is refused, without a trace, and takes the slow path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from responses_shim.core.items.base import ItemBuilder
from responses_shim.core.items.message import MessageBuilder
from responses_shim.core.response.encoder import EventEncoder, Frame
from responses_shim.core.response.filters import FilterChain
from responses_shim.core.response.plain_frames import (
    REFUSED,
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

JOIN_EVERY = 64
"""After so many events the pieces of text that were kept are joined."""
TRIES = 16
"""So many frames of a part may be refused before its fast path is given up, if they are half of all or more."""
LESSONS = 8
"""How often the bytes around the text of a frame are learned: they change with a `created` that is the time."""

_json = msgspec.json.Encoder().encode

_NOTHING = frozenset[str]()
_TAG = frozenset("<")
_IN_JSON = frozenset('"\\')

# The paths ----------------------------------------------------------------------------------------------------------

FastPath: TypeAlias = "Callable[[bytes], Frame | None]"
"""Our frame for one body message of the host; None, and nothing done, if the message carries anything else."""


def plain_path(builder: ItemBuilder, read: Reader, template: bytes, stops: frozenset[str]) -> FastPath:
    """The fast path of text, reasoning or arguments.

    `read` gives the text of a body message, or None; text with one of the characters of `stops` is refused.

    The frames of a host differ in their text alone, as a rule. So the bytes around the text of one frame are learned,
    and where another begins and ends with the same bytes, only the string between them is decoded.
    """
    number, keep, join = builder.next_number, builder.pieces.append, builder.join_pieces
    before, after, start, end, lessons = b"\n", b"", 0, 0, LESSONS  # no frame begins with a line end

    def path(data: bytes) -> Frame | None:
        nonlocal before, after, start, end, lessons
        text: str | None
        if data.startswith(before) and data.endswith(after):
            try:
                text = decode_text(data[start:end])
            except REFUSED:
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


def _around(data: bytes, text: str, read: Reader) -> tuple[bytes, bytes]:
    """The bytes of a frame before and after its text; what no frame begins with, if they cannot be told.

    Wherever the text stands in the frame: if another text in its place is read as the text of the frame, it is there.
    """
    before, found, after = data.partition(_json(text))
    if found and read(before + b'"\\u0001"' + after) == "\x01":
        return before, after
    return b"\n", b""


def logprobs_path(builder: MessageBuilder, template: bytes, stops: frozenset[str]) -> FastPath:
    """The fast path of text with log-probabilities: one entry, of that very text, goes on as the JSON that came.

    As `plain_path` it learns the bytes around both.
    """
    number, keep, join = builder.next_number, builder.pieces.append, builder.join_pieces
    keep_logprobs = builder.keep_logprobs
    template = template.replace(b'"logprobs":[]', b'"logprobs":%b')
    before, between, after, start, end, lessons = b"\n", b"", b"", 0, 0, LESSONS

    def path(data: bytes) -> Frame | None:
        nonlocal before, between, after, start, end, lessons
        try:
            if data.startswith(before) and data.endswith(after):
                middle = data.find(between, start)  # not inside the text: there a quote is escaped
                text = decode_text(data[start:middle])
                logprobs = data[middle + len(between) : end]
            else:
                text, logprobs = read_logprobs(data)
                if lessons:
                    lessons -= 1
                    before, between, after = _around_logprobs(data, text, logprobs)
                    start, end = len(before), -len(after)
            (entry,) = decode_logprobs(logprobs)
        except REFUSED:
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


def _around_logprobs(data: bytes, text: str, logprobs: bytes) -> tuple[bytes, bytes, bytes]:
    """The bytes of a frame before its text, between text and log-probabilities, and after them."""
    before, _, rest = data.partition(_json(text))
    between, _, after = rest.partition(logprobs)
    try:
        if between and read_logprobs(before + b'"\\u0001"' + between + b"[1]" + after) == ("\x01", b"[1]"):
            return before, between, after
    except REFUSED:
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
        return plain_path(builder, content_reader(part.carried), template, stops)


class _Part(NamedTuple):
    """What a path is good for: one open part, written to by frames of one kind.

    `delta` is the event that such a frame makes; `filtered` says that a filter has to see text with a `<`.
    """

    carried: CarriedField
    builder: ItemBuilder
    delta: DeltaEvent
    call_index: int | None
    filtered: bool
