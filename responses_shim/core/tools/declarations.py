"""The tools that a request declares, read and checked: each with its kind, its name, and the function it becomes."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from responses_shim.core.tools.base import Declaration, NamedToolKind, Tool, ToolIdentity, flattened
from responses_shim.core.tools.hosted import REFUSED_TOOLS
from responses_shim.core.tools.kinds import ToolKinds
from responses_shim.core.tools.namespace import NAMESPACE, read_namespace
from responses_shim.core.wire.validation import (
    bad_value,
    check_depth,
    first_too_deep,
    missing,
    nested_too_deep,
    unsupported,
)
from responses_shim.errors import InvalidRequest


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
            check_depth({key: value for key, value in tool.items() if key != "tools"}, path)
            declarations.namespaces[namespace.name] = namespace.description
            for index, inner in enumerate(namespace.tools):
                declarations.tools.append(_read_tool(inner, f"{path}.tools[{index}]", kinds, namespace.name))
            declarations.echo.append(tool)
        else:
            declared = _read_tool(tool, path, kinds)
            declarations.tools.append(declared)
            kind = declared.identity.kind if declared.identity is not None else None
            declarations.echo.append(kind.echo(declared.flat) if kind is not None else declared.flat)
    # All in one call, for it costs less: what is nested too deep could not be written for the host or the client.
    if (deep_index := first_too_deep([declared.tool for declared in declarations.tools])) is not None:
        raise _too_deep(declarations.tools[deep_index])
    return declarations


def _read_tool(tool: Tool, path: str, kinds: ToolKinds, namespace: str | None = None) -> DeclaredTool:
    flat = flattened(tool)
    kind_type = flat.get("type")
    kind = kinds.by_tool_type.get(kind_type) if isinstance(kind_type, str) else None
    if kind is None or (namespace is not None and not isinstance(kind, NamedToolKind)):
        if kind_type is None:
            raise missing(f"{path}.type")
        if not isinstance(kind_type, str) or namespace is not None:
            named = [kind.tool_type for kind in kinds if isinstance(kind, NamedToolKind)]
            raise bad_value(f"{path}.type", kind_type, named)
        if kind_type in REFUSED_TOOLS:
            raise unsupported(f"{path}.type", REFUSED_TOOLS[kind_type])
        return DeclaredTool(tool, path, flat, None, Declaration({}, offered=False))
    declaration = kind.read_declaration(flat, path)
    return DeclaredTool(tool, path, flat, ToolIdentity(kind, declaration.function["name"], namespace), declaration)


def _too_deep(declared: DeclaredTool) -> InvalidRequest:
    """Names the schema, if that is what is nested too deep."""
    check_depth(declared.flat.get("parameters"), f"{declared.path}.parameters")
    return nested_too_deep(declared.path)
