"""Tool calls while they grow: one class per form that a call can come back in.

The host knows functions only, so what comes is always a name and JSON in pieces. A function call passes the pieces
on, a custom tool's text is unwrapped on the fly, and the rest (shell, local shell, apply_patch, tool search) have
items whose fields can only be read from the whole JSON: those open empty, and are filled when they close.
"""

from __future__ import annotations

import json
import re
import shlex
from abc import abstractmethod
from typing import Any

from msgspec import UNSET, UnsetType

from responses_shim.core.chat import clean
from responses_shim.core.events import (
    CustomToolCallInputDelta,
    CustomToolCallInputDone,
    Event,
    FunctionCallArgumentsDelta,
    FunctionCallArgumentsDone,
    ShellCallCommandAdded,
    ShellCallCommandDelta,
    ShellCallCommandDone,
)
from responses_shim.core.invalid import too_deep
from responses_shim.core.outputs import Number, Output
from responses_shim.core.types import (
    ApplyPatchCallItem,
    CreateFile,
    CustomToolCallItem,
    DeleteFile,
    ExecAction,
    FunctionCallItem,
    ItemStatus,
    LocalShellCallItem,
    PatchOperation,
    ShellAction,
    ShellCallItem,
    ToolSearchCallItem,
    UpdateFile,
)
from responses_shim.core.unwrap import FreeText

# How what was meant as JSON begins, and a shell command hardly ever: a shell has a blank behind its brackets.
_JSON = re.compile(r"\s*(?:\{(?:\S|\s*[\"}])|\[+(?:[^\s\[]|\s*\n))")


class CallOutput(Output):
    """One call. `call_id` is the host's, or was made for it; `arguments` takes what the host sends of its JSON.

    `prefix` is that of the item's id.
    """

    prefix = "fc"

    def __init__(self, id: str, index: int, number: Number, call_id: str) -> None:
        super().__init__(id, index, number)
        self.call_id = call_id

    @abstractmethod
    def arguments(self, delta: str, events: list[Event]) -> None: ...


class NamedCallOutput(CallOutput):
    """A call of a tool that the client has named, perhaps in a namespace."""

    def __init__(
        self, id: str, index: int, number: Number, call_id: str, name: str, namespace: str | UnsetType = UNSET
    ) -> None:
        super().__init__(id, index, number, call_id)
        self._name = name
        self._namespace = namespace


class FunctionCallOutput(NamedCallOutput):
    """A call of a function tool. The arguments are passed on as they come; nobody here parses them."""

    def item(self, status: ItemStatus) -> FunctionCallItem:
        return FunctionCallItem(
            id=self.id,
            call_id=self.call_id,
            name=self._name,
            namespace=self._namespace,
            arguments="".join(self._pieces),
            status=status,
        )

    def arguments(self, delta: str, events: list[Event]) -> None:
        self._pieces.append(delta)
        events.append(FunctionCallArgumentsDelta(self.number(), self.id, self.index, delta))

    def finish(self, status: ItemStatus, events: list[Event]) -> None:
        value = "".join(self._pieces)
        events.append(FunctionCallArgumentsDone(self.number(), self.id, self.index, value, self._name))


class CustomCallOutput(NamedCallOutput):
    """A call of a custom tool: its text without the JSON around it."""

    prefix = "ctc"

    def __init__(
        self, id: str, index: int, number: Number, call_id: str, name: str, namespace: str | UnsetType = UNSET
    ) -> None:
        super().__init__(id, index, number, call_id, name, namespace)
        self._text = FreeText()

    def item(self, status: ItemStatus) -> CustomToolCallItem:
        return CustomToolCallItem(
            id=self.id,
            call_id=self.call_id,
            name=self._name,
            namespace=self._namespace,
            input="".join(self._pieces),
            status=status,
        )

    def arguments(self, delta: str, events: list[Event]) -> None:
        self._say(self._text.feed(delta), events)

    def finish(self, status: ItemStatus, events: list[Event]) -> None:
        self._say(self._text.close(cut=status == "incomplete"), events)
        events.append(CustomToolCallInputDone(self.number(), self.id, self.index, "".join(self._pieces)))

    def _say(self, text: str, events: list[Event]) -> None:
        if text:
            self._pieces.append(text)
            events.append(CustomToolCallInputDelta(self.number(), self.id, self.index, text))


class ReadCallOutput(CallOutput):
    """A call whose item is read from the whole of its JSON; of a call that was cut there is nothing to read."""

    def __init__(self, id: str, index: int, number: Number, call_id: str) -> None:
        super().__init__(id, index, number, call_id)
        self._read: dict[str, Any] = {}

    def arguments(self, delta: str, events: list[Event]) -> None:
        self._pieces.append(delta)

    def finish(self, status: ItemStatus, events: list[Event]) -> None:
        read = _json("".join(self._pieces))
        if isinstance(read, dict):
            self._read = read
        elif isinstance(read, (str, list)) and status == "completed":
            self._read = self.bare(read)

    def bare(self, said: str | list[Any]) -> dict[str, Any]:
        """What text or a list says that stands there without the object around it."""
        return {}


class ToolSearchOutput(ReadCallOutput):
    prefix = "tsc"

    def item(self, status: ItemStatus) -> ToolSearchCallItem:
        return ToolSearchCallItem(id=self.id, call_id=self.call_id, arguments=self._read, status=status)


class LocalShellOutput(ReadCallOutput):
    prefix = "lsh"

    def item(self, status: ItemStatus) -> LocalShellCallItem:
        read = self._read
        action = ExecAction(
            command=self._command(),
            env={str(name): value for name, value in _dict(read.get("env")).items() if isinstance(value, str)},
            timeout_ms=_int(read.get("timeout_ms")),
            user=_str(read.get("user")),
            working_directory=_str(read.get("working_directory")),
        )
        return LocalShellCallItem(id=self.id, call_id=self.call_id, action=action, status=status)

    def bare(self, said: str | list[Any]) -> dict[str, Any]:
        return {"command": said}

    def _command(self) -> list[str]:
        """A command as one string is for a shell to read."""
        command = self._read.get("command")
        return ["bash", "-lc", command] if isinstance(command, str) else _strings(command)


class ShellOutput(ReadCallOutput):
    prefix = "sh"

    def item(self, status: ItemStatus) -> ShellCallItem:
        action = ShellAction(
            commands=self._commands(),
            timeout_ms=_int(self._read.get("timeout_ms")),
            max_output_length=_int(self._read.get("max_output_length")),
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
            commands = command if isinstance(command, str) else shlex.join(_strings(command)) or None
        return [commands] if isinstance(commands, str) else _strings(commands)


class ApplyPatchOutput(ReadCallOutput):
    prefix = "apc"

    def item(self, status: ItemStatus) -> ApplyPatchCallItem:
        return ApplyPatchCallItem(id=self.id, call_id=self.call_id, operation=self._operation(), status=status)

    def _operation(self) -> PatchOperation:
        read = _dict(self._read.get("operation")) or self._read
        path, diff = _str(read.get("path")) or "", _str(read.get("diff")) or ""
        if read.get("type") == "delete_file":
            return DeleteFile(path=path)
        return (CreateFile if read.get("type") == "create_file" else UpdateFile)(path=path, diff=diff)


def _json(raw: str) -> Any:
    """What stands there, read as models write it: with raw line ends in strings, or no JSON at all; None if nothing."""
    try:
        read = json.loads(raw, strict=False)
        if isinstance(read, str) and read.lstrip().startswith("{"):
            return _json(read)  # written as JSON twice, as some chat templates do to the calls that they show
        return None if too_deep(read) else clean(read)
    except (ValueError, RecursionError):
        return None if _JSON.match(raw) or not raw.strip() else raw


def _strings(value: Any) -> list[str]:
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _int(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _str(value: Any) -> str | None:
    return value if isinstance(value, str) else None
