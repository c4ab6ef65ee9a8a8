"""What is the opening of a stream: what comes before an answer, an error or an end, wherever the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.response.opening import MAX_OPENING, Opening
from tests.cuts import POSITIONS, cut
from tests.scripted import DONE, call, chunk, frame, usage

ROLE = chunk("", role="assistant")
BUSY = {"message": "busy", "code": 503}


def opening_of(*parts: bytes) -> Opening:
    opening = Opening()
    for part in parts:
        opening.feed(part)
    return opening


@pytest.mark.parametrize(
    "held", [ROLE, b": waiting\n\n", chunk(usage=usage(7, 0)), b"data: {}\n\n", b"data: {", chunk(""), b"\n"]
)
def test_what_is_no_answer_is_held(held: bytes) -> None:
    opening = opening_of(held)
    assert opening.undecided
    assert opening.take() == held


@pytest.mark.parametrize(
    "first",
    [
        chunk("Hi"),
        chunk(reasoning="Hm"),
        chunk(tool_calls=[call(name="f")]),
        chunk(refusal="No."),
        chunk(finish_reason="stop"),
        DONE,
        b"data: nonsense\n\n",
    ],
)
def test_an_answer_or_an_end_decides_it(first: bytes) -> None:
    opening = opening_of(ROLE, first)
    assert not opening.undecided
    assert opening.error is None
    assert opening.take() == ROLE + first


@pytest.mark.parametrize("shown", [frame({"error": BUSY}), b"event: error\ndata: " + frame(BUSY)[6:]])
def test_an_error_decides_it_too(shown: bytes) -> None:
    opening = opening_of(ROLE, shown)
    assert not opening.undecided
    assert opening.error


@pytest.mark.parametrize("cut", [True, False])
def test_an_error_behind_an_answer_is_none_of_the_opening(cut: bool) -> None:
    answer, error = chunk("Hi"), frame({"error": BUSY})
    opening = opening_of(answer, error) if cut else opening_of(answer + error)
    assert opening.error is None
    assert opening.take() == answer + error


def test_an_opening_is_not_endless() -> None:
    comment = b": wait\n\n" * 1000
    opening = Opening()
    fed = 0
    while opening.undecided:
        opening.feed(comment)
        fed += len(comment)
    assert MAX_OPENING < fed <= MAX_OPENING + len(comment)
    assert len(opening.take()) == fed


@given(st.sampled_from([ROLE + frame({"error": BUSY}), ROLE + chunk("Hi"), b": a\n\n" + ROLE, ROLE + DONE]), POSITIONS)
def test_where_the_bytes_are_cut_does_not_matter(stream: bytes, positions: list[int]) -> None:
    whole, pieces = opening_of(stream), opening_of(*cut(stream, positions))
    assert (pieces.undecided, pieces.error, pieces.take()) == (whole.undecided, whole.error, stream)
