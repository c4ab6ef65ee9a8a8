"""What a JSON text is made of, counted in its bytes: the same as in the decoded data, however it is written and cut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.wire import json_limits
from responses_shim.core.wire.json_limits import (
    MAX_DIGITS,
    check_json_limits,
    count_fields,
    has_long_number,
    size_of_text,
)
from responses_shim.core.wire.validation import MAX_DEPTH
from responses_shim.errors import InvalidRequest

MANY = 10**9

TEXTS = st.text(st.sampled_from('[]{}:,"\\ 12é😀\n'), max_size=12)
STRINGS = TEXTS | st.sampled_from(["", "\\" * 9, '"' * 7, "[" * 300])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | STRINGS
DATA = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4), max_leaves=30
)
WRITTEN = st.builds(
    lambda data, ascii, indent: json.dumps(data, ensure_ascii=ascii, indent=indent).encode(),
    DATA,
    st.booleans(),
    st.sampled_from([None, 1]),
)
"""JSON texts, with and without escapes and white space."""


def counted(text: bytes, text_limit: int = MANY, nodes: int = MANY, values: int = MANY) -> tuple[int, int]:
    """As `check_json_limits`, and exactly, however small the text is."""
    with patch.object(json_limits, "_SMALL", 0):
        return check_json_limits(text, text_limit, nodes, values)


def check(text: bytes, text_limit: int = MANY, nodes: int = MANY, values: int = MANY) -> int:
    """The nodes alone."""
    return counted(text, text_limit, nodes, values)[0]


def refusal(text: bytes, text_limit: int = MANY, nodes: int = MANY, values: int = MANY) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        check(text, text_limit, nodes, values)
    return caught.value


def walk(data: Any) -> Iterator[Any]:
    yield data
    for inner in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from walk(inner)


def nodes_of(data: Any) -> int:
    """Arrays, objects and keys, and one for each 20 digits of the numbers that have more."""
    count = 0
    for value in walk(data):
        count += isinstance(value, (dict, list)) + (len(value) if isinstance(value, dict) else 0)
    return count


@given(text=WRITTEN, piece=st.integers(1, 9))
def test_nodes_are_those_of_the_data_wherever_the_text_is_cut(text: bytes, piece: int) -> None:
    data = json.loads(text)
    plain = all(len(str(value)) <= 20 for value in walk(data) if isinstance(value, (int, float)))
    with patch.object(json_limits, "_PIECE", piece):
        nodes = check(text)
    assert nodes == nodes_of(data) if plain else nodes >= nodes_of(data)
    assert check(text) == nodes


@given(text=WRITTEN, piece=st.integers(1, 9))
def test_the_limits_are_exact(text: bytes, piece: int) -> None:
    data = json.loads(text)
    values = 1 + sum(max(0, len(value) - 1) for value in walk(data) if isinstance(value, (dict, list)))
    with patch.object(json_limits, "_PIECE", piece):
        nodes = check(text)
        assert counted(text) == (nodes, values)
        check(text, nodes=nodes, values=values)
        if nodes:
            error = refusal(text, nodes=nodes - 1)
            assert (error.status, error.code, error.param) == (413, "too_many_values", None)
        if values > 1:
            assert refusal(text, values=values - 1).status == 413


BYTES = st.binary(max_size=200) | st.text(st.sampled_from('[]{}":,\\1"'), max_size=60).map(str.encode)


@given(text=BYTES, piece=st.integers(1, 9))
def test_bytes_that_are_no_json_are_counted_without_an_exception(text: bytes, piece: int) -> None:
    with patch.object(json_limits, "_PIECE", piece):
        assert check(text) >= 0
        assert 0 <= size_of_text(text) <= 2 * len(text)


@given(WRITTEN)
def test_a_small_text_is_not_counted_exactly_if_it_keeps_all_limits_anyway(text: bytes) -> None:
    nodes = check(text)
    assert check_json_limits(text, MANY, MANY, MANY)[0] >= nodes
    assert check_json_limits(text, MANY, nodes, MANY)[0] == nodes
    if nodes:
        with pytest.raises(InvalidRequest):
            check_json_limits(text, MANY, nodes - 1, MANY)


# Depth ---------------------------------------------------------------------------------------------------------------


def deep(depth: int, opening: str = "[", closing: str = "]", core: str = "1") -> str:
    return opening * depth + core + closing * depth


@pytest.mark.parametrize("core", ["1", '"]]]]}"', '"\\"]]"', '"\\\\"', "[]", "{}"])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"]":', "}]"), ("[ [], ", "]")])
@pytest.mark.parametrize("piece", [3, 64 * 1024])
def test_the_limit_on_nesting_is_exact(opening: str, closing: str, core: str, piece: int) -> None:
    levels = (opening.count("[") + opening.count("{")) - opening.count("[]")
    most = (MAX_DEPTH - (core in ("[]", "{}") or "[]" in opening)) // levels
    with patch.object(json_limits, "_PIECE", piece):
        check(deep(most, opening, closing, core).encode())
        assert refusal(deep(most + levels, opening, closing, core).encode()).code == "invalid_value"


@pytest.mark.parametrize("depth", [MAX_DEPTH, 500, 973, 5_000, 300_000])
def test_the_field_that_is_nested_too_deep_is_named_if_any_parser_reads_the_text(depth: int) -> None:
    for text, param in [
        ('{"model": "m", "text": {"a": %s}}', "text"),
        ('{"tools": [{"a": [1]}, {"b": [%s]}, [], "]"]}', "tools[1]"),
        ('{"input": [[], %s, 1], "x": "["}', "input[1]"),
    ]:
        error = refusal((text % deep(depth)).encode())
        assert error.param in (param, None)
        assert error.param == param or depth > 900
        assert error.message == f"Invalid '{error.param or 'body'}': nested more than {MAX_DEPTH} levels deep."
        assert (error.status, error.code) == (400, "invalid_value")
    assert refusal(deep(depth + 1).encode()).param is None
    assert len(refusal(f'{{"{"a" * 10_000}": {deep(depth)}}}'.encode()).message) < 200
    assert refusal(b"[" * (depth + 1)).param is None


def test_much_that_is_side_by_side_is_not_deep() -> None:
    check(b"[" + b"[[]]," * 100_000 + b"1]")
    check(("[" + ",".join([deep(MAX_DEPTH - 1)] * 1000) + "]").encode())
    check(b'{"a": "' + b"[" * 1_000_000 + b'"}')


# Fields --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1, 7, 64 * 1024])
def test_the_fields_of_the_outermost_object_are_counted(piece: int) -> None:
    inner: list[Any] = [1, ":", {"a:": 1, "b": {"c": [{"d": 1}]}}, [[{"e": 1}], {}], {}, [], '\\":']
    for count in range(1, 20):
        text = json.dumps({f"{{{number}:": inner[number % len(inner)] for number in range(count)}).encode()
        with patch.object(json_limits, "_PIECE", piece):
            assert count_fields(text, 100) == count
            assert count_fields(text, 10) >= min(count, 11)
    assert count_fields(b'[{"a": 1}]', 9) == count_fields(b'"a:"', 9) == count_fields(b"{}", 9) == 0


# Numbers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["%s", "-%s", "0.%s", "1e%s", "%s.5", "1%se5"])
@pytest.mark.parametrize("piece", [7, 64 * 1024])
def test_a_number_has_at_most_100_digits(number: str, piece: int) -> None:
    free = MAX_DIGITS - sum(character.isdigit() for character in number)
    with patch.object(json_limits, "_PIECE", piece):
        for around in ("%s", "[1, %s]", '{"a": %s}', '["1",%s,"2"]'):
            check((around % (number % ("9" * free))).encode())
            error = refusal((around % (number % ("9" * (free + 1)))).encode())
            assert (error.status, error.code, error.param) == (400, "invalid_value", None)
            assert error.message == "A number in the request has more than 100 digits."


def test_digits_in_strings_and_of_several_numbers_are_none_of_one() -> None:
    check(b'["%b", {"%b": "1\\"%b"}]' % (b"9" * 5000, b"1" * 5000, b"3" * 5000))
    check(b"[" + b"99," * 5000 + b"1]")


def test_long_numbers_count_as_nodes() -> None:
    assert check(b"[" + b"9" * 20 + b", 1]") == 1
    assert check(b"[" + b"9" * 21 + b", 1]") == 2
    assert check(b"[" + b"9" * 100 + b"," + b"9" * 40 + b"]") == 1 + 5 + 2
    assert refusal(b"[" + b",".join([b"9" * 100] * 1000) + b"]", nodes=5000).status == 413


@pytest.mark.parametrize("piece", [7, 64 * 1024])
def test_a_long_number_is_found_in_any_text(piece: int) -> None:
    with patch.object(json_limits, "_PIECE", piece):
        assert has_long_number(b'{"a": [1, %b]}' % (b"9" * 5000), 4300)
        assert not has_long_number(b'{"a": ["%b", %b]}' % (b"9" * 5000, b"9" * 4300), 4300)


# Text ----------------------------------------------------------------------------------------------------------------

LONG = 1000


TEXT = ["é" * LONG, "a" * LONG + "é", "é" + "a" * LONG, "\n" * LONG, '"' + "a" * LONG, "\\" * LONG]


@pytest.mark.parametrize("text", TEXT)
@pytest.mark.parametrize("start", range(12))
def test_a_string_that_is_not_plain_counts_as_a_whole(text: str, start: int) -> None:
    written = json.dumps({"a" * start: text, "b": "A" * LONG}, ensure_ascii=False).encode()
    size = len(json.dumps(text, ensure_ascii=False).encode()) - 2
    with patch.object(json_limits, "_PIECE", 16):
        assert size - 16 <= size_of_text(written) <= size + 3 * 16
    assert refusal(written, text_limit=size // 2).message == (
        f"The request body has more than the {size // 2} bytes of text allowed here."
    )
    check(written, text_limit=2 * len(written))


@given(image=st.integers(0, 40), text=STRINGS, piece=st.integers(4, 40))
def test_base64_beside_text_counts_for_nothing(image: int, text: str, piece: int) -> None:
    written = json.dumps([text, "A" * image * 100, text, "B" * 4000, text]).encode()
    with patch.object(json_limits, "_PIECE", piece):
        assert size_of_text(written) <= 3 * (12 * len(text) + 2 * piece)


def test_no_more_text_than_the_limit_is_not_measured() -> None:
    check("é".encode() * 50, text_limit=100)
