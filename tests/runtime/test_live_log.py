"""The log of a run for those who follow it in one process: who reads the store, who waits for whom, what each gets."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from responses_shim.runtime import live_log
from responses_shim.runtime.live_log import LiveLog, LiveLogs, Piece
from responses_shim.stores import trees
from responses_shim.stores.base import READ_ENTRIES, READ_SIZE, RUNNING, Entries, Record, StoreUnavailable
from responses_shim.stores.memory import MemoryStore
from tests.caller import DEADLINE, settle

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

OWNER, ID = b"o", "r"
LONG = 60.0
"""A silence that no test lasts."""


class Run(MemoryStore):
    """A store with one run, whose events are their numbers. It notes what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0
        self.read_behind: list[int] = []
        self.away = False

    async def begin(self) -> None:
        await self.add(Record(owner=OWNER, id=ID, status="in_progress", created_at=1, data=b"{}"))

    async def write(self, count: int = 1, *, size: int = 0, end: bool = False) -> None:
        """Append events in one step, and perhaps end the response."""
        numbers = range(self.written, self.written + count)
        self.written += count
        events = [(number, b'{"type":"e","n":%d,"x":"%b"}' % (number, b"x" * size)) for number in numbers]
        status = "completed" if end else None
        assert await self.change(OWNER, ID, among=RUNNING, status=status, events=events)

    async def read(self, owner: bytes, id: str, log: Any, *, after: int, wait: float) -> Entries | None:
        if self.away:
            raise StoreUnavailable
        self.read_behind.append(after)
        return await super().read(owner, id, log, after=after, wait=wait)


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    run = Run()
    await run.begin()
    with anyio.fail_after(DEADLINE):
        yield run


@pytest.fixture
def logs(run: Run) -> LiveLogs:
    return LiveLogs(run)


def numbers(frames: bytes) -> list[int]:
    """The numbers of the events in a piece, each of which must be a frame."""
    found = [frame for frame in frames.split(b"\n\n") if frame]
    assert all(frame.startswith(b'event: e\ndata: {"type":"e"') for frame in found)
    return [int(frame.partition(b'"n":')[2].partition(b",")[0]) for frame in found]


async def follow(log: LiveLog, seen: list[int], after: int = -1, patience: random.Random | None = None) -> None:
    """Follow a run to its end; with `patience`, taking long over some of the pieces."""
    while (piece := await log.read(after)) is not None:
        seen += numbers(piece.frames)
        after = piece.last
        for _ in range(patience.choice([0, 0, 1, 30]) if patience is not None else 0):
            await anyio.lowlevel.checkpoint()


# One reader ----------------------------------------------------------------------------------------------------------


async def test_however_many_follow_each_new_event_is_read_once(run: Run, logs: LiveLogs) -> None:
    seen: list[list[int]] = [[] for _ in range(50)]
    with logs.following(OWNER, ID, LONG) as log:
        async with anyio.create_task_group() as group:
            for each in seen:
                group.start_soon(follow, log, each)
            await settle()
            assert run.read_behind == [-1, -1], "one has looked where the log ends, and one waits for all"
            run.read_behind.clear()
            for number in range(5):
                await run.write(end=number == 4)
                while any(len(each) <= number for each in seen):
                    await anyio.lowlevel.checkpoint()
    assert run.read_behind == [0, 1, 2, 3, 4]
    assert seen == [[0, 1, 2, 3, 4]] * 50


async def test_who_has_come_to_the_end_of_the_log_has_the_rest_read_for_all(run: Run, logs: LiveLogs) -> None:
    """Hundreds that read the log themselves found something new each time, and never stopped doing so."""
    await run.write()
    with logs.following(OWNER, ID, LONG) as log:
        piece = await log.read(-1)
        assert piece is not None
        assert numbers(piece.frames) == [0]
        await settle()
        assert run.read_behind == [-1, 0]


async def test_two_runs_have_a_reader_each(run: Run, logs: LiveLogs) -> None:
    with logs.following(OWNER, ID, LONG) as log, logs.following(OWNER, "other", LONG) as other:
        assert log is not other
        with logs.following(OWNER, ID, LONG) as again:
            assert again is log
        assert await other.read(-1) is None


@pytest.mark.parametrize("seed", range(21))
async def test_each_gets_every_event_once_and_in_order_however_slow_it_is(
    run: Run, logs: LiveLogs, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who come later, and those who resume in the middle, too."""
    monkeypatch.setattr(live_log, "PAUSE", 0.0)
    monkeypatch.setattr(live_log, "WINDOW", [10, 1_000, live_log.WINDOW][seed % 3])
    chance = random.Random(seed)
    seen: list[tuple[int, list[int]]] = []
    with logs.following(OWNER, ID, LONG) as log:
        async with anyio.create_task_group() as group:
            for _ in range(60):
                if chance.random() < 0.3:
                    after = chance.randint(-1, run.written)
                    seen.append((after, []))
                    group.start_soon(follow, log, seen[-1][1], after, random.Random(chance.random()))
                await run.write(chance.choice([1, 1, 3, READ_ENTRIES + 5]), size=chance.choice([0, 0, READ_SIZE // 60]))
                for _ in range(chance.choice([0, 1, 5])):
                    await anyio.lowlevel.checkpoint()
            await run.write(end=True)
    assert len(seen) > 5
    for after, got in seen:
        assert got == list(range(after + 1, run.written))


# Nobody waits for a follower -----------------------------------------------------------------------------------------


async def test_one_that_takes_nothing_holds_up_neither_the_run_nor_the_others(run: Run, logs: LiveLogs) -> None:
    seen: list[int] = []
    with logs.following(OWNER, ID, LONG) as log:
        await run.write()
        stalled = await log.read(-1)  # and it never comes back
        assert stalled is not None
        async with anyio.create_task_group() as group:
            group.start_soon(follow, log, seen)
            for number in range(100):
                await run.write(end=number == 99)
        assert seen == list(range(101))


@pytest.mark.parametrize("window", [10, live_log.WINDOW])
async def test_one_that_comes_back_late_catches_up_piece_by_piece(
    run: Run, logs: LiveLogs, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the log, or from what the reader has kept, which is as if it had read the log."""
    monkeypatch.setattr(live_log, "WINDOW", window)
    with logs.following(OWNER, ID, LONG) as log:
        async with anyio.create_task_group() as group:
            group.start_soon(follow, log, [])
            await settle()
            await run.write(3 * READ_ENTRIES)
            await run.write(2, size=READ_SIZE)
            await run.write(end=True)
        run.read_behind.clear()
        sizes, after = [], -1
        while (piece := await log.read(after)) is not None:
            sizes.append(len(numbers(piece.frames)))
            after = piece.last
        assert sizes == [READ_ENTRIES] * 3 + [1, 1, 1]
        assert len(run.read_behind) == (0 if window > 10 else 5), "what is in the window is not read again"


async def test_of_those_who_catch_up_only_a_few_read_at_once(
    run: Run, logs: LiveLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that hundreds who come at once leave the store to the runs."""
    reading: list[int] = []
    now, read = 0, run.read

    async def slow(*arguments: Any, **options: Any) -> Entries | None:
        nonlocal now
        now += 1
        reading.append(now)
        await anyio.lowlevel.checkpoint()
        now -= 1
        return await read(*arguments, **options)

    monkeypatch.setattr(run, "read", slow)
    await run.write(3, end=True)
    seen: list[list[int]] = [[] for _ in range(30)]
    with logs.following(OWNER, ID, LONG) as log:
        async with anyio.create_task_group() as group:
            for each in seen:
                group.start_soon(follow, log, each)
    assert seen == [[0, 1, 2]] * 30
    assert max(reading) == live_log.CATCHING_UP


async def test_what_the_log_has_dropped_is_known_by_its_first_number(
    run: Run, logs: LiveLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "LOG_SIZE", 1_000)
    with logs.following(OWNER, ID, LONG) as log:
        await run.write(20)
        piece = await log.read(3)
        assert piece is not None
        assert piece.first > 4
        assert numbers(piece.frames)[0] == piece.first


async def test_the_reader_pauses_as_long_as_it_has_followers(
    run: Run, logs: LiveLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what comes meanwhile is one piece."""
    monkeypatch.setattr(live_log, "PAUSE", 0.01)
    pieces: list[list[int]] = []

    async def count() -> None:
        after = -1
        while (piece := await log.read(after)) is not None:
            pieces.append(numbers(piece.frames))
            after = piece.last

    with logs.following(OWNER, ID, LONG) as log:
        async with anyio.create_task_group() as group:
            group.start_soon(count)
            await settle()
            for number in range(4):
                await run.write(end=number == 3)
                await settle()
    assert pieces == [[0], [1, 2, 3]]


async def test_the_reader_pauses_for_followers_that_are_still_sending(
    run: Run, logs: LiveLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else they would find each event by itself as soon as they have sent the last one, and hundreds never rest."""
    monkeypatch.setattr(live_log, "PAUSE", 0.0)
    await run.write()
    with logs.following(OWNER, ID, LONG) as log:
        async with anyio.create_task_group() as group:
            group.start_soon(log.read, 0)
            await settle()
            await run.write()
        await settle()  # the reader waits for the next event, and no follower waits for the reader
        monkeypatch.setattr(live_log, "PAUSE", LONG)
        run.read_behind.clear()
        for _ in range(3):
            await run.write()
            await settle()
        assert run.read_behind == [], "the reader pauses behind the first of them"
        piece = await log.read(1)
        assert piece is not None
        assert numbers(piece.frames) == [2]


# Silence, outages and the end ----------------------------------------------------------------------------------------


async def test_silence_is_an_empty_piece_for_all_who_wait(run: Run, logs: LiveLogs) -> None:
    got: list[Piece | None] = []

    async def wait() -> None:
        got.append(await log.read(0))

    await run.write()
    with logs.following(OWNER, ID, 0.01) as log:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(wait)
    assert got == [Piece(b"", 0)] * 3


async def test_an_outage_of_the_store_is_waited_out(run: Run, logs: LiveLogs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_log, "RETRY_SECONDS", 0.001)
    seen: list[int] = []
    with logs.following(OWNER, ID, LONG) as log:
        async with anyio.create_task_group() as group:
            group.start_soon(follow, log, seen)
            group.start_soon(follow, log, [], 99)
            await settle()
            run.away = True
            await run.write()
            assert await log.read(-1) is not None, "nothing yet, and no end"
            await anyio.wait_all_tasks_blocked()
            run.away = False
            await run.write(end=True)
    assert seen == [0, 1]


async def test_the_end_comes_behind_the_last_event_and_for_a_response_that_is_gone(run: Run, logs: LiveLogs) -> None:
    await run.write(2, end=True)
    with logs.following(OWNER, ID, LONG) as log:
        piece = await log.read(0)
        assert piece is not None
        assert numbers(piece.frames) == [1]
        for after in (1, 2, 10**6):
            assert await log.read(after) is None
        assert await run.delete(OWNER, ID)
        assert await log.read(-1) is None


async def test_all_who_wait_see_that_the_response_was_deleted(run: Run, logs: LiveLogs) -> None:
    seen: Sequence[list[int]] = [[], []]
    with logs.following(OWNER, ID, LONG) as log:
        async with anyio.create_task_group() as group:
            for each in seen:
                group.start_soon(follow, log, each)
            await settle()
            await run.delete(OWNER, ID)


async def test_a_reader_that_breaks_ends_those_who_follow(
    run: Run, logs: LiveLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They get no end of the response, for there was none."""
    broken = anyio.Event()

    async def read(*_: Any, wait: float, **__: Any) -> Entries:
        if not wait:
            return Entries([], False, 0, -1)
        await broken.wait()
        raise ZeroDivisionError

    monkeypatch.setattr(run, "read", read)
    ended: list[str] = []

    async def wait() -> None:
        with pytest.raises(OSError, match="cannot be read"):
            await log.read(-1)
        ended.append("OSError")

    with logs.following(OWNER, ID, LONG) as log:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(wait)
            await settle()
            broken.set()
        assert log._reader is not None
        assert isinstance(log._reader.exception(), ZeroDivisionError)
    assert ended == ["OSError"] * 2


async def test_when_the_last_one_has_left_nothing_is_kept_or_read(run: Run, logs: LiveLogs) -> None:
    with logs.following(OWNER, ID, LONG) as log:
        async with anyio.create_task_group() as group:
            group.start_soon(follow, log, [])
            await settle()
            with logs.following(OWNER, ID, LONG):
                pass
            assert logs._logs == {(OWNER, ID): log}
            group.cancel_scope.cancel()
    assert logs._logs == {}
    await settle()
    run.read_behind.clear()
    await run.write()
    assert run.read_behind == []
