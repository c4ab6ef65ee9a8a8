"""An assistant message while it grows."""

from __future__ import annotations

from typing import Any

from responses_shim.core.items.base import Number, Output
from responses_shim.core.response.fast_path import PlainText
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
from responses_shim.core.wire.responses import (
    ItemStatus,
    Logprob,
    MessageItem,
    OutputText,
    Refusal,
)
from responses_shim.core.wire.sse import delta_prefix

NO_LOGPROBS: list[Logprob] = []


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
