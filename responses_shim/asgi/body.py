"""Read a request body: check its media type and size, decompress it, and parse it as JSON."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.types import Receive, Scope

from responses_shim.asgi.decompress import Coding, DecompressedBody, read_codings, too_large
from responses_shim.core.wire.lenient_json import join_surrogates
from responses_shim.errors import InvalidRequest
from responses_shim.runtime.offload import offload_if_large

SMALL_BODY = 64 * 1024
"""The largest body, in bytes, that is read before it is known whether the host lets the client in.

It is decoded and translated in a millisecond or two, which is no more than a server takes to refuse a key.
"""


class ClientDisconnect(Exception):
    """The client left before it had sent its complete body."""


async def read_json(
    scope: Scope, receive: Receive, limit: int, admit: Callable[[], Awaitable[None]]
) -> tuple[Any, int]:
    """The body as JSON data (dict, list, str, …), and its size in bytes after decompression.

    `admit` returns if the host lets the client in, and raises ShimError if not. It is called before more than
    `SMALL_BODY` is read, and before anything is unpacked.

    Raises InvalidRequest: 415 for a media type other than JSON or an unknown content coding; 413 for more than `limit`
    bytes, before or after decompression; 400 for bytes that are not in the content coding that the header names, or
    not JSON. Raises ClientDisconnect.
    """
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    _check_media_type(headers.get(b"content-type", ""))
    # Content-Encoding is a list, and may be split into several headers, whose order counts.
    codings = read_codings(
        ",".join(value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"content-encoding")
    )
    declared = headers.get(b"content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > limit):
        raise too_large(limit)
    if declared.isdecimal() and int(declared) > SMALL_BODY:
        await admit()  # before the client has sent it
    body = await _read(receive, limit, codings, admit)
    return await offload_if_large(len(body), lambda: parse_json(body)), len(body)


def _check_media_type(content_type: str) -> None:
    media_type = content_type.split(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        got = f"got {media_type!r}" if media_type else "none was sent"
        raise InvalidRequest(
            f"Unsupported content type: expected 'application/json', {got}.",
            status=415,
            code="unsupported_content_type",
        )


async def _read(receive: Receive, limit: int, codings: list[Coding], admit: Callable[[], Awaitable[None]]) -> bytearray:
    body = DecompressedBody(codings, limit)
    received = 0
    admitted = False
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        received += len(part)
        if received > limit:
            raise too_large(limit)
        if not admitted and (codings or received > SMALL_BODY):
            await admit()
            admitted = True
        await body.feed(part)
        more = message.get("more_body", False)
    body.end()
    return body.data


def parse_json(body: bytes | bytearray) -> Any:
    """The JSON data in a body. Raises InvalidRequest if it is not JSON, not UTF-8 or nested too deeply.

    JSON in UTF-16 or UTF-32, which RFC 8259 §8.1 no longer allows, is recognised, for an error that says so.

    Half a surrogate pair, which JavaScript clients send when they cut a text in the middle of an emoji, is no JSON that
    msgspec reads. It becomes U+FFFD here: `"a\\ud83d"` is read as `"a\\ufffd"`.
    """
    if encoding := _other_encoding(body[:4]):
        raise _not_json(f"it is {encoding}, not UTF-8")
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


def _other_encoding(start: bytes | bytearray) -> str | None:
    """The name of the encoding of JSON that begins with these four bytes, if it is UTF-16 or UTF-32; else None.

    It begins with a byte order mark, or else with an ASCII character, which has NULs beside it.
    """
    is_nul = [not byte for byte in start]
    if start.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")) or is_nul in ([0, 1, 1, 1], [1, 1, 1, 0]):
        return "UTF-32"
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or is_nul[:2] in ([0, 1], [1, 0]):
        return "UTF-16"
    return None


def _parse_surrogates(body: bytes | bytearray, reason: str) -> Any:
    """The JSON data in a body that has escaped surrogates.

    `reason` is msgspec's error, for a body that is invalid for another reason.
    """

    def refuse_constant(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    try:
        data = json.loads(body, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        raise _not_json(reason) from None
    # Python's parser leaves halves of pairs in its strings. Written without escapes, and brought into UTF-16 and
    # back, two halves that belong together are one character, and a half that is alone is U+FFFD.
    return msgspec.json.decode(join_surrogates(json.dumps(data, ensure_ascii=False)).encode())


def _not_json(reason: str) -> InvalidRequest:
    return InvalidRequest(f"The request body is not valid JSON: {reason}.", code="invalid_json")
