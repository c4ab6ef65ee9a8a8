"""The request's tools as chat functions, and each call back to the form it came from.

A `ToolMap` is made per request, of its `tools` and of those that stand in its input (`additional_tools`, and what a
tool search found). Every tool gets one chat name, and the name of a call leads back to it:

- a tool outside a namespace keeps its name
- a tool of a namespace is called `<namespace>__<name>`; where that is longer than 64 characters or has one that
  function names may not have, it is cut or replaced, and a digest of the two names put behind it
- whoever comes second to a name gets a digest too; a tool of a namespace counts as second to one outside

So the names depend on the tools alone: the same tools have the same names in every turn, and a past call is replayed
under the name that its tool is offered by.

What cannot be offered (a hosted tool that nobody here runs) is left out and reported; the request is refused only when
`tool_choice` forces such a tool, for then it cannot be met.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

from msgspec import UNSET, Struct

from responses_shim.core.items.base import Number
from responses_shim.core.tools.base import CallBuilder, Form, Function, NamedCallBuilder, flat
from responses_shim.core.tools.choice import Choice, read_choice
from responses_shim.core.tools.kinds import CUSTOM, FORMS, FUNCTION, OWN, TOOL_SEARCH
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.requests import CustomTool, FunctionTool, NamespaceTool, ToolSearchTool
from responses_shim.core.wire.validation import bad_value, check_depth, convert, missing, quoted, unsupported
from responses_shim.errors import InvalidRequest

MAX_NAME = 64

_FORMS = {form.kind: form for form in FORMS}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_SEPARATORS = re.compile(r"[\W_]+")
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
        self._left_out: set[Identity] = set()
        self._unasked: dict[str, Identity] = {}  # deferred tools, by the names that they would have
        self._spaces: dict[str | None, str | None] = {}  # the description of each namespace
        self._deferred: dict[str, str | None] = {}  # what a search would find: names and descriptions
        self._search: tuple[ToolSearchTool, str] | None = None
        self._parallel = parallel
        listed = [(tool, f"tools[{place}]") for place, tool in enumerate(tools or ())]
        found = more or []
        self._searches = any(_searches(tool) for tool, _ in listed + found)
        # Names that nobody in a namespace may take: they are the client's own.
        self._kept = {_own_name(tool) for tool, _ in listed + found if tool.get("type") != "namespace"}
        for own, of_these in ((True, listed), (False, found)):
            for tool, path in of_these:
                self._read(tool, path, own)
            self._offer_search()
        for echoed, path in [*listed, (choice, "tool_choice")]:
            check_depth(echoed, path)
        self.echo = [_echo(tool) for tool, _ in listed]
        self.choice: Choice = read_choice(choice, self, report)
        self.choice_echo = self.choice.echo

    @property
    def single(self) -> bool:
        """Only the first call of a turn counts."""
        return self._parallel is False

    def params(self) -> dict[str, Any]:
        """What of this the chat request carries: nothing at all without tools."""
        functions = self._functions()
        if not functions:
            return {}
        chat: dict[str, Any] = {"tools": [{"type": "function", "function": function} for function in functions]}
        if self.choice.chat is not None:
            chat["tool_choice"] = self.choice.chat
        if self._parallel is not None:
            chat["parallel_tool_calls"] = self._parallel
        return chat

    def _functions(self) -> list[Function]:
        """What is offered. Chat has no place for what a namespace is about: its first function tells it."""
        functions = []
        untold = {name: about for name, about in self._spaces.items() if about}
        for offer in self._offers.values():
            if not self.choice.allows(offer.name):
                continue
            function, about = offer.function, untold.pop(offer.identity.namespace, None)
            if about is not None:
                own = function.get("description")
                told = f"{offer.identity.namespace}: {about}"
                function = {**function, "description": f"{told}\n\n{own}" if own else told}
            functions.append(function)
        return functions

    def paths(self) -> list[str]:
        """Where each of `params`' tools is defined, in their order."""
        return [offer.path for offer in self._offers.values() if self.choice.allows(offer.name)]

    # Names ---------------------------------------------------------------------------------------------------------

    def name_of(self, form: Form, name: str, namespace: str | None = None) -> str:
        """The chat name of a tool, offered in this request or not."""
        return self._names.get(Identity(form, name, namespace or None)) or flat_name(namespace, name)

    def find(self, form: Form, name: str, namespace: str | None = None) -> Offer | None:
        chat_name = self._names.get(Identity(form, name, namespace))
        return self._offers[chat_name] if chat_name is not None else None

    def left_out(self, form: Form, name: str, namespace: str | None = None) -> bool:
        """That tool is in the request, and the model cannot call it: it is another's to run, or to be searched for."""
        return Identity(form, name, namespace) in self._left_out

    def names(self) -> list[str]:
        return list(self._offers)

    def open(self, name: str, new_id: Callable[[str], str], index: int, number: Number, call_id: str) -> CallBuilder:
        """The output for a call of the function `name`, by whatever spelling of it the model used.

        A model may also call what it was to search for first, or what is none of the request's.
        """
        offer = self._offers.get(name) or self.meant(name)
        identity = offer.identity if offer is not None else self._unasked.get(name) or Identity(FUNCTION, name)
        kind = identity.form.output
        start = (new_id(kind.prefix), index, number, call_id)
        if issubclass(kind, NamedCallBuilder):
            return kind(*start, identity.name, identity.namespace or UNSET)
        return kind(*start)

    def allows(self, name: str) -> bool:
        """Whether `tool_choice` lets the model call it. What no tool of the request is called, the client judges."""
        offer = self._offers.get(name) or self.meant(name)
        return offer is None or self.choice.allows(offer.name)

    def meant(self, name: str) -> Offer | None:
        """Models shorten names and spell the separator their own way: the one tool of a namespace that can be meant."""
        told = _loose(name)
        alike = self._alike.get(told, ())
        return alike[0] if told and len(alike) == 1 else None

    @cached_property
    def _alike(self) -> dict[str, list[Offer]]:
        """The tools of namespaces by what they can be called: a request may name thousands of them."""
        alike: dict[str, list[Offer]] = {}
        for offer in self._offers.values():
            name, namespace = offer.identity.name, offer.identity.namespace
            if namespace is not None:
                for told in {_loose(name), _loose(f"{namespace}__{name}")}:
                    alike.setdefault(told, []).append(offer)
        return alike

    def told(self, tool: dict[str, Any], namespace: str | None = None) -> list[dict[str, Any]]:
        """Chat name and description of a tool that was read before, or of each in a namespace."""
        if tool["type"] == "namespace":
            return [told for inner in tool["tools"] for told in self.told(inner, tool["name"])]
        form = _FORMS.get(tool["type"])
        offer = self.find(form, _own_name(tool) or tool["type"], namespace) if form is not None else None
        described = {"description": flat(tool).get("description")}
        return [{"name": offer.name, **described}] if offer is not None else []

    # Reading the tools ---------------------------------------------------------------------------------------------

    def _read(self, tool: dict[str, Any], path: str, own: bool, namespace: str | None = None) -> None:
        if (told := flat(tool)) is not tool:
            self._report.mapped(path)
            tool = told
        kind = tool.get("type")
        if not isinstance(kind, str):
            raise missing(f"{path}.type") if kind is None else bad_value(f"{path}.type", kind, ["function", "custom"])
        if kind == "function":
            function: FunctionTool = convert(tool, FunctionTool, path)
            check_depth(function.parameters, f"{path}.parameters")
            self._add(Identity(FUNCTION, function.name, namespace), FUNCTION.offer(function), path, own, function)
        elif kind == "custom":
            custom: CustomTool = convert(tool, CustomTool, path)
            self._add(Identity(CUSTOM, custom.name, namespace), CUSTOM.offer(custom), path, own, custom)
        elif namespace is not None:
            raise bad_value(f"{path}.type", kind, ["function", "custom"])
        elif kind == "namespace":
            space: NamespaceTool = convert(tool, NamespaceTool, path)
            if not space.name:
                raise missing(f"{path}.name")
            self._spaces[space.name] = space.description
            for place, inner in enumerate(space.tools):
                self._read(inner, f"{path}.tools[{place}]", own, space.name)
        elif kind == "tool_search":
            search: ToolSearchTool = convert(tool, ToolSearchTool, path)
            if search.execution == "client":
                check_depth(search.parameters, f"{path}.parameters")
                self._search = (search, path)
            else:  # there is no search here; what it would find is offered as it is
                self._leave_out(Identity(TOOL_SEARCH, kind), path)
        elif kind == "mcp":
            raise unsupported(f"{path}.type", "tools of type 'mcp' are not run here; offer functions instead.")
        elif kind in OWN:
            identity = Identity(OWN[kind], kind)
            if _local(tool) and not _for_programs(tool.get("allowed_callers")):
                self._add(identity, OWN[kind].offer(), path, own)
            else:
                self._leave_out(identity, path)
        else:
            self._report.dropped(path)

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
        if tool is not None and _for_programs(tool.allowed_callers):
            self._leave_out(identity, path)
            return
        if tool is not None and tool.defer_loading and own and self._searches:
            # The model sees that it is there, and gets it once it has searched for it.
            self._deferred[identity.namespace or identity.name] = self._spaces.get(identity.namespace, tool.description)
            self._left_out.add(identity)
            self._unasked[flat_name(identity.namespace, identity.name)] = identity
            self._report.mapped(f"{path}.defer_loading")
            return
        known = self.find(identity.form, identity.name, identity.namespace)
        if known is not None and own and known.function != {**function, "name": known.name}:
            raise InvalidRequest(
                f"The tool {quoted(identity.name)} is defined twice, and differently.",
                param=f"{path}.name",
                code="invalid_value",
            )
        name = known.name if known is not None else self._free_name(identity)
        self._names[identity] = name
        self._offers[name] = Offer(identity, {**function, "name": name}, path)
        if name != identity.name or identity.form is not FUNCTION:
            self._report.mapped(path)

    def _free_name(self, identity: Identity) -> str:
        name = flat_name(identity.namespace, identity.name)
        own = identity.name if identity.namespace is None else None
        while name in self._offers or (name in self._kept and name != own):
            name = _digested(name, identity)
        return name

    def _leave_out(self, identity: Identity, path: str) -> None:
        self._left_out.add(identity)
        self._report.dropped(path)

    def _offer_search(self) -> None:
        """A search in the client, with what there is to be found told in its description."""
        if self._search is None:
            return
        (search, path), self._search = self._search, None
        found = [f"- {name}: {text}" if text else f"- {name}" for name, text in self._deferred.items()]
        said = [search.description or "Searches for tools that are not loaded yet."]
        said += ["Tools that can be found:\n" + "\n".join(found)] if found else []
        function = TOOL_SEARCH.offer("\n\n".join(said), search.parameters)
        self._add(Identity(TOOL_SEARCH, "tool_search"), function, path, own=False)


def flat_name(namespace: str | None, name: str) -> str:
    """The chat name of a tool that nobody else's name stands in the way of."""
    if not namespace:
        return name
    told = f"{namespace}__{name}"
    clean = _NOT_IN_NAMES.sub("_", told)
    return told if clean == told and len(told) <= MAX_NAME else _digested(clean, Identity(FUNCTION, name, namespace))


def _digested(name: str, identity: Identity) -> str:
    told = "\0".join((name, identity.form.kind, identity.namespace or "", identity.name))
    return f"{name[: MAX_NAME - _DIGEST - 1]}_{hashlib.sha256(told.encode()).hexdigest()[:_DIGEST]}"


def _loose(name: str) -> str:
    return _SEPARATORS.sub("_", name).strip("_")


def _own_name(tool: dict[str, Any]) -> str | None:
    name = flat(tool).get("name")
    return name if isinstance(name, str) else None


def _echo(tool: dict[str, Any]) -> dict[str, Any]:
    """A function's four keys are always there (Open Responses); all others are as the client sent them."""
    tool = flat(tool)
    if tool["type"] != "function":
        return tool
    return tool | {name: tool.get(name) for name in ("type", "name", "description", "parameters", "strict")}


def _searches(tool: dict[str, Any]) -> bool:
    return tool.get("type") == "tool_search" and tool.get("execution") == "client"


def _for_programs(callers: Any) -> bool:
    """Only programs that the model writes may call it, and nobody here runs those."""
    return isinstance(callers, list) and bool(callers) and "direct" not in callers


def _local(tool: dict[str, Any]) -> bool:
    """A shell in a container is the server's; without an environment it is the client's."""
    environment = tool.get("environment")
    return not isinstance(environment, dict) or environment.get("type") == "local"
