"""The output of a response that is ended from outside of its run, made of the events that the run has logged.

Whoever cancels a response, or finds that its process is gone, ends it in the place of its run, and knows of it what is
in its log. A stream that breaks off there would leave an item without its end:

    logged      output_item.added, content_part.added, output_text.delta "Once upon", output_text.delta " a"
    added here  output_text.done "Once upon a", content_part.done, output_item.done (incomplete)

So every item has its end, and the response has the output that its followers have seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Union

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from responses_shim.core.items.base import Numbers
from responses_shim.core.response.encoder import encode_json
from responses_shim.core.wire.events import (
    ContentPartAdded,
    ContentPartDone,
    CustomToolCallInputDelta,
    CustomToolCallInputDone,
    DeltaEvent,
    Event,
    FunctionCallArgumentsDelta,
    FunctionCallArgumentsDone,
    OutputItemAdded,
    OutputItemDone,
    OutputTextAnnotationAdded,
    OutputTextDelta,
    OutputTextDone,
    ReasoningSummaryPartAdded,
    ReasoningSummaryPartDone,
    ReasoningSummaryTextDelta,
    ReasoningSummaryTextDone,
    ReasoningTextDelta,
    ReasoningTextDone,
    RefusalDelta,
    RefusalDone,
)
from responses_shim.core.wire.responses import (
    NO_LOGPROBS,
    ContentPart,
    CustomToolCallItem,
    FunctionCallItem,
    MessageItem,
    OutputItem,
    OutputText,
    ReasoningItem,
    ReasoningText,
    Refusal,
    SummaryText,
)


class _Type(Struct):
    """The type of an event."""

    type: str


class _Identified(Struct):
    """The id of an item."""

    id: str


class _ItemDone(Struct, tag_field="type", tag="response.output_item.done"):
    """`OutputItemDone`, whose item stays as it was written."""

    item: Raw


_LOGGED = (
    OutputItemAdded,
    ContentPartAdded,
    ContentPartDone,
    OutputTextDelta,
    OutputTextAnnotationAdded,
    RefusalDelta,
    ReasoningTextDelta,
    ReasoningSummaryPartAdded,
    ReasoningSummaryPartDone,
    ReasoningSummaryTextDelta,
    FunctionCallArgumentsDelta,
    CustomToolCallInputDelta,
    _ItemDone,
)
"""The events that say what the output is. Those of shell commands are not among them: they come with the item's end."""

_read_type = msgspec.json.Decoder(_Type).decode
_read_id = msgspec.json.Decoder(_Identified).decode
_read_event = msgspec.json.Decoder(Union[_LOGGED]).decode
_KNOWN = frozenset(str(kind.__struct_config__.tag) for kind in _LOGGED)

Part = Union[ContentPart, SummaryText]


@dataclass
class _Growing:
    """A text that grows: that of a part, or of a call."""

    part: Part | None = None
    pieces: list[str] = field(default_factory=list)
    logprobs: list[bytes] = field(default_factory=list)  # JSON arrays without their brackets

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def finished_part(self) -> Part:
        """The part with its text."""
        part = self.part
        if isinstance(part, OutputText):
            logprobs = Raw(b"[%b]" % b",".join(self.logprobs)) if self.logprobs else NO_LOGPROBS
            return replace(part, text=self.text, logprobs=logprobs)
        if isinstance(part, Refusal):
            return Refusal(self.text)
        return SummaryText(self.text) if isinstance(part, SummaryText) else ReasoningText(self.text)


class LoggedOutput:
    """The output of one response, read from its log: `feed` each event in order, then `close`."""

    def __init__(self) -> None:
        self.lost = False
        """Whether events are missing or cannot be read: then nothing is known of the output."""
        self._done: list[tuple[str, bytes]] = []
        self._item: OutputItem | None = None  # the one that is open, with the parts of it that are finished
        self._index = 0
        self._growing: dict[tuple[bool, int], _Growing] = {}  # by whether it is a summary's, and by the part's index

    def feed(self, data: bytes) -> None:
        """Take the next event of the log."""
        if self.lost:
            return
        try:
            self._take(data)
        except (msgspec.MsgspecError, LookupError, AssertionError):
            self.lost = True  # by another version of this package, say: that must not keep the response from its end

    def _take(self, data: bytes) -> None:
        if _read_type(data).type not in _KNOWN:
            return
        event = _read_event(data)
        if isinstance(event, OutputItemAdded):
            self._item, self._index, self._growing = event.item, event.output_index, {}
        elif isinstance(event, _ItemDone):
            self._done.append((_read_id(event.item).id, bytes(event.item)))
            self._item, self._growing = None, {}
        elif isinstance(event, (ContentPartAdded, ReasoningSummaryPartAdded)):
            self._growing[_key(event)] = _Growing(event.part)
        elif isinstance(event, (ContentPartDone, ReasoningSummaryPartDone)):
            self._growing.pop(_key(event), None)
            assert self._item is not None
            self._item = _with_part(self._item, event.part)
        elif isinstance(event, OutputTextAnnotationAdded):
            part = self._growing[_key(event)].part
            assert isinstance(part, OutputText)
            part.annotations.append(event.annotation)
        else:
            growing = self._growing.setdefault(_key(event), _Growing())
            growing.pieces.append(event.delta)
            if isinstance(event, OutputTextDelta) and event.logprobs != NO_LOGPROBS:
                growing.logprobs.append(bytes(event.logprobs)[1:-1])

    def close(self, numbers: Numbers) -> tuple[list[Event], list[tuple[str, bytes]]]:
        """The events that end what is open, and the id and the JSON of each item of the output; none if it is lost.

        It can be called again when more has been fed.
        """
        if self.lost:
            return [], []
        item = self._item
        if item is None:
            return [], list(self._done)
        events: list[Event] = []
        for growing in self._growing.values():
            if growing.part is not None:
                part = growing.finished_part()
                events += _end_of_part(part, item, self._index, numbers)
                item = _with_part(item, part)
        text = self._growing[_CALL].text if _CALL in self._growing else ""
        if isinstance(item, FunctionCallItem):
            item = replace(item, arguments=text)
            events.append(FunctionCallArgumentsDone(next(numbers), item.id, self._index, text, item.name))
        elif isinstance(item, CustomToolCallItem):
            item = replace(item, input=text)
            events.append(CustomToolCallInputDone(next(numbers), item.id, self._index, text))
        item = replace(item, status="incomplete")
        events.append(OutputItemDone(next(numbers), self._index, item))
        return events, [*self._done, (item.id, encode_json(item))]


_CALL = False, 0
"""The key of the one text of a call, which has no parts."""


def _key(event: Event | DeltaEvent) -> tuple[bool, int]:
    """The part that an event is about."""
    summary: int | None = getattr(event, "summary_index", None)
    return (True, summary) if summary is not None else (False, getattr(event, "content_index", 0))


def _with_part(item: OutputItem, part: Part) -> OutputItem:
    """The item with one part more."""
    if isinstance(item, MessageItem) and isinstance(part, (OutputText, Refusal)):
        return replace(item, content=[*item.content, part])
    if isinstance(item, ReasoningItem) and isinstance(part, ReasoningText):
        return replace(item, content=[*item.content, part])
    assert isinstance(item, ReasoningItem)
    assert isinstance(part, SummaryText)
    return replace(item, summary=[*item.summary, part])


def _end_of_part(part: Part, item: OutputItem, index: int, numbers: Numbers) -> list[Event]:
    """The events that end a part: that of its text, and its own. It is the next one of the item."""
    if isinstance(part, SummaryText):
        assert isinstance(item, ReasoningItem)
        position = len(item.summary)
        return [
            ReasoningSummaryTextDone(next(numbers), item.id, index, position, part.text),
            ReasoningSummaryPartDone(next(numbers), item.id, index, position, part),
        ]
    assert isinstance(item, (MessageItem, ReasoningItem))
    position = len(item.content)
    text: Event
    if isinstance(part, OutputText):
        text = OutputTextDone(next(numbers), item.id, index, position, part.text, part.logprobs)
    elif isinstance(part, Refusal):
        text = RefusalDone(next(numbers), item.id, index, position, part.refusal)
    else:
        text = ReasoningTextDone(next(numbers), item.id, index, position, part.text)
    return [text, ContentPartDone(next(numbers), item.id, index, position, part)]
