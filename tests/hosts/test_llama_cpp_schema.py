"""Making JSON schemas safe for llama-cpp-python: what crashes it is removed, everything else stays as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given

from responses_shim.hosts.llama_cpp_schema import safe_schema
from tests.core.driver import Json
from tests.cpu_time import takes_less_than
from tests.hosts.odd_schemas import ROOTS

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


NAMED = "definition-{}-schema"
"""What the definitions are called afterwards."""

# Each of these schemas was sent to the server, which then crashed or hung. Beside it is what is sent instead.
CRASHING: dict[str, tuple[Json, Json]] = {
    "an escape in a pattern": (an_object(a=text(pattern=r"^\d{3}$")), an_object(a=text(pattern="^[0-9]{3}$"))),
    "a bracket that opens nothing": (an_object(a=text(pattern="^a]$")), an_object(a=text())),
    "a brace that opens nothing": (an_object(a=text(pattern="^a}$")), an_object(a=text())),
    "a repetition of a repetition": (an_object(a=text(pattern="^a*+$")), an_object(a=text())),
    "a repetition of an alternative": (an_object(a=text(pattern="^a|*b$")), an_object(a=text())),
    "a repetition of an empty group": (an_object(a=text(pattern="^()*$")), an_object(a=text(pattern="^$"))),
    "a repetition of empty alternatives": (an_object(a=text(pattern="^(|)+$")), an_object(a=text(pattern="^$"))),
    "a repetition of what may be empty": (an_object(a=text(pattern="^([a-z]?)*$")), an_object(a=text())),
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
    "an emoji in an enum": (an_object(a=text(enum=["😀"])), an_object(a=text())),
    "a quote deep in an enum": (an_object(a={"enum": [{"k": ['"']}]}), an_object(a=ANYTHING)),
    "a quote in a key in an enum": (an_object(a={"enum": [{'"': 1}]}), an_object(a=ANYTHING)),
    "a form feed in a const": (an_object(a=text(const="x\fy")), an_object(a=text())),
    "an empty anyOf": (an_object(a={"anyOf": []}), an_object(a=ANYTHING)),
    "an empty oneOf": (an_object(a={"oneOf": []}), an_object(a=ANYTHING)),
    "an empty type": (an_object(a={"type": []}), an_object(a=ANYTHING)),
    "a quote in a property name": (
        {**an_object(**{'x"y': text(), "a": text()}), "required": ['x"y', "a"]},
        {**an_object(a=text()), "required": ["a"], "additionalProperties": ANYTHING},
    ),
    "an emoji in a property name": (
        {**an_object(**{"😀": text()}), "required": ["😀"]},
        {**an_object(), "required": [], "additionalProperties": ANYTHING},
    ),
    "a quote in the name of a definition": (
        {**an_object(a=ref('x"y')), "$defs": {'x"y': text()}},
        {**an_object(a=ref(NAMED.format(0))), "$defs": {NAMED.format(0): text()}},
    ),
    "an underscore in the name of a definition of itself": (
        defined(tree_node=an_object(next=ref("tree_node"))),
        defined(**{NAMED.format(0): an_object(next=ref(NAMED.format(0)))}),
    ),
    "a definition that is only a reference to itself": (
        defined(a=ref("a")),
        {**an_object(a=ANYTHING), "$defs": {NAMED.format(0): ANYTHING}},
    ),
    "two definitions of one another": (
        defined(a=ref("b"), b={"anyOf": [ref("a"), text()]}),
        {**an_object(a=ANYTHING), "$defs": {NAMED.format(0): ANYTHING, NAMED.format(1): {"anyOf": [ANYTHING, text()]}}},
    ),
    "a reference to nothing": (an_object(a=ref("nothing")), an_object(a=ANYTHING)),
    "a reference to the root": (an_object(a={"$ref": "#"}), an_object(a=ANYTHING)),
    "a reference to a property": (an_object(a={"$ref": "#/properties/a"}), an_object(a=ANYTHING)),
    "a reference to elsewhere": (an_object(a={"$ref": "https://example.com/a.json"}), an_object(a=ANYTHING)),
    "definitions that are no object": ({**an_object(a=ref("a")), "$defs": []}, an_object(a=ANYTHING)),
    "a reference that is no string": (an_object(a={"$ref": {}}), an_object(a=ANYTHING)),
    "a reference among other keywords": (
        an_object(a={"$ref": "#", "title": "A", "type": "string"}),
        an_object(a={"title": "A", **ANYTHING}),
    ),
}

# These made the server forget the complete schema, or take another one for it.
FORGOTTEN: dict[str, tuple[Json, Json]] = {
    "a schema that is true": (an_object(a=True), an_object(a=ANYTHING)),
    "an empty schema": (an_object(a={}), an_object(a=ANYTHING)),
    "a schema without a type": (an_object(a={"title": "A"}), an_object(a={"title": "A", **ANYTHING})),
    "a type that is none": (an_object(a={"type": "any"}), an_object(a=ANYTHING)),
    "a type that is a rule of the grammar": (an_object(a={"type": "char"}), an_object(a=ANYTHING)),
    "items of any kind": (
        an_object(a={"type": "array", "items": {}}),
        an_object(a={"type": "array", "items": ANYTHING}),
    ),
    "no items": (an_object(a={"type": "array", "items": False}), an_object(a={"type": "array"})),
    "a length without a type": (an_object(a={"maxLength": 2}), an_object(a=text(maxLength=2))),
    "a negation": (an_object(a={"not": text()}), an_object(a=ANYTHING)),
    "an optional object": (
        an_object(a={"type": ["object", "null"], "properties": {"b": text()}, "title": "A"}),
        an_object(a={"title": "A", "anyOf": [an_object(b=text()), {"type": "null"}]}),
    ),
    "an optional string of a pattern": (
        an_object(a={"type": ["string", "null"], "pattern": "^a+$"}),
        an_object(a={"anyOf": [text(pattern="^a+$"), {"type": "null"}]}),
    ),
    "one type in a list": (an_object(a={"type": ["string"], "maxLength": 2}), an_object(a=text(maxLength=2))),
    "an optional value of a list": (
        an_object(a={"type": ["string", "null"], "enum": ["x", None]}),
        an_object(a={"enum": ["x", None]}),
    ),
    "all of one": (an_object(a={"allOf": [text()], "title": "A"}), an_object(a={"title": "A", **text()})),
    "all of one constant": (an_object(a={"allOf": [{"const": 1}], "type": ["object"]}), an_object(a={"const": 1})),
    "all of one object, and more": (
        {"allOf": [an_object(a=text())], "additionalProperties": True},
        {**an_object(a=text()), "additionalProperties": ANYTHING},
    ),
    "all of strings": (an_object(a={"allOf": [text(), text()]}), an_object(a=ANYTHING)),
    "all of objects and a string": (
        an_object(a={"type": "object", "allOf": [an_object(), text()]}),
        an_object(a={"type": "object"}),
    ),
    "alternatives about what an object must have": (
        {**an_object(a=text()), "anyOf": [{"required": ["a"]}]},
        an_object(a=text()),
    ),
    "alternatives of a type": (
        {"type": "object", "anyOf": [{"required": ["a"]}, an_object(b=text())]},
        {"type": "object", "anyOf": [{"type": "object"}, an_object(b=text())]},
    ),
    "more properties of any kind": (
        {**an_object(a=text()), "additionalProperties": True},
        {**an_object(a=text()), "additionalProperties": ANYTHING},
    ),
    "a format that is no string": (an_object(a=text(format=1)), an_object(a=text())),
    "a reference in a default": (an_object(a=text(default={"k": [{"$ref": "x"}]})), an_object(a=text())),
    "keywords of other kinds": (
        {"properties": 7, "required": True, "$defs": None, "enum": "x", "prefixItems": 1, "additionalProperties": 2},
        ANYTHING,
    ),
    "a name that would be the root": (an_object(**{"": text()}), {**an_object(), "additionalProperties": ANYTHING}),
    "a name that stands for others": (an_object(**{"*": text()}), {**an_object(), "additionalProperties": ANYTHING}),
    "a definition with a slash in its name": (
        {**an_object(a=ref("a~1b~0c")), "$defs": {"a/b~c": text()}},
        {**an_object(a=ref(NAMED.format(0))), "$defs": {NAMED.format(0): text()}},
    ),
    "names that a schema uses twice": (
        {**an_object(a=ref("x")), "$defs": {"x": {"$ref": "#/definitions/x"}}, "definitions": {"x": True}},
        {
            **an_object(a=ref(NAMED.format(0))),
            "$defs": {NAMED.format(0): {"$ref": f"#/definitions/{NAMED.format(1)}"}},
            "definitions": {NAMED.format(1): ANYTHING},
        },
    ),
}


@pytest.mark.parametrize("case", CRASHING | FORGOTTEN)
def test_what_crashes_the_server_or_is_forgotten_is_rewritten_or_removed(case: str) -> None:
    schema, expected = (CRASHING | FORGOTTEN)[case]
    safe = safe_schema(schema)
    assert not list(crashes(safe, safe))
    assert safe == expected


SAFE: list[Any] = [
    {},
    True,
    an_object(),
    {**an_object(a=text(), b={"type": ["integer", "null"]}), "required": ["a"], "additionalProperties": False},
    an_object(a=text(pattern="^[a-z]+$"), b=text(pattern="^(a|bc)d?x{2,5}é$"), c=text(pattern="^[a-c]{3}$")),
    an_object(a=text(minLength=1, maxLength=1000), b={"type": "array", "items": text(), "minItems": 0, "maxItems": 9}),
    an_object(a=text(format="date-time"), b={"enum": ["x", 1, None]}, c={"const": "x y"}, d={"const": {"k": [1]}}),
    an_object(a={"anyOf": [text(), {"type": "null"}]}, b={"oneOf": [text()]}),
    an_object(c={"allOf": [an_object(x=text()), an_object(y=text())]}),
    an_object(a=text(description='He said "x\\y".', title='"', default='"', examples=["\b"])),
    an_object(a={"type": "object", "default": {"pattern": "\\d"}, "examples": [{"enum": []}]}),
    an_object(a={"const": {"type": []}}, b=text(format="uuid"), c={"items": [text(), text()]}),
    an_object(pattern=text(), enum=text(), type=text(), required={"type": "boolean"}, properties=an_object(x=text())),
    an_object(naïve=text(), **{"a b": text(), "日本": text()}),
    {**an_object(a={"$ref": f"#/definitions/{NAMED.format(0)}"}), "definitions": {NAMED.format(0): text()}},
    {**an_object(a={"type": "array", "prefixItems": [text()]}), "$schema": "https://json-schema.org/x"},
    {"type": "object", "additionalProperties": text()},
    {"type": "object", "additionalProperties": True, "minProperties": 1},
]


@pytest.mark.parametrize("schema", SAFE, ids=str)
def test_a_safe_schema_stays_as_it_is(schema: Any) -> None:
    assert safe_schema(schema) == schema


# Any schema ----------------------------------------------------------------------------------------------------------


def crashes(schema: Any, root: Json) -> Iterator[str]:
    """What in a schema crashes the server, or makes it forget the schema."""
    if not isinstance(schema, dict):
        yield f"a schema that is {schema!r}"
        return
    if not schema and schema is not root:
        yield "an empty schema"
    for key, value in schema.items():
        if key in ("properties", "$defs", "definitions"):
            yield from (f"the name {name!r}" for name in value if not is_safe(name) or name in ("", "$ref"))
            for inner in value.values():
                yield from crashes(inner, root)
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems") or (key == "items" and isinstance(value, list)):
            yield from ["an empty list"] if not value else ()
            for inner in value:
                yield from crashes(inner, root)
        elif key in ("items", "additionalProperties") and not isinstance(value, bool):
            yield from crashes(value, root)
        elif key in ("enum", "const"):
            yield from (f"{inner!r} in {key}" for inner in strings(value) if not is_safe(inner))
            yield from ["an empty enum"] if value == [] and key == "enum" else ()
        elif key == "pattern" and not is_safe_pattern(value):
            yield f"the pattern {value!r}"
        elif key in ("minLength", "maxLength", "minItems", "maxItems") and value not in range(1001):
            yield f"{key} {value!r}"
        elif key == "required":
            yield from (f"the name {name!r}" for name in strings(value) if not is_safe(name))
        elif key == "$ref":
            home, _, name = value.removeprefix("#/").partition("/")
            yield from ["a reference to nothing"] if name not in root[home] or "_" in name else ()
    types = schema.get("type", [])
    if unknown := {*([types] if isinstance(types, str) else types)} - KNOWN_TYPES:
        yield f"the types {unknown}"


KNOWN_TYPES = {"object", "array", "string", "number", "integer", "boolean", "null"}


def is_safe(text: str) -> bool:
    return not re.search(r'["\\\x00-\x1F\U00010000-\U0010FFFF]', text)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value if isinstance(value, list) else value.items() if isinstance(value, dict) else ():
        yield from strings(list(inner) if isinstance(inner, tuple) else inner)


def is_safe_pattern(pattern: str) -> bool:
    """Whether it is anchored, has escapes in sets only, and repeats no repetition."""
    if not (pattern.startswith("^") and pattern.endswith("$") and len(pattern) > 1):
        return False
    without_sets = re.sub(r"\[[^\[\]]+\]", "x", pattern)
    without_counts = re.sub(r"\{\d{1,3}(,\d{0,3})?\}", "*", without_sets)
    return not set(without_counts) & set('[]{}\\"') and not re.search(r"[*+?|(][*+?]", without_counts)


@given(ROOTS)
def test_any_schema_is_safe_afterwards(schema: Json) -> None:
    safe = safe_schema(schema)
    assert not list(crashes(safe, safe))


@given(ROOTS)
def test_the_schema_is_not_changed_in_place_and_doing_it_twice_changes_nothing(schema: Json) -> None:
    before = json.dumps(schema)
    safe = safe_schema(schema)
    assert safe_schema(safe) == safe
    assert json.dumps(schema) == before


def test_the_time_is_linear_in_the_number_of_definitions() -> None:
    """While a schema is made safe, the host's event loop waits."""
    chain = {NAMED.format(number): ref(NAMED.format(number + 1)) for number in range(3000)}
    schema = defined(**chain, **{NAMED.format(3000): text()})
    assert safe_schema(schema) == schema
    assert takes_less_than(1.5, lambda: safe_schema(schema))
