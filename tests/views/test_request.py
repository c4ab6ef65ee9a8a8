"""The view of a request: what it shows, and that a change to it changes one thing in the encoded body and no other."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.errors import InvalidRequest
from responses_shim.views.items import Message, Part, ToolCall
from responses_shim.views.request import Parameters, RequestView, Tool

# A body with something of every kind in it, and with unknown fields everywhere.
CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "look_up",
    "arguments": '{ "q" : "x" }',
    "status": "completed",
}
BODY: dict[str, Any] = {
    "future_field": None,
    "model": "m",
    "instructions": "Be exact.",
    "temperature": 0.2,
    "input": [
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Solve this", "future_part": 1},
                {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "high"},
                {"type": "input_file", "file_id": "file_1", "filename": "notes.txt"},
            ],
            "internal": {"a": []},
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "work"}],
            "encrypted_content": "c",
        },
        {"id": "msg_1", "role": "assistant", "content": "So be it.", "phase": "commentary"},
        CALL,
        {
            "type": "function_call_output",
            "call_id": "call_1",
            "output": [{"type": "input_text", "text": "r"}],
            "id": "o",
        },
        {"type": "mcp_call", "id": "mcp_1", "server_label": "docs", "name": "search", "arguments": "{}"},
        {"type": "item_reference", "id": "msg_0"},
        {"role": "user", "content": "And now?"},
    ],
    "max_output_tokens": 256,
    "metadata": {"tenant": "a"},
    "tools": [
        {"type": "function", "name": "look_up", "description": "d", "parameters": {"type": "object"}, "strict": True},
        {"type": "web_search", "search_context_size": "low"},
        {"type": "custom", "name": "grammar", "format": {"type": "text"}},
    ],
    "tool_choice": {"type": "mcp", "server_label": "docs"},
    "reasoning": {"effort": "high", "summary": "auto"},
    "store": False,
    "prompt_cache_options": {"scope": "request"},
}


def as_json(value: Any) -> str:
    """JSON text, to compare by: 1, 1.0 and true differ in it, and so do two orders of the same keys."""
    return json.dumps(value)


def changed(body: dict[str, Any], change: Callable[[RequestView], object]) -> dict[str, Any]:
    """The body that is encoded after a change to the view of `body`, which itself must not change."""
    before = copy.deepcopy(body)
    view = RequestView.of(body)
    change(view)
    encoded = view.encode()
    assert as_json(body) == as_json(before)
    return encoded


def expected(body: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """A copy of `body` with a change made to it directly."""
    body = copy.deepcopy(body)
    change(body)
    return body


def messages(*items: Any) -> list[Message]:
    return RequestView.of({"input": list(items)}).messages


# Nothing is lost ---------------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def mostly(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values) | json_values


def objects(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with any of these fields and some others, in any order."""
    some = st.fixed_dictionaries({}, optional=fields)
    return st.tuples(some, st.dictionaries(st.text(max_size=4), json_values, max_size=2)).flatmap(
        lambda pair: st.permutations(list({**pair[1], **pair[0]}.items())).map(dict)
    )


parts = objects(
    type=mostly("input_text", "output_text", "refusal", "input_image", "image_url", "summary_text"),
    text=mostly("t", ""),
    refusal=mostly("no"),
    image_url=mostly("https://example.com/i.png") | objects(url=mostly("u"), detail=json_values),
)
contents = mostly("text", "") | st.lists(parts | json_values, max_size=3)
items = objects(
    type=mostly(
        *("message", "reasoning", "function_call", "custom_tool_call", "shell_call", "apply_patch_call"),
        *("function_call_output", "computer_call_output", "tool_search_call", "item_reference", "web_search_call"),
    ),
    role=mostly("user", "assistant", "system", "developer", "tool", "critic"),
    content=contents,
    summary=contents,
    output=contents,
    id=mostly("msg_1"),
    call_id=mostly("call_1"),
    tool_call_id=mostly("call_1"),
    name=mostly("f"),
    arguments=mostly("{}", '{"a": 1}', "{oops", "", "1e999", '"\\ud800"', '{"a":1,"a":2}'),
    input=mostly("text"),
    action=json_values,
    status=mostly("completed"),
)
tools = objects(
    type=mostly("function", "custom", "mcp"),
    name=mostly("f"),
    description=mostly("d"),
    parameters=json_values,
    function=objects(name=mostly("f"), parameters=json_values),
)
bodies = objects(
    model=mostly("m"),
    instructions=mostly("Be brief.", ""),
    input=mostly("Hi") | st.lists(items | json_values, max_size=4),
    tools=st.lists(tools | json_values, max_size=2) | json_values,
    tool_choice=mostly("auto", "required", {"type": "none"}, {"type": "function", "name": "f"}),
    temperature=json_values,
    max_output_tokens=json_values,
    max_tokens=json_values,
    reasoning=json_values,
    metadata=json_values,
)


@given(bodies)
def test_an_unchanged_view_encodes_to_exactly_the_same_body(body: dict[str, Any]) -> None:
    assert as_json(RequestView.of(body).encode()) == as_json(body)


def test_a_full_request_stays_as_it_is() -> None:
    assert as_json(RequestView.of(BODY).encode()) == as_json(BODY)


def test_invalid_items_parts_and_tools_stay_as_they_are() -> None:
    body = {"input": [None, 7, {}, {"role": "user", "content": [None, "invalid", {}]}], "tools": [None, {}, "invalid"]}
    assert as_json(RequestView.of(body).encode()) == as_json(body)


@given(bodies, st.data())
def test_an_edited_message_changes_its_item_and_nothing_else(body: dict[str, Any], data: st.DataObject) -> None:
    view = RequestView.of(body)
    editable = [message for message in view.messages if isinstance(message.raw, dict) and message.content is not None]
    if not editable:
        return
    message = data.draw(st.sampled_from(editable))
    index = next(index for index, item in enumerate(view.raw["input"]) if item is message.raw)
    message.content = "something else"
    encoded = view.encode()
    key = "output" if str(message.raw.get("type")).endswith("_output") else "content"

    def edit(body: dict[str, Any]) -> None:
        body["input"][index][key] = "something else"

    assert as_json(encoded) == as_json(expected(body, edit))


@given(bodies, st.data())
def test_removing_a_message_removes_its_own_item(body: dict[str, Any], data: st.DataObject) -> None:
    view = RequestView.of(body)
    if not isinstance(body.get("input"), list) or not body["input"]:
        return
    index = data.draw(st.integers(0, len(body["input"]) - 1))
    del view.messages[index - len(body["input"])]
    assert as_json(view.encode()) == as_json(expected(body, lambda body: body["input"].pop(index)))


@given(bodies, st.lists(st.builds(Message, st.just("user"), st.text()), min_size=1, max_size=3))
def test_a_view_of_the_encoded_body_equals_the_view_it_was_made_of(body: dict[str, Any], new: list[Message]) -> None:
    view = RequestView.of(body)
    view.messages.extend(new)
    view.params["temperature"] = 1.5
    again = RequestView.of(view.encode())
    assert again == view
    assert [message.text for message in again.messages][-len(new) :] == [message.text for message in new]


@given(bodies, st.sampled_from(sorted(Parameters.__annotations__)))
def test_a_parameter_that_is_set_or_deleted_changes_its_own_field(body: dict[str, Any], name: str) -> None:
    key = "max_output_tokens" if name == "max_tokens" else name
    encoded = changed(body, lambda view: view.params.update({name: 3}))  # type: ignore[misc]
    assert as_json(encoded) == as_json({**body, key: 3})
    encoded = changed(body, lambda view: view.params.pop(name, None))  # type: ignore[misc]
    assert as_json(encoded) == as_json({k: value for k, value in body.items() if k != key})


def test_changing_nested_values_of_a_view_does_not_change_the_original_body() -> None:
    def change(view: RequestView) -> None:
        view.extra["metadata"]["tenant"] = "b"
        view.messages[1].raw["internal"]["a"].append(1)
        assert view.tools[0].parameters is not None
        view.tools[0].parameters["properties"] = {}

    encoded = changed(BODY, change)
    assert encoded["metadata"] == {"tenant": "b"}
    assert encoded["input"][0]["internal"] == {"a": [1]}
    assert encoded["tools"][0]["parameters"] == {"type": "object", "properties": {}}


def test_a_change_can_be_undone_after_encoding() -> None:
    """Encoding does not change the view, nor the `raw` of any of its objects."""
    image = {"type": "image_url", "image_url": {"url": "u", "detail": "low"}}
    nested = {"type": "function", "function": {"name": "f"}}
    body = {"input": [CALL, {"role": "user", "content": [image]}], "tools": [nested], "model": "m"}
    view = RequestView.of(body)
    content = view.messages[1].content
    assert isinstance(content, list)
    (call,), (part,), (tool,) = view.messages[0].tool_calls, content, view.tools
    view.model, view.messages[1].role, call.name, part.image_url, tool.name = "n", "developer", "g", "v", "g"
    assert view.encode() != body
    assert as_json(view.raw) == as_json(body)
    view.model, view.messages[1].role, call.name, part.image_url, tool.name = "m", "user", "look_up", "u", "f"
    assert as_json(view.encode()) == as_json(body)


# Fields of the request ----------------------------------------------------------------------------------------------


def test_unknown_fields_are_shown_in_extra() -> None:
    view = RequestView.of({"model": "m", "input": "Hi", "cache_salt": "s", "priority": 3, "future": {"a": [None]}})
    assert view.extra == {"cache_salt": "s", "priority": 3, "future": {"a": [None]}}


def test_store_parallel_tool_calls_truncation_and_reasoning_are_in_params() -> None:
    fields = {"store": True, "parallel_tool_calls": True, "truncation": "auto", "reasoning": {"effort": "minimal"}}
    view = RequestView.of({"model": "m", "input": "Hi", **fields})
    assert view.params == fields
    assert view.extra == {}


def test_a_reasoning_item_may_have_a_string_as_its_summary() -> None:
    """LiteLLM sends such items."""
    item = {"type": "reasoning", "id": "rs_1", "summary": "work", "status": None}
    (message,) = messages(item)
    assert (message.role, message.summary, message.reasoning, message.content) == ("assistant", "work", None, None)
    assert list(message.encode()) == [item]
    message.rewrite(str.upper)
    assert list(message.encode()) == [{**item, "summary": "WORK"}]


@pytest.mark.parametrize(
    ("choice", "shown"),
    [
        ("required", "required"),
        ({"type": "auto", "disable_parallel_tool_use": True}, "auto"),
        ({"type": "none"}, "none"),
        ({"type": "function", "name": "f"}, {"type": "function", "name": "f"}),
        (None, None),
        (7, None),
    ],
    ids=str,
)
def test_a_tool_choice_is_shown_as_a_mode_but_encoded_as_it_was(choice: Any, shown: Any) -> None:
    body = {"tool_choice": choice, "model": "m"}
    assert RequestView.of(body).tool_choice == shown
    assert as_json(RequestView.of(body).encode()) == as_json(body)
    assert changed(body, lambda view: setattr(view, "tool_choice", "required")) == {**body, "tool_choice": "required"}


def test_setting_the_tool_choice_to_none_removes_it() -> None:
    def without(view: RequestView) -> None:
        view.tool_choice = None

    assert changed({"tool_choice": {"type": "auto"}}, without) == {}
    assert changed({"tool_choice": "auto"}, without) == {}


def test_a_tool_choice_object_may_be_edited_in_place() -> None:
    def rename(view: RequestView) -> None:
        assert isinstance(view.tool_choice, dict)
        view.tool_choice["name"] = "g"

    choice = {"type": "function", "name": "f", "future": 1}
    assert changed({"tool_choice": choice}, rename) == {"tool_choice": {**choice, "name": "g"}}


# Instructions and input --------------------------------------------------------------------------------------------


def test_the_instructions_are_the_first_system_message() -> None:
    view = RequestView.of({"instructions": "Be brief.", "input": "Hi"})
    assert view.messages == [Message("system", "Be brief."), Message("user", "Hi")]


def test_an_input_that_is_a_string_stays_one() -> None:
    body = {"instructions": "Be brief.", "input": "Hi"}

    def edit(view: RequestView) -> None:
        view.messages[0].content = "Be long."
        view.messages[1].rewrite(str.upper)

    assert changed(body, edit) == {"instructions": "Be long.", "input": "HI"}
    assert changed(body, lambda view: view.messages.pop(0)) == {"input": "Hi"}
    assert changed(body, lambda view: view.messages.__setitem__(1, Message("user", "Ho"))) == {**body, "input": "Ho"}


def test_a_new_system_message_in_first_place_becomes_the_instructions() -> None:
    def insert(view: RequestView) -> None:
        view.messages.insert(0, Message("system", "Be brief."))

    assert changed({"input": "Hi"}, insert) == {"input": "Hi", "instructions": "Be brief."}
    assert changed({"instructions": None, "input": []}, insert) == {"instructions": "Be brief.", "input": []}
    former = {"type": "message", "role": "system", "content": "Be kind."}
    assert changed({"instructions": "Be kind.", "input": []}, insert) == {
        "instructions": "Be brief.",
        "input": [former],
    }


def test_a_system_message_of_the_input_stays_in_the_input() -> None:
    body = {"input": [{"role": "system", "content": "Be brief."}]}
    assert changed(body, lambda view: view.messages[0].rewrite(str.upper)) == {
        "input": [{"role": "system", "content": "BE BRIEF."}]
    }


def test_instructions_changed_to_parts_become_an_item() -> None:
    def to_parts(view: RequestView) -> None:
        view.messages[0].content = [Part("a"), Part("b")]

    content = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    user = {"type": "message", "role": "user", "content": "Hi"}
    assert changed({"instructions": "a", "input": "Hi"}, to_parts) == {
        "input": [{"type": "message", "role": "system", "content": content}, user]
    }


def test_new_messages_become_items_in_their_place() -> None:
    body = {"input": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}

    def insert(view: RequestView) -> None:
        view.messages[1:1] = [
            Message("assistant", "Let me see.", tool_calls=[ToolCall("c", "f", {"q": "ü"}), ToolCall("d", "g")]),
            Message("tool", "found", tool_call_id="c"),
            Message("tool", [Part(image_url="data:image/png;base64,")], tool_call_id="d"),
            Message("assistant", [Part("There.")], reasoning="Hm."),
            Message("assistant", summary=[Part("Thought.")]),
            Message("developer", "Be brief."),
            Message("user"),
        ]

    encoded = changed(body, insert)
    assert encoded["input"] == [
        body["input"][0],
        {"type": "message", "role": "assistant", "content": "Let me see."},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"q": "ü"}'},
        {"type": "function_call", "call_id": "d", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "found"},
        {
            "type": "function_call_output",
            "call_id": "d",
            "output": [{"type": "input_image", "image_url": "data:image/png;base64,"}],
        },
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "There."}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Thought."}], "content": []},
        {"type": "message", "role": "developer", "content": "Be brief."},
        body["input"][1],
    ]


def test_messages_may_be_moved() -> None:
    encoded = changed(BODY, lambda view: view.messages.reverse())
    former = {"type": "message", "role": "system", "content": "Be exact."}
    assert encoded["input"] == [*reversed(BODY["input"]), former]
    assert "instructions" not in encoded


@pytest.mark.parametrize(
    ("body", "encoded"),
    [
        ({"instructions": "a", "input": "b"}, {"input": []}),
        ({"instructions": None, "input": [{}, None]}, {"instructions": None, "input": []}),
        ({"instructions": ["a"], "input": 7}, {"instructions": ["a"], "input": 7}),
        ({}, {}),
    ],
    ids=str,
)
def test_removing_all_messages(body: dict[str, Any], encoded: dict[str, Any]) -> None:
    assert changed(body, lambda view: view.messages.clear()) == encoded


def test_adding_a_message_to_a_request_without_input() -> None:
    hi = {"type": "message", "role": "user", "content": "Hi"}
    assert changed({"input": None}, lambda view: view.messages.append(Message("user", "Hi"))) == {"input": [hi]}
    assert RequestView(model="m", messages=[Message("user", "Hi")]).encode() == {"input": [hi], "model": "m"}


# Messages ----------------------------------------------------------------------------------------------------------


def test_every_item_is_one_message() -> None:
    shown = [(message.role, message.text) for message in RequestView.of(BODY).messages]
    assert shown == [
        ("system", "Be exact."),
        ("user", "Solve this"),
        ("assistant", ""),
        ("assistant", "So be it."),
        ("assistant", ""),
        ("tool", "r"),
        ("other", ""),
        ("other", ""),
        ("user", "And now?"),
    ]


def test_parts_show_text_refusals_and_images() -> None:
    (message,) = messages(
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "a"},
                {"type": "refusal", "refusal": "no"},
                {"type": "input_image", "image_url": "u"},
                {"type": "image_url", "image_url": {"url": "v"}},
                {"type": "input_file", "file_id": "f"},
                "invalid",
            ],
        }
    )
    assert message.content == [Part("a"), Part("no"), Part(image_url="u"), Part(image_url="v"), Part(), Part()]
    assert message.text == "a\nno"


def test_a_part_that_is_edited_keeps_its_form() -> None:
    item: dict[str, Any] = {
        "role": "user",
        "content": [
            {"type": "refusal", "refusal": "no", "x": 1},
            {"type": "image_url", "image_url": {"url": "v", "detail": "low"}},
            {"type": "input_image", "image_url": "u"},
            None,
        ],
    }
    (message,) = messages(item)
    assert isinstance(message.content, list)
    message.content[0].text = "yes"
    message.content[1].image_url = "w"
    message.content[2].image_url = None
    message.content[3].text = "instead"
    assert list(message.encode()) == [
        {
            "role": "user",
            "content": [
                {"type": "refusal", "refusal": "yes", "x": 1},
                {"type": "image_url", "image_url": {"url": "w", "detail": "low"}},
                {"type": "input_image"},
                {"type": "input_text", "text": "instead"},
            ],
        }
    ]


def test_rewrite_changes_every_text_of_a_message() -> None:
    thought = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "b"}], "summary": [{"text": "c"}]}
    user = {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "u"}]}
    output = {"type": "shell_call_output", "output": [{"stdout": "s"}]}
    views = messages(thought, user, output)
    for message in views:
        message.rewrite(str.upper)
    assert [item for message in views for item in message.encode()] == [
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "B"}], "summary": [{"text": "C"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "A"}, {"type": "input_image", "image_url": "u"}]},
        output,
    ]


def test_a_reasoning_item_keeps_its_other_fields() -> None:
    item: dict[str, Any] = {"type": "reasoning", "id": "rs", "summary": [], "content": [], "status": None}
    item["encrypted_content"] = "c"
    (message,) = messages(item)
    message.reasoning = [Part("Hm.")]
    assert list(message.encode()) == [{**item, "content": [{"type": "reasoning_text", "text": "Hm."}]}]
    message.reasoning = message.summary = None
    message.content = "Said after all."
    assert list(message.encode()) == [
        {"type": "reasoning", "id": "rs", "status": None, "encrypted_content": "c"},
        {"type": "message", "role": "assistant", "content": "Said after all."},
    ]


def test_a_tool_output_shows_the_id_of_its_call() -> None:
    output, chat = messages(
        {"type": "custom_tool_call_output", "call_id": "c", "output": "o"},
        {"role": "tool", "tool_call_id": "d", "content": "o"},
    )
    assert output == Message("tool", "o", tool_call_id="c")
    assert chat == Message("tool", "o", tool_call_id="d")
    output.tool_call_id, output.content = "e", None
    chat.tool_call_id = None
    assert list(output.encode()) == [{"type": "custom_tool_call_output", "call_id": "e"}]
    assert list(chat.encode()) == [{"role": "tool", "content": "o"}]


def test_the_role_of_a_message_may_be_changed() -> None:
    message, other = messages({"type": "message", "role": "developer", "content": "a", "id": "msg"}, 7)
    message.role = "system"
    assert list(message.encode()) == [{"type": "message", "role": "system", "content": "a", "id": "msg"}]
    other.role, other.content = "user", "b"
    assert list(other.encode()) == [{"type": "message", "role": "user", "content": "b"}]


# Calls -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "call"),
    [
        (CALL, ToolCall("call_1", "look_up", {"q": "x"})),
        ({**CALL, "arguments": "{oops"}, ToolCall("call_1", "look_up", "{oops")),
        ({**CALL, "arguments": "[" * 9999}, ToolCall("call_1", "look_up", "[" * 9999)),
        ({"type": "function_call", "id": "fc_1", "name": "f"}, ToolCall("", "f", {})),
        ({"type": "custom_tool_call", "call_id": "c", "name": "p", "input": "42"}, ToolCall("c", "p", "42")),
        ({"type": "custom_tool_call", "call_id": "c"}, ToolCall("c", "", {})),
        ({"type": "shell_call", "call_id": "c", "action": {"commands": []}}, ToolCall("c", "shell", {"commands": []})),
        ({"type": "apply_patch_call", "call_id": "c", "operation": {}}, ToolCall("c", "apply_patch", {})),
        ({"type": "web_search_call", "id": "ws"}, None),
        ({"type": ["function_call"]}, None),
        ("function_call", None),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_call_shows_its_call_id_name_and_arguments(item: Any, call: ToolCall | None) -> None:
    assert ToolCall.of(item) == call
    assert call is None or messages(item) == [Message("assistant", tool_calls=[call])]


def test_a_call_that_is_edited_keeps_the_other_fields_of_its_item() -> None:
    (message,) = messages(CALL)
    (call,) = message.tool_calls
    call.call_id, call.name = "call_2", "find"
    assert list(message.encode()) == [{**CALL, "call_id": "call_2", "name": "find"}]
    call.arguments["q"] = "é"
    assert list(message.encode()) == [{**CALL, "call_id": "call_2", "name": "find", "arguments": '{"q": "é"}'}]
    call.arguments = "as it is"
    assert next(message.encode())["arguments"] == "as it is"


def test_changing_an_argument_from_1_to_true_is_a_change() -> None:
    """Though 1 == True in Python."""
    (message,) = messages({**CALL, "arguments": '{"a":1}'})
    message.tool_calls[0].arguments["a"] = True
    assert next(message.encode())["arguments"] == '{"a": true}'


def test_a_custom_call_is_edited_as_text_and_a_shell_call_as_an_object() -> None:
    custom = {"type": "custom_tool_call", "call_id": "c", "name": "p", "input": "a"}
    shell = {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}}
    bare = {"type": "shell_call", "call_id": "c"}
    edited, ran, begun = messages(custom, shell, bare)
    edited.tool_calls[0].arguments = "b"
    ran.tool_calls[0].arguments["commands"].append("pwd")
    assert list(begun.encode()) == [bare]
    begun.tool_calls[0].arguments["commands"] = []
    assert list(edited.encode()) == [{**custom, "input": "b"}]
    assert list(ran.encode()) == [{**shell, "action": {"commands": ["ls", "pwd"]}}]
    assert list(begun.encode()) == [{**bare, "action": {"commands": []}}]


def test_a_message_whose_call_is_removed_has_no_item_any_more() -> None:
    encoded = changed({"input": [CALL]}, lambda view: view.messages[0].tool_calls.clear())
    assert encoded == {"input": []}


# Tools -------------------------------------------------------------------------------------------------------------


def test_a_function_is_shown_the_same_in_the_flat_and_the_nested_form() -> None:
    flat = {"type": "function", "name": "f", "description": "d", "parameters": {}, "strict": True}
    nested = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {}, "strict": True}}
    view = RequestView.of({"tools": [flat, nested]})
    assert view.tools == [Tool("f", "d", {}), Tool("f", "d", {})]
    for tool in view.tools:
        tool.name, tool.description = "g", None
    assert view.encode() == {
        "tools": [
            {"type": "function", "name": "g", "parameters": {}, "strict": True},
            {"type": "function", "function": {"name": "g", "parameters": {}, "strict": True}},
        ]
    }


def test_other_tools_stay_as_they_are() -> None:
    tools = [
        {"type": "web_search", "user_location": {}},
        {"type": "custom", "name": "p", "format": {}},
        None,
        "invalid",
    ]
    view = RequestView.of({"tools": tools})
    assert view.tools == [Tool(type="web_search"), Tool("p", type="custom"), Tool(type=None), Tool(type=None)]
    del view.tools[0]
    assert view.encode() == {"tools": tools[1:]}


def test_a_new_tool_is_a_function() -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    added = changed({"tools": None}, lambda view: view.tools.append(Tool("f", parameters={"type": "object"})))
    assert added == {"tools": [tool]}


# Parameters and other fields ---------------------------------------------------------------------------------------


def test_the_parameter_max_tokens_is_the_field_max_output_tokens() -> None:
    view = RequestView.of({"max_output_tokens": 5, "max_tokens": 7})
    assert view.params == {"max_tokens": 5}
    view.params["max_tokens"] = 6
    assert view.encode() == {"max_output_tokens": 6, "max_tokens": 7}


def test_a_parameter_that_is_null_is_shown() -> None:
    assert RequestView.of({"temperature": None}).params == {"temperature": None}


def test_the_model_may_be_changed_and_removed() -> None:
    assert changed({"model": "a"}, lambda view: setattr(view, "model", "b")) == {"model": "b"}
    assert changed({"model": "a"}, lambda view: setattr(view, "model", None)) == {}
    assert changed({"model": 7}, lambda view: None) == {"model": 7}


def test_other_fields_are_set_and_removed_through_extra() -> None:
    def change(view: RequestView) -> None:
        view.extra["user"] = "u"
        del view.extra["metadata"]

    assert changed({"metadata": {}, "model": "m"}, change) == {"model": "m", "user": "u"}


def test_a_field_in_extra_wins_over_the_attribute_for_it() -> None:
    assert changed({"model": "a"}, lambda view: view.extra.update(model="b", store=True)) == {
        "model": "b",
        "store": True,
    }


def test_a_request_that_is_nested_too_deeply_is_refused() -> None:
    deep: Any = "x"
    for _ in range(sys.getrecursionlimit() * 20):
        deep = [deep]
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        RequestView.of({"metadata": deep})


def test_arguments_that_are_nested_too_deeply_to_be_encoded_are_refused() -> None:
    deep: Any = "x"
    for _ in range(sys.getrecursionlimit() * 20):
        deep = [deep]
    view = RequestView.of({"input": []})
    view.messages.append(Message("assistant", tool_calls=[ToolCall("c", "f", deep)]))
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        view.encode()
