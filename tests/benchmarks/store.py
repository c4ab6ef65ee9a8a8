"""What a store costs: to add a turn, to read a long history, and what a turn takes where it is kept. In process.

Redis is a server of its own, without a disk: what a turn takes is memory of the server.
"""

from __future__ import annotations

import shutil
import sqlite3
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from responses_shim.stores.base import Record, Store, StoredItem
from responses_shim.stores.memory import MemoryStore
from responses_shim.stores.redis import RedisStore
from responses_shim.stores.sqlite import SQLiteStore

from . import servers
from .report import Row
from .sampling import Plan, Spread

OWNER = b"\x00" * 32
READS = 5
"""How often a history is read in a round."""


@dataclass(frozen=True)
class Opened:
    """An empty store, and how many bytes it takes."""

    store: Store
    size: Callable[[], int]


@contextmanager
def _memory(folder: str) -> Iterator[Opened]:
    yield Opened(MemoryStore(), lambda: 0)


@contextmanager
def _sqlite(folder: str) -> Iterator[Opened]:
    path = Path(folder) / "responses.db"
    yield Opened(SQLiteStore(path), lambda: _bytes(path))


@contextmanager
def _redis(folder: str) -> Iterator[Opened]:
    import redis

    def size() -> int:
        memory: dict[str, Any] = client.info("memory")
        return int(memory["used_memory_dataset"])

    with servers.redis_server(folder) as port, redis.Redis(port=port) as client:
        yield Opened(RedisStore(f"redis://127.0.0.1:{port}"), size)


@dataclass(frozen=True)
class Kind:
    """A store to measure: how it is opened with a folder of its own, and the goal for adding a turn."""

    name: str
    opened: Callable[[str], AbstractContextManager[Opened]]
    bar: str
    needs: str | None = None
    """The program that has to be installed."""


KINDS = (
    Kind("memory", _memory, "≤ 0.5 ms"),
    Kind("SQLite", _sqlite, "≤ 1 ms"),
    Kind("Redis", _redis, "≤ 1 ms", needs="redis-server"),
)


@dataclass(frozen=True)
class Round:
    """One chain: milliseconds to add a turn and to read the last one's history, and bytes taken by a turn."""

    add: float
    history: float
    early: float
    late: float


async def measure(plan: Plan) -> AsyncIterator[Row]:
    for kind in KINDS:
        if kind.needs is not None and shutil.which(kind.needs) is None:
            yield Row(
                f"a turn added to a chain of {plan.turns:,}, p50: {kind.name}",
                None,
                bar=kind.bar,
                detail=f"needs {kind.needs}",
            )
            continue
        rounds = [await _round(kind, plan.turns) for _ in range(plan.pairs)]
        adds = Spread.of([each.add for each in rounds])
        yield Row(f"a turn added to a chain of {plan.turns:,}, p50: {kind.name}", adds, " ms", kind.bar)
        histories = Spread.of([each.history for each in rounds])
        yield Row(f"the history of turn {plan.turns:,}: {kind.name}", histories, " ms", "≤ 50 ms")
        if all(each.early for each in rounds):
            growth = Spread.of([each.late / each.early for each in rounds])
            early, late = (statistics.median(getattr(each, name) for each in rounds) for name in ("early", "late"))
            detail = f"{late:,.0f} ÷ {early:,.0f} bytes a turn of {_size(turn(0)):,}"
            what = f"bytes kept, the last tenth of {plan.turns:,} turns ÷ the first: {kind.name}"
            yield Row(what, growth, "", "≤ 1.1", detail)


async def _round(kind: Kind, turns: int) -> Round:
    tenth = turns // 10
    with TemporaryDirectory() as folder, kind.opened(folder) as opened:
        store = opened.store
        taken: list[float] = []
        sizes: list[int] = []
        for number in range(turns):
            if number in (1, tenth + 1, turns - tenth):
                sizes.append(opened.size())
            record, items = turn(number)
            began = time.perf_counter()
            assert await store.add(record, items)
            taken.append(time.perf_counter() - began)
        sizes.append(opened.size())
        histories = []
        for _ in range(READS):
            began = time.perf_counter()
            history = await store.history(OWNER, record.id)
            histories.append(time.perf_counter() - began)
            assert history is not None
            assert len(history.items) == 2 * turns
        await store.close()
    early, late = (sizes[1] - sizes[0]) / tenth, (sizes[3] - sizes[2]) / tenth
    return Round(statistics.median(taken) * 1000, statistics.median(histories) * 1000, early, late)


def turn(number: int) -> tuple[Record, list[StoredItem]]:
    """A turn of a chain: a question of 500 bytes, an answer of 1,500, and a response object of 2,000."""
    parent = _id("resp", number - 1) if number else None
    record = Record(
        owner=OWNER, id=_id("resp", number), parent=parent, status="completed", created_at=0, data=b"r" * 2_000
    )
    question = StoredItem(_id("msg", 2 * number), b"q" * 500)
    return record, [question, StoredItem(_id("msg", 2 * number + 1), b"a" * 1_500, output=True)]


def _size(turn: tuple[Record, list[StoredItem]]) -> int:
    record, items = turn
    return len(record.data) + sum(len(item.data) for item in items)


def _id(prefix: str, number: int) -> str:
    return f"{prefix}_{number:048}"


def _bytes(path: Path) -> int:
    """How large the database is, with what is still in its write-ahead log; 0 if there is none."""
    if not path.exists():
        return 0
    connection = sqlite3.connect(path)
    try:
        pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        return int(pages * size)
    finally:
        connection.close()
