"""Server-sent events: a decoder for the host's bytes, and the framing of our own events."""

from __future__ import annotations

from functools import cache

DONE = b"data: [DONE]\n\n"
"""The last frame of a stream, after the terminal event, as OpenAI's service sends it."""
COMMENT = b": ping\n\n"
"""A comment: it keeps the connection alive, and no client sees an event."""

_BOM = b"\xef\xbb\xbf"


class ErrorData(bytes):
    """The data of a frame with `event: error`: an error even if it is plain text."""


class SSEDecoder:
    """Decodes an event stream into the data of its frames, wherever the bytes are cut.

    As the standard demands (WHATWG HTML, "Server-sent events"): line ends are LF, CRLF or CR; several `data:` lines of
    one frame are joined by LF; a frame without data is ignored, and so are comments. `id:`, `retry:` and any `event:`
    but `error`, which mean nothing in a chat stream, are ignored too. Unlike a browser, `close` gives a last frame that
    lacks its blank line, because some hosts end so.
    """

    def __init__(self) -> None:
        self.pending = False
        """Whether a line or a frame has begun and not ended, as far as that matters."""
        self._tail: list[bytes] = []  # of a line whose end has not come: joined once it has
        self._data: list[bytes] = []  # the data lines of a frame whose blank line has not come
        self._is_error = False  # that frame has `event: error`
        self._at_start = True  # of the stream, where a byte order mark may be

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the frames that these bytes complete."""
        if not data:
            return []
        if self._tail and not (self._at_start or self._tail[-1].endswith(b"\r") or b"\n" in data or b"\r" in data):
            self._tail.append(data)
            return []
        buffer = b"".join([*self._tail, data])
        if self._at_start:
            if len(buffer) < 3 and _BOM.startswith(buffer):
                self._tail = [buffer]
                self.pending = True
                return []
            self._at_start = False
            buffer = buffer.removeprefix(_BOM)
        lines = buffer.splitlines(keepends=True)
        # The LF of a line that ends in CR may still come.
        self._tail = [lines.pop()] if lines and not lines[-1].endswith(b"\n") else []
        return self._payloads(lines)

    def close(self) -> list[bytes]:
        """The data of a last frame without a blank line, if there is one. The bytes have ended."""
        lines = [*b"".join(self._tail).splitlines(), b""]
        self._tail = []
        return self._payloads(lines)

    def _payloads(self, lines: list[bytes]) -> list[bytes]:
        payloads = []
        for line in lines:
            line = line.rstrip(b"\r\n")
            if line:
                name, _, value = line.partition(b":")
                if name == b"data":
                    self._data.append(value.removeprefix(b" "))
                elif name == b"event":
                    self._is_error = value.strip() == b"error"
            else:
                if payload := b"\n".join(self._data):
                    payloads.append(ErrorData(payload) if self._is_error else payload)
                self._data, self._is_error = [], False
        self.pending = bool(self._tail or self._data or self._is_error)
        return payloads


@cache
def sse_framing(event_type: str) -> tuple[bytes, bytes]:
    """The bytes before and after an event's JSON: `event: <type>`, `data: <json>`, blank line."""
    return b"event: %b\ndata: " % event_type.encode(), b"\n\n"
