"""The view of a request: what it shows, and that encoding it changes what was changed and nothing else."""

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

# A body with everything in it, and unknown fields everywhere.
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


def written(value: Any) -> str:
    """JSON text: tells 1 from true and 1.0, and one order of keys from another, which == does not."""
    return json.dumps(value)


def changed(body: dict[str, Any], change: Callable[[RequestView], object]) -> dict[str, Any]:
    """The body after a change to its view; the body itself must not have been touched."""
    before = copy.deepcopy(body)
    view = RequestView.of(body)
    change(view)
    encoded = view.encode()
    assert written(body) == written(before)
    return encoded


def expected(body: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
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
    """Objects with any of the fields, in any order, and others beside."""
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
contents = mostly("said", "") | st.lists(parts | json_values, max_size=3)
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
def test_a_view_that_is_not_changed_encodes_to_the_very_same_body(body: dict[str, Any]) -> None:
    assert written(RequestView.of(body).encode()) == written(body)


def test_a_whole_request_stays_as_it_is() -> None:
    assert written(RequestView.of(BODY).encode()) == written(BODY)


def test_what_is_no_item_no_part_and_no_tool_stays_as_it_is() -> None:
    body = {"input": [None, 7, {}, {"role": "user", "content": [None, "odd", {}]}], "tools": [None, {}, "odd"]}
    assert written(RequestView.of(body).encode()) == written(body)


@given(bodies, st.data())
def test_an_edited_message_changes_its_item_and_nothing_else(body: dict[str, Any], data: st.DataObject) -> None:
    view = RequestView.of(body)
    editable = [message for message in view.messages if isinstance(message.raw, dict) and message.content is not None]
    if not editable:
        return
    message = data.draw(st.sampled_from(editable))
    place = next(place for place, item in enumerate(view.raw["input"]) if item is message.raw)
    message.content = "something else"
    encoded = view.encode()
    key = "output" if str(message.raw.get("type")).endswith("_output") else "content"

    def edit(body: dict[str, Any]) -> None:
        body["input"][place][key] = "something else"

    assert written(encoded) == written(expected(body, edit))


@given(bodies, st.data())
def test_a_removed_message_takes_its_own_item_with_it(body: dict[str, Any], data: st.DataObject) -> None:
    view = RequestView.of(body)
    if not isinstance(body.get("input"), list) or not body["input"]:
        return
    place = data.draw(st.integers(0, len(body["input"]) - 1))
    del view.messages[place - len(body["input"])]
    assert written(view.encode()) == written(expected(body, lambda body: body["input"].pop(place)))


@given(bodies, st.lists(st.builds(Message, st.just("user"), st.text()), min_size=1, max_size=3))
def test_a_new_view_of_what_was_encoded_shows_the_same(body: dict[str, Any], new: list[Message]) -> None:
    view = RequestView.of(body)
    view.messages.extend(new)
    view.params["temperature"] = 1.5
    again = RequestView.of(view.encode())
    assert again == view
    assert [message.text for message in again.messages][-len(new) :] == [message.text for message in new]


@given(bodies, st.sampled_from(sorted(Parameters.__annotations__)))
def test_a_parameter_is_set_and_deleted_where_it_stands(body: dict[str, Any], name: str) -> None:
    key = "max_output_tokens" if name == "max_tokens" else name
    encoded = changed(body, lambda view: view.params.update({name: 3}))  # type: ignore[misc]
    assert written(encoded) == written({**body, key: 3})
    encoded = changed(body, lambda view: view.params.pop(name, None))  # type: ignore[misc]
    assert written(encoded) == written({k: value for k, value in body.items() if k != key})


def test_the_body_that_was_viewed_is_not_touched() -> None:
    def change(view: RequestView) -> None:
        view.extra["metadata"]["tenant"] = "b"
        view.messages[1].raw["internal"]["a"].append(1)
        assert view.tools[0].parameters is not None
        view.tools[0].parameters["properties"] = {}

    encoded = changed(BODY, change)
    assert encoded["metadata"] == {"tenant": "b"}
    assert encoded["input"][0]["internal"] == {"a": [1]}
    assert encoded["tools"][0]["parameters"] == {"type": "object", "properties": {}}


def test_what_was_changed_can_be_changed_back() -> None:
    """Encoding leaves the view as it is, down to what its objects keep of the request."""
    image = {"type": "image_url", "image_url": {"url": "u", "detail": "low"}}
    nested = {"type": "function", "function": {"name": "f"}}
    body = {"input": [CALL, {"role": "user", "content": [image]}], "tools": [nested], "model": "m"}
    view = RequestView.of(body)
    content: Any = view.messages[1].content
    (call,), (part,), (tool,) = view.messages[0].tool_calls, content, view.tools
    assert isinstance(part, Part)
    view.model, view.messages[1].role, call.name, part.image_url, tool.name = "n", "developer", "g", "v", "g"
    assert view.encode() != body
    assert written(view.raw) == written(body)
    view.model, view.messages[1].role, call.name, part.image_url, tool.name = "m", "user", "look_up", "u", "f"
    assert written(view.encode()) == written(body)


# What other consumers rely on ---------------------------------------------------------------------------------------


def test_unknown_keys_round_trip_and_are_shown() -> None:
    view = RequestView.of({"model": "m", "input": "Hi", "cache_salt": "s", "priority": 3, "future": {"a": [None]}})
    assert view.extra == {"cache_salt": "s", "priority": 3, "future": {"a": [None]}}


def test_store_parallel_calls_truncation_and_reasoning_are_parameters() -> None:
    asked = {"store": True, "parallel_tool_calls": True, "truncation": "auto", "reasoning": {"effort": "minimal"}}
    view = RequestView.of({"model": "m", "input": "Hi", **asked})
    assert view.params == asked
    assert view.extra == {}


def test_litellms_reasoning_item_with_a_string_for_a_summary_and_no_status_passes() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": "work", "status": None}
    (message,) = messages(item)
    assert (message.role, message.summary, message.reasoning, message.content) == ("assistant", "work", None, None)
    assert list(message.encode()) == [item]
    message.rewrite(str.upper)
    assert list(message.encode()) == [{**item, "summary": "WORK"}]


@pytest.mark.parametrize(
    ("choice", "seen"),
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
def test_a_tool_choice_is_shown_as_a_mode_and_kept_as_it_was(choice: Any, seen: Any) -> None:
    body = {"tool_choice": choice, "model": "m"}
    assert RequestView.of(body).tool_choice == seen
    assert written(RequestView.of(body).encode()) == written(body)
    assert changed(body, lambda view: setattr(view, "tool_choice", "required")) == {**body, "tool_choice": "required"}


def test_a_tool_choice_is_removed_by_none() -> None:
    def without(view: RequestView) -> None:
        view.tool_choice = None

    assert changed({"tool_choice": {"type": "auto"}}, without) == {}
    assert changed({"tool_choice": "auto"}, without) == {}


def test_a_tool_choice_is_edited_in_place() -> None:
    def rename(view: RequestView) -> None:
        assert isinstance(view.tool_choice, dict)
        view.tool_choice["name"] = "g"

    choice = {"type": "function", "name": "f", "future": 1}
    assert changed({"tool_choice": choice}, rename) == {"tool_choice": {**choice, "name": "g"}}


# Instructions and input --------------------------------------------------------------------------------------------


def test_instructions_are_the_leading_system_message() -> None:
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


def test_a_new_system_message_in_front_becomes_the_instructions() -> None:
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


def test_instructions_that_a_string_cannot_hold_become_an_item() -> None:
    def to_parts(view: RequestView) -> None:
        view.messages[0].content = [Part("a"), Part("b")]

    content = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    user = {"type": "message", "role": "user", "content": "Hi"}
    assert changed({"instructions": "a", "input": "Hi"}, to_parts) == {
        "input": [{"type": "message", "role": "system", "content": content}, user]
    }


def test_new_messages_become_items_at_their_place() -> None:
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
    ("body", "left"),
    [
        ({"instructions": "a", "input": "b"}, {"input": []}),
        ({"instructions": None, "input": [{}, None]}, {"instructions": None, "input": []}),
        ({"instructions": ["a"], "input": 7}, {"instructions": ["a"], "input": 7}),
        ({}, {}),
    ],
    ids=str,
)
def test_a_request_without_messages(body: dict[str, Any], left: dict[str, Any]) -> None:
    assert changed(body, lambda view: view.messages.clear()) == left


def test_a_message_for_a_request_that_had_no_input() -> None:
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
                "odd",
            ],
        }
    )
    assert message.content == [Part("a"), Part("no"), Part(image_url="u"), Part(image_url="v"), Part(), Part()]
    assert message.text == "a\nno"


def test_a_part_is_edited_in_its_own_form() -> None:
    item = {
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


def test_rewriting_reaches_every_text_of_a_message() -> None:
    thought = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "b"}], "summary": [{"text": "c"}]}
    said = {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "u"}]}
    output = {"type": "shell_call_output", "output": [{"stdout": "s"}]}
    for message in (seen := messages(thought, said, output)):
        message.rewrite(str.upper)
    assert [item for message in seen for item in message.encode()] == [
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "B"}], "summary": [{"text": "C"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "A"}, {"type": "input_image", "image_url": "u"}]},
        output,
    ]


def test_a_reasoning_item_keeps_what_is_not_shown() -> None:
    sealed = {"encrypted_content": "c", "status": None}
    item: dict[str, Any] = {"type": "reasoning", "id": "rs", "summary": [], "content": [], **sealed}
    (message,) = messages(item)
    message.reasoning = [Part("Hm.")]
    assert list(message.encode()) == [{**item, "content": [{"type": "reasoning_text", "text": "Hm."}]}]
    message.reasoning = message.summary = None
    message.content = "Said after all."
    assert list(message.encode()) == [
        {"type": "reasoning", "id": "rs", "encrypted_content": "c", "status": None},
        {"type": "message", "role": "assistant", "content": "Said after all."},
    ]


def test_a_tool_output_shows_the_call_that_it_answers() -> None:
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
    message, odd = messages({"type": "message", "role": "developer", "content": "a", "id": "msg"}, 7)
    message.role = "system"
    assert list(message.encode()) == [{"type": "message", "role": "system", "content": "a", "id": "msg"}]
    odd.role, odd.content = "user", "b"
    assert list(odd.encode()) == [{"type": "message", "role": "user", "content": "b"}]


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
def test_a_call_is_shown_by_its_call_id_with_its_arguments(item: Any, call: ToolCall | None) -> None:
    assert ToolCall.of(item) == call
    assert call is None or messages(item) == [Message("assistant", tool_calls=[call])]


def test_a_call_that_is_edited_keeps_the_rest_of_its_item() -> None:
    (message,) = messages(CALL)
    (call,) = message.tool_calls
    call.call_id, call.name = "call_2", "find"
    assert list(message.encode()) == [{**CALL, "call_id": "call_2", "name": "find"}]
    call.arguments["q"] = "é"
    assert list(message.encode()) == [{**CALL, "call_id": "call_2", "name": "find", "arguments": '{"q": "é"}'}]
    call.arguments = "as it is"
    assert next(message.encode())["arguments"] == "as it is"


def test_arguments_that_change_from_one_to_true_have_changed() -> None:
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


def test_a_message_whose_call_is_removed_is_no_item_any_more() -> None:
    encoded = changed({"input": [CALL]}, lambda view: view.messages[0].tool_calls.clear())
    assert encoded == {"input": []}


# Tools -------------------------------------------------------------------------------------------------------------


def test_function_tools_look_alike_in_both_forms() -> None:
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
    tools = [{"type": "web_search", "user_location": {}}, {"type": "custom", "name": "p", "format": {}}, None, "odd"]
    view = RequestView.of({"tools": tools})
    assert view.tools == [Tool(type="web_search"), Tool("p", type="custom"), Tool(type=None), Tool(type=None)]
    del view.tools[0]
    assert view.encode() == {"tools": tools[1:]}


def test_a_new_tool_is_a_function() -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    added = changed({"tools": None}, lambda view: view.tools.append(Tool("f", parameters={"type": "object"})))
    assert added == {"tools": [tool]}


# The rest ----------------------------------------------------------------------------------------------------------


def test_max_tokens_is_the_requests_max_output_tokens() -> None:
    view = RequestView.of({"max_output_tokens": 5, "max_tokens": 7})
    assert view.params == {"max_tokens": 5}
    view.params["max_tokens"] = 6
    assert view.encode() == {"max_output_tokens": 6, "max_tokens": 7}


def test_a_null_is_a_parameter_too() -> None:
    assert RequestView.of({"temperature": None}).params == {"temperature": None}


def test_the_model_may_be_changed_and_removed() -> None:
    assert changed({"model": "a"}, lambda view: setattr(view, "model", "b")) == {"model": "b"}
    assert changed({"model": "a"}, lambda view: setattr(view, "model", None)) == {}
    assert changed({"model": 7}, lambda view: None) == {"model": 7}


def test_other_fields_are_set_and_removed_in_extra() -> None:
    def change(view: RequestView) -> None:
        view.extra["user"] = "u"
        del view.extra["metadata"]

    assert changed({"metadata": {}, "model": "m"}, change) == {"model": "m", "user": "u"}


def test_a_field_in_extra_wins() -> None:
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


def test_arguments_that_are_nested_too_deeply_to_be_written_are_refused() -> None:
    deep: Any = "x"
    for _ in range(sys.getrecursionlimit() * 20):
        deep = [deep]
    view = RequestView.of({"input": []})
    view.messages.append(Message("assistant", tool_calls=[ToolCall("c", "f", deep)]))
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        view.encode()
