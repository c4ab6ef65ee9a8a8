"""Checking JSON against a client's schema: what is valid, and that no schema can do harm."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from responses_shim.errors import InvalidRequest
from responses_shim.runtime import json_schema
from responses_shim.runtime.json_schema import SchemaCheck, schema_check

Json = dict[str, Any]

CITY: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "sizes": {"type": "array", "items": {"type": "integer"}}},
    "required": ["city"],
    "additionalProperties": False,
}


def check_for(schema: Json) -> SchemaCheck:
    check = schema_check(schema)
    assert check is not None
    return check


def problem(schema: Json, value: Any) -> str | None:
    return check_for(schema).problem(value)


@pytest.fixture
def little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check may take 50 ms."""
    monkeypatch.setattr(json_schema, "MAX_SECONDS", 0.05)


# What is valid -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [{"city": "Paris"}, {"city": "", "sizes": []}, {"city": "Rome", "sizes": [1, 2.0]}])
def test_valid_values_have_no_problem(value: Any) -> None:
    assert problem(CITY, value) is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, "$: 'city' is a required property"),
        ({"city": "Paris", "size": 1}, "$: Additional properties are not allowed ('size' was unexpected)"),
        ({"city": "Paris", "sizes": [1, "2"]}, "$.sizes[1]: '2' is not of type 'integer'"),
        ([], "$: [] is not of type 'object'"),
    ],
)
def test_a_problem_says_where_and_why(value: Any, reason: str) -> None:
    assert problem(CITY, value) == reason


def test_a_problem_is_short_however_long_the_value_is() -> None:
    reason = problem({"type": "object", "properties": {"a": {"type": "integer"}}}, {"a": "x" * 100_000})
    assert reason is not None
    assert len(reason) < 2 * json_schema.MAX_MESSAGE + 10


DRAFT_7 = "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"pattern": r"^\p{L}+$"}, "é", "1"),
        ({"patternProperties": {"^a": {"type": "string"}}}, {"a1": "", "b": 1}, {"b": 1, "a1": 1}),
        (
            {"properties": {"b": {}}, "patternProperties": {"^a": {}}, "additionalProperties": False},
            {"a": 1, "b": 2},
            {"c": 3},
        ),
        ({"patternProperties": {"^a": {}}, "additionalProperties": {"type": "string"}}, {"a": 1, "b": ""}, {"b": 1}),
        ({"patternProperties": {"^a": {}}, "additionalProperties": False}, [], {"b": 1}),
        ({"uniqueItems": True}, [1, True, "1", [1, "bool"], [True], {}, []], [{"a": [1]}, {"a": [1.0]}]),
        ({"uniqueItems": True}, "aa", [True, True]),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"const": 1}}}, 1, 2),
        ({"$defs": {"a": {"$anchor": "one", "const": 1}}, "$ref": "#one"}, 1, 2),
        ({"$id": "https://example.com/a", "$defs": {"b": {"$id": "b", "const": 1}}, "$ref": "b"}, 1, 2),
        ({"properties": {"next": {"$ref": "#"}}, "required": ["a"]}, {"a": 1, "next": {"a": 1}}, {"a": 1, "next": {}}),
        ({"unevaluatedProperties": False, "properties": {"a": {}}}, {"a": 1}, {"b": 1}),
        ({"$schema": DRAFT_7, "items": [{"type": "string"}], "additionalItems": False}, ["a"], ["a", "b"]),
        ({"$schema": DRAFT_7, "properties": {"a": {"$ref": "#"}}, "pattern": "^a$"}, {"a": "a"}, {"a": "b"}),
        ({"properties": {"$schema": {"type": "string"}}}, {"$schema": ""}, {"$schema": 1}),
        ({"format": "date"}, "2026-11-25", "25.11.2026"),
        ({"format": "date-time"}, "2026-11-25T18:00:00Z", "2026-11-25"),
        ({"format": "date-time"}, "2026-11-25T18:00:00.5Z", "2026-11-31T18:00:00Z"),
        ({"format": "date-time"}, 5, "tomorrow T"),
        ({"format": "time"}, "18:00:00+01:00", "six"),
        ({"format": "time"}, None, "25:00"),
        ({"format": "uuid"}, "00000000-0000-4000-8000-000000000000", "0"),
    ],
)
def test_keywords_mean_what_the_standard_says(schema: Json, valid: Any, invalid: Any) -> None:
    assert problem(schema, valid) is None
    assert problem(schema, invalid) is not None


def test_a_schema_is_made_ready_once() -> None:
    assert check_for(CITY) is check_for(dict(CITY))


def test_a_large_schema_is_not_kept() -> None:
    large = {**CITY, "description": "x" * json_schema.MAX_KEPT}
    assert check_for(large) is not check_for(large)


# Schemas that are refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "objekt"}, "$.type: 'objekt' is not valid under any of the given schemas"),
        ({"properties": {"a": {"required": "b"}}}, "$.properties.a.required: 'b' is not of type 'array'"),
        ({"properties": {"a": {"pattern": "("}}}, "the pattern '(' cannot be read: missing )"),
        ({"patternProperties": {"[": {}}}, "the pattern '[' cannot be read"),
        ({"$ref": "http://127.0.0.1:9/schema.json"}, "'http://127.0.0.1:9/schema.json' leads to no schema in it"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "'file:///etc/passwd' leads to no schema in it"),
        ({"$schema": []}, ("it cannot be read (TypeError)", "$.$schema: [] is not of type 'string'")),
        ({"$ref": "#/type", "type": "object"}, "'#/type' leads to no schema in it"),
        ({"$ref": "#/$defs/a"}, "'#/$defs/a' leads to no schema in it"),
        ({"$defs": {"a": {"unevaluatedProperties": False}}, "patternProperties": {"a": {}}}, "unevaluatedProperties"),
        ({"description": "x" * json_schema.MAX_SCHEMA}, "it has more than 262144 bytes"),
    ],
)
def test_a_schema_that_cannot_be_checked_is_refused(schema: Json, reason: str | tuple[str, ...]) -> None:
    """Of several reasons, each is that of some versions of the library."""
    reasons = (reason,) if isinstance(reason, str) else reason
    with pytest.raises(InvalidRequest, match=r"^Invalid 'text\.format\.schema': ") as caught:
        schema_check(schema)
    assert any(each in caught.value.message for each in reasons)
    assert (caught.value.param, caught.value.code) == ("text.format.schema", "invalid_json_schema")


def nested(depth: int) -> Json:
    schema: Json = {}
    for _ in range(depth):
        schema = {"not": schema}
    return schema


def test_a_schema_that_is_nested_too_deep_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="it is nested too deep"):
        schema_check(nested(300))


# Schemas that would do harm ------------------------------------------------------------------------------------------

BRANCHES = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)} | {"a40": {}}
HARMFUL: dict[str, tuple[Json, Any]] = {
    "a pattern of exponential time": ({"pattern": "^(a|a)*$"}, "a" * 50 + "b"),
    "names that are matched": ({"propertyNames": {"pattern": "^(a|a)*$"}}, {"a" * 50 + "b": 1}),
    "pattern properties": ({"patternProperties": {"^(a|a)*$": {}}}, {"a" * 50 + "b": 1}),
    "other properties": (
        {"patternProperties": {"^(a|a)*$": {}}, "additionalProperties": False},
        {"a" * 50 + "b": 1},
    ),
    "a schema that branches 40 times": ({"$ref": "#/$defs/a0", "$defs": BRANCHES}, 1),
    "a schema that branches into itself": (
        {"$id": "urn:a", "properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}},
        json.loads('{"a": ' * 60 + "1" + "}" * 60),
    ),
}


@pytest.mark.usefixtures("little_time")
@pytest.mark.parametrize("name", HARMFUL)
def test_a_check_ends_when_its_time_is_over(name: str) -> None:
    schema, value = HARMFUL[name]
    check = check_for(schema)
    before = time.monotonic()
    reason = check.problem(value)
    assert reason == "it takes more than 0.05 s to check it against text.format.schema"
    assert time.monotonic() - before < 2


def test_many_items_are_compared_fast() -> None:
    assert problem({"uniqueItems": True}, [{"a": number} for number in range(50_000)]) is None


CIRCLES: list[Json] = [
    {"$ref": "#"},
    {"anyOf": [{"$ref": "#"}]},
    {"not": {"$dynamicRef": "#"}},
    {"unevaluatedProperties": False, "$ref": "#"},
    {"unevaluatedProperties": False, "$dynamicRef": "#"},
]


@pytest.mark.parametrize("schema", CIRCLES)
def test_a_schema_that_leads_back_to_itself_ends(schema: Json) -> None:
    reason = problem(schema, {"a": 1})
    assert reason is not None
    assert "leads back to itself" in reason


def test_an_interrupt_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(bounds: Any) -> float:
        raise KeyboardInterrupt

    check = check_for({"type": "object"})
    monkeypatch.setattr(json_schema._Bounds, "seconds_left", interrupt)
    with pytest.raises(KeyboardInterrupt):
        check.problem(1)


def test_a_panic_of_the_library_in_rust_is_no_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        """As PyO3 raises it, under this name."""

    def panic(bounds: Any) -> float:
        raise PanicException

    check = check_for({"type": "object"})
    monkeypatch.setattr(json_schema._Bounds, "seconds_left", panic)
    reason = check.problem(1)
    assert reason is not None
    assert "nested too deep" in reason


def test_values_that_are_nested_deep_end() -> None:
    value: Any = 1
    for depth in range(900):
        value = [value]
        if depth == 100:
            assert problem({"items": {"$ref": "#"}}, value) is None
    reason = problem({"items": {"$ref": "#"}}, value)
    assert reason is not None
    assert "nested too deep" in reason


def test_a_reference_among_named_parts_that_leads_to_nothing_is_no_exception() -> None:
    reason = problem({"$id": "urn:a", "properties": {"a": {"$ref": "urn:b"}}}, {"a": 1})
    assert reason is not None
    assert "text.format.schema has a reference to nothing" in reason


def test_an_error_in_the_library_is_no_exception() -> None:
    reason = problem({"$id": "urn:a", "type": "object", "properties": {"a": {"$ref": "#/type"}}}, {"a": 1})
    assert reason == "it cannot be checked against text.format.schema (AttributeError)"


def test_a_schema_inside_cannot_choose_the_librarys_own_keywords() -> None:
    """These would know no bounds."""
    schema = {"properties": {"a": {"$schema": DRAFT_7, "pattern": r"^\p{L}$"}}}
    assert problem(schema, {"a": "é"}) is None, "Python's re does not know this pattern"


KEYWORDS = [
    *("$schema", "$id", "$ref", "$dynamicRef", "$anchor", "$defs", "type", "enum", "const", "allOf", "anyOf", "not"),
    *("if", "then", "else", "properties", "required", "patternProperties", "additionalProperties", "propertyNames"),
    *("items", "prefixItems", "contains", "uniqueItems", "minItems", "multipleOf", "minimum", "maxLength", "pattern"),
    *("format", "dependentSchemas", "dependentRequired", "unevaluatedProperties", "unevaluatedItems", "dependencies"),
]
WORDS = st.sampled_from(
    [
        "object",
        "a",
        "",
        "#",
        "#/type",
        "#/properties",
        "#/$defs/a",
        "(",
        "^a",
        "date-time",
        "time",
        "email",
        DRAFT_7,
        "urn:a",
    ]
)
NUMBERS = st.integers(-2, 3) | st.sampled_from([0.5, 1e-300, 1e300, 2**63])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYWORDS, "a", "b"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYWORDS), VALUES, min_size=1, max_size=5), VALUES)
def test_any_schema_is_refused_or_checks_any_value(schema: Json, value: Any) -> None:
    with suppress(InvalidRequest):
        assert isinstance(problem(schema, value), (str, type(None)))


# Without the extra ---------------------------------------------------------------------------------------------------


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if a library of the extra were not there."""
    json_schema._is_installed.cache_clear()
    monkeypatch.setattr(json_schema, "find_spec", lambda name: None if name == "regex" else name)
    yield
    json_schema._is_installed.cache_clear()


@pytest.mark.usefixtures("without_extra")
def test_without_the_extra_there_is_no_check_and_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert schema_check(CITY) is None
    assert schema_check({"type": "objekt"}) is None
    assert caplog.text.count("pip install 'responses-shim[schema]'") == 1
