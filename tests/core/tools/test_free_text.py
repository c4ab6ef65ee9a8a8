"""The text of a custom tool's call, taken out of its JSON, however the pieces are split."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.tools.free_text import FreeText

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
PATCH = '*** Begin Patch\n*** Update File: "a b".py\n-\told\\n\n+\tnew 😀\n*** End Patch\n'


def read(pieces: Sequence[str], *, cut: bool = False) -> str:
    free = FreeText()
    return "".join([free.feed(piece) for piece in pieces]) + free.close(cut=cut)


def splits(text: str) -> st.SearchStrategy[list[str]]:
    edges = st.lists(st.integers(0, len(text)), max_size=12).map(sorted)
    return edges.map(lambda p: [text[a:b] for a, b in zip([0, *p], [*p, len(text)], strict=True)])


@given(data=st.data(), text=TEXT, ascii=st.booleans(), indent=st.sampled_from([None, 1]))
def test_the_string_is_the_text_however_it_is_split(
    data: st.DataObject, text: str, ascii: bool, indent: int | None
) -> None:
    wrapped = json.dumps({"input": text}, ensure_ascii=ascii, indent=indent)
    assert read(data.draw(splits(wrapped))) == text
    assert read(list(wrapped)) == text


@given(data=st.data(), text=TEXT)
def test_text_that_is_no_json_is_the_text_itself(data: st.DataObject, text: str) -> None:
    bare = "*" + text
    assert read(data.draw(splits(bare))) == bare
    assert read(data.draw(splits(" \n" + bare))) == " \n" + bare


@given(data=st.data(), text=st.text(max_size=20), cut=st.booleans())
def test_how_anything_is_split_changes_nothing(data: st.DataObject, text: str, cut: bool) -> None:
    heads = [
        "",
        '"{\\"input\\": \\"\\ud83d',
        '{"input": "a", "b',
        "{",
        '{"input"',
        '{"input": "',
        '{"input":"\\',
        '{"input":"\\ud83d',
        '{"input":"a"',
        '"',
        " {",
    ]
    text = data.draw(st.sampled_from(heads)) + text
    in_one_piece = read([text], cut=cut)
    assert read(data.draw(splits(text)), cut=cut) == in_one_piece
    assert in_one_piece.encode().decode() == in_one_piece


@given(data=st.data(), text=TEXT)
def test_a_call_that_is_cut_off_gives_a_beginning_of_its_text_and_none_of_its_json(
    data: st.DataObject, text: str
) -> None:
    wrapped = json.dumps({"input": text})
    end = data.draw(st.integers(0, len(wrapped)))
    assert text.startswith(read([wrapped[:end]], cut=True))


def test_the_text_streams_as_it_comes() -> None:
    free = FreeText()
    wrapped = json.dumps({"input": PATCH}, ensure_ascii=False)
    deltas = [free.feed(piece) for piece in wrapped]
    assert sum(delta != "" for delta in deltas) == len(PATCH)
    assert free.close(cut=False) == ""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"patch": "x\\ny"}', "x\ny"),
        ('{"path": "a", "input": "x"}', "x"),
        ('{"input": "x", "why": "y"}', "x"),
        ('{"input": "x" , "why": "y"}', "x"),
        ('{"input": {"a": 1}}', '{"input": {"a": 1}}'),
        ('{"input": 5}', '{"input": 5}'),
        ('{"a": "x", "b": "y"}', '{"a": "x", "b": "y"}'),
        ('{"a": {"b": "c"}}', '{"a": {"b": "c"}}'),
        ("{}", ""),
        ("", ""),
        (" ", " "),
        ('"only a string"', "only a string"),
        (json.dumps(json.dumps({"input": 'x "y"\n'})), 'x "y"\n'),
        (json.dumps(json.dumps({"a": 1})), '{"a": 1}'),
        (json.dumps("{ not json"), "{ not json"),
        ('"{ \\ud83d"', "{ �"),
        (json.dumps('"quoted"'), '"quoted"'),
        ('"\\ud83d"', "�"),
        ('"quoted" > file', '"quoted" > file'),
        ("{ echo hi; }", "{ echo hi; }"),
        ("[1, 2]", "[1, 2]"),
        ("{" * 100_000, "{" * 100_000),
        ('{"input": "a\nb"}', "a\nb"),
        ('{"input": "say \\"hi\\""}', 'say "hi"'),
        ('{"input": "say "hi" now"}', 'say "hi" now'),
        ('{"input": "print("a", "b")"}', 'print("a", "b")'),
        ('{"input": "f("a",\n  "b") "}', 'f("a",\n  "b") '),
        ('{"input": "x" ,\n "a key": 1}', "x"),
        ('{"input": "x", "' + "k" * 70 + '": 1}', 'x", "' + "k" * 70 + '": 1}'),
        ('{"input": "x", "why', "x"),
        ('{"input": "\\d+\\u12"}', "\\d+\\u12"),
        ('{"input": "\\ud83d\\ude00"}', "😀"),
        ('{"input": "\\ud83d!"}', "�!"),
        ('{"input": "\\ud83d\\n"}', "�\n"),
        ('{"input": "\\ude00"}', "�"),
        ('{"input": "never ended', "never ended"),
        ('{"input": "never ended\\', "never ended\\"),
        ('{"input": "x"', "x"),
        ('{"input"' + " " * 300 + ': "x"}', "x"),
        ('{"input": "x"' + " " * 300 + "}", "x"),
    ],
)
def test_arguments_of_another_shape_are_read_as_they_are_meant(arguments: str, text: str) -> None:
    assert read([arguments]) == text
    assert read(list(arguments)) == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("", ""),
        ("{", ""),
        ('{"inp', ""),
        ('{"input": "', ""),
        ('{"input": "ab\\', "ab"),
        ('{"patch": "ab', ""),
        ("ab", "ab"),
    ],
)
def test_what_is_undecided_at_a_cut_is_not_text(arguments: str, text: str) -> None:
    assert read([arguments], cut=True) == text
