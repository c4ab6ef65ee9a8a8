"""Each form of call while it grows: what streams, what is read at the end, and what is made of it by sloppy models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.events import ALLOWED_AFTER, Event
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.responses import ItemStatus
from responses_shim.core.wire.validation import MAX_DEPTH
from tests.core.driver import Json, event_json
from tests.oracle import check_event, check_item

FUNCTION: Json = {"type": "function", "name": "f"}
CUSTOM: Json = {"type": "custom", "name": "c"}
SHELL: Json = {"type": "shell"}
LOCAL: Json = {"type": "local_shell"}
PATCH: Json = {"type": "apply_patch"}
SEARCH: Json = {"type": "tool_search", "execution": "client"}
EVERY = [FUNCTION, CUSTOM, SHELL, LOCAL, PATCH, SEARCH]
READ = [SHELL, LOCAL, PATCH, SEARCH]
"""Those whose items are read from the whole of the JSON."""


def call(tool: Json, pieces: Sequence[str] | str, status: ItemStatus = "completed") -> list[Json]:
    """The events of one call, valid each and in the order of the table."""
    tools = ToolMap([tool], None, None, Report())
    (name,) = tools.names()
    output = tools.open(name, lambda prefix: f"{prefix}_1", 0, count().__next__, "call_1")
    events: list[Event] = []
    output.open(events)
    for piece in [pieces] if isinstance(pieces, str) else pieces:
        output.arguments(piece, events)
    output.close(status, events)
    assert all(type(after) in ALLOWED_AFTER[type(before)] for before, after in pairwise(events))
    told = [event_json(event) for event in events]
    for event in told:
        check_event(event)
    check_item(told[-1]["item"])
    return told


def made(tool: Json, arguments: str, status: ItemStatus = "completed") -> Json:
    item: Json = call(tool, arguments, status)[-1]["item"]
    return item


def types(events: Sequence[Json]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


@pytest.mark.parametrize(
    ("tool", "begins"),
    [
        (FUNCTION, {"type": "function_call", "id": "fc_1", "name": "f", "arguments": ""}),
        (CUSTOM, {"type": "custom_tool_call", "id": "ctc_1", "name": "c", "input": ""}),
        (SEARCH, {"type": "tool_search_call", "id": "tsc_1", "execution": "client", "arguments": {}}),
        (LOCAL, {"type": "local_shell_call", "id": "lsh_1", "action": {"type": "exec", "command": [], "env": {}}}),
        (
            SHELL,
            {
                "type": "shell_call",
                "id": "sh_1",
                "action": {"commands": [], "timeout_ms": None, "max_output_length": None},
                "environment": None,
            },
        ),
        (
            PATCH,
            {"type": "apply_patch_call", "id": "apc_1", "operation": {"type": "update_file", "path": "", "diff": ""}},
        ),
    ],
)
def test_a_call_opens_empty_and_in_progress(tool: Json, begins: Json) -> None:
    assert call(tool, "{}")[0]["item"] == {**begins, "call_id": "call_1", "status": "in_progress"}


# What streams --------------------------------------------------------------------------------------------------------


def test_the_arguments_of_a_function_are_passed_on_as_they_come() -> None:
    events = call(FUNCTION, ['{"a"', ": 1", "} and more"])
    assert types(events) == [
        "output_item.added",
        *["function_call_arguments.delta"] * 3,
        "function_call_arguments.done",
        "output_item.done",
    ]
    assert [event["delta"] for event in events[1:4]] == ['{"a"', ": 1", "} and more"]
    assert (events[4]["name"], events[4]["arguments"]) == ("f", '{"a": 1} and more')
    assert events[5]["item"]["arguments"] == '{"a": 1} and more'


def test_the_text_of_a_custom_tool_comes_without_its_json() -> None:
    events = call(CUSTOM, ['{"in', 'put": "*** Be', "gin\\", 'n\\ud83d\\ude00"', "}"])
    assert types(events) == [
        "output_item.added",
        *["custom_tool_call_input.delta"] * 3,
        "custom_tool_call_input.done",
        "output_item.done",
    ]
    assert [event["delta"] for event in events[1:4]] == ["*** Be", "gin", "\n😀"]
    assert events[4]["input"] == events[5]["item"]["input"] == "*** Begin\n😀"


def test_a_custom_tool_may_be_called_with_bare_text() -> None:
    events = call(CUSTOM, ["*** Begin", " Patch"])
    assert [event["delta"] for event in events[1:3]] == ["*** Begin", " Patch"]
    assert events[-1]["item"]["input"] == "*** Begin Patch"


def test_the_commands_of_a_shell_are_told_one_by_one() -> None:
    events = call(SHELL, ['{"commands": ["ls", "cat', ' a"], "timeout_ms": 5}'])
    assert types(events) == [
        "output_item.added",
        *["shell_call_command.added", "shell_call_command.delta", "shell_call_command.done"] * 2,
        "output_item.done",
    ]
    assert [event["command_index"] for event in events[1:-1]] == [0, 0, 0, 1, 1, 1]
    assert [event["command"] for event in events if event["type"].endswith("command.done")] == ["ls", "cat a"]
    assert events[-1]["item"]["action"] == {"commands": ["ls", "cat a"], "timeout_ms": 5, "max_output_length": None}


# What is read from the whole -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "action"),
    [
        ('{"command": ["ls", "-la"]}', {"command": ["ls", "-la"]}),
        (
            '{"command": ["ls"], "env": {"A": "1", "B": 2}, "timeout_ms": 5, "user": "me", "working_directory": "/"}',
            {"command": ["ls"], "env": {"A": "1"}, "timeout_ms": 5, "user": "me", "working_directory": "/"},
        ),
        ('{"command": ["ls"], "env": [], "timeout_ms": true, "user": 7}', {"command": ["ls"]}),
        ('{"command": ["ls"], "timeout_ms": 5.0}', {"command": ["ls"]}),
        ('{"command": ["ls", 7, null]}', {"command": ["ls"]}),
        (json.dumps('{"command": ["ls"]}'), {"command": ["ls"]}),
        (json.dumps('{"command": ['), {"command": []}),
        (json.dumps("{ ls; }"), {"command": ["bash", "-lc", "{ ls; }"]}),
        ('{"command": "ls -la | wc"}', {"command": ["bash", "-lc", "ls -la | wc"]}),
        ('{"command": "cat <<E\nx\nE"}', {"command": ["bash", "-lc", "cat <<E\nx\nE"]}),
        ("ls -la", {"command": ["bash", "-lc", "ls -la"]}),
        ('"ls -la"', {"command": ["bash", "-lc", "ls -la"]}),
        ('["ls", "-la"]', {"command": ["ls", "-la"]}),
        ('[ "$a" = b ] && { echo c; }', {"command": ["bash", "-lc", '[ "$a" = b ] && { echo c; }']}),
        ("[[ -f a ]] && ls", {"command": ["bash", "-lc", "[[ -f a ]] && ls"]}),
        ('{"cmd": "ls"}', {"command": []}),
        ("{command: ['ls']}", {"command": []}),
        ("{'command': 'ls'}", {"command": []}),
        ('{ "command": [', {"command": []}),
        ('[\n  "ls",', {"command": []}),
        ('[["ls"', {"command": []}),
        ('{"command": {}}', {"command": []}),
    ],
)
def test_what_a_local_shell_is_to_run(arguments: str, action: Json) -> None:
    assert made(LOCAL, arguments)["action"] == {"type": "exec", "env": {}, **action}


@pytest.mark.parametrize(
    ("arguments", "commands"),
    [
        ('{"commands": ["ls", "pwd"]}', ["ls", "pwd"]),
        ('{"commands": []}', []),
        ('{"commands": "ls"}', ["ls"]),
        ('{"commands": ["ls", 7]}', ["ls"]),
        ('{"commands": ["cat <<E\nx\nE"]}', ["cat <<E\nx\nE"]),
        ('{"commands": ["echo \\ud83d"]}', ["echo �"]),
        ('{"command": "ls -la"}', ["ls -la"]),
        ('{"command": ["bash", "-lc", "ls | wc"]}', ["bash -lc 'ls | wc'"]),
        ('{"command": ["ls"], "commands": null}', ["ls"]),
        ('{"command": []}', []),
        ('{"command": 7}', []),
        ("ls -la", ["ls -la"]),
        ('"ls -la"', ["ls -la"]),
        ('["ls", "pwd"]', ["ls", "pwd"]),
        ("{ ls; }", ["{ ls; }"]),
    ],
)
def test_what_a_shell_is_to_run(arguments: str, commands: list[str]) -> None:
    assert made(SHELL, arguments)["action"]["commands"] == commands


@pytest.mark.parametrize(
    ("arguments", "operation"),
    [
        (
            '{"type": "update_file", "path": "a", "diff": "@@\\n-x\\n+y"}',
            {"type": "update_file", "path": "a", "diff": "@@\n-x\n+y"},
        ),
        ('{"type": "create_file", "path": "a", "diff": "+x"}', {"type": "create_file", "path": "a", "diff": "+x"}),
        ('{"type": "delete_file", "path": "a", "diff": "?"}', {"type": "delete_file", "path": "a"}),
        ('{"type": "delete_file", "path": "a"}', {"type": "delete_file", "path": "a"}),
        (
            '{"operation": {"type": "create_file", "path": "a", "diff": "+x"}}',
            {"type": "create_file", "path": "a", "diff": "+x"},
        ),
        (
            '{"type": "update_file", "path": "a", "diff": "-x\n+y"}',
            {"type": "update_file", "path": "a", "diff": "-x\n+y"},
        ),
        ('{"path": "a", "diff": "+x"}', {"type": "update_file", "path": "a", "diff": "+x"}),
        ('{"type": "odd", "path": 7, "diff": null}', {"type": "update_file", "path": "", "diff": ""}),
        ("*** Begin Patch", {"type": "update_file", "path": "", "diff": ""}),
    ],
)
def test_what_a_patch_is_to_do(arguments: str, operation: Json) -> None:
    assert made(PATCH, arguments)["operation"] == operation


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        ('{"query": "mail", "limit": 3}', {"query": "mail", "limit": 3}),
        ('{"query": "two\nlines", "odd": NaN, "big": 1e999}', {"query": "two\nlines", "odd": None, "big": None}),
        ('{"query": "\\ud83d"}', {"query": "�"}),
        ("mail", {}),
        ('"mail"', {}),
        ('["mail"]', {}),
    ],
)
def test_what_a_search_is_to_find(arguments: str, read: Json) -> None:
    assert made(SEARCH, arguments)["arguments"] == read


@pytest.mark.parametrize(
    "arguments", ["", " ", "{}", "[]", "null", "7", "true", '{"commands', '{"command": ["ls"', '["ls']
)
@pytest.mark.parametrize("tool", READ)
def test_of_arguments_that_say_nothing_whole_nothing_is_read(tool: Json, arguments: str) -> None:
    assert made(tool, arguments) == {**made(tool, ""), "status": "completed"}


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 970, 100_000])
def test_arguments_nested_absurdly_deep_are_none(depth: int) -> None:
    nested = '{"query": ' + "[" * depth + "]" * depth + "}"
    assert made(SEARCH, nested)["arguments"] == {}
    assert made(SHELL, nested)["action"]["commands"] == []
    shallow = '{"query": ' + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1) + "}"
    assert json.dumps(made(SEARCH, shallow)["arguments"]) == shallow


# Calls that are cut --------------------------------------------------------------------------------------------------

WHOLE: dict[str, str] = {
    "function": '{"a": "bcd"}',
    "custom": '{"input": "abc\\n\\u00e9def"}',
    "shell": '{"commands": ["rm -r /tmp/a"], "timeout_ms": 10}',
    "local_shell": '{"command": ["rm", "-r", "/tmp/a"]}',
    "apply_patch": '{"type": "update_file", "path": "a", "diff": "-x"}',
    "tool_search": '{"query": "mail"}',
}


@pytest.mark.parametrize("tool", READ, ids=lambda tool: tool["type"])
def test_of_a_call_that_is_cut_there_is_nothing_to_carry_out(tool: Json) -> None:
    whole = WHOLE[tool["type"]]
    for end in range(len(whole)):
        events = call(tool, whole[:end], "incomplete")
        assert types(events) == ["output_item.added", "output_item.done"]
        assert events[-1]["item"] == {**events[0]["item"], "status": "incomplete"}


@pytest.mark.parametrize("bare", ["rm -r /tmp/a", '"rm -r /tmp/a"', '["rm -r /tmp/a"]'])
@pytest.mark.parametrize("tool", READ, ids=lambda tool: tool["type"])
def test_what_stands_there_without_an_object_may_be_cut_as_well(tool: Json, bare: str) -> None:
    assert made(tool, bare, "incomplete") == {**made(tool, "", "incomplete")}


def test_the_text_of_a_custom_tool_that_is_cut_is_a_beginning_of_it_and_no_json() -> None:
    for end in range(len(WHOLE["custom"])):
        item = made(CUSTOM, WHOLE["custom"][:end], "incomplete")
        assert "abc\nédef".startswith(item["input"])
        assert item["status"] == "incomplete"


@given(st.sampled_from(EVERY), st.text(max_size=40), st.lists(st.integers(0, 40), max_size=4), st.data())
def test_however_arguments_are_cut_the_call_is_the_same(
    tool: Json, text: str, places: list[int], data: st.DataObject
) -> None:
    raw = data.draw(st.sampled_from([text, WHOLE[tool["type"]], WHOLE[tool["type"]] + text, '{"input": "' + text]))
    status: ItemStatus = data.draw(st.sampled_from(["completed", "incomplete"]))
    edges = sorted(min(place, len(raw)) for place in places)
    pieces = [raw[start:end] for start, end in zip([0, *edges], [*edges, len(raw)], strict=True)]
    events, whole = call(tool, pieces, status), call(tool, raw, status)
    assert events[-1]["item"] == whole[-1]["item"]
    streamed: dict[int, list[Any]] = {}
    for event in events:
        if event["type"].endswith(".delta"):
            streamed.setdefault(event.get("command_index", 0), []).append(event["delta"])
    item = events[-1]["item"]
    value = item.get("input") if "input" in item else item.get("arguments", "") if tool is FUNCTION else None
    values = item["action"]["commands"] if tool is SHELL else [value] if value is not None else []
    assert ["".join(streamed.get(place, [])) for place in range(len(values))] == values
