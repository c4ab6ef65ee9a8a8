"""`text.format`: the form of the answer, and what becomes of it beside tools.

Without tools it is the host's own constraint, `response_format`. Beside tools a host's constraint binds whatever the
model writes, calls included, so that under it no tool is ever called, while in this API the format is that of the
message alone. So, unless the host or the operator says otherwise:

- where the model may call a tool or answer, the format is told in words, at the end of the system message
- where `tool_choice` forces a call there is no answer to be formed, and the format is left out
"""

from __future__ import annotations

from typing import Any

import msgspec

from responses_shim.core.request.options import Policy
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.requests import CreateRequest, JsonObjectFormat, JsonSchemaFormat


def form_answer(request: CreateRequest, chat: dict[str, Any], policy: Policy, report: Report) -> str | None:
    """Puts `response_format` into `chat`, which has its tools by now, or returns the words to be told instead."""
    form = request.text.format if request.text is not None else None
    if not isinstance(form, (JsonSchemaFormat, JsonObjectFormat)):
        return None
    choice = chat.get("tool_choice")
    if "tools" in chat and choice != "none":
        if choice not in (None, "auto"):
            report.dropped("text.format")
            return None
        if policy.format_with_tools == "describe":
            report.mapped("text.format")
            return _words(form)
    chat["response_format"] = _response_format(form)
    report.mapped("text.format")
    return None


def _response_format(form: JsonSchemaFormat | JsonObjectFormat) -> dict[str, Any]:
    """Flat in Responses, nested under `json_schema` in chat."""
    if isinstance(form, JsonObjectFormat):
        return {"type": "json_object"}
    fields = {name: getattr(form, name) for name in ("name", "description", "schema", "strict")}
    return {"type": "json_schema", "json_schema": {name: value for name, value in fields.items() if value is not None}}


def _words(form: JsonSchemaFormat | JsonObjectFormat) -> str:
    said = "When you answer, rather than call a tool, answer with one JSON object alone: no code fence, no text."
    if isinstance(form, JsonObjectFormat):
        return said
    described = f" It is {form.name!r}: {form.description}" if form.description else ""
    return f"{said}{described}\nIt must be valid against this JSON schema:\n{msgspec.json.encode(form.schema).decode()}"
