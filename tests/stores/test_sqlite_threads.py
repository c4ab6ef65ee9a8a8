"""The threads of the SQLite store: batches, waiting for changes, and the end."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from responses_shim.stores.base import RUNNING, StoreUnavailable
from responses_shim.stores.sqlite import SQLiteStore
from responses_shim.stores.suite.base import SECONDS, WIDE, A, Clock, add_turn, ids_of, record
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


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that SQLite runs, of all connections that are opened from now on."""
    return trace(monkeypatch)


class Gate:
    """Holds a thread of the store up, so that what is asked meanwhile is one batch."""

    def __init__(self) -> None:
        self._entered = threading.Event()
        self._open = threading.Event()

    def __call__(self, connection: sqlite3.Connection) -> None:
        self._entered.set()
        self._open.wait(SECONDS)

    async def entered(self) -> None:
        await anyio.to_thread.run_sync(self._entered.wait, SECONDS)

    def open(self) -> None:
        self._open.set()


# Batches ---------------------------------------------------------------------------------------------------------


async def test_what_waits_is_written_in_one_transaction(path: Path, statements: list[str]) -> None:
    store, added = SQLiteStore(path), []

    async def add(number: int) -> None:
        added.append(await add_turn(store, f"r{number}"))

    gate = Gate()
    store._writer.submit(gate)
    await gate.entered()
    statements.clear()
    async with anyio.create_task_group() as tasks:
        for number in range(150):
            tasks.start_soon(add, number)
        await anyio.wait_all_tasks_blocked()
        gate.open()
    assert added == [True] * 150
    assert statements.count("COMMIT") == 3  # of what held it up, of 100 turns, and of 50
    await store.close()


async def test_one_that_fails_undoes_nothing_of_the_others(store: SQLiteStore) -> None:
    """Neither if its savepoint is rolled back, nor if SQLite gives up the transaction, as it does on a full disk."""

    def fails(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM records")
        raise KeyError("reason")

    def gives_up(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("database or disk is full")

    gate, raised = Gate(), []

    async def run(work: Callable[[sqlite3.Connection], None]) -> None:
        try:
            await store._writer.run(work)
        except (KeyError, StoreUnavailable) as error:
            raised.append(type(error))

    store._writer.submit(gate)
    await gate.entered()
    async with anyio.create_task_group() as tasks:
        for work in (fails, gives_up):
            tasks.start_soon(add_turn, store, f"before {work.__name__}")
            tasks.start_soon(run, work)
            tasks.start_soon(add_turn, store, f"after {work.__name__}")
        await anyio.wait_all_tasks_blocked()
        gate.open()
    assert raised == [KeyError, StoreUnavailable]
    assert sorted(summary.id for summary in await store.scan()) == sorted(
        f"{when} {work}" for when in ("before", "after") for work in ("fails", "gives_up")
    )


async def test_readers_that_ask_for_the_same_entries_share_one_query(path: Path, statements: list[str]) -> None:
    store = SQLiteStore(path)
    await store.add(record("r", status="in_progress"))
    await store.change(A, "r", among=RUNNING, events=[(0, b"a")])
    gate, read = Gate(), []

    async def follow(after: int) -> None:
        entries = await store.read(A, "r", "events", after=after, wait=0)
        assert entries is not None
        read.append(entries.entries)

    store._reader.submit(gate)
    await gate.entered()
    statements.clear()
    async with anyio.create_task_group() as tasks:
        for number in range(60):
            tasks.start_soon(follow, number % 2 - 1)
        await anyio.wait_all_tasks_blocked()
        gate.open()
    assert sorted(read) == [[]] * 30 + [[(0, b"a")]] * 30
    assert sum("SELECT number, data FROM entries" in statement for statement in statements) == 2
    await store.close()


async def test_who_is_cancelled_while_it_waits_has_written_nothing(store: SQLiteStore) -> None:
    gate = Gate()
    store._writer.submit(gate)
    await gate.entered()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(add_turn, store, "r1")
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    gate.open()
    assert await add_turn(store, "r2")
    assert [summary.id for summary in await store.scan()] == ["r2"]


# Waiting, and the end --------------------------------------------------------------------------------------------


async def test_who_waits_is_woken_by_another_process(store: SQLiteStore, path: Path) -> None:
    """Here another store on the same file: it has connections of its own, as another process has."""
    other = SQLiteStore(path, WIDE, Clock())
    await store.add(record("r", status="in_progress"))
    read: list[Any] = []

    async def follow(log: Any) -> None:
        read.append(await store.read(A, "r", log, after=-1, wait=SECONDS))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow, "events")
        tasks.start_soon(follow, "messages")
        await anyio.wait_all_tasks_blocked()
        assert await other.post(A, "r", b"cancel")
        assert await other.change(A, "r", among=RUNNING, status="cancelled", events=[(0, b"end")])
    assert sorted(entries.entries for entries in read) == [[(0, b"cancel")], [(0, b"end")]]
    await other.close()


async def test_the_file_is_polled_only_while_somebody_waits(path: Path, statements: list[str]) -> None:
    store = SQLiteStore(path)
    await store.add(record("r", status="in_progress"))
    await add_turn(store, "s")
    assert "PRAGMA data_version" not in statements
    assert await store.read(A, "r", "events", after=-1, wait=0.15) is not None
    polls = statements.count("PRAGMA data_version")
    assert polls >= 1
    await add_turn(store, "t")
    await store.close()
    assert statements.count("PRAGMA data_version") == polls


async def test_a_record_that_is_deleted_ends_the_wait_for_its_log(store: SQLiteStore) -> None:
    await store.add(record("r", status="in_progress"))
    read: list[Any] = []

    async def follow() -> None:
        read.append(await store.read(A, "r", "events", after=-1, wait=SECONDS))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        assert await store.delete(A, "r")
    assert read == [None]


async def test_close_does_what_waits_ends_the_threads_and_those_who_wait_for_a_log(path: Path) -> None:
    before = threading.active_count()
    store = SQLiteStore(path, WIDE, Clock())
    assert threading.active_count() == before
    assert list(path.parent.iterdir()) == []
    await store.add(record("r", status="in_progress"))
    raised = []

    async def follow() -> None:
        try:
            await store.read(A, "r", "events", after=-1, wait=SECONDS)
        except StoreUnavailable as error:
            raised.append(error.status)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        tasks.start_soon(add_turn, store, "s")
        await anyio.wait_all_tasks_blocked()
        await store.close()
    assert raised == [503]
    assert not {store._writer._thread, store._reader._thread} & set(threading.enumerate())
    assert list(path.parent.iterdir()) == [path]  # without its -wal and -shm
    assert await store.get(A, "r") is not None
    await store.close()
    later = SQLiteStore(path, WIDE, Clock())
    assert ids_of(await later.get(A, "s")) == ["is", "os"]
    await later.close()
