"""Function tools for hosts without a tool parser: described, past calls as text, and forced choices as a schema."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from responses_shim.core.request.tool_prompt import describe_tools, force_call
from responses_shim.core.tools.arguments import write_arguments
from responses_shim.core.wire.large_json import PIECE, Text
from responses_shim.core.wire.report import Report

Json = dict[str, Any]

WEATHER: Json = {
    "name": "weather",
    "description": "The weather.",
    "parameters": {
        "type": "object",
        "properties": {"at": {"$ref": "#/$defs/Place"}},
        "$defs": {"Place": {"enum": ["Paris"]}},
    },
    "strict": True,
}
TIME: Json = {"name": "time"}


def chat(*messages: Json, **fields: Any) -> Json:
    return {"model": "m", "messages": [{"role": "user", "content": "Hi"}, *messages], **fields}


def tools(*functions: Json) -> list[Json]:
    return [{"type": "function", "function": function} for function in functions]


def described(request: Json, *, keep_tools: bool = False) -> Json:
    return describe_tools(request, Report(), keep_tools=keep_tools)


def call(name: str, arguments: Text) -> Json:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def test_functions_are_described_in_a_leading_system_message() -> None:
    report = Report()
    request = chat(tools=tools(WEATHER, TIME), tool_choice="auto", parallel_tool_calls=False, temperature=0)
    made = describe_tools(request, report, keep_tools=False)
    assert made.keys() == {"model", "messages", "temperature"}
    system, user = made["messages"]
    assert system["role"] == "system"
    assert '\n{"name":"weather","description":"The weather.","parameters":{' in system["content"]
    assert '\n{"name":"time"}\n' in system["content"]
    assert "strict" not in system["content"]
    assert user == {"role": "user", "content": "Hi"}
    assert report.header() == 'described=("tools")'
    assert len(request["messages"]) == 1


@pytest.mark.parametrize("role", ["system", "developer"])
def test_the_description_is_behind_the_instructions(role: str) -> None:
    request = {"model": "m", "messages": [{"role": role, "content": "Be brief."}], "tools": tools(TIME)}
    (system,) = described(request)["messages"]
    assert system["role"] == role
    assert system["content"].startswith("Be brief.\n\n# Tools\n")


def test_what_the_host_enforces_stays_in_the_request() -> None:
    choice = {"type": "function", "function": {"name": "time"}}
    made = described(chat(tools=tools(TIME), tool_choice=choice), keep_tools=True)
    assert (made["tools"], made["tool_choice"]) == (tools(TIME), choice)
    assert len(made["messages"]) == 2


def test_a_request_without_tools_or_calls_stays_as_it_is() -> None:
    request = chat({"role": "assistant", "content": "Hello"}, {"role": "user", "content": "?"})
    assert described(request) == request


def test_past_calls_and_their_outputs_are_text() -> None:
    assistant = {
        "role": "assistant",
        "content": "One moment.",
        "reasoning": "Hm.",
        "tool_calls": [call("weather", '{"at":"Paris"}'), call("time", "{}")],
    }
    outputs = [{"role": "tool", "tool_call_id": "call_1", "content": content} for content in ("sunny", "noon")]
    _, spoken, answered, user = described(chat(assistant, *outputs, {"role": "user", "content": "So?"}))["messages"]
    assert spoken == {
        "role": "assistant",
        "reasoning": "Hm.",
        "content": 'One moment.\n<tool_call>\n{"name": "weather", "arguments": {"at":"Paris"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "time", "arguments": {}}\n</tool_call>',
    }
    assert answered == {
        "role": "user",
        "content": "<tool_response>\nsunny\n</tool_response>\n<tool_response>\nnoon\n</tool_response>",
    }
    assert user == {"role": "user", "content": "So?"}


def test_long_arguments_which_are_kept_as_json_are_text() -> None:
    arguments = write_arguments({"a": "a" * PIECE + "😀"})
    assistant = {"role": "assistant", "content": None, "tool_calls": [call("f", arguments)]}
    _, spoken = described(chat(assistant))["messages"]
    assert spoken["content"].startswith('<tool_call>\n{"name": "f", "arguments": {"a": "aaa')
    assert spoken["content"].endswith('a😀"}}\n</tool_call>')


@pytest.mark.parametrize(
    ("content", "before"), [(None, ""), ("", ""), ("A:\n\n", "A:\n\n"), ("A: ", "A: "), ("A", "A\n")]
)
def test_white_space_before_a_call_is_the_models_own(content: str | None, before: str) -> None:
    assistant = {"role": "assistant", "content": content, "tool_calls": [call("time", "{}")]}
    _, spoken = described(chat(assistant))["messages"]
    assert spoken["content"] == before + '<tool_call>\n{"name": "time", "arguments": {}}\n</tool_call>'


def test_outputs_with_images_are_parts() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    outputs: list[Json] = [
        {"role": "tool", "tool_call_id": "a", "content": "text"},
        {"role": "tool", "tool_call_id": "b", "content": [image]},
    ]
    _, answered = described(chat(*outputs))["messages"]
    begin, end = {"type": "text", "text": "<tool_response>"}, {"type": "text", "text": "</tool_response>"}
    assert answered == {"role": "user", "content": [begin, {"type": "text", "text": "text"}, end, begin, image, end]}


# Forced choices -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_a_choice_that_forces_nothing_stays(choice: str | None) -> None:
    request = chat(tools=tools(TIME), tool_choice=choice)
    assert force_call(request, Report()) is request


def test_without_tools_nothing_is_forced() -> None:
    request = chat(tool_choice="required")
    assert force_call(request, Report()) is request


def forced_schema(choice: Any, *functions: Json) -> Json:
    report = Report()
    made = force_call(chat(tools=tools(*functions), tool_choice=choice), report)
    assert "tool_choice" not in made
    assert report.header() == 'mapped=("tool_choice")'
    assert made["response_format"]["type"] == "json_schema"
    schema: Json = made["response_format"]["json_schema"]["schema"]
    return schema


def valid(schema: Json, value: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


def test_a_named_function_is_the_only_one_in_the_schema() -> None:
    schema = forced_schema({"type": "function", "function": {"name": "weather"}}, TIME, WEATHER)
    assert valid(schema, {"name": "weather", "arguments": {"at": "Paris"}})
    assert not valid(schema, {"name": "weather", "arguments": {"at": "Rome"}})
    assert not valid(schema, {"name": "time", "arguments": {}})
    assert not valid(schema, {"name": "weather"})


def test_any_function_will_do_if_a_call_is_required() -> None:
    schema = forced_schema("required", TIME, WEATHER)
    assert valid(schema, {"name": "weather", "arguments": {"at": "Paris"}})
    assert not valid(schema, {"name": "weather", "arguments": {"at": "Rome"}})
    assert valid(schema, {"name": "time", "arguments": {}})
    assert not valid(schema, {"name": "other", "arguments": {}})


def test_references_of_any_form_are_moved_or_kept() -> None:
    function = {"name": "f", "parameters": {"anyOf": [{"$ref": "#"}, {"$ref": "other.json"}], "$ref": 1, "$defs": 2}}
    parameters = forced_schema("required", function)["properties"]["arguments"]
    assert parameters == {"anyOf": [{"$ref": "#/properties/arguments"}, {"$ref": "other.json"}], "$ref": 1}


def test_definitions_of_one_name_stay_apart() -> None:
    """Many hosts look for them nowhere but in the root."""

    def function(name: str, key: str, value: str) -> Json:
        place = {"type": "object", "properties": {"name": {"$ref": f"#/{key}/Name"}}, "required": ["name"]}
        parameters = {"$ref": f"#/{key}/Place", key: {"Place": place, "Name": {"enum": [value]}}}
        return {"name": name, "parameters": parameters}

    schema = forced_schema("required", function("f", "$defs", "a"), function("g", "definitions", "b"))
    assert schema["$defs"].keys() == {"f-Place", "f-Name", "g-Place", "g-Name"}
    assert valid(schema, {"name": "f", "arguments": {"name": "a"}})
    assert not valid(schema, {"name": "f", "arguments": {"name": "b"}})
    assert valid(schema, {"name": "g", "arguments": {"name": "b"}})
    assert not valid(schema, {"name": "g", "arguments": {}})
