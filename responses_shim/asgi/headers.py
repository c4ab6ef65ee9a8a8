"""Which headers go inward to the host's chat route, and which come back out."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Literal

Pairs = list[tuple[bytes, bytes]]

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# Said of the body that came, or of the answer that was asked for: neither is the one that goes in.
_NOT_INWARD = _HOP_BY_HOP | {b"accept", b"accept-encoding", b"expect", b"range", b"x-request-id"}
# Said of the body that the host sent, which is not the one that goes out.
_NOT_OUTWARD = _HOP_BY_HOP | {b"cache-control", b"date", b"etag", b"location", b"server", b"x-accel-buffering"}


def inward(
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
    request_id: Literal["uuid4", "hex"],
    accept: bytes = b"text/event-stream",
) -> Pairs:
    """The client's headers, credentials included, for a call with `body`, a chat call as a rule.

    Every call gets an X-Request-Id of its own, in the form that the host takes: some hosts make it the id of the
    chat completion, which must differ between calls; llama-cpp-python refuses anything but a UUID.
    """
    id = uuid.uuid4()
    return [
        *(
            (name, value)
            for name, value in _unnamed(headers)
            if name not in _NOT_INWARD and not name.startswith((b"content-", b"if-"))
        ),
        (b"accept", accept),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", (str(id) if request_id == "uuid4" else id.hex).encode()),
    ]


def outward(headers: Iterable[tuple[bytes, bytes]]) -> Pairs:
    """The host's headers for our answer: CORS, cookies, its request id; duplicates stay, framing goes."""
    return [
        (name, value)
        for name, value in _unnamed(headers)
        if name not in _NOT_OUTWARD and not name.startswith(b"content-")
    ]


def _unnamed(headers: Iterable[tuple[bytes, bytes]]) -> Pairs:
    """Lower-case names, without those that a Connection header names."""
    pairs = [(name.lower(), value) for name, value in headers]
    named = {token.strip().lower() for name, value in pairs if name == b"connection" for token in value.split(b",")}
    return [pair for pair in pairs if pair[0] not in named] if named else pairs
