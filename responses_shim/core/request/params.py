"""The scalar fields of a request as chat parameters.

Only fields that the client has set are passed on: null or absent leaves the host its own default. The names are
OpenAI's for chat completions; a host that has other names is served by its profile.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import asdict

from responses_shim.core.wire.report import Report
from responses_shim.core.wire.requests import CreateRequest, TextFormat

# The same name and the same meaning in both APIs; `seed` and what follows are chat hosts' own.
_PASSED_ON = (
    *("temperature", "top_p", "presence_penalty", "frequency_penalty", "user"),
    *("seed", "top_k", "min_p", "repetition_penalty"),
)
# Not `prompt_cache_key`: agents send one every turn, and what it is for, hosts do without it.
_CACHE_FIELDS = ("prompt_cache_retention", "prompt_cache_options")

ENCRYPTED_REASONING = "reasoning.encrypted_content"
"""The entry of `include` by which a client asks for reasoning that it can send back: see `runtime.sealing`."""


def chat_params(request: CreateRequest, report: Report) -> dict[str, Any]:
    """All fields of the chat request but `messages`, those about tools, and `response_format`."""
    chat: dict[str, Any] = {
        "model": request.model,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    for name in _PASSED_ON:
        value = getattr(request, name)
        if value is not None:
            chat[name] = value
    if request.stop:
        chat["stop"] = [request.stop] if isinstance(request.stop, str) else request.stop  # some hosts take lists only
    if request.max_output_tokens is not None:
        chat["max_completion_tokens"] = request.max_output_tokens
        report.mapped("max_output_tokens")
    if request.reasoning is not None and request.reasoning.effort is not None:
        chat["reasoning_effort"] = request.reasoning.effort
        report.mapped("reasoning.effort")
    if request.text is not None and request.text.verbosity is not None:
        chat["verbosity"] = request.text.verbosity
        report.mapped("text.verbosity")
    if wants_logprobs(request) or request.return_token_ids:
        chat["logprobs"] = True
        chat["top_logprobs"] = request.top_logprobs or 0
    if request.return_token_ids:
        chat["return_token_ids"] = True
        # Hosts then write `token_id:123` instead of each token's text, so not if the client wants log-probabilities.
        chat["return_tokens_as_token_ids"] = not wants_logprobs(request)
    _report_without_effect(request, report)
    return chat


def wants_summary(request: CreateRequest) -> bool:
    """Whether reasoning is to be shown as a summary."""
    config = request.reasoning
    return config is not None and (config.summary or config.generate_summary) is not None


def wants_logprobs(request: CreateRequest) -> bool:
    """Whether log-probabilities were asked for, in either of the two ways there are."""
    return bool(request.top_logprobs) or "message.output_text.logprobs" in (request.include or ())


def _report_without_effect(request: CreateRequest, report: Report) -> None:
    """Report the fields that are accepted without effect, because no chat host has them."""
    if request.truncation == "auto":
        report.dropped("truncation")
    if request.reasoning is not None and request.reasoning.mode is not None:
        report.dropped("reasoning.mode")
    if request.max_tool_calls is not None:
        report.dropped("max_tool_calls")  # it counts calls of tools that a server runs
    for name in _CACHE_FIELDS:
        if getattr(request, name) is not None:
            report.dropped(name)
    if request.service_tier not in (None, "auto", "default"):
        report.defaulted("service_tier")
    for index, included in enumerate(request.include or ()):
        if included not in ("message.output_text.logprobs", ENCRYPTED_REASONING):
            report.dropped(f"include[{index}]")


# One for all responses, each of which keeps it as long as its stream is open.
_DEFAULT_TEXT = {"format": {"type": "text"}}


def text_echo(request: CreateRequest) -> dict[str, Any]:
    """The response object's `text`: always with a format, with the verbosity if the client gave it."""
    config = request.text
    if config is None:
        return _DEFAULT_TEXT
    answer_format = config.format if config.format is not None else TextFormat()
    # The schema itself, which may be large, not a copy.
    echo: dict[str, Any] = {"format": {"type": answer_format.__struct_config__.tag, **asdict(answer_format)}}
    if config.verbosity is not None:
        echo["verbosity"] = config.verbosity
    return echo
