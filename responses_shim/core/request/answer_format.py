"""`text.format`: the format of the answer, and what becomes of it beside tools.

Without tools the host enforces it: it is the chat request's `response_format`. Beside tools most hosts would enforce it
on whatever the model writes, calls included, so that no tool could ever be called; in this API it is the format of the
message alone. So, where the model may call a tool or answer:

1. A host that is known to compose "calls or an answer in this format" gets tools and `response_format`
   (`TranslationOptions.composes_format`).
2. Any other host gets the tools, and the format is described to the model, at the end of the system message. The answer
   is held back and checked, and if it is not in the format, another chat call asks for it under `response_format` and
   without tools (`runtime.answer_check`).

So it is where `TranslationOptions.format_with_tools` is `verify`. With `describe` the format is described and nothing
checked; with `constrain` every host gets both. Where `tool_choice` forces a call, there will be no answer, and the
format is dropped.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct

from responses_shim.core.request.options import TranslationOptions
from responses_shim.core.wire.large_json import Text, joined, json_text
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.requests import CreateRequest, JsonObjectFormat, JsonSchemaFormat

AnswerFormat: TypeAlias = "JsonSchemaFormat | JsonObjectFormat"
"""A `text.format` other than plain text."""

_DESCRIPTION = "When you answer, rather than call a tool, answer with one JSON object alone: no code fence, no text."
_ABOUT_TOOLS = ("tools", "tool_choice", "parallel_tool_calls")
_TOKEN_LIMITS = ("max_completion_tokens", "max_tokens")


class DescribedFormat(Struct, frozen=True):
    """A format that the host does not enforce.

    - `description`: the format in words, for the system message
    - `to_verify`: the format that the answer must be checked against; None if nobody checks it
    """

    description: Text
    to_verify: AnswerFormat | None


def apply_format(
    request: CreateRequest, chat: dict[str, Any], options: TranslationOptions, report: Report
) -> DescribedFormat | None:
    """Put `response_format` into `chat`, which already has its tools.

    Return None, or the format if it is to be described instead. The report says which step was taken.
    """
    answer = request.text.format if request.text is not None else None
    if not isinstance(answer, (JsonSchemaFormat, JsonObjectFormat)):
        return None
    choice = chat.get("tool_choice")
    if "tools" in chat and choice != "none":
        if choice not in (None, "auto"):
            report.dropped("text.format")
            return None
        if options.format_with_tools == "verify" and _is_composed(answer, chat["tools"], options):
            chat["response_format"] = response_format(answer)
            report.composed("text.format")
            return None
        if options.format_with_tools != "constrain":
            report.described("text.format")
            return DescribedFormat(_described(answer), answer if options.format_with_tools == "verify" else None)
    chat["response_format"] = response_format(answer)
    report.mapped("text.format")
    return None


def _is_composed(answer: AnswerFormat, tools: list[dict[str, Any]], options: TranslationOptions) -> bool:
    """Whether the host would let the model choose between these tools and an answer in the format."""
    composes = options.composes_format == "always" or (
        options.composes_format == "strict_tools" and any(tool["function"].get("strict") for tool in tools)
    )
    return composes and options.can_compose(tools, answer.schema if isinstance(answer, JsonSchemaFormat) else None)


def response_format(answer: AnswerFormat) -> dict[str, Any]:
    """The chat request's `response_format`: the same fields as in the Responses API, nested under `json_schema`."""
    if isinstance(answer, JsonObjectFormat):
        return {"type": "json_object"}
    fields = {name: getattr(answer, name) for name in ("name", "description", "schema", "strict")}
    return {"type": "json_schema", "json_schema": {name: value for name, value in fields.items() if value is not None}}


def _described(answer: AnswerFormat) -> Text:
    if isinstance(answer, JsonObjectFormat):
        return _DESCRIPTION
    name = f" It is {answer.name!r}: {answer.description}" if answer.description else ""
    return joined([f"{_DESCRIPTION}{name}\nIt must be valid against this JSON schema:\n", json_text(answer.schema)])


def constrained_chat(chat: dict[str, Any], constraint: dict[str, Any], tokens_spent: int) -> dict[str, Any]:
    """The chat request that asks for the answer once more: the same messages, no tools, and `response_format`.

    `constraint` is that format, in the host's own form as `chat` is. `tokens_spent` is how many output tokens the
    response has had already: a token limit is one for the response, so the rest of it is left.
    """
    asked = {name: value for name, value in chat.items() if name not in _ABOUT_TOOLS}
    for name in _TOKEN_LIMITS:
        if isinstance(limit := asked.get(name), int):
            asked[name] = max(1, limit - tokens_spent)
    return {**asked, "response_format": constraint}
