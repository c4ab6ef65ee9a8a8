"""A host's bytes through the pure part, as a run takes them: decode, translate, encode. No event loop needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, takewhile
from typing import Any, TypeAlias

import msgspec

from responses_shim.core.chat import Chunk
from responses_shim.core.events import Event
from responses_shim.core.reader import DONE, ChunkReader
from responses_shim.core.sse import SSEEncoder
from responses_shim.core.stream import ResponseStream, Round
from responses_shim.core.types import Response

Json: TypeAlias = dict[str, Any]
Between: TypeAlias = Callable[[ResponseStream], Event | None]


@dataclass
class Played:
    """What came out: the events as objects, each encoded the moment it was made, and how the rounds ended."""

    stream: ResponseStream
    events: list[Event] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)

    @property
    def payloads(self) -> list[Json]:
        """The events as a client reads them."""
        return [read_frame(frame) for frame in self.frames]

    @property
    def response(self) -> Json:
        """The terminal event's."""
        response: Json = self.payloads[-1]["response"]
        return response


def new_stream(*, logprobs: bool = False) -> ResponseStream:
    number = count(1)
    response = Response(id="resp_1", created_at=1_700_000_000, model="m")
    return ResponseStream(
        response,
        new_id=lambda prefix: f"{prefix}_{next(number)}",
        now=lambda: 1_700_000_001,
        logprobs=logprobs,
    )


def play(
    *rounds: Iterable[bytes],
    logprobs: bool = False,
    mend: Callable[[Chunk], Chunk] | None = None,
    between: Between = lambda stream: None,
) -> Played:
    """Each round is the body messages of one chat call. `between` may make an event after each of them: a ping."""
    played = Played(new_stream(logprobs=logprobs))
    stream, encode = played.stream, SSEEncoder().encode

    def write(events: Sequence[Event]) -> None:
        played.events.extend(events)
        played.frames.extend(encode(event) for event in events)

    write(stream.start())
    for place, messages in enumerate(rounds):
        if place:
            stream.begin_round()
        for chunks in _chunks(messages):
            for chunk in chunks:
                write(stream.feed(chunk if mend is None else mend(chunk)))
            if (event := between(stream)) is not None:
                write([event])
        ended, events = stream.end_round()
        played.rounds.append(ended)
        write(events)
    write(stream.close())
    return played


def _chunks(messages: Iterable[bytes]) -> Iterator[list[Chunk]]:
    """The chunks of each message, up to `[DONE]`."""
    reader = ChunkReader()
    for data in [*messages, None]:
        chunks = reader.close() if data is None else reader.read(data)
        yield list(takewhile(lambda chunk: chunk is not DONE, chunks))
        if any(chunk is DONE for chunk in chunks):
            return


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
