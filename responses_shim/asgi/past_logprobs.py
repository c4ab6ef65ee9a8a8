"""Decodes the items of a request without the log-probabilities in them, which stay JSON.

    {"type": "output_text", "text": "Hi", "logprobs": [{"token": "Hi", …}]}       one content part of an item

    becomes the dict with    "logprobs": Raw(b'[{"token": "Hi", …}]')

A client that has asked for log-probabilities sends them back with the text that they belong to. Each token has seven
arrays, objects and keys there, and five more for each of its alternatives: decoded, they take fifteen times their
bytes. Nobody reads them, but they are stored with the item.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from responses_shim.asgi.body import split_entries, split_fields
from responses_shim.core.wire.json_limits import count_nodes, has_large_number

_NULL = Raw(b"null")


class _Part(Struct):
    """A content part, as far as its log-probabilities."""

    logprobs: Raw = _NULL


class _Item(Struct):
    """An item, as far as its content parts."""

    content: list[_Part] = []


_item = msgspec.json.Decoder(_Item).decode
_parts = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_decode = msgspec.json.Decoder().decode


def count_logprob_nodes(items: Raw) -> int:
    """How many arrays, objects and keys the log-probabilities in the JSON of items have.

    Raises msgspec.DecodeError if it is no array.
    """
    return sum(count_nodes(array) for item in split_entries(items) for array in _logprobs_of(item))


def decode_items(items: Raw) -> list[Any]:
    """The items of a JSON array; the log-probabilities in their content parts are `Raw`.

    Raises msgspec.DecodeError or UnicodeDecodeError if it is no such array.
    """
    return [_decode_item(item) if _logprobs_of(item) else _decode(item) for item in split_entries(items)]


def _logprobs_of(item: Raw) -> list[bytes]:
    """The JSON of each array of log-probabilities in the content parts of an item."""
    if b'"logprobs"' not in bytes(item):
        return []
    try:
        arrays = [bytes(part.logprobs) for part in _item(item).content]
    except msgspec.ValidationError:
        return []  # its content is a text, or nothing that may be sent
    return [array for array in arrays if array.startswith(b"[")]


def _decode_item(item: Raw) -> dict[str, Any]:
    fields = split_fields(item)
    return {
        name: _decode(json) if name != "content" else list(map(_decode_part, _parts(json)))
        for name, json in fields.items()
    }


def _decode_part(part: dict[str, Raw]) -> dict[str, Any]:
    return {name: _decode(json) if name != "logprobs" else _kept(json) for name, json in part.items()}


def _kept(json: Raw) -> Any:
    data = bytes(json)
    # Splitting has shown whatever is wrong, but for bytes that are not UTF-8, and numbers beyond any float.
    data.decode()
    return Raw(data) if data.startswith(b"[") and not has_large_number(data) else _decode(data)
