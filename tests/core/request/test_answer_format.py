"""`text.format`, alone and beside tools."""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim.core.request.answer_format import constrained_chat
from responses_shim.core.request.options import DEFAULT_OPTIONS, TranslationOptions
from responses_shim.core.request.prepare import PreparedRequest
from tests.core.prepared import prepared

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
JSON_SCHEMA = {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}
DESCRIBED = {**JSON_SCHEMA, "description": "Where it is."}
TOOL = {"type": "function", "name": "f", "parameters": {}}
NESTED = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}


def translate(
    answer_format: dict[str, Any] | None, options: TranslationOptions = DEFAULT_OPTIONS, **fields: Any
) -> PreparedRequest:
    text: dict[str, Any] = {"text": {"format": answer_format}} if answer_format is not None else {}
    return prepared(options=options, **text, **fields)


@pytest.mark.parametrize(
    ("answer_format", "expected"),
    [(JSON_SCHEMA, NESTED), ({"type": "json_object"}, {"type": "json_object"}), ({"type": "text"}, None), (None, None)],
)
def test_without_tools_the_host_constrains_the_answer(answer_format: dict[str, Any] | None, expected: Any) -> None:
    made = translate(answer_format)
    assert made.chat.get("response_format") == expected
    assert made.report.header() == ('mapped=("text.format")' if expected else "")
    assert [message["role"] for message in made.chat["messages"]] == ["user"]


@pytest.mark.parametrize("choice", [None, "auto", {"type": "allowed_tools", "mode": "auto", "tools": [{"name": "f"}]}])
def test_beside_tools_it_is_described_at_the_end_of_the_system_message(choice: Any) -> None:
    made = translate(DESCRIBED, tools=[TOOL], tool_choice=choice, instructions="Be brief.")
    assert "response_format" not in made.chat
    assert len(made.chat["tools"]) == 1
    system = made.chat["messages"][0]
    assert system["role"] == "system"
    assert system["content"].startswith("Be brief.\n\nWhen you answer, rather than call a tool,")
    assert "It is 'place': Where it is." in system["content"]
    assert system["content"].endswith(
        '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}',
    )
    assert 'described=("text.format")' in made.report.header()
    assert made.to_verify is not None


def test_any_object_beside_tools_is_described_in_one_sentence() -> None:
    system, _ = translate({"type": "json_object"}, tools=[TOOL]).chat["messages"]
    assert system["content"].endswith("no code fence, no text.")


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "f"}])
def test_where_a_call_is_forced_there_is_no_answer_to_format(choice: Any) -> None:
    made = translate(JSON_SCHEMA, tools=[TOOL], tool_choice=choice)
    assert "response_format" not in made.chat
    assert [message["role"] for message in made.chat["messages"]] == ["user"]
    assert 'dropped=("text.format")' in made.report.header()
    assert made.to_verify is None


def test_tools_that_may_not_be_called_change_nothing() -> None:
    assert translate(JSON_SCHEMA, tools=[TOOL], tool_choice="none").chat["response_format"] == NESTED


def test_tools_that_cannot_be_offered_change_nothing() -> None:
    assert translate(JSON_SCHEMA, tools=[{"type": "web_search"}]).chat["response_format"] == NESTED


def test_an_operator_or_a_host_may_want_the_constraint_beside_tools() -> None:
    made = translate(JSON_SCHEMA, TranslationOptions(format_with_tools="constrain"), tools=[TOOL])
    assert made.chat["response_format"] == NESTED
    assert [message["role"] for message in made.chat["messages"]] == ["user"]
    assert made.report.header() == 'mapped=("tools[0].parameters" "text.format")'
    assert made.to_verify is None


def test_an_operator_may_want_it_described_and_not_checked() -> None:
    options = TranslationOptions(format_with_tools="describe", composes_format="always")
    made = translate(JSON_SCHEMA, options, tools=[TOOL])
    assert "response_format" not in made.chat
    assert 'described=("text.format")' in made.report.header()
    assert made.to_verify is None


STRICT = {**TOOL, "name": "g", "strict": True}


@pytest.mark.parametrize(
    ("composes", "tools", "composed"),
    [
        ("never", [STRICT], False),
        ("strict_tools", [TOOL], False),
        ("strict_tools", [TOOL, STRICT], True),
        ("always", [TOOL], True),
    ],
)
def test_a_host_that_composes_calls_and_a_format_gets_both(composes: Any, tools: list[Any], composed: bool) -> None:
    made = translate(JSON_SCHEMA, TranslationOptions(composes_format=composes), tools=tools)
    assert made.chat.get("response_format") == (NESTED if composed else None)
    assert len(made.chat["tools"]) == len(tools)
    assert f'{"composed" if composed else "described"}=("text.format")' in made.report.header()
    assert (made.to_verify is None) == composed


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({"max_completion_tokens": 100, "max_tokens": 100}, {"max_completion_tokens": 60, "max_tokens": 60}),
        ({"max_tokens": 30}, {"max_tokens": 1}),
        ({}, {}),
    ],
)
def test_the_answer_is_asked_for_again_without_tools(limits: dict[str, int], left: dict[str, int]) -> None:
    chat = {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [TOOL],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "temperature": 0.5,
        **limits,
    }
    asked = constrained_chat(chat, NESTED, 40)
    assert asked == {
        "model": "m",
        "messages": chat["messages"],
        "temperature": 0.5,
        "response_format": NESTED,
        **left,
    }


def test_a_host_may_compose_some_tools_and_schemas_only() -> None:
    asked: list[Any] = []

    def can_compose(tools: list[Any], schema: Any) -> bool:
        asked.append(([tool["function"]["name"] for tool in tools], schema))
        return False

    options = TranslationOptions(composes_format="always", can_compose=can_compose)
    for answer_format in (JSON_SCHEMA, {"type": "json_object"}):
        made = translate(answer_format, options, tools=[TOOL])
        assert "response_format" not in made.chat
        assert made.to_verify is not None
    assert asked == [(["f"], JSON_SCHEMA["schema"]), (["f"], None)]
