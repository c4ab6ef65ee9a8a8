"""The base of all builders: an output item from `output_item.added` through its deltas to `output_item.done`.

A builder keeps its text as UTF-8, to which each piece is appended: as strings, which take some fifty bytes each besides
their text, the pieces would take ten times as much. When a part or the item closes it is decoded, and the value in the
`done` event, in the item and in the final snapshot is that one string. Every method that makes events appends them to
the list that it is given, so that one chunk of the host makes one list.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from responses_shim.core.wire.events import DeltaEvent, Event, OutputItemAdded, OutputItemDone
from responses_shim.core.wire.responses import ItemStatus, OutputItem
from responses_shim.core.wire.tokens import Tokens

Numbers = Iterator[int]
"""The `sequence_number`s of a response, in order: each event takes the next."""


def encode_text(text: str) -> bytes:
    """The UTF-8 of a text, which may have half a surrogate pair in it."""
    return text.encode("utf-8", "surrogatepass")


class ItemBuilder(ABC):
    """Builds one output item and makes its events.

    `id` is the item's, `index` its position in `output`; neither ever changes.
    """

    def __init__(self, id: str, index: int, numbers: Numbers) -> None:
        self.id = id
        self.index = index
        self.numbers = numbers
        self.text = bytearray()
        """The text of the part or value that is open, as `encode_text` encodes it."""

    def add(self, text: str) -> None:
        """Append a piece to the text, without an event."""
        self.text += encode_text(text)

    @property
    def value(self) -> str:
        """The text of the part or value that is open, as far as it has come."""
        return self.text.decode("utf-8", "surrogatepass")

    @abstractmethod
    def item(self, status: ItemStatus) -> OutputItem:
        """The item as far as it has grown: empty when it opens, complete when it closes."""
        ...

    @abstractmethod
    def finish(self, status: ItemStatus, events: list[Event]) -> None:
        """Append the events that close the part or value that is open."""
        ...

    def open(self, events: list[Event]) -> None:
        """Append `output_item.added`, and what opens the first part where every item of the kind has one."""
        events.append(OutputItemAdded(next(self.numbers), self.index, self.item("in_progress")))

    def close(self, status: ItemStatus, events: list[Event], tokens: Tokens | None = None) -> OutputItem:
        """Append the closing events and `output_item.done`; return the item as the snapshot will have it.

        `tokens` are the token ids of the chat call, where this is the item that carries them.
        """
        self.finish(status, events)
        item = self.item(status)
        if tokens is not None:
            for name in tokens.__struct_fields__:
                setattr(item, name, getattr(tokens, name))
        events.append(OutputItemDone(next(self.numbers), self.index, item))
        return item

    def next_delta(self) -> DeltaEvent | None:
        """The event that one more piece of text would make, with number 0 and an empty delta.

        The fast path makes its template from it. None if a piece of text would not become exactly one delta with that
        text.
        """
        return None
