"""A response as it is stored: both halves together are what the client got."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.wire.responses import (
    FunctionCallItem,
    MessageItem,
    OutputText,
    Response,
    ResponseError,
)
from responses_shim.core.wire.stored import ended, output_of, runs_in_background, with_output, without_output
from tests.core.prepared import prepared


def response(*texts: str, **fields: Any) -> Response:
    """A completed response with a message for each text, and a call."""
    made = prepared(**fields).response
    made.status, made.completed_at, made.created_at = "completed", 1_700_000_001, 1_700_000_000
    made.output = [
        *(
            MessageItem(id=f"msg_{index}", content=[OutputText(text)], status="completed")
            for index, text in enumerate(texts)
        ),
        FunctionCallItem(id="fc_1", call_id="call_1", name="f", arguments='{"a": 1.50}', status="completed"),
    ]
    return made


@given(st.lists(st.text(), max_size=3), st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=2))
def test_both_halves_together_are_the_json_that_the_client_got_byte_for_byte(
    texts: list[str], metadata: dict[str, str]
) -> None:
    made = response(*texts, metadata=metadata, instructions="é\u2028")
    halves = without_output(made), [data for _, data in output_of(made)]
    assert msgspec.json.encode(with_output(*halves, made.status)) == msgspec.json.encode(made)


def test_the_half_without_output_has_an_empty_one_and_leaves_the_response_alone() -> None:
    made = response("Hello")
    assert json.loads(without_output(made))["output"] == []
    assert len(made.output) == 2


def test_the_items_are_named() -> None:
    assert [id for id, _ in output_of(response("a", "b"))] == ["msg_0", "msg_1", "fc_1"]


def test_the_status_is_the_one_that_it_has_now() -> None:
    queued = without_output(response())
    assert json.loads(msgspec.json.encode(with_output(queued, [], "in_progress")))["status"] == "in_progress"


@pytest.mark.parametrize("error", [None, ResponseError("server_error", "The server was shut down.")])
def test_a_response_that_is_ended_from_outside_has_another_status_and_says_why(error: ResponseError | None) -> None:
    before = json.loads(without_output(response()))
    after = json.loads(ended(without_output(response()), "failed", error))
    why = {"code": error.code, "message": error.message} if error is not None else None
    assert after == {**before, "status": "failed", "error": why}


def test_whether_it_runs_in_the_background_is_in_it() -> None:
    made = response()
    for background in (True, False):
        made.background = background
        assert runs_in_background(without_output(made)) is background
