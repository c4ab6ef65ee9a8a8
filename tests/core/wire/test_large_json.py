"""Large JSON is written as any, and leaves nothing behind in the strings that it is written of."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.wire import large_json
from responses_shim.core.wire.large_json import PIECE, encode_large, has_long_text

LONG = "a" * PIECE + "😀"

LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    LEAVES | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


@given(value=VALUES, piece=st.integers(1, 5))
def test_it_is_the_json_that_msgspec_writes(value: Any, piece: int) -> None:
    whole = large_json.PIECE
    large_json.PIECE = piece
    try:
        assert encode_large(value) == msgspec.json.encode(value)
    finally:
        large_json.PIECE = whole


@pytest.mark.parametrize("character", ["😀", "漢", "é"])
def test_a_long_text_does_not_keep_its_utf_8(character: str) -> None:
    text = "a" * PIECE + character
    size = sys.getsizeof(text)
    for value in (text, [{"a": [1, text]}], {"b": "x", "a": text}):
        assert msgspec.json.decode(encode_large(value)) == value
    assert sys.getsizeof(text) == size


@pytest.mark.parametrize("value", [LONG, {"a": LONG}, [["b", LONG]], [{"a": ["b", {"c": LONG}]}]])
def test_a_long_text_is_found_at_any_depth(value: Any) -> None:
    assert has_long_text(value)


@pytest.mark.parametrize("value", [LONG[1:], "a" * PIECE * 2, {LONG: 1}, [1, None, {"a": LONG[1:]}], (LONG,), 1.5])
def test_what_is_short_or_ascii_or_no_json_data_is_not_searched_for(value: Any) -> None:
    assert not has_long_text(value)
