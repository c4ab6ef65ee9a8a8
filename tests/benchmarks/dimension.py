"""One way in which an input can be long, and the time for an input of twice the length against the time for one."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass

from .report import Row
from .sampling import Spread

Work = Callable[[], object]
"""What is timed: the work on an input that has been made before."""


@dataclass(frozen=True)
class Dimension:
    """One way in which an input can be long: `prepare(n)` makes an input of length n, and returns the work on it.

    `size` is an n for which the work takes some tens of milliseconds.
    """

    name: str
    size: int
    prepare: Callable[[int], Work]


def compare(dimension: Dimension, n: int, pairs: int) -> Row:
    """The time for 2n ÷ the time for n, each the best of `pairs`: a disturbed measurement is always a longer one."""
    short, long = dimension.prepare(n), dimension.prepare(2 * n)
    times = [(seconds(short), seconds(long)) for _ in range(pairs)]
    best_short, best_long = (min(column) for column in zip(*times, strict=True))
    ratios = [after / before for before, after in times]
    return Row(
        f"linear: {dimension.name}, 2n ÷ n",
        Spread(best_long / best_short, min(ratios), max(ratios)),
        bar="≤ 2.5",
        detail=f"n = {n:,}: {best_short * 1000:.1f} ms; {2 * n:,}: {best_long * 1000:.1f} ms",
    )


def seconds(work: Work) -> float:
    """CPU time of the work.

    Garbage is collected before it and not meanwhile: that takes time in proportion too, but in leaps, for Python waits
    until there is a quarter more than the last time.
    """
    gc.collect()
    gc.disable()
    try:
        before = time.process_time()
        work()
        return time.process_time() - before
    finally:
        gc.enable()
