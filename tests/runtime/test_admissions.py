"""What the host says of a client is asked once for all who wait, and remembered for seconds if it lets it in."""

from __future__ import annotations

import anyio
import pytest

from responses_shim.errors import InvalidRequest
from responses_shim.runtime.admissions import MAX_CLIENTS, SECONDS, Admissions, Verdict
from tests.caller import DEADLINE, settle

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

REFUSED = Verdict(InvalidRequest("Wrong key.", status=401))


class Host:
    """Counts how often it is asked. It answers with `verdict`, once `answers` is set."""

    def __init__(self, verdict: Verdict = REFUSED) -> None:
        self.verdict = verdict
        self.asked = 0
        self.cancelled = 0
        self.asking = anyio.Event()
        self.answers = anyio.Event()
        self.answers.set()

    async def ask(self) -> Verdict:
        self.asked += 1
        self.asking.set()
        try:
            await self.answers.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        return self.verdict


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_client_that_was_let_in_is_not_asked_for_again_for_ten_seconds() -> None:
    clock, host = Clock(), Host(Verdict(headers=[(b"vary", b"Origin")]))
    admissions = Admissions(clock)
    for passed, asked in [(0.0, 1), (SECONDS - 0.01, 1), (SECONDS, 2), (SECONDS + 5, 2), (2 * SECONDS, 3)]:
        clock.now = 1000.0 + passed
        assert await admissions.verdict(b"a", host.ask) == Verdict(headers=[(b"vary", b"Origin")])
        assert host.asked == asked
    assert SECONDS <= 10


async def test_the_ten_seconds_begin_when_the_host_is_asked() -> None:
    clock, host = Clock(), Host(Verdict())
    admissions = Admissions(clock)

    async def slow() -> Verdict:
        clock.now += 4
        return await host.ask()

    await admissions.verdict(b"a", slow)
    clock.now += SECONDS - 4
    await admissions.verdict(b"a", host.ask)
    assert host.asked == 2


async def test_a_refusal_is_not_remembered() -> None:
    host, admissions = Host(), Admissions()
    for asked in (1, 2):
        assert await admissions.verdict(b"a", host.ask) is REFUSED
        assert host.asked == asked


async def test_each_client_is_asked_for_by_itself() -> None:
    good, bad, admissions = Host(Verdict()), Host(), Admissions()
    await admissions.verdict(b"good", good.ask)
    assert await admissions.verdict(b"bad", bad.ask) is REFUSED


@pytest.mark.parametrize("verdict", [Verdict(), REFUSED], ids=["let in", "refused"])
async def test_fifty_callers_at_once_share_one_question(verdict: Verdict) -> None:
    host, admissions, verdicts = Host(verdict), Admissions(), []
    host.answers = anyio.Event()

    async def call() -> None:
        verdicts.append(await admissions.verdict(b"a", host.ask))

    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(call)
            await host.asking.wait()
            await settle()
            host.answers.set()
    assert (host.asked, verdicts) == (1, [verdict] * 50)


async def test_a_caller_that_is_cancelled_does_not_cancel_the_others() -> None:
    host, admissions, verdicts, first = Host(Verdict()), Admissions(), [], anyio.CancelScope()
    host.answers = anyio.Event()

    async def leave() -> None:
        with first:
            await admissions.verdict(b"a", host.ask)

    async def stay() -> None:
        verdicts.append(await admissions.verdict(b"a", host.ask))

    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as group:
            group.start_soon(leave)
            await host.asking.wait()
            group.start_soon(stay)
            await settle()
            first.cancel()
            await settle()
            host.answers.set()
    assert (host.asked, host.cancelled, verdicts) == (1, 0, [Verdict()])


async def test_when_nobody_waits_any_more_the_question_is_given_up_and_the_next_caller_asks_anew() -> None:
    host, admissions = Host(Verdict()), Admissions()
    host.answers = anyio.Event()
    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(admissions.verdict, b"a", host.ask)
            await host.asking.wait()
            await settle()
            group.cancel_scope.cancel()
        host.answers.set()
        assert await admissions.verdict(b"a", host.ask) == Verdict()
    assert (host.asked, host.cancelled) == (2, 1)


async def test_a_host_that_cancels_the_question_gives_no_verdict() -> None:
    async def ask() -> Verdict:
        raise anyio.get_cancelled_exc_class()

    admissions = Admissions()
    with anyio.fail_after(DEADLINE):
        assert await admissions.verdict(b"a", ask) is None
        assert await admissions.verdict(b"a", Host(Verdict()).ask) == Verdict()


async def test_no_more_clients_are_remembered_than_allowed() -> None:
    """The one that was let in longest ago is forgotten first."""
    clock, host = Clock(), Host(Verdict())
    admissions = Admissions(clock)
    for number in range(MAX_CLIENTS + 1):
        await admissions.verdict(b"%d" % number, host.ask)
    assert len(admissions._admitted) == MAX_CLIENTS == 1024
    for number, asked in [(1, 0), (MAX_CLIENTS, 0), (0, 1)]:
        host.asked = 0
        await admissions.verdict(b"%d" % number, host.ask)
        assert host.asked == asked
    clock.now += SECONDS
    await admissions.verdict(b"new", host.ask)
    assert list(admissions._admitted) == [b"new"]
