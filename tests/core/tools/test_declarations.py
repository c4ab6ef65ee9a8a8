"""Declared tools: in either form, those that nobody runs here, and what is refused by its path."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.errors import InvalidRequest
from tests.core.driver import Json
from tests.core.tools.declared import (
    APPLY_PATCH,
    CUSTOM,
    LATER,
    SEARCH,
    SHELL,
    WEB,
    F,
    G,
    custom,
    in_input,
    in_namespace,
    names,
    refusal,
    tool_map,
)
from tests.oracle import check_error


def test_a_tool_in_the_form_of_chat_completions_is_taken() -> None:
    tools, report = tool_map(
        [
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
            {"type": "custom", "custom": {"name": "c"}},
            in_namespace("ns", {"type": "function", "function": {"name": "g"}}),
        ]
    )
    assert names(tools) == ["f", "c", "ns__g"]
    assert tools.echo[0] == {**F, "description": None, "parameters": {"type": "object"}, "strict": None}
    assert tools.echo[1] == custom("c")
    assert report == 'mapped=("tools[0]" "tools[1]" "tools[2].tools[0]")'


def test_a_namespace_is_echoed_as_it_is() -> None:
    tool = in_namespace(
        "crm", {**F, "description": "Does f"}, custom("c"), description="All about customers", extra=[1]
    )
    assert tool_map([tool, F])[0].echo[0] == tool


@pytest.mark.parametrize("fields", [{}, {"description": None}])
def test_a_namespace_is_echoed_with_the_description_that_clients_require(fields: Any) -> None:
    tool = {name: value for name, value in in_namespace("crm", F).items() if name != "description"} | fields
    assert tool_map([tool])[0].echo[0] == {**tool, "description": ""}


# Tools that are not offered ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["web_search", "web_search_preview", "file_search", "computer", "programmatic_tool_calling", "odd"]
)
def test_a_tool_that_nobody_runs_is_left_out_echoed_and_reported(kind: str) -> None:
    tool = {"type": kind, "name": {"of no": "interest"}}
    tools, report = tool_map([F, tool, G], from_input=in_input(tool))
    assert names(tools) == ["f", "g"]
    assert tools.echo[1] == tool
    assert report == 'dropped=("tools[1]" "input[0].tools[0]")'


def test_mcp_is_refused_by_name() -> None:
    mcp = {"type": "mcp", "server_label": "docs", "server_url": "https://docs.example"}
    error = refusal([F, mcp])
    assert (error.param, error.code, error.status) == ("tools[1].type", "unsupported_parameter", 400)
    assert "mcp" in error.message
    assert refusal(None, from_input=in_input(mcp)).param == "input[0].tools[0].type"


@pytest.mark.parametrize("tool", [F, CUSTOM, SHELL, APPLY_PATCH])
def test_a_tool_that_only_programs_may_call_is_left_out_and_reported(tool: Json) -> None:
    tools, report = tool_map([{**tool, "allowed_callers": ["programmatic"]}, G])
    assert names(tools) == ["g"]
    assert report == 'dropped=("tools[0]")'


@pytest.mark.parametrize("callers", [None, [], ["direct"], ["programmatic", "direct"]])
def test_a_tool_that_the_model_may_call_is_offered(callers: Any) -> None:
    tools, _ = tool_map([{**F, "allowed_callers": callers}, {**SHELL, "allowed_callers": callers}])
    assert names(tools) == ["f", "shell"]


@pytest.mark.parametrize("tool", [WEB, {"type": "tool_of_tomorrow"}])
def test_a_tool_in_a_namespace_that_nobody_runs_is_left_out_and_reported(tool: Json) -> None:
    tools, report = tool_map([in_namespace("ns", tool, F)])
    assert names(tools) == ["ns__f"]
    assert report == 'dropped=("tools[0].tools[0]"), mapped=("tools[0].tools[1]")'


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "param", "code"),
    [
        ({}, "type", "missing_required_parameter"),
        ({"type": None}, "type", "missing_required_parameter"),
        ({"function": {"name": "f"}}, "type", "missing_required_parameter"),
        ({"type": 7}, "type", "invalid_value"),
        ({"type": []}, "type", "invalid_value"),
        ({"type": "function"}, "name", "missing_required_parameter"),
        ({"type": "function", "name": ""}, "name", "missing_required_parameter"),
        ({"type": "function", "name": 7}, "name", "invalid_type"),
        ({"type": "function", "name": []}, "name", "invalid_type"),
        ({"type": "function", "function": {}}, "name", "missing_required_parameter"),
        ({"type": "function", "function": {"name": {}}}, "name", "invalid_type"),
        ({**F, "parameters": []}, "parameters", "invalid_type"),
        ({**F, "strict": "yes"}, "strict", "invalid_type"),
        ({**F, "description": 7}, "description", "invalid_type"),
        ({**F, "allowed_callers": ["anyone"]}, "allowed_callers[0]", "invalid_value"),
        ({"type": "custom"}, "name", "missing_required_parameter"),
        ({"type": "custom", "name": ""}, "name", "missing_required_parameter"),
        (custom("c", format={"type": "regex"}), "format.type", "invalid_value"),
        (custom("c", format={"type": "grammar", "syntax": "bnf", "definition": ""}), "format.syntax", "invalid_value"),
        (custom("c", format={"type": "grammar", "syntax": "lark"}), "format.definition", "missing_required_parameter"),
        ({"type": "namespace", "name": "ns"}, "tools", "missing_required_parameter"),
        ({"type": "namespace", "tools": []}, "name", "missing_required_parameter"),
        (in_namespace(""), "name", "missing_required_parameter"),
        ({"type": "namespace", "name": "ns", "tools": ["f"]}, "tools[0]", "invalid_type"),
        (in_namespace("ns", F, {"type": "function"}), "tools[1].name", "missing_required_parameter"),
        (in_namespace("ns", {}), "tools[0].type", "missing_required_parameter"),
        (in_namespace("ns", {"type": 7}), "tools[0].type", "invalid_value"),
        (in_namespace("ns", SHELL), "tools[0].type", "invalid_value"),
        (in_namespace("ns", in_namespace("inner", F)), "tools[0].type", "invalid_value"),
        ({"type": "tool_search", "execution": "nobody"}, "execution", "invalid_value"),
        ({**SEARCH, "parameters": "query"}, "parameters", "invalid_type"),
    ],
)
def test_a_wrong_tool_is_named_by_its_path(tool: Json, param: str, code: str) -> None:
    error = refusal([F, tool])
    assert (error.param, error.code) == (f"tools[1].{param}", code)
    error = refusal(None, from_input=in_input(tool))
    assert (error.param, error.code) == (f"input[0].tools[0].{param}", code)


def test_the_kinds_that_a_namespace_may_hold_are_named() -> None:
    assert refusal([in_namespace("ns", SHELL)]).message.endswith("Supported values are: 'function' and 'custom'.")


KEYS = ["type", "name", "description", "parameters", "strict", "tools", "format", "function", "custom", "namespace"]
KEYS += ["environment", "execution", "allowed_callers", "defer_loading", "mode"]
JUNK = st.recursive(
    st.sampled_from([None, True, 7, "", "f", "function", "custom", "namespace", "shell", "tool_search", "grammar"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)
GOOD = [{}, F, custom("c"), in_namespace("ns", F, custom("c")), SHELL, SEARCH, WEB, LATER]
GOOD += [{"type": "function", "function": F}, {"type": "allowed_tools", "tools": [F]}]
ODD = st.builds(
    lambda tool, odd: {**tool, **odd}, st.sampled_from(GOOD), st.dictionaries(st.sampled_from(KEYS), JUNK, max_size=2)
)
"""Tools, and choices, that have one or two things wrong with them, or none."""


@given(st.lists(ODD, max_size=3), st.none() | st.sampled_from(["auto", "required"]) | ODD, st.lists(ODD, max_size=2))
def test_whatever_is_sent_it_is_taken_or_refused_by_its_path(tools: list[Json], choice: Any, more: list[Json]) -> None:
    refused: InvalidRequest | None = None
    try:
        offered, _ = tool_map(tools, choice, from_input=in_input(*more))
    except InvalidRequest as error:
        refused = error
    if refused is not None:
        check_error(refused.body())
        assert refused.status == 400
        assert (refused.param or "").startswith(("tools[", "tool_choice", "input[0].tools["))
    else:
        summaries = [summary for tool in more for summary in offered.summaries(tool)]
        assert {summary["name"] for summary in summaries} <= set(offered.names())
        assert len(offered.chat_params().get("tools", [])) == len(set(names(offered))) == len(offered.paths())
