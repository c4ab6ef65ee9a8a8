"""The memory of a response while its text grows: little more than the text takes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from responses_shim.core.wire.chat import Choice, Chunk, Delta, FunctionDelta, ToolCallDelta
from tests.core.driver import new_stream, new_translator
from tests.scripted import chunk

PIECES = 2000


def arguments(text: str) -> Delta:
    return Delta(tool_calls=[ToolCallDelta(0, "a", FunctionDelta("f", text))])


def memory_per_byte(feed: Callable[[str], object]) -> float:
    """The bytes of memory that are kept for each byte of text, of which `feed` gets many pieces."""
    feed("0000")
    tracemalloc.start()
    for number in range(PIECES):
        feed(f"{number:4}")
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / (4 * PIECES)


@pytest.mark.parametrize(
    "delta",
    [
        lambda text: Delta(content=text),
        lambda text: Delta(reasoning=text),
        lambda text: Delta(refusal=text),
        arguments,
    ],
    ids=["text", "reasoning", "refusal", "arguments"],
)
def test_a_growing_text_takes_less_than_three_times_its_length(delta: Callable[[str], Delta]) -> None:
    stream = new_stream()
    stream.start()
    assert memory_per_byte(lambda text: stream.feed(Chunk(choices=[Choice(delta=delta(text))]))) < 3


def test_a_growing_text_on_the_fast_path_takes_less_than_three_times_its_length() -> None:
    translator = new_translator()
    translator.feed(chunk("Hello"))
    path = translator.fast_path
    assert path is not None
    assert memory_per_byte(lambda text: path(chunk(text))) < 3
