"""Frames of a host that carry one thing: more text, reasoning, or arguments of a call.

The types below fit such a frame and nothing else, so the JSON decoder, which looks at every key anyway, refuses all
others. `text` is what the frame carries; every other key with a meaning must be null or absent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct, field

from responses_shim.core.wire.chat import MIN_LOGPROB
from responses_shim.core.wire.lenient_json import JSON_ERRORS

Reader: TypeAlias = "Callable[[bytes], str | None]"
"""The text that a body message of the host carries; None if it carries anything else."""

Text = Annotated[str, Meta(min_length=1)]
Logprob = Annotated[float, Meta(ge=MIN_LOGPROB, le=0)]
D = TypeVar("D")


class _Delta(Struct, gc=False, forbid_unknown_fields=True, kw_only=True):
    """What the deltas have in common: `role` is ignored; the others must be null or absent."""

    role: Any = None
    name: None = None
    refusal: None = None
    tool_call_id: None = None
    function_call: None = None
    annotations: None = None


class _Content(_Delta, gc=False, forbid_unknown_fields=True, kw_only=True):
    text: Text = field(name="content")
    reasoning: None = None
    reasoning_content: None = None
    tool_calls: None = None


class _Reasoning(_Delta, gc=False, forbid_unknown_fields=True, kw_only=True):
    """Some hosts (mlx-vlm) give the same text in a second field."""

    text: Text = field(name="reasoning")
    reasoning_content: str | None = None
    content: None = None
    tool_calls: None = None


class _ReasoningContent(_Delta, gc=False, forbid_unknown_fields=True, kw_only=True):
    text: Text = field(name="reasoning_content")
    reasoning: None = None
    content: None = None
    tool_calls: None = None


class _Function(Struct, gc=False, forbid_unknown_fields=True):
    arguments: Text
    name: None = None


class _Call(Struct, gc=False):
    function: _Function
    index: int | None = None
    id: str | None = None


class _Arguments(_Delta, gc=False, forbid_unknown_fields=True, kw_only=True):
    tool_calls: tuple[_Call]
    content: None = None
    reasoning: None = None
    reasoning_content: None = None


class _Choice(Struct, Generic[D], gc=False):
    delta: D
    index: Literal[0] = 0
    message: None = None
    finish_reason: None = None


class _Chunk(Struct, Generic[D], gc=False):
    choices: tuple[_Choice[D]]
    usage: None = None
    error: None = None


_CONTENT = msgspec.json.Decoder(_Chunk[_Content])
_REASONING = msgspec.json.Decoder(_Chunk[_Reasoning])
_REASONING_CONTENT = msgspec.json.Decoder(_Chunk[_ReasoningContent])
_ARGUMENTS = msgspec.json.Decoder(_Chunk[_Arguments])


class _TopLogprob(Struct, gc=False, forbid_unknown_fields=True):
    token: str
    logprob: Logprob
    bytes: list[int]


class _TokenLogprob(Struct, gc=False, forbid_unknown_fields=True):
    """A log-probability entry that is the same in both APIs, so its JSON can be copied."""

    token: str
    logprob: Logprob
    bytes: list[int]
    top_logprobs: list[_TopLogprob]


class _Logprobs(Struct, gc=False):
    content: Raw


class _ChoiceWithLogprobs(Struct, gc=False):
    delta: _Content
    logprobs: _Logprobs
    index: Literal[0] = 0
    message: None = None
    finish_reason: None = None


class _ChunkWithLogprobs(Struct, gc=False):
    choices: tuple[_ChoiceWithLogprobs]
    usage: None = None
    error: None = None


_CONTENT_WITH_LOGPROBS = msgspec.json.Decoder(_ChunkWithLogprobs)
decode_text = msgspec.json.Decoder(Text).decode
"""A non-empty JSON string, decoded."""
decode_logprobs = msgspec.json.Decoder(tuple[_TokenLogprob]).decode
"""A JSON array of one log-probability entry, decoded."""

CarriedField = Literal["content", "reasoning", "reasoning_content", "arguments"]
"""What a frame carries, by the name of the host's field."""
_DECODERS: dict[CarriedField, msgspec.json.Decoder[Any]] = {
    "content": _CONTENT,
    "reasoning": _REASONING,
    "reasoning_content": _REASONING_CONTENT,
}


# Readers -----------------------------------------------------------------------------------------------------------


def content_reader(carried: CarriedField) -> Reader:
    """The reader of frames of text, or of reasoning in one of its two fields."""
    decode = _DECODERS[carried].decode

    def read(data: bytes) -> str | None:
        if data[:7] != b"data: {" or data[-3:] != b"}\n\n":
            return None
        try:
            text: str = decode(data[6:-2]).choices[0].delta.text
        except JSON_ERRORS:
            return None
        return text

    return read


def arguments_reader(index: int | None) -> Reader:
    """The reader of frames of arguments that have the call's index, or neither index nor id."""
    decode = _ARGUMENTS.decode

    def read(data: bytes) -> str | None:
        if data[:7] != b"data: {" or data[-3:] != b"}\n\n":
            return None
        try:
            (call,) = decode(data[6:-2]).choices[0].delta.tool_calls
        except JSON_ERRORS:
            return None
        if call.index != index or (index is None and call.id is not None):
            return None
        return call.function.arguments

    return read


def read_logprobs(data: bytes) -> tuple[str, bytes]:
    """The text of a frame of text, and the JSON array of its log-probabilities. Raises one of `JSON_ERRORS`."""
    if data[:7] != b"data: {" or data[-3:] != b"}\n\n":
        raise msgspec.DecodeError
    choice = _CONTENT_WITH_LOGPROBS.decode(data[6:-2]).choices[0]
    return choice.delta.text, bytes(choice.logprobs.content)
