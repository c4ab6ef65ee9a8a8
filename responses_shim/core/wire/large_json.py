"""JSON of large values, written in no more memory than it has bytes.

`msgspec` has each string that is not ASCII give it its UTF-8, which Python then keeps in the string as long as that
lives. One with an emoji takes four bytes for each character, and five from then on. So a long one is cut into pieces,
and only a piece at a time has its UTF-8 kept.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import msgspec

PIECE = 64 * 1024
"""How many characters of a long string are written in one go."""

_encode = msgspec.json.Encoder().encode


def encode_large(value: object) -> bytes:
    """The JSON of a value, byte for byte as `msgspec` writes it.

    Long strings are looked for in its dicts and lists only, and the keys of dicts must be strings.
    """
    if not has_long_text(value):
        return _encode(value)
    buffer = BytesIO()
    write_json(value, buffer.write)
    return buffer.getvalue()  # not a copy


def has_long_text(value: object) -> bool:
    """Whether a value is, or has in it, a string of more than `PIECE` characters that are not all ASCII."""
    if isinstance(value, str):
        return _is_long(value)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        # A call for each string would take most of the time.
        if _is_long(inner) if isinstance(inner, str) else isinstance(inner, (dict, list)) and has_long_text(inner):
            return True
    return False


def _is_long(text: str) -> bool:
    return len(text) > PIECE and not text.isascii()


def write_json(
    value: object,
    write: Callable[[bytes], object],
    encode: Callable[[object], bytes] = _encode,
    comma: bytes = b",",
    colon: bytes = b":",
) -> None:
    """Write the JSON of a value part by part: a long string in pieces, and what has none in it as `encode` gives it."""
    if not has_long_text(value):
        write(encode(value))
    elif isinstance(value, str):
        write(b'"')
        for start in range(0, len(value), PIECE):
            write(_encode(value[start : start + PIECE])[1:-1])
        write(b'"')
    elif isinstance(value, dict):
        separator = b"{"
        for key, inner in value.items():
            write(separator + _encode(key) + colon)
            write_json(inner, write, encode, comma, colon)
            separator = comma
        write(b"}")
    else:
        assert isinstance(value, list)
        separator = b"["
        for inner in value:
            write(separator)
            write_json(inner, write, encode, comma, colon)
            separator = comma
        write(b"]")
