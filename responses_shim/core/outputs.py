"""Messages and reasoning while they grow: what opens each, what a delta does, how it closes. (Calls: `calls`.)

Each keeps its pieces in a list and joins them when a part or the item closes; the value in the `done` event, in
the item and in the final snapshot is that one string. `number` gives the next sequence number; events are appended
to the list that is handed in, so that one host chunk makes one list.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from responses_shim.core.events import (
    ContentPartAdded,
    ContentPartDone,
    Event,
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
from responses_shim.core.plain import PlainText
from responses_shim.core.sse import delta_prefix
from responses_shim.core.token_ids import Tokens
from responses_shim.core.types import (
    ItemStatus,
    Logprob,
    MessageItem,
    OutputItem,
    OutputText,
    ReasoningItem,
    ReasoningText,
    Refusal,
    SummaryText,
)

Number = Callable[[], int]
Seal = Callable[[str], str]
NO_LOGPROBS: list[Logprob] = []


class Output(ABC):
    """One output item from `added` to `done`. `index` is its place in `output`, given once."""

    def __init__(self, id: str, index: int, number: Number) -> None:
        self.id = id
        self.index = index
        self.number = number
        self._pieces: list[str] = []
        self._packed = 0  # of the pieces

    def pack(self) -> None:
        """Join the pieces that are not packed yet. Without that they would take ten times the room of their text."""
        self._pieces[self._packed :] = ["".join(self._pieces[self._packed :])]
        self._packed += 1

    @abstractmethod
    def item(self, status: ItemStatus) -> OutputItem:
        """The item as it stands: empty when it opens, whole when it closes."""
        ...

    def open(self, events: list[Event]) -> None:
        events.append(OutputItemAdded(self.number(), self.index, self.item("in_progress")))

    def close(self, status: ItemStatus, events: list[Event], tokens: Tokens | None = None) -> OutputItem:
        """Close what is open inside, then the item; returns it as it will stand in the snapshot."""
        self.finish(status, events)
        item = self.item(status)
        if tokens is not None:
            for name in tokens.__struct_fields__:
                setattr(item, name, getattr(tokens, name))
        events.append(OutputItemDone(self.number(), self.index, item))
        return item

    @abstractmethod
    def finish(self, status: ItemStatus, events: list[Event]) -> None:
        """The events that close what is open inside."""
        ...


class MessageOutput(Output):
    """An assistant message: text and refusal parts, each closed by the other and by the end."""

    def __init__(self, id: str, index: int, number: Number) -> None:
        super().__init__(id, index, number)
        self.parts: list[OutputText | Refusal] = []
        self._logprobs: list[Logprob] = []
        self._annotations: list[dict[str, Any]] = []
        self._writing: type[OutputText] | type[Refusal] | None = None
        self._plain_given = False
        self._place = 0  # of the part being written, among the parts

    def item(self, status: ItemStatus) -> MessageItem:
        return MessageItem(id=self.id, status=status, content=list(self.parts))

    def text(self, delta: str, logprobs: list[Logprob], events: list[Event]) -> None:
        if self._writing is not OutputText:
            self._turn(OutputText(""), events)
        self._pieces.append(delta)
        if logprobs:
            self._logprobs += logprobs
        events.append(OutputTextDelta(self.number(), self.id, self.index, delta, self._place, logprobs))

    def say_nothing(self, events: list[Event]) -> None:
        """A text part, and nothing in it."""
        self._turn(OutputText(""), events)

    def plain(self) -> PlainText | None:
        """The short way into the open text part; once a part, so that a host whose frames are not plain pays once."""
        if self._writing is not OutputText or self._plain_given:
            return None
        self._plain_given = True
        first = OutputTextDelta(0, self.id, self.index, "", self._place, NO_LOGPROBS)
        return PlainText(delta_prefix(first), self.number, self._pieces.append, self.pack)

    def annotate(self, annotation: dict[str, Any], events: list[Event]) -> None:
        """A citation of the text that is open, as the host gave it."""
        if self._writing is not OutputText:
            self._turn(OutputText(""), events)
        place = len(self._annotations)
        self._annotations.append(annotation)
        events.append(OutputTextAnnotationAdded(self.number(), self.id, self.index, self._place, place, annotation))

    def refusal(self, delta: str, events: list[Event]) -> None:
        if self._writing is not Refusal:
            self._turn(Refusal(""), events)
        self._pieces.append(delta)
        events.append(RefusalDelta(self.number(), self.id, self.index, delta, self._place))

    def finish(self, status: ItemStatus, events: list[Event]) -> None:
        self._close_part(events)

    def _turn(self, part: OutputText | Refusal, events: list[Event]) -> None:
        self._close_part(events)
        self._writing = type(part)
        self._place = len(self.parts)
        self._plain_given = False
        events.append(ContentPartAdded(self.number(), self.id, self.index, self._place, part))

    def _close_part(self, events: list[Event]) -> None:
        if self._writing is None:
            return
        place = self._place
        value = "".join(self._pieces)
        part: OutputText | Refusal
        if self._writing is OutputText:
            part = OutputText(value, self._annotations, self._logprobs)
            events.append(OutputTextDone(self.number(), self.id, self.index, place, value, self._logprobs))
        else:
            part = Refusal(value)
            events.append(RefusalDone(self.number(), self.id, self.index, place, value))
        events.append(ContentPartDone(self.number(), self.id, self.index, place, part))
        self.parts.append(part)
        self._writing = None
        self._pieces = []
        self._packed = 0
        self._logprobs = []
        self._annotations = []


class ReasoningOutput(Output):
    """A reasoning item: one part of raw reasoning text.

    `seal`, where there is one, makes `encrypted_content` of the text when the item closes.
    """

    def __init__(self, id: str, index: int, number: Number, seal: Seal | None = None) -> None:
        super().__init__(id, index, number)
        self._seal = seal
        self._value: str | None = None

    def item(self, status: ItemStatus) -> ReasoningItem:
        item = ReasoningItem(id=self.id, status=status)
        if self._value is not None:
            self.show(self._value, item)
            if self._seal is not None:
                item.encrypted_content = self._seal(self._value)
        return item

    def open(self, events: list[Event]) -> None:
        super().open(events)
        events.append(ContentPartAdded(self.number(), self.id, self.index, 0, ReasoningText("")))

    def text(self, delta: str, events: list[Event]) -> None:
        self._pieces.append(delta)
        events.append(ReasoningTextDelta(self.number(), self.id, self.index, delta, 0))

    def finish(self, status: ItemStatus, events: list[Event]) -> None:
        self._value = "".join(self._pieces)
        self.finish_part(self._value, events)

    def finish_part(self, value: str, events: list[Event]) -> None:
        events.append(ReasoningTextDone(self.number(), self.id, self.index, 0, value))
        events.append(ContentPartDone(self.number(), self.id, self.index, 0, ReasoningText(value)))

    def show(self, value: str, item: ReasoningItem) -> None:
        item.content = [ReasoningText(value)]


class SummaryOutput(ReasoningOutput):
    """A reasoning item for a client that asked for a summary. Nobody here summarises: it is the whole text."""

    def open(self, events: list[Event]) -> None:
        Output.open(self, events)
        events.append(ReasoningSummaryPartAdded(self.number(), self.id, self.index, 0, SummaryText("")))

    def text(self, delta: str, events: list[Event]) -> None:
        self._pieces.append(delta)
        events.append(ReasoningSummaryTextDelta(self.number(), self.id, self.index, delta, 0))

    def finish_part(self, value: str, events: list[Event]) -> None:
        events.append(ReasoningSummaryTextDone(self.number(), self.id, self.index, 0, value))
        events.append(ReasoningSummaryPartDone(self.number(), self.id, self.index, 0, SummaryText(value)))

    def show(self, value: str, item: ReasoningItem) -> None:
        item.summary = [SummaryText(value)]
