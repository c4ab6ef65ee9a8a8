"""Server-sent events: the host's bytes into data payloads, our events into frames.

A frame goes out for every token, so `SSEEncoder` keeps, for the item and part that deltas are coming for, the bytes of
the frame up to the number, and puts number and delta behind them. (Coming in, `reader` has the short way.)
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from responses_shim.core.wire.events import DeltaEvent, Event, OutputTextDelta

DONE = b"data: [DONE]\n\n"
COMMENT = b": ping\n\n"

_BOM = b"\xef\xbb\xbf"
_json = msgspec.json.Encoder().encode


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


def encode(event: Event) -> bytes:
    """One event as one frame: `event: <type>`, `data: <json>`, blank line."""
    return b"event: %b\ndata: %b\n\n" % (event.wire_type.encode(), _json(event))


class SSEEncoder:
    """Frames for one response. `encode` for every event, with a template for the deltas of the open part.

    A delta's constant fields are encoded once per part: what changes from token to token is the number and the text.
    Two parts of one item that are open one after the other are of different kinds, so kind and item tell the part.
    """

    def __init__(self) -> None:
        self._kind: type[DeltaEvent] | None = None
        self._item_id = ""
        self._prefix = b""

    def encode(self, event: Event) -> bytes:
        if type(event) is not self._kind:
            return self._turn(event)
        delta: Any = event  # of the kind that the template is for, so a DeltaEvent
        if (
            delta.item_id is not self._item_id
            # `_plain`, spelt out: every token would pay for the call
            or delta.obfuscation is not UNSET
            or delta.generation_token_ids is not UNSET
            or (self._kind is OutputTextDelta and delta.logprobs)
        ):
            return self._turn(event)
        return b'%b%d,"delta":%b}\n\n' % (self._prefix, delta.sequence_number, _json(delta.delta))

    def _turn(self, event: Event) -> bytes:
        """Any other event. A delta makes the template for those after it."""
        if isinstance(event, DeltaEvent) and _plain(event):
            self._kind = type(event)
            self._item_id = event.item_id
            self._prefix = delta_prefix(event)
        else:
            self._kind = None
        return encode(event)


def _plain(delta: DeltaEvent) -> bool:
    """It carries nothing but number and text that the others of its part do not."""
    with_logprobs = isinstance(delta, OutputTextDelta) and bool(delta.logprobs)
    return delta.obfuscation is UNSET and delta.generation_token_ids is UNSET and not with_logprobs


def delta_prefix(event: DeltaEvent) -> bytes:
    """The bytes of a delta's frame up to the number; `,"delta":`, the delta and the end come behind it."""
    fields = msgspec.to_builtins(event)
    for changing in ("sequence_number", "delta"):
        del fields[changing]
    return b'event: %b\ndata: %b,"sequence_number":' % (event.wire_type.encode(), _json(fields)[:-1])
