"""Which HTTP headers of a client are sent on to the host, and which of the host's are sent back to the client.

Dropped in both directions: headers of one connection (hop-by-hop, RFC 9110 §7.6.1), and headers that describe a body,
since the shim makes a body of its own each way.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Literal

from responses_shim.runtime.interfaces import RawHeaders

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
# They describe the client's request body or the answer that the client wants. The shim sends another body, and wants
# another answer.
_NOT_TO_HOST = _HOP_BY_HOP | {b"accept", b"accept-encoding", b"expect", b"range", b"x-request-id"}
# They describe the host's own response, which is not the one that the client gets.
_NOT_FROM_HOST = _HOP_BY_HOP | {b"cache-control", b"date", b"etag", b"location", b"server", b"x-accel-buffering"}


def headers_to_host(
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
    request_id: Literal["uuid4", "hex"],
    accept: bytes = b"text/event-stream",
) -> RawHeaders:
    """The headers of a call to the host with the JSON `body`: the client's, credentials included, then the shim's own.

    Names come out in lower case. `request_id` is the form of the X-Request-Id, `HostProfile.request_id`: every call
    gets a new one, since some hosts make it the id of the chat completion, which must differ between calls, and
    llama-cpp-python refuses anything but a UUID.
    """
    call_id = uuid.uuid4()
    return [
        *(
            (name, value)
            for name, value in _end_to_end(headers)
            if name not in _NOT_TO_HOST and not name.startswith((b"content-", b"if-"))
        ),
        (b"accept", accept),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", (str(call_id) if request_id == "uuid4" else call_id.hex).encode()),
    ]


def headers_from_host(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """The headers of the host's answer that the client gets too: CORS, cookies, the request id and the like.

    Names come out in lower case; order and duplicates (Set-Cookie, Vary) stay.
    """
    return [
        (name, value)
        for name, value in _end_to_end(headers)
        if name not in _NOT_FROM_HOST and not name.startswith(b"content-")
    ]


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """The headers in lower case, without those that a Connection header lists (RFC 9110 §7.6.1)."""
    pairs = [(name.lower(), value) for name, value in headers]
    listed = {token.strip().lower() for name, value in pairs if name == b"connection" for token in value.split(b",")}
    return [pair for pair in pairs if pair[0] not in listed] if listed else pairs
