"""Views of input items: messages, their content parts, and tool calls.

Each object here shows some fields of one piece of JSON, which it keeps in `raw`. `encode` gives that piece of JSON
again, with the fields that were changed (see `views.request`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Union, cast

import msgspec

from responses_shim.core.wire.lenient_json import JSON_ERRORS

# Fields --------------------------------------------------------------------------------------------------------


def read_field(raw: dict[str, Any], key: str, types: type | tuple[type, ...]) -> Any:
    """The value at `key`, or None if it is not of one of these types: a view shows values of documented types only."""
    value = raw.get(key)
    return value if isinstance(value, types) else None


def write_field(raw: dict[str, Any], key: str, value: Any, types: type | tuple[type, ...]) -> None:
    """Set the value at `key` to what `read_field` gave, or to what it was changed to.

    None removes a value that `read_field` would show, and leaves any other as it is.
    """
    if value is not None:
        raw[key] = value
    elif isinstance(raw.get(key), types):
        del raw[key]


# Content -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Part:
    """One part of a message's content: a text, a refusal, an image, or something else.

        Part("What is in this picture?")
        Part(image_url="data:image/png;base64,…")

    A new part gets the type that its message needs: `input_text`, `output_text` of an assistant, `input_image`.
    """

    text: str | None = None
    """The text, or the refusal; None if the part is neither."""
    image_url: str | None = None
    """The URL or data URL of an image; None if the part has none."""
    raw: Any = field(default=None, repr=False, compare=False)
    """The part as the client sent it, as JSON data; None if it is new."""

    @classmethod
    def of(cls, raw: Any) -> Part:
        """The view of a content part, given as JSON data."""
        if not isinstance(raw, dict):
            return cls(raw=raw)
        return cls(read_field(raw, _text_key(raw), str), read_field(_image(raw), _url_key(raw), str), raw)

    def encode(self, text_type: str) -> Any:
        """The part as JSON data. A new text gets the type `text_type`."""
        if isinstance(self.raw, dict):
            part = dict(self.raw)
        elif self.text is None and self.image_url is None:
            return self.raw
        else:
            part = {"type": text_type if self.image_url is None else "input_image"}
        write_field(part, _text_key(part), self.text, str)
        if isinstance(part.get("image_url"), dict):
            part["image_url"] = dict(part["image_url"])
        write_field(_image(part), _url_key(part), self.image_url, str)
        return part


Content = Union[str, list[Part]]
"""The content of a message, a string or parts, whichever the client sent."""


def _text_key(part: dict[str, Any]) -> str:
    return "refusal" if part.get("type") == "refusal" else "text"


def _image(part: dict[str, Any]) -> dict[str, Any]:
    """The object that has the URL: the part itself, or in Chat Completions' form the object at its `image_url`."""
    return part["image_url"] if isinstance(part.get("image_url"), dict) else part


def _url_key(part: dict[str, Any]) -> str:
    return "url" if isinstance(part.get("image_url"), dict) else "image_url"


def _read_content(item: dict[str, Any], key: str) -> Content | None:
    content = read_field(item, key, (str, list))
    return [Part.of(part) for part in content] if isinstance(content, list) else content


def _encode_parts(content: Content | None, text_type: str) -> list[Any]:
    return [part.encode(text_type) for part in ([Part(content)] if isinstance(content, str) else content or [])]


def _write_content(item: dict[str, Any], key: str, content: Content | None, text_type: str) -> None:
    encoded = _encode_parts(content, text_type) if isinstance(content, list) else content
    write_field(item, key, encoded, (str, list))


# Tool calls ----------------------------------------------------------------------------------------------------

# The calls that a client carries out, and the field in which each has its arguments.
_ARGUMENTS_KEYS = {
    "function_call": "arguments",
    "custom_tool_call": "input",
    "tool_search_call": "arguments",
    "local_shell_call": "action",
    "shell_call": "action",
    "apply_patch_call": "operation",
    "computer_call": "action",
}


@dataclass(slots=True)
class ToolCall:
    """A call of a tool, made by the model, to be carried out by the client.

        ToolCall("call_1", "get_weather", {"city": "Paris"})

    A new call is a function call.
    """

    call_id: str
    """The id that the call's output refers to, not the id of the item; `""` if there is none."""
    name: str
    """The name of the function or custom tool; for any other call its type without `_call`: `shell`, `apply_patch`."""
    arguments: Any = field(default_factory=dict)
    """What the tool is called with; `{}` if there is nothing.

    Of a function call: the decoded JSON, `{"city": "Paris"}`, or the text itself if the model wrote no valid JSON. Of
    a custom tool: its input, a text. Of any other call: the object that the item has, such as a shell's `action`.
    """
    raw: dict[str, Any] | None = field(default=None, repr=False, compare=False)
    """The call's item as the client sent it, as JSON data; None if it is new."""

    @classmethod
    def of(cls, item: Any) -> ToolCall | None:
        """The view of a call's item, given as JSON data; None for any other item."""
        kind = item.get("type") if isinstance(item, dict) else None
        if not isinstance(kind, str) or kind not in _ARGUMENTS_KEYS:
            return None
        arguments = item.get(_ARGUMENTS_KEYS[kind], {})
        if kind == "function_call" and isinstance(arguments, str):
            arguments = decode_if_json(arguments)
        default_name = "" if kind in ("function_call", "custom_tool_call") else kind.removesuffix("_call")
        return cls(
            read_field(item, "call_id", str) or "", read_field(item, "name", str) or default_name, arguments, item
        )

    def encode(self) -> dict[str, Any]:
        """The call as an item, as JSON data."""
        original = ToolCall.of(self.raw)
        if self.raw is None or original is None:
            arguments = _to_text(self.arguments)
            return {"type": "function_call", "call_id": self.call_id, "name": self.name, "arguments": arguments}
        item = dict(self.raw)
        if self.call_id != original.call_id:
            item["call_id"] = self.call_id
        if self.name != original.name:
            item["name"] = self.name
        key = _ARGUMENTS_KEYS[item["type"]]
        if item["type"] != "function_call":
            if key in item or self.arguments != {}:
                item[key] = self.arguments
        elif json.dumps(self.arguments) != json.dumps(original.arguments):  # not !=, for which 1 and True are the same
            item[key] = _to_text(self.arguments)
        return item


def decode_if_json(text: str) -> Any:
    """The decoded JSON; the text itself if it is not JSON, as happens with arguments that a model wrote."""
    try:
        return msgspec.json.decode(text)
    except JSON_ERRORS:
        return text


def _to_text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


# Messages ------------------------------------------------------------------------------------------------------

Role = Literal["system", "developer", "user", "assistant", "tool", "other"]


@dataclass(slots=True)
class Message:
    """One message of the conversation: the view of one input item.

        Message("user", "What is the weather in Paris?")
        Message("assistant", tool_calls=[ToolCall("call_1", "get_weather", {"city": "Paris"})])
        Message("tool", "18 °C", tool_call_id="call_1")
        Message("assistant", "It is 18 °C in Paris.", reasoning="The tool says so.")

    An item is either a text, or reasoning, or a call, or an output, so a message of a request has only one of these. A
    new message may have several, and becomes several items.
    """

    role: Role
    """Whose message it is: `tool` for the output of a call, `other` for an item that is no message (see `raw`)."""
    content: Content | None = None
    """The text or the parts of a message, or the output of a tool."""
    reasoning: Content | None = None
    """The text of a reasoning item."""
    summary: Content | None = None
    """The summary of a reasoning item."""
    tool_calls: list[ToolCall] = field(default_factory=list)
    """The calls that the model made; in a request at most one per message."""
    tool_call_id: str | None = None
    """Of a `tool` message: the `call_id` of the call that this is the output of."""
    raw: Any = field(default=None, repr=False, compare=False)
    """The item as the client sent it, as JSON data; None for a new message, for the instructions, for a call (the
    call has it), and for an `input` that is a string."""

    @classmethod
    def of(cls, item: Any) -> Message:
        """The view of an input item, given as JSON data.

        An item that is no message, call, output or reasoning has the role `other`.
        """
        if not isinstance(item, dict):
            return cls("other", raw=item)
        if call := ToolCall.of(item):
            return cls("assistant", tool_calls=[call])
        if _is_reasoning(item):
            reasoning, summary = _read_content(item, "content"), _read_content(item, "summary")
            return cls("assistant", reasoning=reasoning, summary=summary, raw=item)
        role = _role(item)
        tool_call_id = read_field(item, _call_id_key(item), str) if role == "tool" else None
        return cls(role, _read_content(item, _content_key(item)), tool_call_id=tool_call_id, raw=item)

    @property
    def text(self) -> str:
        """The text of the content, the texts of its parts joined by newlines; `""` if there is none."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.text is not None)
        return self.content or ""

    def rewrite(self, change: Callable[[str], str]) -> None:
        """Replace each text of the content, the reasoning and the summary by `change(text)`.

            message.rewrite(lambda text: text.replace(password, "***"))

        Content that is a list of parts is changed part by part.
        """
        self.content = _rewritten(self.content, change)
        self.reasoning = _rewritten(self.reasoning, change)
        self.summary = _rewritten(self.summary, change)

    def encode(self) -> Iterator[Any]:
        """The items of the message, as JSON data: its own one with its changes, or those that a new message needs.

        A new message with nothing in it, and one whose call was removed, has no items.
        """
        if self.role == "other" and not isinstance(self.raw, dict):
            yield self.raw
            return
        raw = self.raw if isinstance(self.raw, dict) else None
        is_reasoning = raw is not None and _is_reasoning(raw)
        if is_reasoning or self.reasoning is not None or self.summary is not None:
            yield self._reasoning_item(raw if is_reasoning else None)
        if self.content is not None or not (is_reasoning or raw is None):
            yield self._content_item(None if is_reasoning else raw)
        for call in self.tool_calls:
            yield call.encode()

    def _reasoning_item(self, raw: dict[str, Any] | None) -> dict[str, Any]:
        if raw is None:
            summary = _encode_parts(self.summary, "summary_text")
            return {
                "type": "reasoning",
                "summary": summary,
                "content": _encode_parts(self.reasoning, "reasoning_text"),
            }
        item = dict(raw)
        _write_content(item, "summary", self.summary, "summary_text")
        _write_content(item, "content", self.reasoning, "reasoning_text")
        return item

    def _content_item(self, raw: dict[str, Any] | None) -> dict[str, Any]:
        new = {"type": "function_call_output" if self.role == "tool" else "message"}
        item: dict[str, Any] = dict(new if raw is None else raw)
        if self.role != _role(item):
            item["role"] = self.role
        if self.role == "tool":
            write_field(item, _call_id_key(item), self.tool_call_id, str)
        text_type = "output_text" if self.role == "assistant" else "input_text"
        _write_content(item, _content_key(item), self.content, text_type)
        return item


def _is_reasoning(item: dict[str, Any]) -> bool:
    return item.get("type") == "reasoning"


def _is_output(item: dict[str, Any]) -> bool:
    return str(item.get("type")).endswith("_output")


def _role(item: dict[str, Any]) -> Role:
    role = item.get("role")
    if role in ("system", "developer", "user", "assistant", "tool"):
        return cast(Role, role)
    return "tool" if _is_output(item) else "other"


def _content_key(item: dict[str, Any]) -> str:
    return "output" if _is_output(item) else "content"


def _call_id_key(item: dict[str, Any]) -> str:
    """`call_id`; in a message of role `tool`, which some clients send, `tool_call_id` as in Chat Completions."""
    return "call_id" if _is_output(item) else "tool_call_id"


def _rewritten(content: Content | None, change: Callable[[str], str]) -> Content | None:
    if isinstance(content, str):
        return change(content)
    for part in content or ():
        if part.text is not None:
            part.text = change(part.text)
    return content
