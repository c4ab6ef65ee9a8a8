"""The local shell: declared, called, replayed, answered."""

from __future__ import annotations

import json

import pytest

from tests.core.driver import Json
from tests.core.tools.declared import (
    LOCAL_SHELL,
    call_item,
    output,
    past_arguments,
    refused_call,
    refused_output,
)


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
def test_the_action_is_read_from_the_arguments_however_a_model_writes_them(arguments: str, action: Json) -> None:
    assert call_item(LOCAL_SHELL, arguments)["action"] == {"type": "exec", "env": {}, **action}


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ({"type": "exec", "command": ["ls"], "env": {}, "timeout_ms": None}, {"command": ["ls"]}),
        (
            {"command": ["ls"], "env": {"A": "1"}, "user": "me", "working_directory": "/", "timeout_ms": 0},
            {"command": ["ls"], "env": {"A": "1"}, "user": "me", "working_directory": "/", "timeout_ms": 0},
        ),
    ],
)
def test_a_past_action_is_shown_as_the_arguments_that_it_was_read_from(action: Json, arguments: Json) -> None:
    assert json.loads(past_arguments("local_shell_call", action=action)) == arguments


def test_a_past_call_without_an_action_is_refused() -> None:
    assert refused_call("local_shell_call", action=None) == ("action", "missing_required_parameter")


def test_an_output_is_its_text() -> None:
    assert output("local_shell_call_output", output="a\n") == "a\n"


@pytest.mark.parametrize(("fields", "code"), [({}, "missing_required_parameter"), ({"output": ["a"]}, "invalid_type")])
def test_an_output_that_is_no_text_is_refused(fields: Json, code: str) -> None:
    assert refused_output("local_shell_call_output", **fields) == ("output", code)
