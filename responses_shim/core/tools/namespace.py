"""Namespaces: tools that are declared together under one name, such as those of one MCP server in Codex.

    {"type": "namespace", "name": "crm", "description": "All about customers",
     "tools": [{"type": "function", "name": "find"}, {"type": "custom", "name": "note"}]}

A namespace is no kind of tool: nobody calls it. Each tool in it is offered by itself, under both names (`crm__find`),
and its calls come back with both: `"namespace": "crm", "name": "find"`.
"""

from __future__ import annotations

from responses_shim.core.tools.base import Tool
from responses_shim.core.wire.requests import NamespaceTool
from responses_shim.core.wire.validation import check_objects, convert, missing

NAMESPACE = "namespace"


def read_namespace(tool: Tool, path: str) -> NamespaceTool:
    """A namespace, its own fields checked. Raises InvalidRequest that names the one below `path` that is wrong."""
    namespace: NamespaceTool = convert(tool, NamespaceTool, path)
    if not namespace.name:
        raise missing(f"{path}.name")
    check_objects(namespace.tools, f"{path}.tools")
    return namespace
