"""The chat-completions dialect, as hosts speak it: chunks, deltas, log-probabilities, usage.

A chunk is decoded straight into the few keys that are needed; what it has besides is skipped unread. A frame that
the strict decoder refuses (NaN, a lone half of a surrogate pair, `content` as a list of parts, arguments as an
object) is read once more by the standard library and put right; only what is not JSON at all is an error.
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from responses_shim.core.types import (
    InputTokensDetails,
    Logprob,
    OutputTokensDetails,
    TopLogprob,
    Usage,
)
from responses_shim.errors import UpstreamError

T = TypeVar("T")

_NOT_JSON = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN')


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


class ChunkDecoder:
    """Data payloads into chunks, in order. `halves` holds half a surrogate pair until the other half comes."""

    _strict = staticmethod(msgspec.json.Decoder(Chunk).decode)

    def __init__(self) -> None:
        self.halves: dict[str, str] = {}

    def decode(self, payload: bytes) -> Chunk:
        """One payload. Raises UpstreamError if it is not a JSON object."""
        if self.halves:
            return self._lenient(payload)
        try:
            chunk = self._strict(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._lenient(payload)
        if chunk.choices is None and chunk.usage is None and chunk.error is None:
            return self._lenient(payload)
        return chunk

    def _lenient(self, payload: bytes) -> Chunk:
        try:
            frame = json.loads(payload.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            raise UpstreamError("The host sent a stream frame that is not JSON.") from None
        if not isinstance(frame, dict):
            raise UpstreamError("The host sent a stream frame that is not a JSON object.")
        choices = frame.get("choices")
        if not isinstance(choices, list):
            error = frame.get("error")
            if error is None and ("message" in frame or "detail" in frame):
                error = frame
            return Chunk(None, _dict(frame.get("usage")), error, _list_of(int, frame.get("prompt_token_ids")))
        return Chunk(
            choices=[
                self._choice(choice) for choice in choices if isinstance(choice, dict) and not choice.get("index")
            ],
            usage=_dict(frame.get("usage")),
            error=frame.get("error"),
            prompt_token_ids=_list_of(int, frame.get("prompt_token_ids")),
        )

    def _choice(self, choice: dict[str, Any]) -> Choice:
        delta = _dict(choice.get("delta")) or _dict(choice.get("message")) or {}
        calls = delta.get("tool_calls")
        finish = choice.get("finish_reason")
        last = isinstance(finish, str) and finish != ""  # nothing more will come that a half could be joined with
        return Choice(
            delta=Delta(
                content=self._text("content", delta.get("content"), last),
                reasoning=self._text("reasoning", delta.get("reasoning"), last),
                reasoning_content=self._text("reasoning_content", delta.get("reasoning_content"), last),
                refusal=self._text("refusal", delta.get("refusal"), last),
                tool_calls=[self._call(call) for call in calls if isinstance(call, dict)]
                if isinstance(calls, list)
                else None,
                annotations=_list_of(dict, clean(delta.get("annotations"))),
                prompt_token_ids=_list_of(int, delta.get("prompt_token_ids")),
                generation_token_ids=_list_of(int, delta.get("generation_token_ids")),
                generation_log_probs=_list_of(float, delta.get("generation_log_probs")),
                routed_experts=clean(delta.get("routed_experts")),
            ),
            finish_reason=finish if isinstance(finish, str) else None,
            logprobs=_logprobs(choice.get("logprobs")),
            token_ids=_list_of(int, choice.get("token_ids")),
        )

    def _call(self, call: dict[str, Any]) -> ToolCallDelta:
        function = _dict(call.get("function")) or {}
        arguments = function.get("arguments")
        if isinstance(arguments, (dict, list)):
            arguments = json.dumps(arguments, ensure_ascii=False)
        index = call.get("index")
        if isinstance(index, str) and index.isdecimal():
            index = int(index)
        index = index if isinstance(index, int) else None
        return ToolCallDelta(
            index=index,
            id=_str(call.get("id")),
            function=FunctionDelta(
                name=_str(function.get("name")), arguments=self._text(f"arguments {index}", arguments)
            ),
        )

    def _text(self, field: str, value: Any, last: bool = False) -> str | None:
        """The text of a field, with a half held from the chunk before in front and a new half held back."""
        if isinstance(value, list):
            texts = (part.get("text") for part in value if isinstance(part, dict))
            value = "".join(text for text in texts if isinstance(text, str))
        if last:
            value = self.halves.pop(field, "") + (value if isinstance(value, str) else "")
        elif not isinstance(value, str):
            return None
        elif value:
            value = self.halves.pop(field, "") + value
            if "\ud800" <= value[-1] <= "\udbff":
                self.halves[field] = value[-1]
                value = value[:-1]
        return whole(value)


def whole(text: str) -> str:
    """`text` with the halves of surrogate pairs joined, and U+FFFD for a half that is alone: UTF-8 can hold it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _dict(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _str(value: Any) -> str | None:
    return whole(value) if isinstance(value, str) else None


def _logprobs(value: Any) -> Logprobs | None:
    return _as(Logprobs, value)


def clean(value: Any) -> Any:
    """JSON data that can be written again: strings that UTF-8 can hold, and no NaN."""
    text = json.dumps(value, ensure_ascii=False)
    numbers = _NOT_JSON.sub(lambda found: found[0] if found[0][0] == '"' else "null", text)
    return msgspec.json.decode(whole(numbers).encode())


def _list_of(kind: type[T], value: Any) -> list[T] | None:
    return _as(list[kind], value)  # type: ignore[valid-type]


def _as(kind: type[T], value: Any) -> T | None:
    """`value` as `kind`, or nothing: what is not as it should be here is not needed for the answer."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, SystemError):  # the latter before msgspec 0.22, for an integer beyond any float
        return None


# Log-probabilities and usage -----------------------------------------------------------------------------------

# What OpenAI sends for "so unlikely that it has no number"; JSON has no infinity.
UNLIKELY = -9999.0


def logprobs_of(choice: Choice) -> list[Logprob]:
    """The chat entries of one choice as Responses entries; `bytes` from the token where the host gives null."""
    if choice.logprobs is None or not choice.logprobs.content:
        return []
    return [
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
    of_prompt = _dict(counts.get("prompt_tokens_details")) or {}
    of_completion = _dict(counts.get("completion_tokens_details")) or {}
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


def _cached(counts: dict[str, Any], of_prompt: dict[str, Any]) -> int | None:
    """OpenAI's place first, then the names that other gateways put beside the counts."""
    told = (_count(of_prompt, "cached_tokens"), *(_count(counts, name) for name in _CACHED))
    return next((count for count in told if count is not None), None)


_CACHED = ("cached_input_tokens", "cache_read_input_tokens")


def _count(counts: dict[str, Any], key: str) -> int | None:
    value = counts.get(key)
    return value if isinstance(value, int) and value >= 0 else None
