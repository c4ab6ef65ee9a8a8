"""The forms that a client's tools come in, and what each is to a chat host: a function.

A form says how a tool is offered, what class a call of it comes back as, and how a past call is told again: with the
arguments that the function would have been called with, so that the model sees one and the same tool in every turn.
`offers` puts the request's tools together; `inputs` replays past calls.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from responses_shim.core.calls import (
    ApplyPatchOutput,
    CallOutput,
    CustomCallOutput,
    FunctionCallOutput,
    LocalShellOutput,
    ShellOutput,
    ToolSearchOutput,
)
from responses_shim.core.invalid import check_depth, missing, string, wrong_type
from responses_shim.core.types import CustomTool, FunctionTool, GrammarInput

Item = dict[str, Any]
Function = dict[str, Any]


class Form(ABC):
    """One form of tool. `kind` is the tool's `type`, `call` that of its calls; `output` makes a call of it."""

    kind: ClassVar[str]
    call: ClassVar[str]
    output: ClassVar[type[CallOutput]]

    @abstractmethod
    def arguments(self, item: Item, path: str) -> str:
        """The JSON that the function was called with, from the item of the call."""
        ...


class FunctionForm(Form):
    kind = "function"
    call = "function_call"
    output = FunctionCallOutput

    def offer(self, tool: FunctionTool) -> Function:
        fields = {name: getattr(tool, name) for name in ("name", "description", "parameters", "strict")}
        return {name: value for name, value in fields.items() if value is not None}

    def arguments(self, item: Item, path: str) -> str:
        """As they stand: what a model wrote is shown to it again, whole JSON or not."""
        return string(item, "arguments", path)


class CustomForm(Form):
    """Free text, as the one string of a function. A grammar is told in words; a regular one also as a `pattern`.

    `strict` has hosts hold the model to the object around the text (vLLM does so only then). Not beside a pattern:
    a host that cannot read that one refuses the request.
    """

    kind = "custom"
    call = "custom_tool_call"
    output = CustomCallOutput

    def offer(self, tool: CustomTool) -> Function:
        text: dict[str, Any] = {"type": "string", "description": "The input of the tool, as plain text."}
        said = [tool.description] if tool.description else []
        if isinstance(tool.format, GrammarInput):
            grammar = tool.format
            named = "Lark grammar" if grammar.syntax == "lark" else "regular expression"
            said.append(f"The input must match this {named}:\n{grammar.definition}")
            if grammar.syntax == "regex":
                bare = grammar.definition.removeprefix("^")
                bare = bare if bare.endswith("\\$") else bare.removesuffix("$")
                text["pattern"] = f"^({bare})$"  # a plain group: not every host knows another
        parameters = {
            "type": "object",
            "properties": {"input": text},
            "required": ["input"],
            "additionalProperties": False,
        }
        described: Function = {"description": "\n\n".join(said)} if said else {}
        strict = {} if "pattern" in text else {"strict": True}
        return {"name": tool.name, **described, "parameters": parameters, **strict}

    def arguments(self, item: Item, path: str) -> str:
        return _json({"input": string(item, "input", path)})


class OwnForm(Form):
    """A tool that the API itself defines: the client gives its type and nothing else."""

    function: ClassVar[Function]

    def offer(self) -> Function:
        return self.function | {"strict": True}


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
        action = _object(item, "action", path)
        names = ("command", "env", "timeout_ms", "user", "working_directory")
        return _compact({name: action.get(name) for name in names})


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
        action = _object(item, "action", path)
        return _compact({name: action.get(name) for name in ("commands", "timeout_ms", "max_output_length")})


class ApplyPatchForm(OwnForm):
    kind = "apply_patch"
    call = "apply_patch_call"
    output = ApplyPatchOutput
    function: ClassVar[Function] = {
        "name": "apply_patch",
        "description": "Creates, updates or deletes one file. The diff is in V4A form: a line begins with a space "
        "where it stays, with - where it goes and with + where it is new; hunks begin with @@ and may name the class "
        "or function they are in. There are no line numbers. In a new file every line begins with +.",
        "parameters": {
            "type": "object",
            "properties": {
                "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
                "path": {"type": "string", "description": "The file, relative to the working directory."},
                "diff": {"type": "string", "description": "What to change; left out for delete_file."},
            },
            "required": ["type", "path"],
        },
    }

    def arguments(self, item: Item, path: str) -> str:
        operation = _object(item, "operation", path)
        return _compact({name: operation.get(name) for name in ("type", "path", "diff")})


class ToolSearchForm(Form):
    kind = "tool_search"
    call = "tool_search_call"
    output = ToolSearchOutput

    def offer(self, description: str, parameters: dict[str, Any] | None) -> Function:
        query = {"type": "string", "description": "What the tool should be able to do."}
        anything = {"type": "object", "properties": {"query": query}, "required": ["query"]}
        return {"name": "tool_search", "description": description, "parameters": parameters or anything}

    def arguments(self, item: Item, path: str) -> str:
        arguments = item.get("arguments")
        if isinstance(arguments, str):
            return arguments
        check_depth(arguments, f"{path}.arguments")
        return _json({} if arguments is None else arguments)


FUNCTION = FunctionForm()
CUSTOM = CustomForm()
TOOL_SEARCH = ToolSearchForm()
OWN: dict[str, OwnForm] = {form.kind: form for form in (LocalShellForm(), ShellForm(), ApplyPatchForm())}
FORMS: tuple[Form, ...] = (FUNCTION, CUSTOM, TOOL_SEARCH, *OWN.values())
CALLS: dict[str, Form] = {form.call: form for form in FORMS}


def flat(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool, or the choice of one, in this API's form: out of habit clients nest it under its type, as chat does."""
    kind = tool.get("type")
    inner = tool.get(kind) if kind in ("function", "custom", "allowed_tools") else None
    return {**inner, "type": kind} if isinstance(inner, dict) else tool


def _object(item: Item, key: str, path: str) -> dict[str, Any]:
    value = item.get(key)
    if value is None:
        raise missing(f"{path}.{key}")
    if not isinstance(value, dict):
        raise wrong_type(f"{path}.{key}", "an object")
    check_depth(value, f"{path}.{key}")
    return value


def _compact(fields: dict[str, Any]) -> str:
    """The fields that say something; `{}` and null are what a model leaves out."""
    return _json({name: value for name, value in fields.items() if value not in (None, {})})


def _json(value: Any) -> str:
    """As Python writes JSON, and so chat templates, and so the models that were shown it: with a space behind each
    colon and comma. Where a template shows past calls as they stand, they are then what the model wrote and the host
    has cached.
    """
    return json.dumps(value, ensure_ascii=False)
