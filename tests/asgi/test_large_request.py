"""A large body is read as any other, but for what nobody reads; too much of one thing is refused before it is built."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.asgi.body import parse_json
from responses_shim.asgi.large_request import ITEM_SIZE, MAX_ITEMS, UNREAD, parse_large_request
from responses_shim.core.request.parse import MAX_FIELDS, MAX_STOP, parse_request
from responses_shim.core.tools.declarations import MAX_TOOLS
from responses_shim.core.tools.kinds import KINDS
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.requests import MAX_METADATA
from responses_shim.errors import InvalidRequest
from tests.core.driver import Json
from tests.fuzz.mutations import mutated_bytes

READ = {"model", "input", "instructions", "metadata", "tools", "stop"}
FUNCTION = {"type": "function", "name": "f"}


def parsed(body: bytes | Json, nodes: int = 10_000) -> Any:
    """What is made of a body; an error is its code, its param and its message."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        return parse_large_request(bytearray(data), nodes, 1000, 100_000, READ)
    except InvalidRequest as error:
        return error.code, error.param, error.message


def read(data: Any) -> Any:
    """What is read of the data of a body: of other fields only the names, and which are null."""
    if not isinstance(data, dict):
        return data
    return {name: value if name in READ or value is None else UNREAD for name, value in data.items()}


def parsed_completely(body: bytes) -> Any:
    """As `parsed`, of a body that is decoded from its beginning to its end."""
    try:
        return parse_json(body)
    except InvalidRequest as error:
        return error.code, error.param, error.message


def test_of_a_field_that_nobody_reads_only_the_name_is_kept() -> None:
    body = {"model": "m", "x": [1.5] * 9, "input": [{"x": 1}], "y": None, "é": "é", "stop": None}
    assert parsed(body) == {"model": "m", "x": UNREAD, "input": [{"x": 1}], "y": None, "é": UNREAD, "stop": None}


def test_what_nobody_reads_takes_no_memory() -> None:
    numbers = b'{"model": "m", "x": [' + b"1.5," * 100_000 + b"1]}"
    tracemalloc.start()
    try:
        parse_large_request(numbers, 3, 100_001, 100_000, READ)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * len(numbers)


@pytest.mark.parametrize(
    "value",
    [
        *(b'"\xff"', b'"\xed\xa0\x80"', b'{"\xff": 1}', b'"\\q"', b'"\x01"', b'"\\ud83d"', b'"\\u12"', b"'"),
        *(b"1e999", b"-1E+999", b"[1e308, 1e309]", b"1e-999", b"01", b"1.", b"nan", b"tru", b"[1,]", b"{1: 2}", b""),
        *(b'"' + b"e" * 70_000 + b'", "z": 1e999', b"[" + b" " * 65_526 + b"1e999]"),
    ],
)
@pytest.mark.parametrize("name", [b"x", b"input"])
def test_what_is_wrong_is_said_as_for_any_other_body(name: bytes, value: bytes) -> None:
    body = b'{"model": "m", "%b": %b}' % (name, value)
    assert read(parsed(body)) == read(parsed_completely(body))


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b'"x"', b"{", b'{"model": "m"} x', b"\xff\xfe{\0}\0", b"null"])
def test_a_body_that_is_no_object_is_read_as_any_other(body: bytes) -> None:
    assert read(parsed(body)) == read(parsed_completely(body))


BODY = json.dumps({"model": "m", "x": ["é", 1e99, {"a": "\U0001f600"}], "input": "é", "stop": ["a"], "y": 5e-324})


@given(mutated_bytes(st.sampled_from([BODY.encode(), json.dumps(json.loads(BODY), ensure_ascii=False).encode()])))
def test_any_body_is_read_as_if_it_were_decoded_completely(body: bytes) -> None:
    assert read(parsed(body)) == read(parsed_completely(body))


@pytest.mark.parametrize(
    ("tools", "index"),
    [
        ([FUNCTION] * (MAX_TOOLS + 2), MAX_TOOLS),
        ([FUNCTION, {"type": "namespace", "name": "n", "tools": [FUNCTION] * MAX_TOOLS}], 1),
        ([{"type": "namespace", "name": f"n{index}", "tools": [FUNCTION] * 1000} for index in range(5)], 4),
    ],
)
def test_too_many_tools_are_refused_as_if_they_had_been_decoded(tools: list[Json], index: int) -> None:
    error = parsed({"model": "m", "input": "Hi", "tools": tools})
    assert error[:2] == ("array_above_max_length", f"tools[{index}]")
    with pytest.raises(InvalidRequest) as raised:
        ToolMap(tools, None, None, Report(), kinds=KINDS)
    assert (raised.value.code, raised.value.param, raised.value.message) == error


@pytest.mark.parametrize(
    "tools",
    [
        [FUNCTION] * MAX_TOOLS,
        [{"type": "namespace", "name": "n", "tools": [FUNCTION] * MAX_TOOLS}],
        [{"type": "function", "name": "f", "tools": [1] * (MAX_TOOLS + 1)}],
        *([1] * (MAX_TOOLS + 1), [{"type": "namespace", "tools": 5}], [{"type": "namespace"}], "tools", 5, {}),
    ],
)
def test_what_else_is_wrong_with_tools_is_not_judged_yet(tools: Any) -> None:
    body = {"model": "m", "input": "Hi", "tools": tools}
    assert parsed(body) == body


def test_too_many_entries_of_stop_are_refused_before_they_are_decoded() -> None:
    most = {"model": "m", "input": "Hi", "stop": ["a,b", 'c",'] * (MAX_STOP // 2)}
    assert parsed(most) == most
    assert parse_request(most).stop == most["stop"]
    more = {**most, "stop": [*most["stop"], ""]}
    error = parsed(more)
    assert error[:2] == ("array_above_max_length", "stop")
    with pytest.raises(InvalidRequest) as raised:
        parse_request(more)
    assert (raised.value.code, raised.value.param, raised.value.message) == error


@pytest.mark.parametrize("stop", [{str(number): "" for number in range(2000)}, "a," * 2000, None])
def test_another_stop_than_an_array_is_judged_later(stop: Any) -> None:
    body = {"model": "m", "input": "Hi", "stop": stop}
    assert parsed(body) == body


def test_a_body_of_large_values_is_not_split() -> None:
    body = {"model": "m", "x": "a" * 60_000}
    assert parsed(body, 10) == body


@pytest.mark.parametrize("nested", [1, [{"a": {"b": 1}}], {"a": [1, {}]}])
def test_too_many_fields_are_refused_before_they_are_built(nested: Any) -> None:
    most = {f"k{number}": nested for number in range(MAX_FIELDS)}
    assert parsed(most) == dict.fromkeys(most, UNREAD)
    more = {**most, "input": []}
    error = parsed(more)
    assert error[:2] == ("object_above_max_properties", None)
    with pytest.raises(InvalidRequest) as raised:
        parse_request(more)
    assert (raised.value.code, raised.value.param, raised.value.message) == error


@pytest.mark.parametrize("text", ["", "a" * (ITEM_SIZE * (MAX_ITEMS + 100))])
def test_too_many_items_are_refused_before_they_are_built(text: str) -> None:
    """A long body may have more."""
    body = {"model": "m", "instructions": text}
    most = {**body, "input": [{"type": "x"}] * MAX_ITEMS}
    more = {**body, "input": [{"type": "x"}] * (MAX_ITEMS + 100)}
    assert parsed(most, 100_000) == most
    assert parsed(more, 100_000) == more if text else parsed(more)[:2] == ("array_above_max_length", "input")


def test_too_much_metadata_is_refused_before_it_is_built() -> None:
    most = {"model": "m", "input": "Hi", "metadata": {str(number): ":," for number in range(MAX_METADATA)}}
    assert parsed(most) == most
    assert parse_request(most).metadata == most["metadata"]
    more = {**most, "metadata": {**most["metadata"], "x": ""}}
    error = parsed(more)
    assert error[1] == "metadata"
    with pytest.raises(InvalidRequest) as raised:
        parse_request(more)
    assert (raised.value.code, raised.value.param, raised.value.message) == error
