"""Several processes on one file of the SQLite store, and processes that are killed."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from responses_shim.stores.sqlite import SQLiteStore
from responses_shim.stores.suite.base import A, add_turn, ids_of

CHAINS = [f"chain {number}" for number in range(200)]
TURNS = 5


class Process:
    """Another process that has the file open, see sqlite_process.py."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-m", "tests.stores.sqlite_process", str(path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def send(self, *command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")

    def answer(self) -> Any:
        """The next line of its answers."""
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def answers_left(self) -> list[Any]:
        """What it has answered and nobody has read, of a process that has ended; its last line may be cut."""
        assert self._process.stdout is not None
        return [json.loads(line) for line in self._process.stdout if line.endswith("\n")]

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def end(self) -> int:
        """Close its input, upon which it closes the store and ends. Returns its exit code."""
        with self._process:
            pass
        return self._process.wait()


@contextmanager
def processes(path: Path, number: int) -> Iterator[list[Process]]:
    started = [Process(path) for _ in range(number)]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.end()


def check(path: Path) -> list[str]:
    """The ids of the records in a file that is sound, in which every turn has both of its items."""
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    rows = connection.execute("SELECT records.id, count(*) FROM records JOIN items USING (record) GROUP BY record")
    counts = dict(rows.fetchall())
    assert set(counts.values()) <= {2}
    assert connection.execute("SELECT count(*) FROM records").fetchone() == (len(counts),)
    assert connection.execute("SELECT trees FROM totals").fetchone() == (len(counts),)
    connection.close()
    return list(counts)


def test_every_turn_sees_its_history_whichever_process_added_it(tmp_path: Path) -> None:
    """200 chains of 5 turns, which two processes take in turns; the file is new, and both of them make it."""
    path = tmp_path / "responses.db"
    with processes(path, 2) as both:
        for turn in range(TURNS):
            for number, process in enumerate(both):
                process.send("turns", [(chain, turn) for chain in CHAINS[(turn + number) % 2 :: 2]])
            assert sorted(both[0].answer() + both[1].answer()) == sorted(CHAINS), f"turn {turn}"
        assert [process.end() for process in both] == [0, 0]

    async def look() -> None:
        store = SQLiteStore(path)
        for chain in CHAINS:
            history = ids_of(await store.history(A, f"{chain}.{TURNS - 1}"))
            assert history == [f"{kind}{chain}.{turn}" for turn in range(TURNS) for kind in "io"]
        await store.close()

    anyio.run(look)


@pytest.mark.parametrize("batches", [1, 7, 30])
def test_what_a_killed_process_has_confirmed_is_kept(batches: int, tmp_path: Path) -> None:
    """Two processes write, and both are killed at some moment."""
    path = tmp_path / "responses.db"
    with processes(path, 2) as both:
        for number, process in enumerate(both):
            process.send("write", str(number))
        confirmed = [id for _ in range(batches) for process in both for id in process.answer()]
        for process in both:
            process.kill()
        confirmed += [id for process in both for ids in process.answers_left() for id in ids]
    kept = check(path)
    assert set(confirmed) <= set(kept)


def test_nothing_is_kept_of_a_batch_in_which_the_process_is_killed(tmp_path: Path) -> None:
    """And the others, who waited for the lock, go on."""
    path = tmp_path / "responses.db"

    async def before() -> None:
        store = SQLiteStore(path)
        assert await add_turn(store, "kept")
        await store.close()

    async def after() -> None:
        store = SQLiteStore(path)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(add_turn, store, "new")
                await anyio.wait_all_tasks_blocked()
                process.kill()
        assert ids_of(await store.get(A, "kept")) == ["ikept", "okept"]
        assert await store.get(A, "lost.0") is None
        await store.close()

    anyio.run(before)
    with processes(path, 1) as (process,):
        process.send("stop")
        assert process.answer() == 21  # by now all turns of the batch are in the transaction, and it is not committed
        anyio.run(after)
    assert sorted(check(path)) == ["kept", "new"]
