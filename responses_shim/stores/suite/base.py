"""What the tests of a store are made of: owners, a clock, records, and the store that a subclass opens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import anyio

from responses_shim.stores.base import Bounds, History, Record, Store, StoredItem

A, B = b"owner a", b"owner b"
WIDE = Bounds(trees=1_000, size=100_000_000, age=3600)
SECONDS = 10.0
"""How long anything may take before the test fails."""


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def __call__(self) -> float:
        return self.time


def record(id: str, parent: str | None = None, *, owner: bytes = A, status: str = "completed", **fields: Any) -> Record:
    return Record(owner=owner, id=id, parent=parent, status=status, created_at=1_800_000_000, data=b"{}", **fields)


def items(*ids: str, output: bool = False, size: int = 0) -> list[StoredItem]:
    """Items whose data is their id in JSON, or larger."""
    return [StoredItem(id, b'{"id":"%b","text":"%b"}' % (id.encode(), b"x" * size), output) for id in ids]


def ids_of(history: History | None) -> list[str] | None:
    """The ids of the items of a history."""
    return [item.id for item in history.items] if history is not None else None


async def add_turn(store: Store, id: str, parent: str | None = None, *, owner: bytes = A, size: int = 0) -> bool:
    """Add a response with one input item, `i` and its id, and one output item, `o` and its id."""
    turn = items(f"i{id}", size=size) + items(f"o{id}", output=True)
    return await store.add(record(id, parent, owner=owner), turn)


class StoreTests:
    """What the tests need. A subclass opens the store."""

    shared = True
    """Whether two stores that are opened over the same data see the same records."""

    async def open(self, bounds: Bounds, now: Callable[[], float]) -> Store:
        """A store over the data of this test. It is closed when the test is over."""
        raise NotImplementedError

    def outage(self) -> AbstractContextManager[None] | None:
        """A block in which what the store rests on is not available; None if it rests on nothing."""
        return None

    @asynccontextmanager
    async def opened(self, bounds: Bounds = WIDE, clock: Callable[[], float] | None = None) -> AsyncIterator[Store]:
        """A store for one test, which has to be done in time."""
        with anyio.fail_after(SECONDS):
            store = await self.open(bounds, clock or Clock())
            try:
                yield store
            finally:
                await store.close()

    async def page(self, store: Store, id: str, *, owner: bytes = A, **options: Any) -> tuple[list[str], bool] | None:
        """The ids on a page, and whether there are more."""
        asked: dict[str, Any] = {"outputs": True, "after": None, "limit": 99, "newest_first": False, **options}
        page = await store.page(owner, id, **asked)
        return ([item.id for item in page.items], page.has_more) if page is not None else None

    async def events(self, store: Store, id: str, after: int = -1) -> Sequence[tuple[int, bytes]]:
        """All events behind a number, read piece by piece."""
        found: list[tuple[int, bytes]] = []
        while True:
            read = await store.read(A, id, "events", after=found[-1][0] if found else after, wait=0)
            assert read is not None
            if not read.entries:
                return found
            found += read.entries
