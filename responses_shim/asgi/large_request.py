"""Decodes the body of a large create request, without what nobody reads, and without what is refused for its number.

    {"model": "m", "x": [1.5, 1.5, …], "input": "Hi"}    is read as {"model": "m", "x": True, "input": "Hi"}

A number that takes four bytes in JSON takes 32 as an object. So a body of many small values is first split into its
fields, each as the bytes of its JSON. Of a field that has no meaning here only the name is kept, for the report; and
fields, items and tools are counted before they are built.

Log-probabilities that a client sends back do not count as too many small values: they stay JSON (`past_logprobs`).
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import msgspec
from msgspec import Raw, Struct

from responses_shim.asgi.body import parse_json, split_entries, split_fields
from responses_shim.asgi.past_logprobs import count_logprob_nodes, decode_items
from responses_shim.core.request.parse import MAX_FIELDS, MAX_STOP, too_many_fields
from responses_shim.core.tools.declarations import check_count
from responses_shim.core.wire.json_limits import count_fields, count_values, has_large_number, too_many_nodes
from responses_shim.core.wire.requests import MAX_METADATA, Metadata
from responses_shim.core.wire.validation import array_too_long, convert

MAX_ITEMS = 4096
"""How many items `input` may have, whatever their length. OpenAI takes 16,384.

A short item takes a thousand bytes: as it was sent, as a message for the host, and as it is stored.
"""

ITEM_SIZE = 256
"""It may have more if there are so many bytes of the body for each of them. A coding agent's have 500 or more."""

LARGE_VALUE = 50
"""A body with so many bytes for each of its values, or more, is not split.

A conversation has some 200, and takes five times its size when it is decoded. To split it would only take time.
"""


class _EveryField:
    def __contains__(self, name: object) -> bool:
        return True


EVERY_FIELD = _EveryField()
"""What is read of a request that interceptors see."""

UNREAD = True
"""What stands in the place of a value that nobody reads."""

_SMALLEST_FIELD = len('"":1,')

_NULL = Raw(b"null")


class _Limited(Struct):
    """The fields of which so many values may be sent, and no more; and those that are long in other requests."""

    input: Raw = _NULL
    instructions: Raw = _NULL
    metadata: Raw = _NULL
    tools: Raw = _NULL
    stop: Raw = _NULL


_limited = msgspec.json.Decoder(_Limited).decode
_decode = msgspec.json.Decoder().decode


def parse_large_request(body: bytes | bytearray, nodes: int, values: int, max_nodes: int, read: Container[str]) -> Any:
    """The JSON data of a body that keeps the limits, as far as it is in fields named in `read`.

    `nodes` and `values` are its numbers of these, as `check_json_limits` counts them. Of every other field that is not
    null the value may be `UNREAD`. Raises InvalidRequest as `parse_json`, for more than `max_nodes` besides those of
    log-probabilities, and for more fields, items, tools or entries of `stop` than are allowed.
    """
    if nodes <= max_nodes and LARGE_VALUE * (nodes + values) < len(body):
        return parse_json(body)
    try:
        _check_counts(body, _limited(body))
        fields = split_fields(body)
        if nodes <= max_nodes:
            return {name: _decode(json) if name in read else _unread(json) for name, json in fields.items()}
        items = fields.pop("input", _NULL)
        if nodes - count_logprob_nodes(items) <= max_nodes:
            data = {name: _decode(json) if name in read else _unread(json) for name, json in fields.items()}
            # Interceptors get JSON data, whatever that takes.
            return {**data, "input": _decode(items) if read is EVERY_FIELD else decode_items(items)}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if nodes <= max_nodes:
            return parse_json(body)  # says what is wrong, or puts it right
    raise too_many_nodes(max_nodes)


def _check_counts(body: bytes | bytearray, limited: _Limited) -> None:
    """Raise InvalidRequest for more of anything than is allowed."""
    rest = len(body) - len(limited.input) - len(limited.instructions) - len(limited.tools)
    if rest > MAX_FIELDS * _SMALLEST_FIELD and count_fields(body, MAX_FIELDS) > MAX_FIELDS:
        raise too_many_fields()
    if bytes(memoryview(limited.input)[:1]) == b"[":
        allowed = max(MAX_ITEMS, len(body) // ITEM_SIZE)
        if len(split_entries(limited.input)) > allowed:
            raise array_too_long("input", allowed)
    if count_fields(bytes(limited.metadata), MAX_METADATA) > MAX_METADATA:
        convert(dict.fromkeys(map(str, range(MAX_METADATA + 1)), ""), Metadata, "metadata")  # raises
    check_count(limited.tools)
    if (stop := bytes(limited.stop)).startswith(b"[") and count_values(stop) > MAX_STOP:
        raise array_too_long("stop", MAX_STOP)


def _unread(json: Raw) -> Any:
    """`UNREAD`, or None for a null. Raises as `_decode` if it is no JSON."""
    data = bytes(json)
    # Splitting has shown whatever is wrong, but for bytes that are not UTF-8, and numbers beyond any float.
    if not data.isascii() or has_large_number(data):
        _decode(data)
    return None if data == b"null" else UNREAD
