"""Events as frames: each event's number and its bytes, framed as the receiver wants them.

A frame is `(number, data)`: the event's `sequence_number`, and its JSON between two byte strings that depend on the
type of the event. For server-sent events those are the `event` line with the beginning of the `data` line, and a blank
line; for a WebSocket or an event log both are empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import msgspec

from responses_shim.core.wire.events import Created, DeltaEvent, Event, InProgress, Queued
from responses_shim.core.wire.responses import Response

Frame: TypeAlias = "tuple[int, bytes]"
"""An event's sequence number, and its bytes."""
Framing: TypeAlias = "Callable[[str], tuple[bytes, bytes]]"
"""From an event type to the bytes before and after the event's JSON."""
Template: TypeAlias = bytes
"""The frames of one part, which differ in number and text: `template % (number, text)`.

The text is as it is in JSON, without its quotes.
"""

encode_json = msgspec.json.Encoder().encode
"""The compact JSON of an event or a value, in bytes."""
ENCODE_ERRORS = (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError)
"""What `encode_json` raises: for half a surrogate pair, integers that are too large, what is nested too deep."""
_NUMBER = b'"sequence_number":0'
_DELTA = b'"delta":""'


def can_be_encoded(value: object) -> bool:
    """Whether `encode_json` takes a value."""
    try:
        encode_json(value)
    except ENCODE_ERRORS:
        return False
    return True


class EventEncoder:
    """Makes the frames of one response."""

    def __init__(self, framing: Framing) -> None:
        self._framing = framing

    def encode(self, events: Iterable[Event]) -> list[Frame]:
        """A frame for each event. Raises one of `ENCODE_ERRORS` if there is one that cannot be encoded.

        `response.created` and the event that comes with it, `response.in_progress` or `response.queued`, hold the same
        response object, which is encoded once. That is not kept: a stream may stay open for long, and there may be
        thousands.
        """
        response: Response | None = None
        response_json = b""
        frames = []
        for event in events:
            before, after = self._framing(event.wire_type)
            if not isinstance(event, (Created, Queued, InProgress)):
                frames.append((event.sequence_number, b"".join((before, encode_json(event), after))))
                continue
            if event.response is not response:
                response, response_json = event.response, encode_json(event.response)
            head = b'{"type":"%b","sequence_number":%d,"response":' % (event.wire_type.encode(), event.sequence_number)
            frames.append((event.sequence_number, b"".join((before, head, response_json, b"}", after))))
        return frames

    def template(self, delta: DeltaEvent) -> Template:
        """The template of the frames that differ from that of `delta` in number and text only.

        `delta` has the number 0 and an empty text.
        """
        before, after = self._framing(delta.wire_type)
        head, _, rest = encode_json(delta).partition(_NUMBER)
        middle, _, tail = rest.partition(_DELTA)
        around = (before + head + _NUMBER[:-1], middle + _DELTA[:-1], _DELTA[-1:] + tail + after)
        return b"%b%%d%b%%b%b" % tuple(part.replace(b"%", b"%%") for part in around)
