"""Functions: declared, called, replayed, answered."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.driver import Json
from tests.core.tools.declared import (
    F,
    call,
    function,
    functions,
    output,
    past_arguments,
    refused_call,
    refused_output,
    tool_map,
    types,
)

# Declarations --------------------------------------------------------------------------------------------------------


def test_a_function_is_nested_for_chat_and_flat_in_the_echo() -> None:
    tool = {**F, "description": "Does f", "parameters": {"type": "object"}, "strict": True}
    tools, report = tool_map([tool])
    nested = {name: value for name, value in tool.items() if name != "type"}
    assert tools.chat_params() == {"tools": [{"type": "function", "function": nested}]}
    assert tools.echo == [tool]
    assert report == ""


def test_fields_that_are_left_out_are_left_out_for_chat_and_null_in_the_echo() -> None:
    tools, _ = tool_map([{**F, "description": None, "parameters": None, "defer_loading": False, "output_schema": {}}])
    assert functions(tools) == [{"name": "f"}]
    echo = {**F, "description": None, "parameters": None, "strict": None, "defer_loading": False, "output_schema": {}}
    assert tools.echo == [echo]


def test_parameters_are_passed_on_as_they_are() -> None:
    """The AI SDK sends `$schema`."""
    parameters = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "x-odd": [1, None]}
    assert function({**F, "parameters": parameters}) == {"name": "f", "parameters": parameters}
    assert function({**F, "parameters": {"type": "string"}}) == {"name": "f", "parameters": {"type": "string"}}


UNION = [{"type": "object", "properties": {"a": {}}}, {"type": "object", "properties": {"b": {}}}]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, {"type": "object", "properties": {}}),
        ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
        ({"type": None, "properties": {}}, {"type": "object", "properties": {}}),
        ({"type": ["object", "null"], "properties": {}}, {"type": "object", "properties": {}}),
        ({"$ref": "#/$defs/A", "$defs": {"A": {}}}, {"type": "object", "$ref": "#/$defs/A", "$defs": {"A": {}}}),
        *(({key: UNION}, {"type": "object", key: UNION}) for key in ("anyOf", "oneOf", "allOf")),
    ],
    ids=str,
)
def test_the_root_of_the_schema_has_a_type(parameters: Json, expected: Json) -> None:
    """Hosts look for it there: a union alone, as Zod and Pydantic write it, was refused or taken for no arguments."""
    tools, report = tool_map([{**F, "parameters": parameters}])
    assert functions(tools) == [{"name": "f", "parameters": expected}]
    assert report == 'mapped=("tools[0].parameters")'
    assert tools.echo[0]["parameters"] == parameters


# Calls ---------------------------------------------------------------------------------------------------------------


def test_arguments_are_passed_on_as_they_come() -> None:
    events = call(F, ['{"a"', ": 1", "} and more"])
    assert types(events) == [
        "output_item.added",
        *["function_call_arguments.delta"] * 3,
        "function_call_arguments.done",
        "output_item.done",
    ]
    assert [event["delta"] for event in events[1:4]] == ['{"a"', ": 1", "} and more"]
    assert (events[4]["name"], events[4]["arguments"]) == ("f", '{"a": 1} and more')
    assert events[5]["item"]["arguments"] == '{"a": 1} and more'


@pytest.mark.parametrize("arguments", ['{"a": 1}', '{"a"', "not json", ""])
def test_past_arguments_are_shown_as_they_were(arguments: str) -> None:
    assert past_arguments("function_call", name="f", arguments=arguments) == arguments


@pytest.mark.parametrize(("fields", "code"), [({}, "missing_required_parameter"), ({"arguments": {}}, "invalid_type")])
def test_a_past_call_without_arguments_is_refused(fields: Json, code: str) -> None:
    assert refused_call("function_call", **fields) == ("arguments", code)


# Outputs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "4", [], [{"type": "input_text", "text": "4"}]])
def test_an_output_is_its_text_or_its_parts(value: Any) -> None:
    assert output("function_call_output", output=value) == value


@pytest.mark.parametrize("fields", [{}, {"output": None}])
def test_an_output_without_an_output_is_refused(fields: Json) -> None:
    assert refused_output("function_call_output", **fields) == ("output", "missing_required_parameter")
