"""Warnings that are counted, and logged now and then."""

from __future__ import annotations

import pytest

from responses_shim.stores.base import EVICTING, Bounds
from responses_shim.stores.counted_warning import INTERVAL, CountedWarning
from responses_shim.stores.memory import MemoryStore
from responses_shim.stores.suite.base import Clock, add_turn


def test_it_is_logged_at_the_first_time_and_then_once_in_an_interval(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    warning = CountedWarning("%d times", clock)
    warning.add(0)
    assert caplog.messages == []
    for times in (1, 1, 0, 2):
        warning.add(times)
    assert caplog.messages == ["1 times"]
    clock.time += INTERVAL
    warning.add(0)
    assert caplog.messages == ["1 times"]
    warning.add()
    warning.add()
    assert caplog.messages == ["1 times", "5 times"]
    assert warning.count == 6


@pytest.mark.anyio
async def test_a_store_that_evicts_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore(Bounds(trees=2, size=10**6, age=100))
    for number in range(9):
        await add_turn(store, f"r{number}")
    assert caplog.messages == [EVICTING % 1]
    assert await store.evicted() == 7
