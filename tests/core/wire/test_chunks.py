"""The chunk reader: a frame that comes alone is read by a shortcut, any other bytes by the SSE decoder, all alike."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.wire.chat import Chunk
from responses_shim.core.wire.chunks import END_OF_STREAM, ChunkDecoder, ChunkReader
from responses_shim.core.wire.sse import SSEDecoder
from tests.core.host_streams import encode
from tests.core.rounds import RNGS, Round, rounds
from tests.cuts import POSITIONS, cut
from tests.scripted import chunk, frame, usage


def read(*messages: bytes) -> list[Chunk]:
    reader = ChunkReader()
    return [*(found for message in messages for found in reader.read(message)), *reader.close()]


def read_without_shortcut(data: bytes) -> list[Chunk]:
    frames, decode = SSEDecoder(), ChunkDecoder().decode
    payloads = [*frames.feed(data), *frames.close()]
    return [END_OF_STREAM if payload == b"[DONE]" else decode(payload) for payload in payloads]


def texts(chunks: Sequence[Chunk]) -> list[str | None]:
    return [choice.delta.content for chunk in chunks for choice in chunk.choices or () if choice.delta is not None]


@given(rounds(), RNGS, POSITIONS)
def test_the_chunks_are_the_same_with_and_without_the_shortcut_wherever_the_bytes_are_cut(
    round: Round, rng: Random, positions: list[int]
) -> None:
    messages = encode(round, rng)
    data = b"".join(messages)
    expected = read_without_shortcut(data)
    assert read(*messages) == expected
    assert read(*cut(data, positions)) == expected


@given(st.lists(st.binary(max_size=20) | st.sampled_from([b"data: ", b"{", b"}", b"\n", b'{"choices":[]}', b"[DONE]"])))
def test_any_bytes_can_be_read(messages: list[bytes]) -> None:
    read(*messages)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n", b""])
def test_a_message_that_is_one_frame_is_one_chunk(end: bytes) -> None:
    line = chunk("Hello").removesuffix(b"\n\n")
    assert texts(read(line + end)) == ["Hello"]
    assert texts(read(line + b"\n\n", line + b"\n\n", line + end)) == ["Hello"] * 3


def test_a_message_may_hold_several_frames_or_a_piece_of_one() -> None:
    data = chunk("Hello")
    assert texts(read(data + data, data[:9], data[9:] + data[:3], data[3:])) == ["Hello"] * 4


def test_the_rest_of_a_frame_is_waited_for() -> None:
    data = chunk("Hello")
    reader = ChunkReader()
    assert reader.read(data[:-5]) == []
    assert texts(reader.read(data[-5:])) == ["Hello"]


def test_a_piece_of_a_frame_that_looks_like_a_frame_is_not_read_as_one() -> None:
    """A message `data: {…}` may be the value of a field that nobody reads, if `event: ` came before it."""
    data = chunk("Hello")
    assert texts(read(b"event: ", data, data)) == ["Hello"]


def test_a_byte_order_mark_may_come_in_two_messages() -> None:
    data = chunk("Hello")
    assert texts(read(b"\xef\xbb", b"\xbf" + data, data)) == ["Hello"] * 2
    assert texts(read(b"\xef", data, data)) == ["Hello"]


def test_the_halves_of_a_surrogate_pair_are_joined_across_messages() -> None:
    halves = [b'data: {"choices": [{"delta": {"content": "%b"}}]}\n\n' % escape for escape in (b"\\ud83d", b"\\ude00")]
    assert texts(read(*halves, chunk("!"))) == ["", "😀", "!"]


def test_done_is_another_object_than_an_empty_chunk() -> None:
    done, empty = read(b"data: [DONE]\n\n", b"data: {}\n\n")
    assert done is END_OF_STREAM
    assert empty == Chunk()
    assert empty is not END_OF_STREAM


@pytest.mark.parametrize("error", [b'data: {"error": "gone"}\n\n', b'data: {"message": "gone"}\n\n'])
def test_an_error_frame_is_read_although_it_has_no_choices(error: bytes) -> None:
    (found,) = read(error)
    assert found.error in ("gone", {"message": "gone"})


def test_a_chunk_with_usage_alone_is_read() -> None:
    counts = usage(7, 1)
    assert [found.usage for found in read(chunk(usage=counts), frame({"usage": counts}))] == [counts, counts]


@pytest.mark.parametrize("payload", [b"hello", b"[]", b"{", b"\xff"])
def test_a_frame_that_is_no_json_object_becomes_a_chunk_with_an_error(payload: bytes) -> None:
    before, broken, after = read(chunk("a"), b"data: " + payload + b"\n\n", chunk("b"))
    assert texts([before, after]) == ["a", "b"]
    assert "not" in str(broken.error)
    assert "JSON" in str(broken.error)


def test_a_json_answer_is_one_chunk_and_the_end() -> None:
    body = b'{"choices": [{"message": {"content": "Hello"}}]}'
    answer, done = ChunkReader().read_json(body)
    assert answer.choices is not None
    assert answer.choices[0].message is not None
    assert answer.choices[0].message.content == "Hello"
    assert done is END_OF_STREAM


def test_an_answer_that_is_no_json_becomes_a_chunk_with_an_error() -> None:
    broken, done = ChunkReader().read_json(b"<html>")
    assert "not JSON" in str(broken.error)
    assert done is END_OF_STREAM
