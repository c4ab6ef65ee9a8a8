"""Annotations of a text: citations, in the stream and on the finished part."""

from __future__ import annotations

import pytest

from tests.core.driver import Json, Played, answer, play
from tests.scripted import chunk, frame

STOP = chunk(finish_reason="stop")
NESTED = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 1, "end_index": 2}}
FLAT = {"type": "url_citation", "url": "u", "title": "t", "start_index": 1, "end_index": 2}
FILE = {"type": "file_citation", "file_id": "file-1", "filename": "a.pdf", "index": 3}
UNKNOWN = {"type": "video_citation", "at": 7}


def annotated(*annotations: Json, content: str | None = None) -> bytes:
    """A chunk with these annotations."""
    delta: Json = {"annotations": list(annotations)} | ({"content": content} if content else {})
    return frame({"choices": [{"index": 0, "delta": delta}]})


def annotations_of(played: Played) -> list[Json]:
    """Those of the only part: the same in the events one by one, in the part and in the snapshot."""
    added = played.of_type("output_text.annotation.added")
    assert [event["annotation_index"] for event in added] == list(range(len(added)))
    found: list[Json] = [event["annotation"] for event in added]
    (part,) = played.of_type("content_part.done")
    assert part["part"]["annotations"] == found
    assert played.output[0]["content"][0]["annotations"] == found
    return found


def test_the_nested_citation_of_a_url_becomes_a_flat_one() -> None:
    played = answer(chunk("Hello"), annotated(NESTED), chunk("!"), STOP)
    assert annotations_of(played) == [FLAT]
    assert played.types[2:5] == ["output_text.delta", "output_text.annotation.added", "output_text.delta"]
    assert played.output[0]["content"][0]["text"] == "Hello!"


def test_several_annotations_keep_their_order() -> None:
    assert annotations_of(answer(annotated(NESTED, FILE, content="Hello"), annotated(FLAT), STOP)) == [FLAT, FILE, FLAT]


def test_an_annotation_before_any_text_opens_the_part_of_the_text() -> None:
    played = answer(chunk(reasoning="Hm."), annotated(FILE), chunk("Hello"), STOP)
    assert played.output[1]["content"] == [
        {"type": "output_text", "text": "Hello", "annotations": [FILE], "logprobs": []}
    ]


def test_an_annotation_without_any_text_is_on_an_empty_text() -> None:
    assert annotations_of(answer(annotated(FILE), STOP)) == [FILE]


def test_each_text_part_has_annotations_of_its_own() -> None:
    played = answer(annotated(FILE, content="a"), chunk(refusal="No."), annotated(FLAT, content="b"), STOP)
    parts = played.output[0]["content"]
    assert [part.get("annotations") for part in parts] == [[FILE], None, [FLAT]]
    assert [event["annotation_index"] for event in played.of_type("output_text.annotation.added")] == [0, 0]


def test_a_chunk_with_an_annotation_does_not_take_the_fast_path() -> None:
    frames = [chunk("a"), chunk("b"), annotated(FLAT), chunk("c"), STOP]
    played = answer(*frames)
    assert played.fast == 1
    assert played.frames == answer(*frames, slow=True).frames


def test_an_annotation_of_an_unknown_type_is_passed_on() -> None:
    """The SDK's types do not know it either, so the stream is not checked against them."""
    assert annotations_of(play([chunk("Hello"), annotated(UNKNOWN), STOP])) == [UNKNOWN]


@pytest.mark.parametrize("depth", [101, 300, 900])
def test_an_annotation_that_is_nested_too_deep_fails_the_response(depth: int) -> None:
    """It might be read and not be written: in the response it is nested deeper than in its chunk."""
    value = b'{"type": "x", "a": ' + b"[" * depth + b"]" * depth + b"}"
    nested = b'data: {"choices": [{"delta": {"annotations": [' + value + b"]}}]}\n\n"
    played = answer(chunk("Hello"), nested, chunk("!"), STOP)
    assert played.response["status"] == "failed"
    assert played.output[0]["content"][0]["text"] == "Hello"


def test_half_a_surrogate_pair_and_no_number_in_an_annotation_are_replaced() -> None:
    annotation = b'{"type": "video_citation", "a": "\\ud800", "b": NaN}'
    played = play([b'data: {"choices": [{"delta": {"annotations": [' + annotation + b"]}}]}\n\n", STOP])
    assert annotations_of(played) == [{"type": "video_citation", "a": "\ufffd", "b": None}]
