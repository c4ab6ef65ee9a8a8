"""Read a request body: check its media type and size, decompress it, and parse it as JSON."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw
from starlette.types import Receive, Scope

from responses_shim.asgi.decompress import Coding, DecompressedBody, read_coding, too_large
from responses_shim.core.wire.json_limits import check_json_limits
from responses_shim.core.wire.validation import quoted
from responses_shim.errors import InvalidRequest
from responses_shim.runtime.offload import INLINE_LIMIT, offload, offload_if_large
from responses_shim.settings import Settings

Result = TypeVar("Result")

NODE_COST = 50
"""As how many bytes of text an array, an object or a key counts: it takes as long to decode and to translate."""

SMALL_BODY = 64 * 1024
"""The largest body, in bytes, that is read before it is known whether the host lets the client in.

It is decoded and translated in a millisecond or two, which is no more than a server takes to refuse a key; unless it is
made of more than `SMALL_NODES`.
"""

SMALL_NODES = 2_000
"""The most arrays, objects and keys of a body that is decoded before that is known. Twenty tools have about a thousand.

In 64 kB there is room for ten thousand, whose translation takes fifteen times as long.
"""


class ClientDisconnect(Exception):
    """The client left before it had sent its complete body."""


async def read_json(
    scope: Scope, receive: Receive, settings: Settings, admit: Callable[[], Awaitable[None]]
) -> tuple[Any, int]:
    """The body as JSON data (dict, list, str, …), and how large it is to work on (see `decode_json`).

    `admit` is that of `read_body`. Raises what `read_body` and `decode_json` raise.
    """
    body = await read_body(scope, receive, settings, admit)
    return await decode_json(body, settings, admit, lambda data, size: (data, size))


async def read_body(
    scope: Scope, receive: Receive, settings: Settings, admit: Callable[[], Awaitable[None]]
) -> bytearray:
    """The body, unpacked, which is JSON by its media type.

    `admit` returns if the host lets the client in, and raises ShimError if not. It is called before more than
    `SMALL_BODY` is read, and before anything is unpacked.

    Raises InvalidRequest: 415 for a media type other than JSON, an unknown content coding or several; 413 for more than
    `max_body` bytes, before or after decompression; 400 for bytes that are not in the content coding that the header
    names. Raises ClientDisconnect.
    """
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    _check_media_type(headers.get(b"content-type", ""))
    # Content-Encoding is a list, and may be split into several headers.
    coding = read_coding(
        ",".join(value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"content-encoding")
    )
    limit = settings.max_body
    declared = headers.get(b"content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > limit):
        raise too_large(limit)
    if declared.isdecimal() and int(declared) > SMALL_BODY:
        await admit()  # before the client has sent it
    return await _read(receive, limit, coding, admit)


split_fields = msgspec.json.Decoder(dict[str, Raw]).decode
"""The fields of a JSON object, each as the piece of JSON that its value is."""
split_entries = msgspec.json.Decoder(list[Raw]).decode
"""The entries of a JSON array, each as the piece of JSON that it is."""


async def decode_json(
    body: bytes | bytearray,
    settings: Settings,
    admit: Callable[[], Awaitable[None]],
    read: Callable[[Any, int], Result],
    counted: bytes | None = None,
    parse: Callable[[bytes | bytearray, int, int, int], Any] | None = None,
) -> Result:
    """What `read` makes of a body's JSON data and of how large that is to work on.

    That is the size in bytes, and `NODE_COST` for each array, object and key: a body of 60 kB may have 20,000 of them.
    What is large is decoded and read in a thread, in one go: each change of threads takes a tenth of a millisecond.
    `counted` is the JSON of those parts whose nodes are counted, if no other part can break a limit. `parse` decodes
    the body, which has so many nodes and values, in the place of `parse_json`, and sees to it that it has no more nodes
    than the last number says. `admit` is that of `read_body`; it is called before more than `SMALL_NODES` are decoded.

    Raises InvalidRequest: 413 for more of anything than the settings allow; 400 for what is not JSON, or nested too
    deep. What `read` and `admit` raise is raised here.
    """
    allowed = allowed_nodes(len(body), settings.max_nodes)
    max_nodes = allowed if parse is None else settings.max_nodes

    def count() -> tuple[int, int]:
        text = body if counted is None else counted
        return check_json_limits(text, settings.max_text, max_nodes, settings.max_values)

    def decode(nodes: int, values: int) -> Result:
        size = len(body) + NODE_COST * nodes
        return read(parse_json(body) if parse is None else parse(body, nodes, values, allowed), size)

    if len(body) > INLINE_LIMIT:  # so `read_body` has called `admit`
        return await offload(lambda: decode(*count()))
    nodes, values = count()
    if nodes > SMALL_NODES:
        await admit()
    return await offload_if_large(len(body) + NODE_COST * nodes, lambda: decode(nodes, values))


def allowed_nodes(size: int, max_nodes: int) -> int:
    """How many arrays, objects and keys a body of that many bytes may have, if any may have `max_nodes`.

    One of more than `INLINE_LIMIT` may have a fifth of them, and more with its size, all of them from 3.6 MB on. By
    default that is 20,000, and one for each 45 bytes; a coding agent's conversation has one for each 65 to 100 bytes.
    Each takes up to 150 bytes when it is decoded, and more when it is translated.
    """
    if size <= INLINE_LIMIT:
        return max_nodes
    return min(max_nodes, max_nodes // 5 + max_nodes * size // 4_500_000)


def _check_media_type(content_type: str) -> None:
    media_type = content_type.split(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        got = f"got {quoted(media_type)}" if media_type else "none was sent"
        raise InvalidRequest(
            f"Unsupported content type: expected 'application/json', {got}.",
            status=415,
            code="unsupported_content_type",
        )


async def _read(receive: Receive, limit: int, coding: Coding | None, admit: Callable[[], Awaitable[None]]) -> bytearray:
    body = DecompressedBody(coding, limit)
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
        if not admitted and (coding is not None or received > SMALL_BODY):
            await admit()
            admitted = True
        await body.feed(part)
        more = message.get("more_body", False)
    body.end()
    return body.data


def parse_json(body: bytes | bytearray) -> Any:
    """The JSON data in a body that keeps the limits. Raises InvalidRequest if it is not JSON or not UTF-8.

    JSON in UTF-16 or UTF-32, which RFC 8259 §8.1 no longer allows, is recognised, for an error that says so.

    Half a surrogate pair, which JavaScript clients send when they cut a text in the middle of an emoji, is no JSON that
    msgspec reads. It becomes U+FFFD here: `"a\\ud83d"` is read as `"a\\ufffd"`.
    """
    if encoding := _other_encoding(body[:4]):
        raise _not_json(f"it is {encoding}, not UTF-8")
    try:
        return _decode(body)
    except msgspec.DecodeError as error:
        if b"\\ud" not in body and b"\\uD" not in body:
            raise _not_json(str(error)) from None
    try:
        return _decode(_without_halves(body))
    except msgspec.DecodeError as error:
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


def _decode(body: bytes | bytearray) -> Any:
    try:
        return msgspec.json.decode(body)
    except UnicodeDecodeError:
        raise _not_json("it is not UTF-8") from None
    except RecursionError:  # of a server that calls the shim at the end of its stack
        raise _not_json("it is nested too deep") from None


_HIGH = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (_HIGH, _LOW, _HIGH, _LOW))
_STEP = 64 * 1024  # bytes that are searched in one go, during which no other thread can run
_PAIR = 12  # bytes


def _without_halves(body: bytes | bytearray) -> bytearray:
    """The body with each escaped half of a surrogate pair that lacks its other half as `\\ufffd`, just as long."""
    # An escaped backslash before the letter u is no escape of a character. It is written as two bytes that are not
    # allowed in JSON, and put back in the end.
    if b"\x01" in body:
        raise _not_json("it has a control character")
    hidden = body.replace(b"\\\\", b"\x01\x01")
    result = bytearray()
    for start in range(0, len(hidden), _STEP):
        # Each piece is searched with so much around it that no pair is cut.
        first = max(0, start - _PAIR)
        searched = _HALF.sub(rb"\\ufffd", bytes(hidden[first : start + _STEP + _PAIR]))
        result += searched[start - first : start - first + _STEP]
    return result.replace(b"\x01\x01", b"\\\\")


def _not_json(reason: str) -> InvalidRequest:
    return InvalidRequest(f"The request body is not valid JSON: {reason}.", code="invalid_json")
