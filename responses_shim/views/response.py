"""The view of a response, for code that reads it when it has ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from responses_shim.views.items import ToolCall, read_field


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Numbers of tokens from a response's `usage`. One that `usage` does not have is None, not 0."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    """How many of the input tokens came from a prefix cache."""
    reasoning_tokens: int | None = None
    """How many of the output tokens are reasoning."""

    @classmethod
    def of(cls, usage: Mapping[str, Any]) -> TokenCounts:
        """The counts in a `usage` object, given as JSON data."""
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
    """A response that has ended, to be read.

        response.text                     # "It is 18 °C in Paris."
        response.finish_reason            # "stop"
        response.usage.output_tokens      # 9

    Making a view never fails: a field that is missing, or of another type than the documented one, is None or empty.
    """

    id: str | None = None
    model: str | None = None
    status: str | None = None
    """`completed`, `incomplete`, `failed`, `cancelled`, `queued` or `in_progress`."""
    text: str | None = None
    """The text of the answer: each `output_text` of its messages, joined by newlines.

    None if there is none, as when the response has only reasoning or calls. If the response has no messages, the text
    is read from `output_text` items or from a field `output_text`, which some servers send instead.
    """
    tool_calls: list[ToolCall] = field(default_factory=list)
    """The calls that the client has to carry out."""
    finish_reason: str | None = None
    """Why the response ended: `stop`, `tool_calls`, `length`, `content_filter` or `error`.

    `incomplete` if it is incomplete without a reason; any other reason, and any status not named here, is given as it
    is. None if there is no status.
    """
    error: dict[str, Any] | None = None
    """The error of a failed response: `{"code": "…", "message": "…"}`."""
    usage: TokenCounts | None = None
    """The numbers of tokens; None if the host did not send them."""
    output: list[Any] = field(default_factory=list)
    """The output items, as JSON data."""
    extra: dict[str, Any] = field(default_factory=dict)
    """All other fields of the response, as JSON data."""

    @classmethod
    def of(cls, response: dict[str, Any]) -> ResponseView:
        """The view of a response object, given as JSON data."""
        output: list[Any] = read_field(response, "output", list) or []
        usage = read_field(response, "usage", dict)
        calls = [call for item in output if (call := ToolCall.of(item))]
        return cls(
            id=read_field(response, "id", str),
            model=read_field(response, "model", str),
            status=read_field(response, "status", str),
            text=_text(output, response),
            tool_calls=calls,
            finish_reason=_finish_reason(response, bool(calls)),
            error=read_field(response, "error", dict),
            usage=TokenCounts.of(usage) if usage is not None else None,
            output=output,
            extra={key: value for key, value in response.items() if key not in _SHOWN_FIELDS},
        )

    @classmethod
    def of_stream(cls, events: Iterable[Mapping[str, Any]]) -> ResponseView:
        """The view of a response that was streamed, from its events, each given as JSON data.

        It is the response object of the terminal event, or of the latest event that has one if the stream was cut. If
        that object has no output, the output is made of the items in `response.output_item.done` events.
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


_SHOWN_FIELDS = {"id", "model", "status", "incomplete_details", "error", "usage", "output", "output_text"}


def _text(output: list[Any], response: dict[str, Any]) -> str | None:
    items = [item for item in output if isinstance(item, dict)]
    messages = [item for item in items if item.get("type") == "message"]
    parts = [part for message in messages for part in read_field(message, "content", list) or []]
    texts = _output_texts(parts) or _output_texts(items)
    return "\n".join(texts) if texts else read_field(response, "output_text", str)


def _output_texts(parts: list[Any]) -> list[str]:
    found = [part for part in parts if isinstance(part, dict) and part.get("type") == "output_text"]
    return [part["text"] for part in found if isinstance(part.get("text"), str)]


def _finish_reason(response: dict[str, Any], has_calls: bool) -> str | None:
    status = read_field(response, "status", str)
    if status == "completed":
        return "tool_calls" if has_calls else "stop"
    if status == "incomplete":
        details = read_field(response, "incomplete_details", dict) or {}
        reason: str = read_field(details, "reason", str) or "incomplete"
        return "length" if reason == "max_output_tokens" else reason
    return "error" if status == "failed" else status
