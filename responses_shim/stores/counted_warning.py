"""Warnings about what may happen a thousand times a minute: counted each time, and logged now and then."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

logger = logging.getLogger("responses_shim")

INTERVAL = 600.0
"""How many seconds are between two lines of one warning, at least."""


class CountedWarning:
    """Counts something, and logs a warning at the first time, and later at most every ten minutes.

    `message` has a `%d` for how often it has happened since the start. `clock` gives the time in seconds.
    """

    def __init__(self, message: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.count = 0
        self._message = message
        self._clock = clock
        self._next = float("-inf")

    def add(self, times: int = 1) -> None:
        """Note that it has happened so many times, which may be none."""
        self.count += times
        if times and self._clock() >= self._next:
            self._next = self._clock() + INTERVAL
            logger.warning(self._message, self.count)
