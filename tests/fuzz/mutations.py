"""Changes values, and bytes, at random: strategies that make something odd of something valid."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

NUMBERS = [0, -1, 1, 0.5, -0.0, 1e308, 2**31, 2**63, 2**64, 10**25, float("nan"), float("inf")]
STRINGS = [
    *["", " ", "a", "auto", "none", "é", "😀", "\x00", "\ud800", "\udc00\ud800", "\u2028", "a" * 65, "a" * 2000],
    *["<think>", "{}", "[1", "null", "data:", "data:image/png;base64,QQ==", "data:;base64,=", "http://[", "file:///x"],
    *["message", "function", "custom", "reasoning", "item_reference", "resp_never", "rs1.aaaaaaaa", "%s", "$ref", ".."],
]
DEEP: Any = []
for _ in range(120):
    DEEP = [DEEP]

ODD_VALUES = st.sampled_from(
    [None, True, False, *NUMBERS, *STRINGS, [], {}, [[]], [None], {"": None}, {"type": None}, {"type": "message"}, DEEP]
)
ODD_KEYS = st.sampled_from(["", "type", "id", "role", "name", "content", "é", "\ud800", "a" * 300, "__class__", "$ref"])
ODD_BYTES = st.sampled_from(
    [
        *[b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xf4\x90\x80\x80", b"\xe2\x80\xa8", b"\x85"],
        *[b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r", b"\n\n", b"\r\n\r\n", b" ", b"\t", b"//"],
        *[b"data: ", b"data: [DONE]\n\n", b"event: x\n", b": \n", b"id: 1\n", b"data\n", b"\ndata:{\n\n"],
        *[b"1e999", b"-", b"9" * 200, b"0.1e-999", b"NaN", b"Infinity", b"null", b"\\ud800", b"\\udc00", b"\\u0000"],
        *[b"[" * 200, b'{"a":' * 200, b'{"a":1,"a":2}', b"<html>", b"<think>", b"</think>"],
    ]
)


@st.composite
def mutated(draw: st.DrawFn, values: st.SearchStrategy[Any], most: int = 3) -> Any:
    """One of the JSON values with up to `most` changes, each at a random depth."""
    value = copy.deepcopy(draw(values))
    for _ in range(draw(st.integers(0, most))):
        value = _changed(draw, value)
    return value


def _changed(draw: st.DrawFn, value: Any) -> Any:
    """The value with one change: something is replaced, left out, doubled, wrapped, renamed, or copied elsewhere."""
    places = list(_places(value))
    if not places:
        return draw(ODD_VALUES)
    container, key = draw(st.sampled_from(places))
    match draw(st.sampled_from(["replace", "replace", "leave out", "double", "wrap", "rename", "copy"])):
        case "replace":
            container[key] = copy.deepcopy(draw(ODD_VALUES))
        case "leave out":
            del container[key]
        case "double" if isinstance(container, list):
            container.insert(key, copy.deepcopy(container[key]))
        case "wrap":
            container[key] = draw(st.sampled_from([[container[key]], {"type": container[key]}, {"a": container[key]}]))
        case "rename" if isinstance(container, dict):
            container[draw(ODD_KEYS)] = container.pop(key)
        case _:
            other, other_key = draw(st.sampled_from(places))
            container[key] = copy.deepcopy(other[other_key])
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each place in a JSON value, at any depth, as a container and a key or index."""
    if isinstance(value, dict | list):
        for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, key
            yield from _places(inner)


def as_json(value: Any, *, ascii_only: bool = False) -> bytes:
    """The value as JSON. Half a surrogate pair is an escape, which UTF-8 has no other form for."""
    try:
        return json.dumps(value, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()


@st.composite
def mutated_bytes(draw: st.DrawFn, bodies: st.SearchStrategy[bytes], most: int = 3) -> bytes:
    """One of the bodies with up to `most` changes: bytes are left out, put in, doubled, or one is another."""
    body = draw(bodies)
    for _ in range(draw(st.integers(0, most))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 20)))
        match draw(st.sampled_from(["leave out", "put in", "double", "flip", "cut"])):
            case "leave out":
                body = body[:start] + body[end:]
            case "put in":
                body = body[:start] + draw(ODD_BYTES) + body[start:]
            case "double":
                body = body[:end] + body[start:]
            case "flip":
                body = body[:start] + bytes([draw(st.integers(0, 255))]) + body[start + 1 :]
            case _:
                body = body[:start]
    return body
