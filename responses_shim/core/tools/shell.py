"""The shell: commands that each run by themselves, and what each printed and how it ended."""

from __future__ import annotations

import shlex
from typing import Any, ClassVar

from responses_shim.core.tools.arguments import (
    integer_or_none,
    required_object,
    strings,
    write_given_arguments,
)
from responses_shim.core.tools.base import (
    BuiltInToolKind,
    Declaration,
    Function,
    Item,
    ParsedCallBuilder,
    Tool,
    ToolSummaries,
)
from responses_shim.core.wire.events import (
    Event,
    ShellCallCommandAdded,
    ShellCallCommandDelta,
    ShellCallCommandDone,
)
from responses_shim.core.wire.large_json import Text, joined
from responses_shim.core.wire.responses import ItemStatus, ShellAction, ShellCallItem
from responses_shim.core.wire.validation import bad_value, missing, required_string, wrong_type


class ShellCallBuilder(ParsedCallBuilder):
    """A call of the shell. Its commands are streamed when the call is complete."""

    prefix = "sh"

    def item(self, status: ItemStatus) -> ShellCallItem:
        action = ShellAction(
            commands=self._commands(),
            timeout_ms=integer_or_none(self._parsed.get("timeout_ms")),
            max_output_length=integer_or_none(self._parsed.get("max_output_length")),
        )
        return ShellCallItem(id=self.id, call_id=self.call_id, action=action, status=status)

    def finish(self, status: ItemStatus, events: list[Event]) -> None:
        super().finish(status, events)
        for index, command in enumerate(self._commands()):
            events.append(ShellCallCommandAdded(next(self.numbers), self.index, index, ""))
            events.append(ShellCallCommandDelta(next(self.numbers), self.index, index, command))
            events.append(ShellCallCommandDone(next(self.numbers), self.index, index, command))

    def from_bare(self, value: str | list[Any]) -> dict[str, Any]:
        return {"commands": value}

    def _commands(self) -> list[str]:
        """A `command`, as the local shell takes it, is one command: a program and its arguments."""
        commands = self._parsed.get("commands")
        if commands is None:
            command = self._parsed.get("command")
            commands = command if isinstance(command, str) else shlex.join(strings(command)) or None
        return [commands] if isinstance(commands, str) else strings(commands)


class ShellKind(BuiltInToolKind):
    """The shell, where the client runs it; one in a container of the server is not offered."""

    tool_type = "shell"
    call_type = "shell_call"
    output_type = "shell_call_output"
    builder = ShellCallBuilder
    function: ClassVar[Function] = {
        "name": "shell",
        "description": "Runs commands in the user's shell and returns what each prints and how it ended.",
        "parameters": {
            "type": "object",
            "properties": {
                "commands": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "Shell commands. Each runs by itself, so they should not depend on one another.",
                },
                "timeout_ms": {"type": "integer", "description": "When to end them, in milliseconds."},
                "max_output_length": {"type": "integer", "description": "How many characters of output to return."},
            },
            "required": ["commands"],
        },
    }

    def read_declaration(self, tool: Tool, path: str) -> Declaration:
        declaration = super().read_declaration(tool, path)
        environment = tool.get("environment")  # without one it is the client's
        if isinstance(environment, dict) and environment.get("type") != "local":
            declaration.offered = False
        return declaration

    def past_arguments(self, item: Item, path: str) -> Text:
        action = required_object(item, "action", path)
        names = ("commands", "timeout_ms", "max_output_length")
        return write_given_arguments({name: action.get(name) for name in names}, f"{path}.action")

    def read_output(self, item: Item, path: str, tools: ToolSummaries) -> Text:
        """What each command printed, with how it ended on the last line; a blank line between two commands."""
        output = item.get("output")
        if output is None:
            raise missing(f"{path}.output")
        if isinstance(output, str):
            return output
        if not isinstance(output, list):
            raise wrong_type(f"{path}.output", "an array")
        outputs = [_command_output(entry, f"{path}.output[{index}]") for index, entry in enumerate(output)]
        return joined(outputs, "\n\n")


def _command_output(entry: Any, path: str) -> Text:
    if not isinstance(entry, dict):
        raise wrong_type(path, "an object")
    printed = [required_string(entry, name, path).rstrip("\n") for name in ("stdout", "stderr") if entry.get(name)]
    outcome = entry.get("outcome")
    if not isinstance(outcome, dict):
        raise missing(f"{path}.outcome") if outcome is None else wrong_type(f"{path}.outcome", "an object")
    return joined([*printed, _outcome(outcome, f"{path}.outcome")], "\n")


def _outcome(outcome: dict[str, Any], path: str) -> str:
    kind = outcome.get("type")
    if kind == "timeout":
        return "[timed out]"
    if kind != "exit":
        raise bad_value(f"{path}.type", kind, ["exit", "timeout"])
    code = outcome.get("exit_code")
    if not isinstance(code, int):
        raise missing(f"{path}.exit_code") if code is None else wrong_type(f"{path}.exit_code", "an integer")
    return f"[exit code {code}]"
