"""Large JSON is written as any, and leaves nothing behind in the strings that it is written of."""

from __future__ import annotations

import sys
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from responses_shim.core.wire import large_json
from responses_shim.core.wire.large_json import (
    PIECE,
    Text,
    compact,
    encode_large,
    has_long_text,
    joined,
    json_text,
    plain,
    size_of_json,
)

LONG = "a" * PIECE + "😀"

LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    LEAVES | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


@given(value=VALUES, piece=st.integers(1, 5))
def test_it_is_the_json_that_msgspec_writes(value: Any, piece: int) -> None:
    with patch.object(large_json, "PIECE", piece):
        assert encode_large(value) == msgspec.json.encode(value)
        assert size_of_json(value) == len(msgspec.json.encode(value))


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


# Texts of a chat request ----------------------------------------------------------------------------------------------


TEXTS = st.lists(st.text(st.characters(codec="utf-8")), max_size=4)


@given(
    texts=TEXTS, as_json=st.lists(st.booleans(), min_size=4, max_size=4), separator=st.sampled_from(["", "\n\n", '"'])
)
def test_texts_are_joined_as_strings_are(texts: list[str], as_json: list[bool], separator: str) -> None:
    for piece in (1, 5, 10**6):
        given_texts: list[Text] = [
            Raw(msgspec.json.encode(text)) if is_json else text for text, is_json in zip(texts, as_json, strict=False)
        ]
        with patch.object(large_json, "PIECE", piece):
            assert plain(joined(given_texts, separator)) == separator.join(texts)


def test_only_a_long_text_that_was_put_together_is_json() -> None:
    assert joined([LONG], "\n") is LONG
    assert joined(["a" * PIECE, "b"]) == "a" * PIECE + "b"
    assert joined(["é", "b"], "\n") == "é\nb"
    assert isinstance(joined([LONG, "b"]), Raw)
    assert isinstance(joined(["é" * PIECE, "b"]), Raw)


def test_a_text_that_is_there_twice_is_json_if_it_is_long() -> None:
    raw = compact(LONG)
    assert isinstance(raw, Raw)
    assert plain(raw) == LONG
    assert compact(raw) is raw
    assert (compact("é"), compact("a" * PIECE * 2)) == ("é", "a" * PIECE * 2)


@given(value=VALUES, piece=st.integers(1, 5))
def test_the_json_of_a_value_is_a_text(value: Any, piece: int) -> None:
    with patch.object(large_json, "PIECE", piece):
        written = json_text(value)
    assert plain(written) == msgspec.json.encode(value).decode()


def test_the_cost_does_not_grow_with_the_depth_of_a_long_text() -> None:
    """Each dict and list is looked at a fixed number of times, however many others it is in."""
    nested: Any = [LONG]
    for _ in range(90):
        nested = [[1] * 10, nested]
    looked_at: list[object] = []

    def looking(value: object, containers: set[int]) -> bool:
        looked_at.append(value)
        return find_long_texts(value, containers)

    find_long_texts = large_json._find_long_texts
    with patch.object(large_json, "_find_long_texts", looking):
        assert encode_large(nested) == msgspec.json.encode(nested)
    assert len(looked_at) <= 2 * (90 * 2 + 1)
