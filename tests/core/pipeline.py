"""A host's bytes through the pure part, as a run takes them: decode, translate, encode. No event loop needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeAlias

import msgspec

from responses_shim.core.response.fast_path import PlainText
from responses_shim.core.response.filters import Mend
from responses_shim.core.response.stream import NOTHING_MORE, ResponseStream, Round, Wanted
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.chat import Chunk
from responses_shim.core.wire.chunks import DONE, ChunkReader
from responses_shim.core.wire.events import Event
from responses_shim.core.wire.responses import Response
from responses_shim.core.wire.sse import SSEEncoder

Json: TypeAlias = dict[str, Any]
Between: TypeAlias = Callable[[ResponseStream], Event | None]


@dataclass
class Played:
    """What came out: the events as objects, each encoded the moment it was made, and how the rounds ended."""

    stream: ResponseStream
    events: list[Event] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    short_cuts: int = 0
    """How many messages became a frame at once."""

    @property
    def payloads(self) -> list[Json]:
        """The events as a client reads them."""
        return [read_frame(frame) for frame in self.frames]

    @property
    def response(self) -> Json:
        """The terminal event's."""
        response: Json = self.payloads[-1]["response"]
        return response


def new_stream(*, tools: ToolMap | None = None, wanted: Wanted = NOTHING_MORE) -> ResponseStream:
    number = count(1)
    response = Response(id="resp_1", created_at=1_700_000_000, model="m")
    return ResponseStream(
        response,
        new_id=lambda prefix: f"{prefix}_{next(number)}",
        now=lambda: 1_700_000_001,
        tools=tools,
        wanted=wanted,
    )


def play(
    *rounds: Iterable[bytes],
    logprobs: bool = False,
    wanted: Wanted | None = None,
    tools: ToolMap | None = None,
    mends: Sequence[Mend] = (),
    between: Between = lambda stream: None,
    short_way: bool = False,
) -> Played:
    """Each round is the body messages of one chat call; `mends` are of the only one.

    `between` may make an event after each message: a ping.

    With `short_way` a message of plain text becomes a frame at once, as in a run; it is no event in `events` then.
    """
    played = Played(new_stream(tools=tools, wanted=wanted or Wanted(logprobs=logprobs)))
    stream, encode = played.stream, SSEEncoder().encode

    def write(events: Sequence[Event]) -> None:
        played.events.extend(events)
        played.frames.extend(encode(event) for event in events)

    def feed(chunk: Chunk, start: int = 0) -> None:
        if not start:  # what was held back has been counted
            stream.count(chunk)
        chunks = [chunk]
        for mend in mends[start:]:
            chunks = [right for wrong in chunks for right in mend.feed(wrong)]
        for right in chunks:
            write(stream.feed(right))

    def take(messages: Iterable[bytes]) -> None:
        reader = ChunkReader()
        plain: PlainText | None = None
        for data in [*messages, None]:
            frame = plain.frame(data) if plain is not None and data is not None else None
            if frame is not None:
                played.frames.append(frame)
                played.short_cuts += 1
            else:
                chunks = reader.close() if data is None else reader.read(data)
                for chunk in chunks:
                    if chunk is DONE:
                        return
                    feed(chunk)
                between_frames = reader.between and all(mend.done for mend in mends)
                plain = stream.plain() if short_way and chunks and between_frames else None
            if (event := between(stream)) is not None:
                write([event])

    write(stream.start())
    for place, messages in enumerate(rounds):
        if place:
            stream.begin_round()
        take(messages)
        for number, mend in enumerate(mends):
            for held_back in mend.close():
                feed(held_back, number + 1)
        ended, events = stream.end_round()
        played.rounds.append(ended)
        write(events)
    write(stream.close())
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
