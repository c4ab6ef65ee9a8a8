"""`text.format`: the format of the answer, and what becomes of it beside tools.

Without tools the host enforces it: it is the chat request's `response_format`. Beside tools a host would enforce it on
whatever the model writes, calls included, so that no tool could ever be called; in this API it is the format of the
message alone. So, unless the host or the operator wants it otherwise (`TranslationOptions.format_with_tools`):

- where the model may call a tool or answer, the format is described to it, at the end of the system message
- where `tool_choice` forces a call, there will be no answer, and the format is dropped
"""

from __future__ import annotations

from typing import Any

import msgspec

from responses_shim.core.request.options import TranslationOptions
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.requests import CreateRequest, JsonObjectFormat, JsonSchemaFormat

_DESCRIPTION = "When you answer, rather than call a tool, answer with one JSON object alone: no code fence, no text."


def apply_format(
    request: CreateRequest, chat: dict[str, Any], options: TranslationOptions, report: Report
) -> str | None:
    """Put `response_format` into `chat`, which already has its tools.

    Return None, or the description for the system message where the format is to be described instead.
    """
    answer = request.text.format if request.text is not None else None
    if not isinstance(answer, (JsonSchemaFormat, JsonObjectFormat)):
        return None
    choice = chat.get("tool_choice")
    if "tools" in chat and choice != "none":
        if choice not in (None, "auto"):
            report.dropped("text.format")
            return None
        if options.format_with_tools == "describe":
            report.mapped("text.format")
            return _described(answer)
    chat["response_format"] = _response_format(answer)
    report.mapped("text.format")
    return None


def _response_format(answer: JsonSchemaFormat | JsonObjectFormat) -> dict[str, Any]:
    """The same fields as in the Responses API, but nested under `json_schema`."""
    if isinstance(answer, JsonObjectFormat):
        return {"type": "json_object"}
    fields = {name: getattr(answer, name) for name in ("name", "description", "schema", "strict")}
    return {"type": "json_schema", "json_schema": {name: value for name, value in fields.items() if value is not None}}


def _described(answer: JsonSchemaFormat | JsonObjectFormat) -> str:
    if isinstance(answer, JsonObjectFormat):
        return _DESCRIPTION
    name = f" It is {answer.name!r}: {answer.description}" if answer.description else ""
    schema = msgspec.json.encode(answer.schema).decode()
    return f"{_DESCRIPTION}{name}\nIt must be valid against this JSON schema:\n{schema}"
