"""A request's body: bytes within the limit, JSON, and a checked request; or one 4xx that says what is wrong."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from starlette.types import Receive, Scope

from responses_shim.core.chat import whole
from responses_shim.errors import InvalidRequest


class ClientDisconnect(Exception):
    """The client left before its body had come."""


async def read_json(scope: Scope, receive: Receive, limit: int) -> Any:
    """The body as plain JSON data.

    Raises InvalidRequest: 415 for another media type or a content coding, 413 over `limit` bytes, 400 for what is
    not JSON. Raises ClientDisconnect.
    """
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    _check_media_type(headers.get(b"content-type", ""))
    coding = headers.get(b"content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise InvalidRequest(
            f"Content-Encoding {coding!r} is not supported here; send the body as it is.",
            status=415,
            code="unsupported_content_encoding",
        )
    declared = headers.get(b"content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > limit):
        raise _too_large(limit)
    return parse(await _read(receive, limit))


def _check_media_type(content_type: str) -> None:
    media_type = content_type.split(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        said = f"got {media_type!r}" if media_type else "none was sent"
        raise InvalidRequest(
            f"Unsupported content type: expected 'application/json', {said}.",
            status=415,
            code="unsupported_content_type",
        )


async def _read(receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> InvalidRequest:
    return InvalidRequest(
        f"The request body is larger than the {limit} bytes allowed here.",
        status=413,
        code="request_too_large",
    )


def parse(body: bytes) -> Any:
    """JSON data. Half surrogate pairs, which JavaScript clients send when they cut a text, become U+FFFD."""
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise _not_json("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise _not_json("it is not UTF-8") from None
    except msgspec.DecodeError as error:
        if b"\\ud" in body or b"\\uD" in body:
            return _parse_surrogates(body, str(error))
        raise _not_json(str(error)) from None


def _parse_surrogates(body: bytes, said: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    try:
        data = json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise _not_json(said) from None
    # The text of the data has its halves next to one another or alone; UTF-16 knows which is which.
    return msgspec.json.decode(whole(json.dumps(data, ensure_ascii=False)).encode())


def _not_json(why: str) -> InvalidRequest:
    return InvalidRequest(f"The request body is not valid JSON: {why}.", code="invalid_json")
