"""Arguments as models write them: parsed for what they mean, and nothing carried out of a call that was cut off."""

from __future__ import annotations

import json

import pytest

from responses_shim.core.tools.arguments import parse_arguments
from responses_shim.core.wire.validation import MAX_DEPTH
from tests.core.driver import Json
from tests.core.tools.declared import PARSED, SEARCH, SHELL, call, call_item, types

COMPLETE: dict[str, str] = {
    "shell": '{"commands": ["rm -r /tmp/a"], "timeout_ms": 10}',
    "local_shell": '{"command": ["rm", "-r", "/tmp/a"]}',
    "apply_patch": '{"type": "update_file", "path": "a", "diff": "-x"}',
    "tool_search": '{"query": "mail"}',
}


@pytest.mark.parametrize(
    "arguments", ["", " ", "{}", "[]", "null", "7", "true", '{"commands', '{"command": ["ls"', '["ls']
)
@pytest.mark.parametrize("tool", PARSED, ids=lambda tool: tool["type"])
def test_nothing_is_read_from_arguments_that_are_empty_or_incomplete(tool: Json, arguments: str) -> None:
    assert call_item(tool, arguments) == {**call_item(tool, ""), "status": "completed"}


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 970, 100_000])
def test_nothing_is_read_from_arguments_that_are_nested_too_deep(depth: int) -> None:
    nested = '{"query": ' + "[" * depth + "]" * depth + "}"
    assert call_item(SEARCH, nested)["arguments"] == {}
    assert call_item(SHELL, nested)["action"]["commands"] == []
    shallow = '{"query": ' + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1) + "}"
    assert json.dumps(call_item(SEARCH, shallow)["arguments"]) == shallow


@pytest.mark.parametrize("tool", PARSED, ids=lambda tool: tool["type"])
def test_a_call_that_is_cut_off_has_nothing_to_carry_out(tool: Json) -> None:
    complete = COMPLETE[tool["type"]]
    for end in range(len(complete)):
        events = call(tool, complete[:end], "incomplete")
        assert types(events) == ["output_item.added", "output_item.done"]
        assert events[-1]["item"] == {**events[0]["item"], "status": "incomplete"}


@pytest.mark.parametrize("bare", ["rm -r /tmp/a", '"rm -r /tmp/a"', '["rm -r /tmp/a"]'])
@pytest.mark.parametrize("tool", PARSED, ids=lambda tool: tool["type"])
def test_nor_has_one_that_is_cut_off_and_no_object(tool: Json, bare: str) -> None:
    assert call_item(tool, bare, "incomplete") == call_item(tool, "", "incomplete")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": "1\n2"}', {"a": "1\n2"}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ('{"a": NaN}', {"a": None}),
        ("ls -la", "ls -la"),
        ("{ ls; }", "{ ls; }"),
        ('{"a": ', None),
        ("{'a': 1}", None),
        (" \n", None),
    ],
)
def test_what_is_meant_as_json_is_json_and_all_else_is_text(text: str, value: object) -> None:
    assert parse_arguments(text) == value
