"""Functions: the kind of tool that chat completions has too."""

from __future__ import annotations

from responses_shim.core.tools.base import (
    Declaration,
    Function,
    Item,
    NamedCallBuilder,
    NamedToolKind,
    Tool,
    for_programs_only,
    object_schema,
)
from responses_shim.core.wire.events import Event, FunctionCallArgumentsDelta, FunctionCallArgumentsDone
from responses_shim.core.wire.requests import FunctionTool
from responses_shim.core.wire.responses import FunctionCallItem, ItemStatus
from responses_shim.core.wire.validation import convert, missing, required_string


class FunctionCallBuilder(NamedCallBuilder):
    """A call of a function. The arguments are passed on as they come; nobody here parses them."""

    def item(self, status: ItemStatus) -> FunctionCallItem:
        return FunctionCallItem(
            id=self.id,
            call_id=self.call_id,
            name=self._name,
            namespace=self._namespace,
            arguments=self.value,
            status=status,
        )

    def add_arguments(self, delta: str, events: list[Event]) -> None:
        self.add(delta)
        events.append(FunctionCallArgumentsDelta(next(self.numbers), self.id, self.index, delta))

    def next_delta(self) -> FunctionCallArgumentsDelta:
        return FunctionCallArgumentsDelta(0, self.id, self.index, "")

    def finish(self, status: ItemStatus, events: list[Event]) -> None:
        value = self.value
        if status == "completed" and not value.strip():
            # No arguments at all: where they are used they are parsed, and an empty text is no JSON.
            self.add_arguments("{}", events)
            value += "{}"
        events.append(FunctionCallArgumentsDone(next(self.numbers), self.id, self.index, value, self._name))


class FunctionKind(NamedToolKind):
    """A function. What it declares goes to the host as it is, but that the schema's root has a type."""

    tool_type = "function"
    call_type = "function_call"
    output_type = "function_call_output"
    builder = FunctionCallBuilder
    writes_arguments = False

    def read_declaration(self, tool: Tool, path: str) -> Declaration:
        declared: FunctionTool = convert(tool, FunctionTool, path)
        if not declared.name:
            raise missing(f"{path}.name")
        function: Function = {"name": declared.name}
        if declared.description is not None:
            function["description"] = declared.description
        mapped: tuple[str, ...] = ()
        if declared.parameters is not None:
            function["parameters"] = object_schema(declared.parameters)
            if function["parameters"] is not declared.parameters:
                mapped = ("parameters",)
        if declared.strict is not None:
            function["strict"] = declared.strict
        return Declaration(function, not for_programs_only(tool), bool(declared.defer_loading), mapped=mapped)

    def past_arguments(self, item: Item, path: str) -> str:
        """To the last character: put right, they would teach the model that it wrote something else."""
        return required_string(item, "arguments", path)

    def echo(self, tool: Tool) -> Tool:
        """With all four fields of a function: Open Responses requires them, null or not."""
        if "description" in tool and "parameters" in tool and "strict" in tool:
            return tool
        return {"description": None, "parameters": None, "strict": None, **tool}
