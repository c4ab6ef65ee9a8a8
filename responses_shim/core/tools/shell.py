"""The shell tool."""

from __future__ import annotations

import shlex
from typing import Any, ClassVar

from responses_shim.core.tools.base import (
    Function,
    Item,
    OwnForm,
    ReadCallOutput,
    integer,
    object_field,
    strings,
    without_nulls,
)
from responses_shim.core.wire.events import (
    Event,
    ShellCallCommandAdded,
    ShellCallCommandDelta,
    ShellCallCommandDone,
)
from responses_shim.core.wire.responses import (
    ItemStatus,
    ShellAction,
    ShellCallItem,
)
from responses_shim.core.wire.validation import bad_value, missing, required_string, wrong_type


class ShellOutput(ReadCallOutput):
    prefix = "sh"

    def item(self, status: ItemStatus) -> ShellCallItem:
        action = ShellAction(
            commands=self._commands(),
            timeout_ms=integer(self._read.get("timeout_ms")),
            max_output_length=integer(self._read.get("max_output_length")),
        )
        return ShellCallItem(id=self.id, call_id=self.call_id, action=action, status=status)

    def finish(self, status: ItemStatus, events: list[Event]) -> None:
        super().finish(status, events)
        for place, command in enumerate(self._commands()):
            events.append(ShellCallCommandAdded(self.number(), self.index, place, ""))
            events.append(ShellCallCommandDelta(self.number(), self.index, place, command))
            events.append(ShellCallCommandDone(self.number(), self.index, place, command))

    def bare(self, said: str | list[Any]) -> dict[str, Any]:
        return {"commands": said}

    def _commands(self) -> list[str]:
        """A `command`, as the local shell has it, is one: a program and its arguments."""
        commands = self._read.get("commands")
        if commands is None:
            command = self._read.get("command")
            commands = command if isinstance(command, str) else shlex.join(strings(command)) or None
        return [commands] if isinstance(commands, str) else strings(commands)


class ShellForm(OwnForm):
    kind = "shell"
    call = "shell_call"
    output = ShellOutput
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

    def arguments(self, item: Item, path: str) -> str:
        action = object_field(item, "action", path)
        return without_nulls({name: action.get(name) for name in ("commands", "timeout_ms", "max_output_length")})


def _shell(item: Item, path: str) -> str:
    """Each command's output and, where it says something, how it ended."""
    output = item.get("output")
    if output is None:
        raise missing(f"{path}.output")
    if isinstance(output, str):
        return output
    if not isinstance(output, list):
        raise wrong_type(f"{path}.output", "an array")
    return "\n\n".join(_ran(entry, f"{path}.output[{place}]") for place, entry in enumerate(output))


def _ran(entry: Any, path: str) -> str:
    if not isinstance(entry, dict):
        raise wrong_type(path, "an object")
    printed = [required_string(entry, name, path).rstrip("\n") for name in ("stdout", "stderr") if entry.get(name)]
    outcome = entry.get("outcome")
    if not isinstance(outcome, dict):
        raise missing(f"{path}.outcome") if outcome is None else wrong_type(f"{path}.outcome", "an object")
    return "\n".join([*printed, _ended(outcome, f"{path}.outcome")])


def _ended(outcome: dict[str, Any], path: str) -> str:
    kind = outcome.get("type")
    if kind == "timeout":
        return "[timed out]"
    if kind != "exit":
        raise bad_value(f"{path}.type", kind, ["exit", "timeout"])
    code = outcome.get("exit_code")
    if not isinstance(code, int):
        raise missing(f"{path}.exit_code") if code is None else wrong_type(f"{path}.exit_code", "an integer")
    return f"[exit code {code}]"
