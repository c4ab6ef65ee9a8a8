"""Drives the production translator with what a test makes up: messages of a host in, what a client reads out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeAlias, Union

import msgspec

from responses_shim.core.response.encoder import Frame
from responses_shim.core.response.filters import Filter
from responses_shim.core.response.options import DEFAULT_OPTIONS, ResponseOptions
from responses_shim.core.response.stream import ResponseStream, RoundResult
from responses_shim.core.response.translator import RoundState, Translator
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire import events
from responses_shim.core.wire.events import Event
from responses_shim.core.wire.responses import Response

Json: TypeAlias = dict[str, Any]
Between: TypeAlias = Callable[[Translator], "list[Frame]"]

_events = msgspec.json.Decoder(Union[events.ALL])


@dataclass
class Played:
    """What came out: every frame, with the number that the sink got, and how the rounds ended."""

    stream: ResponseStream
    frames: list[bytes] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    rounds: list[RoundResult] = field(default_factory=list)
    fast: int = 0
    """How many messages took the fast path."""

    def write(self, frames: Sequence[Frame]) -> None:
        self.numbers += [number for number, _ in frames]
        self.frames += [data for _, data in frames]

    @property
    def payloads(self) -> list[Json]:
        """The events as a client reads them."""
        payloads = [read_frame(frame) for frame in self.frames]
        assert self.numbers == [payload["sequence_number"] for payload in payloads]
        return payloads

    @property
    def events(self) -> list[Event]:
        """The events as objects of their types."""
        return [_events.decode(frame.partition(b"\ndata: ")[2]) for frame in self.frames]

    @property
    def response(self) -> Json:
        """The terminal event's."""
        response: Json = self.payloads[-1]["response"]
        return response


def new_stream(*, tools: ToolMap | None = None, options: ResponseOptions = DEFAULT_OPTIONS) -> ResponseStream:
    number = count(1)
    response = Response(id="resp_1", created_at=1_700_000_000, model="m")
    return ResponseStream(
        response,
        new_id=lambda prefix: f"{prefix}_{next(number)}",
        now=lambda: 1_700_000_001,
        tools=tools,
        options=options,
    )


def new_translator(
    *,
    tools: ToolMap | None = None,
    options: ResponseOptions = DEFAULT_OPTIONS,
    filters: Callable[[], Iterable[Filter]] = lambda: (),
) -> Translator:
    return Translator(new_stream(tools=tools, options=options), filters=filters)


def play(
    *rounds: Iterable[bytes],
    logprobs: bool = False,
    options: ResponseOptions | None = None,
    tools: ToolMap | None = None,
    filters: Callable[[], Iterable[Filter]] = lambda: (),
    between: Between = lambda translator: [],
    slow: bool = False,
) -> Played:
    """Each round is the body messages of one chat call, which has its end behind them.

    `between` may make frames after each message: a ping. With `slow` nothing takes the fast path.
    """
    stream = new_stream(tools=tools, options=options or ResponseOptions(logprobs=logprobs))
    translator = Translator(stream, filters=filters)
    played = Played(stream)
    played.write(translator.start())
    for index, messages in enumerate(rounds):
        if index:
            translator.begin_round()
        for data in messages:
            frame = translator.fast_path(data) if translator.fast_path is not None and not slow else None
            played.fast += frame is not None
            played.write([frame] if frame is not None else translator.feed(data))
            if translator.state is not RoundState.OPEN:
                break
            played.write(between(translator))
        else:
            played.write(translator.end_stream())
            played.write(between(translator))
        played.write(translator.flush())
        result, frames = translator.end_round()
        played.rounds.append(result)
        played.write(frames)
    played.write(translator.close())
    return played


def read_frame(frame: bytes) -> Json:
    """One of our own frames, strictly: `event:` and `data:` and a blank line, the type twice the same."""
    head, data, *rest = frame.decode().split("\n")
    assert rest == ["", ""], f"not one event, one data and one blank line: {frame!r}"
    assert head.startswith("event: ")
    assert data.startswith("data: ")
    payload: Json = json.loads(data.removeprefix("data: "))
    assert head == f"event: {payload['type']}"
    return payload


def plainly(event: Event) -> Json:
    """The event as msgspec encodes it, without any template."""
    payload: Json = json.loads(msgspec.json.encode(event))
    return payload
