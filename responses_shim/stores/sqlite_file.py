"""The file of the SQLite store: how it is created, opened, and brought up to date by numbered migrations.

A file has the number of its format in `PRAGMA user_version`: how many of `MIGRATIONS` have been applied to it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

APPLICATION_ID = 0x52536874
"""Marks our files in `PRAGMA application_id`, so that we never create tables in somebody else's database."""
LOCK_TIMEOUT = 5.0
"""For how many seconds we wait for another process that holds the lock of the file."""
PAGE_SIZE = 8192
"""Of new files, in bytes. With SQLite's 4096 turns of usual sizes fill their pages badly, and take a fifth more."""
VACUUM_STEP = 1_000
"""How many pages one transaction of `vacuum` gives back: others wait for it as for any other write."""
WAL_LIMIT = 64 * 1024 * 1024
"""How many bytes of the write-ahead log are left on the disk after a checkpoint."""

MIGRATIONS: Sequence[Sequence[str]] = (
    (
        # Sizes are in bytes and include what a row takes beside its data, see sqlite_trees.py. The totals follow from
        # the trees by triggers, so that no write has to add up all rows.
        "CREATE TABLE totals (one INTEGER PRIMARY KEY CHECK (one = 1), trees INTEGER NOT NULL, size INTEGER NOT NULL)",
        "INSERT INTO totals VALUES (1, 0, 0)",
        "CREATE TABLE secret (one INTEGER PRIMARY KEY CHECK (one = 1), value BLOB NOT NULL)",
        "CREATE TABLE owners (owner BLOB PRIMARY KEY, trees INTEGER NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE INDEX owners_by_size ON owners (size)",
        """CREATE TABLE trees (
            tree INTEGER PRIMARY KEY,
            owner BLOB NOT NULL,
            used_at REAL NOT NULL,
            size INTEGER NOT NULL
        )""",
        "CREATE INDEX trees_by_use ON trees (used_at)",
        "CREATE INDEX trees_of_owner ON trees (owner, used_at)",
        """CREATE TRIGGER tree_added AFTER INSERT ON trees BEGIN
            UPDATE totals SET trees = trees + 1, size = size + new.size;
            INSERT OR IGNORE INTO owners VALUES (new.owner, 0, 0);
            UPDATE owners SET trees = trees + 1, size = size + new.size WHERE owner = new.owner;
        END""",
        """CREATE TRIGGER tree_resized AFTER UPDATE OF size ON trees BEGIN
            UPDATE totals SET size = size + new.size - old.size;
            UPDATE owners SET size = size + new.size - old.size WHERE owner = new.owner;
        END""",
        """CREATE TRIGGER tree_dropped AFTER DELETE ON trees BEGIN
            UPDATE totals SET trees = trees - 1, size = size - old.size;
            UPDATE owners SET trees = trees - 1, size = size - old.size WHERE owner = old.owner;
            DELETE FROM owners WHERE owner = old.owner AND trees = 0;
        END""",
        # `data` comes last: it may be large, and what is in front of it is read without it.
        """CREATE TABLE records (
            record INTEGER PRIMARY KEY,
            tree INTEGER NOT NULL REFERENCES trees ON DELETE CASCADE,
            parent INTEGER,
            owner BLOB NOT NULL,
            id TEXT NOT NULL,
            kind TEXT NOT NULL,
            status TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            ended_at REAL,
            hidden INTEGER NOT NULL DEFAULT 0,
            data BLOB NOT NULL
        )""",
        "CREATE UNIQUE INDEX records_by_id ON records (owner, id)",
        "CREATE INDEX records_of_tree ON records (tree)",
        "CREATE INDEX records_of_parent ON records (parent) WHERE parent IS NOT NULL",
        "CREATE INDEX records_running ON records (status) WHERE status IN ('queued', 'in_progress')",
        # `position` orders the items of a record, and of several items with one id it says which came last.
        """CREATE TABLE items (
            position INTEGER PRIMARY KEY,
            record INTEGER NOT NULL REFERENCES records ON DELETE CASCADE,
            owner BLOB NOT NULL,
            id TEXT NOT NULL,
            output INTEGER NOT NULL,
            data BLOB NOT NULL
        )""",
        "CREATE INDEX items_of_record ON items (record)",
        "CREATE INDEX items_by_id ON items (owner, id)",
        # The keys of `append_items` that a conversation has seen.
        """CREATE TABLE keys (
            record INTEGER NOT NULL REFERENCES records ON DELETE CASCADE,
            key TEXT NOT NULL,
            PRIMARY KEY (record, key)
        ) WITHOUT ROWID""",
        # Apart from the records: a heartbeat does not write a record's data again.
        """CREATE TABLE leases (
            record INTEGER PRIMARY KEY REFERENCES records ON DELETE CASCADE,
            holder TEXT NOT NULL,
            until REAL NOT NULL
        )""",
        # `last` is the highest number that has ever been in a log; `expires` is null while the response runs.
        """CREATE TABLE logs (
            record INTEGER NOT NULL REFERENCES records ON DELETE CASCADE,
            log TEXT NOT NULL,
            last INTEGER NOT NULL DEFAULT -1,
            size INTEGER NOT NULL DEFAULT 0,
            expires REAL,
            PRIMARY KEY (record, log)
        ) WITHOUT ROWID""",
        "CREATE INDEX logs_by_expiry ON logs (expires) WHERE expires IS NOT NULL",
        """CREATE TABLE entries (
            record INTEGER NOT NULL REFERENCES records ON DELETE CASCADE,
            log TEXT NOT NULL,
            number INTEGER NOT NULL,
            data BLOB NOT NULL,
            PRIMARY KEY (record, log, number)
        ) WITHOUT ROWID""",
    ),
    ("ALTER TABLE totals ADD COLUMN evicted INTEGER NOT NULL DEFAULT 0",),
)
"""Each entry is the statements that make format N+1 of format N. Entries are only ever appended."""

Identity = tuple[int, int]
"""Device and inode of a file."""


class UnusableFile(Exception):
    """The file is not one that this version can use. The message, for the operator, says why."""


class StoreFile:
    """The path of a store's file, and connections to it."""

    def __init__(self, path: str | os.PathLike[str], lock_timeout: float) -> None:
        self.path = Path(path).absolute()
        self._lock_timeout = lock_timeout

    def identity(self) -> Identity | None:
        """Which file the path leads to at the moment; None if there is none.

        SQLite does not notice that its file has been removed or replaced, and writes on to one without a name.
        """
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return None
        return stat.st_dev, stat.st_ino

    def connect(self) -> sqlite3.Connection:
        """A connection to the file, which is created and brought up to date if necessary.

        Transactions are begun and ended by the caller. Raises sqlite3.Error, OSError, and UnusableFile.
        """
        self._create()
        connection = sqlite3.connect(str(self.path), timeout=self._lock_timeout, isolation_level=None)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self) -> None:
        """Create the file if there is none, for its user only; SQLite gives the -wal and -shm beside it the same mode.

        A file that exists is not opened: closing it would release the locks that SQLite has on it in this process.
        """
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if _format(connection) == 0:  # or else the second one would have to wait for whoever writes
            connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        # Two that change the journal mode of a new file at once do not wait for each other: one of them fails.
        journal = self._retry(lambda: connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        if journal != "wal":
            raise UnusableFile("the file cannot have a write-ahead log; is it on a network file system?")
        connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last turns, never the file
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
        if _format(connection) < len(MIGRATIONS):
            migrate(connection)

    def _retry(self, attempt: Callable[[], str]) -> str:
        """Repeat an attempt as long as another connection has a lock."""
        deadline = time.monotonic() + self._lock_timeout
        while True:
            try:
                return attempt()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)


def vacuum(connection: sqlite3.Connection) -> int:
    """Give the pages that are free back to the file system. Returns how many bytes.

    It is done in short transactions, with pauses between them, and others go on writing. Only a file that was made
    before files could do that is written anew as a whole, once: until that is done, others can read only.
    """
    given = 0
    if _pragma(connection, "auto_vacuum") == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        given += _shrink(connection, "VACUUM")
    while free := _pragma(connection, "freelist_count"):
        began = time.monotonic()
        connection.execute("BEGIN IMMEDIATE")
        given += _shrink(connection, f"PRAGMA incremental_vacuum({VACUUM_STEP})")
        connection.execute("COMMIT")
        if _pragma(connection, "freelist_count") >= free:  # others free more than is given back
            break
        time.sleep(time.monotonic() - began)
    # The file itself shrinks when all that is in the log is in the file. If somebody reads, that is done later.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return given


def _shrink(connection: sqlite3.Connection, statement: str) -> int:
    """Execute a statement. Returns by how many bytes the file becomes smaller."""
    before = _pragma(connection, "page_count")
    connection.execute(statement).fetchall()
    return (before - _pragma(connection, "page_count")) * _pragma(connection, "page_size")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the migrations that a file lacks, all or none; of several processes one does it, and the others wait."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statements in MIGRATIONS[_format(connection) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _format(connection: sqlite3.Connection) -> int:
    """The number of a file's format. Raises UnusableFile if it is newer than ours, or if it is not a store's file."""
    # The tables first: another process may be creating them, and what it commits with them is read after them.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    if tables and application != APPLICATION_ID:
        raise UnusableFile("the file is another program's database")
    if number > len(MIGRATIONS):
        raise UnusableFile(
            f"the file was written by a newer version of responses-shim: its format is {number}, "
            f"this version knows formats up to {len(MIGRATIONS)}"
        )
    return int(number)
