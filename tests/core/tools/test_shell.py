"""The shell: declared, called, replayed, answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.core.driver import Json
from tests.core.tools.declared import (
    SHELL,
    F,
    call,
    call_item,
    names,
    output,
    past_arguments,
    refused_call,
    refused_output,
    tool_map,
    types,
)

# Declarations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", [None, {"type": "local"}, {"type": "local", "skills": []}])
def test_a_shell_of_the_clients_is_offered(environment: Any) -> None:
    assert names(tool_map([{"type": "shell", "environment": environment}])[0]) == ["shell"]


@pytest.mark.parametrize("environment", [{"type": "container_auto"}, {"type": "container_reference"}, {}])
def test_a_shell_in_a_container_is_left_out_and_reported(environment: Any) -> None:
    tools, report = tool_map([F, {"type": "shell", "environment": environment}])
    assert names(tools) == ["f"]
    assert report == 'dropped=("tools[1]")'


# Calls ---------------------------------------------------------------------------------------------------------------


def test_the_commands_are_streamed_one_by_one() -> None:
    events = call(SHELL, ['{"commands": ["ls", "cat', ' a"], "timeout_ms": 5}'])
    assert types(events) == [
        "output_item.added",
        *["shell_call_command.added", "shell_call_command.delta", "shell_call_command.done"] * 2,
        "output_item.done",
    ]
    assert [event["command_index"] for event in events[1:-1]] == [0, 0, 0, 1, 1, 1]
    assert [event["command"] for event in events if event["type"].endswith("command.done")] == ["ls", "cat a"]
    assert events[-1]["item"]["action"] == {"commands": ["ls", "cat a"], "timeout_ms": 5, "max_output_length": None}


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
def test_the_commands_are_read_from_the_arguments_however_a_model_writes_them(
    arguments: str, commands: list[str]
) -> None:
    assert call_item(SHELL, arguments)["action"]["commands"] == commands


@pytest.mark.parametrize(
    ("fields", "arguments"),
    [
        (
            {"action": {"commands": ["ls", "pwd"], "timeout_ms": 5, "max_output_length": None}, "environment": None},
            {"commands": ["ls", "pwd"], "timeout_ms": 5},
        ),
        ({"action": {"commands": []}}, {"commands": []}),
    ],
)
def test_a_past_action_is_shown_as_the_arguments_that_it_was_read_from(fields: Json, arguments: Json) -> None:
    assert json.loads(past_arguments("shell_call", **fields)) == arguments


@pytest.mark.parametrize(("fields", "code"), [({}, "missing_required_parameter"), ({"action": "ls"}, "invalid_type")])
def test_a_past_call_without_an_action_is_refused(fields: Json, code: str) -> None:
    assert refused_call("shell_call", **fields) == ("action", code)


# Outputs -------------------------------------------------------------------------------------------------------------


def ran(stdout: Any = "", stderr: Any = "", **outcome: Any) -> Json:
    """The output of one command."""
    return {"stdout": stdout, "stderr": stderr, "outcome": outcome or {"type": "exit", "exit_code": 0}}


@pytest.mark.parametrize(
    ("commands", "text"),
    [
        ([], ""),
        ([ran()], "[exit code 0]"),
        ([ran("a\nb\n")], "a\nb\n[exit code 0]"),
        ([ran("a", "warning\n", type="exit", exit_code=2)], "a\nwarning\n[exit code 2]"),
        ([ran("a", None, type="timeout")], "a\n[timed out]"),
        ([ran("a"), ran(None, "b", type="exit", exit_code=-9)], "a\n[exit code 0]\n\nb\n[exit code -9]"),
        ("in words", "in words"),
    ],
)
def test_an_output_is_what_each_command_printed_and_how_it_ended(commands: Any, text: str) -> None:
    assert output("shell_call_output", output=commands) == text


@pytest.mark.parametrize(
    ("commands", "param", "code"),
    [
        (None, "output", "missing_required_parameter"),
        ({}, "output", "invalid_type"),
        ([ran(), "a"], "output[1]", "invalid_type"),
        ([ran(7)], "output[0].stdout", "invalid_type"),
        ([ran("a", ["b"])], "output[0].stderr", "invalid_type"),
        ([{"stdout": "a"}], "output[0].outcome", "missing_required_parameter"),
        ([{"stdout": "a", "outcome": "exit"}], "output[0].outcome", "invalid_type"),
        ([ran(type="killed")], "output[0].outcome.type", "invalid_value"),
        ([ran(type=[])], "output[0].outcome.type", "invalid_value"),
        ([ran(exit_code=1)], "output[0].outcome.type", "invalid_value"),
        ([ran(type="exit")], "output[0].outcome.exit_code", "missing_required_parameter"),
        ([ran(type="exit", exit_code="0")], "output[0].outcome.exit_code", "invalid_type"),
    ],
)
def test_what_is_wrong_with_an_output_is_named_by_its_path(commands: Any, param: str, code: str) -> None:
    assert refused_output("shell_call_output", output=commands) == (param, code)
