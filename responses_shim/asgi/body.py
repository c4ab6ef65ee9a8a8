"""A request's body: bytes within the limit, JSON, and a checked request; or one 4xx that says what is wrong."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from starlette.types import Receive, Scope

from responses_shim.asgi.decompress import Coding, Unpacked, read_codings, too_large
from responses_shim.core.wire.lenient_json import whole
from responses_shim.errors import InvalidRequest
from responses_shim.runtime.offload import offload_if_large


class ClientDisconnect(Exception):
    """The client left before its body had come."""


async def read_json(scope: Scope, receive: Receive, limit: int) -> tuple[Any, int]:
    """The body as plain JSON data, and of how many bytes that was read.

    Raises InvalidRequest: 415 for another media type or an unknown content coding, 413 over `limit` bytes, packed or
    unpacked, 400 for what is not in the coding it is said to be in, or not JSON. Raises ClientDisconnect.
    """
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    _check_media_type(headers.get(b"content-type", ""))
    # Of a list on several lines, the order counts.
    named = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"content-encoding"]
    codings = read_codings(",".join(named))
    declared = headers.get(b"content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > limit):
        raise too_large(limit)
    body = await _read(receive, limit, codings)
    return await offload_if_large(len(body), lambda: parse(body)), len(body)


def _check_media_type(content_type: str) -> None:
    media_type = content_type.split(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        said = f"got {media_type!r}" if media_type else "none was sent"
        raise InvalidRequest(
            f"Unsupported content type: expected 'application/json', {said}.",
            status=415,
            code="unsupported_content_type",
        )


async def _read(receive: Receive, limit: int, codings: list[Coding]) -> bytearray:
    body = Unpacked(codings, limit)
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise too_large(limit)
        await body.feed(part)
        more = message.get("more_body", False)
    body.end()
    return body.data


def parse(body: bytes | bytearray) -> Any:
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


def _parse_surrogates(body: bytes | bytearray, said: str) -> Any:
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
