"""The tool search, and the tools that are deferred until the model has searched for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from responses_shim.core.tools.base import ToolIdentity
from responses_shim.core.tools.kinds import CUSTOM as CUSTOM_KIND
from tests.core.driver import Json
from tests.core.tools.declared import (
    LATER,
    SEARCH,
    WEB,
    F,
    G,
    call_item,
    custom,
    function,
    functions,
    identity,
    in_input,
    in_namespace,
    item,
    names,
    output,
    past_arguments,
    tool_map,
)

# Declarations --------------------------------------------------------------------------------------------------------


def test_a_search_in_the_client_is_a_function_that_lists_what_can_be_found() -> None:
    tools, report = tool_map(
        [
            SEARCH,
            LATER,
            custom("c", defer_loading=True),
            in_namespace(
                "crm", {**LATER, "name": "find"}, {**LATER, "name": "sort"}, description="All about customers"
            ),
            in_namespace("bare", {**LATER, "name": "find"}),
            G,
        ]
    )
    assert names(tools) == ["g", "tool_search"]
    (_, search) = functions(tools)
    assert search["description"].splitlines()[-5:] == [
        "Tools that can be found:",
        "- f: Does f",
        "- c",
        "- crm: All about customers",
        "- bare",
    ]
    assert search["parameters"]["required"] == ["query"]
    assert item(tools, "tool_search")["type"] == "tool_search_call"
    assert report == (
        'mapped=("tools[1].defer_loading" "tools[2].defer_loading" "tools[3].tools[0].defer_loading" '
        '"tools[3].tools[1].defer_loading" "tools[4].tools[0].defer_loading" "tools[0]")'
    )


def test_the_grammar_of_a_deferred_tool_is_not_listed() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: x"}
    tools, _ = tool_map([SEARCH, custom("c", description="Does c", format=grammar, defer_loading=True)])
    assert functions(tools)[0]["description"].endswith("\n- c: Does c")


def test_a_search_keeps_its_own_description_and_parameters() -> None:
    parameters = {"type": "object", "properties": {"query": {"type": "string"}, "limit": {"type": "number"}}}
    search = {**SEARCH, "description": "Finds tools.", "parameters": parameters}
    assert function(search) == {"name": "tool_search", "description": "Finds tools.", "parameters": parameters}


@pytest.mark.parametrize("search", [[], [{"type": "tool_search"}], [{"type": "tool_search", "execution": "server"}]])
def test_where_the_client_does_not_search_deferred_tools_are_offered_at_once(search: list[Json]) -> None:
    tools, report = tool_map([LATER, *search])
    assert names(tools) == ["f"]
    assert report == ('dropped=("tools[1]")' if search else "")


def test_what_a_search_has_found_is_offered() -> None:
    found = in_namespace("crm", {**LATER, "name": "find"})
    crm = in_namespace("crm", {**LATER, "name": "find"}, {**LATER, "name": "sort"})
    tools, _ = tool_map([SEARCH, crm], from_input=in_input(found))
    assert names(tools) == ["tool_search", "crm__find"]
    assert identity(tools, "crm__find") == ("function_call", "crm", "find")


def test_what_a_search_has_found_does_not_change_its_description() -> None:
    """The description is near the beginning of a prompt, which a host has in its cache."""
    crm = in_namespace("crm", LATER, description="All about customers")
    before, _ = tool_map([SEARCH, crm])
    after, _ = tool_map([SEARCH, crm], from_input=in_input({**crm, "description": "Customers"}))
    assert functions(after)[0] == functions(before)[0]


def test_a_deferred_tool_that_is_called_without_a_search_is_known_all_the_same() -> None:
    """Its name is in the description of the search, or in a past call, and models do not wait."""
    later = {"defer_loading": True}
    crm = in_namespace("crm", {**F, **later}, custom("my note", **later))
    tools, _ = tool_map([SEARCH, custom("c", **later), custom("my.tool", **later), crm, LATER])
    note = tools.function_name(ToolIdentity(CUSTOM_KIND, "my note", "crm"))
    assert identity(tools, "c") == ("custom_tool_call", None, "c")
    assert identity(tools, "crm__f") == ("function_call", "crm", "f")
    for name in ("my.tool", tools.function_name(ToolIdentity(CUSTOM_KIND, "my.tool"))):
        assert identity(tools, name) == ("custom_tool_call", None, "my.tool")
    assert identity(tools, note) == ("custom_tool_call", "crm", "my note")
    assert identity(tools, "f") == ("function_call", None, "f")


def test_a_search_may_come_with_the_input() -> None:
    """Codex has a mode in which all of its tools do."""
    tools, report = tool_map([LATER], from_input=in_input(SEARCH, G))
    assert names(tools) == ["g", "tool_search"]
    assert "- f: Does f" in functions(tools)[1]["description"]
    assert report == 'mapped=("tools[0].defer_loading" "input[0].tools[0]")'


def test_a_search_that_comes_with_the_input_replaces_the_other() -> None:
    tools, _ = tool_map([SEARCH, G], from_input=in_input({**SEARCH, "description": "Finds tools."}))
    assert names(tools) == ["g", "tool_search"]
    assert functions(tools)[1]["description"] == "Finds tools."


# Calls ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "parsed"),
    [
        ('{"query": "mail", "limit": 3}', {"query": "mail", "limit": 3}),
        ('{"query": "two\nlines", "odd": NaN, "big": 1e999}', {"query": "two\nlines", "odd": None, "big": None}),
        ('{"query": "\\ud83d"}', {"query": "�"}),
        ("mail", {}),
        ('"mail"', {}),
        ('["mail"]', {}),
    ],
)
def test_the_arguments_are_json_data(arguments: str, parsed: Json) -> None:
    assert call_item(SEARCH, arguments)["arguments"] == parsed


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [({"query": "mail"}, {"query": "mail"}), (None, {}), ('{"query": "mail"}', {"query": "mail"}), ([1], [1])],
)
def test_a_past_search_is_shown_with_its_arguments(arguments: Any, shown: Any) -> None:
    assert json.loads(past_arguments("tool_search_call", arguments=arguments)) == shown


# Outputs -------------------------------------------------------------------------------------------------------------


def test_the_model_is_shown_the_names_of_the_functions_that_were_found() -> None:
    found = [
        in_namespace("crm", {**F, "description": "Does f"}, custom("c"), {**G, "allowed_callers": ["programmatic"]}),
        {"type": "function", "function": {"name": "h", "description": "Does h"}},
        {"type": "shell", "name": []},
        WEB,
    ]
    tools, _ = tool_map(from_input=in_input(*found))
    assert json.loads(output("tool_search_output", among=tools, tools=found)) == {
        "tools": [
            {"name": "crm__f", "description": "Does f"},
            {"name": "crm__c", "description": None},
            {"name": "h", "description": "Does h"},
            {"name": "shell", "description": None},
        ]
    }
