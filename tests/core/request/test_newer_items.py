"""Items that are newer than this code, or carry no type: read as what they look like, else left out and reported."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.driver import Json
from tests.core.request.conversations import (
    answered,
    assistant,
    called,
    chat_call,
    messages,
    reasoning,
    refusal,
    translated,
    user,
)


def assistant_message(content: str | None, **fields: str) -> Json:
    return {"role": "assistant", "content": content, **fields}


CALL = {"role": "assistant", "content": None, "tool_calls": [chat_call("a", "f", "{}")]}
SHAPES: list[tuple[Json, list[Json]]] = [
    ({"role": "user", "content": "One."}, [user("One.")]),
    ({"role": "assistant", "content": [{"type": "output_text", "text": "One."}]}, [assistant_message("One.")]),
    ({"call_id": "a", "name": "f", "arguments": "{}"}, [CALL]),
    ({"call_id": "a", "name": "f", "input": "x"}, [{**CALL, "tool_calls": [chat_call("a", "f", '{"input": "x"}')]}]),
    ({"id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}, [assistant_message(None, reasoning="Hm.")]),
]


@pytest.mark.parametrize(("item", "expected"), SHAPES, ids=lambda case: str(case)[:40])
@pytest.mark.parametrize("kind", [{}, {"type": None}, {"type": "from_the_future"}], ids=["absent", "null", "newer"])
def test_an_item_is_what_it_looks_like(kind: Json, item: Json, expected: list[Json]) -> None:
    made, report = translated([user("Hi"), {"id": "x_1", **item, **kind}, user("?")])
    assert made == [user("Hi"), *expected, user("?")]
    assert report == ('mapped=("input[1]")' if kind.get("type") else "")


@pytest.mark.parametrize("kind", [{}, {"type": "future_call_output"}])
def test_an_output_is_what_it_looks_like(kind: Json) -> None:
    assert messages([called("a"), {"call_id": "a", "output": "4", **kind}])[1] == answered("a")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"role": "user"},
        {"role": "narrator", "content": "x"},
        {"role": "user", "content": {"x": 1}},
        {"role": "user", "content": [7]},
        {"role": "system", "content": [{"type": "input_image", "image_url": "data:,"}]},
        {"call_id": "a", "name": "f", "arguments": {}},
        {"call_id": "unknown", "output": "x"},
        {"content": "Whose?"},
        {"call_id": "a", "name": "f", "arguments": "{}", "namespace": 7},
    ],
    ids=str,
)
def test_an_item_of_an_unknown_type_that_looks_like_nothing_is_left_out_and_reported(fields: Json) -> None:
    made, report = translated([user("Hi"), {"type": "from_the_future", "id": "x_1", **fields}])
    assert (made, report) == ([user("Hi")], 'dropped=("input[1]")')


def test_an_output_of_an_unknown_type_before_its_call_is_no_error_either() -> None:
    output = {"type": "future_call_output", "call_id": "a", "output": "4"}
    assert messages([output, called("a")]) == [CALL, answered("a")]
    unreadable = {**output, "output": [{"type": "input_file", "file_id": "file_1"}]}
    made, report = translated([unreadable, called("a")])
    assert (made, report) == ([CALL], 'dropped=("input[0]")')
    known = {**unreadable, "type": "function_call_output"}
    assert refusal(known, called("a")).param == "input[0].output[0].type"


def test_an_item_that_is_left_out_does_not_end_the_turn() -> None:
    (made,) = messages([assistant("One."), {"type": "newer", "role": "user", "content": [7]}, assistant("Two.")])
    assert made == assistant_message("One.\n\nTwo.")


def test_a_message_of_another_agent_says_whose_it_is() -> None:
    """Those of OpenAI's multi-agent beta have an author and a recipient, and no role."""
    encrypted = {"type": "encrypted_content", "encrypted_content": "x"}
    item = {
        "type": "agent_message",
        "author": "/root",
        "recipient": "/root/tests",
        "content": [
            {"type": "input_text", "text": "Run them."},
            {"type": "encrypted_content", "encrypted_content": "x"},
        ],
    }
    assert translated([item]) == (
        [user("Message from /root to /root/tests:\nRun them.")],
        'dropped=("input[0].content[1]")',
    )
    assert messages([{**item, "author": None, "recipient": None}]) == [user("Message from another agent:\nRun them.")]
    assert messages([{**item, "role": "user"}]) == [user("Run them.")]
    only_encrypted = {**item, "content": [encrypted]}
    assert translated([user("Hi"), only_encrypted]) == ([user("Hi")], 'dropped=("input[1].content[0]")')
    assert refusal({"type": "agent_message", "content": 7}).param == "input[0].content"


def test_a_call_without_a_type_is_no_reference() -> None:
    items = [{key: value for key, value in called("a", id="fc_1").items() if key != "type"}]
    assert messages(items) == [CALL]
    assert refusal({"id": "fc_1", "call_id": "a"}).param == "input[0]"


# Parts --------------------------------------------------------------------------------------------------------------

NEWER: list[Any] = [{"type": "hologram", "data": "AA=="}, {"type": "markup", "text": "4"}]


def test_an_unknown_part_of_an_output_is_its_text_or_left_out() -> None:
    made, report = translated([called("a"), {"type": "function_call_output", "call_id": "a", "output": NEWER}])
    assert made[1] == answered("a")
    assert report == 'dropped=("input[1].output[0]"), mapped=("input[1].output[1]")'


@pytest.mark.parametrize("role", ["user", "assistant", "system"])
def test_an_unknown_part_of_a_message_is_its_text_or_left_out(role: str) -> None:
    made, report = translated([{"role": role, "content": NEWER}])
    assert made == [{"role": role, "content": "4"}]
    assert report == 'dropped=("input[0].content[0]"), mapped=("input[0].content[1]")'


def test_an_unknown_part_of_reasoning_is_its_text_or_left_out() -> None:
    (made,), report = translated([reasoning(content=NEWER)])
    assert made["reasoning"] == "4"
    assert report == 'dropped=("input[0].content[0]"), mapped=("input[0].content[1]")'


# Fields of chat completions on a message ---------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_the_thoughts_on_an_assistant_message_are_reasoning(key: str) -> None:
    items = [user("Hi"), assistant("4.", **{key: "Hm."}), user("?")]
    assert messages(items)[1] == assistant_message("4.", reasoning="Hm.")
    assert messages(items, reasoning_from=2)[1] == assistant_message("4.")
    assert messages([{"role": "assistant", "content": None, key: "Hm."}]) == [assistant_message(None, reasoning="Hm.")]
    assert messages([assistant("4.", **{key: ""})]) == [assistant_message("4.")]
    assert refusal(assistant("4.", **{key: 7})).param == f"input[0].{key}"


def test_the_refusal_on_an_assistant_message_is_its_text() -> None:
    assert messages([{"role": "assistant", "content": None, "refusal": "No."}]) == [assistant_message("No.")]
    assert messages([assistant("Yes.", refusal=None)]) == [assistant_message("Yes.")]
