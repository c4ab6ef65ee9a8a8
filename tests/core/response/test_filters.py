"""The chain of filters: each chunk passes one after the other, and a filter that is done is taken out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from responses_shim.core.response.filters import Field, FilterChain
from responses_shim.core.response.logprobs import LogprobFilter
from responses_shim.core.response.think_tags import ThinkTagFilter
from responses_shim.core.wire.chat import Choice, Chunk, Delta


class Appending:
    """Adds a letter to every text, holds one back for the end, and is done after so many chunks."""

    def __init__(self, letter: str, chunks: int = 100) -> None:
        self.done = chunks == 0
        self._letter = letter
        self._left = chunks

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        self._left -= 1
        self.done = self._left == 0
        return [text(read(chunk) + self._letter)]

    def close(self) -> Sequence[Chunk]:
        return [text(self._letter.upper())]

    def passes_as(self, field: Field) -> Field | None:
        return None


def text(content: str) -> Chunk:
    return Chunk(choices=[Choice(delta=Delta(content=content))])


def read(chunk: Chunk) -> str:
    assert chunk.choices is not None
    delta = chunk.choices[0].delta
    assert delta is not None
    return delta.content or ""


def test_a_chunk_passes_all_filters_in_order() -> None:
    chain = FilterChain([Appending("a"), Appending("b")])
    assert [read(chunk) for chunk in chain.feed(text("x"))] == ["xab"]


def test_a_chunk_that_a_filter_held_back_passes_the_filters_after_it() -> None:
    chain = FilterChain([Appending("a"), Appending("b")])
    assert [read(chunk) for chunk in chain.close()] == ["Ab", "B"]
    assert chain.done
    assert list(chain.close()) == []


def test_a_filter_that_is_done_is_taken_out() -> None:
    chain = FilterChain([Appending("a", chunks=1), Appending("b", chunks=0)])
    done_before = chain.done
    assert [read(chunk) for chunk in chain.feed(text("x"))] == ["xa"]
    assert (done_before, chain.done) == (False, True)
    assert [read(chunk) for chunk in chain.feed(text("x"))] == ["x"]


@pytest.mark.parametrize("field", ["content", "reasoning", "arguments"])
def test_a_delta_passes_the_chain_as_it_passes_every_filter(field: Field) -> None:
    assert FilterChain().passes_as(field) == field
    assert FilterChain([LogprobFilter()]).passes_as(field) == field
    assert FilterChain([Appending("a"), LogprobFilter()]).passes_as(field) is None
    assert FilterChain([LogprobFilter(), ThinkTagFilter("leading")]).passes_as(field) is None
