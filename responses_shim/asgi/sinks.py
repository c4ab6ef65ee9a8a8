"""The two sinks of an HTTP request: an event stream, or one JSON object."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from starlette.types import Send

from responses_shim.asgi.replies import send_encoded
from responses_shim.core.response.encoder import Frame, Framing
from responses_shim.core.wire.responses import Response
from responses_shim.core.wire.sse import COMMENT, DONE, sse_framing
from responses_shim.runtime.interfaces import RawHeaders
from responses_shim.runtime.writer import LARGE

EVENT_STREAM: RawHeaders = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would gather a stream into blocks
]
"""The headers of an event stream."""


class EventStreamSink:
    """Server-sent events, as they come. `headers` are the shim's own; the host's come before them."""

    framing: Framing | None = staticmethod(sse_framing)

    def __init__(self, send: Send, headers: RawHeaders) -> None:
        self._send = send
        self._headers = headers

    def begin(self, headers: RawHeaders) -> Awaitable[None]:
        start = [*headers, *self._headers, *EVENT_STREAM]
        return self._send({"type": "http.response.start", "status": 200, "headers": start})

    def write(self, frame: Frame) -> Awaitable[None]:
        send = self._send  # Python looks an attribute up slowly where it is called, unless it is a method
        return send({"type": "http.response.body", "body": frame[1], "more_body": True})

    def write_all(self, frames: Sequence[Frame]) -> Awaitable[None]:
        body = b"".join([data for _, data in frames]) or COMMENT
        return self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def finish(self, frames: Sequence[Frame], response: Response) -> None:
        data = [data for _, data in frames]
        if sum(map(len, data)) > LARGE:  # not once more in memory, joined to the last line
            await self.write_all(frames)
            data.clear()
        await self._send({"type": "http.response.body", "body": b"".join([*data, DONE]), "more_body": False})


class JSONSink:
    """Sends nothing until the end, then the response as one JSON object."""

    framing: Framing | None = None

    def __init__(self, send: Send, headers: RawHeaders) -> None:
        self._send = send
        self._headers = headers
        self._host_headers: RawHeaders = []

    async def begin(self, headers: RawHeaders) -> None:
        self._host_headers = headers

    async def write(self, frame: Frame) -> None:
        raise AssertionError("a response that is not streamed has no frames")

    async def write_all(self, frames: Sequence[Frame]) -> None:
        raise AssertionError("a response that is not streamed has no frames")

    async def finish(self, frames: Sequence[Frame], response: Response) -> None:
        ((_, data),) = frames  # the JSON of the response
        await send_encoded(self._send, 200, data, self._host_headers + self._headers)
