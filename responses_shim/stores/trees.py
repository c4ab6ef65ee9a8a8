"""The trees of the memory store: what is in them, what they take, and which of them has to go."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

import anyio

from responses_shim.stores.base import EVICTING, LOG_SIZE, READ_ENTRIES, READ_SIZE, Bounds, Record, StoredItem
from responses_shim.stores.counted_warning import CountedWarning

RECORD_SIZE = 1_000
"""What a record takes beside its data, about, in bytes."""
ITEM_SIZE = 300
"""What an item takes beside its data, about, in bytes."""
EVENT_SIZE = 100
"""What an event or a message takes beside its data, about, in bytes."""


@dataclass(eq=False, slots=True)
class Log:
    """Numbered entries, and what those who wait for the next one wait for."""

    entries: list[tuple[int, bytes]] = field(default_factory=list)
    size: int = 0
    last: int = -1
    more: anyio.Event = field(default_factory=anyio.Event)

    def append(self, entries: Sequence[tuple[int, bytes]]) -> int:
        """Append entries and drop the first ones of a log that is too long; returns by how much it has grown."""
        before = self.size
        self.entries += entries
        self.size += sum(EVENT_SIZE + len(data) for _, data in entries)
        self.last = self.entries[-1][0]
        dropped = 0
        while self.size > LOG_SIZE:
            self.size -= EVENT_SIZE + len(self.entries[dropped][1])
            dropped += 1
        del self.entries[:dropped]
        self.wake()
        return self.size - before

    @property
    def first(self) -> int:
        """The number of the first entry that is kept; that of the next one if there is none."""
        return self.entries[0][0] if self.entries else self.last + 1

    def behind(self, number: int) -> list[tuple[int, bytes]]:
        """The next entries behind `number`, as many as `Store.read` returns."""
        start = bisect_right(self.entries, number, key=itemgetter(0))
        found, size = self.entries[start : start + READ_ENTRIES], 0
        for index, (_, data) in enumerate(found):
            size += len(data)
            if size >= READ_SIZE:
                return found[: index + 1]
        return found

    def wake(self) -> None:
        """Wake everybody who waits for an entry."""
        self.more.set()
        self.more = anyio.Event()


@dataclass(eq=False, slots=True)
class Node:
    """A record in its tree."""

    record: Record
    parent: Node | None
    tree: Tree
    items: list[StoredItem] = field(default_factory=list)
    children: int = 0
    hidden: bool = False
    keys: set[str] = field(default_factory=set)  # of `append_items`
    logs: dict[str, Log] = field(default_factory=dict)
    ended_at: float | None = None
    holder: str | None = None
    held_until: float = 0.0

    def log(self, name: str) -> Log:
        return self.logs.setdefault(name, Log())

    def line(self) -> list[Node]:
        """The ancestors, from the root on, and the node itself."""
        line = [self]
        while line[-1].parent is not None:
            line.append(line[-1].parent)
        return line[::-1]


@dataclass(eq=False, slots=True)
class Tree:
    """The records that descend from one root."""

    owner: bytes
    used_at: float
    nodes: dict[str, Node] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Owner:
    """What one owner has: the trees, those used longest ago first."""

    trees: OrderedDict[int, Tree] = field(default_factory=OrderedDict)
    size: int = 0


class Trees:
    """The nodes of all owners, bounded. `now` gives the time in seconds since any point."""

    def __init__(self, bounds: Bounds, now: Callable[[], float]) -> None:
        self.evicted = CountedWarning(EVICTING)
        """The trees that have been evicted because there were too many, or too many bytes."""
        self.running: set[Node] = set()
        """Those whose response has not ended."""
        self.used: OrderedDict[int, Tree] = OrderedDict()
        """All trees, those used longest ago first."""
        self._bounds = bounds
        self._now = now
        self._nodes: dict[tuple[bytes, str], Node] = {}
        self._owners: dict[bytes, Owner] = {}
        self._holders: dict[tuple[bytes, str], dict[Node, bytes]] = {}  # who has an item, by its id; the latest last
        self._size = 0

    def get(self, owner: bytes, id: str) -> Node | None:
        """A node, hidden or not."""
        return self._nodes.get((owner, id))

    def holders(self, owner: bytes, item: str) -> dict[Node, bytes]:
        """The nodes that have an item with that id, and its data in each; the latest last."""
        return self._holders.get((owner, item), {})

    def add(self, node: Node) -> None:
        """Add a node, which may be the first of its tree, and use the tree."""
        self._nodes[node.record.owner, node.record.id] = node.tree.nodes[node.record.id] = node
        self.use(node.tree)
        self.resize(node.tree, RECORD_SIZE + len(node.record.data))

    def find(self, owner: bytes, id: str) -> Node | None:
        """A node that is not hidden and not too old."""
        self.drop_old()
        node = self._nodes.get((owner, id))
        return node if node is not None and not node.hidden else None

    # Items -------------------------------------------------------------------------------------------------------

    def append(self, node: Node, items: Sequence[StoredItem]) -> None:
        """Append items to a node."""
        for item in items:
            node.items.append(item)
            holders = self._holders.setdefault((node.record.owner, item.id), {})
            holders.pop(node, None)
            holders[node] = item.data
            self.resize(node.tree, ITEM_SIZE + len(item.data))

    def remove_item(self, node: Node, id: str) -> bool:
        """Remove an item from a node. False if it has none with that id."""
        for item in node.items:
            if item.id == id:
                node.items.remove(item)
                self._forget(node, item)
                return True
        return False

    def _forget(self, node: Node, item: StoredItem) -> None:
        """Take an item that the node no longer has out of the index."""
        key = (node.record.owner, item.id)
        holders = self._holders.get(key, {})
        holders.pop(node, None)
        if not holders:
            self._holders.pop(key, None)
        self.resize(node.tree, -ITEM_SIZE - len(item.data))

    # Trees -------------------------------------------------------------------------------------------------------

    def hide(self, node: Node) -> None:
        """Hide a node, and remove it and those hidden ones above it that no descendant needs."""
        node.hidden = True
        leaf: Node | None = node
        while leaf is not None and leaf.hidden and not leaf.children:
            self._release(leaf)
            del leaf.tree.nodes[leaf.record.id]
            leaf = leaf.parent
            if leaf is not None:
                leaf.children -= 1
        if not node.tree.nodes:
            self._drop(node.tree)

    def use(self, tree: Tree) -> None:
        """Make a tree the one that was used last."""
        tree.used_at = self._now()
        for trees in (self.used, self._owners.setdefault(tree.owner, Owner()).trees):
            trees[id(tree)] = tree
            trees.move_to_end(id(tree))

    def resize(self, tree: Tree, size: int) -> None:
        """Count so many bytes more, or fewer."""
        self._owners[tree.owner].size += size
        self._size += size

    def clear_logs(self, node: Node) -> None:
        """Drop what is in the logs of a node."""
        for log in node.logs.values():
            self.resize(node.tree, -log.size)
            log.entries.clear()
            log.size = 0

    def _release(self, node: Node) -> None:
        """Give up what a node holds, and wake those who wait for its logs."""
        for item in node.items:
            self._forget(node, item)
        node.items = []
        self.clear_logs(node)
        for log in node.logs.values():
            log.wake()
        self.running.discard(node)
        del self._nodes[node.record.owner, node.record.id]
        self.resize(node.tree, -RECORD_SIZE - len(node.record.data))

    def _drop(self, tree: Tree) -> None:
        """Remove a tree, with what is left in it."""
        for node in tree.nodes.values():
            self._release(node)
        tree.nodes.clear()
        owner = self._owners[tree.owner]
        del owner.trees[id(tree)], self.used[id(tree)]
        if not owner.trees:
            del self._owners[tree.owner]

    # Bounds ------------------------------------------------------------------------------------------------------

    def drop_old(self) -> None:
        """Drop the trees that have not been used for too long."""
        oldest_allowed = self._now() - self._bounds.age
        while self.used:
            tree = next(iter(self.used.values()))
            if tree.used_at >= oldest_allowed:
                return
            self._drop(tree)

    def evict(self, node: Node) -> bool:
        """Evict trees until the bounds hold. Whether `node` is still there: alone it may be larger than they allow."""
        while self.used and (len(self.used) > self._bounds.trees or self._size > self._bounds.size):
            largest = max(self._owners.values(), key=lambda owner: owner.size)
            self._drop(next(iter(largest.trees.values())))
            self.evicted.add()
        return (node.record.owner, node.record.id) in self._nodes
