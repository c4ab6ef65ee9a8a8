"""Input items as chat messages.

The shape that every chat template accepts: one leading system message, then user, assistant and tool messages.
So all system-level text (instructions, system and developer messages, wherever they stand) folds into the leading
message, and what the model said in one turn (reasoning, text, calls, which Responses keeps as separate items) folds
into one assistant message. Both are stable: the same items give the same messages, so that a host's prefix cache
holds from turn to turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from responses_shim.core.invalid import bad_value, missing, unsupported
from responses_shim.core.report import Report
from responses_shim.errors import InvalidRequest

Item = dict[str, Any]
Message = dict[str, Any]


def to_messages(instructions: str | None, items: str | list[Item], report: Report) -> list[Message]:
    """The messages for `instructions` and `items`. InvalidRequest names the item and field it cannot take."""
    transcript = _Transcript(report)
    if instructions:
        transcript.system.append(instructions)
    if isinstance(items, str):
        transcript.messages.append({"role": "user", "content": items})
    else:
        for place, item in enumerate(items):
            transcript.read(item, f"input[{place}]")
    messages = transcript.finish()
    if not messages:
        raise missing("input")
    return messages


class _Transcript:
    """Collects messages; holds the assistant message that is being put together."""

    def __init__(self, report: Report) -> None:
        self.system: list[str] = []
        self.messages: list[Message] = []
        self._report = report
        self._texts: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._call_ids: set[str] = set()
        self._outputs: list[tuple[str, str]] = []

    def read(self, item: Item, path: str) -> None:
        kind = item.get("type")
        if kind is None and "role" in item:
            kind = "message"
        if kind is None:
            raise missing(f"{path}.type")
        reader = _READERS.get(kind) if isinstance(kind, str) else None
        if reader is None:
            if isinstance(kind, str) and kind in _KNOWN:
                raise unsupported(f"{path}.type", f"items of type '{kind}' are not supported here yet.")
            raise bad_value(f"{path}.type", kind, sorted(_READERS))
        reader(self, item, path)

    def finish(self) -> list[Message]:
        self._flush()
        for call_id, path in self._outputs:
            if call_id not in self._call_ids:
                raise InvalidRequest(
                    f"No tool call found for the output with call_id {call_id!r}.",
                    param=path,
                    code="invalid_value",
                )
        leading = [{"role": "system", "content": "\n\n".join(self.system)}] if self.system else []
        return leading + self.messages

    def _flush(self) -> None:
        """End the assistant message, if one is being put together."""
        if not (self._texts or self._reasoning or self._calls):
            return
        message: Message = {"role": "assistant", "content": "".join(self._texts) or None}
        if self._reasoning:
            message["reasoning"] = "\n".join(self._reasoning)
        if self._calls:
            message["tool_calls"] = self._calls
        self.messages.append(message)
        self._texts, self._reasoning, self._calls = [], [], []

    # One method per kind of item ----------------------------------------------------------------------------------

    def message(self, item: Item, path: str) -> None:
        role = item.get("role")
        content = item.get("content")
        if role in ("system", "developer"):
            self.system.append(_joined(content, path, "\n"))
        elif role == "user":
            self._flush()
            self.messages.append({"role": "user", "content": _user_content(content, path)})
        elif role == "assistant":
            # A second message of the same turn goes on where the first ended: nothing was between them.
            if text := _joined(content, path, ""):
                self._texts.append(text)
        elif role is None:
            raise missing(f"{path}.role")
        else:
            raise bad_value(f"{path}.role", role, ["user", "assistant", "system", "developer"])

    def reasoning(self, item: Item, path: str) -> None:
        name = "content" if item.get("content") else "summary"
        if self._texts or self._calls:
            self._flush()  # reasoning begins a turn
        text = _joined(item.get(name) or [], path, "\n", name)
        if text:
            self._reasoning.append(text)
        if item.get("encrypted_content"):
            self._report.dropped(f"{path}.encrypted_content")

    def function_call(self, item: Item, path: str) -> None:
        call_id = _string(item, "call_id", path)
        name = _string(item, "name", path)
        arguments = item.get("arguments")
        if not isinstance(arguments, str):
            raise missing(f"{path}.arguments") if arguments is None else _not_a_string(f"{path}.arguments")
        self._call_ids.add(call_id)
        self._calls.append({"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}})

    def function_call_output(self, item: Item, path: str) -> None:
        call_id = _string(item, "call_id", path)
        if item.get("output") is None:
            raise missing(f"{path}.output")
        self._outputs.append((call_id, f"{path}.call_id"))
        self._flush()
        self.messages.append(
            {
                "role": "tool",
                "tool_call_id": call_id,
                "content": _joined(item["output"], path, "\n", "output"),
            }
        )


_READERS: dict[str, Callable[[_Transcript, Item, str], None]] = {
    "message": _Transcript.message,
    "reasoning": _Transcript.reasoning,
    "function_call": _Transcript.function_call,
    "function_call_output": _Transcript.function_call_output,
}

# Items of the API that need what is not built yet. They are refused by name: dropping one changes what the model sees.
_KNOWN = frozenset(
    {
        "additional_tools",
        "apply_patch_call",
        "apply_patch_call_output",
        "code_interpreter_call",
        "compaction",
        "compaction_trigger",
        "computer_call",
        "computer_call_output",
        "configuration_update",
        "custom_tool_call",
        "custom_tool_call_output",
        "file_search_call",
        "image_generation_call",
        "item_reference",
        "local_shell_call",
        "local_shell_call_output",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "mcp_list_tools",
        "program",
        "program_output",
        "shell_call",
        "shell_call_output",
        "tool_search_call",
        "tool_search_output",
        "web_search_call",
    }
)


# Content -------------------------------------------------------------------------------------------------------

_TEXT_PARTS = {
    "input_text": "text",
    "output_text": "text",
    "text": "text",
    "summary_text": "text",
    "reasoning_text": "text",
    "refusal": "refusal",
}


def _parts(content: Any, path: str) -> list[tuple[dict[str, Any], str]]:
    if not isinstance(content, list):
        raise (
            missing(path)
            if content is None
            else InvalidRequest(
                f"Invalid type for '{path}': expected a string or an array of content parts.",
                param=path,
                code="invalid_type",
            )
        )
    parts = []
    for place, part in enumerate(content):
        at = f"{path}[{place}]"
        if not isinstance(part, dict):
            raise InvalidRequest(f"Invalid type for '{at}': expected an object.", param=at, code="invalid_type")
        parts.append((part, at))
    return parts


def _text(part: dict[str, Any], path: str) -> str:
    """The text of a text part; refuses the other kinds by name."""
    kind = part.get("type")
    if kind is None:
        raise missing(f"{path}.type")
    key = _TEXT_PARTS.get(kind) if isinstance(kind, str) else None
    if key is None:
        raise bad_value(f"{path}.type", kind, list(_TEXT_PARTS))
    return _string(part, key, path)


def _joined(content: Any, path: str, separator: str, name: str = "content") -> str:
    if isinstance(content, str):
        return content
    return separator.join(_text(part, at) for part, at in _parts(content, f"{path}.{name}"))


def _user_content(content: Any, path: str) -> str | list[dict[str, Any]]:
    """A string where there is only text: some chat templates cannot take a list."""
    if isinstance(content, str):
        return content
    converted = []
    for part, at in _parts(content, f"{path}.content"):
        if part.get("type") in ("input_image", "image_url"):
            converted.append(_image(part, at))
        elif part.get("type") in ("input_file", "input_audio", "input_video"):
            raise unsupported(f"{at}.type", f"content of type '{part['type']}' is not supported here yet.")
        else:
            converted.append({"type": "text", "text": _text(part, at)})
    if all(part["type"] == "text" for part in converted):
        return "\n".join(part["text"] for part in converted)
    return converted


def _image(part: dict[str, Any], path: str) -> dict[str, Any]:
    """`image_url` is a string here and an object in chat; some clients send chat's form."""
    url = part.get("image_url")
    detail = part.get("detail")
    if isinstance(url, dict):
        detail = url.get("detail", detail)
        url = url.get("url")
    if url is None and part.get("file_id") is not None:
        raise unsupported(f"{path}.file_id", "there are no stored files here; send a data URL in 'image_url'.")
    if url is None:
        raise missing(f"{path}.image_url")
    if not isinstance(url, str) or not url:
        raise _not_a_string(f"{path}.image_url")
    image: dict[str, Any] = {"url": url}
    if isinstance(detail, str):
        image["detail"] = detail
    return {"type": "image_url", "image_url": image}


def _string(fields: dict[str, Any], key: str, path: str) -> str:
    value = fields.get(key)
    if value is None:
        raise missing(f"{path}.{key}")
    if not isinstance(value, str):
        raise _not_a_string(f"{path}.{key}")
    return value


def _not_a_string(path: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid type for '{path}': expected a non-empty string.", param=path, code="invalid_type")
