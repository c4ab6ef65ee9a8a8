"""Errors about bad input: msgspec's messages reworded for the client, and the limit on nesting."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from responses_shim.core.wire.validation import (
    MAX_DEPTH,
    bad_value,
    check_depth,
    convert,
    missing,
    too_deep,
    unsupported,
)
from responses_shim.errors import InvalidRequest
from tests.oracle import check_error


class Circle(Struct, tag_field="type", tag="circle"):
    radius: int


class Square(Struct, tag_field="type", tag="square"):
    side: Annotated[float, Meta(gt=0)]


class Plain(Struct):
    type: Literal["plain"]


class Drawing(Struct):
    shapes: list[Circle | Square]
    main: Circle | Square | None = None
    fill: Literal["red", "blue"] | None = None
    size: Annotated[int, Meta(ge=1, le=9)] | None = None
    tags: dict[Annotated[str, Meta(max_length=3)], Annotated[str, Meta(max_length=5)]] | None = None
    colours: dict[str, Literal["red"]] | None = None
    plain: Plain | None = None
    names: Annotated[list[str], Meta(max_length=2)] | None = None


def refusal(body: Any, kind: Any = Drawing, path: str = "") -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        convert(body, kind, path)
    error = caught.value
    check_error(error.body())
    assert (error.status, error.type) == (400, "invalid_request_error")
    return error


def test_valid_input_is_converted() -> None:
    assert convert({"shapes": [{"type": "circle", "radius": 1}], "unknown": 1}, Drawing) == Drawing([Circle(1)])


WRONG: list[tuple[Any, str, str | None, str]] = [
    ({}, "Missing required parameter: 'shapes'.", "shapes", "missing_required_parameter"),
    (
        {"shapes": [{"type": "circle"}]},
        "Missing required parameter: 'shapes[0].radius'.",
        "shapes[0].radius",
        "missing_required_parameter",
    ),
    (
        {"shapes": [{"radius": 1}]},
        "Missing required parameter: 'shapes[0].type'.",
        "shapes[0].type",
        "missing_required_parameter",
    ),
    (
        {"shapes": 1},
        "Invalid type for 'shapes': expected an array, but got an integer instead.",
        "shapes",
        "invalid_type",
    ),
    (
        {"shapes": [], "main": "x"},
        "Invalid type for 'main': expected an object, but got a string instead.",
        "main",
        "invalid_type",
    ),
    ([], "Invalid type for 'body': expected an object, but got an array instead.", None, "invalid_type"),
    (
        {"shapes": [{"type": "star"}]},
        "Invalid value: 'star'. Supported values are: 'circle' and 'square'.",
        "shapes[0].type",
        "invalid_value",
    ),
    (
        {"shapes": [], "main": {"type": "star"}},
        "Invalid value: 'star'. Supported values are: 'circle' and 'square'.",
        "main.type",
        "invalid_value",
    ),
    (
        {"shapes": [], "fill": "green"},
        "Invalid value: 'green'. Supported values are: 'red' and 'blue'.",
        "fill",
        "invalid_value",
    ),
    (
        {"shapes": [], "plain": {"type": "fancy"}},
        "Invalid value: 'fancy'. Supported values are: 'plain'.",
        "plain.type",
        "invalid_value",
    ),
    ({"shapes": [], "colours": {"a": "green"}}, "Invalid value: 'green'.", "colours", "invalid_value"),
    ({"shapes": [], "size": 0}, "Invalid 'size': expected an integer >= 1.", "size", "invalid_value"),
    ({"shapes": [], "size": 10}, "Invalid 'size': expected an integer <= 9.", "size", "invalid_value"),
    (
        {"shapes": [{"type": "square", "side": 0}]},
        "Invalid 'shapes[0].side': expected a number > 0.0.",
        "shapes[0].side",
        "invalid_value",
    ),
    (
        {"shapes": [], "tags": {"a": "too long"}},
        "Invalid 'tags': expected a string of length <= 5.",
        "tags",
        "invalid_value",
    ),
    (
        {"shapes": [], "names": ["a", "b", "c"]},
        "Invalid 'names': expected an array of length <= 2.",
        "names",
        "invalid_value",
    ),
    (
        {"shapes": [], "names": ["a", 1]},
        "Invalid type for 'names[1]': expected a string, but got an integer instead.",
        "names[1]",
        "invalid_type",
    ),
]


@pytest.mark.parametrize(("body", "message", "param", "code"), WRONG, ids=[message for _, message, _, _ in WRONG])
def test_the_error_names_the_field_by_its_path(body: Any, message: str, param: str | None, code: str) -> None:
    error = refusal(body)
    assert (error.message, error.param, error.code) == (message, param, code)


def test_the_error_for_a_key_that_is_too_long_says_that_it_is_a_key() -> None:
    error = refusal({"shapes": [], "tags": {"long": "a"}})
    assert error.param == "tags"
    assert "key" in error.message


def test_paths_in_errors_begin_with_the_path_that_is_given() -> None:
    assert refusal({}, Circle, "tools[2]").param == "tools[2].radius"
    assert refusal({"type": "circle", "radius": "x"}, Circle, "tools[2]").param == "tools[2].radius"
    assert refusal("x", Circle, "tools[2]").param == "tools[2]"


@pytest.mark.parametrize(
    "fill", ["x - at `$.size`", "'", "`", " - at `$`", "a\nb", "red ", "Expected `int`, got `str`"]
)
def test_no_value_is_taken_for_a_part_of_the_message(fill: str) -> None:
    error = refusal({"shapes": [], "fill": fill})
    assert (error.param, error.code) == ("fill", "invalid_value")
    assert "Supported values are: 'red' and 'blue'." in error.message


@given(st.text(max_size=200))
def test_a_message_that_quotes_a_value_stays_short(fill: str) -> None:
    if fill not in ("red", "blue"):
        error = refusal({"shapes": [], "fill": fill})
        assert error.param == "fill"
        assert len(error.message) < 160


def test_a_long_value_is_quoted_in_part() -> None:
    assert "…" in bad_value("fill", "x" * 100, ["red"]).message
    assert len(bad_value("fill", "x" * 100_000, ["red"]).message) < 160


def test_one_supported_value_stands_alone() -> None:
    assert bad_value("fill", 7, ["red"]).message == "Invalid value: 7. Supported values are: 'red'."


def test_several_supported_values_are_listed() -> None:
    assert bad_value("a", "b", ["c", "d", "e"]).message.endswith("'c', 'd' and 'e'.")


def test_each_kind_of_error_has_its_code() -> None:
    assert missing("input").code == "missing_required_parameter"
    assert unsupported("prompt", "no prompts.").code == "unsupported_parameter"
    assert bad_value("fill", "green", ["red"]).code == "invalid_value"


def test_an_integer_on_which_an_old_msgspec_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those before 0.22 raise this for an integer beyond any float."""

    def trip(*_: Any) -> None:
        raise SystemError("<built-in function convert> returned a result with an exception set")

    monkeypatch.setattr(msgspec, "convert", trip)
    assert refusal({"shapes": [{"type": "square", "side": 10**400}]}).param == "shapes[0].side"


# Nesting -------------------------------------------------------------------------------------------------------------


def nested(depth: int, core: Any = 1) -> Any:
    """`core` in so many lists and objects."""
    value = core
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize("core", [1, None, "[" * 200, {}, [], "\ud83d", float("nan"), 10**400], ids=str)
def test_the_limit_on_nesting_is_exact(core: Any) -> None:
    """Also where a value cannot be written as JSON: half a surrogate pair, which a model's arguments may have."""
    assert not too_deep(nested(MAX_DEPTH, core))
    assert too_deep(nested(MAX_DEPTH + 1, core or 1))


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 950, 100_000])
def test_what_is_nested_too_deep_is_refused_by_its_path(depth: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_depth(nested(depth), "tools[3]")
    assert caught.value.message == "Invalid 'tools[3]': nested more than 100 levels deep."
    assert (caught.value.param, caught.value.code) == ("tools[3]", "invalid_value")
