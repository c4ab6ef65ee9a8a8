"""What reads the parts of a call: the forms, names of functions, values by their schema, and what is nearly JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from responses_shim.core.response.tool_markup import FORMS, Form, Functions, form_of
from responses_shim.core.response.tool_markup.grammar import KEY, NAME, PENDING, SPACE, Maybe, match
from responses_shim.core.response.tool_markup.json_body import JSONScan
from responses_shim.core.response.tool_markup.literals import read_calls, read_literal
from responses_shim.core.response.tool_markup.source import Source
from responses_shim.core.response.tool_markup.values import kinds_of, parameter_json, part_schema

# Forms ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "form"),
    [
        ("Qwen/Qwen3-8B", "hermes"),
        ("Qwen3-Coder-30B-A3B-Instruct", "qwen3_coder"),
        ("qwen3.5-35b", "qwen3_coder"),
        ("nvidia/NVIDIA-Nemotron-3-Nano-30B", "qwen3_coder"),
        ("stepfun-ai/Step-3.5-Flash", "qwen3_coder"),
        ("stepfun-ai/step3", "step3"),
        ("XiaomiMiMo/MiMo-V2-Flash", "qwen3_coder"),
        ("ByteDance-Seed/Seed-OSS-36B", "qwen3_coder"),
        ("zai-org/GLM-4.7", "glm"),
        ("moonshotai/Kimi-K2-Thinking", "kimi_k2"),
        ("moonshotai/Kimi-K3", "kimi_k3"),
        ("deepseek-ai/DeepSeek-V3-0324", "deepseek_v3"),
        ("deepseek-ai/DeepSeek-V3.2", "deepseek_dsml"),
        ("deepseek-v4-flash", "deepseek_dsml"),
        ("MiniMaxAI/MiniMax-M2", "minimax"),
        ("MiniMaxAI/MiniMax-M3", "minimax_m3"),
        ("openai/gpt-oss-20b", "harmony"),
        ("google/gemma-4-12b-it", "gemma4"),
        ("mistralai/Devstral-Small-2507", "mistral"),
        ("meta-llama/Llama-3.2-3B-Instruct", "llama3_json"),
        ("meta-llama/Llama-4-Scout-17B", "pythonic"),
        ("LiquidAI/LFM2-8B", "pythonic"),
        ("my-model", "hermes"),
    ],
)
def test_the_form_is_that_of_the_models_family(model: str, form: Form) -> None:
    assert form_of(model, None) == form
    assert form in FORMS


def test_the_template_knows_better_than_the_name() -> None:
    assert form_of("llama-3", "… <tool_call>\n<function=example> …") == "qwen3_coder"
    assert form_of("my-model", "{% for t in tools %}…[TOOL_CALLS]…") == "mistral"
    assert form_of("Llama-3.1-8B", "{{ messages }}") == "llama3_json"


# Patterns ------------------------------------------------------------------------------------------------------------

PATTERN = ("<", NAME, SPACE, Maybe("!"), ">")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        *[("", PENDING), ("<", PENDING), ("<a", PENDING), ("<a ", PENDING), ("<a !", PENDING), ("<a" + " " * 65, None)],
        *[
            ("a", None),
            ("<>", None),
            ("<a b", None),
            ("<a!!", None),
            ("<" + "a" * 65, None),
            ("<" + "a" * 65 + ">", None),
        ],
    ],
)
def test_a_pattern_is_found_or_may_be_or_is_not(text: str, found: Any) -> None:
    assert match(PATTERN, text, 0) is found


def test_what_is_in_the_holes_is_returned() -> None:
    assert match(PATTERN, "x<f.g  !>y", 1) == (9, {"name": "f.g"})
    assert match(("=", KEY, "="), "=a b$=", 0) == (6, {"key": "a b$"})


def test_a_name_that_cannot_be_one_is_not_waited_for() -> None:
    assert match(PATTERN, "<ab", 0, plausible=lambda name: False) is None
    assert match(PATTERN, "<ab", 0, plausible=lambda name: True) is PENDING


# Functions -----------------------------------------------------------------------------------------------------------


def test_functions_are_found_by_any_spelling_of_their_names() -> None:
    resolve = {"crm.find": "crm__find", "gone": "gone"}.get
    functions = Functions({"get_time": {}, "crm__find": {"properties": 1}, "functions_1": {}}, resolve)
    for spelling, name in {
        "get_time": "get_time",
        "functions.get_time:0": "get_time",
        "functions_get_time_12": "get_time",
        "get_time.call": "get_time",
        "crm.find": "crm__find",
        "functions_1": "functions_1",
    }.items():
        found = functions.find(spelling)
        assert found is not None
        assert found.name == name
        assert found.properties == {}
    assert functions.find("gone") is None
    assert functions.find("") is None
    assert functions.exactly("crm.find") is None


# Values --------------------------------------------------------------------------------------------------------------

POINT = {"$defs": {"Point": {"properties": {"x": {}}}, "Loop": {"$ref": "#/$defs/Loop"}}}


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("5", {"type": "string"}, "5"),
        ("5", None, "5"),
        ("5", {}, "5"),
        ("5", {"description": "any"}, "5"),
        (" 5\n", {"type": "integer"}, 5),
        ("5.0", {"type": "integer"}, 5.0),
        ("5.5", {"type": "integer"}, "5.5"),
        ("5", {"type": "number"}, 5),
        ("1e3", {"type": "number"}, 1000.0),
        ("NaN", {"type": "number"}, "NaN"),
        ("true", {"type": "integer"}, "true"),
        ("True", {"type": "boolean"}, True),
        ("false", {"type": ["boolean", "null"]}, False),
        ("None", {"type": ["boolean", "null"]}, None),
        ("null", {"type": "string", "nullable": True}, None),
        ("yes", {"type": "boolean"}, "yes"),
        ('"quoted"', {"type": ["string", "integer"]}, '"quoted"'),
        ("7", {"anyOf": [{"type": "string"}, {"type": "integer"}]}, 7),
        ("[1]", {"anyOf": [{"type": "string"}, {"type": "null"}]}, "[1]"),
        ('{"a": [1]}', {"type": "object"}, {"a": [1]}),
        ("{'a': (1, None)}", {"type": "object"}, {"a": [1, None]}),
        ("{'a': 1} and", {"type": "object"}, "{'a': 1} and"),
        ("{'a': b}", {"type": "object"}, "{'a': b}"),
        ("[1, 2", {"type": "array"}, "[1, 2"),
        ("[1]", {"items": {}}, [1]),
        ("2", {"enum": [1, 2]}, 2),
        ("a", {"enum": ["a", "b"]}, "a"),
        ("2", {"enum": 2}, "2"),
        ("null", {"const": None}, None),
        ("{}", {"$ref": "#/$defs/Point"}, {}),
        ("{}", {"$ref": "#/$defs/Nowhere/x"}, "{}"),
        ("{}", {"$ref": "#/$defs/Loop"}, "{}"),
        ("1", {"oneOf": [{"type": "integer"}], "allOf": 3}, 1),
        ("1", True, "1"),
    ],
)
def test_a_value_is_what_its_schema_says_or_text(text: str, schema: Any, value: Any) -> None:
    assert json.loads(parameter_json(text, schema, POINT)) == value


def test_a_type_may_be_anything_in_a_schema() -> None:
    assert kinds_of({"type": ["string", 1]}, {}) == {"string"}
    assert kinds_of({"type": 1}, {}) == frozenset()


# Nearly JSON ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': 'b', \"c\": 1, d: -2.5e1,}", {"a": "b", "c": 1, "d": -25.0}),
        ("[True, False, None, true, false, null,]", [True, False, None, True, False, None]),
        (r"'a\n\t\'\"\\\x41\u00e9\q\0'", "a\n\t'\"\\Aéq\0"),
        ("'''a'b\"c'''", "a'b\"c"),
        ("{'a': 1, 'a': 2}", {"a": 1}),
        ("(1, (2,))", [1, [2]]),
        ("{}", {}),
        ("12", 12),
    ],
)
def test_what_is_nearly_json_is_read(text: str, value: Any) -> None:
    assert read_literal(text + ", rest", 0)[0] == value


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            "{",
            "[1",
            "{'a'}",
            "{'a': }",
            "{: 1}",
            "'a",
            "'a\\",
            "[1 2]",
            "name",
            "[nan]",
            "[inf, 1]",
            "{'a' 1}",
            ")",
        ],
        "[" * 100 + "]" * 100,
    ],
)
def test_what_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_literal(text, 0)


def test_gemma_may_write_quotes_in_strings() -> None:
    quote = '<|"|>'
    for text, value in {
        '{a:<|"|>x<|"|>,b:{c:<|"|><|"|>}}': {"a": "x", "b": {"c": ""}},
        '{<|"|>a b<|"|>:<|"|>x<|"|> , <|"|>c<|"|>:1}': {"a b": "x", "c": 1},
        '{a:[<|"|>x<|"|>,<|"|>y<|"|>]}': {"a": ["x", "y"]},
        '{a:<|"|>say <|"|>hi<|"|>, please<|"|>,b:1}': {"a": 'say "hi", please', "b": 1},
        '{a:<|"|>f(<|"|>)}<|"|>}': {"a": 'f(")}'},
        '{a:<|"|>x<|"|>,b:[word,2]}': {"a": "x", "b": ["word", 2]},
    }.items():
        assert read_literal(text, 0, quote)[0] == value, text
    for text in ('{a:<|"|>x}', '{<|"|>a<|"|> 1}', "{a:1]"):
        with pytest.raises(ValueError):  # noqa: PT011
            read_literal(text, 0, quote)


def test_calls_of_pythons_are_read() -> None:
    (call,), end = read_calls("f ( 1, a = 'x', a=2 ) rest", 0)
    assert (call.name, call.values, call.named) == ("f", [1], {"a": "x"})
    assert end == len("f ( 1, a = 'x', a=2 )")
    assert [call.name for call in read_calls("[f(), g.h(b=[1]),]", 0)[0]] == ["f", "g.h"]
    assert read_calls("[ ]", 0) == ([], 3)
    for text in ("f", "f(", "f(a=)", "[f()", "[1]", "f(a=1 b=2)"):
        with pytest.raises(ValueError):  # noqa: PT011
            read_calls(text, 0)


def test_words_that_nobody_knows_are_passed_on_in_json() -> None:
    """What to do with them is for the client to say, as with any arguments that are no JSON."""
    source, scan = Source(), JSONScan()
    source.text = '{"a": Tx}'
    scan.feed(source)
    assert scan.complete
    assert scan.take() == '{"a": Tx}'


PART = {"type": "integer"}


@pytest.mark.parametrize(
    ("schema", "key"),
    [
        ({"properties": {"a": PART}}, "a"),
        ({"items": PART}, None),
        ({"anyOf": [{"type": "null"}, {"properties": {"a": PART}}]}, "a"),
        ({"oneOf": [{"$ref": "#/$defs/list"}]}, None),
    ],
)
def test_a_part_of_a_value_has_a_schema(schema: Any, key: str | None) -> None:
    assert part_schema(schema, key, {"$defs": {"list": {"items": PART}}}) == PART


@pytest.mark.parametrize("schema", [None, True, {}, {"properties": {"b": {}}}, {"$ref": "#/none"}, {"$ref": 7}])
def test_a_part_without_a_schema_has_none(schema: Any) -> None:
    assert part_schema(schema, "a", {}) is None


def test_a_schema_that_refers_to_itself_in_many_ways_costs_no_more_than_its_size() -> None:
    root = {"anyOf": [{"$ref": "#"}] * 100 + [{"type": "string"}]}
    assert kinds_of(root, root) == {"string"}
    assert part_schema(root, "a", root) is None
