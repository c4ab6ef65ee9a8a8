"""Which HTTP headers of a client are sent on to the host, and which of the host's are sent back to the client.

Dropped in both directions: headers of one connection (hop-by-hop, RFC 9110 §7.6.1), and headers that describe a body,
since the shim makes a body of its own each way.

A Connection header may list further headers of the connection, for an intermediary to remove. Of the host's that holds.
But a client's takes nothing away: the shim is no intermediary, since client and host are at the two ends of the same
connection. And the client could have a header removed that a proxy has set: X-Forwarded-For, Authorization.

X-Request-Id is the client's towards the client, and another for each call to the host: the client looks for its own id
in its logs, and some hosts make theirs the id of the chat completion, which must differ between calls.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Iterable
from typing import Literal

from starlette.types import Message, Send

from responses_shim.runtime.interfaces import RawHeaders

MAX_REQUEST_ID = 2048
"""The longest X-Request-Id of a client that is echoed, in bytes."""

_REQUEST_ID = re.compile(rb"[!-~]{1,%d}" % MAX_REQUEST_ID)

HOP_BY_HOP = frozenset(
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
"""The headers of one connection, which no intermediary passes on (RFC 9110 §7.6.1), in lower case."""
CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key", b"cookie"})
"""The headers of a client that show who it is."""

# They describe the client's request body or the answer that the client wants. The shim sends another body, and wants
# another answer.
_NOT_TO_HOST = HOP_BY_HOP | {b"accept", b"accept-encoding", b"expect", b"range", b"x-request-id"}
# They describe the host's own response, which is not the one that the client gets.
_NOT_FROM_HOST = HOP_BY_HOP | {b"cache-control", b"date", b"etag", b"location", b"server", b"x-accel-buffering"}
_FROM_PROBE = frozenset({b"retry-after", b"vary", b"www-authenticate"})


def headers_to_host(
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
    request_id: Literal["uuid4", "hex"],
    accept: bytes = b"text/event-stream",
) -> RawHeaders:
    """The headers of a call to the host with the JSON `body`: the client's, credentials included, then the shim's own.

    An empty body is that of a GET, which has no headers about it.

    Names come out in lower case. `request_id` is the form of the X-Request-Id, `HostProfile.request_id`: every call
    gets a new one, and llama-cpp-python refuses anything but a UUID.
    """
    call_id = uuid.uuid4()
    return [
        *[
            (lower, value)
            for name, value in headers
            if (lower := name.lower()) not in _NOT_TO_HOST and not lower.startswith((b"content-", b"if-"))
        ],
        (b"accept", accept),
        *([(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))] if body else ()),
        (b"x-request-id", (str(call_id) if request_id == "uuid4" else call_id.hex).encode()),
    ]


def headers_from_host(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """The headers of the host's answer that the client gets too: CORS, cookies, the request id and the like.

    Names come out in lower case; order and duplicates (Set-Cookie, Vary) stay.
    """
    return [
        (name, value)
        for name, value in end_to_end(headers)
        if name not in _NOT_FROM_HOST and not name.startswith(b"content-")
    ]


def headers_from_probe(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """The headers of the host's answer to a probe that the client gets: CORS, Vary, WWW-Authenticate, Retry-After.

    No others: several requests may share the answer, and a cookie, for example, is for one of them.
    """
    return [
        (name, value)
        for name, value in headers_from_host(headers)
        if name in _FROM_PROBE or name.startswith(b"access-control-")
    ]


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The client's X-Request-Id, the first if there are several; None if it has none that can be echoed.

    An id of anything but visible ASCII, or of more than `MAX_REQUEST_ID` bytes, is not echoed.
    """
    given = next((value for name, value in headers if name.lower() == b"x-request-id"), b"")
    return given if _REQUEST_ID.fullmatch(given) else None


def echoing(request_id: bytes, send: Send) -> Send:
    """A `send` that puts the client's X-Request-Id into the start of the answer, in place of the host's."""

    def send_with_id(message: Message) -> Awaitable[None]:  # no coroutine itself: every token passes here
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            others = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"x-request-id"]
            message = {**message, "headers": [*others, (b"x-request-id", request_id)]}
        return send(message)

    return send_with_id


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """The headers, their names in lower case, without those that a Connection header lists (RFC 9110 §7.6.1)."""
    pairs = [(name.lower(), value) for name, value in headers]
    listed = {token.strip().lower() for name, value in pairs if name == b"connection" for token in value.split(b",")}
    return [pair for pair in pairs if pair[0] not in listed] if listed else pairs
