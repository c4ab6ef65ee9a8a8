"""A host's bytes as chat chunks: the SSE decoder, the strict JSON decoder, and a lenient one for what that refuses.

`ChunkReader` takes the bytes of the host's answer, `ChunkDecoder` the JSON of one frame.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from responses_shim.core.wire.chat import (
    REASONING,
    USAGE,
    Choice,
    Chunk,
    Delta,
    FunctionDelta,
    Logprobs,
    ToolCallDelta,
    object_or_none,
    reasoning_in,
    value_at,
)
from responses_shim.core.wire.lenient_json import JSON_ERRORS, join_surrogates, writable_json
from responses_shim.core.wire.sse import ErrorData, SSEDecoder
from responses_shim.errors import UpstreamError

T = TypeVar("T")


class ChunkDecoder:
    """Decodes the data payloads of one stream into chunks, in their order.

    What the strict decoder refuses is read by the standard library: NaN, half a surrogate pair, a control character in
    a string, a field of another type. A field that cannot be read is left out; only a payload that is not a JSON object
    is an error. What hosts are known to put elsewhere is moved to its usual place (`settle`).
    """

    def __init__(self) -> None:
        self.halves: dict[str, str] = {}
        """Halves of surrogate pairs that are held back until the other half comes, by the field they end."""
        self._given: tuple[str, ...] = ()  # the fields that deltas have given so far; both of reasoning count as one
        self._lists_calls = False  # a delta has had `tool_calls`, so that its `function_call` gives the same again

    def decode(self, payload: bytes) -> Chunk:
        """The chunk of one payload. Raises UpstreamError if the payload is not a JSON object."""
        if self.halves:
            return self.settle(self._lenient(payload))
        try:
            chunk = _decode(payload)
        except JSON_ERRORS:
            return self.settle(self._lenient(payload))
        if chunk.choices is None and chunk.usage is None and not chunk.error:
            chunk = self._lenient(payload)
        return self.settle(chunk)

    def settle(self, chunk: Chunk) -> Chunk:
        """The chunk, changed in place where the host repeats itself or sends an empty error.

        - A message beside deltas: what deltas have given is dropped, and the rest is moved into the delta.
        - An `error` without any content, beside an answer, is removed.
        """
        if chunk.error is not None and (chunk.choices is not None or chunk.usage) and _is_empty_error(chunk.error):
            chunk.error = None
        for choice in chunk.choices or ():
            if choice.index:
                continue
            if choice.message is not None and (choice.delta is not None or self._given):
                self._settle_message(choice, choice.message)
            delta = choice.delta
            if delta is not None:
                if delta.content:
                    self._give("content")
                if delta.reasoning or delta.reasoning_content:
                    self._give("reasoning")
                if delta.tool_calls:
                    self._give("tool_calls")
                if delta.refusal:
                    self._give("refusal")
                if delta.annotations:
                    self._give("annotations")
        return chunk

    def _give(self, field: str) -> None:
        if field not in self._given:
            self._given += (field,)

    def _settle_message(self, choice: Choice, message: Delta) -> None:
        choice.message = None
        if choice.delta is None:
            choice.delta = Delta()
        if choice.delta.reasoning or choice.delta.reasoning_content:
            self._give("reasoning")
        for name in Delta.__struct_fields__:
            given = "reasoning" if name == "reasoning_content" else name
            if given not in self._given and not getattr(choice.delta, name):
                setattr(choice.delta, name, getattr(message, name))

    def _lenient(self, payload: bytes) -> Chunk:
        """As `decode`, for a payload that the strict decoder refuses."""
        try:
            frame = json.loads(payload.decode("utf-8", "replace"), strict=False)
        except (ValueError, RecursionError):
            raise UpstreamError("The host sent a stream frame that is not JSON.") from None
        if not isinstance(frame, dict):
            raise UpstreamError("The host sent a stream frame that is not a JSON object.")
        try:
            return self._chunk(frame)
        except (ValueError, RecursionError):  # an index of thousands of digits, something nested very deep
            raise UpstreamError("The host sent a stream frame that cannot be read.") from None

    def _chunk(self, frame: dict[str, Any]) -> Chunk:
        choices = frame.get("choices")
        error = frame.get("error")
        if not isinstance(choices, list) and not error and ("message" in frame or "detail" in frame):
            error = frame
        return Chunk(
            choices=[self._choice(choice) for choice in choices if isinstance(choice, dict) and not choice.get("index")]
            if isinstance(choices, list)
            else None,
            usage=_usage(frame),
            error=error,
            prompt_token_ids=_convert_or_none(list[int], frame.get("prompt_token_ids")),
        )

    def _choice(self, choice: dict[str, Any]) -> Choice:
        delta, message = object_or_none(choice.get("delta")), object_or_none(choice.get("message"))
        if delta is None and not self._given:
            delta, message = message or {}, None
        finish = choice.get("finish_reason")
        last = isinstance(finish, str) and finish != ""  # no other half will come
        return Choice(
            delta=self._delta(delta, last) if delta is not None else None,
            message=self._delta(message, True, "message.") if message is not None else None,
            finish_reason=finish if isinstance(finish, str) else None,
            logprobs=_convert_or_none(Logprobs, choice.get("logprobs")),
            token_ids=_convert_or_none(list[int], choice.get("token_ids")),
        )

    def _delta(self, delta: dict[str, Any], last: bool, prefix: str = "") -> Delta:
        """A delta or a message. `prefix` keeps the halves of the one apart from those of the other."""
        content, thoughts = _split_parts(delta.get("content"))
        places = [reasoning_in(delta.get(name)) for name in REASONING]
        elsewhere = next(filter(None, [*places[2:], thoughts]), "")
        reasoning = places[0] or ("" if places[1] else elsewhere)
        return Delta(
            content=self._text(f"{prefix}content", content, last),
            reasoning=self._text(f"{prefix}reasoning", reasoning or None, last),
            reasoning_content=self._text(f"{prefix}reasoning_content", places[1] or None, last),
            refusal=self._text(f"{prefix}refusal", delta.get("refusal"), last),
            tool_calls=self._calls(delta, prefix),
            annotations=_convert_or_none(list[dict[str, Any]], writable_json(delta.get("annotations"))),
            prompt_token_ids=_convert_or_none(list[int], delta.get("prompt_token_ids")),
            generation_token_ids=_convert_or_none(list[int], delta.get("generation_token_ids")),
            generation_log_probs=_convert_or_none(list[float], delta.get("generation_log_probs")),
            routed_experts=writable_json(delta.get("routed_experts")),
        )

    def _calls(self, delta: dict[str, Any], prefix: str) -> list[ToolCallDelta] | None:
        """The calls of a delta or message; one in the older form is a call with the index 0.

        Some hosts send both forms of the same call, as llama-cpp-python does for a named tool.
        """
        calls, older = delta.get("tool_calls"), object_or_none(delta.get("function_call"))
        if isinstance(calls, list):
            self._lists_calls = self._lists_calls or bool(calls)
            if calls or older is None:
                return [self._call(call, prefix) for call in calls if isinstance(call, dict)]
        if older is None or self._lists_calls:
            return None
        function = self._function(older, f"{prefix}function_call")
        return [ToolCallDelta(index=0, function=function)] if function.name or function.arguments else None

    def _call(self, call: dict[str, Any], prefix: str) -> ToolCallDelta:
        index = call.get("index")
        if isinstance(index, str) and index.isdecimal():
            index = int(index)
        index = index if isinstance(index, int) else None
        function = self._function(object_or_none(call.get("function")) or {}, f"{prefix}arguments {index}")
        return ToolCallDelta(index=index, id=_str(call.get("id")), function=function)

    def _function(self, function: dict[str, Any], field: str) -> FunctionDelta:
        arguments = function.get("arguments")
        if isinstance(arguments, (dict, list)):
            arguments = json.dumps(arguments, ensure_ascii=False)
        return FunctionDelta(name=_str(function.get("name")), arguments=self._text(field, arguments))

    def _text(self, field: str, value: Any, last: bool = False) -> str | None:
        """The text of a field: a half surrogate held back before goes in front of it, and one at its end is held back.

        Nothing is held back from the `last` chunk. Arguments are never read as `last`: half a pair at their end is
        dropped.
        """
        if last:
            value = self.halves.pop(field, "") + (value if isinstance(value, str) else "")
        elif not isinstance(value, str):
            return None
        elif value:
            value = self.halves.pop(field, "") + value
            if "\ud800" <= value[-1] <= "\udbff":
                self.halves[field] = value[-1]
                value = value[:-1]
        return join_surrogates(value)


def _usage(frame: dict[str, Any]) -> dict[str, Any] | None:
    """The usage of a frame, from the first of the places in `USAGE` that has any."""
    found = (object_or_none(value_at(frame, place)) for place in USAGE)
    return next(filter(None, found), object_or_none(frame.get("usage")))


def _split_parts(content: Any) -> tuple[Any, str]:
    """The text of `content`, which may be a list of parts, and the reasoning in those."""
    if not isinstance(content, list):
        return content, ""
    texts, thoughts = [], []
    for part in content:
        if not isinstance(part, dict):
            continue
        if str(part.get("type")).startswith(("thinking", "reasoning")):
            thoughts.append(reasoning_in(part))
        elif isinstance(part.get("text"), str):
            texts.append(part["text"])
    return "".join(texts), "".join(thoughts)


def _is_empty_error(error: Any) -> bool:
    """Whether an `error` is empty: `{}`, `""`, `"null"`, or an object of nothing but such values and zeros."""
    if isinstance(error, dict):
        return all(map(_is_empty_error, error.values()))
    return not error or (isinstance(error, str) and error.strip().lower() in ("", "none", "null"))


def _str(value: Any) -> str | None:
    return join_surrogates(value) if isinstance(value, str) else None


def _convert_or_none(kind: type[T], value: Any) -> T | None:
    """`value` as the type `kind`, or None if it is of another: an answer can do without any of these fields."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, SystemError):  # the latter before msgspec 0.22, for an integer beyond any float
        return None


END_OF_STREAM = Chunk()
"""The chunk that stands for `data: [DONE]`. Compare by identity: a frame `{}` makes an equal one."""


class UnreadableChunk(Chunk, gc=False):
    """The chunk that stands for a frame that is no JSON object; its `error` says so."""


_decode = msgspec.json.Decoder(Chunk).decode


class ChunkReader:
    """Reads the chunks of a host's answer, wherever its bytes are cut.

    Nothing is raised: a frame that is not a JSON object becomes an `UnreadableChunk`, one with `event: error` a chunk
    with that `error`.

    Most body messages are one frame, `data: {…}` and a blank line. Such a message need not be searched for line ends:
    the JSON decoder itself says whether there is one object and nothing but white space behind it. Anything else
    (several frames, half of one, `[DONE]`, JSON that is not strict) goes through the SSE decoder.
    """

    def __init__(self) -> None:
        self.pending = False
        """Whether a frame has begun and not ended, or half a surrogate pair is held back."""
        self._frames = SSEDecoder()
        self._chunks = ChunkDecoder()

    def read(self, data: bytes) -> list[Chunk]:
        """The chunks that `data`, the next bytes of an event stream, completes."""
        if not self.pending and data[:6] == b"data: ":
            try:
                chunk = _decode(data[6:])
                if chunk.choices is not None and chunk.error is None:
                    return [self._chunks.settle(chunk)]
            except JSON_ERRORS:
                pass
        chunks = self._read_payloads(self._frames.feed(data))
        self.pending = self._frames.pending or bool(self._chunks.halves)
        return chunks

    def close(self) -> list[Chunk]:
        """The chunk that is left when the bytes have ended: a frame without its blank line, if there is one."""
        return self._read_payloads(self._frames.close())

    def read_json(self, body: bytes) -> list[Chunk]:
        """The chunks of a body that is JSON, from a host that was asked to stream and did not: one, and the end."""
        return [*self._read_payloads([body]), END_OF_STREAM]

    def _read_payloads(self, payloads: list[bytes]) -> list[Chunk]:
        return [END_OF_STREAM if _is_done(payload) else self._chunk(payload) for payload in payloads]

    def _chunk(self, payload: bytes) -> Chunk:
        try:
            chunk = self._chunks.decode(payload)
        except UpstreamError as error:
            if isinstance(payload, ErrorData):
                return Chunk(error=payload.decode("utf-8", "replace").strip().strip('"'))
            return UnreadableChunk(error={"message": error.message, "code": error.status})
        if isinstance(payload, ErrorData) and chunk.error is None and not chunk.choices:
            chunk.error = _str(payload.decode("utf-8", "replace"))
        return chunk


def _is_done(payload: bytes) -> bool:
    """Whether it is `[DONE]`, with white space anywhere or in quotes."""
    return payload == b"[DONE]" or (payload[:1] != b"{" and b"".join(payload.split()).strip(b'"') == b"[DONE]")
