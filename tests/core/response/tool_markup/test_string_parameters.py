"""The text of a string in markup is given out as it comes, as far as it is certain; other values when complete."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.response.tool_markup import Functions, blocks_of
from responses_shim.core.response.tool_markup.reader import MarkupReader
from responses_shim.core.response.tool_markup.source import Arguments
from tests.core.response.tool_markup.reading import SCHEMAS, read
from tests.cuts import POSITIONS, cut

HEAD = "<tool_call>\n<function=write_file>\n"
END = "</function>\n</tool_call>"
OPEN = "<parameter=content>"
CLOSE = "</parameter>"


def arguments_after_each(*pieces: str) -> list[str]:
    """What is given out of the arguments after each piece."""
    reader = MarkupReader(blocks_of("hermes", required=False), Functions(SCHEMAS))
    found = [reader.feed(piece) for piece in pieces]
    return ["".join(piece.json for piece in given if isinstance(piece, Arguments)) for given in found]


def test_a_string_comes_as_it_is_written() -> None:
    assert arguments_after_each(HEAD + OPEN + "\n", "line", " one\n", "line two", "\n", CLOSE, END) == [
        "",
        '{"content": "line',
        " one",
        "\\nline two",
        "",
        "",  # what follows the closer shows whether it is one
        '"}',
    ]


def test_what_may_be_a_marker_is_held() -> None:
    given = arguments_after_each(HEAD + OPEN, "a <", "b> </param", "s> </parameter", ">" + END)
    assert given == ["", '{"content": "a ', "<b> ", "</params> ", '"}']


def test_from_a_marker_that_ends_nothing_on_all_is_held_to_the_end() -> None:
    """Where nothing else ends the value, such a marker does."""
    begun = (HEAD + OPEN, "echo ", CLOSE + " done", " and done")
    assert arguments_after_each(*begun) == ["", '{"content": "echo ', "", ""]
    assert read(begun).calls == [("write_file", '{"content": "echo "}')]
    assert json.loads(read([*begun, CLOSE + END]).calls[0][1]) == {"content": f"echo {CLOSE} done and done"}


def test_another_parameters_opener_in_the_text_holds_nothing() -> None:
    given = arguments_after_each(HEAD + OPEN, "<parameter=unknown> is", " text", CLOSE + END)
    assert given == ["", '{"content": "<parameter=unknown> is', " text", '"}']


def test_the_first_string_of_a_call_within_a_line_is_held() -> None:
    """Whoever explains how calls are written may stop there, and has called nothing."""
    text = "Write <function=write_file><parameter=content> before the text."
    for pieces in ([text], list(text)):
        assert read(pieces) == (text, [], True)
    begun = ["So: ", HEAD + OPEN, "one", CLOSE, "\n<parameter=path>two", "three"]
    assert arguments_after_each(*begun) == ["", "", "", "", '{"content": "one", "path": "two', "three"]
    assert arguments_after_each("So:\n", HEAD + OPEN, "one") == ["", "", '{"content": "one']
    call = f"<function=write_file>{OPEN}one{CLOSE}</function>"
    assert arguments_after_each(call, f"  <function=write_file>{OPEN}", "two")[2] == '{"content": "two'


@pytest.mark.parametrize("value", ["7", "true", "{}"])
def test_a_value_of_another_type_is_complete(value: str) -> None:
    given = arguments_after_each(HEAD + "<parameter=mode>", value, CLOSE + END)
    assert given[:2] == ["", ""]


def test_the_first_of_two_strings_with_one_name_counts() -> None:
    answer = f"{HEAD}{OPEN}one{CLOSE}\n{OPEN}two{CLOSE}\n{END}"
    for pieces in ([answer], list(answer)):
        assert read(pieces).calls == [("write_file", '{"content": "one"}')]


@pytest.mark.parametrize("cut_off", [True, False])
def test_an_answer_that_ends_within_a_string_is_a_call_that_ends_there(cut_off: bool) -> None:
    begun = HEAD + OPEN + "\nrm -rf build/\n</par"
    for pieces in ([begun], list(begun)):
        found = read(pieces, cut=cut_off)
        assert found.calls == [("write_file", '{"content": "rm -rf build/')]
        assert (found.text, found.unclosed) == ("", True)


LINES = st.lists(st.sampled_from(["\n", "\r\n", " ", "a", "é😀", '"', "\\", "<", "</", "]", "<b>", "\x01"]), max_size=8)


@given(LINES.map("".join), POSITIONS)
def test_a_line_end_at_either_end_of_the_value_is_markup(value: str, positions: list[int]) -> None:
    for before, after in (("\n", "\n"), ("", "")):
        answer = f"{HEAD}{OPEN}{before}{value}{after}{CLOSE}\n{END}"
        written = (before + value + after).removeprefix("\n").removesuffix("\n")
        for pieces in ([answer], list(answer), cut(answer, positions)):
            (name, arguments), *others = read(pieces).calls
            assert (name, json.loads(arguments), others) == ("write_file", {"content": written}, [])
