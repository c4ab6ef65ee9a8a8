"""Custom tools: declared with and without a grammar, called with free text, replayed, answered."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.core.driver import Json
from tests.core.tools.declared import (
    CUSTOM,
    call,
    call_item,
    custom,
    function,
    functions,
    identity,
    output,
    past_arguments,
    refused_call,
    refused_output,
    tool_map,
    types,
)

# Declarations --------------------------------------------------------------------------------------------------------


def test_a_custom_tool_is_a_function_of_one_string() -> None:
    tool = custom("c", description="Does c", format={"type": "text"})
    tools, report = tool_map([tool])
    (offered,) = functions(tools)
    assert (offered["name"], offered["description"]) == ("c", "Does c")
    assert offered["parameters"]["required"] == ["input"]
    assert offered["parameters"]["additionalProperties"] is False
    assert offered["parameters"]["properties"]["input"]["type"] == "string"
    assert tools.echo == [tool]
    assert identity(tools, "c") == ("custom_tool_call", None, "c")
    assert report == 'mapped=("tools[0]")'


def test_a_custom_tool_needs_no_description() -> None:
    assert "description" not in function(CUSTOM)


LARK = {"type": "grammar", "syntax": "lark", "definition": 'start: "a"+'}


def test_a_grammar_is_described_in_words() -> None:
    offered = function(custom("c", description="Does c", format=LARK))
    assert offered["description"] == 'Does c\n\nThe input must match this Lark grammar:\nstart: "a"+'
    assert "pattern" not in offered["parameters"]["properties"]["input"]


def regex(definition: str) -> Json:
    return custom("c", format={"type": "grammar", "syntax": "regex", "definition": definition})


@pytest.mark.parametrize("definition", ["a|b", "^a|b$", "^a|b", "a|b$"])
def test_a_regular_expression_is_also_a_pattern_of_the_entire_string(definition: str) -> None:
    offered = function(regex(definition))
    assert offered["description"] == f"The input must match this regular expression:\n{definition}"
    pattern = offered["parameters"]["properties"]["input"]["pattern"]
    found = [bool(re.search(pattern, text)) for text in ("a", "b", "ab", "xa", "bx")]
    assert found == [True, True, False, False, False]


def test_a_dollar_that_is_escaped_is_no_anchor() -> None:
    pattern = function(regex("a\\$"))["parameters"]["properties"]["input"]["pattern"]
    assert re.search(pattern, "a$")
    assert not re.search(pattern, "a")


@pytest.mark.parametrize("tool", [CUSTOM, custom("c", format=LARK)])
def test_hosts_are_asked_to_hold_the_model_to_what_is_offered(tool: Json) -> None:
    """vLLM lets a model write anything into the arguments of a function that is not strict."""
    assert function(tool)["strict"] is True


def test_a_pattern_is_not_strict_for_a_host_that_cannot_read_it_would_refuse_the_request() -> None:
    offered = function(regex("(?i)a+"))
    assert "pattern" in offered["parameters"]["properties"]["input"]
    assert "strict" not in offered


# Calls ---------------------------------------------------------------------------------------------------------------


def test_the_text_comes_without_its_json() -> None:
    events = call(CUSTOM, ['{"in', 'put": "*** Be', "gin\\", 'n\\ud83d\\ude00"', "}"])
    assert types(events) == [
        "output_item.added",
        *["custom_tool_call_input.delta"] * 3,
        "custom_tool_call_input.done",
        "output_item.done",
    ]
    assert [event["delta"] for event in events[1:4]] == ["*** Be", "gin", "\n😀"]
    assert events[4]["input"] == events[5]["item"]["input"] == "*** Begin\n😀"


def test_a_model_may_write_the_text_bare() -> None:
    events = call(CUSTOM, ["*** Begin", " Patch"])
    assert [event["delta"] for event in events[1:3]] == ["*** Begin", " Patch"]
    assert events[-1]["item"]["input"] == "*** Begin Patch"


def test_the_text_of_a_call_that_is_cut_off_is_a_beginning_of_it_and_no_json() -> None:
    arguments = '{"input": "abc\\n\\u00e9def"}'
    for end in range(len(arguments)):
        item = call_item(CUSTOM, arguments[:end], "incomplete")
        assert "abc\nédef".startswith(item["input"])
        assert item["status"] == "incomplete"


@pytest.mark.parametrize("text", ["", "a\nb", '"', "\\", "é😀", "\x00\u2028"])
def test_the_text_of_a_past_call_is_put_into_json_again(text: str) -> None:
    arguments = past_arguments("custom_tool_call", name="c", input=text)
    assert json.loads(arguments) == {"input": text}
    assert "é" not in text or "é" in arguments


@pytest.mark.parametrize(
    ("fields", "code"), [({"input": None}, "missing_required_parameter"), ({"input": ["a"]}, "invalid_type")]
)
def test_a_past_call_without_its_text_is_refused(fields: Json, code: str) -> None:
    assert refused_call("custom_tool_call", **fields) == ("input", code)


# Outputs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["Done!", [{"type": "input_text", "text": "Done!"}]])
def test_an_output_is_its_text_or_its_parts(value: Any) -> None:
    assert output("custom_tool_call_output", output=value) == value
    assert refused_output("custom_tool_call_output") == ("output", "missing_required_parameter")
