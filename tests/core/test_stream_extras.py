"""What a client can ask for besides the answer, in the stream, item and snapshot: each rule on a small stream."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from responses_shim.core.chat import Choice, Chunk, Delta, FunctionDelta, ToolCallDelta
from tests.core.pipeline import new_stream
from tests.scripted import chunk

# Memory ----------------------------------------------------------------------------------------------------------


def argued(word: str) -> Delta:
    return Delta(tool_calls=[ToolCallDelta(0, "a", FunctionDelta("f", word))])


@pytest.mark.parametrize(
    "delta",
    [lambda word: Delta(content=word), lambda word: Delta(reasoning=word), lambda word: Delta(refusal=word), argued],
    ids=["text", "reasoning", "refusal", "arguments"],
)
def test_text_that_grows_takes_little_more_room_than_it_is_long(delta: Callable[[str], Delta]) -> None:
    stream = new_stream()
    stream.start()
    assert room_of(lambda word: stream.feed(Chunk(choices=[Choice(delta=delta(word))]))) < 3


def test_so_does_text_that_takes_the_short_way() -> None:
    stream = new_stream()
    stream.start()
    stream.feed(Chunk(choices=[Choice(delta=Delta(content="Hello"))]))
    plain = stream.plain()
    assert plain is not None
    assert room_of(lambda word: plain.frame(chunk(word))) < 3


def room_of(say: Callable[[str], object]) -> float:
    """Bytes of memory for each byte of text, said in 2,000 pieces."""
    say("0000")
    tracemalloc.start()
    for number in range(2000):
        say(f"{number:4}")
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / 8000
