"""The base of all builders: an output item from `output_item.added` through its deltas to `output_item.done`.

A builder keeps the pieces of its text in a list and joins them when a part or the item closes. The value in the `done`
event, in the item and in the final snapshot is that one string. Every method that makes events appends them to the list
that it is given, so that one chunk of the host makes one list.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from responses_shim.core.wire.events import DeltaEvent, Event, OutputItemAdded, OutputItemDone
from responses_shim.core.wire.responses import ItemStatus, OutputItem
from responses_shim.core.wire.tokens import Tokens

NextNumber = Callable[[], int]
"""Gives the next `sequence_number` of the response, each time it is called."""


class ItemBuilder(ABC):
    """Builds one output item and makes its events.

    `id` is the item's, `index` its position in `output`; neither ever changes.
    """

    def __init__(self, id: str, index: int, next_number: NextNumber) -> None:
        self.id = id
        self.index = index
        self.next_number = next_number
        self.pieces: list[str] = []
        """The text of the part or value that is open, in pieces. Each part has a list of its own."""
        self._joined = 0  # how many of the first pieces are results of `join_pieces`

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
        events.append(OutputItemAdded(self.next_number(), self.index, self.item("in_progress")))

    def close(self, status: ItemStatus, events: list[Event], tokens: Tokens | None = None) -> OutputItem:
        """Append the closing events and `output_item.done`; return the item as the snapshot will have it.

        `tokens` are the token ids of the chat call, where this is the item that carries them.
        """
        self.finish(status, events)
        item = self.item(status)
        if tokens is not None:
            for name in tokens.__struct_fields__:
                setattr(item, name, getattr(tokens, name))
        events.append(OutputItemDone(self.next_number(), self.index, item))
        return item

    def next_delta(self) -> DeltaEvent | None:
        """The event that one more piece of text would make, with number 0 and an empty delta.

        The fast path makes its template from it. None if a piece of text would not become exactly one delta with that
        text.
        """
        return None

    def join_pieces(self) -> None:
        """Join the pieces that came since the last call, to save memory.

        A Python string takes some fifty bytes besides its text: tokens that are kept one by one take ten times their
        text. What is joined is joined again with what comes later whenever that is as long: so a text of a million
        tokens has some twenty pieces, and each token has been copied as many times.
        """
        pieces, first = self.pieces, self._joined
        joined = "".join(pieces[first:])
        while first and len(pieces[first - 1]) <= len(joined):
            first -= 1
            joined = pieces[first] + joined
        pieces[first:] = [joined]
        self._joined = first + 1
