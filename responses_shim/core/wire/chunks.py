"""A host's bytes as chat chunks: the SSE decoder, the strict JSON decoder, and a lenient one for what that refuses.

`ChunkReader` takes the bytes of the host's answer, `ChunkDecoder` the JSON of one frame.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from responses_shim.core.wire.chat import Choice, Chunk, Delta, FunctionDelta, Logprobs, ToolCallDelta, object_or_none
from responses_shim.core.wire.lenient_json import JSON_ERRORS, join_surrogates, writable_json
from responses_shim.core.wire.sse import SSEDecoder
from responses_shim.errors import UpstreamError

T = TypeVar("T")


class ChunkDecoder:
    """Decodes the data payloads of one stream into chunks, in their order.

    What the strict decoder refuses is read by the standard library: NaN, half a surrogate pair, a field of another
    type. A field that cannot be read is left out; only a payload that is not a JSON object is an error.
    """

    def __init__(self) -> None:
        self.halves: dict[str, str] = {}
        """Halves of surrogate pairs that are held back until the other half comes, by the field they end."""

    def decode(self, payload: bytes) -> Chunk:
        """The chunk of one payload. Raises UpstreamError if the payload is not a JSON object."""
        if self.halves:
            return self._lenient(payload)
        try:
            chunk = _decode(payload)
        except JSON_ERRORS:
            return self._lenient(payload)
        if chunk.choices is None and chunk.usage is None and chunk.error is None:
            return self._lenient(payload)
        return chunk

    def _lenient(self, payload: bytes) -> Chunk:
        """As `decode`, for a payload that the strict decoder refuses."""
        try:
            frame = json.loads(payload.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            raise UpstreamError("The host sent a stream frame that is not JSON.") from None
        if not isinstance(frame, dict):
            raise UpstreamError("The host sent a stream frame that is not a JSON object.")
        choices = frame.get("choices")
        usage = object_or_none(frame.get("usage"))
        prompt_token_ids = _convert_or_none(list[int], frame.get("prompt_token_ids"))
        if not isinstance(choices, list):
            error = frame.get("error")
            if error is None and ("message" in frame or "detail" in frame):
                error = frame
            return Chunk(None, usage, error, prompt_token_ids)
        return Chunk(
            choices=[
                self._choice(choice) for choice in choices if isinstance(choice, dict) and not choice.get("index")
            ],
            usage=usage,
            error=frame.get("error"),
            prompt_token_ids=prompt_token_ids,
        )

    def _choice(self, choice: dict[str, Any]) -> Choice:
        delta = object_or_none(choice.get("delta")) or object_or_none(choice.get("message")) or {}
        calls = delta.get("tool_calls")
        finish = choice.get("finish_reason")
        last = isinstance(finish, str) and finish != ""  # no other half will come
        return Choice(
            delta=Delta(
                content=self._text("content", delta.get("content"), last),
                reasoning=self._text("reasoning", delta.get("reasoning"), last),
                reasoning_content=self._text("reasoning_content", delta.get("reasoning_content"), last),
                refusal=self._text("refusal", delta.get("refusal"), last),
                tool_calls=[self._call(call) for call in calls if isinstance(call, dict)]
                if isinstance(calls, list)
                else None,
                annotations=_convert_or_none(list[dict[str, Any]], writable_json(delta.get("annotations"))),
                prompt_token_ids=_convert_or_none(list[int], delta.get("prompt_token_ids")),
                generation_token_ids=_convert_or_none(list[int], delta.get("generation_token_ids")),
                generation_log_probs=_convert_or_none(list[float], delta.get("generation_log_probs")),
                routed_experts=writable_json(delta.get("routed_experts")),
            ),
            finish_reason=finish if isinstance(finish, str) else None,
            logprobs=_convert_or_none(Logprobs, choice.get("logprobs")),
            token_ids=_convert_or_none(list[int], choice.get("token_ids")),
        )

    def _call(self, call: dict[str, Any]) -> ToolCallDelta:
        function = object_or_none(call.get("function")) or {}
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
        """The text of a field: a half surrogate held back before goes in front of it, and one at its end is held back.

        Nothing is held back from the `last` chunk. Arguments are never read as `last`: half a pair at their end is
        dropped.
        """
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
        return join_surrogates(value)


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

_decode = msgspec.json.Decoder(Chunk).decode


class ChunkReader:
    """Reads the chunks of a host's answer, wherever its bytes are cut.

    Nothing is raised: a frame that is not a JSON object becomes a chunk with an `error`.

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
                if chunk.choices is not None:
                    return [chunk]
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
        return [END_OF_STREAM if payload == b"[DONE]" else self._chunk(payload) for payload in payloads]

    def _chunk(self, payload: bytes) -> Chunk:
        try:
            return self._chunks.decode(payload)
        except UpstreamError as error:
            return Chunk(error={"message": error.message, "code": error.status})
