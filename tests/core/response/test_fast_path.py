"""The short way of plain text makes the very bytes of the long way, and takes nothing but plain text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.response.fast_path import PlainText
from tests.core.pipeline import Json, new_stream, play
from tests.core.speech import CONVERSATIONS, DICE, Round, encode
from tests.oracle import check_stream
from tests.scripted import DONE, call, chunk, frame, usage

STOP = chunk(finish_reason="stop")


@given(CONVERSATIONS, DICE, st.lists(st.integers(0, 10_000), max_size=10))
def test_both_ways_make_the_same_bytes(rounds: Sequence[Round], dice: Random, places: Sequence[int]) -> None:
    messages = [encode(round, dice) for round in rounds]
    assert play(*messages, short_way=True).frames == play(*messages).frames
    data = b"".join(messages[0])
    edges = sorted(place % (len(data) + 1) for place in places)
    cut = [data[start:end] for start, end in zip([0, *edges], [*edges, len(data)], strict=True)]
    assert play(cut, *messages[1:], short_way=True).frames == play(*messages).frames


def test_text_after_the_first_takes_the_short_way() -> None:
    played = play([chunk("", role="assistant"), *map(chunk, "Hello"), STOP, DONE], short_way=True)
    assert played.short_cuts == 4
    check_stream(played.payloads)
    assert played.response["output"][0]["content"][0]["text"] == "Hello"


def test_each_part_has_a_short_way_of_its_own() -> None:
    said = [chunk("a"), chunk("b"), chunk(refusal="No."), chunk("c"), chunk("d"), chunk(reasoning="Hm."), chunk("e")]
    played = play([*said, chunk("f"), STOP], short_way=True)
    assert played.short_cuts == 3
    assert played.frames == play([*said, chunk("f"), STOP]).frames
    check_stream(played.payloads)


def test_a_part_is_given_the_short_way_once() -> None:
    """A host whose frames are not plain pays for the attempt once a part, not once a token."""
    odd = chunk("b", usage=usage(1, 1))
    played = play([chunk("a"), odd, chunk("c"), chunk("d"), STOP], short_way=True)
    assert played.short_cuts == 0
    assert played.response["output"][0]["content"][0]["text"] == "abcd"


def test_pings_between_are_numbered_with_the_rest() -> None:
    said = [chunk("a"), chunk("b"), chunk("c"), STOP]
    pinged = play(said, short_way=True, between=lambda stream: stream.ping()).payloads
    check_stream(pinged)
    assert [event["sequence_number"] for event in pinged] == list(range(len(pinged)))


@pytest.mark.parametrize(
    "said",
    [
        [],
        [chunk(reasoning="Hm.")],
        [chunk(refusal="No.")],
        [chunk(tool_calls=[call(0, "a", "f", "{")])],
        [chunk("a"), chunk(tool_calls=[call(0, "a", "f", "{")])],
        [chunk("a"), frame({"error": "gone"})],
    ],
)
def test_where_no_text_is_being_written_there_is_no_short_way(said: list[bytes]) -> None:
    played = play([*said, chunk("b")], short_way=True)
    assert played.short_cuts == 0
    assert played.frames == play([*said, chunk("b")]).frames


def test_with_logprobs_there_is_no_short_way() -> None:
    assert play([chunk("a"), chunk("b"), STOP], short_way=True, logprobs=True).short_cuts == 0


def test_it_is_not_open_before_anything_was_said() -> None:
    stream = new_stream()
    stream.start()
    assert stream.plain() is None


# What is plain -------------------------------------------------------------------------------------------------------


def short(data: bytes) -> tuple[bytes | None, list[str]]:
    """The frame for `data`, and the text that was kept."""
    kept: list[str] = []
    return PlainText(b'data: {"sequence_number":', lambda: 7, kept.append, lambda: None).frame(data), kept


def plain_frame(text: str) -> bytes:
    return b'data: {"sequence_number":7,"delta":' + json.dumps(text, ensure_ascii=False).encode() + b"}\n\n"


def of(delta: Any, choice: Json | None = None, **keys: Any) -> bytes:
    return frame({"choices": [{"delta": delta, **(choice or {})}], **keys})


@pytest.mark.parametrize(
    "data",
    [
        chunk("é😀\n"),
        of({"content": "é😀\n"}),
        of({"content": "é😀\n", "role": "assistant"}, {"index": 0, "finish_reason": None, "logprobs": None}),
        of(
            {
                "content": "é😀\n",
                "role": None,
                "refusal": None,
                "tool_calls": None,
                "reasoning": None,
                "function_call": None,
            }
        ),
        of(
            {"content": "é😀\n"}, {"stop_reason": None}, id="chatcmpl-1", usage=None, error=None, system_fingerprint="x"
        ),
        b'data: {"choices":[{"delta":{"content":"\\u00e9\\ud83d\\ude00\\n"}}]}\n\n',
    ],
)
def test_a_frame_of_text_and_nothing_else_is_plain(data: bytes) -> None:
    assert short(data) == (plain_frame("é😀\n"), ["é😀\n"])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"data: [DONE]\n\n",
        b": ping\n\n",
        b"data: {}\n\n",
        b'data: {"choices":[]}\n\n',
        b'data: {"choices":[{"delta":{"content":"a"}}]}\r\n\r\n',
        b'data: {"choices":[{"delta":{"content":"a"}}]}\n',
        b'data:{"choices":[{"delta":{"content":"a"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":NaN}}]}\n\n',
        b'data: {"choices":' + b"[" * 100_000 + b"}\n\n",
        chunk("a") * 2,
        chunk("a")[:-4],
        chunk("a", finish_reason="stop"),
        chunk("a", usage=usage(1, 1)),
        chunk("a", reasoning="b"),
        chunk("a", refusal="b"),
        chunk("a", tool_calls=[]),
        of({"content": ""}),
        of({"content": None}),
        of({"content": [{"type": "text", "text": "a"}]}),
        of({"content": "a", "audio": {}}),
        of({"content": "a", "reasoning": ""}),
        of({}),
        of(None),
        of({"content": "a"}, {"finish_reason": ""}),
        of({"content": "a"}, {"index": 1}),
        of({"content": "a"}, {"index": None}),
        of({"content": "a"}, {"message": {}}),
        of({"content": "a"}, usage={}),
        of({"content": "a"}, error="gone"),
        frame({"choices": [{"delta": {"content": "a"}}] * 2}),
        frame({"choices": {"delta": {"content": "a"}}}),
    ],
)
def test_anything_else_is_not_and_leaves_no_trace(data: bytes) -> None:
    assert short(data) == (None, [])
