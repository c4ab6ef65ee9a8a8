"""The local shell tool."""

from __future__ import annotations

from typing import Any, ClassVar

from responses_shim.core.tools.base import (
    Function,
    Item,
    OwnForm,
    ReadCallOutput,
    integer,
    object_field,
    object_or_empty,
    strings,
    text_or_none,
    without_nulls,
)
from responses_shim.core.wire.responses import (
    ExecAction,
    ItemStatus,
    LocalShellCallItem,
)
from responses_shim.core.wire.validation import required_string


class LocalShellOutput(ReadCallOutput):
    prefix = "lsh"

    def item(self, status: ItemStatus) -> LocalShellCallItem:
        read = self._read
        action = ExecAction(
            command=self._command(),
            env={
                str(name): value for name, value in object_or_empty(read.get("env")).items() if isinstance(value, str)
            },
            timeout_ms=integer(read.get("timeout_ms")),
            user=text_or_none(read.get("user")),
            working_directory=text_or_none(read.get("working_directory")),
        )
        return LocalShellCallItem(id=self.id, call_id=self.call_id, action=action, status=status)

    def bare(self, said: str | list[Any]) -> dict[str, Any]:
        return {"command": said}

    def _command(self) -> list[str]:
        """A command as one string is for a shell to read."""
        command = self._read.get("command")
        return ["bash", "-lc", command] if isinstance(command, str) else strings(command)


class LocalShellForm(OwnForm):
    kind = "local_shell"
    call = "local_shell_call"
    output = LocalShellOutput
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

    def arguments(self, item: Item, path: str) -> str:
        action = object_field(item, "action", path)
        names = ("command", "env", "timeout_ms", "user", "working_directory")
        return without_nulls({name: action.get(name) for name in names})


def _local_shell(item: Item, path: str) -> str:
    return required_string(item, "output", path)
