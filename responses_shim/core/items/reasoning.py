"""Builds a reasoning item: with its raw text, with a summary, or with both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from responses_shim.core.items.base import ItemBuilder, Numbers
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


ReasoningDisplay = Literal["text", "summary", "both"]
"""Where a client finds the reasoning: in a `reasoning_text` part, in a `summary_text` part, or in one of each."""


class ReasoningBuilder(ItemBuilder):
    """Builds a `reasoning` item with one `reasoning_text` part.

    With `seal` the item gets `encrypted_content` when it closes.
    """

    def __init__(self, id: str, index: int, numbers: Numbers, seal: Seal | None = None) -> None:
        super().__init__(id, index, numbers)
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
        self.add(delta)
        for event in self._new_deltas():
            event.sequence_number, event.delta = next(self.numbers), delta
            events.append(event)

    def finish(self, status: ItemStatus, events: list[Event]) -> None:
        self._value = self.value
        self._end_part(self._value, events)

    def next_delta(self) -> DeltaEvent | None:
        deltas = self._new_deltas()
        return deltas[0] if len(deltas) == 1 else None

    def _new_deltas(self) -> list[DeltaEvent]:
        """The events that one more piece of text makes, with number 0 and an empty delta."""
        return [ReasoningTextDelta(0, self.id, self.index, "", 0)]

    def _begin_part(self, events: list[Event]) -> None:
        events.append(ContentPartAdded(next(self.numbers), self.id, self.index, 0, ReasoningText("")))

    def _end_part(self, value: str, events: list[Event]) -> None:
        events.append(ReasoningTextDone(next(self.numbers), self.id, self.index, 0, value))
        events.append(ContentPartDone(next(self.numbers), self.id, self.index, 0, ReasoningText(value)))

    def _fill(self, item: ReasoningItem, value: str) -> None:
        item.content = [ReasoningText(value)]


class SummaryBuilder(ReasoningBuilder):
    """Builds a `reasoning` item with one `summary_text` part, for a client that shows summaries only.

    Nothing is summarised: the summary is the reasoning itself, all of it.
    """

    def _new_deltas(self) -> list[DeltaEvent]:
        return [ReasoningSummaryTextDelta(0, self.id, self.index, "", 0)]

    def _begin_part(self, events: list[Event]) -> None:
        events.append(ReasoningSummaryPartAdded(next(self.numbers), self.id, self.index, 0, SummaryText("")))

    def _end_part(self, value: str, events: list[Event]) -> None:
        events.append(ReasoningSummaryTextDone(next(self.numbers), self.id, self.index, 0, value))
        events.append(ReasoningSummaryPartDone(next(self.numbers), self.id, self.index, 0, SummaryText(value)))

    def _fill(self, item: ReasoningItem, value: str) -> None:
        item.summary = [SummaryText(value)]


class TextAndSummaryBuilder(SummaryBuilder):
    """Builds a `reasoning` item with a `reasoning_text` and a `summary_text` part, which have the same text.

    Both grow at the same time, so that a client shows the reasoning live whichever of the two it reads:

        reasoning_text.delta "Let me ", reasoning_summary_text.delta "Let me ", reasoning_text.delta "see.", …

    It costs a second event for each token, and no token takes the fast path.
    """

    def _new_deltas(self) -> list[DeltaEvent]:
        return [*ReasoningBuilder._new_deltas(self), *super()._new_deltas()]

    def _begin_part(self, events: list[Event]) -> None:
        ReasoningBuilder._begin_part(self, events)
        super()._begin_part(events)

    def _end_part(self, value: str, events: list[Event]) -> None:
        ReasoningBuilder._end_part(self, value, events)
        super()._end_part(value, events)

    def _fill(self, item: ReasoningItem, value: str) -> None:
        ReasoningBuilder._fill(self, item, value)
        super()._fill(item, value)


BUILDERS: Mapping[ReasoningDisplay, type[ReasoningBuilder]] = {
    "text": ReasoningBuilder,
    "summary": SummaryBuilder,
    "both": TextAndSummaryBuilder,
}
"""The builder for each way to show reasoning."""
