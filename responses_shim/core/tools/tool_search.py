"""The tool search tool."""

from __future__ import annotations

from typing import Any

from responses_shim.core.tools.base import Form, Function, Item, ReadCallBuilder, spaced_json
from responses_shim.core.wire.responses import (
    ItemStatus,
    ToolSearchCallItem,
)
from responses_shim.core.wire.validation import check_depth


class ToolSearchCallBuilder(ReadCallBuilder):
    prefix = "tsc"

    def item(self, status: ItemStatus) -> ToolSearchCallItem:
        return ToolSearchCallItem(id=self.id, call_id=self.call_id, arguments=self._read, status=status)


class ToolSearchForm(Form):
    kind = "tool_search"
    call = "tool_search_call"
    output = ToolSearchCallBuilder

    def offer(self, description: str, parameters: dict[str, Any] | None) -> Function:
        query = {"type": "string", "description": "What the tool should be able to do."}
        anything = {"type": "object", "properties": {"query": query}, "required": ["query"]}
        return {"name": "tool_search", "description": description, "parameters": parameters or anything}

    def arguments(self, item: Item, path: str) -> str:
        arguments = item.get("arguments")
        if isinstance(arguments, str):
            return arguments
        check_depth(arguments, f"{path}.arguments")
        return spaced_json({} if arguments is None else arguments)
