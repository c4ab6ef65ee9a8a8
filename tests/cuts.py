"""Cuts bytes or text into pieces at random positions: where a host's messages end must never matter."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import AnyStr

from hypothesis import strategies as st

POSITIONS = st.lists(st.integers(0, 10_000), max_size=20)
"""Positions to cut at, for `cut`: far more of them are in the middle of a stream than at its ends."""


def cut(data: AnyStr, positions: Sequence[int]) -> list[AnyStr]:
    """`data` in pieces, which joined are `data` again. A position beyond its end counts on from its beginning."""
    edges = [0, *sorted(position % (len(data) + 1) for position in positions), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]
