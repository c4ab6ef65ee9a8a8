"""Tools and the choice among them, as a chat host takes them."""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim.core.offers import MAX_DEPTH, ToolMap
from responses_shim.core.report import Report
from responses_shim.errors import InvalidRequest
from tests.core.pipeline import Json
from tests.oracle import check_error

F: Json = {"type": "function", "name": "f"}
G: Json = {"type": "function", "name": "g"}
WEB: Json = {"type": "web_search", "search_context_size": "low"}


def offer(tools: Any = None, choice: Any = None, parallel: bool | None = None) -> tuple[ToolMap, str]:
    report = Report()
    return ToolMap(tools, choice, parallel, report), report.header()


def refusal(tools: Any, choice: Any = None) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        ToolMap(tools, choice, None, Report())
    check_error(caught.value.body())
    return caught.value


def names(tools: ToolMap) -> list[str]:
    return [tool["function"]["name"] for tool in tools.tools]


# Tools -------------------------------------------------------------------------------------------------------------


def test_a_function_is_nested_for_chat_and_flat_in_the_echo() -> None:
    tool = {**F, "description": "Does f", "parameters": {"type": "object"}, "strict": True}
    tools, report = offer([tool])
    function = {name: value for name, value in tool.items() if name != "type"}
    assert tools.params() == {"tools": [{"type": "function", "function": function}]}
    assert tools.echo == [tool]
    assert report == ""


def test_what_a_function_leaves_out_is_left_out_for_chat_and_null_in_the_echo() -> None:
    tools, _ = offer([{**F, "description": None, "defer_loading": False}])
    assert tools.tools == [{"type": "function", "function": {"name": "f"}}]
    assert tools.echo == [{**F, "description": None, "parameters": None, "strict": None}]


def test_a_function_in_the_chat_form_is_taken() -> None:
    tools, report = offer([{"type": "function", "function": {"name": "f", "parameters": {}}}])
    assert tools.tools == [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    assert tools.echo == [{**F, "description": None, "parameters": {}, "strict": None}]
    assert report == 'mapped=("tools[0]")'


def test_a_tool_that_nobody_runs_is_left_out_echoed_and_reported() -> None:
    tools, report = offer([F, WEB, G])
    assert names(tools) == ["f", "g"]
    assert tools.echo[1] == WEB
    assert report == 'dropped=("tools[1]")'


@pytest.mark.parametrize("tools", [None, [], [WEB]])
def test_without_functions_nothing_is_sent(tools: Any) -> None:
    assert offer(tools, "auto", True)[0].params() == {}


@pytest.mark.parametrize("parallel", [True, False])
def test_parallel_calls_are_passed_on_with_tools(parallel: bool) -> None:
    assert offer([F], None, parallel)[0].params()["parallel_tool_calls"] is parallel
    assert "parallel_tool_calls" not in offer([F])[0].params()


@pytest.mark.parametrize(
    ("tool", "param", "code"),
    [
        ({}, "tools[1].type", "missing_required_parameter"),
        ({"type": None}, "tools[1].type", "missing_required_parameter"),
        ({"type": 7}, "tools[1].type", "invalid_value"),
        ({"type": []}, "tools[1].type", "invalid_value"),
        ({"type": "function"}, "tools[1].name", "missing_required_parameter"),
        ({"type": "function", "name": 7}, "tools[1].name", "invalid_type"),
        ({"type": "function", "function": {}}, "tools[1].name", "missing_required_parameter"),
        ({**F, "parameters": []}, "tools[1].parameters", "invalid_type"),
        ({**F, "strict": "yes"}, "tools[1].strict", "invalid_type"),
        ({**F, "description": 7}, "tools[1].description", "invalid_type"),
    ],
)
def test_a_wrong_tool_is_named_by_its_path(tool: Json, param: str, code: str) -> None:
    error = refusal([F, tool])
    assert (error.param, error.code) == (param, code)


def test_parameters_nested_absurdly_deep_are_refused() -> None:
    def nested(depth: int) -> Json:
        inner: Json = {}
        for level in range(depth):
            inner = {"a": inner} if level % 2 else {"a": [inner]}
        return {**F, "parameters": inner}

    assert names(offer([nested(MAX_DEPTH // 2)])[0]) == ["f"]
    error = refusal([nested(MAX_DEPTH)])
    assert error.message == f"Invalid 'tools[0].parameters': nested more than {MAX_DEPTH} levels deep."


# The choice ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["none", "auto", "required"])
def test_a_mode_is_passed_on_and_echoed(choice: str) -> None:
    for spelling in (choice, {"type": choice}):
        tools, _ = offer([F], spelling)
        assert (tools.params()["tool_choice"], tools.choice_echo) == (choice, choice)


def test_no_choice_is_auto_for_the_client_and_unsaid_to_the_host() -> None:
    tools, _ = offer([F])
    assert "tool_choice" not in tools.params()
    assert tools.choice_echo == "auto"


@pytest.mark.parametrize("choice", [{"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}])
def test_a_named_function_is_nested_for_chat_and_flat_in_the_echo(choice: Json) -> None:
    tools, report = offer([F, G], choice)
    assert tools.params()["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert tools.choice_echo == {"type": "function", "name": "f"}
    assert names(tools) == ["f", "g"]
    assert report == ""


@pytest.mark.parametrize(
    ("mode", "echoed"), [({}, "auto"), ({"mode": "auto"}, "auto"), ({"mode": "required"}, "required")]
)
def test_of_allowed_tools_only_those_are_offered(mode: Json, echoed: str) -> None:
    allowed = [{"type": "function", "name": "g"}]
    tools, report = offer([F, G, WEB], {"type": "allowed_tools", "tools": allowed, **mode})
    assert names(tools) == ["g"]
    assert tools.params()["tool_choice"] == echoed
    assert tools.choice_echo == {"type": "allowed_tools", "mode": echoed, "tools": allowed}
    assert [tool["type"] for tool in tools.echo] == ["function", "function", "web_search"]
    assert report == 'dropped=("tools[2]"), mapped=("tool_choice")'


def test_allowed_tools_that_nobody_runs_leave_nothing_to_offer() -> None:
    assert offer([F, WEB], {"type": "allowed_tools", "tools": [WEB]})[0].params() == {}


REQUIRED_NOTHING = "Tool choice 'required' needs at least one tool that can be called here."


@pytest.mark.parametrize(
    ("tools", "choice", "message", "param", "code"),
    [
        (
            [F],
            "maybe",
            "Invalid value: 'maybe'. Supported values are: 'none', 'auto' and 'required'.",
            "tool_choice",
            "invalid_value",
        ),
        (None, "required", REQUIRED_NOTHING, "tool_choice", "invalid_value"),
        ([WEB], "required", REQUIRED_NOTHING, "tool_choice", "invalid_value"),
        (
            [F, WEB],
            {"type": "allowed_tools", "mode": "required", "tools": [WEB]},
            REQUIRED_NOTHING,
            "tool_choice",
            "invalid_value",
        ),
        (
            [F],
            {"type": "function", "name": "g"},
            "Tool choice 'g' is not among the tools of the request.",
            "tool_choice.name",
            "invalid_value",
        ),
        (
            [F, WEB],
            {"type": "web_search"},
            "Unsupported parameter: no tool of type 'web_search' can be called here.",
            "tool_choice",
            "unsupported_parameter",
        ),
        (
            [F],
            {"type": "allowed_tools", "tools": [F, G]},
            "Tool choice 'g' is not among the tools of the request.",
            "tool_choice.tools[1].name",
            "invalid_value",
        ),
        (
            [F],
            {"type": "allowed_tools", "mode": "none", "tools": [F]},
            "Invalid value: 'none'. Supported values are: 'auto' and 'required'.",
            "tool_choice.mode",
            "invalid_value",
        ),
    ],
)
def test_a_choice_that_cannot_be_met_is_refused(tools: Any, choice: Any, message: str, param: str, code: str) -> None:
    error = refusal(tools, choice)
    assert (error.message, error.param, error.code) == (message, param, code)


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        ({}, "tool_choice.type"),
        ({"type": None}, "tool_choice.type"),
        ({"type": "function"}, "tool_choice.name"),
        ({"type": "function", "name": 7}, "tool_choice.name"),
        ({"type": "function", "function": "f"}, "tool_choice.name"),
        ({"type": "function", "function": {}}, "tool_choice.name"),
        ({"type": "allowed_tools"}, "tool_choice.tools"),
        ({"type": "allowed_tools", "tools": {}}, "tool_choice.tools"),
        ({"type": "allowed_tools", "tools": ["f"]}, "tool_choice.tools"),
        ({"type": "allowed_tools", "tools": [{"type": "function"}]}, "tool_choice.tools[0].name"),
        ({"type": "allowed_tools", "tools": [{"type": "function", "name": []}]}, "tool_choice.tools[0].name"),
    ],
)
def test_a_choice_that_is_not_whole_is_told_what_is_missing(choice: Json, param: str) -> None:
    error = refusal([F], choice)
    assert (error.param, error.code) == (param, "missing_required_parameter")


@pytest.mark.parametrize("mode", [7, [], {}])
def test_an_odd_mode_is_an_invalid_value(mode: Any) -> None:
    assert refusal([F], {"type": "allowed_tools", "mode": mode, "tools": [F]}).param == "tool_choice.mode"
