"""Calls that are written as the models' templates prescribe are read as they were meant, however the text is cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from responses_shim.core.response.tool_markup.forms import FORMS
from tests.core.response.tool_markup.reading import read
from tests.core.response.tool_markup.writers import LEADING, WRITERS, Calls, minimax_m3, untyped
from tests.cuts import POSITIONS, cut

Writer = Callable[[Calls], str]

CLOSERS = [
    *["</tool_call>", "</function>", "</parameter>", "</arg_value>", "</invoke>", "</minimax:tool_call>"],
    *["<|tool_call_end|>", "<tool_call|>", "<｜tool▁call▁end｜>", "</｜DSML｜parameter>", "<|close|>argument<|sep|>"],
]
MARKERS = [
    *[*CLOSERS, "[TOOL_CALLS]", "[ARGS]"],
    *["{", "}", "[", "]", '"', "'", "\\", "\n", ", ", "```", "<", "</", "&lt;", ")]", "é", "😀", "<b>", "a=1"],
]
WORDS = st.text("abcXYZ 019_.:;(){}\n\"'é😀", min_size=1, max_size=12).map(str.strip).filter(bool)
FRAGMENTS = (
    st.lists(st.one_of(WORDS, st.sampled_from(MARKERS)), max_size=5)
    .filter(lambda parts: not any(part in CLOSERS and after in CLOSERS for part, after in pairwise(parts)))
    .map(" ".join)
)
"""Without two closing markers in a row: they end a value, as they do where a model has left out the first of three."""
TEXTS = st.builds("w{} w".format, FRAGMENTS)  # a value that is nothing but a marker could not be told from it

VALUES = st.recursive(
    st.one_of(st.integers(-9999, 9999), st.booleans(), st.none(), st.sampled_from(["x", "a b", "1", "true"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=5,
)
OPTIONS = st.dictionaries(st.sampled_from(["a", "b_c"]), VALUES, max_size=3)


def given_some(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=strategies)


CALLS: st.SearchStrategy[Calls] = st.lists(
    st.one_of(
        st.tuples(
            st.just("get_weather"),
            given_some(city=TEXTS, days=st.integers(0, 99), detailed=st.booleans(), options=OPTIONS),
        ),
        st.tuples(st.just("write_file"), given_some(path=TEXTS, content=TEXTS, mode=st.integers(0, 9))),
        st.tuples(st.just("get_time"), st.just({})),
        st.tuples(st.just("search_everything"), given_some(query=TEXTS, tags=st.lists(st.just("t"), max_size=3))),
    ),
    min_size=1,
    max_size=3,
)
BEFORE = st.sampled_from(["", "\n", "Let me see.\n", "a < b, [1] and `c`: \n\n", "<b>So</b> "])


@pytest.mark.parametrize("write", WRITERS, ids=lambda writer: writer.__name__)
@settings(max_examples=30)  # for each of the forms
@given(data=st.data(), calls=CALLS, positions=POSITIONS)
def test_calls_are_read_as_they_were_meant(write: Writer, data: st.DataObject, calls: Calls, positions: Any) -> None:
    before = "" if write in LEADING else data.draw(BEFORE)
    answer = before + write(calls)
    expected = [(name, arguments) for name, arguments in calls]
    if write is minimax_m3:
        expected = [
            (name, {key: untyped(value) if key == "options" and value else value for key, value in arguments.items()})
            for name, arguments in calls
        ]
    for pieces in ([answer], list(answer), cut(answer, positions)):
        found = read(pieces, form=WRITERS[write])
        assert [(name, json.loads(arguments)) for name, arguments in found.calls] == expected
        assert found.text == before
        assert not found.unclosed


@pytest.mark.parametrize("write", WRITERS, ids=lambda writer: writer.__name__)
def test_every_form_is_read_whichever_is_chosen(write: Writer) -> None:
    answer = write([("get_weather", {"city": "Paris", "days": 3})])
    for form in FORMS if write not in LEADING else (WRITERS[write],):
        assert [name for name, _ in read([answer], form=form).calls] == ["get_weather"]


@pytest.mark.parametrize("write", WRITERS, ids=lambda writer: writer.__name__)
def test_text_behind_calls_is_text(write: Writer) -> None:
    answer = write([("get_weather", {"city": "Paris"}), ("get_time", {})]) + "\n\nThat is all."
    for pieces in ([answer], list(answer)):
        found = read(pieces, form=WRITERS[write])
        assert [name for name, _ in found.calls] == ["get_weather", "get_time"]
        assert found.text == "That is all."


@pytest.mark.parametrize("write", WRITERS, ids=lambda writer: writer.__name__)
def test_without_tools_calls_are_text(write: Writer) -> None:
    answer = write([("get_weather", {"city": "Paris"})])
    for pieces in ([answer], list(answer)):
        assert read(pieces, form=WRITERS[write], schemas={}).text == answer


@pytest.mark.parametrize("write", WRITERS, ids=lambda writer: writer.__name__)
def test_calls_of_unknown_functions_are_text(write: Writer) -> None:
    answer = write([("delete_everything", {"city": "Paris"})])
    for pieces in ([answer], list(answer)):
        assert read(pieces, form=WRITERS[write]).text == answer


@pytest.mark.parametrize("write", WRITERS, ids=lambda writer: writer.__name__)
@pytest.mark.parametrize("cut_off", [True, False])
def test_a_call_that_is_cut_anywhere_leaves_text_or_the_beginning_of_a_call(write: Writer, cut_off: bool) -> None:
    answer = "So:\n" * (write not in LEADING) + write([("get_weather", {"city": "Paris", "days": 3})])
    for size in range(len(answer)):
        whole, by_character = (
            read(pieces, form=WRITERS[write], cut=cut_off) for pieces in ([answer[:size]], list(answer[:size]))
        )
        assert whole == by_character
        if not whole.calls:
            assert whole.text == answer[:size]
        else:
            assert [name for name, _ in whole.calls] == ["get_weather"]
            assert whole.text in ("", "So:\n")


@pytest.mark.parametrize("write", WRITERS, ids=lambda writer: writer.__name__)
def test_a_function_whose_name_begins_with_that_of_another_is_not_that_one(write: Writer) -> None:
    city = {"type": "object", "properties": {"city": {"type": "string"}}}
    schemas = {"get": city, "get_weather": city, "get_weather_2": city}
    for name in schemas:
        answer = write([(name, {"city": "Paris"})])
        for pieces in ([answer], list(answer)):
            assert [called for called, _ in read(pieces, form=WRITERS[write], schemas=schemas).calls] == [name]
