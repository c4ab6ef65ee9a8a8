"""Tells what is linear from what is not, by the CPU time of a large case, which would take many times as long."""

from __future__ import annotations

import time
from collections.abc import Callable

TRIES = 3


def takes_less_than(seconds: float, work: Callable[[], object]) -> bool:
    """Whether some work takes less CPU time than that: at least once in three times, for the machine may be busy."""
    for _ in range(TRIES):
        began = time.process_time()
        work()
        if time.process_time() - began < seconds:
            return True
    return False
