"""Server-sent events: a decoder for the host's bytes, and the framing of our own events."""

from __future__ import annotations

from functools import cache

from responses_shim.core.wire.json_end import JSONEnd

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
    but `error`, which mean nothing in a chat stream, are ignored too. Unlike in a browser,

    - `close` gives a last frame that lacks its blank line, because some hosts end so.
    - Raw line ends in a string of a JSON object belong to it, as some hosts write them:

          data: {"content": "One.

          Two."}

      Data that ends within a string goes on with the next line, whatever that is, and ends at the next `data:`.
    """

    def __init__(self) -> None:
        self.pending = False
        """Whether a line or a frame has begun and not ended, as far as that matters."""
        self._tail: list[bytes] = []  # of a line whose end has not come: joined once it has
        self._data: list[bytes] = []  # the data lines of a frame whose blank line has not come
        self._is_error = False  # that frame has `event: error`
        self._is_cut = False  # that frame has had a blank line within a string
        self._string: JSONEnd | None = None  # follows the data of a frame that goes on behind a raw line end
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
        return [*self._payloads(lines), *self._end_frame()]

    def _payloads(self, lines: list[bytes]) -> list[bytes]:
        payloads = []
        for line in lines:
            line = line.rstrip(b"\r\n")
            name, _, value = line.partition(b":")
            if name == b"data":
                if self._is_cut:
                    payloads += self._end_frame()
                self._add_data(value.removeprefix(b" "))
            elif self._ends_in_string(line):
                self._is_cut = self._is_cut or not line
                self._add_data(line)
            elif name == b"event":
                self._is_error = value.strip() == b"error"
            elif not line:
                payloads += self._end_frame()
        self.pending = bool(self._tail or self._data or self._is_error)
        return payloads

    def _add_data(self, line: bytes) -> None:
        self._data.append(line)
        if self._string is not None:
            self._string.feed("\n" + line.decode("latin-1"))

    def _ends_in_string(self, line: bytes) -> bool:
        """Whether the data before a line is a JSON object that ends within a string, so that the line belongs to it."""
        if self._string is None:
            if not self._data or not self._data[0].startswith(b"{"):
                return False
            if not line and self._data[-1].rstrip().endswith(b"}"):  # as a rule: the object is complete
                return False
            self._string = JSONEnd()
            self._string.feed(b"\n".join(self._data).decode("latin-1"))  # quotes and backslashes are ASCII
        return self._string.in_string

    def _end_frame(self) -> list[bytes]:
        """The data of the frame, if it has any, and the beginning of the next one."""
        payload = b"\n".join(self._data)
        payload, is_error = payload.rstrip(b"\n") if self._is_cut else payload, self._is_error
        self._data, self._is_error, self._is_cut, self._string = [], False, False, None
        if not payload:
            return []
        return [ErrorData(payload) if is_error else payload]


@cache
def sse_framing(event_type: str) -> tuple[bytes, bytes]:
    """The bytes before and after an event's JSON: `event: <type>`, `data: <json>`, blank line."""
    return b"event: %b\ndata: " % event_type.encode(), b"\n\n"
