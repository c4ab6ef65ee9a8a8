"""Where a JSON value ends that comes in pieces."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.wire.json_end import JSONEnd
from tests.cuts import POSITIONS, cut

VALUES = st.recursive(
    st.text(max_size=5) | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
).filter(lambda value: isinstance(value, (str, list, dict)))


def completes_at(text: str) -> int | None:
    """After how many characters the value is complete; None if it never is."""
    end = JSONEnd()
    for position, character in enumerate(text):
        if end.complete:
            return position
        end.feed(character)
    return len(text) if end.complete else None


@given(VALUES, st.booleans(), st.sampled_from(["", " ", "\n", "}", ', {"a": 1}', '"']), st.sampled_from(["", " \n"]))
def test_a_value_is_complete_at_its_last_character_whatever_follows(
    value: object, ascii_only: bool, after: str, before: str
) -> None:
    text = before + json.dumps(value, ensure_ascii=ascii_only)
    assert completes_at(text + after) == len(text)


@given(VALUES, POSITIONS)
def test_it_does_not_matter_how_the_text_is_cut(value: object, positions: list[int]) -> None:
    text = json.dumps(value)
    end = JSONEnd()
    for piece in cut(text.encode(), positions):
        assert not end.complete or not piece
        end.feed(piece.decode())
    assert end.complete


@pytest.mark.parametrize("text", ["", "  ", "{", '{"a": "}', '"\\"', '["]"', "12", "null", "rm -r {}", "}", "'{}'"])
def test_what_is_cut_or_no_container_is_never_complete(text: str) -> None:
    assert completes_at(text) is None
