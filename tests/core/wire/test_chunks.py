"""Bytes to chunks: the short way and the long way read the same."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.wire.chat import Chunk
from responses_shim.core.wire.chunks import END_OF_STREAM, ChunkDecoder, ChunkReader
from responses_shim.core.wire.sse import SSEDecoder
from tests.core.speech import DICE, Round, encode, rounds
from tests.scripted import chunk, frame, usage


def read(*messages: bytes) -> list[Chunk]:
    reader = ChunkReader()
    return [*(found for message in messages for found in reader.read(message)), *reader.close()]


def slowly(data: bytes) -> list[Chunk]:
    frames, decode = SSEDecoder(), ChunkDecoder().decode
    payloads = [*frames.feed(data), *frames.close()]
    return [END_OF_STREAM if payload == b"[DONE]" else decode(payload) for payload in payloads]


def texts(chunks: Sequence[Chunk]) -> list[str | None]:
    return [choice.delta.content for chunk in chunks for choice in chunk.choices or () if choice.delta is not None]


@given(rounds(), DICE, st.lists(st.integers(0, 10_000), max_size=30))
def test_both_ways_read_the_same_wherever_the_bytes_are_cut(round: Round, dice: Random, places: list[int]) -> None:
    messages = encode(round, dice)
    data = b"".join(messages)
    edges = sorted(place % (len(data) + 1) for place in places)
    expected = slowly(data)
    assert read(*messages) == expected
    assert read(*[data[start:end] for start, end in zip([0, *edges], [*edges, len(data)], strict=True)]) == expected


@given(st.lists(st.binary(max_size=20) | st.sampled_from([b"data: ", b"{", b"}", b"\n", b'{"choices":[]}', b"[DONE]"])))
def test_no_bytes_are_a_crash(messages: list[bytes]) -> None:
    read(*messages)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n", b""])
def test_a_message_that_is_one_frame_is_one_chunk(end: bytes) -> None:
    said = chunk("Hello").removesuffix(b"\n\n")
    assert texts(read(said + end)) == ["Hello"]
    assert texts(read(said + b"\n\n", said + b"\n\n", said + end)) == ["Hello"] * 3


def test_a_message_may_be_several_frames_or_a_piece_of_one() -> None:
    said = chunk("Hello")
    assert texts(read(said + said, said[:9], said[9:] + said[:3], said[3:])) == ["Hello"] * 4


def test_a_frame_that_begins_like_a_whole_one_is_waited_for() -> None:
    said = chunk("Hello")
    reader = ChunkReader()
    assert reader.read(said[:-5]) == []
    assert texts(reader.read(said[-5:])) == ["Hello"]


def test_a_piece_that_looks_like_a_frame_is_a_piece() -> None:
    """`data: {…}` may stand inside a frame too: as the value of a field that nobody reads."""
    said = chunk("Hello")
    assert texts(read(b"event: ", said, said)) == ["Hello"]


def test_half_a_byte_order_mark_is_the_beginning_of_something() -> None:
    said = chunk("Hello")
    assert texts(read(b"\xef\xbb", b"\xbf" + said, said)) == ["Hello"] * 2
    assert texts(read(b"\xef", said, said)) == ["Hello"]


def test_a_half_of_a_surrogate_pair_is_held_from_message_to_message() -> None:
    half = [b'data: {"choices": [{"delta": {"content": "%b"}}]}\n\n' % escape for escape in (b"\\ud83d", b"\\ude00")]
    assert texts(read(*half, chunk("!"))) == ["", "😀", "!"]


def test_done_is_told_from_a_chunk_that_says_nothing() -> None:
    done, nothing = read(b"data: [DONE]\n\n", b"data: {}\n\n")
    assert done is END_OF_STREAM
    assert nothing == Chunk()
    assert nothing is not END_OF_STREAM


@pytest.mark.parametrize("error", [b'data: {"error": "gone"}\n\n', b'data: {"message": "gone"}\n\n'])
def test_an_error_frame_is_read_although_it_has_no_choices(error: bytes) -> None:
    (found,) = read(error)
    assert found.error in ("gone", {"message": "gone"})


def test_usage_alone_is_read() -> None:
    counts = usage(7, 1)
    assert [found.usage for found in read(chunk(usage=counts), frame({"usage": counts}))] == [counts, counts]


@pytest.mark.parametrize("payload", [b"hello", b"[]", b"{", b"\xff"])
def test_a_frame_that_is_no_chunk_is_an_error_in_one(payload: bytes) -> None:
    before, broken, after = read(chunk("a"), b"data: " + payload + b"\n\n", chunk("b"))
    assert texts([before, after]) == ["a", "b"]
    assert "not" in str(broken.error)
    assert "JSON" in str(broken.error)


def test_a_whole_answer_is_one_chunk_and_the_end() -> None:
    body = b'{"choices": [{"message": {"content": "Hello"}}]}'
    answer, done = ChunkReader().read_json(body)
    assert answer.choices is not None
    assert answer.choices[0].message is not None
    assert answer.choices[0].message.content == "Hello"
    assert done is END_OF_STREAM


def test_a_whole_answer_that_is_no_json_is_an_error() -> None:
    broken, done = ChunkReader().read_json(b"<html>")
    assert "not JSON" in str(broken.error)
    assert done is END_OF_STREAM
