"""Reasoning items: raw text or a summary, and the sealed copy that a client may keep."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.items.reasoning import ReasoningDisplay
from responses_shim.core.response.options import ResponseOptions
from responses_shim.core.wire.chat import Choice, Chunk, Delta
from responses_shim.core.wire.events import ALLOWED_AFTER, OutputItemAdded
from tests.core.driver import answer, new_stream
from tests.core.response.extras import seal
from tests.scripted import DONE, chunk

STOP = chunk(finish_reason="stop")
THOUGHT = [chunk(reasoning="Let me "), chunk(reasoning="see."), chunk("Hello"), STOP, DONE]


def test_reasoning_is_raw_text_in_a_content_part() -> None:
    played = answer(*THOUGHT)
    assert played.types[:6] == [
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
    ]
    item = played.output[0]
    assert item["content"] == [{"type": "reasoning_text", "text": "Let me see."}]
    assert item["summary"] == []


def test_reasoning_is_a_summary_for_a_client_that_asked_for_one() -> None:
    played = answer(*THOUGHT, options=ResponseOptions(reasoning="summary"))
    assert played.types[:7] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    item = played.output[0]
    assert item["summary"] == [{"type": "summary_text", "text": "Let me see."}]
    assert item["content"] == []
    assert {event["summary_index"] for event in played.payloads if "summary_index" in event} == {0}


def test_text_and_summary_grow_side_by_side_where_both_are_wanted() -> None:
    """So that a client shows the reasoning live, whichever of the two it reads."""
    played = answer(*THOUGHT, options=ResponseOptions(reasoning="both"))
    assert played.types[:12] == [
        "output_item.added",
        "content_part.added",
        "reasoning_summary_part.added",
        *["reasoning_text.delta", "reasoning_summary_text.delta"] * 2,
        "reasoning_text.done",
        "content_part.done",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    item = played.output[0]
    assert item["content"] == [{"type": "reasoning_text", "text": "Let me see."}]
    assert item["summary"] == [{"type": "summary_text", "text": "Let me see."}]


@given(st.lists(st.sampled_from([chunk(reasoning="a"), chunk("a"), chunk(refusal="a")]), min_size=1, max_size=8))
def test_where_both_are_wanted_the_events_come_in_the_order_of_the_table(frames: list[bytes]) -> None:
    played = answer(*frames, STOP, options=ResponseOptions(reasoning="both"))
    for before, after in pairwise(event for event in played.events if hasattr(event, "output_index")):
        if not isinstance(after, OutputItemAdded):
            assert type(after) in ALLOWED_AFTER[type(before)]


@pytest.mark.parametrize("display", ["text", "summary", "both"])
def test_text_that_grows_takes_little_more_memory_than_its_characters(display: ReasoningDisplay) -> None:
    stream = new_stream(options=ResponseOptions(reasoning=display))
    stream.start()
    for _ in range(500):
        stream.feed(Chunk(choices=[Choice(delta=Delta(reasoning="a"))]))
    builder = stream.builder("reasoning")
    assert builder is not None
    assert builder.value == "a" * 500
    assert sys.getsizeof(builder.text) < 1_000


@pytest.mark.parametrize("reasoning", ["text", "summary", "both"])
def test_sealed_reasoning_is_in_the_finished_item_and_the_snapshot_and_not_before(
    reasoning: ReasoningDisplay,
) -> None:
    sealed: list[str] = []

    def seal_once(text: str) -> str:
        sealed.append(f"{len(sealed)}: {text}")  # no two are the same
        return sealed[-1]

    played = answer(*THOUGHT, options=ResponseOptions(reasoning=reasoning, seal=seal_once))
    assert sealed == ["0: Let me see."]
    added, done = played.of_type("output_item.added")[0], played.of_type("output_item.done")[0]
    assert "encrypted_content" not in added["item"]
    assert done["item"]["encrypted_content"] == sealed[0]
    assert played.output[0] == done["item"]
    assert "encrypted_content" not in played.output[1]


def test_of_reasoning_that_is_cut_the_part_that_came_is_sealed() -> None:
    played = answer(chunk(reasoning="Let"), chunk(finish_reason="length"), options=ResponseOptions(seal=seal))
    (item,) = played.output
    assert (item["status"], item["encrypted_content"]) == ("incomplete", "sealed Let")


def test_each_reasoning_item_is_sealed_by_itself() -> None:
    frames = [chunk(reasoning="One."), chunk("a"), chunk(reasoning="Two."), chunk("b"), STOP]
    output = answer(*frames, options=ResponseOptions(seal=seal)).output
    assert [item.get("encrypted_content") for item in output] == ["sealed One.", None, "sealed Two.", None]


def test_sealing_changes_nothing_in_an_answer_without_reasoning() -> None:
    frames = [chunk("Hello"), STOP]
    assert answer(*frames, options=ResponseOptions(seal=seal)).frames == answer(*frames).frames


def test_with_a_summary_and_a_seal_deltas_still_take_the_fast_path() -> None:
    frames = [*THOUGHT[:3], chunk("!"), STOP]
    played = answer(*frames, options=ResponseOptions(reasoning="summary", seal=seal))
    assert played.fast == 2
