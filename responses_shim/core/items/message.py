"""Builds an assistant message: text parts and refusal parts, each closed by the other and by the end."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Raw, UnsetType

from responses_shim.core.items.base import ItemBuilder, Numbers
from responses_shim.core.wire.events import (
    ContentPartAdded,
    ContentPartDone,
    Event,
    OutputTextAnnotationAdded,
    OutputTextDelta,
    OutputTextDone,
    RefusalDelta,
    RefusalDone,
)
from responses_shim.core.wire.responses import NO_LOGPROBS, ItemStatus, MessageItem, MessagePhase, OutputText, Refusal


class MessageBuilder(ItemBuilder):
    """Builds a `message` item. Log-probabilities are kept as JSON, so that they are encoded once."""

    def __init__(self, id: str, index: int, numbers: Numbers, phase: MessagePhase | UnsetType = UNSET) -> None:
        super().__init__(id, index, numbers)
        self._phase = phase
        self._parts: list[OutputText | Refusal] = []
        self._logprobs: list[bytes] = []  # JSON arrays without their brackets
        self._annotations: list[dict[str, Any]] = []
        self._open_part: type[OutputText] | type[Refusal] | None = None

    def item(self, status: ItemStatus) -> MessageItem:
        return MessageItem(id=self.id, status=status, content=list(self._parts), phase=self._phase)

    def add_text(self, delta: str, logprobs: Raw, events: list[Event]) -> None:
        """Append a piece of text. `logprobs` is a JSON array of its tokens' log-probabilities, or `NO_LOGPROBS`."""
        if self._open_part is not OutputText:
            self._begin_part(OutputText(""), events)
        self.add(delta)
        if logprobs is not NO_LOGPROBS:
            self.keep_logprobs(bytes(logprobs))
        events.append(OutputTextDelta(next(self.numbers), self.id, self.index, delta, self._part_index, logprobs))

    def keep_logprobs(self, array: bytes) -> None:
        """Keep the log-probabilities of a piece of text: a JSON array with at least one entry."""
        self._logprobs.append(array[1:-1])

    def open_empty_text(self, events: list[Event]) -> None:
        """Open a text part, for a message that is to have an empty text."""
        self._begin_part(OutputText(""), events)

    def annotate(self, annotation: dict[str, Any], events: list[Event]) -> None:
        """Add a citation to the text part that is open; open one if none is."""
        if self._open_part is not OutputText:
            self._begin_part(OutputText(""), events)
        annotation_index = len(self._annotations)
        self._annotations.append(annotation)
        events.append(
            OutputTextAnnotationAdded(
                next(self.numbers), self.id, self.index, self._part_index, annotation_index, annotation
            )
        )

    def add_refusal(self, delta: str, events: list[Event]) -> None:
        """Append a piece of a refusal."""
        if self._open_part is not Refusal:
            self._begin_part(Refusal(""), events)
        self.add(delta)
        events.append(RefusalDelta(next(self.numbers), self.id, self.index, delta, self._part_index))

    def finish(self, status: ItemStatus, events: list[Event]) -> None:
        self._end_part(events)

    def next_delta(self) -> OutputTextDelta | None:
        if self._open_part is not OutputText:
            return None
        return OutputTextDelta(0, self.id, self.index, "", self._part_index, NO_LOGPROBS)

    @property
    def _part_index(self) -> int:
        """The position of the open part: it joins the parts when it closes."""
        return len(self._parts)

    def _begin_part(self, part: OutputText | Refusal, events: list[Event]) -> None:
        self._end_part(events)
        self._open_part = type(part)
        events.append(ContentPartAdded(next(self.numbers), self.id, self.index, self._part_index, part))

    def _end_part(self, events: list[Event]) -> None:
        if self._open_part is None:
            return
        index = self._part_index
        value = self.value
        part: OutputText | Refusal
        if self._open_part is OutputText:
            logprobs = Raw(b"[%b]" % b",".join(self._logprobs)) if self._logprobs else NO_LOGPROBS
            part = OutputText(value, self._annotations, logprobs)
            events.append(OutputTextDone(next(self.numbers), self.id, self.index, index, value, logprobs))
        else:
            part = Refusal(value)
            events.append(RefusalDone(next(self.numbers), self.id, self.index, index, value))
        events.append(ContentPartDone(next(self.numbers), self.id, self.index, index, part))
        self._parts.append(part)
        self._open_part = None
        self.text.clear()
        self._logprobs = []
        self._annotations = []
