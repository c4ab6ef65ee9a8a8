"""Builds a reasoning item: one part, which is raw text or a summary."""

from __future__ import annotations

from collections.abc import Callable

from responses_shim.core.items.base import ItemBuilder, NextNumber
from responses_shim.core.wire.events import (
    ContentPartAdded,
    ContentPartDone,
    DeltaEvent,
    Event,
    ReasoningSummaryPartAdded,
    ReasoningSummaryPartDone,
    ReasoningSummaryTextDelta,
    ReasoningSummaryTextDone,
    ReasoningTextDelta,
    ReasoningTextDone,
)
from responses_shim.core.wire.responses import ItemStatus, ReasoningItem, ReasoningText, SummaryText

Seal = Callable[[str], str]
"""Makes the `encrypted_content` of a reasoning text, which only this server can read again."""


class ReasoningBuilder(ItemBuilder):
    """Builds a `reasoning` item with one `reasoning_text` part.

    With `seal` the item gets `encrypted_content` when it closes.
    """

    def __init__(self, id: str, index: int, next_number: NextNumber, seal: Seal | None = None) -> None:
        super().__init__(id, index, next_number)
        self._seal = seal
        self._value: str | None = None

    def item(self, status: ItemStatus) -> ReasoningItem:
        item = ReasoningItem(id=self.id, status=status)
        if self._value is not None:
            self._fill(item, self._value)
            if self._seal is not None:
                item.encrypted_content = self._seal(self._value)
        return item

    def open(self, events: list[Event]) -> None:
        super().open(events)
        self._begin_part(events)

    def add_text(self, delta: str, events: list[Event]) -> None:
        """Append a piece of the reasoning."""
        self.pieces.append(delta)
        event = self.next_delta()
        event.sequence_number, event.delta = self.next_number(), delta
        events.append(event)

    def finish(self, status: ItemStatus, events: list[Event]) -> None:
        self._value = "".join(self.pieces)
        self._end_part(self._value, events)

    def next_delta(self) -> DeltaEvent:
        return ReasoningTextDelta(0, self.id, self.index, "", 0)

    def _begin_part(self, events: list[Event]) -> None:
        events.append(ContentPartAdded(self.next_number(), self.id, self.index, 0, ReasoningText("")))

    def _end_part(self, value: str, events: list[Event]) -> None:
        events.append(ReasoningTextDone(self.next_number(), self.id, self.index, 0, value))
        events.append(ContentPartDone(self.next_number(), self.id, self.index, 0, ReasoningText(value)))

    def _fill(self, item: ReasoningItem, value: str) -> None:
        item.content = [ReasoningText(value)]


class SummaryBuilder(ReasoningBuilder):
    """Builds a `reasoning` item with one `summary_text` part, for a client that asked for a summary.

    Nothing is summarised: the summary is the reasoning itself, all of it.
    """

    def next_delta(self) -> DeltaEvent:
        return ReasoningSummaryTextDelta(0, self.id, self.index, "", 0)

    def _begin_part(self, events: list[Event]) -> None:
        events.append(ReasoningSummaryPartAdded(self.next_number(), self.id, self.index, 0, SummaryText("")))

    def _end_part(self, value: str, events: list[Event]) -> None:
        events.append(ReasoningSummaryTextDone(self.next_number(), self.id, self.index, 0, value))
        events.append(ReasoningSummaryPartDone(self.next_number(), self.id, self.index, 0, SummaryText(value)))

    def _fill(self, item: ReasoningItem, value: str) -> None:
        item.summary = [SummaryText(value)]
