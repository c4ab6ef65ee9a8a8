"""`tool_choice`: nine forms in Responses, two in chat.

A mode goes on as it is, a named tool becomes the named function that it is offered as, and `allowed_tools` narrows
what is offered at all: it is a hard constraint, also against a host that calls what it was not offered.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from msgspec import Struct

from responses_shim.core.tools.base import Form, flat
from responses_shim.core.tools.kinds import CUSTOM, FORMS, FUNCTION
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.validation import bad_value, missing, quoted, required_string, unsupported, wrong_type
from responses_shim.errors import InvalidRequest

_MODES = ("none", "auto", "required")
_FORMS: dict[str, Form] = {form.kind: form for form in FORMS}


class Choice(Struct):
    """`chat` is the chat request's `tool_choice` (None: leave it out), `echo` the response's.

    `allowed` are the chat names that may be called; None means all.
    """

    chat: str | dict[str, Any] | None
    echo: str | dict[str, Any]
    allowed: frozenset[str] | None = None

    def allows(self, name: str) -> bool:
        return self.allowed is None or name in self.allowed


class Offered(Protocol):
    @property
    def name(self) -> str: ...


class Offers(Protocol):
    """What a choice has to know of the request's tools."""

    def find(self, form: Form, name: str, namespace: str | None = None) -> Offered | None: ...
    def meant(self, name: str) -> Offered | None: ...
    def left_out(self, form: Form, name: str, namespace: str | None = None) -> bool: ...
    def names(self) -> list[str]: ...


def read_choice(choice: str | dict[str, Any] | None, offers: Offers, report: Report) -> Choice:
    """InvalidRequest for a choice that is none, or that cannot be met with the tools there are."""
    if choice is None:
        return Choice(None, "auto")
    kind = choice.get("type") if isinstance(choice, dict) else choice
    if isinstance(choice, str) or kind in _MODES:  # {"type": "auto"}: other APIs' spelling, met in the wild
        return Choice(_mode(kind, "tool_choice", _MODES, offers.names()), str(kind))
    if not isinstance(kind, str):
        raise missing("tool_choice.type")
    if kind == "allowed_tools":
        return _allowed(flat(choice), offers, report)
    name = _named(choice, kind, offers, "tool_choice")
    if name is None:
        raise unsupported("tool_choice", f"no such tool of type {quoted(kind)} can be called here.")
    echo = flat(choice)
    if kind != "function" or echo["name"] != name:
        report.mapped("tool_choice")
    return Choice({"type": "function", "function": {"name": name}}, echo)


def _mode(mode: Any, path: str, modes: tuple[str, ...], names: Collection[str]) -> str:
    if mode not in modes:
        raise bad_value(path, mode, list(modes))
    if mode == "required" and not names:
        raise InvalidRequest(
            "Tool choice 'required' needs at least one tool that can be called here.",
            param="tool_choice",
            code="invalid_value",
        )
    return str(mode)


def _allowed(choice: dict[str, Any], offers: Offers, report: Report) -> Choice:
    allowed = choice.get("tools")
    if allowed is None:
        raise missing("tool_choice.tools")
    if not isinstance(allowed, list):
        raise wrong_type("tool_choice.tools", "an array of objects")
    names = set()
    for place, tool in enumerate(allowed):
        path = f"tool_choice.tools[{place}]"
        if not isinstance(tool, dict):
            raise wrong_type(path, "an object")
        tool = {"type": "function", **tool}
        name = _named(tool, str(tool["type"]), offers, path)
        if name is None:
            report.dropped(path)
        else:
            names.add(name)
    mode = _mode(choice.get("mode", "auto"), "tool_choice.mode", ("auto", "required"), names)
    report.mapped("tool_choice")
    return Choice(mode, {"type": "allowed_tools", "mode": mode, "tools": allowed}, frozenset(names))


def _named(choice: dict[str, Any], kind: str, offers: Offers, path: str) -> str | None:
    """The chat name of the tool that is meant; None for one that is not run here, or not to be called yet."""
    form = _FORMS.get(kind)
    if form is None:
        return None
    name, namespace, either = kind, None, False
    if form in (FUNCTION, CUSTOM):
        told = flat(choice)
        name = required_string(told, "name", path)
        namespace = required_string(told, "namespace", path) if told.get("namespace") is not None else None
        path, either = f"{path}.name", namespace is None
    offer = offers.find(form, name, namespace)
    if offer is None and offers.left_out(form, name, namespace):
        return None
    if offer is None and either:
        # There is no place for a namespace in OpenAI's form, and clients exist that know one word for both forms.
        offer = offers.find(CUSTOM, name) or offers.meant(name)
    if offer is None:
        raise InvalidRequest(
            f"Tool choice {quoted(name)} is not among the tools of the request.", param=path, code="invalid_value"
        )
    return offer.name
