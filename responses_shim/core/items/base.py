"""An output item while it grows: `added`, deltas, `done`.

Each item keeps its pieces in a list and joins them when a part or the item closes; the value in the `done` event, in
the item and in the final snapshot is that one string. `number` gives the next sequence number; events are appended
to the list that is handed in, so that one host chunk makes one list.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from responses_shim.core.wire.events import (
    Event,
    OutputItemAdded,
    OutputItemDone,
)
from responses_shim.core.wire.responses import (
    ItemStatus,
    OutputItem,
)
from responses_shim.core.wire.tokens import Tokens

Number = Callable[[], int]


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
