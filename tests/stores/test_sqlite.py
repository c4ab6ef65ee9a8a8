"""The SQLite store: what every store does, and what its file counts."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from responses_shim.stores.base import LOG_AGE, LOG_SIZE, RUNNING, Bounds, Store, StoredItem
from responses_shim.stores.memory import MemoryStore
from responses_shim.stores.sqlite import SQLiteStore
from responses_shim.stores.sqlite_trees import ENTRY_SIZE, ITEM_SIZE, OLD_TREES, RECORD_SIZE
from responses_shim.stores.suite import StoreSuite
from responses_shim.stores.suite.base import SECONDS, WIDE, A, Clock, add_turn, record
from tests.stores.steps import Steps
from tests.stores.tracing import trace

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "responses.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    with anyio.fail_after(SECONDS):
        store = SQLiteStore(path, WIDE, Clock())
        yield store
        await store.close()


class TestSQLiteStore(StoreSuite):
    @pytest.fixture(autouse=True)
    def _path(self, path: Path) -> None:
        self.path = path

    async def open(self, bounds: Bounds, now: Callable[[], float]) -> Store:
        return SQLiteStore(self.path, bounds, now)

    @contextmanager
    def outage(self) -> Iterator[None]:
        """A directory in the place of the file."""
        away = self.path.with_name("away.db")
        self.path.rename(away)
        self.path.mkdir()
        yield
        self.path.rmdir()
        away.rename(self.path)


# What the file holds ---------------------------------------------------------------------------------------------


def totals(path: Path) -> tuple[int, int]:
    """How many trees and bytes the file has by its totals, once these have been checked against the rows."""
    connection = sqlite3.connect(path)
    query = connection.execute
    (counted,) = query("SELECT trees, size FROM totals")
    sizes = query(
        f"""SELECT tree, (SELECT ifnull(sum({RECORD_SIZE} + length(data)), 0) FROM records WHERE tree = trees.tree)
        + (SELECT ifnull(sum({ITEM_SIZE} + length(items.data)), 0)
           FROM items JOIN records USING (record) WHERE tree = trees.tree)
        + (SELECT ifnull(sum({ENTRY_SIZE} + length(entries.data)), 0)
           FROM entries JOIN records USING (record) WHERE tree = trees.tree) FROM trees ORDER BY tree"""
    ).fetchall()
    assert sizes == query("SELECT tree, size FROM trees ORDER BY tree").fetchall()
    owners = query("SELECT owner, count(*), sum(size) FROM trees GROUP BY owner ORDER BY owner").fetchall()
    assert owners == query("SELECT owner, trees, size FROM owners ORDER BY owner").fetchall()
    assert counted == (len(sizes), sum(size for _, size in sizes))
    assert query("PRAGMA foreign_key_check").fetchall() == []
    connection.close()
    return counted[0], counted[1]


@pytest.mark.parametrize("seed", range(5))
async def test_it_answers_what_the_memory_store_answers(seed: int, path: Path) -> None:
    """And its totals are those of its rows."""
    clock, steps = Clock(), Steps(seed)
    bounds = Bounds(trees=1_000, size=100_000_000, age=400)
    stores: list[Store] = [MemoryStore(bounds, clock), SQLiteStore(path, bounds, clock)]
    for _ in range(400):
        clock.time += 1
        name, arguments, options = steps.next()
        expected, found = [await getattr(store, name)(*arguments, **options) for store in stores]
        if name == "expired":
            expected, found = sorted(expected), sorted(found)
        assert found == expected, (name, arguments, options)
    assert totals(path)[0] > 1
    clock.time += LOG_AGE
    for _ in range(50):  # Each drops some of what is too old, and the last ones find nothing more of it.
        await stores[1].add(record(f"s{_}"))
    assert totals(path)[0] == 50
    await stores[1].close()


async def test_what_is_too_old_is_dropped_by_degrees(path: Path) -> None:
    """So that the first write after a long time does not wait for all of it; nobody sees it meanwhile."""
    clock = Clock()
    store = SQLiteStore(path, Bounds(trees=10**6, size=10**9, age=100), clock)
    for number in range(3 * OLD_TREES):
        await add_turn(store, f"r{number}")
    clock.time += 101
    assert await store.scan() == []
    assert totals(path)[0] == 3 * OLD_TREES
    await add_turn(store, "s1")
    assert totals(path)[0] == 2 * OLD_TREES + 1
    assert [summary.id for summary in await store.scan()] == ["s1"]
    await store.close()


async def test_the_logs_of_a_run_are_removed_from_the_file_when_their_time_is_over(path: Path) -> None:
    clock = Clock()
    store = SQLiteStore(path, WIDE, clock)
    await store.add(record("r", status="in_progress"))
    _, size = totals(path)
    await store.post(A, "r", b"cancel")
    await store.change(A, "r", among=RUNNING, status="cancelled", events=[(0, b"a"), (7, b"end")])
    assert totals(path)[1] > size
    clock.time += LOG_AGE + 1
    await add_turn(store, "s")
    await store.delete(A, "s")
    assert totals(path)[1] == size
    read = await store.read(A, "r", "events", after=-1, wait=0)
    assert read is not None
    assert (read.entries, read.ended, read.first) == ([], True, 8)
    await store.close()


async def test_a_position_may_be_any_integer(store: SQLiteStore) -> None:
    """Clients choose it (`starting_after`); SQLite's integers have 64 bits."""
    await store.add(record("r", status="in_progress"))
    await store.change(A, "r", among=RUNNING, events=[(0, b"a")])
    read = await store.read(A, "r", "events", after=2**64, wait=0)
    assert read is not None
    assert read.entries == []


async def test_an_event_that_is_larger_than_a_log_may_be_is_dropped_with_those_before_it(store: SQLiteStore) -> None:
    await store.add(record("r", status="in_progress"))
    assert await store.change(A, "r", among=RUNNING, events=[(0, b"a")])
    assert await store.change(A, "r", among=RUNNING, events=[(1, b"x" * LOG_SIZE)])
    read = await store.read(A, "r", "events", after=-1, wait=0)
    assert read is not None
    assert (read.entries, read.first) == ([], 2)
    assert await store.change(A, "r", among=RUNNING, events=[(2, b"b")])


async def test_a_turn_costs_the_same_in_a_chain_of_any_length(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What turn 1,000 adds to the file is at most a tenth more than what turn 10 does; one query reads its history."""
    statements = trace(monkeypatch)
    store = SQLiteStore(path)
    sizes = []
    for number in range(1_000):
        turn = [StoredItem(f"i{number:09}", b"x" * 500), StoredItem(f"o{number:09}", b"y" * 1500, output=True)]
        assert await store.add(record(f"r{number:09}", f"r{number - 1:09}" if number else None), turn)
        if number in (99, 199, 899, 999):  # A hundred turns each: files grow by pages.
            connection = sqlite3.connect(path)
            sizes.append(connection.execute("PRAGMA page_count").fetchone()[0])
            connection.close()
    assert (sizes[3] - sizes[2]) / (sizes[1] - sizes[0]) <= 1.1
    kept = {summary.id: summary.size for summary in await store.scan()}
    assert kept["r000000999"] == kept["r000000009"]
    statements.clear()
    history = await store.history(A, "r000000999")
    assert history is not None
    assert len(history.items) == 2_000
    assert sum("FROM line" in statement for statement in statements) == 1
    assert len(statements) < 20
    await store.close()
