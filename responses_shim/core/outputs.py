"""The kinds of output item while they grow: what opens each, what a delta does, how it closes.

Each keeps its pieces in lists and joins them once, when a part or the item closes; the value in the `done` event, in
the item and in the final snapshot is that one string. `number` gives the next sequence number; events are appended
to the list that is handed in, so that one host chunk makes one list.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from responses_shim.core.events import (
    ContentPartAdded,
    ContentPartDone,
    Event,
    FunctionCallArgumentsDelta,
    FunctionCallArgumentsDone,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    OutputTextDone,
    ReasoningTextDelta,
    ReasoningTextDone,
    RefusalDelta,
    RefusalDone,
)
from responses_shim.core.plain import PlainText
from responses_shim.core.sse import delta_prefix
from responses_shim.core.types import (
    FunctionCallItem,
    ItemStatus,
    Logprob,
    MessageItem,
    OutputItem,
    OutputText,
    ReasoningItem,
    ReasoningText,
    Refusal,
)

Number = Callable[[], int]
NO_LOGPROBS: list[Logprob] = []


class Output(ABC):
    """One output item from `added` to `done`. `index` is its place in `output`, given once."""

    def __init__(self, id: str, index: int, number: Number) -> None:
        self.id = id
        self.index = index
        self.number = number

    @abstractmethod
    def item(self, status: ItemStatus) -> OutputItem:
        """The item as it stands: empty when it opens, whole when it closes."""
        ...

    def open(self, events: list[Event]) -> None:
        events.append(OutputItemAdded(self.number(), self.index, self.item("in_progress")))

    def close(self, status: ItemStatus, events: list[Event]) -> OutputItem:
        """Close what is open inside, then the item; returns it as it will stand in the snapshot."""
        item = self.item(status)
        events.append(OutputItemDone(self.number(), self.index, item))
        return item


class MessageOutput(Output):
    """An assistant message: text and refusal parts, each closed by the other and by the end."""

    def __init__(self, id: str, index: int, number: Number) -> None:
        super().__init__(id, index, number)
        self.parts: list[OutputText | Refusal] = []
        self._pieces: list[str] = []
        self._logprobs: list[Logprob] = []
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

    def plain(self) -> PlainText | None:
        """The short way into the open text part; once a part, so that a host whose frames are not plain pays once."""
        if self._writing is not OutputText or self._plain_given:
            return None
        self._plain_given = True
        first = OutputTextDelta(0, self.id, self.index, "", self._place, NO_LOGPROBS)
        return PlainText(delta_prefix(first), self.number, self._pieces.append)

    def refusal(self, delta: str, events: list[Event]) -> None:
        if self._writing is not Refusal:
            self._turn(Refusal(""), events)
        self._pieces.append(delta)
        events.append(RefusalDelta(self.number(), self.id, self.index, delta, self._place))

    def close(self, status: ItemStatus, events: list[Event]) -> OutputItem:
        self._close_part(events)
        return super().close(status, events)

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
            part = OutputText(value, logprobs=self._logprobs)
            events.append(OutputTextDone(self.number(), self.id, self.index, place, value, self._logprobs))
        else:
            part = Refusal(value)
            events.append(RefusalDone(self.number(), self.id, self.index, place, value))
        events.append(ContentPartDone(self.number(), self.id, self.index, place, part))
        self.parts.append(part)
        self._writing = None
        self._pieces = []
        self._logprobs = []


class ReasoningOutput(Output):
    """A reasoning item: one part of raw reasoning text."""

    def __init__(self, id: str, index: int, number: Number) -> None:
        super().__init__(id, index, number)
        self._pieces: list[str] = []
        self._part: ReasoningText | None = None

    def item(self, status: ItemStatus) -> ReasoningItem:
        return ReasoningItem(id=self.id, status=status, content=[self._part] if self._part else [])

    def open(self, events: list[Event]) -> None:
        super().open(events)
        events.append(ContentPartAdded(self.number(), self.id, self.index, 0, ReasoningText("")))

    def text(self, delta: str, events: list[Event]) -> None:
        self._pieces.append(delta)
        events.append(ReasoningTextDelta(self.number(), self.id, self.index, delta, 0))

    def close(self, status: ItemStatus, events: list[Event]) -> OutputItem:
        value = "".join(self._pieces)
        self._part = ReasoningText(value)
        events.append(ReasoningTextDone(self.number(), self.id, self.index, 0, value))
        events.append(ContentPartDone(self.number(), self.id, self.index, 0, self._part))
        return super().close(status, events)


class FunctionCallOutput(Output):
    """A call of a function tool. The arguments are passed on as they come; nobody here parses them."""

    def __init__(self, id: str, index: int, number: Number, call_id: str, name: str) -> None:
        super().__init__(id, index, number)
        self.call_id = call_id
        self.name = name
        self._pieces: list[str] = []

    def item(self, status: ItemStatus) -> FunctionCallItem:
        return FunctionCallItem(
            id=self.id,
            call_id=self.call_id,
            name=self.name,
            arguments="".join(self._pieces),
            status=status,
        )

    def arguments(self, delta: str, events: list[Event]) -> None:
        self._pieces.append(delta)
        events.append(FunctionCallArgumentsDelta(self.number(), self.id, self.index, delta))

    def close(self, status: ItemStatus, events: list[Event]) -> OutputItem:
        value = "".join(self._pieces)
        events.append(FunctionCallArgumentsDone(self.number(), self.id, self.index, value, self.name))
        return super().close(status, events)
