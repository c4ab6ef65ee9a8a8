"""The local shell: one command, as a program and its arguments."""

from __future__ import annotations

from typing import Any, ClassVar

from responses_shim.core.tools.arguments import (
    integer_or_none,
    object_or_empty,
    required_object,
    string_or_none,
    strings,
    write_given_arguments,
)
from responses_shim.core.tools.base import BuiltInToolKind, Function, Item, ParsedCallBuilder, ToolSummaries
from responses_shim.core.wire.large_json import Text
from responses_shim.core.wire.responses import ExecAction, ItemStatus, LocalShellCallItem
from responses_shim.core.wire.validation import required_string


class LocalShellCallBuilder(ParsedCallBuilder):
    """A call of the local shell."""

    prefix = "lsh"

    def item(self, status: ItemStatus) -> LocalShellCallItem:
        parsed = self._parsed
        env = object_or_empty(parsed.get("env"))
        action = ExecAction(
            command=self._command(),
            env={str(name): value for name, value in env.items() if isinstance(value, str)},
            timeout_ms=integer_or_none(parsed.get("timeout_ms")),
            user=string_or_none(parsed.get("user")),
            working_directory=string_or_none(parsed.get("working_directory")),
        )
        return LocalShellCallItem(id=self.id, call_id=self.call_id, action=action, status=status)

    def from_bare(self, value: str | list[Any]) -> dict[str, Any]:
        return {"command": value}

    def _command(self) -> list[str]:
        """The command; a single string is taken as a line for a shell."""
        command = self._parsed.get("command")
        return ["bash", "-lc", command] if isinstance(command, str) else strings(command)


class LocalShellKind(BuiltInToolKind):
    """The local shell."""

    tool_type = "local_shell"
    call_type = "local_shell_call"
    output_type = "local_shell_call_output"
    builder = LocalShellCallBuilder
    function: ClassVar[Function] = {
        "name": "local_shell",
        "description": "Runs one command on the user's machine and returns what it prints.",
        "parameters": {
            "type": "object",
            "properties": {
                "command": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": 'The program and its arguments, as in ["bash", "-lc", "ls -la"].',
                },
                "working_directory": {"type": "string", "description": "Where to run it."},
                "timeout_ms": {"type": "integer", "description": "When to end it, in milliseconds."},
            },
            "required": ["command"],
        },
    }

    def past_arguments(self, item: Item, path: str) -> Text:
        action = required_object(item, "action", path)
        names = ("command", "env", "timeout_ms", "user", "working_directory")
        return write_given_arguments({name: action.get(name) for name in names}, f"{path}.action")

    def read_output(self, item: Item, path: str, tools: ToolSummaries) -> str:
        return required_string(item, "output", path)
