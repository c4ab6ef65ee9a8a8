"""The tools that a request declares, read and checked: each with its kind, its name, and the function it becomes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Raw, Struct, field

from responses_shim.core.tools.base import Declaration, NamedToolKind, Tool, ToolIdentity, flattened
from responses_shim.core.tools.hosted import REFUSED_TOOLS
from responses_shim.core.tools.kinds import ToolKinds
from responses_shim.core.tools.namespace import NAMESPACE, read_namespace
from responses_shim.core.wire.validation import bad_value, missing, unsupported
from responses_shim.errors import InvalidRequest

MAX_TOOLS = 4096
"""How many tools a request, or its input, may declare. A client with many MCP servers has some hundred of them."""


_NAMESPACE = msgspec.json.encode(NAMESPACE)


class DeclaredTool(Struct):
    """One declared tool.

    - `tool`: the declaration as the request has it, at `path`
    - `flat`: the same in the form of this API, where it was nested as in chat completions
    - `identity`: what the client knows the tool by; None for a tool that no kind is known for
    - `declaration`: what its kind makes of it
    """

    tool: Tool
    path: str
    flat: Tool
    identity: ToolIdentity | None
    declaration: Declaration


class Declarations(Struct):
    """The declared tools of a request, or of its input.

    - `tools`: each of them, those in namespaces too
    - `namespaces`: the description of each namespace, by its name
    - `echo`: the declarations as the response object repeats them, a namespace as one
    """

    tools: list[DeclaredTool] = field(default_factory=list)
    namespaces: dict[str, str | None] = field(default_factory=dict)
    echo: list[Tool] = field(default_factory=list)


def read_declarations(tools: Iterable[tuple[Tool, str]], kinds: ToolKinds) -> Declarations:
    """Check declarations, each given with its path.

    Raises InvalidRequest that names the tool and its field that is wrong.
    """
    declarations = Declarations()
    for tool, path in tools:
        if tool.get("type") == NAMESPACE:
            namespace = read_namespace(tool, path)
            _check_count(len(declarations.tools) + len(namespace.tools), path)
            declarations.namespaces[namespace.name] = namespace.description
            for index, inner in enumerate(namespace.tools):
                declarations.tools.append(_read_tool(inner, f"{path}.tools[{index}]", kinds, namespace.name))
            # OpenAI requires the description, and so do its clients of what is repeated.
            declarations.echo.append(tool if namespace.description is not None else {**tool, "description": ""})
        else:
            _check_count(len(declarations.tools) + 1, path)
            declared = _read_tool(tool, path, kinds)
            declarations.tools.append(declared)
            kind = declared.identity.kind if declared.identity is not None else None
            declarations.echo.append(kind.echo(declared.flat) if kind is not None else declared.flat)
    return declarations


class _Listed(Struct, gc=False):
    """A declaration, as far as it counts."""

    type: Raw = Raw(b"")
    tools: Raw = Raw(b"[]")


def check_count(tools: Raw) -> None:
    """Refuse the JSON of a request's `tools` if there are more than `MAX_TOOLS`, those in namespaces included.

    That is what `read_declarations` would do, once each of them had been decoded. What is wrong with them otherwise is
    left to it. Raises InvalidRequest that names the tool.
    """
    try:
        count = 0
        for index, tool in enumerate(msgspec.json.decode(tools, type=list[_Listed])):
            is_namespace = bytes(tool.type) == _NAMESPACE
            count += len(msgspec.json.decode(tool.tools, type=list[Raw])) if is_namespace else 1
            _check_count(count, f"tools[{index}]")
    except msgspec.DecodeError:
        return


def _check_count(count: int, path: str) -> None:
    if count > MAX_TOOLS:
        raise InvalidRequest(
            f"There are more than the {MAX_TOOLS} tools allowed here.", param=path, code="array_above_max_length"
        )


def _read_tool(tool: Tool, path: str, kinds: ToolKinds, namespace: str | None = None) -> DeclaredTool:
    flat = flattened(tool)
    kind_type = flat.get("type")
    kind = kinds.by_tool_type.get(kind_type) if isinstance(kind_type, str) else None
    if kind is None or (namespace is not None and not isinstance(kind, NamedToolKind)):
        if kind_type is None:
            raise missing(f"{path}.type")
        if not isinstance(kind_type, str) or (namespace is not None and (kind is not None or kind_type == NAMESPACE)):
            named = [kind.tool_type for kind in kinds if isinstance(kind, NamedToolKind)]
            raise bad_value(f"{path}.type", kind_type, named)
        if kind_type in REFUSED_TOOLS:
            raise unsupported(f"{path}.type", REFUSED_TOOLS[kind_type])
        return DeclaredTool(tool, path, flat, None, Declaration({}, offered=False))
    declaration = kind.read_declaration(flat, path)
    return DeclaredTool(tool, path, flat, ToolIdentity(kind, declaration.function["name"], namespace), declaration)
