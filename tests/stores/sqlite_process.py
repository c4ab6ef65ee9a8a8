"""`python -m tests.stores.sqlite_process FILE`: another process that uses a SQLite store.

It reads commands, one JSON array a line, and answers each with a line of JSON:

    ["turns", [["chain 7", 3], …]]   check the history of each chain and add its turn with that number, all at once
    ["write", "prefix"]              add turns without end; a line for each batch of ids that have been added
    ["stop"]                         begin a transaction, add turns in it, say so, and never end it
"""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import anyio

from responses_shim.stores.sqlite import SQLiteStore
from responses_shim.stores.suite.base import A, add_turn, ids_of


def say(answer: Any) -> None:
    print(json.dumps(answer), flush=True)


async def add_to_chain(store: SQLiteStore, chain: str, number: int, seen: list[str]) -> None:
    """Add a turn to a chain, if all turns before it are seen."""
    parent = f"{chain}.{number - 1}" if number else None
    history = ids_of(await store.history(A, parent)) if parent is not None else []
    expected = [f"{kind}{chain}.{turn}" for turn in range(number) for kind in "io"]
    if history == expected and await add_turn(store, f"{chain}.{number}", parent):
        seen.append(chain)


async def turns(store: SQLiteStore, chains: list[tuple[str, int]]) -> None:
    seen: list[str] = []
    async with anyio.create_task_group() as tasks:
        for chain, number in chains:
            tasks.start_soon(add_to_chain, store, chain, number, seen)
    say(sorted(seen))


async def write(store: SQLiteStore, prefix: str) -> None:
    for number in count():
        ids = [f"{prefix}.{number}.{each}" for each in range(20)]
        async with anyio.create_task_group() as tasks:
            for id in ids:
                tasks.start_soon(add_turn, store, id)
        say(ids)


async def stop(store: SQLiteStore) -> None:
    """The turns are in one batch with a function that never returns: the writer is held up until all of them wait."""
    ready = threading.Event()

    def hold(connection: sqlite3.Connection) -> None:
        ready.wait()

    def stop(connection: sqlite3.Connection) -> None:
        say(connection.execute("SELECT count(*) FROM records").fetchone()[0])
        threading.Event().wait()

    store._writer.submit(hold)
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(add_turn, store, f"lost.{number}")
        await anyio.wait_all_tasks_blocked()
        store._writer.submit(stop)
        ready.set()


async def main(path: str) -> None:
    store = SQLiteStore(path)
    commands: dict[str, Callable[..., Awaitable[None]]] = {"turns": turns, "write": write, "stop": stop}
    while line := await anyio.to_thread.run_sync(sys.stdin.readline):
        name, *arguments = json.loads(line)
        await commands[name](store, *arguments)
    await store.close()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1])
