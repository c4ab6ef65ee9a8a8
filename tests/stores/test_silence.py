"""When a server counts as gone. The clock of the event loop is put forward, so that nobody waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anyio
import pytest
from anyio.abc import TaskGroup

from responses_shim.stores.silence import STALL, Silence
from tests.caller import DEADLINE, settle

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

LIMIT, LONGEST = 3.0, 10.0
SOON = 0.01
"""Not so late that the event loop seems to have been held up."""


class Clock:
    """The clock of the running loop, which can be put forward."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._ahead = 0.0

    def time(self) -> float:
        return self._time() + self._ahead

    async def pass_(self, seconds: float) -> None:
        self._ahead += seconds
        await settle()


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Clock]:
    clock = Clock()
    with anyio.fail_after(DEADLINE + 10 * LONGEST):  # the time that is put forward counts
        monkeypatch.setattr(asyncio.get_running_loop(), "time", clock.time)
        yield clock
        monkeypatch.undo()


class Request:
    """A request to a server, for whose reply a task waits."""

    def __init__(self, silence: Silence, group: TaskGroup) -> None:
        self.reply = anyio.Event()
        self.outcome: str | None = None
        group.start_soon(self._wait, silence)

    async def _wait(self, silence: Silence) -> None:
        try:
            with silence.bounded(LIMIT, LONGEST):
                await self.reply.wait()
        except TimeoutError:
            self.outcome = "gone"
        else:
            self.outcome = "answered"


async def test_a_server_that_says_nothing_is_gone_after_the_limit(clock: Clock) -> None:
    async with anyio.create_task_group() as group:
        request = Request(Silence(), group)
        await settle()
        await clock.pass_(LIMIT - SOON)
        assert request.outcome is None
        await clock.pass_(2 * SOON)
        assert request.outcome == "gone"


async def test_who_waits_long_waits_on_while_the_server_answers_others(clock: Clock) -> None:
    silence = Silence()
    async with anyio.create_task_group() as group:
        request = Request(silence, group)
        await settle()
        for _ in range(3):
            await clock.pass_(LIMIT - SOON)
            silence.end()
        assert request.outcome is None
        request.reply.set()
    assert request.outcome == "answered"


async def test_it_is_gone_for_all_when_it_has_been_silent_since_its_last_reply(clock: Clock) -> None:
    silence = Silence()
    async with anyio.create_task_group() as group:
        requests = [Request(silence, group) for _ in range(3)]
        await settle()
        await clock.pass_(LIMIT / 2)
        silence.end()
        await clock.pass_(LIMIT / 2 + SOON)
        assert [request.outcome for request in requests] == [None] * 3
        await clock.pass_(LIMIT / 2)
        assert [request.outcome for request in requests] == ["gone"] * 3


async def test_a_reply_of_long_ago_is_no_excuse(clock: Clock) -> None:
    silence = Silence()
    silence.end()
    await clock.pass_(LIMIT)
    await test_a_server_that_says_nothing_is_gone_after_the_limit(clock)


async def test_nobody_waits_for_ever(clock: Clock) -> None:
    """Of several servers, one may be gone while the others answer."""
    silence, waited = Silence(), 0.0
    async with anyio.create_task_group() as group:
        request = Request(silence, group)
        await settle()
        while request.outcome is None:
            silence.end()
            await clock.pass_(1)
            waited += 1
        assert waited == LONGEST


async def test_time_in_which_the_event_loop_was_held_does_not_count(clock: Clock) -> None:
    """A timer that is late and a reply that has come meanwhile are found in the same moment."""
    async with anyio.create_task_group() as group:
        request, other = Request(silence := Silence(), group), Request(silence, group)
        await settle()
        await clock.pass_(LIMIT + STALL + SOON)
        assert (request.outcome, other.outcome) == (None, None)
        request.reply.set()
        await clock.pass_(LIMIT - SOON)
        assert (request.outcome, other.outcome) == ("answered", None)
        await clock.pass_(2 * SOON)
        assert other.outcome == "gone"


async def test_whoever_is_cancelled_meanwhile_is_cancelled(clock: Clock) -> None:
    async with anyio.create_task_group() as group:
        request = Request(Silence(), group)
        await settle()
        group.cancel_scope.cancel()
    assert request.outcome is None
