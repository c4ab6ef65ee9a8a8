"""JSON of large values, written in no more memory than it has bytes.

`msgspec` has each string that is not ASCII give it its UTF-8, which Python then keeps in the string as long as that
lives. One with an emoji takes four bytes for each character, and five from then on. So a long one is cut into pieces,
and only a piece at a time has its UTF-8 kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO

import msgspec
from msgspec import Raw

LARGE = 500_000
"""From which size of a request on, in bytes, long texts are looked for: in a smaller one little is gained by it."""

PIECE = 64 * 1024
"""How many characters of a long string are written in one go."""

Text = str | Raw
"""A text of a chat request: a string or, if it is long, not ASCII, and was put together here, the JSON of one.

A string with an emoji takes four bytes for each character, so there is not to be another one beside that of the item.
"""

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


def size_of_json(value: object) -> int:
    """How many bytes the JSON of a value has, which is not kept if it has long texts."""
    size = 0

    def count(part: bytes) -> None:
        nonlocal size
        size += len(part)

    write_json(value, count)
    return size


def has_long_text(value: object) -> bool:
    """Whether a value is, or has in it, a string of more than `PIECE` characters that are not all ASCII."""
    return _find_long_texts(value, set())


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
    containers: set[int] = set()
    _find_long_texts(value, containers)
    _write_json(value, write, encode, comma, colon, containers)


def _find_long_texts(value: object, containers: set[int]) -> bool:
    """Whether a value is or has in it a long text. Adds the ids of the dicts and lists that have: each is seen once."""
    if isinstance(value, str):
        return _is_long(value)
    found = False
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(inner, str):
            # a call for each string would take most of the time
            found |= len(inner) > PIECE and not inner.isascii()
        elif isinstance(inner, (dict, list)):
            found |= _find_long_texts(inner, containers)
    if found:
        containers.add(id(value))
    return found


def _write_json(
    value: object,
    write: Callable[[bytes], object],
    encode: Callable[[object], bytes],
    comma: bytes,
    colon: bytes,
    containers: set[int],
) -> None:
    if not (_is_long(value) if isinstance(value, str) else id(value) in containers):
        write(encode(value))
    elif isinstance(value, str):
        write(b'"')
        _write_characters(value, write)
        write(b'"')
    elif isinstance(value, dict):
        separator = b"{"
        for key, inner in value.items():
            write(separator + _encode(key) + colon)
            _write_json(inner, write, encode, comma, colon, containers)
            separator = comma
        write(b"}")
    else:
        assert isinstance(value, list)
        separator = b"["
        for inner in value:
            write(separator)
            _write_json(inner, write, encode, comma, colon, containers)
            separator = comma
        write(b"]")


def joined(texts: Sequence[Text], separator: str = "") -> Text:
    """Texts with a separator between them, as a text of a chat request. One alone is that text."""
    if len(texts) < 2:
        return texts[0] if texts else ""
    strings = [text for text in texts if isinstance(text, str)]
    if len(strings) == len(texts) and (sum(map(len, strings)) <= PIECE or all(map(str.isascii, strings))):
        return separator.join(strings)
    return _json_text(texts, separator)


def json_text(
    value: object, encode: Callable[[object], bytes] = _encode, comma: bytes = b",", colon: bytes = b":"
) -> Text:
    """The JSON of a value as a text of a chat request. The other parameters are those of `write_json`."""
    if not has_long_text(value):
        return encode(value).decode()
    buffer = BytesIO()

    def write(part: bytes) -> None:
        buffer.write(part.replace(b"\\", b"\\\\").replace(b'"', b'\\"'))

    buffer.write(b'"')
    write_json(value, write, encode, comma, colon)
    buffer.write(b'"')
    return Raw(buffer.getvalue())


def compact(text: Text) -> Text:
    """A text of a chat request as JSON if it is long: for one that is in it twice, under two names."""
    return _json_text([text], "") if isinstance(text, str) and _is_long(text) else text


def _json_text(texts: Sequence[Text], separator: str) -> Raw:
    buffer = BytesIO()
    buffer.write(b'"')
    for index, text in enumerate(texts):
        if index:
            buffer.write(_encode(separator)[1:-1])
        if isinstance(text, str):
            _write_characters(text, buffer.write)
        else:
            buffer.write(memoryview(text)[1:-1])
    buffer.write(b'"')
    return Raw(buffer.getvalue())


def plain(text: Text) -> str:
    """A text of a chat request as a string."""
    return text if isinstance(text, str) else msgspec.json.decode(text, type=str)


def _write_characters(text: str, write: Callable[[bytes], object]) -> None:
    """Write what there is between the quotes of a string's JSON."""
    for start in range(0, len(text), PIECE):
        write(_encode(text[start : start + PIECE])[1:-1])
