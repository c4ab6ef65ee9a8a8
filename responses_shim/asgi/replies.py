"""Answers that are one JSON body: a response, an error."""

from __future__ import annotations

from contextlib import suppress

import anyio
import msgspec
from starlette.types import Send

from responses_shim.errors import ShimError
from responses_shim.runtime.interfaces import RawHeaders

DEFAULT_WRITE_TIMEOUT = 60.0
"""Seconds for a write, where there are no settings that say it."""


async def send_json(send: Send, status: int, body: object, headers: RawHeaders) -> None:
    """Send `body` as JSON, with `headers` before those of the body. Raises OSError if the client is gone."""
    await send_encoded(send, status, msgspec.json.encode(body), headers)


async def send_encoded(send: Send, status: int, data: bytes, headers: RawHeaders) -> None:
    """As `send_json`, for a body that is JSON already."""
    length = (b"content-length", b"%d" % len(data))
    start = [*headers, (b"content-type", b"application/json"), length]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": data, "more_body": False})


async def send_error(
    send: Send, error: ShimError, headers: RawHeaders, *, timeout: float = DEFAULT_WRITE_TIMEOUT
) -> None:
    """Send an error in OpenAI's form, with its status.

    Does nothing if the client has left, and gives up on one that has taken nothing for `timeout` seconds.
    """
    # The headers of an interceptor's error may hold any text. What Latin-1 lacks becomes "?", rather than an exception
    # in the host.
    own = [
        (name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in error.headers
    ]
    with suppress(OSError), anyio.move_on_after(timeout):
        await send_json(send, error.status, error.body(), own + headers)
