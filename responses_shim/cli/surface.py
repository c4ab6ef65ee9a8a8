"""Which parts of the API are supported, field by field.

`responses-shim surface` prints it for tests/conformance/README.md.

Where the translation decides by a table of its own (which items are read, skipped or refused, which fields are refused
and what to send instead), that table is read. The rest is listed here, and a test sends each row to see if it is true.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from responses_shim.core.request.messages import READ_ITEMS, REFUSED_ITEMS, SKIPPED_ITEMS
from responses_shim.core.request.parse import UNSUPPORTED, WARM_UP
from responses_shim.core.tools.kinds import KINDS
from responses_shim.core.wire import events

Verdict = Literal["honoured", "mapped", "accepted", "refused", "sent", "not sent"]
VERDICTS: dict[Verdict, str] = {
    "honoured": "done as the API says, by the shim or by the host under the same name",
    "mapped": "done by the host under another name or in another form",
    "accepted": "taken without effect, and reported where it could have had one",
    "refused": "a 400 that names it",
    "sent": "an event of this kind is sent",
    "not sent": "no request leads to it here",
}


class Row(NamedTuple):
    """One line of a table: the name that something has in the API, and what becomes of it."""

    name: str
    verdict: Verdict
    note: str = ""


_HOSTED = "a hosted tool: left out and reported"
_STATE = "only with a store (`store`); `off`: a 400"

_FIELDS = [
    Row("model", "honoured"),
    Row("input", "mapped", "items to messages, see below"),
    Row("instructions", "mapped", "the beginning of the leading system message"),
    Row("stream", "honoured"),
    Row("stream_options.include_obfuscation", "honoured", "only when true: off unless asked for"),
    Row("temperature", "honoured"),
    Row("top_p", "honoured"),
    Row("presence_penalty", "honoured"),
    Row("frequency_penalty", "honoured"),
    Row("max_output_tokens", "mapped", "`max_completion_tokens`, `max_tokens`"),
    Row("max_tool_calls", "accepted", "it limits hosted tools"),
    Row("tools", "mapped", "chat functions, see below"),
    Row("tool_choice", "mapped", "see below"),
    Row("parallel_tool_calls", "honoured", "`false`: only the first call of a turn is let through"),
    Row(
        "text.format",
        "mapped",
        "`response_format`; beside tools described and checked (`format_with_tools`)",
    ),
    Row("text.verbosity", "mapped", "`verbosity`"),
    Row("reasoning.effort", "mapped", "`reasoning_effort`"),
    Row(
        "reasoning.summary", "honoured", "the reasoning itself, as a summary; it is not shortened (`reasoning_display`)"
    ),
    Row("reasoning.generate_summary", "honoured", "the older name of `summary`"),
    Row(
        "reasoning.context", "honoured", "`current_turn` leaves earlier reasoning out; else the host's template decides"
    ),
    Row("reasoning.mode", "accepted"),
    Row("include: reasoning.encrypted_content", "honoured", "needs the extra `encryption`"),
    Row("include: message.output_text.logprobs", "mapped", "`logprobs`"),
    Row("include: message.input_image.image_url", "accepted", "stored items have it anyway"),
    Row("include: file_search_call.results", "accepted", _HOSTED),
    Row("include: web_search_call.results", "accepted", _HOSTED),
    Row("include: web_search_call.action.sources", "accepted", _HOSTED),
    Row("include: computer_call_output.output.image_url", "accepted", _HOSTED),
    Row("include: code_interpreter_call.outputs", "accepted", _HOSTED),
    Row("top_logprobs", "honoured"),
    Row("truncation", "accepted", "`auto`: what is too long is still an error"),
    Row("metadata", "honoured", "checked and echoed; with `nemo_gym` some of its keys are instructions to the host"),
    Row("store", "honoured", "false is echoed where nothing is stored"),
    Row("previous_response_id", "honoured", _STATE),
    Row("conversation", "honoured", _STATE),
    Row("background", "honoured", f"{_STATE}; its events are replayed and followed by `GET …?stream=true`"),
    Row("user", "honoured"),
    Row("safety_identifier", "accepted", "echoed"),
    Row(
        "prompt_cache_key",
        "accepted",
        "echoed; hosts find a common prefix by themselves; on vLLM it sets caches apart (`cache_salt`)",
    ),
    Row("prompt_cache_retention", "accepted", "echoed"),
    Row("prompt_cache_options", "accepted", "echoed"),
    Row(
        "service_tier",
        "accepted",
        "echoed as `default`; on vLLM a priority, where it schedules by one, and then echoed as it is",
    ),
    Row("return_token_ids", "honoured", "not OpenAI's but vLLM's: token ids, for training"),
    Row("tool_outputs", "honoured", "not OpenAI's: `wait` has the response wait for the outputs of its calls"),
    *(
        Row(name, "honoured", "not OpenAI's: passed on to the host")
        for name in ("seed", "stop", "top_k", "min_p", "repetition_penalty")
    ),
    Row("access_programs", "accepted"),
    Row("image", "accepted"),
    Row("client_metadata", "accepted", "Codex sends it"),
    Row(
        "anything else",
        "accepted",
        "a field of the host's engine (vLLM) goes to it; the rest is reported, at every depth",
    ),
]
_TOOLS = [
    Row(
        "function",
        "mapped",
        "nested as chat has it; a long name is shortened for the host; the schema's root gets a type, all else stays",
    ),
    Row(
        "custom",
        "mapped",
        "a function of one string, its grammar described in words; calls come back as text, streamed",
    ),
    Row(
        "namespace",
        "mapped",
        "functions named `<namespace>__<name>`, the first with the namespace's description; calls have both names",
    ),
    Row("tool_search", "mapped", "`execution: client`; without it deferred tools are offered at once"),
    Row("local_shell", "mapped"),
    Row("shell", "mapped", "in the client's own environment"),
    Row("apply_patch", "mapped"),
    Row("mcp", "refused"),
    *(
        Row(name, "accepted", _HOSTED)
        for name in (
            "web_search",
            "web_search_2025_08_26",
            "web_search_preview",
            "web_search_preview_2025_03_11",
            "file_search",
            "code_interpreter",
            "image_generation",
            "computer",
            "computer_use_preview",
            "programmatic_tool_calling",
        )
    ),
]
_CHOICES = [
    Row("none", "honoured", "a call fails the response, as one does where no tool is offered"),
    Row("auto", "honoured"),
    Row("required", "honoured"),
    Row("function", "mapped"),
    Row("custom", "mapped"),
    Row(
        "allowed_tools", "mapped", "only these are offered, or all of a namespace; a call of another fails the response"
    ),
    Row("shell", "mapped"),
    Row("apply_patch", "mapped"),
    *(
        Row(name, "refused", "a hosted tool")
        for name in (
            "mcp",
            "file_search",
            "web_search_preview",
            "web_search_preview_2025_03_11",
            "computer",
            "computer_use_preview",
            "computer_use",
            "code_interpreter",
            "image_generation",
            "programmatic_tool_calling",
        )
    ),
]
_CONTENT = [
    Row("input_text", "mapped", "also `text`, `output_text`"),
    Row(
        "input_image",
        "mapped",
        "URL or data URL (`image_urls`), `detail` (`original` as `high`); also `image_url`; `file_id` is refused",
    ),
    Row("input_file", "mapped", "text, and PDF with the extra `files`; `file_url` only with the setting `file_urls`"),
    Row("input_audio", "mapped", "where the host takes it"),
    Row("input_video", "mapped", "not OpenAI's; where the host takes it; also `video_url`"),
    Row("refusal", "mapped", "text of the assistant"),
    Row("anything else", "accepted", "its `text`, if it has one, else skipped; reported"),
]
_ITEM_NOTES = {
    "message": "any role; also without `type`, of a newer type that looks like one, and `agent_message`; `phase` stays",
    "reasoning": "on the assistant message of its turn; our own `encrypted_content` is decrypted, others are reported",
    "function_call": "also without `type`; arguments that are no JSON object are made one, where the host needs it",
    "function_call_output": "text, parts, images; behind its call in any order; without `call_id` a user message",
    "custom_tool_call_output": "text, parts, images",
    "tool_search_output": "its tools are offered from then on",
    "additional_tools": "its tools are offered",
    "compaction": "its history is encrypted by another server; skipped and reported",
}
_NOT_SENT = [
    *(f"response.{name}" for name in ("mcp_call_arguments.delta", "mcp_call_arguments.done")),
    *(f"response.mcp_call.{verb}" for verb in ("in_progress", "completed", "failed")),
    *(f"response.mcp_list_tools.{verb}" for verb in ("in_progress", "completed", "failed")),
    *(f"response.web_search_call.{verb}" for verb in ("in_progress", "searching", "completed")),
    *(f"response.file_search_call.{verb}" for verb in ("in_progress", "searching", "completed")),
    *(f"response.code_interpreter_call.{verb}" for verb in ("in_progress", "interpreting", "completed")),
    *(f"response.code_interpreter_call_code.{verb}" for verb in ("delta", "done")),
    *(f"response.image_generation_call.{v}" for v in ("in_progress", "generating", "partial_image", "completed")),
    *(f"response.shell_call_output_content.{verb}" for verb in ("delta", "done")),
    *(f"response.audio.{verb}" for verb in ("delta", "done", "transcript.delta", "transcript.done")),
    "response.compaction.compacting",
]


def _items() -> list[Row]:
    rows = [Row(name, "mapped", _ITEM_NOTES.get(name, "")) for name in sorted([*READ_ITEMS, *KINDS.by_call_type])]
    rows += [
        Row(name, "accepted", _ITEM_NOTES.get(name, "of a hosted tool: skipped and reported"))
        for name in sorted(SKIPPED_ITEMS)
    ]
    rows += [Row(name, "refused", note) for name, note in sorted(REFUSED_ITEMS.items()) if name != "item_reference"]
    rows.append(Row("item_reference", "mapped", f"the stored item; {_STATE}"))
    return [*rows, Row("anything else", "accepted", "read as what it looks like, else skipped; reported")]


def _events() -> list[Row]:
    sent = {kind.__struct_config__.tag: kind for kind in events.ALL}
    notes = {
        "response.queued": "of a response in the background",
        "response.in_progress": "repeated while a stream is silent",
        "response.ping": "not OpenAI's; in its place with `ping=event`",
        "error": "before `response.failed`; flat as in the reference, and nested under `error` with the HTTP `status`",
    }
    rows = [Row(str(name), "sent", notes.get(str(name), "")) for name in sent]
    return rows + [Row(name, "not sent") for name in sorted(_NOT_SENT)]


SURFACE: dict[str, list[Row]] = {
    "Request fields": _FIELDS
    + [Row(name, "refused", note) for name, note in UNSUPPORTED.items()]
    + [Row(name, "refused", WARM_UP) for name in ("generate", "prompt_cache_options.prewarm")],
    "Input items": _items(),
    "Content parts": _CONTENT,
    "Tools": _TOOLS,
    "`tool_choice`": _CHOICES,
    "Events": _events(),
}
"""Every field, item, part, tool, choice and event of the API, by heading."""


def markdown() -> str:
    """The tables as Markdown: first what each verdict means, then one heading and table for each kind of name."""
    legend = [f"- *{verdict}*: {meaning}" for verdict, meaning in VERDICTS.items()]
    tables = []
    for heading, rows in SURFACE.items():
        lines = [f"| `{row.name}` | {row.verdict} | {row.note} |" for row in rows]
        tables.append("\n".join([f"### {heading}", "", "| | | |", "|---|---|---|", *lines]))
    return "\n".join(legend) + "\n\n" + "\n\n".join(tables) + "\n"
