"""The file of the SQLite store: its format, its mode, and what happens when there is trouble with it."""

from __future__ import annotations

import logging
import os
import resource
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import pytest

from responses_shim.stores import sqlite_file
from responses_shim.stores.base import RUNNING, StoreUnavailable
from responses_shim.stores.sqlite import SQLiteStore
from responses_shim.stores.sqlite_file import APPLICATION_ID, MIGRATIONS, StoreFile, UnusableFile
from responses_shim.stores.suite.base import SECONDS, A, add_turn, ids_of, record

pytestmark = pytest.mark.anyio

NEXT_MIGRATION = ("ALTER TABLE records ADD COLUMN note TEXT", "CREATE INDEX records_noted ON records (note)")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "responses.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    with anyio.fail_after(SECONDS):
        store = SQLiteStore(path, lock_timeout=0.05)
        yield store
        await store.close()


def remove(path: Path) -> None:
    """Remove a database and what SQLite has beside it."""
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()


def put_directory(path: Path) -> None:
    """Put a directory in the place of a database, in which the store may make a new one before it is there."""
    while not path.is_dir():
        remove(path)
        with suppress(FileExistsError):
            path.mkdir()


def content(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


async def fails(store: SQLiteStore) -> None:
    """That a store cannot be used, which is never the same as that something is not there."""
    with pytest.raises(StoreUnavailable) as raised:
        await add_turn(store, "r1")
    assert raised.value.message == "The store of responses is not available."
    with pytest.raises(StoreUnavailable):
        await store.get(A, "r1")
    with pytest.raises(StoreUnavailable):
        await store.read(A, "r1", "events", after=-1, wait=SECONDS)


async def works(store: SQLiteStore, id: str = "new") -> None:
    assert await add_turn(store, id)
    assert ids_of(await store.history(A, id)) == [f"i{id}", f"o{id}"]


# The format ------------------------------------------------------------------------------------------------------


def make_file(path: Path, number: int) -> None:
    """A file of the format with that number."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statements in MIGRATIONS[:number]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {number}")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.close()


@pytest.mark.parametrize("number", range(len(MIGRATIONS) + 1))
async def test_a_file_of_any_earlier_format_is_brought_up_to_date(number: int, store: SQLiteStore, path: Path) -> None:
    make_file(path, number)
    await works(store)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    connection.close()


async def test_a_migration_keeps_what_is_there_and_an_older_version_refuses_the_result(
    store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await add_turn(store, "r1")
    with monkeypatch.context() as later:
        later.setattr(sqlite_file, "MIGRATIONS", (*MIGRATIONS, NEXT_MIGRATION))
        newer = SQLiteStore(path)
        assert ids_of(await newer.get(A, "r1")) == ["ir1", "or1"]
        await works(newer)
        await newer.close()
    older = SQLiteStore(path)
    await fails(older)
    await older.close()
    assert "newer version of responses-shim: its format is 3, this version knows formats up to 2" in caplog.text


async def test_a_migration_that_fails_changes_nothing(
    store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_turn(store, "r1")
    with monkeypatch.context() as later:
        later.setattr(sqlite_file, "MIGRATIONS", (*MIGRATIONS, (*NEXT_MIGRATION, "CREATE TABLE records (x)")))
        newer = SQLiteStore(path)
        await fails(newer)
        await newer.close()
    assert ids_of(await store.get(A, "r1")) == ["ir1", "or1"]
    again = SQLiteStore(path)
    await works(again)
    await again.close()


async def test_another_programs_database_is_left_alone(
    store: SQLiteStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE records (mine)")
    connection.close()
    before = content(path)
    await fails(store)
    assert content(path) == before
    assert "another program's database" in caplog.text


def test_a_file_system_without_shared_memory_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite then keeps another journal mode, and says so by what the pragma returns."""
    monkeypatch.setattr(StoreFile, "_retry", lambda self, attempt: "delete")
    with pytest.raises(UnusableFile, match="network file system"):
        StoreFile(path, 1).connect()


# Vacuum ----------------------------------------------------------------------------------------------------------


async def test_what_was_freed_in_a_file_is_given_back_while_others_use_it(
    store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "VACUUM_STEP", 10)
    for number in range(20):
        await add_turn(store, f"r{number}", size=100_000)
    await add_turn(store, "kept")
    for number in range(20):
        await store.delete(A, f"r{number}")
    other = SQLiteStore(path, lock_timeout=SECONDS)
    given: list[int] = []

    async def vacuum() -> None:
        given.append(await other.vacuum())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(vacuum)
        number = 0
        while not given:
            assert await add_turn(other, f"new{number}", "kept")
            number += 1
    await other.close()
    await store.close()
    taken = number * 4_000  # by the turns that were added meanwhile, some of it of what was free
    assert given[0] + taken > 1_500_000
    assert len(content(path)) < 500_000 + taken
    assert ids_of(await store.history(A, "new0")) == ["ikept", "okept", "inew0", "onew0"]
    assert await store.vacuum() >= 0


async def test_a_file_that_could_not_be_vacuumed_in_steps_is_so_from_then_on(store: SQLiteStore, path: Path) -> None:
    make_file(path, len(MIGRATIONS))
    await add_turn(store, "r1", size=1_000_000)
    await add_turn(store, "r2")
    await store.delete(A, "r1")
    assert await store.vacuum() > 900_000
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    connection.close()
    assert await store.get(A, "r2") is not None


async def test_trouble_with_the_file_is_trouble_with_its_vacuum(store: SQLiteStore, path: Path) -> None:
    await add_turn(store, "r1", size=100_000)
    await store.delete(A, "r1")
    with locked(path), pytest.raises(StoreUnavailable):
        await store.vacuum()
    assert await store.vacuum() > 0


# The mode --------------------------------------------------------------------------------------------------------


async def test_only_its_user_may_read_the_file_whatever_the_umask_allows(store: SQLiteStore, path: Path) -> None:
    umask = os.umask(0)
    try:
        await works(store)
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    finally:
        os.umask(umask)
    assert modes == {"responses.db": 0o600, "responses.db-wal": 0o600, "responses.db-shm": 0o600}


async def test_a_relative_path_stays_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore("responses.db")
    monkeypatch.chdir("/")
    await works(store)
    assert "responses.db" in os.listdir(tmp_path)
    await store.close()


# Trouble ---------------------------------------------------------------------------------------------------------


async def test_a_directory_that_is_missing(store: SQLiteStore, path: Path) -> None:
    missing = SQLiteStore(path.parent / "new" / "responses.db")
    await fails(missing)
    (path.parent / "new").mkdir()
    await works(missing)
    await missing.close()


async def test_a_file_that_is_a_directory(store: SQLiteStore, path: Path) -> None:
    os.mkdir(path)
    await fails(store)
    os.rmdir(path)
    await works(store)


async def test_a_damaged_file(store: SQLiteStore, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(path, b"no database " * 1_000)
    await fails(store)
    assert "file is not a database" in caplog.text
    os.unlink(path)
    await works(store)


async def test_a_file_that_is_damaged_while_it_is_open(store: SQLiteStore, path: Path) -> None:
    await add_turn(store, "r1", size=100_000)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    kept = content(path)
    write(path, kept[:4096] + b"damage" * 20_000)
    await fails(store)
    # By a name of its own first: a thread of the store that looks at the file at this moment must not find it empty,
    # make tables in it, and have its log removed.
    write(path.with_name("good.db"), kept)
    for suffix in ("-wal", "-shm"):
        path.with_name(f"responses.db{suffix}").unlink(missing_ok=True)
    path.with_name("good.db").replace(path)
    await works(store)
    assert await store.get(A, "r1") is not None


@pytest.mark.parametrize("replaced", [True, False])
async def test_a_file_that_is_removed_or_replaced_while_it_is_open(
    replaced: bool, store: SQLiteStore, path: Path
) -> None:
    """SQLite itself would go on with the old one, which has no name any more."""
    await add_turn(store, "r1")
    if replaced:
        other = SQLiteStore(path.with_name("other.db"))
        await add_turn(other, "r2")
        await other.close()
        path.with_name("other.db").replace(path)
        for suffix in ("-wal", "-shm"):
            path.with_name(f"responses.db{suffix}").unlink()
    else:
        remove(path)
    assert await store.get(A, "r1") is None
    assert (await store.get(A, "r2") is not None) == replaced
    await works(store)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """A transaction of another process, which keeps everybody else from writing."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


async def test_a_lock_of_another_process_is_waited_for(store: SQLiteStore, path: Path) -> None:
    await add_turn(store, "r1")
    patient, added = SQLiteStore(path, lock_timeout=SECONDS), []

    async def add() -> None:
        added.append(await add_turn(patient, "r2"))

    with locked(path) as other:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(add)
            assert await patient.get(A, "r1") is not None  # Who reads does not wait.
            assert added == []
            other.execute("COMMIT")
    assert added == [True]
    await patient.close()


async def test_a_lock_that_is_held_for_too_long(store: SQLiteStore, path: Path) -> None:
    await add_turn(store, "r1")
    with locked(path):
        with pytest.raises(StoreUnavailable):
            await add_turn(store, "r2")
        assert await store.get(A, "r1") is not None
    await works(store)


async def test_a_file_that_is_locked_while_it_is_made(store: SQLiteStore, path: Path) -> None:
    with locked(path):
        await fails(store)
    await works(store)


async def test_two_that_make_the_file_at_once(path: Path) -> None:
    stores = [SQLiteStore(path) for _ in range(4)]
    async with anyio.create_task_group() as tasks:
        for number, store in enumerate(stores):
            tasks.start_soon(works, store, f"r{number}")
    for store in stores:
        await store.close()


async def test_a_full_disk(store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By SQLite's own limit of a file's pages."""
    await add_turn(store, "r1")
    connect = StoreFile.connect

    def limited(file: StoreFile) -> sqlite3.Connection:
        connection = connect(file)
        connection.execute("PRAGMA max_page_count = 40")
        return connection

    with monkeypatch.context() as full:
        full.setattr(StoreFile, "connect", limited)
        other = SQLiteStore(path)
        with pytest.raises(StoreUnavailable):
            await add_turn(other, "large", size=200_000)
        assert await other.get(A, "large") is None
        assert await add_turn(other, "small", "r1")
    assert await other.get(A, "r1") is not None
    with pytest.raises(StoreUnavailable):
        await add_turn(other, "large", size=200_000)  # The connection is closed now, and the next one has no limit.
    assert await add_turn(other, "large", size=200_000)
    assert await store.history(A, "small") is not None
    await other.close()


async def test_a_write_that_the_system_refuses(store: SQLiteStore, path: Path) -> None:
    """By the limit of a file's size, as when a quota is used up; a run's events go on when it is over."""
    await store.add(record("run", status="in_progress"))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        with pytest.raises(StoreUnavailable):
            await store.change(A, "run", among=RUNNING, events=[(0, b"x" * 400_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert await store.change(A, "run", among=RUNNING, events=[(0, b"x" * 400_000)])
    await works(store)


async def test_who_waits_for_a_log_learns_of_trouble(store: SQLiteStore, path: Path) -> None:
    await store.add(record("run", status="in_progress"))
    raised = []

    async def follow() -> None:
        try:
            await store.read(A, "run", "events", after=-1, wait=SECONDS)
        except StoreUnavailable as error:
            raised.append(error.status)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        put_directory(path)
    assert raised == [503]
    os.rmdir(path)
    await works(store)


async def test_trouble_is_logged_once_without_any_data(
    store: SQLiteStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkdir(path)
    for _ in range(3):
        await fails(store)
    os.rmdir(path)
    await works(store)
    lines = [entry.getMessage() for entry in caplog.records]
    assert len(lines) == 4  # one of each thread when it begins, and when it is over
    assert sorted(lines)[:2] == [f"the store {path} cannot be used: OperationalError: unable to open database file"] * 2
    assert sorted(lines)[2:] == [f"the store {path} works again"] * 2
    assert {entry.levelno for entry in caplog.records} == {logging.WARNING}


async def test_a_mistake_of_ours_is_no_outage_and_ends_no_thread(store: SQLiteStore) -> None:
    def mistaken(connection: sqlite3.Connection) -> None:
        raise TypeError("a mistake")

    with pytest.raises(TypeError, match="a mistake"):
        await store._writer.run(mistaken)
    await works(store)


def test_a_loop_that_has_been_closed_is_not_waited_for(path: Path) -> None:
    """Whoever asked is gone, and the store serves the next loop."""
    entered, leave = threading.Event(), threading.Event()
    store = SQLiteStore(path)

    def hold(connection: sqlite3.Connection) -> None:
        entered.set()
        leave.wait(SECONDS)

    async def ask() -> None:
        store._writer.submit(hold)

    async def later() -> None:
        leave.set()
        await works(store)
        await store.close()

    anyio.run(ask)
    assert entered.wait(SECONDS)
    anyio.run(later)
