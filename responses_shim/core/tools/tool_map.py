"""The tools of one request as chat functions, and each call of a function back to the tool that it is a call of.

    tools = ToolMap(
        [{"type": "shell"}, {"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "find"}]}], …
    )
    tools.names()                   # ["shell", "crm__find"]
    tools.chat_params()             # {"tools": [{"type": "function", "function": {"name": "shell", …}}, …]}
    tools.open("crm__find", …)      # builds {"type": "function_call", "namespace": "crm", "name": "find", …}
    tools.open("crm.find", …)       # the same: models spell names their own way

**Where tools come from.** From the request's `tools`, and from its input: Codex sends some in an item
`additional_tools`, and the output of a tool search has those that were found. One from the input replaces one of the
same name.

**Names.** Each tool becomes a function with a name of its own, by which a call leads back to the tool.

- A tool outside a namespace keeps its name; one in a namespace is called `<namespace>__<name>` (`names.function_name`).
- A name that hosts do not take is shortened, and gets a digest behind it.
- If two tools would have one name, the second gets a digest behind it. A tool in a namespace gives way to one outside.

So the names depend on the tools alone: the same tools have the same names in every turn, and a past call is shown to
the model under the name that its tool is offered by.

**What is left out.** A tool that nobody runs here is not offered, and reported; a deferred one is not offered until
the model has searched for it. The request is refused only if `tool_choice` forces such a tool.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from msgspec import Raw, Struct

from responses_shim.core.items.base import Numbers
from responses_shim.core.tools.base import CallBuilder, Function, NamedToolKind, Tool, ToolIdentity, flattened
from responses_shim.core.tools.choice import ToolChoice, read_choice
from responses_shim.core.tools.declarations import Declarations, DeclaredTool, read_declarations
from responses_shim.core.tools.kinds import FUNCTION, KINDS, ToolKinds
from responses_shim.core.tools.names import function_name, loosely_spelled, with_digest
from responses_shim.core.tools.namespace import NAMESPACE
from responses_shim.core.tools.tool_search import list_deferred
from responses_shim.core.wire.kept_json import encode_kept
from responses_shim.core.wire.large_json import joined
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.validation import quoted
from responses_shim.errors import InvalidRequest


class OfferedTool(Struct):
    """A tool that is offered to the host as `function`, and that the request declares at `path`."""

    identity: ToolIdentity
    function: Function
    path: str


class ToolMap:
    """The tools of one request.

    - `echo`: the `tools` of the response object
    - `choice`: the request's `tool_choice`, read
    - `kinds`: the kinds of tool that are known
    """

    def __init__(
        self,
        tools: list[Tool] | None,
        choice: str | dict[str, Any] | None,
        parallel: bool | None,
        report: Report,
        from_input: Iterable[tuple[Tool, str]] = (),
        kinds: ToolKinds = KINDS,
    ) -> None:
        """`tools`, `choice` and `parallel` are the request's `tools`, `tool_choice` and `parallel_tool_calls`.

        `from_input` are tools that are declared in its input, each with its path. Raises InvalidRequest that names
        the tool and its field that is wrong.
        """
        self.kinds = kinds
        self._report = report
        self._parallel = parallel
        self._offered: dict[str, OfferedTool] = {}
        self._names: dict[ToolIdentity, str] = {}
        self._shortened: dict[
            str, str
        ] = {}  # names of functions by those of their tools, where hosts do not take these
        self._left_out: dict[ToolIdentity, None] = {}
        self._deferred: dict[str, ToolIdentity] = {}  # by the names that they would be offered under
        self._searchable: dict[str, str | None] = {}  # what a search can find: names and descriptions
        listed = read_declarations(((tool, f"tools[{index}]") for index, tool in enumerate(tools or ())), kinds)
        found = read_declarations(from_input, kinds)
        declared = [*listed.tools, *found.tools]
        self.echo = listed.echo
        self._namespaces = dict(listed.namespaces)
        self._searching = any(tool.declaration.searches and tool.declaration.offered for tool in declared)
        # Names that belong to tools outside a namespace, which no other tool may be offered by.
        self._reserved = dict.fromkeys(
            tool.identity.name for tool in declared if tool.identity and tool.identity.namespace is None
        )
        self._offer_all(listed, replacing=False)
        self._namespaces |= found.namespaces
        self._offer_all(found, replacing=True)
        self.choice: ToolChoice = read_choice(choice, self, report)

    @cached_property
    def encoded_echo(self) -> Raw:
        """`echo` as JSON."""
        return Raw(encode_kept(self.echo))

    @property
    def single(self) -> bool:
        """Whether the model may make one call a turn (`parallel_tool_calls: false`): any others are ignored."""
        return self._parallel is False

    def chat_params(self) -> dict[str, Any]:
        """The chat request's `tools`, `tool_choice` and `parallel_tool_calls`; empty if no tool is offered."""
        functions = self._functions()
        if not functions:
            return {}
        chat: dict[str, Any] = {"tools": [{"type": "function", "function": function} for function in functions]}
        if self.choice.chat is not None:
            chat["tool_choice"] = self.choice.chat
        if self._parallel is not None:
            chat["parallel_tool_calls"] = self._parallel
        return chat

    def schemas(self) -> dict[str, dict[str, Any]]:
        """The JSON schemas of the parameters of the functions in `chat_params`, by their names."""
        return {tool.function["name"]: tool.function.get("parameters") or {} for tool in self._allowed()}

    def paths(self) -> list[str]:
        """Where the request declares each tool of `chat_params`, in their order."""
        return [tool.path for tool in self._allowed()]

    def _allowed(self) -> list[OfferedTool]:
        """The tools that are offered, as far as `tool_choice` allows them."""
        if self.choice.allowed is None:
            return list(self._offered.values())
        return [tool for name, tool in self._offered.items() if self.choice.allows(name)]

    def _functions(self) -> list[Function]:
        """The functions of these tools.

        Chat completions has no field for what a namespace is about: its first function says it.
        """
        functions = []
        descriptions = {name: description for name, description in self._namespaces.items() if description}
        for tool in self._allowed():
            function, namespace = tool.function, tool.identity.namespace
            if namespace is not None and namespace in descriptions:
                texts = [namespace, ": ", descriptions.pop(namespace)]
                if own := function.get("description"):
                    texts += ["\n\n", own]
                function = {**function, "description": joined(texts)}
            functions.append(function)
        return functions

    def forget_declarations(self) -> None:
        """Forget what the tools were declared as, which may be large; calls are read by the names alone.

        `echo`, `schemas` and `chat_params` are of no use from then on.
        """
        self.echo = []
        self._searchable, self._namespaces = {}, dict.fromkeys(self._namespaces)
        for tool in self._offered.values():
            tool.function = {}

    # Names -----------------------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """The names of the offered functions."""
        return list(self._offered)

    def find(self, identity: ToolIdentity) -> str | None:
        """The name of the function that a tool is offered as; None if it is not offered."""
        return self._names.get(identity)

    def function_name(self, identity: ToolIdentity) -> str:
        """The name of the function that a tool is offered as, or would be: past calls may be of tools that are gone."""
        return self._names.get(identity) or function_name(identity.namespace, identity.name)

    def is_left_out(self, identity: ToolIdentity) -> bool:
        """Whether the request has that tool, and the model cannot call it here, or not before it has searched."""
        return identity in self._left_out

    def resolve(self, spelling: str) -> str | None:
        """The function that a model means by a name that is not quite its own: `crm.find`, or `find` for `crm__find`.

        Models shorten the names of tools in a namespace, and spell the separator their own way. They may also know the
        name that a tool had before it was shortened. None if none is meant, or more than one could be.
        """
        loose = loosely_spelled(spelling)
        functions = self._spellings.get(loose, []) if loose else []
        return self._shortened.get(spelling) or (functions[0] if len(functions) == 1 else None)

    @cached_property
    def _spellings(self) -> dict[str, list[str]]:
        """The functions that have another name than their tool, by what they can be called. There may be thousands."""
        functions: dict[str, list[str]] = {}
        for function, tool in self._offered.items():
            name, namespace = tool.identity.name, tool.identity.namespace
            if namespace is not None:
                for spelling in {loosely_spelled(name), loosely_spelled(f"{namespace}__{name}")}:
                    functions.setdefault(spelling, []).append(function)
            elif function != name:
                functions.setdefault(loosely_spelled(name), []).append(function)
        return functions

    def members(self, namespace: str) -> list[str] | None:
        """The names of the offered functions of a namespace; None if the request has no such namespace."""
        if namespace not in self._namespaces:
            return None
        return self._members.get(namespace, [])

    @cached_property
    def _members(self) -> dict[str, list[str]]:
        """The names of the offered functions by namespace. There may be thousands of either."""
        functions: dict[str, list[str]] = {}
        for name, tool in self._offered.items():
            if tool.identity.namespace is not None:
                functions.setdefault(tool.identity.namespace, []).append(name)
        return functions

    def summaries(self, tool: Tool) -> list[dict[str, Any]]:
        """`name` and `description` of the function that a tool is offered as; for a namespace, of all its tools."""
        if tool["type"] == NAMESPACE:
            return [summary for inner in tool["tools"] for summary in self._summary(inner, tool["name"])]
        return self._summary(tool, None)

    def _summary(self, tool: Tool, namespace: str | None) -> list[dict[str, Any]]:
        kind, tool = self.kinds.by_tool_type.get(tool["type"]), flattened(tool)
        if kind is None:
            return []
        name = tool["name"] if isinstance(kind, NamedToolKind) else kind.tool_type
        function = self.find(ToolIdentity(kind, name, namespace))
        return [{"name": function, "description": tool.get("description")}] if function is not None else []

    # Calls -----------------------------------------------------------------------------------------------------------

    def open(self, name: str, new_id: Callable[[str], str], index: int, numbers: Numbers, call_id: str) -> CallBuilder:
        """The builder for a call of the function `name`, in whatever spelling the model used.

        A model may also call a tool that it should have searched for first. A call of an unknown name becomes a
        function call, for the client to judge.
        """
        function = name if name in self._offered else self.resolve(name)
        if function is not None:
            identity = self._offered[function].identity
        else:
            identity = self._deferred.get(name) or ToolIdentity(FUNCTION, name)
        kind = identity.kind
        return kind.new_call(identity, new_id(kind.builder.prefix), index, numbers, call_id)

    def begins_a_longer_name(self, name: str) -> bool:
        """Whether an offered function has a longer name that begins with `name`."""
        following = bisect_right(self._sorted_names, name)
        return following < len(self._sorted_names) and self._sorted_names[following].startswith(name)

    @cached_property
    def _sorted_names(self) -> list[str]:
        return sorted(self._offered)

    def refusal(self, name: str) -> str | None:
        """Why the model may not call the function `name`; None if it may.

        It may call a function that nobody knows, as long as there are any: the client judges that call.
        """
        if self.choice.chat == "none":
            return f"The model called {quoted(name)}, but tool_choice is 'none'."
        if self._offers_nothing:
            return f"The model called {quoted(name)}, but no tool was offered."
        function = name if name in self._offered else self.resolve(name)
        if function is not None and not self.choice.allows(function):
            return f"The model called {quoted(name)}, which tool_choice does not allow."
        return None

    @cached_property
    def _offers_nothing(self) -> bool:
        return not self._allowed()

    # Offering --------------------------------------------------------------------------------------------------------

    def _offer_all(self, declared: Declarations, *, replacing: bool) -> None:
        """Offer tools, a search last: it lists the deferred ones.

        `replacing`: they replace earlier tools with the same identity.
        """
        search: DeclaredTool | None = None
        for tool in declared.tools:
            if tool.declaration.searches and tool.declaration.offered:
                search = tool
            else:
                self._offer(tool, tool.declaration.function, replacing)
        if search is not None:
            self._offer(search, list_deferred(search.declaration.function, self._searchable), replacing=True)

    def _offer(self, tool: DeclaredTool, function: Function, replacing: bool) -> None:
        identity, declaration, path = tool.identity, tool.declaration, tool.path
        if tool.flat is not tool.tool:
            self._report.mapped(path)
        if identity is None or not declaration.offered:
            self._report.dropped(path)
            if identity is not None:
                self._left_out[identity] = None
            return
        if declaration.deferred and self._searching and not replacing:
            self._defer(identity, tool)
            return
        known = self._names.get(identity)
        name = known or self._free_name(identity)
        if name != function["name"]:
            function = {**function, "name": name}
        if known is not None and not replacing and self._offered[known].function != function:
            raise InvalidRequest(
                f"The tool {quoted(identity.name)} is defined twice, and differently.",
                param=f"{path}.name",
                code="invalid_value",
            )
        self._names[identity] = name
        self._offered[name] = OfferedTool(identity, function, path)
        if name != identity.name or identity.kind is not FUNCTION:
            self._report.mapped(path)
        if name != identity.name and identity.namespace is None:
            self._shortened.setdefault(identity.name, name)
        for field in declaration.mapped:
            self._report.mapped(f"{path}.{field}")

    def _defer(self, identity: ToolIdentity, tool: DeclaredTool) -> None:
        """Keep a tool back until the model has searched for it. A search lists a namespace, not the tools in it."""
        if identity.namespace is None:
            self._searchable[identity.name] = tool.flat.get("description")
        else:
            self._searchable[identity.namespace] = self._namespaces[identity.namespace]
        self._left_out[identity] = None
        self._deferred[function_name(identity.namespace, identity.name)] = identity
        if identity.namespace is None:
            self._deferred.setdefault(
                identity.name, identity
            )  # the name that the search lists, if hosts take it or not
        self._report.mapped(f"{tool.path}.defer_loading")

    def _free_name(self, identity: ToolIdentity) -> str:
        name = function_name(identity.namespace, identity.name)
        own = identity.name if identity.namespace is None else None
        while name in self._offered or (name in self._reserved and name != own):
            name = with_digest(name, identity.kind.tool_type, identity.namespace, identity.name)
        return name
