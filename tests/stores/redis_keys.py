"""What is in a server, and whether the Redis store's account of it is right."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from responses_shim.stores.redis import PREFIX
from responses_shim.stores.suite.base import A
from responses_shim.stores.trees import EVENT_SIZE, ITEM_SIZE, RECORD_SIZE
from tests.stores.redis_server import Server

ALL = f"{PREFIX}{{all}}:"
OF_A = f"{PREFIX}{{o{A.hex()}}}:"


def keys_of(server: Server) -> set[str]:
    """The keys of the server; all but the secret are kept for some time only."""
    keys = server.expirations()
    assert all(seconds > 0 for key, seconds in keys.items() if key != f"{PREFIX}secret")
    return set(keys)


async def check_sizes(server: Server) -> None:
    """Compare what the store counts with what there is in the server."""
    client: Any = Redis(port=server.port)
    trees = size = 0
    owners = [key.removesuffix(b"index") async for key in client.scan_iter(f"{PREFIX}{{o*:index")]
    for base in owners:
        index = await client.hgetall(base + b"index")
        roots = await client.zrange(base + b"used", 0, -1)
        assert {field[2:] for field in index if field.startswith(b"z:")} == set(roots)
        assert int(index[b"size"]) == sum(int(index[b"z:" + root]) for root in roots)
        names = {field for field in index if field[:2] in (b"r:", b"i:")}
        for root in roots:
            data = await client.hgetall(base + b"data:" + root)
            tree = await client.hgetall(base + b"tree:" + root)
            known = await client.hgetall(base + b"items:" + root)
            logs = [base + log + b":" + id for id in tree for log in (b"events", b"messages")]
            entries = [entry[b"data"] for log in logs for _, entry in await client.xrange(log)]
            kept = sum(map(len, data.values())) + sum(map(len, entries))
            overhead = RECORD_SIZE * len(tree) + ITEM_SIZE * (len(data) - len(tree)) + EVENT_SIZE * len(entries)
            assert int(index[b"z:" + root]) == kept + overhead
            names -= {b"r:" + id for id in tree} | {b"i:" + known[field][1:] for field in known if field[:1] == b"i"}
        assert not names
        trees += len(roots)
        size += int(index[b"size"])
    totals = await client.hgetall(f"{ALL}totals")
    assert (int(totals.get(b"trees", 0)), int(totals.get(b"size", 0))) == (trees, size)
    assert await client.zcard(f"{ALL}sizes") == await client.zcard(f"{ALL}due") == len(owners)
    await client.aclose()
