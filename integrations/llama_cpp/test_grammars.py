"""What `safe_schema` makes of any schema, llama-cpp-python's converter, grammar parser and sampler take.

Each schema goes to a program in which the engine has only the vocabulary of a model (`grammars.py`), where a "model"
that chooses among the allowed tokens by chance writes an answer.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from responses_shim.hosts.llama_cpp_pattern import rewrite
from responses_shim.hosts.llama_cpp_schema import safe_schema
from tests.hosts.odd_schemas import PATTERNS, ROOTS, as_python

pytestmark = pytest.mark.live

ROOT = Path(__file__).resolve().parents[2]
Json = dict[str, Any]
Write = Callable[[Any], Json]

many = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="session")
def write(model: str) -> Iterator[Write]:
    """`write(schema)` is what comes of a schema, as `grammars.py` describes it."""
    command = [sys.executable, "-m", "integrations.llama_cpp.grammars", model]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=variables, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as program:
        stdin, stdout = program.stdin, program.stdout
        assert stdin is not None
        assert stdout is not None

        def write_one(schema: Any) -> Json:
            stdin.write(json.dumps(schema).encode() + b"\n")
            stdin.flush()
            line = stdout.readline()
            assert line, f"the engine has ended the process: {program.wait()}"
            answer: Json = json.loads(line)
            return answer

        yield write_one
        stdin.close()


CRASHING: dict[str, Any] = {
    "an escape in a pattern": {"properties": {"a": {"type": "string", "pattern": r"^\d{3}$"}}},
    "a quote in a name": {"properties": {'x"y': {"type": "string"}}, "required": ['x"y']},
    "a quote in an enum": {"enum": ['x"y']},
    "an empty enum": {"enum": []},
    "an emoji in an enum": {"enum": ["\N{GRINNING FACE}"]},
    "an underscore in the name of a definition": {
        "properties": {"a": {"$ref": "#/$defs/a_b"}},
        "required": ["a"],
        "$defs": {"a_b": {"type": "object", "properties": {"c": {"$ref": "#/$defs/a_b"}}, "required": ["c"]}},
    },
}


@pytest.mark.parametrize("case", CRASHING)
def test_the_engine_does_crash_without_it(write: Write, case: str) -> None:
    """Else the other tests would show nothing."""
    answer = write(CRASHING[case])
    assert answer.get("valid") is False or answer.get("end") == "stuck"
    assert_taken(write(safe_schema(CRASHING[case])))


def assert_taken(answer: Json) -> Any:
    """The schema became a valid grammar, in which a text can be written that is JSON. None for one that was cut off."""
    assert answer.get("converted", True), answer
    assert answer.get("valid", True), answer
    assert answer["end"] in ("stop", "length"), answer
    # Its rule for strings takes control characters as they are.
    return json.loads(answer["text"], strict=False) if answer["end"] == "stop" else None


@many
@given(schema=ROOTS)
def test_any_schema(write: Write, schema: Any) -> None:
    assert_taken(write(safe_schema(schema)))


@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")
@many
@given(pattern=PATTERNS)
def test_what_is_written_in_a_pattern_matches_it(write: Write, pattern: str) -> None:
    if rewrite(pattern) is None:
        return
    text = assert_taken(write(safe_schema({"type": "string", "pattern": pattern})))
    if text is not None:
        assert re.search(as_python(pattern), text, re.ASCII), (pattern, text)


# Schemas as people write them ----------------------------------------------------------------------------------------

NAMES = st.sampled_from(["city", "first name", "zip_code", "größe", "x-y"])
STRINGS = st.sampled_from(["Paris", "Rome", "a b", "ä", ""])
LEAVES = st.one_of(
    st.builds(lambda type: {"type": type}, st.sampled_from(["string", "integer", "number", "boolean", "null"])),
    st.builds(
        lambda values: {"type": "string", "enum": values}, st.lists(STRINGS, min_size=1, max_size=3, unique=True)
    ),
    st.builds(lambda values: {"enum": values}, st.lists(STRINGS | st.integers() | st.none(), min_size=1, max_size=3)),
    st.builds(lambda value: {"const": value}, STRINGS | st.integers()),
    st.builds(
        lambda types: {"type": types}, st.lists(st.sampled_from(["string", "null", "integer"]), min_size=1, unique=True)
    ),
    st.builds(
        lambda pattern, types: {"type": types, "pattern": pattern},
        st.sampled_from(
            [r"^\d{3}-\d{4}$", r"^[a-z]+(-[a-z]+)*$", r"^\w+@\w+\.(com|org)$", r"^#[0-9a-fA-F]{6}$", r"\d"]
        ),
        st.sampled_from(["string", ["string", "null"]]),
    ),
    st.builds(
        lambda least, more: {"type": "string", "minLength": least, "maxLength": least + more},
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    st.sampled_from([{}, True, {"title": "Any"}, {"$ref": "#/$defs/Place"}, {"$ref": "#/$defs/tree_node"}]),
)


def nest(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def an_object(properties: Json, optional: int, more: Any, nullable: bool) -> Json:
        types = ["object", "null"] if nullable else "object"
        required = [*properties][optional:]
        return {"type": types, "properties": properties, "required": required, "additionalProperties": more}

    objects = st.builds(
        an_object,
        st.dictionaries(NAMES, inner, max_size=3),
        st.integers(0, 2),
        st.booleans() | st.just({"type": "integer"}),
        st.booleans(),
    )
    arrays = st.builds(
        lambda items, least, more, types: {"type": types, "items": items, "minItems": least, "maxItems": least + more},
        inner,
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from(["array", ["array", "null"]]),
    )
    unions = st.builds(lambda branches: {"anyOf": branches}, st.lists(inner, min_size=1, max_size=3))
    return objects | arrays | unions | st.builds(lambda part: {"allOf": [part], "description": "One."}, inner)


DEFINITIONS: Json = {
    "Place": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "tree_node": {
        "type": "object",
        "properties": {
            "value": {"type": "integer"},
            "left": {"anyOf": [{"$ref": "#/$defs/tree_node"}, {"type": "null"}]},
        },
        "required": ["value", "left"],
        "additionalProperties": False,
    },
}
WRITTEN = st.recursive(LEAVES, nest, max_leaves=6).map(
    lambda schema: {"type": "object", "properties": {"a": schema}, "required": ["a"], "$defs": DEFINITIONS}
)


@many
@given(schema=WRITTEN)
def test_what_is_written_in_a_schema_is_valid(write: Write, schema: Json) -> None:
    """Nothing is lost of schemas without anything that the converter cannot say."""
    document = assert_taken(write(safe_schema(schema)))
    if document is not None:
        jsonschema.validate(document, schema)
