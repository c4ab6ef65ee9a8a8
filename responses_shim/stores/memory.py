"""`memory://`: a store in this process. It is bounded, and gone with the process."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Sequence
from itertools import chain, islice
from typing import Literal

import anyio
from msgspec.structs import replace

from responses_shim.stores.base import (
    ENDED,
    LOG_AGE,
    RUNNING,
    Bounds,
    ConversationTurn,
    Entries,
    History,
    Page,
    Record,
    StoredItem,
    Summary,
)
from responses_shim.stores.trees import Node, Tree, Trees

DEFAULT_BOUNDS = Bounds(trees=1_000, size=256 * 1024 * 1024, age=3600.0)


class MemoryStore:
    """Keeps records in dictionaries. `now` gives the time in seconds since any point."""

    def __init__(self, bounds: Bounds = DEFAULT_BOUNDS, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._trees = Trees(bounds, now)
        self._secret = secrets.token_bytes(32)

    # Records -----------------------------------------------------------------------------------------------------

    async def add(self, record: Record, items: Sequence[StoredItem] = ()) -> bool:
        trees, parent = self._trees, None
        trees.drop_old()
        if record.parent is not None:
            parent = trees.get(record.owner, record.parent)
            if parent is None:
                return False
            parent.children += 1
        node = Node(record, parent, parent.tree if parent is not None else Tree(record.owner, self._now()))
        trees.add(node)
        trees.append(node, items)
        if record.status in RUNNING:
            trees.running.add(node)
        return trees.evict(node)

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
        trees, node = self._trees, self._trees.find(owner, id)
        if node is None or node.record.status not in among or (events and events[0][0] <= node.log("events").last):
            return False
        if data is not None:
            trees.resize(node.tree, len(data) - len(node.record.data))
            node.record = replace(node.record, data=data)
        trees.append(node, items)
        if events:
            trees.resize(node.tree, node.log("events").append(events))
        if status is not None:
            self._set_status(node, status)
        if turn is not None:
            self._end_turn(owner, turn)
        trees.use(node.tree)
        return trees.evict(node)

    def _set_status(self, node: Node, status: str) -> None:
        node.record = replace(node.record, status=status)
        if status in ENDED:
            self._trees.running.discard(node)
            node.ended_at = self._now()
            for log in node.logs.values():
                log.wake()

    def _end_turn(self, owner: bytes, turn: ConversationTurn) -> None:
        node = self._trees.find(owner, turn.id)
        if node is None:
            return
        if turn.items:
            self._append_once(node, turn.items, turn.key)
        if node.holder == turn.holder:
            node.holder, node.held_until = None, 0.0

    async def get(self, owner: bytes, id: str, *, items: bool = True) -> History | None:
        node = self._trees.find(owner, id)
        return History(node.record, list(node.items) if items else []) if node is not None else None

    async def history(self, owner: bytes, id: str) -> History | None:
        node = self._trees.find(owner, id)
        if node is None:
            return None
        self._trees.use(node.tree)
        return History(node.record, list(chain.from_iterable(each.items for each in node.line())))

    async def delete(self, owner: bytes, id: str, item: str | None = None) -> bool:
        node = self._trees.find(owner, id)
        if node is None:
            return False
        if item is not None:
            return self._trees.remove_item(node, item)
        self._trees.hide(node)
        return True

    # Items -------------------------------------------------------------------------------------------------------

    async def page(
        self, owner: bytes, id: str, *, outputs: bool, after: str | None, limit: int, newest_first: bool
    ) -> Page | None:
        node = self._trees.find(owner, id)
        if node is None:
            return None
        items = [item for item in node.items if outputs or not item.output]
        if newest_first:
            items.reverse()
        start = 0
        if after is not None:
            start = next((index + 1 for index, item in enumerate(items) if item.id == after), 0)
            if not start:
                raise KeyError(after)
        return Page(items[start : start + limit], has_more=len(items) > start + limit)

    async def find_items(self, owner: bytes, ids: Collection[str], record: str | None = None) -> dict[str, bytes]:
        self._trees.drop_old()
        found: dict[str, bytes] = {}
        for id in ids:
            for node, data in self._trees.holders(owner, id).items():
                if not node.hidden and record in (None, node.record.id):
                    found[id] = data
        return found

    async def append_items(self, owner: bytes, id: str, items: Sequence[StoredItem], key: str) -> list[str] | None:
        node = self._trees.find(owner, id)
        if node is None:
            return None
        known = self._append_once(node, items, key)
        self._trees.evict(node)
        return known

    def _append_once(self, node: Node, items: Sequence[StoredItem], key: str) -> list[str]:
        trees = self._trees
        if key in node.keys:
            return []
        known = [item.id for item in items if node in trees.holders(node.record.owner, item.id)]
        if not known:
            node.keys.add(key)
            trees.append(node, items)
            trees.use(node.tree)
        return known

    # Runs --------------------------------------------------------------------------------------------------------

    async def lease(self, owner: bytes, id: str, holder: str, seconds: float) -> bool:
        node = self._trees.find(owner, id)
        if node is None or node.record.status in ENDED:
            return False
        if node.holder not in (None, holder) and node.held_until > self._now():
            return False
        node.holder, node.held_until = (holder, self._now() + seconds) if seconds else (None, 0.0)
        return True

    async def expired(self) -> list[tuple[bytes, str]]:
        self._trees.drop_old()
        now = self._now()
        nodes = (node for node in self._trees.running if node.held_until <= now and not node.hidden)
        return [(node.record.owner, node.record.id) for node in nodes]

    async def post(self, owner: bytes, id: str, message: bytes) -> bool:
        node = self._trees.find(owner, id)
        if node is None or node.record.status not in RUNNING:
            return False
        log = node.log("messages")
        self._trees.resize(node.tree, log.append([(log.last + 1, message)]))
        return True

    async def read(
        self, owner: bytes, id: str, log: Literal["events", "messages"], *, after: int, wait: float
    ) -> Entries | None:
        node = self._trees.find(owner, id)
        entries = self._entries(node, log, after)
        if node is None or entries is None or entries.entries or entries.ended or wait <= 0:
            return entries
        with anyio.move_on_after(wait):
            await node.log(log).more.wait()
        return self._entries(self._trees.find(owner, id), log, after)

    def _entries(self, node: Node | None, name: str, after: int) -> Entries | None:
        if node is None:
            return None
        if node.ended_at is not None and node.ended_at + LOG_AGE < self._now():
            self._trees.clear_logs(node)
        log = node.log(name)
        return Entries(log.behind(after), node.record.status in ENDED, log.first, log.last)

    # The store itself --------------------------------------------------------------------------------------------

    async def scan(self, owner: bytes | None = None, *, unused_for: float = 0, limit: int = 1_000) -> list[Summary]:
        self._trees.drop_old()
        latest = self._now() - unused_for
        trees = (tree for tree in self._trees.used.values() if tree.used_at <= latest and owner in (None, tree.owner))
        nodes = (node for tree in trees for node in tree.nodes.values() if not node.hidden)
        return [_summary(node) for node in islice(nodes, limit)]

    async def evicted(self) -> int:
        """How many trees have been evicted for want of room."""
        return self._trees.evicted.count

    async def secret(self) -> bytes:
        return self._secret

    async def close(self) -> None:
        pass


def _summary(node: Node) -> Summary:
    record = node.record
    return Summary(
        owner=record.owner,
        id=record.id,
        kind=record.kind,
        status=record.status,
        created_at=record.created_at,
        used_at=node.tree.used_at,
        size=len(record.data) + sum(len(item.data) for item in node.items),
    )
