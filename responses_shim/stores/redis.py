"""`redis://`: a store that processes on several machines share, in Redis from 6.2 on or Valkey.

**Keys.** All begin with `responses-shim:1:`; another format will have another number. Those of an owner share a hash
tag, so that a Redis Cluster keeps them on one node, where a script can change them in one step:

    {owner}:index           hash    of each record the root of its tree; of each item the records that have it; sizes
    {owner}:used            zset    the roots of the trees, by when they were last used
    {owner}:ending          zset    responses that have ended, by when their logs go
    {owner}:tree:<root>     hash    the records of a tree, without their data
    {owner}:items:<root>    hash    the ids of their items, and the keys with which items have been appended
    {owner}:data:<root>     hash    the data of the records and items of a tree
    {owner}:events:<id>     stream  a response's events; `messages` likewise. The number of an entry is that before the
                                    dash in the stream, less one, as streams begin with 1. Each is a channel too, on
                                    which is published that there is more.

A tree's data is one key, so all of it is there or nothing. Items are looked up in all trees of an owner, and bytes are
counted over all of them; that is why the tag is the owner's and not the tree's. So all that one owner has is on one
node. What has to be known of all owners together has a tag of its own, `{all}`: how much each of them has (`owners`,
`sizes`, `totals`), when something of theirs is too old (`due`), and the leases to look after (`runs`). `secret` is the
one key that stays for ever.

**Steps.** Each call is one script (lua/tree.lua and lua/operations.lua), so one round trip, a history included: the
script finds the tree in the index. A call that changes how much is kept reports that to `{all}` in a second round trip
(lua/bounds.lua), which names an owner who has to drop something, if the bounds say so; a run is noted there before its
record is added. A report that is lost does no lasting harm: each holds all that the owner has, and a newer one replaces
it. When several processes add at the bounds at once, a few trees more than necessary may go.

**Age.** Redis deletes data itself when it has been unused for as long as the bounds say, even if nobody is there. Names
are kept twice as long, for they say what to take out of the index.

**Time** is that of the Redis server, so the clocks of the machines do not matter.

**The server.** `maxmemory` should be larger than the bounds allow, and `maxmemory-policy noeviction`. With another
policy Redis removes what it likes, and what is left of such a tree is not found. When memory is full, records can still
be read and deleted. In a cluster, slots should not be moved while the store is in use: scripts reach keys that they do
not name beforehand, and would miss those that have moved already. The node in the URL has to be up for those who wait.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any, Literal

import anyio
import msgspec

from responses_shim.stores.base import (
    EVICTING,
    LOG_AGE,
    LOG_SIZE,
    READ_ENTRIES,
    READ_SIZE,
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
from responses_shim.stores.redis_client import Client, Script, as_text
from responses_shim.stores.trees import EVENT_SIZE, ITEM_SIZE, RECORD_SIZE

DEFAULT_BOUNDS = Bounds(trees=1_000_000, size=10 * 1024**3, age=30 * 86400.0)

PREFIX = "responses-shim:1:"
LAST = 2**53 - 3
"""The last number that an entry of a log can have: Lua's numbers are exact up to 2**53."""
SWEEPS = 8
"""How many owners one call makes drop what is too old, at most: there may be many after a silence."""
ENROLLED = 60.0
"""After how many seconds a run whose record is not there is forgotten: it may be about to be added."""

_pack = msgspec.msgpack.encode
_items = msgspec.msgpack.Decoder(list[tuple[str, bytes, bool]])
_entries = msgspec.msgpack.Decoder(list[tuple[int, bytes]])
_rows = msgspec.msgpack.Decoder(list[tuple[str, Literal["response", "conversation"], str, int, float, int]])
_run = msgspec.msgpack.Decoder(tuple[bytes, str])


class RedisStore:
    """Keeps records in Redis, at a URL with `redis://`, `rediss://` (TLS) or `unix://`.

    It connects when it is used. `now` gives the time in seconds since any point; without it, it is the server's.
    """

    def __init__(self, url: str, bounds: Bounds = DEFAULT_BOUNDS, now: Callable[[], float] | None = None) -> None:
        """Raises ConfigurationError: this is no URL of Redis, or the package `redis` is missing."""
        self._evicted = CountedWarning(EVICTING)
        self._client = Client(url)
        self._bounds = bounds
        self._now = now
        self._one_owner = Script(
            "tree",
            "operations",
            RECORD_SIZE=RECORD_SIZE,
            ITEM_SIZE=ITEM_SIZE,
            EVENT_SIZE=EVENT_SIZE,
            LOG_SIZE=LOG_SIZE,
            LOG_AGE=int(LOG_AGE),
            READ_ENTRIES=READ_ENTRIES,
            READ_SIZE=READ_SIZE,
        )
        self._all_owners = Script("bounds")

    # Records -----------------------------------------------------------------------------------------------------

    async def add(self, record: Record, items: Sequence[StoredItem] = ()) -> bool:
        if record.status in RUNNING:
            await self._ask_all("enroll", run=_as_run(record.owner, record.id))
        added, kept = await self._write(
            record.owner,
            "add",
            id=record.id,
            parent=record.parent,
            kind=record.kind,
            status=record.status,
            created_at=record.created_at,
            data=as_text(record.data),
            items=_as_arguments(items),
        )
        return bool(added) and kept

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
        changed, kept = await self._write(
            owner,
            "change",
            ended=status is not None and status not in RUNNING,
            id=id,
            among=list(among),
            status=status,
            data=as_text(data) if data is not None else None,
            items=_as_arguments(items),
            events=[(number, as_text(event)) for number, event in events],
            turn=(turn.id, turn.holder, _as_arguments(turn.items), turn.key) if turn is not None else None,
        )
        return bool(changed) and kept

    async def get(self, owner: bytes, id: str, *, items: bool = True) -> History | None:
        return _history(owner, id, await self._ask(owner, "get", id=id, items=items))

    async def history(self, owner: bytes, id: str) -> History | None:
        return _history(owner, id, await self._ask(owner, "history", id=id))

    async def delete(self, owner: bytes, id: str, item: str | None = None) -> bool:
        deleted, _ = await self._write(owner, "delete", ended=item is None, id=id, item=item)
        return bool(deleted)

    # Items -------------------------------------------------------------------------------------------------------

    async def page(
        self, owner: bytes, id: str, *, outputs: bool, after: str | None, limit: int, newest_first: bool
    ) -> Page | None:
        reply = await self._ask(
            owner, "page", id=id, outputs=outputs, after=after, limit=limit, newest_first=newest_first
        )
        if reply is None:
            return None
        count, more, packed = reply
        if count < 0:
            raise KeyError(after)
        return Page(_unpack_items(count, packed), has_more=bool(more))

    async def find_items(self, owner: bytes, ids: Collection[str], record: str | None = None) -> dict[str, bytes]:
        count, packed = await self._ask(owner, "find_items", ids=list(ids), record=record)
        return {item.id: item.data for item in _unpack_items(count, packed)}

    async def append_items(self, owner: bytes, id: str, items: Sequence[StoredItem], key: str) -> list[str] | None:
        known, _ = await self._write(owner, "append_items", id=id, items=_as_arguments(items), key=key)
        return [item.decode() for item in known] if known is not None else None

    # Runs --------------------------------------------------------------------------------------------------------

    async def lease(self, owner: bytes, id: str, holder: str, seconds: float) -> bool:
        return bool(await self._ask(owner, "lease", id=id, holder=holder, seconds=seconds))

    async def expired(self) -> list[tuple[bytes, str]]:
        """Asks about the runs whose leases had been going to expire by now, and notes how they have been renewed."""
        now, runs = await self._ask_all("runs")
        noted: dict[bytes, dict[str, float]] = {}
        for run, time in zip(runs[::2], runs[1::2], strict=True):
            owner, id = _run.decode(run)
            noted.setdefault(owner, {})[id] = float(time)
        found: list[tuple[bytes, str]] = []
        news: list[tuple[msgspec.Raw, float | None]] = []
        for owner, times in noted.items():
            for id, until in zip(times, await self._ask(owner, "leases", ids=list(times)), strict=True):
                if until == b"ended" or (until == b"gone" and times[id] + ENROLLED < float(now)):
                    news.append((_as_run(owner, id), None))
                elif until != b"gone" and float(until) > float(now):
                    news.append((_as_run(owner, id), float(until)))
                elif until != b"gone":
                    found.append((owner, id))
        if news:
            await self._ask_all("reschedule", runs=news)
        return found

    async def post(self, owner: bytes, id: str, message: bytes) -> bool:
        posted, _ = await self._write(owner, "post", id=id, message=as_text(message))
        return bool(posted)

    async def read(
        self, owner: bytes, id: str, log: Literal["events", "messages"], *, after: int, wait: float
    ) -> Entries | None:
        if wait <= 0:
            return await self._read(owner, id, log, after)
        async with self._client.listening(f"{_base(owner)}{log}:{id}") as more:
            found = await self._read(owner, id, log, after)
            if found is None or found.entries or found.ended:
                return found
            with anyio.move_on_after(wait):
                await more.wait()
        return await self._read(owner, id, log, after)

    async def _read(self, owner: bytes, id: str, log: str, after: int) -> Entries | None:
        reply = await self._ask(owner, "read", id=id, log=log, after=min(max(after, -1), LAST))
        if reply is None:
            return None
        ended, first, last, count, packed = reply
        return Entries(_entries.decode(_as_array(count, packed)), bool(ended), first, last)

    # The store itself --------------------------------------------------------------------------------------------

    async def scan(self, owner: bytes | None = None, *, unused_for: float = 0, limit: int = 1_000) -> list[Summary]:
        if owner is not None:
            return (await self._scan(owner, unused_for, limit))[:limit]
        found: list[Summary] = []
        start = 0
        while some := await self._ask_all("owners", start=start, limit=1_000):
            start += len(some) // 2
            for each, due in zip(some[::2], some[1::2], strict=True):
                if len(found) >= limit and float(due) - self._bounds.age > found[-1].used_at:
                    return found  # all that is left is newer
                found += await self._scan(each, unused_for, limit)
                found.sort(key=lambda summary: summary.used_at)
                del found[limit:]
        return found

    async def _scan(self, owner: bytes, unused_for: float, limit: int) -> list[Summary]:
        count, packed = await self._ask(owner, "scan", unused_for=unused_for, limit=limit)
        return [
            Summary(owner=owner, id=id, kind=kind, status=status, created_at=created_at, used_at=used_at, size=size)
            for id, kind, status, created_at, used_at, size in _rows.decode(_as_array(count, packed))
        ]

    async def evicted(self) -> int:
        """How many trees all processes have evicted for want of room, since the store was last empty."""
        return int(await self._ask_all("evicted"))

    async def secret(self) -> bytes:
        key = f"{PREFIX}secret"
        await self._client.command("SET", key, secrets.token_bytes(32), "NX")
        secret: bytes = await self._client.command("GET", key)
        return secret

    async def close(self) -> None:
        await self._client.close()

    # Scripts -----------------------------------------------------------------------------------------------------

    async def _ask(self, owner: bytes, operation: str, **arguments: Any) -> Any:
        """Do something with an owner's records, in one step."""
        base = _base(owner)
        keys = [f"{base}index", f"{base}used", f"{base}ending"]
        return await self._client.run(self._one_owner, keys, operation, self._with_time(arguments))

    async def _ask_all(self, operation: str, **arguments: Any) -> Any:
        """Do something with what is known of all owners, in one step."""
        keys = [f"{PREFIX}{{all}}:{name}" for name in ("owners", "sizes", "due", "totals", "runs")]
        return await self._client.run(self._all_owners, keys, operation, self._with_time(arguments))

    def _with_time(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {**arguments, "now": self._now() if self._now is not None else None, "age": self._bounds.age}

    async def _write(self, owner: bytes, operation: str, *, ended: bool = False, **arguments: Any) -> tuple[Any, bool]:
        """Change how much an owner has, and hold the bounds. Returns the result, and whether the tree is still there.

        `ended`: the response is not running any more, if it did not fail.
        """
        result, tree, *totals = await self._ask(owner, operation, **arguments)
        if not result:
            return result, True
        kept, sweeps = True, 0
        with suppress(StoreUnavailable):  # It is done all the same, and the next report makes up for this one.
            late = await self._report(owner, totals, _as_run(owner, arguments["id"]) if ended else None)
            while late is not None and sweeps < SWEEPS:
                other, evict = late
                sweeps += not evict
                roots, evicted, *totals = await self._ask(other, "sweep", evict=bool(evict))
                self._evicted.add(evicted is not None)
                kept = kept and not (other == owner and tree in roots)
                late = await self._report(other, totals, evicted=evicted is not None)
        return result, kept

    async def _report(
        self, owner: bytes, totals: Sequence[Any], ended: msgspec.Raw | None = None, *, evicted: bool = False
    ) -> Any:
        """Note how much an owner has; returns who has to drop something, and whether that is to evict a tree.

        `ended` is a run that has ended; `evicted`: a tree of the owner's has been evicted.
        """
        version, size, trees, due = totals
        return await self._ask_all(
            "report",
            owner=as_text(owner),
            version=version,
            size=int(size),
            trees=trees,
            due=float(due),
            max_size=self._bounds.size,
            max_trees=self._bounds.trees,
            ended=ended,
            evicted=int(evicted),
        )


def _base(owner: bytes) -> str:
    """What an owner's keys begin with. The letter is there so that no hash tag is empty, which would be none."""
    return f"{PREFIX}{{o{owner.hex()}}}:"


def _as_run(owner: bytes, id: str) -> msgspec.Raw:
    return as_text(_pack((owner, id)))


def _as_arguments(items: Sequence[StoredItem]) -> list[tuple[str, bool, msgspec.Raw]]:
    """Items for a script, which keeps the last part, and puts several of them together without looking at them."""
    return [(item.id, item.output, as_text(_pack((item.id, item.data, item.output)))) for item in items]


def _as_array(count: int, packed: bytes) -> bytes:
    """So many values of msgpack, one after the other, as an array of them."""
    return b"\xdd" + count.to_bytes(4, "big") + packed


def _unpack_items(count: int, packed: bytes) -> list[StoredItem]:
    return [StoredItem(id, data, output) for id, data, output in _items.decode(_as_array(count, packed))]


def _history(owner: bytes, id: str, reply: Any) -> History | None:
    if reply is None:
        return None
    parent, status, kind, created_at, data, count, parts = reply
    record = Record(
        owner=owner,
        id=id,
        kind=kind.decode(),
        parent=parent.decode() if parent is not None else None,
        status=status.decode(),
        created_at=created_at,
        data=data,
    )
    return History(record, _unpack_items(count, b"".join(parts)))
