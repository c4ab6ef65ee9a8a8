"""Input items as chat messages: one leading system message, one assistant message a turn."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseInputItemParam

from responses_shim.core.inputs import to_messages
from responses_shim.core.report import Report
from responses_shim.errors import InvalidRequest
from tests.core.pipeline import Json
from tests.oracle import check_error


def messages(items: Any, instructions: str | None = None) -> list[Json]:
    return to_messages(instructions, items, Report())


def refusal(*items: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        messages(list(items))
    check_error(caught.value.body())
    return caught.value


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


def assistant(content: Any) -> Json:
    return {"type": "message", "role": "assistant", "content": content}


def text(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": []}


def reasoning(**fields: Any) -> Json:
    return {"type": "reasoning", "id": "rs_1", "summary": [], **fields}


def called(call_id: str, name: str = "f", arguments: str = "{}") -> Json:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def result(call_id: str, output: Any = "4") -> Json:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def chat_call(call_id: str, name: str = "f", arguments: str = "{}") -> Json:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


# System and user -----------------------------------------------------------------------------------------------------


def test_a_string_is_a_user_message() -> None:
    assert messages("Hi") == [{"role": "user", "content": "Hi"}]


def test_instructions_lead() -> None:
    assert messages("Hi", "Be brief.") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]


@pytest.mark.parametrize("instructions", [None, ""])
def test_without_instructions_there_is_no_system_message(instructions: str | None) -> None:
    assert messages("Hi", instructions) == [{"role": "user", "content": "Hi"}]


def test_all_system_text_folds_into_the_leading_message() -> None:
    items = [
        {"role": "system", "content": "One."},
        user("Hi"),
        {
            "role": "developer",
            "content": [{"type": "input_text", "text": "Two."}, {"type": "input_text", "text": "Three."}],
        },
    ]
    assert messages(items, "Zero.") == [
        {"role": "system", "content": "Zero.\n\nOne.\n\nTwo.\nThree."},
        {"role": "user", "content": "Hi"},
    ]


@pytest.mark.parametrize("kind", [{}, {"type": None}, {"type": "message"}])
def test_a_message_needs_no_type(kind: Json) -> None:
    assert messages([{**user("Hi"), **kind, "id": "msg_1", "status": "completed", "internal": 1}]) == [user("Hi")]


def test_text_parts_become_one_string() -> None:
    parts = [{"type": "input_text", "text": "One."}, {"type": "text", "text": "Two."}]
    assert messages([user(parts)]) == [user("One.\nTwo.")]


@pytest.mark.parametrize("content", ["", []])
def test_an_empty_message_is_an_empty_string(content: Any) -> None:
    assert messages([user(content)]) == [user("")]


@pytest.mark.parametrize(
    ("image", "url"),
    [
        ({"image_url": "data:image/png;base64,AA=="}, {"url": "data:image/png;base64,AA=="}),
        ({"image_url": "https://a/b.png", "detail": "low"}, {"url": "https://a/b.png", "detail": "low"}),
        ({"image_url": "https://a/b.png", "detail": None}, {"url": "https://a/b.png"}),
        ({"image_url": {"url": "https://a/b.png", "detail": "high"}}, {"url": "https://a/b.png", "detail": "high"}),
        ({"image_url": {"url": "https://a/b.png"}, "detail": "high"}, {"url": "https://a/b.png", "detail": "high"}),
    ],
)
def test_an_image_keeps_its_place_among_the_text(image: Json, url: Json) -> None:
    content = [{"type": "input_text", "text": "Look:"}, {"type": "input_image", **image}]
    expected = [{"type": "text", "text": "Look:"}, {"type": "image_url", "image_url": url}]
    assert messages([user(content)]) == [user(expected)]


def test_an_image_in_the_chat_form_is_taken() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://a/b.png"}}
    assert messages([user([part])]) == [user([part])]


@pytest.mark.parametrize("items", [[], [reasoning()], [assistant("")]])
def test_an_input_that_says_nothing_is_missing(items: list[Json]) -> None:
    """Hosts answer no messages at all with an error, or with an answer to nothing."""
    error = refusal(*items)
    assert (error.message, error.param) == ("Missing required parameter: 'input'.", "input")


def test_instructions_alone_are_something_to_say() -> None:
    assert messages([], "Say hello.") == [{"role": "system", "content": "Say hello."}]


# The assistant's turn ------------------------------------------------------------------------------------------------


def test_what_the_model_said_in_one_turn_is_one_message() -> None:
    items = [
        user("2 + 2?"),
        reasoning(content=[{"type": "reasoning_text", "text": "Hm."}]),
        assistant([text("Let me "), text("see.")]),
        called("a"),
        called("b", "g", '{"x":1}'),
        result("a"),
        result("b", [{"type": "input_text", "text": "5"}, {"type": "input_text", "text": "6"}]),
        assistant("4."),
    ]
    assert messages(items) == [
        user("2 + 2?"),
        {
            "role": "assistant",
            "content": "Let me see.",
            "reasoning": "Hm.",
            "tool_calls": [chat_call("a"), chat_call("b", "g", '{"x":1}')],
        },
        {"role": "tool", "tool_call_id": "a", "content": "4"},
        {"role": "tool", "tool_call_id": "b", "content": "5\n6"},
        {"role": "assistant", "content": "4."},
    ]


def test_calls_without_text_have_no_content() -> None:
    (message, _) = messages([called("a"), result("a")])
    assert message == {"role": "assistant", "content": None, "tool_calls": [chat_call("a")]}


def test_two_messages_of_one_turn_go_on_where_the_first_ended() -> None:
    assert messages([assistant("One"), assistant([text(", two")]), user("?")])[0] == {
        "role": "assistant",
        "content": "One, two",
    }


def test_reasoning_begins_a_turn() -> None:
    items = [
        assistant("One."),
        reasoning(content="Hm."),
        assistant("Two."),
        called("a"),
        reasoning(content="Ah."),
        result("a"),
    ]
    assert [(message.get("reasoning"), message["content"]) for message in messages(items)] == [
        (None, "One."),
        ("Hm.", "Two."),
        ("Ah.", None),
        (None, "4"),
    ]


def test_reasoning_items_in_a_row_are_one() -> None:
    items = [reasoning(content="One."), reasoning(content="Two."), assistant("Three.")]
    assert messages(items) == [{"role": "assistant", "content": "Three.", "reasoning": "One.\nTwo."}]


def test_a_summary_stands_in_for_reasoning_that_is_not_there() -> None:
    summary = [{"type": "summary_text", "text": "One."}, {"type": "summary_text", "text": "Two."}]
    assert messages([reasoning(summary=summary), assistant("!")])[0]["reasoning"] == "One.\nTwo."
    content = [{"type": "reasoning_text", "text": "Hm."}]
    assert messages([reasoning(summary=summary, content=content), assistant("!")])[0]["reasoning"] == "Hm."


@pytest.mark.parametrize("nothing", [{}, {"content": None}, {"content": []}, {"summary": None}])
def test_reasoning_that_says_nothing_leaves_no_trace(nothing: Json) -> None:
    assert messages([user("Hi"), reasoning(**nothing), user("?")]) == [user("Hi"), user("?")]


def test_sealed_reasoning_is_reported() -> None:
    report = Report()
    assert to_messages(None, [user("Hi"), reasoning(encrypted_content="gAAA")], report) == [user("Hi")]
    assert report.header() == 'dropped=("input[1].encrypted_content")'


def test_a_refusal_is_text_to_the_next_turn() -> None:
    assert messages([assistant([{"type": "refusal", "refusal": "No."}]), user("?")])[0]["content"] == "No."


TURNS = st.lists(
    st.sampled_from(
        [
            user("Hi"),
            assistant("One."),
            reasoning(content="Hm."),
            called("a"),
            called("b"),
            result("a"),
            {"role": "developer", "content": "Be brief."},
        ]
    ),
    max_size=8,
)


@given(TURNS, TURNS)
def test_what_is_added_leaves_what_was_there_as_it_was(before: list[Json], after: list[Json]) -> None:
    """A host's prefix cache holds from turn to turn: a finished turn makes the same messages ever after."""
    before = [called("a"), *before, user("?")]
    after = [item for item in after if item.get("role") != "developer"]
    first = messages(before)
    assert messages([*before, *after])[: len(first)] == first


# What is refused -----------------------------------------------------------------------------------------------------

CODES = {
    "Missing required parameter": "missing_required_parameter",
    "Invalid value": "invalid_value",
    "Invalid type": "invalid_type",
    "Unsupported parameter": "unsupported_parameter",
}
SUPPORTED = "Supported values are: 'function_call', 'function_call_output', 'message' and 'reasoning'."


@pytest.mark.parametrize(
    ("item", "message", "param"),
    [
        ({}, "Missing required parameter: 'input[0].type'.", "input[0].type"),
        ({"type": None}, "Missing required parameter: 'input[0].type'.", "input[0].type"),
        ({"type": "nonsense"}, f"Invalid value: 'nonsense'. {SUPPORTED}", "input[0].type"),
        ({"type": 7}, f"Invalid value: 7. {SUPPORTED}", "input[0].type"),
        ({"type": []}, f"Invalid value: []. {SUPPORTED}", "input[0].type"),
        (
            {"type": "web_search_call"},
            "Unsupported parameter: items of type 'web_search_call' are not supported here yet.",
            "input[0].type",
        ),
        ({"type": "message"}, "Missing required parameter: 'input[0].role'.", "input[0].role"),
        (
            {"role": "tool", "content": "x"},
            "Invalid value: 'tool'. Supported values are: 'user', 'assistant', 'system' and 'developer'.",
            "input[0].role",
        ),
        (
            {"role": [], "content": "x"},
            "Invalid value: []. Supported values are: 'user', 'assistant', 'system' and 'developer'.",
            "input[0].role",
        ),
        (user(None), "Missing required parameter: 'input[0].content'.", "input[0].content"),
        (assistant(None), "Missing required parameter: 'input[0].content'.", "input[0].content"),
        (
            user(7),
            "Invalid type for 'input[0].content': expected a string or an array of content parts.",
            "input[0].content",
        ),
        (
            user([7]),
            "Invalid type for 'input[0].content[0]': expected an object.",
            "input[0].content[0]",
        ),
        (
            user([{"type": "input_text", "text": "x"}, {}]),
            "Missing required parameter: 'input[0].content[1].type'.",
            "input[0].content[1].type",
        ),
        (
            user([{"type": "input_text"}]),
            "Missing required parameter: 'input[0].content[0].text'.",
            "input[0].content[0].text",
        ),
        (
            user([{"type": "input_file", "file_id": "f"}]),
            "Unsupported parameter: content of type 'input_file' is not supported here yet.",
            "input[0].content[0].type",
        ),
        (
            user([{"type": "input_image"}]),
            "Missing required parameter: 'input[0].content[0].image_url'.",
            "input[0].content[0].image_url",
        ),
        (
            user([{"type": "input_image", "file_id": "f"}]),
            "Unsupported parameter: there are no stored files here; send a data URL in 'image_url'.",
            "input[0].content[0].file_id",
        ),
    ],
)
def test_a_wrong_item_is_named_by_its_path(item: Json, message: str, param: str) -> None:
    error = refusal(item)
    assert (error.message, error.param) == (message, param)
    assert error.code == CODES[message.partition(":")[0].partition(" for ")[0]]


@pytest.mark.parametrize("kind", ["nonsense", 7, []])
def test_a_part_of_an_unknown_type_is_told_the_known_ones(kind: Any) -> None:
    error = refusal(assistant([{"type": kind, "text": "x"}]))
    assert error.param == "input[0].content[0].type"
    assert "'output_text'" in error.message


@pytest.mark.parametrize(
    ("item", "param"),
    [
        (user([{"type": "input_text", "text": 7}]), "input[0].content[0].text"),
        (user([{"type": "input_image", "image_url": 7}]), "input[0].content[0].image_url"),
        (user([{"type": "input_image", "image_url": ""}]), "input[0].content[0].image_url"),
        ({**called("a"), "call_id": 7}, "input[0].call_id"),
        ({**called("a"), "name": {}}, "input[0].name"),
        ({**called("a"), "arguments": {}}, "input[0].arguments"),
        ({**result("a"), "call_id": []}, "input[0].call_id"),
    ],
)
def test_what_must_be_a_string_is_named(item: Json, param: str) -> None:
    error = refusal(item)
    assert error.message.startswith(f"Invalid type for '{param}': expected a ")
    assert (error.param, error.code) == (param, "invalid_type")


@pytest.mark.parametrize(
    ("item", "field"),
    [
        (called("a"), "call_id"),
        (called("a"), "name"),
        (called("a"), "arguments"),
        (result("a"), "call_id"),
        (result("a"), "output"),
    ],
)
@pytest.mark.parametrize("left_out", [True, False])
def test_what_an_item_needs_is_named(item: Json, field: str, left_out: bool) -> None:
    item = {**item, field: None}
    if left_out:
        del item[field]
    error = refusal(item)
    assert (error.param, error.code) == (f"input[0].{field}", "missing_required_parameter")


@pytest.mark.parametrize("part", [7, {"type": "input_text"}, {"type": "input_image", "image_url": "x"}])
def test_a_wrong_part_of_an_output_is_named_by_its_path(part: Any) -> None:
    error = refusal(called("a"), result("a", [part]))
    assert error.param is not None
    assert error.param.startswith("input[1].output[0]")


def test_a_wrong_part_of_a_summary_is_named_by_its_path() -> None:
    assert refusal(reasoning(summary=[7])).param == "input[0].summary[0]"


def test_an_output_without_its_call_is_refused() -> None:
    error = refusal(user("Hi"), called("a"), result("a"), result("b"))
    assert error.message == "No tool call found for the output with call_id 'b'."
    assert (error.param, error.code) == ("input[3].call_id", "invalid_value")


def types_of_the_api() -> list[str]:
    """Every type of input item that the SDK knows; that of a reference may be left out, so it is hidden deeper."""
    kinds = {"item_reference"}
    for item in get_args(ResponseInputItemParam):
        kinds.update(kind for kind in get_args(get_type_hints(item)["type"]) if isinstance(kind, str))
    return sorted(kinds - {"message", "reasoning", "function_call", "function_call_output"})


@pytest.mark.parametrize("kind", types_of_the_api())
def test_items_of_the_api_that_are_not_built_yet_are_refused_by_name(kind: str) -> None:
    error = refusal(user("Hi"), {"type": kind, "id": "x"})
    assert (error.param, error.code) == ("input[1].type", "unsupported_parameter")
    assert error.message == f"Unsupported parameter: items of type '{kind}' are not supported here yet."
