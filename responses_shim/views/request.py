"""A provider-neutral view of a request, for interceptors: read it, change it, encode it back.

Nothing is lost on the way, by construction. Every object of the view shows some fields of one piece of JSON, and
keeps that piece in `raw`. To encode is to write the fields that are shown over a copy of `raw`: what is not shown
stays as it was, what is shown and was not changed is written over itself, and what is None now but was shown is
taken away. One input item is one message, never more; so a message that is removed, moved or edited removes, moves
or edits its own item, and touches no other.

Fields are shown where they have the type that is documented. A body may hold anything else in their place: that is
not shown, and stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypedDict, Union, cast

import msgspec

from responses_shim.errors import InvalidRequest
from responses_shim.views.items import Message, Role, shown, write


@dataclass(slots=True)
class Tool:
    """A tool that the model may call. A function is shown alike in the flat form and in chat's nested one.

    Of other types (`custom`, `namespace`, `web_search`, …) what has these names is shown, and the rest is in `raw`.
    `parameters` is a JSON schema.
    """

    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    type: str | None = "function"
    raw: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, raw: Any) -> Tool:
        if not isinstance(raw, dict):
            return cls(type=None, raw=raw)
        fields = _function(raw)
        return cls(
            shown(fields, "name", str),
            shown(fields, "description", str),
            shown(fields, "parameters", dict),
            shown(raw, "type", str),
            raw,
        )

    def encode(self) -> Any:
        if self.type is None and not isinstance(self.raw, dict):
            return self.raw
        tool = dict(self.raw) if isinstance(self.raw, dict) else {}
        if isinstance(tool.get("function"), dict):
            tool["function"] = dict(tool["function"])
        write(tool, "type", self.type, str)
        fields = _function(tool)
        write(fields, "name", self.name, str)
        write(fields, "description", self.description, str)
        write(fields, "parameters", self.parameters, dict)
        return tool


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    return tool["function"] if isinstance(tool.get("function"), dict) else tool


class Reasoning(TypedDict, total=False):
    """How much to think (`none` … `max`), and whether to sum it up (`auto`, `concise`, `detailed`)."""

    effort: str | None
    summary: str | None


class Parameters(TypedDict, total=False):
    """How the answer is to be made. What the request has is there, be it null; delete it here to delete it there.

    `max_tokens` is the request's `max_output_tokens`; the other names are the same.
    """

    temperature: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    presence_penalty: float | None
    frequency_penalty: float | None
    repetition_penalty: float | None
    seed: int | None
    stop: str | list[str] | None
    max_tokens: int | None
    top_logprobs: int | None
    parallel_tool_calls: bool | None
    max_tool_calls: int | None
    reasoning: Reasoning | None
    truncation: str | None
    store: bool | None


# What each parameter is called in a request, and the fields that the rest of a view is made of.
_PARAMS = {name: name for name in Parameters.__annotations__} | {"max_tokens": "max_output_tokens"}
_WRITTEN = frozenset({"model", "instructions", "input", "tools", "tool_choice"})
_SHOWN = _WRITTEN.union(_PARAMS.values())

ToolChoice = Union[str, dict[str, Any]]


@dataclass(slots=True)
class RequestView:
    """What a request asks for. Everything in it may be changed in place.

    - `messages`: the conversation. The instructions come first, as a `system` message. A new `system` message that is
      put first becomes the instructions; any other new message becomes an item at its place.
    - `params`: see `Parameters`.
    - `tools`: what the model may call; empty where the request has none.
    - `tool_choice`: `auto`, `none`, `required` (where the request says so with an object, too), or the object.
    - `extra`: every other field of the request, as it is. Any field of a request may be set here, and wins.
    """

    model: str | None = None
    messages: list[Message] = field(default_factory=list)
    params: Parameters = field(default_factory=Parameters)
    tools: list[Tool] = field(default_factory=list)
    tool_choice: ToolChoice | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, body: dict[str, Any]) -> RequestView:
        """The view of a request body, plain JSON data, which is copied. InvalidRequest if it is nested too deeply."""
        try:
            raw: dict[str, Any] = msgspec.to_builtins(body)  # the fastest copy of JSON data there is
        except RecursionError:
            raise _too_deep() from None
        given, tools = raw.get("input"), raw.get("tools")
        messages = [Message("system", raw["instructions"])] if isinstance(raw.get("instructions"), str) else []
        if isinstance(given, str):
            messages.append(Message("user", given))
        elif isinstance(given, list):
            messages.extend(map(Message.of, given))
        return cls(
            model=shown(raw, "model", str),
            messages=messages,
            params=cast(Parameters, {name: raw[key] for name, key in _PARAMS.items() if key in raw}),
            tools=[Tool.of(tool) for tool in tools] if isinstance(tools, list) else [],
            tool_choice=_choice(raw),
            extra={key: value for key, value in raw.items() if key not in _SHOWN},
            raw=raw,
        )

    def encode(self) -> dict[str, Any]:
        """The request body again. What is nested in it is shared with the view."""
        body = dict(self.raw)
        try:
            self._write_messages(body)
        except RecursionError:  # in the arguments of a call
            raise _too_deep() from None
        write(body, "model", self.model, str)
        if self.tools or isinstance(body.get("tools"), list):
            body["tools"] = [tool.encode() for tool in self.tools]
        if not isinstance(self.tool_choice, str) or self.tool_choice != _choice(body):
            write(body, "tool_choice", self.tool_choice, (str, dict))
        params = {_PARAMS.get(name, name): value for name, value in self.params.items()}
        kept = {key: value for key, value in body.items() if key in _WRITTEN or key in params or key in self.extra}
        return kept | params | self.extra

    def _write_messages(self, body: dict[str, Any]) -> None:
        """`instructions` and `input`. Each stays a string as long as a string can hold it."""
        messages = list(self.messages)
        instructions = messages.pop(0).content if messages and _is_text(messages[0], "system") else None
        write(body, "instructions", instructions, str)
        if isinstance(body.get("input"), str) and len(messages) == 1 and _is_text(messages[0], "user"):
            body["input"] = messages[0].content
        elif messages or isinstance(body.get("input"), (str, list)):
            body["input"] = [item for message in messages for item in message.encode()]


def _is_text(message: Message, role: Role) -> bool:
    """A text and nothing else, and no item yet."""
    return isinstance(message.content, str) and message.raw is None and message == Message(role, message.content)


def _choice(body: dict[str, Any]) -> ToolChoice | None:
    choice: ToolChoice | None = shown(body, "tool_choice", (str, dict))
    if isinstance(choice, dict) and choice.get("type") in ("auto", "none", "required"):
        return str(choice["type"])
    return choice


def _too_deep() -> InvalidRequest:
    return InvalidRequest("The request is nested too deeply.", code="invalid_value")
