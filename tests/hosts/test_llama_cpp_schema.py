"""Making JSON schemas safe for llama-cpp-python: what crashes it is removed, everything else stays as it is."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.hosts.llama_cpp_schema import safe_schema
from tests.core.driver import Json

ANYTHING = {"type": ["object", "array", "string", "number", "boolean", "null"]}


def an_object(**properties: Any) -> Json:
    return {"type": "object", "properties": properties}


def text(**keywords: Any) -> Json:
    return {"type": "string", **keywords}


def defined(**definitions: Any) -> Json:
    """A schema with these definitions, for an object whose one property refers to the first of them."""
    first = next(iter(definitions))
    return {**an_object(a={"$ref": f"#/$defs/{first}"}), "$defs": definitions}


def ref(name: str) -> Json:
    return {"$ref": f"#/$defs/{name}"}


# Each of these schemas was sent to the server, which then crashed or hung. Beside it is what is sent instead; {} stands
# for any safe schema.
CRASHING: dict[str, tuple[Json, Json]] = {
    "an escape in a pattern": (an_object(a=text(pattern=r"^\d{3}$")), an_object(a=text())),
    "a bracket that opens nothing": (an_object(a=text(pattern="^a]$")), an_object(a=text())),
    "a brace that opens nothing": (an_object(a=text(pattern="^a}$")), an_object(a=text())),
    "a repetition of a repetition": (an_object(a=text(pattern="^a*+$")), an_object(a=text())),
    "a repetition of an alternative": (an_object(a=text(pattern="^a|*b$")), an_object(a=text())),
    "a repetition of an empty group": (an_object(a=text(pattern="^()*$")), an_object(a=text())),
    "a repetition of empty alternatives": (an_object(a=text(pattern="^(|)+$")), an_object(a=text())),
    "a repetition of a group": (an_object(a=text(pattern="^([a-z]{0})*$")), an_object(a=text())),
    "a large repetition in a pattern": (an_object(a=text(pattern="^a{0,1500}$")), an_object(a=text())),
    "a pattern over 1,000 characters": (an_object(a=text(pattern="^(" + "a|" * 999_999 + ")$")), an_object(a=text())),
    "a pattern that is no string": (an_object(a=text(pattern=7)), an_object(a=text())),
    "a length over 1,000": (an_object(a=text(maxLength=2000)), an_object(a=text())),
    "a length that eats the memory": (an_object(a=text(minLength=10**9)), an_object(a=text())),
    "a count over 1,000": (an_object(a={"type": "array", "maxItems": 1001}), an_object(a={"type": "array"})),
    "a negative count": (an_object(a={"type": "array", "minItems": -1}), an_object(a={"type": "array"})),
    "a count that is no integer": (an_object(a=text(maxLength=2.5)), an_object(a=text())),
    "an empty enum": (an_object(a=text(enum=[])), an_object(a=text())),
    "an empty enum alone": (an_object(a={"enum": []}), an_object(a=ANYTHING)),
    "a quote in an enum": (an_object(a=text(enum=["x", 'x"y'])), an_object(a=text())),
    "a backslash in an enum": (an_object(a=text(enum=["x\\y"])), an_object(a=text())),
    "a backspace in an enum": (an_object(a=text(enum=["x\by"])), an_object(a=text())),
    "a quote deep in an enum": (an_object(a={"enum": [{"k": ['"']}]}), an_object(a=ANYTHING)),
    "a quote in a key in an enum": (an_object(a={"enum": [{'"': 1}]}), an_object(a=ANYTHING)),
    "a form feed in a const": (an_object(a=text(const="x\fy")), an_object(a=text())),
    "an empty anyOf": (an_object(a={"anyOf": []}), an_object(a=ANYTHING)),
    "an empty oneOf": (an_object(a={"oneOf": []}), an_object(a=ANYTHING)),
    "an empty type": (an_object(a={"type": []}), an_object(a=ANYTHING)),
    "a quote in a property name": (
        {**an_object(**{'x"y': text(), "a": text()}), "required": ['x"y', "a"]},
        {**an_object(a=text()), "required": ["a"]},
    ),
    "a quote in the name of a definition": (
        {"$defs": {'x"y': text(), "a": text()}, "definitions": {"\b": text()}},
        {"$defs": {"a": text()}, "definitions": {}},
    ),
    "a definition of itself": (defined(tree_node=an_object(next=ref("tree_node"))), {}),
    "a definition that is only a reference to itself": (defined(a=ref("a")), {}),
    "two definitions of one another": (defined(a=an_object(b=ref("b")), b={"anyOf": [ref("a"), text()]}), {}),
    "a reference to nothing": (an_object(a=ref("nothing")), an_object(a=ANYTHING)),
    "a reference to the root": (an_object(a={"$ref": "#"}), an_object(a=ANYTHING)),
    "a reference to a property": (an_object(a={"$ref": "#/properties/a"}), an_object(a=ANYTHING)),
    "a reference to elsewhere": (an_object(a={"$ref": "https://example.com/a.json"}), an_object(a=ANYTHING)),
    "a reference to a name that a rule cannot have": (defined(**{"#": text()}), {}),
    "definitions that are no object": ({**an_object(a=ref("a")), "$defs": []}, {**an_object(a=ANYTHING), "$defs": []}),
    "a reference that is no string": (an_object(a={"$ref": {}}), an_object(a=ANYTHING)),
    "a reference among other keywords": (
        an_object(a={"$ref": "#", "title": "A", "type": "string"}),
        an_object(a={"title": "A", **ANYTHING}),
    ),
}


@pytest.mark.parametrize("case", CRASHING)
def test_the_parts_that_crash_the_server_are_removed(case: str) -> None:
    schema, expected = CRASHING[case]
    safe = safe_schema(schema)
    assert not list(crashes(safe, safe))
    if expected:
        assert safe == expected


SAFE: list[Any] = [
    {},
    True,
    an_object(),
    {**an_object(a=text(), b={"type": ["integer", "null"]}), "required": ["a"], "additionalProperties": False},
    an_object(a=text(pattern="^[a-z]+$"), b=text(pattern="^(a|bc)d?.{2,5}é$"), c=text(pattern="^[^a-c]{3}$")),
    an_object(a=text(minLength=1, maxLength=1000), b={"type": "array", "items": text(), "minItems": 0, "maxItems": 9}),
    an_object(a=text(format="date-time"), b={"enum": ["x", 1, None]}, c={"const": "x y"}, d={"const": {"k": [1]}}),
    an_object(a={"anyOf": [text(), {"type": "null"}]}, b={"oneOf": [text()]}, c={"allOf": [an_object(x=text())]}),
    an_object(a=text(description='He said "x\\y".', title='"', default='"', examples=["\b"])),
    an_object(a={"type": "object", "default": {"pattern": "\\d"}, "examples": [{"enum": []}], "const": {"type": []}}),
    an_object(pattern=text(), enum=text(), type=text(), required={"type": "boolean"}, properties=an_object(x=text())),
    an_object(naïve=text(), **{"a b": text(), "": text(), "a\nb": text(), "😀": text()}),
    {**defined(tree_node=an_object(b=ref("leaf-1")), **{"leaf-1": text()}), "$schema": "https://json-schema.org/x"},
    {**an_object(a={"$ref": "#/definitions/a"}), "definitions": {"a": text()}},
    defined(pair=an_object(x=ref("left"), y=ref("right")), left=an_object(z=ref("right")), right=text()),
    {"properties": 7, "required": True, "$defs": None, "enum": "x"},
]


@pytest.mark.parametrize("schema", SAFE, ids=str)
def test_a_safe_schema_stays_as_it_is(schema: Any) -> None:
    assert safe_schema(schema) == schema


# Any schema ----------------------------------------------------------------------------------------------------------


def crashes(schema: Any, root: Json, following: tuple[str, ...] = ()) -> Iterator[str]:
    """What in a schema, with its references followed, crashes the server."""
    for entry in schema if isinstance(schema, list) else ():
        yield from crashes(entry, root, following)
    for key, value in schema.items() if isinstance(schema, dict) else ():
        if key in ("properties", "$defs", "definitions") and isinstance(value, dict):
            yield from (f"the name {name!r}" for name in value if set(name) & UNSAFE_CHARACTERS)
            for inner in value.values():
                yield from crashes(inner, root, following)
        elif key in ("enum", "const"):
            yield from (f"{inner!r} in {key}" for inner in strings(value) if set(inner) & UNSAFE_CHARACTERS)
        elif key == "pattern" and (not isinstance(value, str) or not is_safe_pattern(value)):
            yield f"the pattern {value!r}"
        elif key in ("minLength", "maxLength", "minItems", "maxItems") and value not in range(1001):
            yield f"{key} {value!r}"
        elif key == "required" and isinstance(value, list):
            yield from (f"the name {name!r}" for name in strings(value) if set(name) & UNSAFE_CHARACTERS)
        elif key == "$ref":
            yield from follow(value, root, following)
        elif key not in ("description", "title", "default", "examples"):
            yield from crashes(value, root, following)
        if key in ("enum", "const", "anyOf", "oneOf", "type") and value == []:
            yield f"an empty {key}"


UNSAFE_CHARACTERS = set('"\\\b\f')


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value if isinstance(value, list) else value.items() if isinstance(value, dict) else ():
        yield from strings(list(inner) if isinstance(inner, tuple) else inner)


def is_safe_pattern(pattern: str) -> bool:
    """Whether it is anchored, without escapes, with matching brackets, and repeats single characters only."""
    if not (pattern.startswith("^") and pattern.endswith("$") and len(pattern) > 1):
        return False
    without_sets = re.sub(r"\[[^\[\]]+\]", "x", pattern)
    without_counts = re.sub(r"\{\d{0,3}(,\d{0,3})?\}", "*", without_sets)
    return not set(without_counts) & set("[]{}\\") and not re.search(r"[*+?|()][*+?]", without_counts)


def follow(reference: Any, root: Json, following: tuple[str, ...]) -> Iterator[str]:
    home, _, name = str(reference).removeprefix("#/").partition("/")
    definitions = root.get(home)
    if not re.fullmatch(r"[\w-]+", name, re.ASCII) or not isinstance(definitions, dict) or name not in definitions:
        yield f"the reference {reference!r}"
    elif reference in following:
        yield f"{reference} refers to itself"
    else:
        yield from crashes(definitions[name], root, (*following, reference))


NAMES = st.sampled_from(["a", "b", "my_a", 'x"y', "a b", "", "\b", "é", "$ref", "enum", "pattern", "properties", "#"])
VALUES = st.one_of(
    NAMES, st.integers(), st.none(), st.lists(NAMES, max_size=2), st.dictionaries(NAMES, NAMES, max_size=2)
)
PATTERNS = st.text(alphabet="^$[](){}|*+?.,-ab12\\", max_size=8)
COUNTS = st.sampled_from([0, 1, 1000, 1001, -1, 10**9, 2.5, None])
REFERENCES = st.one_of(NAMES.map("#/$defs/{}".format), NAMES.map("#/definitions/{}".format), st.just("#"), VALUES)


def keywords(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({}, optional=strategies)


LEAVES = st.one_of(
    keywords(
        type=st.sampled_from(["string", "null", [], ["string"]]),
        pattern=PATTERNS | VALUES,
        minLength=COUNTS,
        maxLength=COUNTS,
    ),
    keywords(enum=st.lists(VALUES, max_size=2) | VALUES, title=NAMES),
    keywords(const=VALUES, default=VALUES),
    st.fixed_dictionaries({"$ref": REFERENCES}),
)


def nest(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    named = st.dictionaries(NAMES, inner, max_size=3)
    listed = st.lists(inner, max_size=2)
    return st.one_of(
        keywords(properties=named | VALUES, required=st.lists(NAMES, max_size=2) | VALUES, additionalProperties=inner),
        keywords(items=inner | listed, minItems=COUNTS, maxItems=COUNTS),
        keywords(anyOf=listed, oneOf=listed, allOf=listed),
        st.dictionaries(NAMES, inner, max_size=2),
    )


SCHEMAS = st.recursive(LEAVES, nest, max_leaves=6)
ROOTS = st.builds(
    lambda schema, definitions: {**an_object(a=schema), "$defs": definitions},
    SCHEMAS,
    st.dictionaries(NAMES, SCHEMAS, max_size=3) | VALUES,
)


@given(ROOTS)
def test_any_schema_is_safe_afterwards(schema: Json) -> None:
    safe = safe_schema(schema)
    assert not list(crashes(safe, safe))


@given(ROOTS)
def test_any_schema_that_is_safe_stays_as_it_is(schema: Json) -> None:
    if not list(crashes(schema, schema)):
        assert safe_schema(schema) == schema


@given(ROOTS)
def test_the_schema_is_not_changed_in_place_and_doing_it_twice_changes_nothing(schema: Json) -> None:
    before = json.dumps(schema)
    safe = safe_schema(schema)
    assert safe_schema(safe) == safe
    assert json.dumps(schema) == before


def test_the_time_is_linear_in_the_number_of_definitions() -> None:
    """While a schema is made safe, the host's event loop waits."""
    chain = {f"d{number}": {"type": "array", "items": ref(f"d{number + 1}")} for number in range(3000)}
    schema = defined(**chain, d3000=text())
    began = time.perf_counter()
    assert safe_schema(schema) == schema
    assert time.perf_counter() - began < 1.5
