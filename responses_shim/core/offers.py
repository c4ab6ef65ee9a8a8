"""The request's tools as chat functions, and `tool_choice` with them.

A `ToolMap` is made per request. What it cannot offer to a chat host (a hosted tool that nobody here runs) is left
out and reported; the request is refused only when `tool_choice` forces such a tool, for then it cannot be met.
"""

from __future__ import annotations

from typing import Any

import msgspec

from responses_shim.core.invalid import bad_value, convert, missing, unsupported
from responses_shim.core.report import Report
from responses_shim.core.types import FunctionTool
from responses_shim.errors import InvalidRequest

MAX_DEPTH = 100

_MODES = ("none", "auto", "required")


class ToolMap:
    """`tools` and `choice` go to the host, `echo` and `choice_echo` into the response object.

    `choice` is None when there is nothing to choose: hosts refuse a choice without tools.
    """

    def __init__(
        self,
        tools: list[dict[str, Any]] | None,
        choice: str | dict[str, Any] | None,
        parallel: bool | None,
        report: Report,
    ) -> None:
        self.tools: list[dict[str, Any]] = []
        self.echo: list[dict[str, Any]] = []
        self.choice: str | dict[str, Any] | None = None
        self.choice_echo: str | dict[str, Any] = "auto" if choice is None else choice
        for place, tool in enumerate(tools or ()):
            self._offer(tool, f"tools[{place}]", report)
        self._choose(choice, report)
        self._parallel = parallel

    def params(self) -> dict[str, Any]:
        """What of this the chat request carries: nothing at all without tools."""
        if not self.tools:
            return {}
        chat: dict[str, Any] = {"tools": self.tools}
        if self.choice is not None:
            chat["tool_choice"] = self.choice
        if self._parallel is not None:
            chat["parallel_tool_calls"] = self._parallel
        return chat

    def _offer(self, tool: dict[str, Any], path: str, report: Report) -> None:
        kind = tool.get("type")
        if not isinstance(kind, str):
            raise missing(f"{path}.type") if kind is None else bad_value(f"{path}.type", kind, ["function"])
        if kind != "function":
            self.echo.append(tool)
            report.dropped(path)
            return
        if isinstance(tool.get("function"), dict):  # the chat form, which clients send out of habit
            tool = {**tool["function"], "type": "function"}
            report.mapped(path)
        function: FunctionTool = convert(tool, FunctionTool, path)
        check_depth(function.parameters, f"{path}.parameters")
        self.echo.append(msgspec.to_builtins(function))
        fields = {name: getattr(function, name) for name in ("name", "description", "parameters", "strict")}
        offered = {name: value for name, value in fields.items() if value is not None}
        self.tools.append({"type": "function", "function": offered})

    def _choose(self, choice: str | dict[str, Any] | None, report: Report) -> None:
        if isinstance(choice, dict):
            self._choose_named(choice, report)
            return
        if choice is not None and choice not in _MODES:
            raise bad_value("tool_choice", choice, list(_MODES))
        if choice == "required" and not self.tools:
            raise InvalidRequest(
                "Tool choice 'required' needs at least one tool that can be called here.",
                param="tool_choice",
                code="invalid_value",
            )
        self.choice = choice

    def _choose_named(self, choice: dict[str, Any], report: Report) -> None:
        kind = choice.get("type")
        if kind in _MODES:  # {"type": "auto"}: other APIs' spelling, met in the wild
            self.choice_echo = str(kind)
            self._choose(str(kind), report)
        elif kind == "function":
            inner = choice.get("function")
            name = choice.get("name") or (inner.get("name") if isinstance(inner, dict) else None)
            if not isinstance(name, str):
                raise missing("tool_choice.name")
            self._require(name, "tool_choice.name")
            self.choice_echo = {"type": "function", "name": name}
            self.choice = {"type": "function", "function": {"name": name}}
        elif kind == "allowed_tools":
            self._allow(choice, report)
        elif not isinstance(kind, str):
            raise missing("tool_choice.type")
        else:
            raise unsupported("tool_choice", f"no tool of type '{kind}' can be called here.")

    def _allow(self, choice: dict[str, Any], report: Report) -> None:
        """`allowed_tools` is a hard constraint: the host is offered those tools and no others."""
        allowed = choice.get("tools")
        mode = choice.get("mode", "auto")
        if not isinstance(allowed, list) or not all(isinstance(tool, dict) for tool in allowed):
            raise missing("tool_choice.tools")
        if mode not in ("auto", "required"):
            raise bad_value("tool_choice.mode", mode, ["auto", "required"])
        names = set()
        for place, tool in enumerate(allowed):
            if tool.get("type", "function") == "function":
                name = tool.get("name")
                if not isinstance(name, str):
                    raise missing(f"tool_choice.tools[{place}].name")
                self._require(name, f"tool_choice.tools[{place}].name")
                names.add(name)
        self.choice_echo = {"type": "allowed_tools", "mode": mode, "tools": allowed}
        self.tools = [tool for tool in self.tools if tool["function"]["name"] in names]
        report.mapped("tool_choice")
        self._choose(mode, report)

    def _require(self, name: str, path: str) -> None:
        if all(tool["function"]["name"] != name for tool in self.tools):
            raise InvalidRequest(
                f"Tool choice {name!r} is not among the tools of the request.",
                param=path,
                code="invalid_value",
            )


def check_depth(value: Any, path: str) -> None:
    """Refuse JSON nested deeper than any real schema: hosts answer it with a 500, or not at all."""
    layer, depth = [value], 0
    while layer := [
        inner
        for outer in layer
        if isinstance(outer, (dict, list))
        for inner in (outer.values() if isinstance(outer, dict) else outer)
    ]:
        depth += 1
        if depth > MAX_DEPTH:
            raise InvalidRequest(
                f"Invalid '{path}': nested more than {MAX_DEPTH} levels deep.",
                param=path,
                code="invalid_value",
            )
