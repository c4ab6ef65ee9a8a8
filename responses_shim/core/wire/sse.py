"""Server-sent events: the host's bytes into data payloads, and the framing of our own events."""

from __future__ import annotations

from functools import cache

DONE = b"data: [DONE]\n\n"
"""The end of a stream, after its terminal event."""
COMMENT = b": ping\n\n"
"""A comment, which keeps the connection alive and is no event."""

_BOM = b"\xef\xbb\xbf"


class SSEDecoder:
    """Bytes in, data payloads out, however the bytes are cut. Comments, `event:`, `id:` and `retry:` are passed over.

    Line ends are LF, CRLF or CR; several `data:` lines of one frame are joined by LF; a frame without data is none
    (WHATWG HTML, "Server-sent events"). Unlike a browser, `close` hands out a last frame that lacks its blank line:
    hosts end so.
    """

    def __init__(self) -> None:
        self.pending = False
        """A line or a frame has begun, and has not ended."""
        self._tail = b""  # bytes of a line whose end has not come
        self._data: list[bytes] = []  # the data lines of a frame whose blank line has not come
        self._fresh = True  # nothing has come: a byte order mark may

    def feed(self, data: bytes) -> list[bytes]:
        buffer = self._tail + data
        if self._fresh and buffer:
            if len(buffer) < 3 and _BOM.startswith(buffer):
                self._tail = buffer
                self.pending = True
                return []
            self._fresh = False
            buffer = buffer.removeprefix(_BOM)
        lines = buffer.splitlines(keepends=True)
        # A line that ends in CR may be going to end in CRLF.
        self._tail = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        return self._payloads(lines)

    def close(self) -> list[bytes]:
        """The payload of a frame that the end of the stream has cut short of its blank line, if there is one."""
        lines = [*self._tail.splitlines(), b""]
        self._tail = b""
        return self._payloads(lines)

    def _payloads(self, lines: list[bytes]) -> list[bytes]:
        payloads = []
        for line in lines:
            line = line.rstrip(b"\r\n")
            if line:
                name, _, value = line.partition(b":")
                if name == b"data":
                    self._data.append(value.removeprefix(b" "))
            elif self._data:
                payload = b"\n".join(self._data)
                self._data = []
                if payload:
                    payloads.append(payload)
        self.pending = bool(self._tail or self._data)
        return payloads


@cache
def sse_framing(event_type: str) -> tuple[bytes, bytes]:
    """The bytes before and after an event's JSON: `event: <type>`, `data: <json>`, blank line."""
    return b"event: %b\ndata: " % event_type.encode(), b"\n\n"
