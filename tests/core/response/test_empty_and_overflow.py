"""What an operator may choose for those who train: a message in every answer, and no failure for a long request.

NeMo Gym counts on both: it takes the first message of an answer, and goes on when a request has become too long.
"""

from __future__ import annotations

import pytest

from responses_shim.core.response.options import ResponseOptions
from tests.core.driver import answer
from tests.core.response.extras import PROMPT, tokens, tokens_of_items
from tests.scripted import chunk, frame

STOP = chunk(finish_reason="stop")
EMPTY_TEXT = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
TOO_LONG = frame({"error": {"message": "too long", "code": "context_length_exceeded"}})


@pytest.mark.parametrize("token_ids", [False, True])
def test_an_empty_answer_has_a_message_with_an_empty_text_if_the_operator_wants_one(token_ids: bool) -> None:
    played = answer(PROMPT, STOP, options=ResponseOptions(empty_message=True, token_ids=token_ids))
    (item,) = played.output
    assert item["content"] == [EMPTY_TEXT]
    assert tokens_of_items(played) == [tokens() if token_ids else {}]


@pytest.mark.parametrize("frames", [[], [frame({"error": "gone"})], [chunk(finish_reason="abort")]])
def test_an_empty_answer_that_failed_has_no_message(frames: list[bytes]) -> None:
    assert answer(*frames, options=ResponseOptions(empty_message=True)).output == []


def test_an_answer_with_an_item_gets_no_empty_message() -> None:
    frames = [chunk(reasoning="Hm."), STOP]
    assert answer(*frames, options=ResponseOptions(empty_message=True)).frames == answer(*frames).frames


@pytest.mark.parametrize("token_ids", [False, True])
def test_a_request_that_is_too_long_gives_an_incomplete_response_if_the_operator_wants_one(token_ids: bool) -> None:
    response = answer(TOO_LONG, options=ResponseOptions(incomplete_on_overflow=True, token_ids=token_ids)).response
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert (response["output"], response["error"]) == ([], None)


@pytest.mark.parametrize(
    "frames",
    [[chunk("Hel"), TOO_LONG], [frame({"error": "gone"})], [frame({"error": "gone"}), TOO_LONG]],
    ids=["too long in the middle", "another failure", "another failure first"],
)
def test_any_other_failure_stays_a_failure(frames: list[bytes]) -> None:
    assert answer(*frames, options=ResponseOptions(incomplete_on_overflow=True)).response["status"] == "failed"


def test_a_request_that_is_too_long_is_a_failure_without_the_option() -> None:
    assert answer(TOO_LONG).response["status"] == "failed"
