"""Whether the cost grows with the input and no faster: the time for 2n against the time for n.

What costs n takes about twice as long when n doubles, what costs n² four times. A hostile host or client finds the one
dimension that nobody thought of, so there is an entry for each that can be thought of: tokens of text, calls, white
space inside a `<think>` span, pieces of one frame; items, tools and schemas of a request. A new entry goes into the
module of its kind.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from . import long_calls, long_requests, long_streams
from .dimension import compare
from .report import Row
from .sampling import Plan

DIMENSIONS = [*long_streams.DIMENSIONS, *long_calls.DIMENSIONS, *long_requests.DIMENSIONS]
MOST_PAIRS = 3
"""More would take minutes: the best of a few is steady."""


async def measure(plan: Plan) -> AsyncIterator[Row]:
    for dimension in DIMENSIONS:
        yield compare(dimension, max(1, round(dimension.size * plan.growth)), min(plan.pairs, MOST_PAIRS))
