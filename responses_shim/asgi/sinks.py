"""What goes out over HTTP: errors, and the two sinks a run can have: an event stream, or one JSON object."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress

import msgspec
from starlette.types import Send

from responses_shim.asgi.headers import RawHeaders
from responses_shim.core.wire.events import TERMINAL, Event
from responses_shim.core.wire.sse import COMMENT, DONE, SSEEncoder
from responses_shim.errors import ShimError

_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would gather a stream into blocks
]


async def send_json(send: Send, status: int, body: object, headers: RawHeaders) -> None:
    data = msgspec.json.encode(body)
    length = (b"content-length", b"%d" % len(data))
    start = [*headers, (b"content-type", b"application/json"), length]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": data, "more_body": False})


async def send_error(send: Send, error: ShimError, headers: RawHeaders) -> None:
    """The error as HTTP says it. A client that has left meanwhile is none of our errors."""
    # An interceptor's refusal may have any: what is not Latin-1 is no header, and no reason to fail the host.
    own = [
        (name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in error.headers
    ]
    with suppress(OSError):
        await send_json(send, error.status, error.body(), own + headers)


class EventStream:
    """Events as they come, each an SSE frame. `headers` are the shim's own; the host's come before them."""

    streams = True

    def __init__(self, send: Send, headers: RawHeaders) -> None:
        self._send = send
        self._headers = headers
        self._encode = SSEEncoder().encode

    def begin(self, headers: RawHeaders) -> Awaitable[None]:
        start = [*headers, *self._headers, *_STREAM_HEADERS]
        return self._send({"type": "http.response.start", "status": 200, "headers": start})

    def write(self, events: list[Event]) -> Awaitable[None]:
        encode = self._encode
        body = encode(events[0]) if len(events) == 1 else b"".join([encode(event) for event in events]) or COMMENT
        return self._send({"type": "http.response.body", "body": body, "more_body": True})

    def pass_on(self, frame: bytes) -> Awaitable[None]:
        return self._send({"type": "http.response.body", "body": frame, "more_body": True})

    def finish(self, events: list[Event]) -> Awaitable[None]:
        body = b"".join([self._encode(event) for event in events]) + DONE
        return self._send({"type": "http.response.body", "body": body, "more_body": False})


class WholeResponse:
    """Only the end: the terminal event's response as one JSON object."""

    streams = False

    def __init__(self, send: Send, headers: RawHeaders) -> None:
        self._send = send
        self._headers = headers
        self._of_the_host: RawHeaders = []

    async def begin(self, headers: RawHeaders) -> None:
        self._of_the_host = headers

    async def write(self, events: list[Event]) -> None:
        raise AssertionError("a response that is not streamed is written at its end")

    async def pass_on(self, frame: bytes) -> None:
        raise AssertionError("a response that is not streamed has no frames")

    async def finish(self, events: list[Event]) -> None:
        terminal = events[-1]
        assert isinstance(terminal, TERMINAL)
        await send_json(self._send, 200, terminal.response, self._of_the_host + self._headers)
