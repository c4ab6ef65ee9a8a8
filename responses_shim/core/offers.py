"""The request's tools as chat functions, and each call back to the form it came from.

A `ToolMap` is made per request, of its `tools` and of those that stand in its input (`additional_tools`, and what a
tool search found). Every tool gets one chat name, and the name of a call leads back to it:

- a tool outside a namespace keeps its name
- a tool of a namespace is called `<namespace>__<name>`; where that is longer than 64 characters or has one that
  function names may not have, it is cut or replaced, and a digest of the two names put behind it
- whoever comes second to a name gets a digest too

So the names depend on the tools alone: the same tools have the same names in every turn, and a past call is replayed
under the name that its tool is offered by.

What cannot be offered (a hosted tool that nobody here runs) is left out and reported; the request is refused only when
`tool_choice` forces such a tool, for then it cannot be met.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from responses_shim.core.calls import CallOutput
from responses_shim.core.choice import Choice, read_choice
from responses_shim.core.forms import CUSTOM, FORMS, FUNCTION, OWN, TOOL_SEARCH, Form, Function
from responses_shim.core.invalid import bad_value, convert, missing, unsupported
from responses_shim.core.outputs import Number
from responses_shim.core.report import Report
from responses_shim.core.types import CustomTool, FunctionTool, NamespaceTool, ToolSearchTool
from responses_shim.errors import InvalidRequest

MAX_DEPTH = 100
MAX_NAME = 64

_FORMS = {form.kind: form for form in FORMS}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_SEPARATORS = re.compile(r"__|[./:]")
_DIGEST = 8


class Identity(Struct, frozen=True):
    """What the client calls a tool: its form, its name and its namespace."""

    form: Form
    name: str
    namespace: str | None = None


class Offer(Struct):
    """A tool as it is offered. `path` is where the request defines it."""

    identity: Identity
    function: Function
    path: str

    @property
    def name(self) -> str:
        return str(self.function["name"])


class ToolMap:
    """`echo` and `choice_echo` are what the response object says of them; `params` is what the chat request carries."""

    def __init__(
        self,
        tools: list[dict[str, Any]] | None,
        choice: str | dict[str, Any] | None,
        parallel: bool | None,
        report: Report,
        more: list[tuple[dict[str, Any], str]] | None = None,
    ) -> None:
        """`more` are tools from the input, each with its path. They replace those of the same name before them."""
        self._report = report
        self._offers: dict[str, Offer] = {}
        self._names: dict[Identity, str] = {}
        self._deferred: list[tuple[str, str | None]] = []
        self._search: tuple[ToolSearchTool, str] | None = None
        self._skipped: dict[str, str] = {}
        self._parallel = parallel
        listed = [(tool, f"tools[{place}]") for place, tool in enumerate(tools or ())]
        self._searches = any(_searches(tool) for tool, _ in [*listed, *(more or ())])
        self._kept = {tool.get("name") for tool, _ in [*listed, *(more or ())] if tool.get("type") != "namespace"}
        for tool, path in listed:
            self._read(tool, path, own=True)
        self._offer_search()
        for tool, path in more or ():
            self._read(tool, path, own=False)
        self.echo = [self._echo(tool) for tool, _ in listed]
        self.choice: Choice = read_choice(choice, self, report)
        self.choice_echo = self.choice.echo

    @property
    def single(self) -> bool:
        """Only the first call of a turn counts."""
        return self._parallel is False

    def params(self) -> dict[str, Any]:
        """What of this the chat request carries: nothing at all without tools."""
        offers = [offer for offer in self._offers.values() if self.choice.allows(offer.name)]
        if not offers:
            return {}
        chat: dict[str, Any] = {"tools": [{"type": "function", "function": offer.function} for offer in offers]}
        if self.choice.chat is not None:
            chat["tool_choice"] = self.choice.chat
        if self._parallel is not None:
            chat["parallel_tool_calls"] = self._parallel
        return chat

    def paths(self) -> list[str]:
        """Where each of `params`' tools is defined, in their order."""
        return [offer.path for offer in self._offers.values() if self.choice.allows(offer.name)]

    # Names ---------------------------------------------------------------------------------------------------------

    def name_of(self, form: Form, name: str, namespace: str | None = None) -> str:
        """The chat name of a tool, offered in this request or not."""
        return self._names.get(Identity(form, name, namespace)) or flat_name(namespace, name)

    def find(self, form: Form, name: str, namespace: str | None = None) -> Offer | None:
        chat_name = self._names.get(Identity(form, name, namespace))
        return self._offers[chat_name] if chat_name is not None else None

    def skipped(self, kind: str) -> bool:
        """There is a tool of that type in the request that could not be offered."""
        return kind in self._skipped

    def names(self) -> list[str]:
        return list(self._offers)

    def open(self, name: str, new_id: Callable[[str], str], index: int, number: Number, call_id: str) -> CallOutput:
        """The output for a call of the function `name`, by whatever spelling of it the model used."""
        offer = self._offers.get(name) or self.meant(name)
        identity = offer.identity if offer is not None else Identity(FUNCTION, name)
        kind: Any = identity.form.output
        named = () if identity.form not in (FUNCTION, CUSTOM) else (identity.name, identity.namespace or UNSET)
        output: CallOutput = kind(new_id(kind.prefix), index, number, call_id, *named)
        return output

    def allows(self, name: str) -> bool:
        """Whether `tool_choice` lets the model call it. What no tool of the request is called, the client judges."""
        offer = self._offers.get(name) or self.meant(name)
        return offer is None or self.choice.allows(offer.name)

    def meant(self, name: str) -> Offer | None:
        """Models shorten names and spell the separator their own way: the one tool that can be meant."""
        told = _SEPARATORS.split(name)
        alike = [
            offer
            for offer in self._offers.values()
            if (identity := offer.identity).namespace is not None
            and told in ([identity.name], [*_SEPARATORS.split(identity.namespace), *_SEPARATORS.split(identity.name)])
        ]
        return alike[0] if len(alike) == 1 else None

    def told(self, tool: dict[str, Any], namespace: str | None = None) -> list[dict[str, Any]]:
        """Chat name and description of a tool that was read before, or of each in a namespace."""
        if tool["type"] == "namespace":
            return [told for inner in tool["tools"] for told in self.told(inner, tool["name"])]
        form = _FORMS.get(tool["type"])
        name = self._names.get(Identity(form, tool.get("name", tool["type"]), namespace)) if form is not None else None
        return [{"name": name, "description": tool.get("description")}] if name is not None else []

    # Reading the tools ---------------------------------------------------------------------------------------------

    def _read(self, tool: dict[str, Any], path: str, own: bool, namespace: NamespaceTool | None = None) -> None:
        kind = tool.get("type")
        if not isinstance(kind, str):
            raise missing(f"{path}.type") if kind is None else bad_value(f"{path}.type", kind, ["function", "custom"])
        if kind == "function":
            self._read_function(tool, path, own, namespace)
        elif kind == "custom":
            custom: CustomTool = convert(tool, CustomTool, path)
            self._add(Identity(CUSTOM, custom.name, _name(namespace)), CUSTOM.offer(custom), path, own, custom)
        elif namespace is not None:
            raise bad_value(f"{path}.type", kind, ["function", "custom"])
        elif kind == "namespace":
            space: NamespaceTool = convert(tool, NamespaceTool, path)
            for place, inner in enumerate(space.tools):
                self._read(inner, f"{path}.tools[{place}]", own, space)
        elif kind == "tool_search":
            search: ToolSearchTool = convert(tool, ToolSearchTool, path)
            if search.execution == "client":
                check_depth(search.parameters, f"{path}.parameters")
                self._search = (search, path)
            else:
                self._skip(kind, path)  # there is no search here; what it would find is offered as it is
        elif kind == "mcp":
            raise unsupported(f"{path}.type", "tools of type 'mcp' are not run here; offer functions instead.")
        elif kind in OWN and _local(tool):
            self._add(Identity(OWN[kind], kind), OWN[kind].offer(), path, own)
        else:
            self._skip(kind, path)

    def _read_function(
        self, tool: dict[str, Any], path: str, own: bool, namespace: NamespaceTool | None = None
    ) -> None:
        if isinstance(tool.get("function"), dict):  # the chat form, which clients send out of habit
            tool = {**tool["function"], "type": "function"}
            self._report.mapped(path)
        function: FunctionTool = convert(tool, FunctionTool, path)
        check_depth(function.parameters, f"{path}.parameters")
        self._add(Identity(FUNCTION, function.name, _name(namespace)), FUNCTION.offer(function), path, own, function)

    def _add(
        self,
        identity: Identity,
        function: Function,
        path: str,
        own: bool,
        tool: FunctionTool | CustomTool | None = None,
    ) -> None:
        if not identity.name:
            raise missing(f"{path}.name")
        if tool is not None and tool.allowed_callers and "direct" not in tool.allowed_callers:
            self._report.dropped(path)  # for programs that the model writes, and nobody here runs those
            return
        if tool is not None and tool.defer_loading and own and self._searches:
            # The model sees that it is there, and gets it once it has searched for it.
            self._deferred.append((identity.namespace or identity.name, tool.description))
            self._report.mapped(f"{path}.defer_loading")
            return
        known = self.find(identity.form, identity.name, identity.namespace)
        if known is not None and own and known.function != {**function, "name": known.name}:
            raise InvalidRequest(
                f"The tool {identity.name!r} is defined twice, and differently.",
                param=f"{path}.name",
                code="invalid_value",
            )
        name = known.name if known is not None else self._free_name(identity)
        self._names[identity] = name
        self._offers[name] = Offer(identity, {**function, "name": name}, path)
        if name != identity.name or identity.form is CUSTOM:
            self._report.mapped(path)

    def _free_name(self, identity: Identity) -> str:
        name = flat_name(identity.namespace, identity.name)
        taken = name in self._offers or (identity.namespace is not None and name in self._kept)
        return _digested(name, identity) if taken else name

    def _skip(self, kind: str, path: str) -> None:
        self._skipped[kind] = path
        self._report.dropped(path)

    def _offer_search(self) -> None:
        """A search in the client, with what there is to be found told in its description."""
        if self._search is None:
            return
        search, path = self._search
        found = [f"- {name}: {text}" if text else f"- {name}" for name, text in dict(self._deferred).items()]
        said = [search.description or "Searches for tools that are not loaded yet."]
        said += ["Tools that can be found:\n" + "\n".join(found)] if found else []
        function = TOOL_SEARCH.offer("\n\n".join(said), search.parameters)
        self._add(Identity(TOOL_SEARCH, "tool_search"), function, path, own=False)

    def _echo(self, tool: dict[str, Any]) -> dict[str, Any]:
        """A function's four keys are always there (Open Responses); all others are as the client sent them."""
        if tool["type"] != "function":
            return tool
        if isinstance(tool.get("function"), dict):
            tool = {**tool["function"], "type": "function"}
        function = convert(tool, FunctionTool)
        shown = msgspec.to_builtins(function)
        return tool | {name: shown[name] for name in ("type", "name", "description", "parameters", "strict")}


def flat_name(namespace: str | None, name: str) -> str:
    """The chat name of a tool that nobody else's name stands in the way of."""
    if namespace is None:
        return name
    told = f"{namespace}__{name}"
    clean = _NOT_IN_NAMES.sub("_", told)
    return told if clean == told and len(told) <= MAX_NAME else _digested(clean, Identity(FUNCTION, name, namespace))


def _digested(name: str, identity: Identity) -> str:
    told = "\0".join((identity.form.kind, identity.namespace or "", identity.name))
    return f"{name[: MAX_NAME - _DIGEST - 1]}_{hashlib.sha256(told.encode()).hexdigest()[:_DIGEST]}"


def _name(namespace: NamespaceTool | None) -> str | None:
    return namespace.name if namespace is not None else None


def _searches(tool: dict[str, Any]) -> bool:
    return tool.get("type") == "tool_search" and tool.get("execution") == "client"


def _local(tool: dict[str, Any]) -> bool:
    """A shell in a container is the server's; without an environment it is the client's."""
    environment = tool.get("environment")
    return not isinstance(environment, dict) or environment.get("type") == "local"


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
