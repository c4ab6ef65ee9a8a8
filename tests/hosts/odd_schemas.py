"""Random JSON schemas, most of them odd: names, values, patterns, counts and references that converters trip over."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]

NAMES = st.sampled_from(
    [
        *("a", "b", "my_a", 'x"y', "a b", "", "\b", "\n", "é", "😀", "*", "a-b", "a-b0", "$ref", "enum", "pattern"),
        *(
            "properties",
            "#",
            "root",
            "space",
            "string",
            "value",
            "char",
            "integral_part",
            "item",
            "definition-0-schema",
        ),
    ]
)
VALUES = st.one_of(
    NAMES, st.integers(), st.none(), st.lists(NAMES, max_size=2), st.dictionaries(NAMES, NAMES, max_size=2)
)
PATTERNS = st.one_of(
    st.text(alphabet="^$[](){}|*+?.,-ab12\\", max_size=8),
    st.lists(
        st.sampled_from(
            [
                *(
                    "^",
                    "$",
                    "|",
                    "(",
                    ")",
                    "(?:",
                    "a",
                    "b+",
                    "1*",
                    "\\d",
                    "\\w+",
                    "\\s?",
                    "\\.",
                    "\\-",
                    '"',
                    "\\\\",
                    "é",
                ),
                *(
                    ".",
                    ".*",
                    "[a-z]",
                    "[^a]",
                    "[^\\d-]+",
                    "[\\w.]{2}",
                    "{3}",
                    "{1,2}",
                    "{0,}",
                    "?",
                    "*",
                    "\\u00e9",
                    "\n",
                ),
            ]
        ),
        max_size=8,
    ).map("".join),
)


def as_python(pattern: str) -> str:
    """A pattern in Python's dialect, with the flag ASCII."""
    return re.sub(
        r"\\.|\[(?:\\.|[^\]\\])*\]|\$", lambda found: _IN_PYTHON.get(found[0], found[0]), pattern, flags=re.DOTALL
    )


_IN_PYTHON = {"$": r"\Z", r"\s": r"[\s\xa0]"}


COUNTS = st.sampled_from([0, 1, 2, 3, 1000, 1001, -1, 10**9, 2.5, None, True])
TYPES = st.sampled_from(["object", "array", "string", "number", "integer", "boolean", "null", "char", "any"])
REFERENCES = st.one_of(
    NAMES.map("#/$defs/{}".format),
    NAMES.map("#/definitions/{}".format),
    st.sampled_from(["#", "#/properties/a"]),
    VALUES,
)


def keywords(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({}, optional=strategies)


LEAVES = st.one_of(
    keywords(
        type=TYPES | st.lists(TYPES, max_size=2) | VALUES,
        pattern=PATTERNS | VALUES,
        minLength=COUNTS,
        maxLength=COUNTS,
        format=st.sampled_from(["date", "time", "date-time", "uuid", "uuid4", "email"]) | VALUES,
    ),
    keywords(enum=st.lists(VALUES, max_size=2) | VALUES, title=NAMES, type=TYPES),
    keywords(const=VALUES, default=VALUES),
    keywords(description=NAMES, additionalProperties=st.booleans()),
    st.fixed_dictionaries({"$ref": REFERENCES}),
    st.booleans(),
)


def nest(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    named = st.dictionaries(NAMES, inner, max_size=3)
    listed = st.lists(inner, max_size=2)
    types = TYPES | st.lists(TYPES, max_size=2)
    return st.one_of(
        keywords(
            type=types,
            properties=named | VALUES,
            required=st.lists(NAMES, max_size=2) | VALUES,
            additionalProperties=inner,
        ),
        keywords(type=types, items=inner | listed, prefixItems=listed, minItems=COUNTS, maxItems=COUNTS),
        keywords(anyOf=listed, oneOf=listed, allOf=listed, type=types),
        keywords(allOf=listed, title=NAMES),
        st.fixed_dictionaries({"not": inner}),
        st.dictionaries(NAMES, inner, max_size=2),
    )


SCHEMAS = st.recursive(LEAVES, nest, max_leaves=6)
ROOTS = st.one_of(
    st.builds(
        lambda schema, definitions: {
            "type": "object",
            "properties": {"a": schema},
            "required": ["a"],
            "$defs": definitions,
        },
        SCHEMAS,
        st.dictionaries(NAMES, SCHEMAS, max_size=3) | VALUES,
    ),
    st.builds(lambda schema: schema if isinstance(schema, dict) else {}, SCHEMAS),
)
"""Schemas with definitions, as they are the parameters of a tool or the format of an answer."""
