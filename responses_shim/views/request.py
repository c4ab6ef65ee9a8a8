"""The view of a request, for interceptors: read it, change it, and encode it as a request body again.

Nothing of the request is lost. Every object of the view shows some fields of one piece of JSON, and keeps that piece in
`raw`. Encoding copies `raw` and writes the fields of the object over the copy. So a field that is not shown stays as it
was, a field that was not changed is written over itself, and a field that was set to None is removed:

    view = RequestView.of({"model": "m", "input": "Hi", "seed": 7, "unknown": [1]})
    view.model = "other"
    view.encode()       # {"model": "other", "input": "Hi", "seed": 7, "unknown": [1]}

Each input item is one message. So editing, moving or removing a message edits, moves or removes its own item and no
other. A field whose value is not of the documented type is not shown, and stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypedDict, Union, cast

import msgspec

from responses_shim.errors import InvalidRequest
from responses_shim.views.items import Message, Role, read_field, write_field


@dataclass(slots=True)
class Tool:
    """A tool that the model may call.

        Tool("get_weather", "The weather in a city", {"type": "object", "properties": {"city": {"type": "string"}}})

    A function looks the same here whether the client sent it in the flat form of the Responses API or in the nested one
    of Chat Completions. Of a tool of another type (`custom`, `web_search`, …) the fields that it has are shown; the
    rest is in `raw`.
    """

    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """A JSON schema."""
    type: str | None = "function"
    raw: Any = field(default=None, repr=False, compare=False)
    """The tool as the client sent it, as JSON data; None if it is new."""

    @classmethod
    def of(cls, raw: Any) -> Tool:
        """The view of a tool, given as JSON data."""
        if not isinstance(raw, dict):
            return cls(type=None, raw=raw)
        fields = _function(raw)
        return cls(
            read_field(fields, "name", str),
            read_field(fields, "description", str),
            read_field(fields, "parameters", dict),
            read_field(raw, "type", str),
            raw,
        )

    def encode(self) -> Any:
        """The tool as JSON data; a new one in the flat form."""
        if self.type is None and not isinstance(self.raw, dict):
            return self.raw
        tool = dict(self.raw) if isinstance(self.raw, dict) else {}
        if isinstance(tool.get("function"), dict):
            tool["function"] = dict(tool["function"])
        write_field(tool, "type", self.type, str)
        fields = _function(tool)
        write_field(fields, "name", self.name, str)
        write_field(fields, "description", self.description, str)
        write_field(fields, "parameters", self.parameters, dict)
        return tool


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    """The object that has the name: the tool itself or, in the nested form, the object at `function`."""
    return tool["function"] if isinstance(tool.get("function"), dict) else tool


class Reasoning(TypedDict, total=False):
    """The request's `reasoning`: how much the model should think, and whether that is to be summarised.

    `effort` is `none`, `minimal`, `low`, … `max`; `summary` is `auto`, `concise` or `detailed`.
    """

    effort: str | None
    summary: str | None


class Parameters(TypedDict, total=False):
    """Sampling parameters and other options of a request.

        view.params["max_tokens"] = 100      # set it
        del view.params["temperature"]       # remove it from the request
        view.params.get("seed")              # None if the request has none, or null

    The names are those of the request, but for `max_tokens`, which is `max_output_tokens` there.
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


# The request field of each parameter.
_PARAM_FIELDS = {name: name for name in Parameters.__annotations__} | {"max_tokens": "max_output_tokens"}
# The request fields of the other attributes.
_ATTRIBUTE_FIELDS = frozenset({"model", "instructions", "input", "tools", "tool_choice"})
# All request fields that are not in `extra`.
_SHOWN_FIELDS = _ATTRIBUTE_FIELDS.union(_PARAM_FIELDS.values())

ToolChoice = Union[str, dict[str, Any]]


@dataclass(slots=True)
class RequestView:
    """A request, which an interceptor may change in place.

        view.messages.insert(0, Message("system", "Answer in French."))
        view.params["max_tokens"] = 100
        view.tools = [tool for tool in view.tools if tool.name != "delete_everything"]
        view.extra["metadata"] = {"tenant": "a"}

    `RequestView.of(body)` makes the view of a request body, `encode()` makes a body of the view.
    """

    model: str | None = None
    messages: list[Message] = field(default_factory=list)
    """The conversation. The instructions come first, as a `system` message, if there are any.

    A new `system` message in first place becomes the instructions; any other new message becomes an input item in its
    place.
    """
    params: Parameters = field(default_factory=Parameters)
    """Sampling parameters and other options that the request has."""
    tools: list[Tool] = field(default_factory=list)
    """The tools that the model may call."""
    tool_choice: ToolChoice | None = None
    """`auto`, `none` or `required`, or an object that names tools: `{"type": "function", "name": "get_weather"}`."""
    extra: dict[str, Any] = field(default_factory=dict)
    """All other fields of the request, as JSON data. A field that is also shown elsewhere may be set here, and wins."""
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The request body as it came, as JSON data."""

    @classmethod
    def of(cls, body: dict[str, Any]) -> RequestView:
        """The view of a request body, given as JSON data. The body is copied, so changes do not reach it.

        Raises InvalidRequest if it is nested too deeply to be copied.
        """
        try:
            raw: dict[str, Any] = msgspec.to_builtins(body)  # the fastest copy of JSON data there is
        except RecursionError:
            raise _too_deep() from None
        input_, tools = raw.get("input"), raw.get("tools")
        messages = [Message("system", raw["instructions"])] if isinstance(raw.get("instructions"), str) else []
        if isinstance(input_, str):
            messages.append(Message("user", input_))
        elif isinstance(input_, list):
            messages.extend(map(Message.of, input_))
        return cls(
            model=read_field(raw, "model", str),
            messages=messages,
            params=cast(Parameters, {name: raw[key] for name, key in _PARAM_FIELDS.items() if key in raw}),
            tools=[Tool.of(tool) for tool in tools] if isinstance(tools, list) else [],
            tool_choice=_read_tool_choice(raw),
            extra={key: value for key, value in raw.items() if key not in _SHOWN_FIELDS},
            raw=raw,
        )

    def encode(self) -> dict[str, Any]:
        """The request body, as JSON data. Nested values are shared with the view, not copied.

        Raises InvalidRequest if the arguments of a call are nested too deeply to be encoded.
        """
        body = dict(self.raw)
        try:
            self._write_messages(body)
        except RecursionError:
            raise _too_deep() from None
        write_field(body, "model", self.model, str)
        if self.tools or isinstance(body.get("tools"), list):
            body["tools"] = [tool.encode() for tool in self.tools]
        if not isinstance(self.tool_choice, str) or self.tool_choice != _read_tool_choice(body):
            write_field(body, "tool_choice", self.tool_choice, (str, dict))
        params = {_PARAM_FIELDS.get(name, name): value for name, value in self.params.items()}
        # Written over the body in this order, so that the fields keep their places. Those that are neither in `params`
        # nor in `extra` any more have been removed.
        kept = {
            key: value for key, value in body.items() if key in _ATTRIBUTE_FIELDS or key in params or key in self.extra
        }
        return kept | params | self.extra

    def _write_messages(self, body: dict[str, Any]) -> None:
        """Write `instructions` and `input`. Each stays a string if the messages can be written as one."""
        messages = list(self.messages)
        instructions = messages.pop(0).content if messages and _is_plain_text(messages[0], "system") else None
        write_field(body, "instructions", instructions, str)
        if isinstance(body.get("input"), str) and len(messages) == 1 and _is_plain_text(messages[0], "user"):
            body["input"] = messages[0].content
        elif messages or isinstance(body.get("input"), (str, list)):
            body["input"] = [item for message in messages for item in message.encode()]


def _is_plain_text(message: Message, role: Role) -> bool:
    """Whether a message is nothing but a string, and has no item yet."""
    return isinstance(message.content, str) and message.raw is None and message == Message(role, message.content)


def _read_tool_choice(body: dict[str, Any]) -> ToolChoice | None:
    """The tool choice; `{"type": "auto"}`, which some clients send, is the same as `"auto"`."""
    choice: ToolChoice | None = read_field(body, "tool_choice", (str, dict))
    if isinstance(choice, dict) and choice.get("type") in ("auto", "none", "required"):
        return str(choice["type"])
    return choice


def _too_deep() -> InvalidRequest:
    return InvalidRequest("The request is nested too deeply.", code="invalid_value")
