"""`sqlite:///file`: a store in a file, for the processes of one machine. It outlives them.

Two threads have a connection each: one writes, in batches (sqlite_threads.py), and one reads. Write-ahead logging lets
both work at once, and any number of processes have the file open. The event loop never waits for the disk.

How it is kept: sqlite_file.py has the tables, sqlite_trees.py what is done with them.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Collection, Hashable, Sequence
from contextlib import closing
from functools import partial
from typing import Literal, TypeVar

import anyio
import anyio.to_thread

from responses_shim.stores.base import (
    ENDED,
    EVICTING,
    RUNNING,
    Bounds,
    ConversationTurn,
    Entries,
    History,
    Page,
    Record,
    StoredItem,
    StoreUnavailable,
    Summary,
)
from responses_shim.stores.counted_warning import CountedWarning
from responses_shim.stores.sqlite_file import LOCK_TIMEOUT, StoreFile, vacuum
from responses_shim.stores.sqlite_threads import FILE_ERRORS, ReaderThread, WriterThread
from responses_shim.stores.sqlite_trees import Node, Trees

DEFAULT_BOUNDS = Bounds(trees=1_000_000, size=10 * 1024**3, age=30 * 86_400.0)

T = TypeVar("T")
OfTrees = Callable[[Trees], T]
"""What is done in a thread, within a transaction."""


class SQLiteStore:
    """Keeps records in a SQLite file, which is created for its user only (mode 0600).

    - `path`: of the file; its directory has to be there
    - `bounds`: of what is kept; what is freed in the file is used again, and `vacuum` gives it back
    - `now`: the time in seconds, the same in all processes that use the file
    - `lock_timeout`: for how many seconds to wait while another process has the file locked

    Nothing is opened before the first use. When a method has raised StoreUnavailable, the file is opened anew at the
    next one: when the trouble is over, the store works. Whoever restores a file under a running server renames the copy
    into its place; a file that is written while the store looks at it is empty at first, and so is filled anew.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        bounds: Bounds = DEFAULT_BOUNDS,
        now: Callable[[], float] = time.time,
        *,
        lock_timeout: float = LOCK_TIMEOUT,
    ) -> None:
        self._file = file = StoreFile(path, lock_timeout)
        self._evicted = CountedWarning(EVICTING)
        self._bounds = bounds
        self._closed = 0  # how often
        self._now = now
        self._writer = WriterThread(file)
        self._reader = ReaderThread(file)

    async def _write(self, work: OfTrees[T], *, wakes: Collection[Hashable] = ()) -> T:
        """Change the file, and then wake those who wait for these logs."""
        committed = partial(self._writer.wake, wakes) if wakes else None
        return await self._writer.run(self._with_trees(work), committed=committed)

    async def _read(self, work: OfTrees[T], key: Hashable = None) -> T:
        return await self._reader.run(self._with_trees(work), key=key)

    def _with_trees(self, work: OfTrees[T]) -> Callable[[sqlite3.Connection], T]:
        now = self._now()

        def run(connection: sqlite3.Connection) -> T:
            trees = Trees(connection, self._bounds, now)
            result = work(trees)
            self._evicted.add(trees.evicted)
            return result

        return run

    # Records -----------------------------------------------------------------------------------------------------

    async def add(self, record: Record, items: Sequence[StoredItem] = ()) -> bool:
        def work(trees: Trees) -> bool:
            parent = None
            if record.parent is not None:
                parent = trees.find(record.owner, record.parent, hidden=True)
                if parent is None:
                    return False
            return trees.add(record, items, parent)

        return await self._write(work)

    async def change(
        self,
        owner: bytes,
        id: str,
        *,
        among: Collection[str],
        status: str | None = None,
        data: bytes | None = None,
        items: Sequence[StoredItem] = (),
        events: Sequence[tuple[int, bytes]] = (),
        turn: ConversationTurn | None = None,
    ) -> bool:
        def work(trees: Trees) -> bool:
            node = trees.find(owner, id)
            if node is None or node.status not in among:
                return False
            if events and events[0][0] <= trees.last_entry(node, "events"):
                return False
            node = trees.change(node, status, data)
            trees.resize(node.tree, trees.append(owner, node, items))
            if events:
                trees.log(node, "events", events)
            trees.let_logs_expire(node)
            if turn is not None:
                _end_turn(trees, owner, turn)
            return trees.keep(node)

        logs = ("events", "messages") if status in ENDED else ("events",)
        return await self._write(work, wakes=[(owner, id, log) for log in logs])

    async def get(self, owner: bytes, id: str, *, items: bool = True) -> History | None:
        def work(trees: Trees) -> History | None:
            node = trees.find(owner, id)
            if node is None:
                return None
            return History(trees.record(owner, node), trees.items(node) if items else [])

        return await self._read(work)

    async def history(self, owner: bytes, id: str) -> History | None:
        def use(trees: Trees) -> bool:
            node = trees.find(owner, id)
            if node is not None:
                trees.use(node.tree)
            return node is not None

        def read(trees: Trees) -> History | None:
            node = trees.find(owner, id)
            return History(trees.record(owner, node), trees.history(node)) if node is not None else None

        # In this order: a tree that is being used is not the one that is evicted before it is read.
        return await self._read(read) if await self._write(use) else None

    async def delete(self, owner: bytes, id: str, item: str | None = None) -> bool:
        def work(trees: Trees) -> bool:
            node = trees.find(owner, id)
            if node is None:
                return False
            if item is not None:
                return trees.remove_item(owner, node, item)
            trees.hide(node)
            return True

        return await self._write(work, wakes=[(owner, id, "events"), (owner, id, "messages")])

    # Items -------------------------------------------------------------------------------------------------------

    async def page(
        self, owner: bytes, id: str, *, outputs: bool, after: str | None, limit: int, newest_first: bool
    ) -> Page | None:
        def work(trees: Trees) -> Page | None:
            node = trees.find(owner, id)
            return trees.page(owner, node, outputs, after, limit, newest_first) if node is not None else None

        return await self._read(work)

    async def find_items(self, owner: bytes, ids: Collection[str], record: str | None = None) -> dict[str, bytes]:
        return await self._read(lambda trees: trees.find_items(owner, ids, record))

    async def append_items(self, owner: bytes, id: str, items: Sequence[StoredItem], key: str) -> list[str] | None:
        def work(trees: Trees) -> list[str] | None:
            node = trees.find(owner, id)
            if node is None:
                return None
            if trees.has_key(node, key):
                return []
            known = _append(trees, owner, node, items, key)
            if not known:
                trees.keep(node)
            return known

        return await self._write(work)

    # Runs --------------------------------------------------------------------------------------------------------

    async def lease(self, owner: bytes, id: str, holder: str, seconds: float) -> bool:
        def work(trees: Trees) -> bool:
            node = trees.find(owner, id)
            return node is not None and node.status not in ENDED and trees.lease(node, holder, seconds)

        return await self._write(work)

    async def expired(self) -> list[tuple[bytes, str]]:
        return await self._read(Trees.expired)

    async def post(self, owner: bytes, id: str, message: bytes) -> bool:
        def work(trees: Trees) -> bool:
            node = trees.find(owner, id)
            if node is None or node.status not in RUNNING:
                return False
            trees.log(node, "messages", [(trees.last_entry(node, "messages") + 1, message)])
            return True

        return await self._write(work, wakes=[(owner, id, "messages")])

    async def read(
        self, owner: bytes, id: str, log: Literal["events", "messages"], *, after: int, wait: float
    ) -> Entries | None:
        def work(trees: Trees) -> Entries | None:
            node = trees.find(owner, id)
            return trees.entries(node, log, after) if node is not None else None

        key = (owner, id, log)
        if wait <= 0:
            return await self._read(work, key=(*key, after))
        closed = self._closed
        with self._writer.watching(key) as changed:  # before it is read for the first time: no change is missed
            entries = await self._read(work, key=(*key, after))
            with anyio.move_on_after(wait):
                while entries is not None and not entries.entries and not entries.ended:
                    await changed.wait()
                    if self._closed != closed:
                        raise StoreUnavailable
                    entries = await self._read(work, key=(*key, after))
        return entries

    # The store itself --------------------------------------------------------------------------------------------

    async def scan(self, owner: bytes | None = None, *, unused_for: float = 0, limit: int = 1_000) -> list[Summary]:
        return await self._read(lambda trees: trees.scan(owner, unused_for, limit))

    async def evicted(self) -> int:
        """How many trees have been evicted for want of room since the file was made."""
        return await self._read(Trees.all_evicted)

    async def vacuum(self) -> int:
        """Give space in the file that is not used back to the file system, see `sqlite_file.vacuum`; bytes."""

        def work() -> int:
            with closing(self._file.connect()) as connection:
                return vacuum(connection)

        try:
            return await anyio.to_thread.run_sync(work)
        except FILE_ERRORS as error:
            raise StoreUnavailable from error

    async def secret(self) -> bytes:
        return await self._write(lambda trees: trees.secret(secrets.token_bytes(32)))

    async def close(self) -> None:
        self._closed += 1
        await self._reader.close()
        await self._writer.close()  # Last: it wakes those who wait for a log.


def _append(trees: Trees, owner: bytes, node: Node, items: Sequence[StoredItem], key: str) -> list[str]:
    """Append items to a conversation, all or none. The ids that it has already."""
    known = trees.known_items(owner, node, [item.id for item in items])
    if not known:
        trees.add_key(node, key)
        trees.resize(node.tree, trees.append(owner, node, items))
        trees.use(node.tree)
    return known


def _end_turn(trees: Trees, owner: bytes, turn: ConversationTurn) -> None:
    node = trees.find(owner, turn.id)
    if node is not None:
        if turn.items and not trees.has_key(node, turn.key):
            _append(trees, owner, node, turn.items, turn.key)
        trees.lease(node, turn.holder, 0)
