"""A provider-neutral view of a response, for whoever reads it after it has been made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from responses_shim.views.items import ToolCall, shown


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens, as `usage` tells them. What it does not tell is None, never 0."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None

    @classmethod
    def of(cls, usage: Mapping[str, Any]) -> TokenCounts:
        return cls(
            _count(usage, "input_tokens"),
            _count(usage, "output_tokens"),
            _count(usage, "total_tokens"),
            _count(usage.get("input_tokens_details"), "cached_tokens"),
            _count(usage.get("output_tokens_details"), "reasoning_tokens"),
        )


def _count(counts: Any, name: str) -> int | None:
    count = counts.get(name) if isinstance(counts, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) else None


@dataclass(frozen=True, slots=True)
class ResponseView:
    """What a response says. Reading one never fails: what is not as it should be is not shown.

    - `text`: every `output_text` of the messages, joined by newline; None where no message has one, as when there is
      only reasoning, or calls. A server that gives no messages may give its text as items, or in one field.
    - `tool_calls`: what the client is to carry out, each by its `call_id`.
    - `finish_reason`: `stop`, `tool_calls`, `length`, `content_filter`, `error`; `incomplete` when nobody says why; any
      other reason or status (`cancelled`, `in_progress`, …) by its own name. None if there is no status.
    - `error`: `{"code", "message"}` of a failed response.
    - `usage`: None if it is not known.
    - `output`: the items as they are; `extra`: all other fields.
    """

    id: str | None = None
    model: str | None = None
    status: str | None = None
    text: str | None = None
    tool_calls: list[ToolCall] = field(default_factory=list)
    finish_reason: str | None = None
    error: dict[str, Any] | None = None
    usage: TokenCounts | None = None
    output: list[Any] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, response: dict[str, Any]) -> ResponseView:
        """The view of a response object, plain JSON data."""
        output: list[Any] = shown(response, "output", list) or []
        usage = shown(response, "usage", dict)
        calls = [call for item in output if (call := ToolCall.of(item))]
        return cls(
            id=shown(response, "id", str),
            model=shown(response, "model", str),
            status=shown(response, "status", str),
            text=_text(output, response),
            tool_calls=calls,
            finish_reason=_finish_reason(response, bool(calls)),
            error=shown(response, "error", dict),
            usage=TokenCounts.of(usage) if usage is not None else None,
            output=output,
            extra={key: value for key, value in response.items() if key not in _SHOWN},
        )

    @classmethod
    def of_stream(cls, events: Iterable[Mapping[str, Any]]) -> ResponseView:
        """The view of a response that came as events, each the JSON object of one.

        The terminal event has the whole response, and is believed. If that has no output, it is what the items
        were when they were done. A stream that was cut shows what had come by then.
        """
        response: dict[str, Any] = {}
        items: dict[int, Any] = {}
        for event in events:
            kind = event.get("type")
            if kind == "response.output_item.done":
                index = event.get("output_index")
                items[index if isinstance(index, int) else len(items)] = event.get("item")
            elif isinstance(event.get("response"), dict):
                response = event["response"]
                if kind in ("response.completed", "response.incomplete", "response.failed"):
                    break
        if not response.get("output"):
            response = {**response, "output": [items[index] for index in sorted(items)]}
        return cls.of(response)


_SHOWN = {"id", "model", "status", "incomplete_details", "error", "usage", "output", "output_text"}


def _text(output: list[Any], response: dict[str, Any]) -> str | None:
    items = [item for item in output if isinstance(item, dict)]
    parts = [part for item in items if item.get("type") == "message" for part in shown(item, "content", list) or []]
    texts = _texts(parts) or _texts(items)
    return "\n".join(texts) if texts else shown(response, "output_text", str)


def _texts(parts: list[Any]) -> list[str]:
    found = [part for part in parts if isinstance(part, dict) and part.get("type") == "output_text"]
    return [part["text"] for part in found if isinstance(part.get("text"), str)]


def _finish_reason(response: dict[str, Any], has_calls: bool) -> str | None:
    status = shown(response, "status", str)
    if status == "completed":
        return "tool_calls" if has_calls else "stop"
    if status == "incomplete":
        details = shown(response, "incomplete_details", dict) or {}
        reason: str = shown(details, "reason", str) or "incomplete"
        return "length" if reason == "max_output_tokens" else reason
    return "error" if status == "failed" else status
