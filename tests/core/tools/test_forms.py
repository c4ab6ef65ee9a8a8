"""Each form of tool: the function that it is offered as, and a past call told as the function was called."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.tools.base import Form, flat
from responses_shim.core.tools.kinds import CALLS, CUSTOM, FORMS, FUNCTION, OWN, TOOL_SEARCH
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.events import Event
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.requests import CustomTool, GrammarInput
from responses_shim.errors import InvalidRequest
from tests.core.driver import Json
from tests.oracle import check_error

TOOLS: dict[str, Json] = {
    "function": {"type": "function", "name": "f"},
    "custom": {"type": "custom", "name": "c"},
    "tool_search": {"type": "tool_search", "execution": "client"},
    **{kind: {"type": kind} for kind in OWN},
}


def test_every_form_is_found_by_its_tool_and_by_its_call() -> None:
    assert {form.kind for form in FORMS} == TOOLS.keys()
    assert set(CALLS.values()) == set(FORMS)
    assert all(CALLS[form.call] is form for form in FORMS)


def offered(kind: str) -> Json:
    (tool,) = ToolMap([TOOLS[kind]], None, None, Report()).params()["tools"]
    function: Json = tool["function"]
    return function


@pytest.mark.parametrize("kind", sorted(TOOLS.keys() - {"function"}))
def test_what_is_offered_says_what_it_takes(kind: str) -> None:
    """A chat template shows the model nothing else."""
    parameters = offered(kind)["parameters"]
    assert parameters["type"] == "object"
    assert set(parameters["required"]) <= parameters["properties"].keys()
    assert all({"description", "enum"} & field.keys() for field in parameters["properties"].values())


@pytest.mark.parametrize("kind", [*OWN, "tool_search"])
def test_a_tool_that_the_api_defines_is_described_here(kind: str) -> None:
    assert len(offered(kind)["description"]) > 20


def test_an_offer_is_the_same_every_time() -> None:
    for kind in TOOLS:
        assert msgspec.json.encode(offered(kind)) == msgspec.json.encode(offered(kind))


# Past calls ----------------------------------------------------------------------------------------------------------


def past(form: Form, **fields: Any) -> str:
    return form.arguments({"type": form.call, "call_id": "call_1", **fields}, "input[3]")


@pytest.mark.parametrize("arguments", ['{"a": 1}', '{"a"', "not json", ""])
def test_the_arguments_of_a_function_are_told_as_they_were(arguments: str) -> None:
    assert past(FUNCTION, name="f", arguments=arguments) == arguments


@pytest.mark.parametrize("text", ["", "a\nb", '"', "\\", "é😀", "\x00\u2028"])
def test_the_input_of_a_custom_tool_is_wrapped_again(text: str) -> None:
    told = past(CUSTOM, name="c", input=text)
    assert json.loads(told) == {"input": text}
    assert "é" not in text or "é" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [({"query": "mail"}, {"query": "mail"}), (None, {}), ('{"query": "mail"}', {"query": "mail"}), ([1], [1])],
)
def test_a_search_is_told_with_its_arguments(arguments: Any, told: Any) -> None:
    assert json.loads(past(TOOL_SEARCH, arguments=arguments)) == told


@pytest.mark.parametrize(
    ("kind", "fields", "told"),
    [
        (
            "local_shell",
            {"action": {"type": "exec", "command": ["ls"], "env": {}, "timeout_ms": None}},
            {"command": ["ls"]},
        ),
        (
            "local_shell",
            {"action": {"command": ["ls"], "env": {"A": "1"}, "user": "me", "working_directory": "/", "timeout_ms": 0}},
            {"command": ["ls"], "env": {"A": "1"}, "user": "me", "working_directory": "/", "timeout_ms": 0},
        ),
        (
            "shell",
            {"action": {"commands": ["ls", "pwd"], "timeout_ms": 5, "max_output_length": None}, "environment": None},
            {"commands": ["ls", "pwd"], "timeout_ms": 5},
        ),
        ("shell", {"action": {"commands": []}}, {"commands": []}),
        (
            "apply_patch",
            {"operation": {"type": "update_file", "path": "a", "diff": "-x"}},
            {"type": "update_file", "path": "a", "diff": "-x"},
        ),
        ("apply_patch", {"operation": {"type": "delete_file", "path": "a"}}, {"type": "delete_file", "path": "a"}),
    ],
)
def test_a_call_of_the_apis_own_is_told_by_what_it_says(kind: str, fields: Json, told: Json) -> None:
    assert json.loads(past(OWN[kind], **fields)) == told


@pytest.mark.parametrize(
    ("form", "fields", "param", "code"),
    [
        (FUNCTION, {}, "arguments", "missing_required_parameter"),
        (FUNCTION, {"arguments": {}}, "arguments", "invalid_type"),
        (CUSTOM, {"input": None}, "input", "missing_required_parameter"),
        (CUSTOM, {"input": ["a"]}, "input", "invalid_type"),
        (OWN["shell"], {}, "action", "missing_required_parameter"),
        (OWN["shell"], {"action": "ls"}, "action", "invalid_type"),
        (OWN["local_shell"], {"action": None}, "action", "missing_required_parameter"),
        (OWN["apply_patch"], {"operation": []}, "operation", "invalid_type"),
    ],
)
def test_what_a_past_call_lacks_is_named(form: Form, fields: Json, param: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        past(form, **fields)
    check_error(caught.value.body())
    assert (caught.value.param, caught.value.code) == (f"input[3].{param}", code)


def item(kind: str, arguments: str) -> Json:
    """The item that a model's call becomes."""
    tools = ToolMap([TOOLS[kind]], None, None, Report())
    (name,) = tools.names()
    output = tools.open(name, lambda prefix: f"{prefix}_1", 0, count().__next__, "call_1")
    events: list[Event] = []
    output.arguments(arguments, events)
    built: Json = msgspec.to_builtins(output.close("completed", events))
    return built


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBER = st.integers(0, 10**6)
CALLED: dict[str, st.SearchStrategy[Json]] = {
    "function": st.dictionaries(TEXT, TEXT, max_size=3),
    "custom": st.fixed_dictionaries({"input": TEXT}),
    "tool_search": st.dictionaries(TEXT, TEXT | NUMBER, max_size=3),
    "local_shell": st.fixed_dictionaries(
        {"command": st.lists(TEXT)}, optional={"timeout_ms": NUMBER, "working_directory": TEXT}
    ),
    "shell": st.fixed_dictionaries(
        {"commands": st.lists(TEXT)}, optional={"timeout_ms": NUMBER, "max_output_length": NUMBER}
    ),
    "apply_patch": st.one_of(
        st.fixed_dictionaries({"type": st.sampled_from(["create_file", "update_file"]), "path": TEXT, "diff": TEXT}),
        st.fixed_dictionaries({"type": st.just("delete_file"), "path": TEXT}),
    ),
}


@given(st.sampled_from(sorted(TOOLS)), st.data())
def test_a_call_is_told_again_as_it_was_made(kind: str, data: st.DataObject) -> None:
    called = data.draw(CALLED[kind])
    made = item(kind, json.dumps(called))
    told = CALLS[made["type"]].arguments(made, "input[0]")
    assert json.loads(told) == called
    assert item(kind, told) == made


# Chat's form ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"type": "function", "function": {"name": "f"}}, {"type": "function", "name": "f"}),
        ({"type": "custom", "custom": {"name": "c"}}, {"type": "custom", "name": "c"}),
        ({"type": "allowed_tools", "allowed_tools": {"tools": []}}, {"type": "allowed_tools", "tools": []}),
        ({"type": "function", "strict": True, "function": {"name": "f"}}, {"type": "function", "name": "f"}),
    ],
)
def test_what_is_nested_as_in_chat_is_flat_here(given: Json, told: Json) -> None:
    assert flat(given) == told


@pytest.mark.parametrize(
    "given",
    [
        {"type": "function", "name": "f"},
        {"type": "function", "function": "f"},
        {"type": "custom", "function": {"name": "c"}},
        {"type": "shell", "shell": {}},
        {"type": [], "function": {}},
        {"function": {"name": "f"}},
    ],
)
def test_anything_else_stays_as_it_is(given: Json) -> None:
    assert flat(given) is given


def test_hosts_are_asked_to_hold_the_model_to_what_is_offered() -> None:
    """vLLM lets a model write anything into the arguments of a function that is not strict."""
    text = CustomTool(name="t")
    lark = CustomTool(name="t", format=GrammarInput(syntax="lark", definition="start: x"))
    assert all(CUSTOM.offer(tool)["strict"] is True for tool in (text, lark))
    assert all(form.offer()["strict"] is True for form in OWN.values())


def test_a_pattern_is_not_strict_for_a_host_that_cannot_read_it_would_refuse_the_request() -> None:
    function = CUSTOM.offer(CustomTool(name="t", format=GrammarInput(syntax="regex", definition="(?i)a+")))
    assert "pattern" in function["parameters"]["properties"]["input"]
    assert "strict" not in function
