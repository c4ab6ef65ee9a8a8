"""`tool_choice`: which tools the model may or must call. Nine forms in the Responses API, two in chat completions.

A mode (`none`, `auto`, `required`) goes to the host as it is, and a tool as the function that it is offered as:
`{"type": "shell"}` becomes `{"type": "function", "function": {"name": "shell"}}`. `allowed_tools` limits what is
offered at all, and holds against a host that calls what it was not offered.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from msgspec import Struct

from responses_shim.core.tools.base import NamedToolKind, Tool, ToolIdentity, flattened
from responses_shim.core.tools.kinds import CUSTOM, FUNCTION, ToolKinds
from responses_shim.core.tools.namespace import NAMESPACE
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.validation import bad_value, missing, quoted, required_string, unsupported, wrong_type
from responses_shim.errors import InvalidRequest

_MODES = ("none", "auto", "required")


class ToolChoice(Struct):
    """A choice that has been read.

    - `chat`: the chat request's `tool_choice`; None leaves it out
    - `echo`: the response object's `tool_choice`
    - `allowed`: the names of the functions that may be called; None means all
    """

    chat: str | dict[str, Any] | None
    echo: str | dict[str, Any]
    allowed: frozenset[str] | None = None

    def allows(self, function: str) -> bool:
        """Whether the function of that name may be called."""
        return self.allowed is None or function in self.allowed


class ToolLookup(Protocol):
    """What has to be known of a request's tools to read a choice of them."""

    kinds: ToolKinds

    def names(self) -> list[str]:
        """The names of the offered functions."""
        ...

    def find(self, identity: ToolIdentity) -> str | None:
        """The name of the function that a tool is offered as; None if it is not offered."""
        ...

    def resolve(self, spelling: str) -> str | None:
        """The function that is meant by a name that is not quite its own; None if none is, or several could be."""
        ...

    def members(self, namespace: str) -> list[str] | None:
        """The functions that the tools of a namespace are offered as; None if the request has no such namespace."""
        ...

    def is_left_out(self, identity: ToolIdentity) -> bool:
        """Whether the request has that tool, and the model cannot call it here, or not yet."""
        ...


def read_choice(choice: str | dict[str, Any] | None, tools: ToolLookup, report: Report) -> ToolChoice:
    """The request's `tool_choice`. Raises InvalidRequest if it is not valid, or cannot be met.

    It cannot be met if it forces a call of a tool that is not offered.
    """
    if choice is None:
        return ToolChoice(None, "auto")
    kind = choice.get("type") if isinstance(choice, dict) else choice
    if isinstance(choice, str) or kind in _MODES:  # {"type": "auto"}: the spelling of other APIs, which clients send
        mode = _mode(kind, "tool_choice", _MODES, tools.names())
        return ToolChoice(mode, mode)
    if not isinstance(kind, str):
        raise missing("tool_choice.type")
    if kind == "allowed_tools":
        return _allowed_tools(flattened(choice), tools, report)
    name = _function_of(choice, kind, tools, "tool_choice")
    if name is None:
        raise unsupported("tool_choice", f"no such tool of type {quoted(kind)} can be called here.")
    # The response has no more of it than OpenAI's: clients' types have no namespace there.
    echo = {key: value for key, value in flattened(choice).items() if key in ("type", "name")}
    if kind != "function" or echo["name"] != name:
        report.mapped("tool_choice")
    return ToolChoice({"type": "function", "function": {"name": name}}, echo)


def without_force(choice: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    """A `tool_choice` that lets the model decide where this one forces a call; else the same.

    For a further round of a response: if each round had to end in a call, there would be no last one.
    """
    kind = choice.get("type") if isinstance(choice, dict) else choice
    if isinstance(choice, dict) and kind == "allowed_tools":
        return {**flattened(choice), "mode": "auto"}
    return choice if kind in (None, "none", "auto") else "auto"


def _mode(mode: Any, path: str, modes: tuple[str, ...], callable_functions: Collection[str]) -> str:
    if mode not in modes:
        raise bad_value(path, mode, list(modes))
    if mode == "required" and not callable_functions:
        raise InvalidRequest(
            "Tool choice 'required' needs at least one tool that can be called here.",
            param="tool_choice",
            code="invalid_value",
        )
    return str(mode)


def _allowed_tools(choice: dict[str, Any], tools: ToolLookup, report: Report) -> ToolChoice:
    allowed = choice.get("tools")
    if allowed is None:
        raise missing("tool_choice.tools")
    if not isinstance(allowed, list):
        raise wrong_type("tool_choice.tools", "an array of objects")
    names: set[str] = set()
    namespaces: set[str] = set()  # there may be thousands of each, and one may be named thousands of times
    for index, tool in enumerate(allowed):
        path = f"tool_choice.tools[{index}]"
        if not isinstance(tool, dict):
            raise wrong_type(path, "an object")
        tool = {"type": "function", **tool}
        if tool["type"] == NAMESPACE:
            functions = _members(tool, tools, path)
            if functions and tool["name"] in namespaces:
                continue
            namespaces.add(tool["name"])
        else:
            name = _function_of(tool, tool["type"] if isinstance(tool["type"], str) else "", tools, path)
            functions = [] if name is None else [name]
        if not functions:
            report.dropped(path)
        names.update(functions)
    mode = _mode(choice.get("mode", "auto"), "tool_choice.mode", ("auto", "required"), names)
    report.mapped("tool_choice")
    return ToolChoice(mode, {"type": "allowed_tools", "mode": mode, "tools": allowed}, frozenset(names))


def _members(choice: Tool, tools: ToolLookup, path: str) -> list[str]:
    """The functions of a namespace of which all tools are allowed. Raises InvalidRequest if the request has none."""
    name = required_string(choice, "name", path)
    functions = tools.members(name)
    if functions is None:
        raise _not_among_tools(name, f"{path}.name")
    return functions


def _not_among_tools(name: str, path: str) -> InvalidRequest:
    return InvalidRequest(
        f"Tool choice {quoted(name)} is not among the tools of the request.", param=path, code="invalid_value"
    )


def _function_of(choice: Tool, kind_type: str, tools: ToolLookup, path: str) -> str | None:
    """The function that a chosen tool is offered as; None if nobody runs it here, or it may not be called yet.

    Raises InvalidRequest if the request has no such tool.
    """
    kind = tools.kinds.by_tool_type.get(kind_type)
    if kind is None:
        return None
    identity = kind.identify(flattened(choice), path)
    function = tools.find(identity)
    if function is not None:
        return function
    if tools.is_left_out(identity):
        return None
    if isinstance(kind, NamedToolKind):
        path = f"{path}.name"
        if identity.namespace is None:
            # Clients of chat completions know the word "function" only, and OpenAI's form has no field for a namespace.
            as_custom = tools.find(ToolIdentity(CUSTOM, identity.name)) if kind is FUNCTION else None
            function = as_custom or tools.resolve(identity.name)
    if function is None:
        raise _not_among_tools(identity.name, path)
    return function
