"""A reasoning item while it grows."""

from __future__ import annotations

from collections.abc import Callable

from responses_shim.core.items.base import Number, Output
from responses_shim.core.wire.events import (
    ContentPartAdded,
    ContentPartDone,
    Event,
    ReasoningSummaryPartAdded,
    ReasoningSummaryPartDone,
    ReasoningSummaryTextDelta,
    ReasoningSummaryTextDone,
    ReasoningTextDelta,
    ReasoningTextDone,
)
from responses_shim.core.wire.responses import (
    ItemStatus,
    ReasoningItem,
    ReasoningText,
    SummaryText,
)

Seal = Callable[[str], str]


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
