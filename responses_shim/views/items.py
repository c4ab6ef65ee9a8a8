"""One input item as one provider-neutral message: read, changed, encoded back (see `codec`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Union, cast

import msgspec

# A field that is shown -----------------------------------------------------------------------------------------


def shown(raw: dict[str, Any], key: str, kinds: type | tuple[type, ...]) -> Any:
    """The field, if it is of one of the kinds that the view shows there."""
    value = raw.get(key)
    return value if isinstance(value, kinds) else None


def write(raw: dict[str, Any], key: str, value: Any, kinds: type | tuple[type, ...]) -> None:
    """Write it back. None takes away what was shown, and leaves alone what was not."""
    if value is not None:
        raw[key] = value
    elif isinstance(raw.get(key), kinds):
        del raw[key]


# Content -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Part:
    """A piece of content. `text` of a text or a refusal, `image_url` of an image; of anything else, `raw` alone.

    A new one has no `raw`, and becomes the kind of part that its place asks for.
    """

    text: str | None = None
    image_url: str | None = None
    raw: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, raw: Any) -> Part:
        if not isinstance(raw, dict):
            return cls(raw=raw)
        return cls(shown(raw, _text_key(raw), str), shown(_image(raw), _url_key(raw), str), raw)

    def encode(self, kind: str) -> Any:
        """The part as JSON; a new text is of type `kind`."""
        if isinstance(self.raw, dict):
            part = dict(self.raw)
        elif self.text is None and self.image_url is None:
            return self.raw
        else:
            part = {"type": kind if self.image_url is None else "input_image"}
        write(part, _text_key(part), self.text, str)
        if isinstance(part.get("image_url"), dict):
            part["image_url"] = dict(part["image_url"])
        write(_image(part), _url_key(part), self.image_url, str)
        return part


Content = Union[str, list[Part]]


def _text_key(part: dict[str, Any]) -> str:
    return "refusal" if part.get("type") == "refusal" else "text"


def _image(part: dict[str, Any]) -> dict[str, Any]:
    """What holds the URL: the part itself or, in chat's form, the object in its `image_url`."""
    return part["image_url"] if isinstance(part.get("image_url"), dict) else part


def _url_key(part: dict[str, Any]) -> str:
    return "url" if isinstance(part.get("image_url"), dict) else "image_url"


def _content(item: dict[str, Any], key: str) -> Content | None:
    content = shown(item, key, (str, list))
    return [Part.of(part) for part in content] if isinstance(content, list) else content


def _parts(content: Content | None, kind: str) -> list[Any]:
    return [part.encode(kind) for part in ([Part(content)] if isinstance(content, str) else content or [])]


def _write_content(item: dict[str, Any], key: str, content: Content | None, kind: str) -> None:
    encoded = _parts(content, kind) if isinstance(content, list) else content
    write(item, key, encoded, (str, list))


# Tool calls ----------------------------------------------------------------------------------------------------

# The calls that a client carries out, and where each keeps what it is called with.
_ARGUMENTS = {
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
    """A call that the model has made and the client carries out. `call_id` is what its output refers to.

    `arguments` of a function are the JSON value that their text stands for, or the text itself where it is not JSON;
    those of a custom tool are its text; those of a shell, a patch and the like are the object that the item has.
    Absent arguments are `{}`. `name` is that of the function or the tool; where there is none, `shell_call` is called
    `shell`, and so on.
    """

    call_id: str
    name: str
    arguments: Any = field(default_factory=dict)
    raw: dict[str, Any] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, item: Any) -> ToolCall | None:
        """The call that an item is, if it is one."""
        kind = item.get("type") if isinstance(item, dict) else None
        if not isinstance(kind, str) or kind not in _ARGUMENTS:
            return None
        arguments = item.get(_ARGUMENTS[kind], {})
        if kind == "function_call" and isinstance(arguments, str):
            arguments = _parsed(arguments)
        name = "" if kind in ("function_call", "custom_tool_call") else kind.removesuffix("_call")
        return cls(shown(item, "call_id", str) or "", shown(item, "name", str) or name, arguments, item)

    def encode(self) -> dict[str, Any]:
        """The call as an item; a new one is a function call."""
        seen = ToolCall.of(self.raw)
        if self.raw is None or seen is None:
            arguments = _as_text(self.arguments)
            return {"type": "function_call", "call_id": self.call_id, "name": self.name, "arguments": arguments}
        item = dict(self.raw)
        if self.call_id != seen.call_id:
            item["call_id"] = self.call_id
        if self.name != seen.name:
            item["name"] = self.name
        key = _ARGUMENTS[item["type"]]
        if item["type"] != "function_call":
            if key in item or self.arguments != {}:
                item[key] = self.arguments
        elif json.dumps(self.arguments) != json.dumps(seen.arguments):  # which tells 1 from true; == does not
            item[key] = _as_text(self.arguments)
        return item


def _parsed(text: str) -> Any:
    """The JSON value, or the text as it is: models write what is not JSON, too."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text


def _as_text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


# Messages ------------------------------------------------------------------------------------------------------

Role = Literal["system", "developer", "user", "assistant", "tool", "other"]


@dataclass(slots=True)
class Message:
    """One message of the conversation, and the input item that it is.

    - `role`: `tool` for the output of a tool call, `other` for an item that no other API has (`raw` is all there is).
    - `content`: what was said or, by a tool, given back. A string, or parts, as it was sent.
    - `reasoning`, `summary`: what an assistant thought, and what it sums up to. An item has these or `content`.
    - `tool_calls`: of a call item the one call. A new message may have several: each becomes an item.
    - `tool_call_id`: of a `tool` message, the `call_id` that it answers.
    - `raw`: the item. The instructions, and an input that is a string, are messages too; they have no item.
    """

    role: Role
    content: Content | None = None
    reasoning: Content | None = None
    summary: Content | None = None
    tool_calls: list[ToolCall] = field(default_factory=list)
    tool_call_id: str | None = None
    raw: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, item: Any) -> Message:
        if not isinstance(item, dict):
            return cls("other", raw=item)
        if call := ToolCall.of(item):
            return cls("assistant", tool_calls=[call])
        if _is_reasoning(item):
            return cls("assistant", reasoning=_content(item, "content"), summary=_content(item, "summary"), raw=item)
        role = _role(item)
        tool_call_id = shown(item, _call_id_key(item), str) if role == "tool" else None
        return cls(role, _content(item, _content_key(item)), tool_call_id=tool_call_id, raw=item)

    @property
    def text(self) -> str:
        """All text of the content, its parts joined by newline; empty where there is none."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.text is not None)
        return self.content or ""

    def rewrite(self, change: Callable[[str], str]) -> None:
        """Put `change(text)` in the place of every text of content, reasoning and summary, part by part."""
        self.content = _rewritten(self.content, change)
        self.reasoning = _rewritten(self.reasoning, change)
        self.summary = _rewritten(self.summary, change)

    def encode(self) -> Iterator[Any]:
        """The items of the message: its own, changed, or those that a new one needs. Nothing in it is no item."""
        if self.role == "other" and not isinstance(self.raw, dict):
            yield self.raw
            return
        raw = self.raw if isinstance(self.raw, dict) else None
        thought = raw is not None and _is_reasoning(raw)
        if thought or self.reasoning is not None or self.summary is not None:
            yield self._reasoning_item(raw if thought else None)
        if self.content is not None or not (thought or raw is None):
            yield self._content_item(None if thought else raw)
        for call in self.tool_calls:
            yield call.encode()

    def _reasoning_item(self, raw: dict[str, Any] | None) -> dict[str, Any]:
        if raw is None:
            summary, content = _parts(self.summary, "summary_text"), _parts(self.reasoning, "reasoning_text")
            return {"type": "reasoning", "summary": summary, "content": content}
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
            write(item, _call_id_key(item), self.tool_call_id, str)
        kind = "output_text" if self.role == "assistant" else "input_text"
        _write_content(item, _content_key(item), self.content, kind)
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
    """In a message of role `tool`, which some clients send, the name is chat's."""
    return "call_id" if _is_output(item) else "tool_call_id"


def _rewritten(content: Content | None, change: Callable[[str], str]) -> Content | None:
    if isinstance(content, str):
        return change(content)
    for part in content or ():
        if part.text is not None:
            part.text = change(part.text)
    return content
