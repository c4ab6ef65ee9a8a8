"""Runs messages that a test makes up through the production translator, and reads the frames as a client does."""

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
from tests.oracle import check_stream

Json: TypeAlias = dict[str, Any]
AfterEach: TypeAlias = Callable[[Translator], "list[Frame]"]

_events = msgspec.json.Decoder(Union[events.ALL])


def no_frames(translator: Translator) -> list[Frame]:
    """The default of `after_each`."""
    return []


@dataclass
class Played:
    """A response, from the frames that the translator made."""

    stream: ResponseStream
    frames: list[bytes] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    """The number that the sink got with each frame."""
    rounds: list[RoundResult] = field(default_factory=list)
    fast: int = 0
    """How many of the host's messages took the fast path."""
    written: list[int] = field(default_factory=list)
    """After each write, how many frames there were."""

    def write(self, frames: Sequence[Frame]) -> None:
        self.written.append(len(self.frames) + len(frames))
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
    def types(self) -> list[str]:
        """The types of the events between the two opening ones and the terminal one, without `response.`."""
        return [event["type"].removeprefix("response.") for event in self.payloads[2:-1]]

    def of_type(self, kind: str) -> list[Json]:
        """The events of a type, which is given without `response.`."""
        return [event for event in self.payloads if event["type"] == f"response.{kind}"]

    @property
    def deltas(self) -> list[Json]:
        """The events that carry a delta."""
        return [event for event in self.payloads if event["type"].endswith(".delta")]

    @property
    def response(self) -> Json:
        """The response of the terminal event."""
        response: Json = self.payloads[-1]["response"]
        return response

    @property
    def output(self) -> list[Json]:
        """The output items of that response."""
        return list(self.response["output"])


def new_stream(*, tools: ToolMap | None = None, options: ResponseOptions = DEFAULT_OPTIONS) -> ResponseStream:
    """A state machine whose ids count from 1, at a fixed time."""
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
    """A translator over such a state machine."""
    return Translator(new_stream(tools=tools, options=options), filters=filters)


def play(
    *rounds: Iterable[bytes],
    logprobs: bool = False,
    options: ResponseOptions | None = None,
    tools: ToolMap | None = None,
    filters: Callable[[], Iterable[Filter]] = lambda: (),
    after_each: AfterEach = no_frames,
    slow: bool = False,
) -> Played:
    """The response to one or several chat calls, each given by the body messages of its answer.

    `after_each` may make frames after each message, like a ping. With `slow` no message takes the fast path.
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
            played.write(after_each(translator))
        else:
            played.write(translator.end_stream())
            played.write(after_each(translator))
        played.write(translator.flush())
        result, frames = translator.end_round()
        played.rounds.append(result)
        played.write(frames)
    played.write(translator.close())
    return played


def answer(*messages: bytes, **options: Any) -> Played:
    """The response to one chat call, whose answer is these messages. Its event stream has been checked."""
    played = play(messages, **options)
    check_stream(played.payloads)
    return played


def read_frame(frame: bytes) -> Json:
    """One of our own frames, read strictly: `event:`, `data:` and a blank line, and the same type in both."""
    head, data, *rest = frame.decode().split("\n")
    assert rest == ["", ""], f"not one event, one data and one blank line: {frame!r}"
    assert head.startswith("event: ")
    assert data.startswith("data: ")
    payload: Json = json.loads(data.removeprefix("data: "))
    assert head == f"event: {payload['type']}"
    return payload


def event_json(event: Event) -> Json:
    """The JSON of an event as msgspec alone encodes it, without any template."""
    payload: Json = json.loads(msgspec.json.encode(event))
    return payload
