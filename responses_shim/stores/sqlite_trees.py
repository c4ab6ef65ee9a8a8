"""The trees in the file of the SQLite store, as one transaction sees and changes them: all of its SQL about records.

`Trees` does for a file what `responses_shim.stores.trees` does for dictionaries. The tables are in sqlite_file.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from responses_shim.stores.base import (
    ENDED,
    LOG_AGE,
    LOG_SIZE,
    READ_ENTRIES,
    READ_SIZE,
    Bounds,
    Entries,
    Page,
    Record,
    StoredItem,
    Summary,
)

RECORD_SIZE = 1_200
"""What a record takes in the file beside its data, in indexes and in pages that are not full, about, in bytes."""
ITEM_SIZE = 400
"""What an item takes beside its data, about, in bytes."""
ENTRY_SIZE = 30
"""What an event or a message takes beside its data, about, in bytes."""
LAST = 2**63 - 1
"""SQLite's largest integer: behind every position and number."""
OLD_TREES = 10
"""How many trees that are too old are dropped by one write: many may have become too old since the last one."""

Row = tuple[Any, ...]

LINE = """
    WITH RECURSIVE line (record, parent, level) AS (
        SELECT record, parent, 0 FROM records WHERE record = ?
        UNION ALL
        SELECT records.record, records.parent, level - 1 FROM line JOIN records ON records.record = line.parent
    )
    SELECT level, position, id, data, output FROM line JOIN items USING (record)
"""
"""The items of a record, at level 0, of its parent, at level -1, and so on to the root, in any order.

They are not sorted here: SQLite would copy all data for that, and write a long history to a temporary file.
"""


class Node(NamedTuple):
    """The row of a record, without its data."""

    record: int
    tree: int
    status: str
    ended_at: float | None


class ItemRow(NamedTuple):
    """The row of an item, with the size of its data instead of the data."""

    position: int
    output: int
    size: int


class Trees:
    """What is in a file, at the time `now`. Lives as long as the transaction that its connection is in."""

    def __init__(self, connection: sqlite3.Connection, bounds: Bounds, now: float) -> None:
        self._execute = connection.execute
        self._executemany = connection.executemany
        self._bounds = bounds
        self._now = now
        self._oldest = now - bounds.age
        self.evicted = 0  # trees, by this transaction

    # Records -----------------------------------------------------------------------------------------------------

    def find(self, owner: bytes, id: str, *, hidden: bool = False) -> Node | None:
        """A record whose tree is not too old, and which is not hidden unless `hidden`."""
        row = self._one(
            "SELECT record, tree, status, ended_at FROM records JOIN trees USING (tree) "
            "WHERE records.owner = ? AND id = ? AND hidden <= ? AND used_at >= ?",
            (owner, id, hidden, self._oldest),
        )
        return Node(*row) if row is not None else None

    def record(self, owner: bytes, node: Node) -> Record:
        """The record of a node, with its data."""
        row = self._one(
            "SELECT records.id, records.kind, parents.id, records.status, records.created_at, records.data "
            "FROM records LEFT JOIN records AS parents ON parents.record = records.parent WHERE records.record = ?",
            (node.record,),
        )
        assert row is not None
        id, kind, parent, status, created_at, data = row
        return Record(owner=owner, id=id, kind=kind, parent=parent, status=status, created_at=created_at, data=data)

    def add(self, record: Record, items: Sequence[StoredItem], parent: Node | None) -> bool:
        """Add a record to its parent's tree, or to a new one. False if it is too large for the bounds."""
        if parent is not None:
            tree, above = parent.tree, parent.record
        else:
            tree, above = self._insert("INSERT INTO trees VALUES (NULL, ?, ?, 0)", (record.owner, self._now)), None
        row = (tree, above, record.owner, record.id, record.kind, record.status, record.created_at, record.data)
        number = self._insert(
            "INSERT INTO records (tree, parent, owner, id, kind, status, created_at, data) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        node = Node(number, tree, record.status, None)
        self.resize(tree, RECORD_SIZE + len(record.data) + self.append(record.owner, node, items))
        return self.keep(node)

    def change(self, node: Node, status: str | None, data: bytes | None) -> Node:
        """Replace the status and the data of a record where they are given. Returns the row as it is then."""
        if data is not None:
            self.resize(node.tree, len(data) - self._number("length(data) FROM records WHERE record = ?", node.record))
            self._execute("UPDATE records SET data = ? WHERE record = ?", (data, node.record))
        if status is not None:
            node = node._replace(status=status, ended_at=self._now if status in ENDED else node.ended_at)
            row = (node.status, node.ended_at, node.record)
            self._execute("UPDATE records SET status = ?, ended_at = ? WHERE record = ?", row)
        return node

    def hide(self, node: Node) -> None:
        """Hide a record, and remove it and those hidden ones above it that no descendant needs."""
        self._execute("UPDATE records SET hidden = 1 WHERE record = ?", (node.record,))
        leaf: int | None = node.record
        while leaf is not None:
            row = self._one(
                "SELECT parent FROM records WHERE record = ? AND hidden "
                "AND NOT EXISTS (SELECT 1 FROM records AS children WHERE children.parent = records.record)",
                (leaf,),
            )
            if row is None:
                return
            self.resize(node.tree, -self._size(leaf))
            self._execute("DELETE FROM records WHERE record = ?", (leaf,))
            (leaf,) = row
        self._execute("DELETE FROM trees WHERE tree = ?", (node.tree,))

    def _size(self, record: int) -> int:
        """What a record takes, with its items and logs."""
        return RECORD_SIZE + self._number(
            f"length(data) + (SELECT ifnull(sum(length(data) + {ITEM_SIZE}), 0) FROM items WHERE record = ?1) "
            "+ (SELECT ifnull(sum(size), 0) FROM logs WHERE record = ?1) FROM records WHERE record = ?1",
            record,
        )

    # Items -------------------------------------------------------------------------------------------------------

    def items(self, node: Node) -> list[StoredItem]:
        """The items of a record itself."""
        rows = self._execute("SELECT id, data, output FROM items WHERE record = ? ORDER BY position", (node.record,))
        return _items(rows)

    def history(self, node: Node) -> list[StoredItem]:
        """The items of a record's ancestors and its own."""
        rows = self._execute(LINE, (node.record,)).fetchall()
        rows.sort(key=itemgetter(0, 1))  # by level and position
        return _items(row[2:] for row in rows)

    def page(self, owner: bytes, node: Node, outputs: bool, after: str | None, limit: int, newest_first: bool) -> Page:
        """Up to `limit` of a record's items behind the item `after`. Raises KeyError if there is no such item."""
        position = LAST if newest_first else -1
        if after is not None:
            item = self._item(owner, node, after)
            if item is None or item.output > outputs:
                raise KeyError(after)
            position = item.position
        behind, order = ("<", "DESC") if newest_first else (">", "ASC")
        rows = self._execute(
            "SELECT id, data, output FROM items WHERE record = :record AND output <= :outputs "
            f"AND position {behind} :position ORDER BY position {order} LIMIT :limit",
            {"record": node.record, "outputs": outputs, "position": position, "limit": limit + 1},
        )
        items = _items(rows)
        return Page(items[:limit], has_more=len(items) > limit)

    def find_items(self, owner: bytes, ids: Collection[str], record: str | None) -> dict[str, bytes]:
        """The data of the latest item with each id, in one record or in all that are not hidden."""
        query = (
            "SELECT items.data FROM items JOIN records USING (record) JOIN trees USING (tree) "
            "WHERE items.owner = ? AND items.id = ? AND NOT hidden AND used_at >= ? "
            "AND records.id = ifnull(?, records.id) ORDER BY position DESC LIMIT 1"
        )
        rows = {id: self._one(query, (owner, id, self._oldest, record)) for id in ids}
        return {id: row[0] for id, row in rows.items() if row is not None}

    def known_items(self, owner: bytes, node: Node, ids: Iterable[str]) -> list[str]:
        """Those of the ids that items of a record have."""
        return [id for id in ids if self._item(owner, node, id) is not None]

    def _item(self, owner: bytes, node: Node, id: str) -> ItemRow | None:
        """The first item of a record that has an id."""
        # Left to itself, SQLite would go through all items of the record, which may be a long conversation.
        row = self._one(
            "SELECT position, output, length(data) FROM items INDEXED BY items_by_id "
            "WHERE owner = ? AND id = ? AND record = ? ORDER BY position LIMIT 1",
            (owner, id, node.record),
        )
        return ItemRow(*row) if row is not None else None

    def append(self, owner: bytes, node: Node, items: Sequence[StoredItem]) -> int:
        """Append items to a record. Returns how many bytes they take."""
        self._executemany(
            "INSERT INTO items (record, owner, id, output, data) VALUES (?, ?, ?, ?, ?)",
            [(node.record, owner, item.id, item.output, item.data) for item in items],
        )
        return sum(ITEM_SIZE + len(item.data) for item in items)

    def remove_item(self, owner: bytes, node: Node, id: str) -> bool:
        """Remove an item from a record. False if it has none with that id."""
        item = self._item(owner, node, id)
        if item is None:
            return False
        self._execute("DELETE FROM items WHERE position = ?", (item.position,))
        self.resize(node.tree, -ITEM_SIZE - item.size)
        return True

    def has_key(self, node: Node, key: str) -> bool:
        """Whether `append_items` has been called for a record with this key."""
        return self._one("SELECT 1 FROM keys WHERE record = ? AND key = ?", (node.record, key)) is not None

    def add_key(self, node: Node, key: str) -> None:
        self._execute("INSERT INTO keys VALUES (?, ?)", (node.record, key))

    # Leases ------------------------------------------------------------------------------------------------------

    def lease(self, node: Node, holder: str, seconds: float) -> bool:
        """Take the lease of a record, or give it up. False if another holder has it."""
        row = self._one("SELECT holder FROM leases WHERE record = ? AND until > ?", (node.record, self._now))
        if row is not None and row[0] != holder:
            return False
        if seconds:
            self._execute("REPLACE INTO leases VALUES (?, ?, ?)", (node.record, holder, self._now + seconds))
        else:
            self._execute("DELETE FROM leases WHERE record = ?", (node.record,))
        return True

    def expired(self) -> list[tuple[bytes, str]]:
        """Owner and id of the responses that run, and whose lease has expired."""
        return self._execute(
            "SELECT records.owner, id FROM records JOIN trees USING (tree) LEFT JOIN leases USING (record) "
            "WHERE status IN ('queued', 'in_progress') AND NOT hidden AND used_at >= ? AND ifnull(until, 0) <= ?",
            (self._oldest, self._now),
        ).fetchall()

    # Logs --------------------------------------------------------------------------------------------------------

    def last_entry(self, node: Node, log: str) -> int:
        """The highest number that has been in a log; -1 if it is new."""
        row = self._one("SELECT last FROM logs WHERE record = ? AND log = ?", (node.record, log))
        return row[0] if row is not None else -1

    def log(self, node: Node, log: str, entries: Sequence[tuple[int, bytes]]) -> None:
        """Append entries to a log, and drop the first ones of a log that is too long."""
        key = (node.record, log)
        self._executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", [(*key, *entry) for entry in entries])
        self._execute("INSERT OR IGNORE INTO logs (record, log) VALUES (?, ?)", key)
        added = sum(ENTRY_SIZE + len(data) for _, data in entries)
        excess = added + self._number("size FROM logs WHERE record = ? AND log = ?", *key) - LOG_SIZE
        dropped = self._drop_entries(key, excess) if excess > 0 else 0
        row = (entries[-1][0], added - dropped, *key)
        self._execute("UPDATE logs SET last = ?, size = size + ? WHERE record = ? AND log = ?", row)
        self.resize(node.tree, added - dropped)

    def _drop_entries(self, key: tuple[int, str], excess: int) -> int:
        """Drop the first entries of a log, at least so many bytes. Returns how many it were."""
        query = "SELECT number, length(data) FROM entries WHERE record = ? AND log = ? ORDER BY number"
        dropped, last = 0, -1
        for number, length in self._execute(query, key):
            dropped, last = dropped + ENTRY_SIZE + length, number
            if dropped >= excess:
                break
        self._execute("DELETE FROM entries WHERE record = ? AND log = ? AND number <= ?", (*key, last))
        return dropped

    def let_logs_expire(self, node: Node) -> None:
        """Have the logs of a response that has ended kept for LOG_AGE from its end."""
        if node.ended_at is not None:
            self._execute("UPDATE logs SET expires = ? WHERE record = ?", (node.ended_at + LOG_AGE, node.record))

    def entries(self, node: Node, log: str, after: int) -> Entries:
        """The next entries of a log behind number `after`, as many as `Store.read` returns."""
        key = (node.record, log)
        ended = node.status in ENDED
        row = self._one("SELECT last, expires FROM logs WHERE record = ? AND log = ?", key)
        last, expires = row if row is not None else (-1, None)
        if expires is not None and expires < self._now:
            return Entries([], ended, last + 1, last)
        found: list[tuple[int, bytes]] = []
        size = 0
        for row in self._execute(
            "SELECT number, data FROM entries WHERE record = ? AND log = ? AND number > ? ORDER BY number LIMIT ?",
            (*key, min(after, LAST), READ_ENTRIES),
        ):
            found.append(row)
            size += len(row[1])
            if size >= READ_SIZE:
                break
        first = self._one("SELECT min(number) FROM entries WHERE record = ? AND log = ?", key)
        assert first is not None
        return Entries(found, ended, first[0] if first[0] is not None else last + 1, last)

    # Trees and their bounds --------------------------------------------------------------------------------------

    def use(self, tree: int) -> None:
        """Make a tree the one that was used last."""
        self._execute("UPDATE trees SET used_at = max(used_at, ?) WHERE tree = ?", (self._now, tree))

    def resize(self, tree: int, size: int) -> None:
        """Count so many bytes more, or fewer."""
        self._execute("UPDATE trees SET size = size + ? WHERE tree = ?", (size, tree))

    def keep(self, node: Node) -> bool:
        """Use the tree of a record that has grown, and drop trees until the bounds hold.

        Returns whether the record is still there: alone it may be larger than they allow.
        """
        self.use(node.tree)
        self._drop_old()
        bounds = (self._bounds.trees, self._bounds.size)
        while self._number("trees > ? OR size > ? FROM totals", *bounds) and self._evict():
            self.evicted += 1
        return not self.evicted or self._one("SELECT 1 FROM records WHERE record = ?", (node.record,)) is not None

    def _evict(self) -> bool:
        """Drop the tree that was used longest ago of those of the owner with the most bytes. False if there is none."""
        dropped = self._execute(
            "DELETE FROM trees WHERE tree = (SELECT tree FROM trees "
            "WHERE owner = (SELECT owner FROM owners ORDER BY size DESC LIMIT 1) ORDER BY used_at, tree LIMIT 1)"
        )
        self._execute("UPDATE totals SET evicted = evicted + ?", (dropped.rowcount,))
        return dropped.rowcount > 0

    def _drop_old(self) -> None:
        """Drop some of the trees that have not been used for too long, and of the logs whose time is over."""
        self._execute(
            "DELETE FROM trees WHERE tree IN (SELECT tree FROM trees WHERE used_at < ? ORDER BY used_at LIMIT ?)",
            (self._oldest, OLD_TREES),
        )
        rows = self._execute(
            "SELECT tree, record, log, logs.size FROM logs JOIN records USING (record) WHERE expires < ? LIMIT ?",
            (self._now, OLD_TREES),
        )
        for tree, record, log, size in rows.fetchall():
            self._execute("DELETE FROM entries WHERE record = ? AND log = ?", (record, log))
            self._execute("UPDATE logs SET size = 0, expires = NULL WHERE record = ? AND log = ?", (record, log))
            self.resize(tree, -size)

    # The file itself ---------------------------------------------------------------------------------------------

    def scan(self, owner: bytes | None, unused_for: float, limit: int) -> list[Summary]:
        """Records of trees unused for so many seconds, or of all (one may be used after `_now`), the oldest first."""
        rows = self._execute(
            "SELECT records.owner, id, kind, status, created_at, used_at, length(data) + "
            "(SELECT ifnull(sum(length(data)), 0) FROM items WHERE items.record = records.record) "
            "FROM trees JOIN records USING (tree) WHERE NOT hidden AND used_at BETWEEN :oldest AND :latest "
            f"{'AND trees.owner = :owner' if owner is not None else ''} ORDER BY used_at, tree, record LIMIT :limit",
            {"oldest": self._oldest, "latest": self._now - (unused_for or -LAST), "owner": owner, "limit": limit},
        )
        names = Summary.__struct_fields__
        return [Summary(**dict(zip(names, row, strict=True))) for row in rows]

    def all_evicted(self) -> int:
        """How many trees have been evicted since the file was made."""
        return self._number("evicted FROM totals")

    def secret(self, proposed: bytes) -> bytes:
        """The secret of the file; it becomes the one that is proposed if there is none yet."""
        self._execute("INSERT OR IGNORE INTO secret VALUES (1, ?)", (proposed,))
        row = self._one("SELECT value FROM secret")
        assert row is not None
        secret: bytes = row[0]
        return secret

    def _one(self, query: str, values: Row = ()) -> Row | None:
        row: Row | None = self._execute(query, values).fetchone()
        return row

    def _number(self, expression: str, *values: Any) -> int:
        row = self._one(f"SELECT {expression}", values)
        assert row is not None
        return int(row[0])

    def _insert(self, statement: str, values: Row) -> int:
        number = self._execute(statement, values).lastrowid
        assert number is not None
        return number


def _items(rows: Iterable[Row]) -> list[StoredItem]:
    return [StoredItem(id, data, bool(output)) for id, data, output in rows]
