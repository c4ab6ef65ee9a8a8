"""Filters: what corrects a host's chunks before the state machine sees them.

A filter undoes one quirk of a host: reasoning left in the text between `<think>` tags, log-probabilities that belong to
another chunk. It takes chunks and gives chunks, may hold text back while it is undecided what that is, and is made anew
for every round. The state machine therefore knows no host.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from responses_shim.core.wire.chat import Chunk

Field = Literal["content", "reasoning", "arguments"]
"""What a delta may carry by the thousand: text, reasoning, the arguments of a call."""


MARKUP_CHARACTERS = frozenset("<[]`\n")
"""The characters with which a filter may recognise something in a text: a tag, a bracket, a code fence, a line end."""


class Filter(Protocol):
    """Corrects the chunks of one round."""

    done: bool
    """True once every further chunk would pass unchanged."""

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        """The chunks that `chunk` becomes, what was held back before it included. It may be changed in place."""
        ...

    def close(self) -> Sequence[Chunk]:
        """What is still held back when the round is over."""
        ...

    def passes_as(self, field: Field) -> Field | None:
        """The field that text in `field` would be in after this filter, for a chunk with nothing else.

        The same `field` where it passes unchanged. The answer must hold for every text without any of
        `MARKUP_CHARACTERS`, until the next `feed`; None where it depends on more than that. The fast path takes such
        deltas past the filter.
        """
        ...


class FilterChain:
    """Filters one behind the other, as one filter. A filter that is done is taken out."""

    def __init__(self, filters: Sequence[Filter] = ()) -> None:
        self._filters = [chunk_filter for chunk_filter in filters if not chunk_filter.done]
        self.done = not self._filters

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        """The chunks that `chunk` becomes."""
        chunks: Sequence[Chunk] = [chunk]
        if self._filters:
            for chunk_filter in self._filters:
                chunks = [passed for taken in chunks for passed in chunk_filter.feed(taken)]
            self._filters = [chunk_filter for chunk_filter in self._filters if not chunk_filter.done]
            self.done = not self._filters
        return chunks

    def close(self) -> Sequence[Chunk]:
        """What the filters still hold back; what one gives up passes through those behind it."""
        chunks: Sequence[Chunk] = []
        for chunk_filter in self._filters:
            chunks = [passed for chunk in chunks for passed in chunk_filter.feed(chunk)] + [*chunk_filter.close()]
        self._filters = []
        self.done = True
        return chunks

    def passes_as(self, field: Field) -> Field | None:
        """The field in which a delta of `field` alone leaves the chain (see `Filter.passes_as`)."""
        passing: Field | None = field
        for chunk_filter in self._filters:
            if passing is not None:
                passing = chunk_filter.passes_as(passing)
        return passing
