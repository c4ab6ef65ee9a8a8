"""What chat-completions hosts send: chunks, deltas, log-probabilities, usage; and what of it becomes ours.

The types are those of OpenAI's API reference ("The chat completion chunk object") with the fields that other hosts add;
the docstrings name the host. A chunk is decoded straight into the few keys that are needed, and what it has besides is
skipped unread. `chunks.py` decodes them; it also reads frames that this strict decoder refuses (NaN, half a surrogate
pair, `content` as a list of parts, arguments as an object), and finds what hosts put elsewhere. Which other places are
known, the tables `USAGE`, `COUNTS` and `REASONING` say. In the types these are fields that must be null: what fills one
is refused by the strict decoder, so that the others need not be searched.
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
    - `function_call`: the older form of `tool_calls`; `thinking`, `reasoning_text`, `reasoning_details`: other places
      of reasoning (see `REASONING`)
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
    function_call: None = None
    thinking: None = None
    reasoning_text: None = None
    reasoning_details: None = None


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

    - `message`: in place of `delta`, in the JSON answer of a host that was asked to stream and did not. Where it came
      beside deltas, `chunks.py` has put what no delta gave into `delta`.
    - `finish_reason`: why the model stopped: `stop`, `length`, `tool_calls`, `content_filter`, or a host's own word
    - `token_ids`: those of the chunk's tokens (vLLM, with `return_token_ids`)
    - `routed_experts`: which experts the tokens went to (vLLM, in the JSON answer, `--enable-return-routed-experts`)
    - `usage`: another place of the chunk's `usage` (see `USAGE`)
    """

    index: int = 0
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None
    token_ids: list[int] | None = None
    routed_experts: Any = None
    usage: None = None


class _Groq(Struct, gc=False):
    usage: None = None


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
    x_groq: _Groq | None = None


# Other places ------------------------------------------------------------------------------------------------------
#
# Where hosts put data that OpenAI puts elsewhere. The usual place comes first, and the others count where it is empty.

USAGE = ("usage", "choices.0.usage", "x_groq.usage")
"""Places of the usage in a chunk: OpenAI, Moonshot, Groq."""

REASONING = ("reasoning", "reasoning_content", "thinking", "reasoning_text", "reasoning_details")
"""Fields of a delta with reasoning: vLLM, DeepSeek, Ollama, Copilot, OpenRouter.

Each is a text, an object, or a list of parts. Parts of type `thinking` or `reasoning` in `content` (Mistral) come last.
"""

REASONING_KEYS = ("text", "thinking", "content", "summary")
"""Keys of such an object or part that have the text."""

COUNTS = {
    "input": ("prompt_tokens", "input_tokens"),
    "output": ("completion_tokens", "output_tokens"),
    "total": ("total_tokens",),
    "reasoning": (
        "completion_tokens_details.reasoning_tokens",
        "output_tokens_details.reasoning_tokens",
        "reasoning_tokens",
    ),
    "cached": (
        "prompt_tokens_details.cached_tokens",
        "input_tokens_details.cached_tokens",
        "cached_input_tokens",  # NeMo Gym reads it before the next
        "cache_read_input_tokens",  # Anthropic
        "cached_tokens",  # Moonshot
        "prompt_cache_hit_tokens",  # DeepSeek
        "prompt_tokens_details.cache_read_tokens",
    ),
    "cache_write": (
        "prompt_tokens_details.cache_write_tokens",  # OpenRouter
        "prompt_tokens_details.created_cache_tokens",  # vLLM
        "prompt_tokens_details.cache_creation_tokens",  # LiteLLM
        "input_tokens_details.cache_write_tokens",
        "cache_write_tokens",
        "cache_creation_input_tokens",  # Anthropic
        "created_cache_tokens",
    ),
}
"""Places of each count in a usage object."""
_COUNT_KEYS = {name: [place.partition(".") for place in places] for name, places in COUNTS.items()}


def value_at(value: Any, place: str) -> Any:
    """What JSON data has at a place such as `choices.0.usage`; None if there is nothing."""
    for step in place.split("."):
        if isinstance(value, list) and step.isdecimal():
            value = value[int(step)] if int(step) < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def reasoning_in(value: Any, depth: int = 3) -> str:
    """The text of reasoning that is a text, an object or a list of parts; "" if there is none.

    Mistral nests: `{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}`.
    """
    if isinstance(value, str):
        return value
    if depth and isinstance(value, list):
        return "".join([reasoning_in(part, depth - 1) for part in value])
    if depth and isinstance(value, dict):
        return next((text for key in REASONING_KEYS if (text := reasoning_in(value.get(key), depth - 1))), "")
    return ""


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


ANNOTATIONS: dict[str, dict[str, type]] = {
    "url_citation": {"start_index": int, "end_index": int, "title": str, "url": str},
    "file_citation": {"file_id": str, "filename": str, "index": int},
    "container_file_citation": {
        "container_id": str,
        "file_id": str,
        "filename": str,
        "start_index": int,
        "end_index": int,
    },
    "file_path": {"file_id": str, "index": int},
}
"""The types of annotations that the API has, each with the keys that it requires, and the types of their values."""


def has_any_answer(chunk: Chunk) -> bool:
    """Whether a chunk carries any text, reasoning, refusal, call or annotation.

    Hosts send a role before they know whether there will be an answer (vllm-mlx: the role, then the error that it is
    busy), and until the response starts a failure can have an HTTP status.
    """
    for choice in chunk.choices or ():
        delta = choice.delta or choice.message
        if choice.index or delta is None:
            continue
        if delta.content or delta.reasoning or delta.reasoning_content:
            return True
        if delta.tool_calls or delta.refusal or delta.annotations:
            return True
    return False


def annotations_of(delta: Delta) -> list[dict[str, Any]]:
    """The annotations of a delta in the form that `output_text.annotations` has.

    Chat nests a citation in a key of its own, `{"type": "url_citation", "url_citation": {…}}`; here its keys are
    beside `type`. A `url_citation` gets what the API requires of it and the host did not give: 0 or `""`.

    Left out is what OpenAI's clients cannot read: an annotation of a type that is not in `ANNOTATIONS`, or, if it is
    none of a URL, without a key that is required.
    """
    annotations = []
    for chat_annotation in delta.annotations or ():
        kind = chat_annotation.get("type")
        if not isinstance(kind, str) or kind not in ANNOTATIONS:
            continue
        required = ANNOTATIONS[kind]
        nested = chat_annotation.get(kind)
        annotation = {**nested, "type": kind} if isinstance(nested, dict) else chat_annotation
        if kind == "url_citation":
            # With a null, or a value of another type, the default of a required key.
            annotation = {name: of_type() for name, of_type in required.items()} | {
                name: value
                for name, value in annotation.items()
                if value is not None and type(value) is required.get(name, type(value))
            }
        if all(type(annotation.get(name)) is of_type for name, of_type in required.items()):
            annotations.append(annotation)
    return annotations


def usage_of(usage: dict[str, Any] | None) -> Usage | None:
    """A chunk's usage as the usage of a response, in tokens; None if the host gave no counts: unknown is not 0.

    Details that the host leaves out are 0, because the API's type requires a number there. A total that the host
    gives is kept even if it is not the sum.
    """
    counts = usage or {}
    prompt, completion = _count(counts, "input"), _count(counts, "output")
    if prompt is None or completion is None:
        return None
    total = _count(counts, "total")
    return Usage(
        input_tokens=prompt,
        input_tokens_details=InputTokensDetails(
            cached_tokens=_count(counts, "cached") or 0,
            cache_write_tokens=_count(counts, "cache_write") or 0,
        ),
        output_tokens=completion,
        output_tokens_details=OutputTokensDetails(reasoning_tokens=_count(counts, "reasoning") or 0),
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


def _count(counts: dict[str, Any], name: str) -> int | None:
    """One of `COUNTS`: the first that is not 0, since some hosts leave the usual place at 0; None if there is none."""
    found = None
    for key, _, inner in _COUNT_KEYS[name]:
        value = counts.get(key)
        if value is None:  # so it is at most places, of which there are twenty
            continue
        number = _number(value_at(value, inner) if inner else value)
        if number:
            return number
        if found is None:
            found = number
    return found


def _number(value: Any) -> int | None:
    """A count of tokens; None for what is none. It may be a float (3.0), which is what some JSON writers make of it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < MAX_COUNT or value % 1:
        return None
    return int(value)


MAX_COUNT = 2**53
"""Counts from here on cannot be exact in a client that reads JSON numbers as floats; no model has read so much."""
