"""The tool search: tools that are declared as deferred are offered once the model has searched for them.

The client searches (`execution: "client"`). Until it has, the model sees of the deferred tools their names and
descriptions, in the description of the search; what the client found comes back as tools in the search's output.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from responses_shim.core.tools.arguments import write_arguments
from responses_shim.core.tools.base import (
    Declaration,
    Function,
    Item,
    ParsedCallBuilder,
    Tool,
    ToolKind,
    ToolSummaries,
    object_schema,
)
from responses_shim.core.wire.large_json import Text, joined
from responses_shim.core.wire.requests import ToolSearchTool
from responses_shim.core.wire.responses import ItemStatus, ToolSearchCallItem
from responses_shim.core.wire.validation import convert, required_string

_PARAMETERS = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": "What the tool should be able to do."}},
    "required": ["query"],
}


class ToolSearchCallBuilder(ParsedCallBuilder):
    """A call of the tool search. Its arguments are JSON data in the item, not text."""

    prefix = "tsc"

    def item(self, status: ItemStatus) -> ToolSearchCallItem:
        return ToolSearchCallItem(id=self.id, call_id=self.call_id, arguments=self._parsed, status=status)


class ToolSearchKind(ToolKind):
    """The tool search.

    If the server should run it, it is not offered, and the deferred tools are offered at once.
    """

    tool_type = "tool_search"
    call_type = "tool_search_call"
    output_type = "tool_search_output"
    builder = ToolSearchCallBuilder
    writes_arguments = False

    def read_declaration(self, tool: Tool, path: str) -> Declaration:
        declared: ToolSearchTool = convert(tool, ToolSearchTool, path)
        function: Function = {
            "name": "tool_search",
            "description": declared.description or "Searches for tools that are not loaded yet.",
            "parameters": object_schema(declared.parameters) if declared.parameters else _PARAMETERS,
        }
        return Declaration(function, offered=declared.execution == "client", searches=True)

    def past_call_id(self, item: Item, path: str) -> str:
        """OpenAI's own searches have no `call_id`: then it is the item's id."""
        return required_string(item, "id" if item.get("call_id") is None else "call_id", path)

    def past_arguments(self, item: Item, path: str) -> Text:
        arguments = item.get("arguments")
        if isinstance(arguments, str):
            return arguments
        return write_arguments({} if arguments is None else arguments)

    def posted_output(self, output: Any, status: str | None) -> Item:
        """The output is the list of the tools that were found."""
        return {"execution": "client", "tools": output}

    def read_output(self, item: Item, path: str, tools: ToolSummaries) -> str:
        """The names that the found tools can be called by; they are offered to the host with the request's own."""
        found = [summary for tool in item["tools"] for summary in tools.summaries(tool)]
        return msgspec.json.encode({"tools": found}).decode()


def list_deferred(function: Function, deferred: Mapping[str, str | None]) -> Function:
    """The function of a search, with the names and descriptions of deferred tools added to its own description."""
    if not deferred:
        return function
    texts = [function["description"], "\n\nTools that can be found:"]
    for name, description in deferred.items():
        texts += ["\n- ", name, ": ", description] if description else ["\n- ", name]
    return {**function, "description": joined(texts)}
