"""Arguments as models write them: parsed for what they mean, and nothing carried out of a call that was cut off."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.tools.arguments import (
    MAX_INTEGER,
    MAX_LENIENT,
    object_arguments,
    parse_arguments,
    write_arguments,
)
from responses_shim.core.wire import large_json
from responses_shim.core.wire.large_json import plain
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


def test_long_arguments_are_read_if_they_are_json_to_the_letter() -> None:
    long = "a" * MAX_LENIENT
    assert parse_arguments(f'{{"a": "{long}"}}') == {"a": long}
    for almost in (f'{{"a": "{long}\n"}}', f'{{"a": "{long}", "b": NaN}}', f'{{"a": "{long}\\ud83d"}}'):
        assert parse_arguments(almost) is None
        assert parse_arguments(almost.replace("a" * 100, "")) is not None
    assert parse_arguments(long) == long


@pytest.mark.parametrize(
    "text", ["{}", ' {"a": [1, {"b": "\\ud83d\\ude00"}]} ', '{"a": NaN}', '{"a": "\\ud83d"}', '{"a": 1e999}']
)
def test_past_arguments_that_are_an_object_stay_as_they_are(text: str) -> None:
    assert object_arguments(text) == text


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("[1]", {"arguments": "[1]"}),
        ("ls", {"arguments": "ls"}),
        (" ", {}),
        ('{"a": "1\n2"}', {"a": "1\n2"}),
        ('{"a": ', {"arguments": '{"a": '}),
        ('{"a": ' + "9" * 5000 + "}", {"arguments": '{"a": ' + "9" * 5000 + "}"}),
        ('{"a": [' + "[]," * MAX_LENIENT, {"arguments": '{"a": [' + "[]," * MAX_LENIENT}),
        ("[" * 5000, {"arguments": "[" * 5000}),
    ],
    ids=lambda value: str(value)[:20],
)
def test_other_past_arguments_become_an_object(text: str, made: Json) -> None:
    assert json.loads(object_arguments(text)) == made


@pytest.mark.parametrize(("digits", "kept"), [(MAX_INTEGER, True), (MAX_INTEGER + 1, False)])
def test_an_integer_that_python_does_not_read_makes_arguments_a_text(digits: int, kept: bool) -> None:
    """A host that reads them with Python would fail."""
    text = '{"a": ' + "9" * digits + "}"
    assert (object_arguments(text) == text) is kept


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text('aé"\\\n'), inner))


@given(value=VALUES, piece=st.integers(1, 5))
def test_long_texts_in_arguments_are_written_as_any(value: Any, piece: int) -> None:
    with patch.object(large_json, "PIECE", piece):
        written = write_arguments(value)
    assert plain(written) == json.dumps(value, ensure_ascii=False)
    assert msgspec.json.encode({"arguments": written}) == msgspec.json.encode(
        {"arguments": json.dumps(value, ensure_ascii=False)}
    )
