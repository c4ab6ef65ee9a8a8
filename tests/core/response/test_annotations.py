"""Annotations of a text: citations, in the stream and on the finished part."""

from __future__ import annotations

import json

import pytest

from tests.core.driver import Json, Played, answer, play
from tests.scripted import chunk, frame

STOP = chunk(finish_reason="stop")
NESTED = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 1, "end_index": 2}}
FLAT = {"type": "url_citation", "url": "u", "title": "t", "start_index": 1, "end_index": 2}
FILE = {"type": "file_citation", "file_id": "file-1", "filename": "a.pdf", "index": 3}
PATH = {"type": "file_path", "file_id": "file-2", "index": 4}
OF_CONTAINER = {
    "type": "container_file_citation",
    "container_id": "cntr-1",
    "file_id": "file-3",
    "filename": "b.csv",
    "start_index": 5,
    "end_index": 6,
}
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


@pytest.mark.parametrize("annotation", [FLAT, FILE, OF_CONTAINER, PATH], ids=lambda annotation: annotation["type"])
def test_annotations_of_all_types_are_passed_on(annotation: Json) -> None:
    played = answer(chunk("Hello"), annotated(annotation), STOP)
    assert annotations_of(played) == [annotation]
    assert played.stream.ignored_annotations == 0


def test_what_an_annotation_has_beyond_the_api_is_kept() -> None:
    """Such as the text of the page, which OpenRouter gives. The SDK's types take it; the oracle knows no such key."""
    more = FLAT | {"content": "A page."}
    assert annotations_of(play([chunk("Hello"), annotated(more), STOP])) == [more]


@pytest.mark.parametrize(
    "annotation",
    [
        UNKNOWN,
        {**UNKNOWN, "video_citation": FLAT},
        {"type": "file_path", "file_id": "file-2"},
        {"type": "file_path", "file_id": "file-2", "index": True},
        {**FILE, "filename": None},
    ],
    ids=["type", "type, nested", "key", "type of a value", "null"],
)
def test_an_annotation_that_is_none_of_the_api_is_ignored(annotation: Json) -> None:
    """The SDK's types do not have it: `answer` checks each event against them."""
    played = answer(annotated(annotation), chunk("Hello"), annotated(annotation, FLAT, content="!"), STOP)
    assert annotations_of(played) == [FLAT]
    assert played.output[0]["content"][0]["text"] == "Hello!"
    assert played.stream.ignored_annotations == 2


def test_an_annotation_that_is_ignored_opens_nothing() -> None:
    played = answer(chunk(reasoning="Hm."), annotated(UNKNOWN), chunk(reasoning=" Yes."), chunk("Hello"), STOP)
    assert [item["type"] for item in played.output] == ["reasoning", "message"]


@pytest.mark.parametrize("depth", [101, 300, 900])
def test_an_annotation_that_is_nested_too_deep_fails_the_response(depth: int) -> None:
    """It might be read and not be written: in the response it is nested deeper than in its chunk."""
    value = json.dumps(FILE).encode()[:-1] + b', "a": ' + b"[" * depth + b"]" * depth + b"}"
    nested = b'data: {"choices": [{"delta": {"annotations": [' + value + b"]}}]}\n\n"
    played = answer(chunk("Hello"), nested, chunk("!"), STOP)
    assert played.response["status"] == "failed"
    assert played.output[0]["content"][0]["text"] == "Hello"


def test_an_annotation_that_is_ignored_may_be_nested_as_deep_as_it_likes() -> None:
    nested = b'{"type": "x", "a": ' + b"[" * 300 + b"]" * 300 + b"}"
    played = answer(b'data: {"choices": [{"delta": {"annotations": [' + nested + b"]}}]}\n\n", chunk("Hello"), STOP)
    assert played.response["status"] == "completed"


def test_half_a_surrogate_pair_and_no_number_in_an_annotation_are_replaced() -> None:
    annotation = json.dumps(FILE).encode()[:-1] + b', "a": "\\ud800", "b": NaN}'
    played = play([b'data: {"choices": [{"delta": {"annotations": [' + annotation + b"]}}]}\n\n", STOP])
    assert annotations_of(played) == [FILE | {"a": "\ufffd", "b": None}]
