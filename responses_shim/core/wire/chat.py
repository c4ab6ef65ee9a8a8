"""What chat-completions hosts send: chunks, deltas, log-probabilities, usage; and what of it becomes ours.

The types are those of OpenAI's API reference ("The chat completion chunk object") with the fields that other hosts add;
the docstrings name the host. A chunk is decoded straight into the few keys that are needed, and what it has besides is
skipped unread. `chunks.py` decodes them; it also reads frames that this strict decoder refuses (NaN, half a surrogate
pair, `content` as a list of parts, arguments as an object).
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from responses_shim.core.wire.lenient_json import join_surrogates
from responses_shim.core.wire.responses import (
    NO_LOGPROBS,
    InputTokensDetails,
    Logprob,
    OutputTokensDetails,
    TopLogprob,
    Usage,
)


class FunctionDelta(Struct, gc=False):
    """`choices[].delta.tool_calls[].function`: the name in the first delta of a call, as a rule, then its arguments.

    `arguments` is a piece of the text of a JSON object.
    """

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(Struct, gc=False):
    """`choices[].delta.tool_calls[]`: more of one call.

    `index` counts the calls of an answer from 0. Hosts leave out the index, the id or both: `call_index` in
    `core.response` finds out which call a delta belongs to.
    """

    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None


class Delta(Struct, gc=False):
    """`choices[].delta`: more of an answer, by the kind of what was written.

    - `content`, `refusal`, `tool_calls`, `annotations`: OpenAI's
    - `reasoning`: vLLM's and OpenRouter's. `reasoning_content`: DeepSeek's, older vLLM's, llama.cpp's.
    - the others: all token ids of an answer, on the message of a server for training (NeMo Gym's; see `Tokens`)
    """

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
    """`choices[].logprobs.content[].top_logprobs[]`: a token that could have come here.

    `logprob` is a natural logarithm; `bytes` the token's UTF-8, where the host gives it.
    """

    token: str
    logprob: float
    bytes: list[int] | None = None


class ChatLogprob(ChatTopLogprob, gc=False):
    """`choices[].logprobs.content[]`: the token that came, and those that could have come in its place."""

    top_logprobs: list[ChatTopLogprob] | None = None


class Logprobs(Struct, gc=False):
    """`choices[].logprobs`: an entry for each token of the chunk, control tokens included with some hosts."""

    content: list[ChatLogprob] | None = None


class Choice(Struct, gc=False):
    """`choices[]`: a delta of one of the answers. Only the answer with `index` 0 is read anywhere.

    - `message`: in place of `delta`, in the JSON answer of a host that was asked to stream and did not
    - `finish_reason`: why the model stopped: `stop`, `length`, `tool_calls`, `content_filter`, or a host's own word
    - `token_ids`: those of the chunk's tokens (vLLM, with `return_token_ids`)
    """

    index: int = 0
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None
    token_ids: list[int] | None = None


class Chunk(Struct, gc=False):
    """A chat completion chunk: the JSON of one `data:` line.

    - `choices`: empty in the chunk that has the usage; None in one that has an error
    - `usage`: the counts as the host wrote them; `usage_of` reads them
    - `error`: why the host gave up, in any of the shapes that `chat_errors.error_from` reads
    - `prompt_token_ids`: those of the prompt, in the first chunk (vLLM, with `return_token_ids`)
    """

    choices: list[Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    prompt_token_ids: list[int] | None = None


def object_or_none(value: Any) -> dict[str, Any] | None:
    """`value` if it is a JSON object, else None."""
    return value if isinstance(value, dict) else None


MIN_LOGPROB = -9999.0
"""The lowest log-probability: what OpenAI sends for a token that is next to impossible. JSON has no infinity."""


def logprobs_of(choice: Choice) -> Raw:
    """The log-probabilities of one choice as the JSON array in `logprobs` of an `output_text` part and its deltas.

    OpenAI's type allows no null there, so `bytes` is made from the token where the host gives none. Numbers are brought
    into the range from `MIN_LOGPROB` to 0, since JSON has neither infinity nor NaN.
    """
    if choice.logprobs is None or not choice.logprobs.content:
        return NO_LOGPROBS
    entries = [
        Logprob(
            token=join_surrogates(entry.token),
            logprob=_finite(entry.logprob),
            bytes=_bytes(entry),
            top_logprobs=[
                TopLogprob(token=join_surrogates(top.token), logprob=_finite(top.logprob), bytes=_bytes(top))
                for top in entry.top_logprobs or ()
            ],
        )
        for entry in choice.logprobs.content
    ]
    return Raw(msgspec.json.encode(entries))


def _finite(logprob: float) -> float:
    return logprob if MIN_LOGPROB <= logprob <= 0 else (0.0 if logprob > 0 else MIN_LOGPROB)


def _bytes(entry: ChatTopLogprob) -> list[int]:
    return entry.bytes if entry.bytes is not None else list(join_surrogates(entry.token).encode())


def annotations_of(delta: Delta) -> list[dict[str, Any]]:
    """The annotations of a delta in the form that `output_text.annotations` has.

    Chat nests a citation in a key of its own, `{"type": "url_citation", "url_citation": {…}}`; here its keys are
    beside `type`, and a `url_citation` has all that the API requires of it. An annotation without a `type` is left
    out: no client could read it.
    """
    annotations = []
    for chat_annotation in delta.annotations or ():
        kind = chat_annotation.get("type")
        if not isinstance(kind, str):
            continue
        nested = chat_annotation.get(kind)
        annotation = {**nested, "type": kind} if isinstance(nested, dict) else chat_annotation
        if kind == "url_citation":
            given = {name: value for name, value in annotation.items() if value is not None}
            annotation = {"start_index": 0, "end_index": 0, "title": "", "url": ""} | given
        annotations.append(annotation)
    return annotations


def usage_of(usage: dict[str, Any] | None) -> Usage | None:
    """A chunk's usage as the usage of a response, in tokens; None if the host gave no counts: unknown is not 0.

    Details that the host leaves out are 0, because the API's type requires a number there. A total that the host
    gives is kept even if it is not the sum.
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
    """The usage of two chat calls together; None if either is unknown: a part must not pass for the total."""
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


_CACHED_TOKENS_ELSEWHERE = ("cached_input_tokens", "cache_read_input_tokens")


def _cached(counts: dict[str, Any], of_prompt: dict[str, Any]) -> int | None:
    """The cached tokens of the prompt: where OpenAI has them, else under another gateway's name beside the counts."""
    found = (_count(of_prompt, "cached_tokens"), *(_count(counts, name) for name in _CACHED_TOKENS_ELSEWHERE))
    return next((count for count in found if count is not None), None)


def _count(counts: dict[str, Any], key: str) -> int | None:
    value = counts.get(key)
    return value if isinstance(value, int) and value >= 0 else None
