"""The chat-completions dialect, as hosts speak it: chunks, deltas, log-probabilities, usage.

A chunk is decoded straight into the few keys that are needed; what it has besides is skipped unread. A frame that
the strict decoder refuses (NaN, a lone half of a surrogate pair, `content` as a list of parts, arguments as an
object) is read once more by the standard library and put right; only what is not JSON at all is an error.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from responses_shim.core.wire.lenient_json import whole
from responses_shim.core.wire.responses import (
    NO_LOGPROBS,
    InputTokensDetails,
    Logprob,
    OutputTokensDetails,
    TopLogprob,
    Usage,
)


class FunctionDelta(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None


class Delta(Struct, gc=False):
    """The last four are what a trainer's server puts on a message: its tokens (NeMo Gym's names)."""

    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    annotations: list[dict[str, Any]] | None = None
    prompt_token_ids: list[int] | None = None
    generation_token_ids: list[int] | None = None
    generation_log_probs: list[float] | None = None
    routed_experts: Any = None


class ChatTopLogprob(Struct, gc=False):
    token: str
    logprob: float
    bytes: list[int] | None = None


class ChatLogprob(ChatTopLogprob, gc=False):
    top_logprobs: list[ChatTopLogprob] | None = None


class Logprobs(Struct, gc=False):
    content: list[ChatLogprob] | None = None


class Choice(Struct, gc=False):
    """`message` stands in for `delta` in the answer of a host that was asked to stream and did not."""

    index: int = 0
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None
    token_ids: list[int] | None = None


class Chunk(Struct, gc=False):
    choices: list[Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    prompt_token_ids: list[int] | None = None


def object_or_none(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


# What OpenAI sends for "so unlikely that it has no number"; JSON has no infinity.
UNLIKELY = -9999.0


def logprobs_of(choice: Choice) -> Raw:
    """The log-probabilities of one choice as the JSON of `output_text.logprobs`.

    `bytes` is made from the token where the host gives null, and numbers are brought into the range that JSON has.
    """
    if choice.logprobs is None or not choice.logprobs.content:
        return NO_LOGPROBS
    entries = [
        Logprob(
            token=whole(entry.token),
            logprob=_finite(entry.logprob),
            bytes=_bytes(entry),
            top_logprobs=[
                TopLogprob(token=whole(top.token), logprob=_finite(top.logprob), bytes=_bytes(top))
                for top in entry.top_logprobs or ()
            ],
        )
        for entry in choice.logprobs.content
    ]
    return Raw(msgspec.json.encode(entries))


def _finite(logprob: float) -> float:
    return logprob if UNLIKELY <= logprob <= 0 else (0.0 if logprob > 0 else UNLIKELY)


def _bytes(entry: ChatTopLogprob) -> list[int]:
    return entry.bytes if entry.bytes is not None else list(whole(entry.token).encode())


def annotations_of(delta: Delta) -> list[dict[str, Any]]:
    """A host's citations in this API's form: chat nests a citation of a URL, and leaves out where it stands."""
    annotations = []
    for told in delta.annotations or ():
        kind = told.get("type")
        if not isinstance(kind, str):
            continue  # nothing that a client could read
        nested = told.get(kind)
        annotation = {**nested, "type": kind} if isinstance(nested, dict) else told
        if kind == "url_citation":
            given = {name: value for name, value in annotation.items() if value is not None}
            annotation = {"start_index": 0, "end_index": 0, "title": "", "url": ""} | given
        annotations.append(annotation)
    return annotations


def usage_of(usage: dict[str, Any] | None) -> Usage | None:
    """Chat usage as Responses usage, or None when the host told no counts: unknown is not 0.

    Details that the host leaves out are 0 because the API's type requires a number there. A total that the host
    gives is kept even where it is not the sum.
    """
    counts = usage or {}
    prompt, completion = _count(counts, "prompt_tokens"), _count(counts, "completion_tokens")
    if prompt is None or completion is None:
        return None
    of_prompt = object_or_none(counts.get("prompt_tokens_details")) or {}
    of_completion = object_or_none(counts.get("completion_tokens_details")) or {}
    total = _count(counts, "total_tokens")
    return Usage(
        input_tokens=prompt,
        input_tokens_details=InputTokensDetails(
            cached_tokens=_cached(counts, of_prompt) or 0,
            cache_write_tokens=_count(of_prompt, "created_cache_tokens") or 0,
        ),
        output_tokens=completion,
        output_tokens_details=OutputTokensDetails(reasoning_tokens=_count(of_completion, "reasoning_tokens") or 0),
        total_tokens=total if total is not None else prompt + completion,
    )


def add_usage(left: Usage | None, right: Usage | None) -> Usage | None:
    """The usage of two chat calls; None if either is unknown: a part must not pass for the total."""
    if left is None or right is None:
        return None
    of_input, of_output = left.input_tokens_details, left.output_tokens_details
    return Usage(
        input_tokens=left.input_tokens + right.input_tokens,
        input_tokens_details=replace(
            of_input,
            cached_tokens=of_input.cached_tokens + right.input_tokens_details.cached_tokens,
            cache_write_tokens=of_input.cache_write_tokens + right.input_tokens_details.cache_write_tokens,
        ),
        output_tokens=left.output_tokens + right.output_tokens,
        output_tokens_details=replace(
            of_output,
            reasoning_tokens=of_output.reasoning_tokens + right.output_tokens_details.reasoning_tokens,
        ),
        total_tokens=left.total_tokens + right.total_tokens,
    )


def _cached(counts: dict[str, Any], of_prompt: dict[str, Any]) -> int | None:
    """OpenAI's place first, then the names that other gateways put beside the counts."""
    told = (_count(of_prompt, "cached_tokens"), *(_count(counts, name) for name in _CACHED))
    return next((count for count in told if count is not None), None)


_CACHED = ("cached_input_tokens", "cache_read_input_tokens")


def _count(counts: dict[str, Any], key: str) -> int | None:
    value = counts.get(key)
    return value if isinstance(value, int) and value >= 0 else None
