"""Answers of a host as bytes, and the work of translating one: what the dimensions of a stream are made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from responses_shim.core.response.filters import Filter
from responses_shim.core.response.options import DEFAULT_OPTIONS, ResponseOptions
from responses_shim.core.response.stream import ResponseStream
from responses_shim.core.response.translator import RoundState, Translator
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.responses import Response

from .dimension import Dimension, Work

Messages = Iterable[bytes]
"""The body messages of one chat call."""
Filters = Callable[[], Sequence[Filter]]
"""Makes the filters of a round."""

# Frames --------------------------------------------------------------------------------------------------------------


def chunk(**fields: Any) -> bytes:
    """One frame with a chunk."""
    return b"data: " + json.dumps(fields, separators=(",", ":")).encode() + b"\n\n"


def delta(logprobs: list[str] | None = None, **fields: Any) -> bytes:
    """A frame with one delta; `logprobs` are the tokens of its entries."""
    choice: dict[str, Any] = {"index": 0, "delta": fields, "finish_reason": None}
    if logprobs is not None:
        choice["logprobs"] = {"content": [{"token": token, "logprob": -0.5, "bytes": None} for token in logprobs]}
    return chunk(choices=[choice])


def call(arguments: str | None = None, *, name: str | None = None, **fields: Any) -> bytes:
    """A frame with a piece of a call; `fields` are its index and id."""
    function = {"name": name, "arguments": arguments}
    return delta(tool_calls=[{**fields, "function": {key: value for key, value in function.items() if value}}])


def end(reason: str = "stop") -> bytes:
    """The frames that end an answer."""
    return chunk(choices=[{"index": 0, "delta": {}, "finish_reason": reason}]) + b"data: [DONE]\n\n"


def repeated(frame: bytes, n: int, *, first: Sequence[bytes] = (), last: Sequence[bytes] = ()) -> Iterator[bytes]:
    """One frame n times, and the end of the answer."""
    yield from first
    for _ in range(n):
        yield frame
    yield from last
    yield end()


# The work ------------------------------------------------------------------------------------------------------------


def translation(
    messages: Messages,
    *,
    options: ResponseOptions = DEFAULT_OPTIONS,
    tools: ToolMap | None = None,
    filters: Filters = tuple,
    rounds: int = 1,
) -> Work:
    """The translation of an answer, from its bytes to the frames of the terminal event."""
    received = [*messages]

    def work() -> None:
        response = Response(id="resp_1", created_at=0, model="m")
        stream = ResponseStream(response, new_id=lambda prefix: prefix, now=lambda: 0, tools=tools, options=options)
        translator = Translator(stream, filters=filters)
        translator.start()
        for number in range(rounds):
            if number:
                translator.begin_round()
            for data in received:
                if translator.fast_path is None or translator.fast_path(data) is None:
                    translator.feed(data)
            if translator.state is RoundState.OPEN:
                translator.end_stream()
            translator.flush()
            translator.end_round()
        translator.close()
        assert response.status == "completed", response.error

    return work


def dimension(
    name: str, size: int, messages: Callable[[int], Messages], tools: Callable[[], ToolMap] | None = None, **how: Any
) -> Dimension:
    """A dimension of answers: `messages(n)` makes one of length n; `how` are arguments of `translation`."""

    def prepare(n: int) -> Work:
        return translation(messages(n), tools=tools() if tools is not None else None, **how)

    return Dimension(name, size, prepare)
