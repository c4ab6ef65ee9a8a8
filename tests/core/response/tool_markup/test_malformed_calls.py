"""Calls as models really write them, mistakes included: each has one reading, however the text is cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.response.tool_markup.case import Case
from tests.core.response.tool_markup.malformed import CASES
from tests.core.response.tool_markup.reading import Read, read
from tests.cuts import POSITIONS, cut


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_reported_answer_is_read(case: Case) -> None:
    for pieces in ([case.answer], list(case.answer)):
        found = read(pieces, form=case.form, required=case.required)
        assert (found.calls, found.text) == (case.calls, case.text)
    for _, arguments in case.calls:
        json.loads(arguments)


@given(st.sampled_from(list(CASES.values())), POSITIONS)
def test_it_makes_no_difference_how_it_is_cut(case: Case, positions: list[int]) -> None:
    found = read(cut(case.answer, positions), form=case.form, required=case.required)
    assert (found.calls, found.text) == (case.calls, case.text)


@given(st.lists(st.sampled_from(list(CASES.values())), min_size=1, max_size=3), st.integers(0, 200), POSITIONS)
def test_any_beginning_of_answers_is_read_alike_in_one_piece_and_in_many(
    cases: list[Case], left_out: int, positions: list[int]
) -> None:
    """Whatever it is: several of these answers in a row, with the end missing."""
    answer = "".join(case.answer for case in cases)
    answer = answer[: max(1, len(answer) - left_out)]
    whole: Read = read([answer])
    assert read(list(answer)) == whole
    assert read(cut(answer, positions)) == whole


def test_a_fence_may_begin_where_another_one_ends() -> None:
    call = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
    fence = f"```\n{call}\n```"
    for answer in (f"{fence}{call}", f"{fence}{fence}", f"{fence}{fence}{call}", f"````\n{call}\n````{call}"):
        whole: Read = read([answer])
        assert read(list(answer)) == whole
        assert len(whole.calls) == (0 if answer == 2 * fence else 1)


LONG = "x(1) } ] " * 400


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (f"<|python_tag|>[write_file(path='a', content='{LONG}')]", "Python"),
        (
            f"<tool_call>{{'name': 'write_file', 'arguments': {{'path': 'a', 'content': '{LONG}'}}}}</tool_call>",
            "a dict",
        ),
        (f'<|tool_call>call:write_file{{path:<|"|>a<|"|>,content:<|"|>{LONG}<|"|>}}<tool_call|>', "Gemma"),
        (f"<function=write_file><parameter=path>a</parameter><parameter=content>{LONG}</parameter></function>", "tags"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_long_arguments_are_read(answer: str, name: str, size: int) -> None:
    """What is nearly JSON is tried again less often the longer it is, and at the end."""
    pieces = [answer[start : start + size] for start in range(0, len(answer), size)]
    (call,) = read(pieces).calls
    assert (call[0], json.loads(call[1])) == ("write_file", {"path": "a", "content": LONG})
