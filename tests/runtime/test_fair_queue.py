"""Work waits for its turn in a queue that is bounded and fair between owners."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

from responses_shim.errors import InvalidRequest
from responses_shim.runtime.fair_queue import FairQueue
from tests.caller import DEADLINE, settle
from tests.oracle import check_error

pytestmark = pytest.mark.anyio


class Worker:
    """Pieces of work in a queue, each named by its owner and a number: `a1`."""

    def __init__(self, queue: FairQueue, group: anyio.abc.TaskGroup) -> None:
        self.queue = queue
        self.group = group
        self.began: list[str] = []
        self.refused: list[str] = []
        self.ends: dict[str, anyio.Event] = {}
        self.scopes: dict[str, anyio.CancelScope] = {}

    async def add(self, *names: str) -> None:
        """Put pieces of work into the queue, one after the other."""
        for name in names:
            self.ends[name], self.scopes[name] = anyio.Event(), anyio.CancelScope()
            self.group.start_soon(self._work, name)
            await settle()

    async def end(self, name: str) -> None:
        """Let this piece of work end."""
        self.ends[name].set()
        await settle()

    async def cancel(self, name: str) -> None:
        self.scopes[name].cancel()
        await settle()

    async def drain(self) -> None:
        """Let everything end, in the order in which it began."""
        for name in self.began:  # grows meanwhile
            await self.end(name)

    async def _work(self, name: str) -> None:
        with self.scopes[name]:
            try:
                async with self.queue.turn(name[:1].encode()):
                    self.began.append(name)
                    await self.ends[name].wait()
            except InvalidRequest:
                self.refused.append(name)


@asynccontextmanager
async def worker(running: int, waiting: int) -> AsyncIterator[Worker]:
    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as group:
            yield Worker(FairQueue(running, waiting), group)


async def test_work_that_finds_the_queue_full_is_429_with_retry_after() -> None:
    queue = FairQueue(1, 0)
    async with queue.turn(b"a"):
        with pytest.raises(InvalidRequest) as caught:
            await queue.turn(b"b").__aenter__()
    error = caught.value
    check_error(error.body())
    assert (error.status, error.type, error.code) == (429, "rate_limit_error", "rate_limit_exceeded")
    assert dict(error.headers)["retry-after"].isdecimal()


async def test_no_more_run_at_a_time_than_allowed() -> None:
    async with worker(2, 10) as work:
        await work.add("a1", "a2", "a3", "b1")
        assert work.began == ["a1", "a2"]
        await work.end("a2")
        assert work.began == ["a1", "a2", "a3"]
        await work.drain()
    assert work.began == ["a1", "a2", "a3", "b1"]


async def test_owners_take_turns_however_much_each_of_them_has_waiting() -> None:
    async with worker(1, 10) as work:
        await work.add("a1", "a2", "a3", "a4", "b1", "c1", "b2")
        await work.drain()
    assert work.began == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]


async def test_when_the_queue_is_full_the_owner_with_most_waiting_gives_up_a_place() -> None:
    async with worker(1, 3) as work:
        await work.add("a1", "a2", "a3", "a4")
        await work.add("a5")
        assert work.refused == ["a5"]
        await work.add("b1")
        assert work.refused == ["a5", "a4"]
        await work.add("b2", "c1")
        assert work.refused == ["a5", "a4", "b2", "a3"]
        await work.drain()
    assert work.began == ["a1", "a2", "b1", "c1"]


async def test_nothing_waits_in_a_queue_without_places() -> None:
    async with worker(1, 0) as work:
        await work.add("a1", "b1")
        assert work.refused == ["b1"]
        await work.drain()
        await work.add("b2")
        await work.drain()
    assert work.began == ["a1", "b2"]


async def test_work_that_is_cancelled_leaves_the_queue_or_ends_its_turn() -> None:
    async with worker(1, 2) as work:
        await work.add("a1", "b1", "c1")
        await work.cancel("b1")
        await work.add("d1")
        assert not work.refused
        await work.cancel("a1")
        assert work.began == ["a1", "c1"]
        await work.drain()
    assert work.began == ["a1", "c1", "d1"]


async def test_a_turn_that_comes_to_work_that_was_just_cancelled_goes_to_the_next() -> None:
    async with worker(1, 2) as work:
        await work.add("a1", "b1", "c1")
        work.ends["a1"].set()
        await anyio.lowlevel.checkpoint()  # b1 has its turn now, but has not been resumed yet
        work.scopes["b1"].cancel()
        await settle()
        assert "c1" in work.began
        await work.drain()


async def test_whatever_happens_nothing_is_lost_and_every_turn_comes_back() -> None:
    random = Random(1)
    for _ in range(50):
        async with worker(2, 4) as work:
            names = [f"{random.choice('abc')}{number}" for number in range(20)]
            for name in names:
                await work.add(name)
                if random.random() < 0.3:
                    await work.cancel(random.choice(list(work.scopes)))
                if random.random() < 0.4 and work.began:
                    await work.end(random.choice(work.began))
            await work.drain()
            cancelled = {name for name, scope in work.scopes.items() if scope.cancel_called}
            assert set(names) == {*work.began, *work.refused, *cancelled}
        assert (work.queue._free, work.queue._waiting) == (2, {})
