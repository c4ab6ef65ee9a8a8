"""What is no call stays text, byte for byte: prose, code, HTML, JSON, markdown, and talk about tool calls."""

from __future__ import annotations

import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.response.tool_markup import FORMS, Form, Functions, blocks_of
from responses_shim.core.response.tool_markup.reader import MarkupReader
from responses_shim.core.response.tool_markup.source import Text
from tests.core.response.tool_markup.case import Case
from tests.core.response.tool_markup.malformed import CASES
from tests.core.response.tool_markup.reading import SCHEMAS, read
from tests.cuts import POSITIONS, cut

REPOSITORY = pathlib.Path(__file__).parents[4]
FILES = sorted(
    path
    for folder in ("responses_shim", "integrations", "tests/core")
    for path in (REPOSITORY / folder).rglob("*")
    if path.suffix in (".py", ".md", ".json", ".toml", ".mjs", ".ts") and "node_modules" not in path.parts
)

TEXTS = {
    "less than": "if a < b and c <d> or x<-1: print('<')",
    "html": '<!DOCTYPE html>\n<html><body><p class="a">Hi &lt;</p><tool_bar/><invoke/></body></html>',
    "svg": '<svg><function name="f"/><parameter name="x"/></svg>',
    "links": "See [the docs](https://a.b/c?d=[1]) and [1], [^2], [ ] and [x]; `[TOOL` and [TOOL_CALLS.",
    "a list": "[1, 2, 3]\n[a, b]",
    "a list of a call of Python's": "[print(1), f(a=2)]",
    "json": '{"name": "Ada", "arguments": {"a": 1}}',
    "json with the name of a function": '{"name": "get_weather", "description": "The weather."}',
    "json with no arguments": '{"name": "get_weather"}',
    "json in which no string ends": '{"name": "get_weather',
    "json that is not an object": '["get_weather", {"name": "get_weather"}]',
    "json with a number for a name": '{"name": 1, "arguments": {}}',
    "json with text for a key": "{name: 1}",
    "json that is empty": "{}",
    "braces": "{ } {{ }} {%- if x %}",
    "a fence of json": '```json\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n```',
    "a call in a fence": 'So:\n\n```\n<tool_call>\n{"name": "get_time"}\n</tool_call>\n```\nThat is it.',
    "a call in a longer fence": "````md\n<function=get_time>\n</function>\n````",
    "talk about tags": "Models write `<tool_call>`, <function=name>, <|python_tag|> or [TOOL_CALLS] before a call.",
    "a tag, then the name of a function": "<tool_call> is a tag, <function=get_time> is one, <invoke name=get_time>!",
    "a tag, then a function without a parameter": "<tool_call>get_time is called so.",
    "an orphan closer": "That was </tool_call> and </function>.",
    "the beginning of a tag": "<tool_c",
    "half a tag at the end": "Hello <|tool_calls_section",
    "tags without what belongs to them": "<tool_call></tool_call><tool_call>{}</tool_call><tool_call>[]</tool_call>",
    "tags within tags": "<tool_call>" * 50,
    "a name with no end": "<function=" + "a" * 100 + ">",
    "white space with no end": "<tool_call>get_time" + " " * 100 + "</tool_call>",
    "no value for a key": '<tool_call>{"name" get_time}</tool_call>',
    "a key that is no text": '<tool_call>{"na\\u12": "get_time"}</tool_call>',
    "no value at all": '<tool_call>{"name": }</tool_call>',
    "a word for a name": '<tool_call>{"name": get_time}</tool_call>',
    "arguments that are a list": '<tool_call>{"name": "get_time", "arguments": [1]}</tool_call>',
    "arguments that are no value": '<tool_call>{"name": "get_time", "arguments": ]}</tool_call>',
    "a Python dict without a call in it": "<tool_call>{'a': 1}</tool_call>",
    "a Python dict that cannot be read": "<tool_call>{'name': 'get_time', 'arguments': {'a': }}</tool_call>",
    "a Python set": "<tool_call>{'get_time'}</tool_call>",
    "nothing to call": "<|python_tag|>print",
    "a call of Python's that cannot be read": "<|python_start|>[get_time(a b)]<|python_end|>",
    "a token of Gemma's alone": "<|tool_call>call:get_time<tool_call|>",
    "braces of Gemma's that cannot be read": "<|tool_call>call:get_time{a:}<tool_call|>",
    "other braces of Gemma's": "<|tool_call>call:get_time{1}<tool_call|>",
    "a token of Kimi's alone": "<|tool_call_begin|>functions.get_time:0",
    "white space": " \n\t ",
    "nothing": "",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("form", FORMS)
def test_text_that_is_no_call_stays_text(text: str, form: Form) -> None:
    for pieces in ([text], list(text)):
        found = read(pieces, form=form)
        assert (found.text, found.calls) == (text, [])


@given(st.sampled_from(list(TEXTS.values())), st.sampled_from(FORMS), POSITIONS)
def test_it_stays_text_however_it_is_cut(text: str, form: Form, positions: list[int]) -> None:
    found = read(cut(text, positions), form=form)
    assert (found.text, found.calls) == (text, [])


def test_this_repository_makes_no_calls() -> None:
    """Two megabytes of code and guides, some about tool calls; no function in them is one that is offered."""
    schemas = {name.upper(): schema for name, schema in SCHEMAS.items()}
    assert len(FILES) > 100
    for path in FILES:
        text = path.read_text()
        for pieces in ([text], [text[start : start + 7] for start in range(0, len(text), 7)]):
            found = read(pieces, schemas=schemas)
            assert not found.calls, path
            assert found.text == text, path


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_no_call_is_made_of_functions_that_were_not_offered(case: Case) -> None:
    found = read([case.answer], schemas={"other": {}}, required=case.required)
    assert (found.text, found.calls) == (case.answer, [])


WORDS = st.sampled_from(
    [
        *["<", "<tool", "_call", ">", "</", "[", "[TOOL", "_CALLS]", "`", "```", "{", '"name"', ":", '"get_time"', "}"],
        *["<function=", "<|", "tool", "|>", "<｜", "DSML", "a", " ", "\n", "get_time", "(", ")", ",", "'", "\\"],
    ]
)


@given(st.lists(WORDS, max_size=30), st.sampled_from(FORMS), st.booleans())
def test_no_character_is_lost_or_made_up(words: list[str], form: Form, required: bool) -> None:
    """Whatever it is: unless there is a call in it, it comes out as it went in, and in the same way in one piece."""
    text = "".join(words)
    found = read(words, form=form, required=required)
    assert read([text], form=form, required=required) == found
    if not found.calls:
        assert found.text == text


@given(st.text('abc <[`{\n"', max_size=40), st.sampled_from(FORMS))
def test_text_is_held_back_only_from_what_may_be_an_opener_on(text: str, form: Form) -> None:
    """Never more than 64 characters of it, which no opener comes near to."""
    reader = MarkupReader(blocks_of(form, required=False), Functions(SCHEMAS))
    passed = ""
    for size, character in enumerate(text, start=1):
        passed += "".join(piece.text for piece in reader.feed(character) if isinstance(piece, Text))
        assert size - len(passed) <= 64
        if character.isalpha() and not passed.endswith(character):
            assert set(text[len(passed) : size]) & set("<[`{")


@pytest.mark.parametrize(
    "text",
    [
        '{"id": "' + "a" * 200,
        '{"name": {"a": [' + "1, " * 100,
        '{"arguments": {"a": [' + "1, " * 100,
        "{" + " " * 200,
        "[" + " " * 200,
        "[get" + "_" * 200,
        "[get(a=[" + "1, " * 100,
        "```" + " " * 200,
        "`" * 200,
        "<tool_call" * 40,
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_an_answer_that_begins_like_a_call_is_not_held_back_for_long(text: str, form: Form) -> None:
    reader = MarkupReader(blocks_of(form, required=True), Functions(SCHEMAS))
    passed = ""
    for size, character in enumerate(text, start=1):
        passed += "".join(piece.text for piece in reader.feed(character) if isinstance(piece, Text))
        assert size - len(passed) <= 64


@pytest.mark.parametrize("spaces", range(40, 70))
def test_a_name_comes_soon_or_the_answer_is_text_in_one_delta_as_in_many(spaces: int) -> None:
    for text in (
        "{" + " " * spaces + '"name": "get_time", "arguments": {}}',
        "[" + " " * spaces + "get_time()]",
        "[" + " " * (spaces // 2) + "{" + " " * (spaces // 2) + '"name": "get_time", "arguments": {}}]',
    ):
        for form in FORMS:
            assert read([text], form=form) == read(list(text), form=form)


def test_a_model_that_is_caught_in_a_loop_is_given_up() -> None:
    """Each of the openers would have to be looked at up to the end."""
    text = "<function=get_weather><parameter=city>" * 2_000
    assert read([text]) == (text, [], True)
