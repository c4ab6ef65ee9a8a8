"""The Redis store: what every store does, on a server and on a cluster, and what it keeps in its keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import anyio
import msgspec
import pytest

from responses_shim.stores import redis_client
from responses_shim.stores.base import LOG_AGE, RUNNING, Bounds, Store, StoredItem, StoreUnavailable
from responses_shim.stores.memory import MemoryStore
from responses_shim.stores.redis import SWEEPS, RedisStore
from responses_shim.stores.redis_client import CONNECTIONS
from responses_shim.stores.suite import StoreSuite
from responses_shim.stores.suite.base import WIDE, A, B, Clock, add_turn, ids_of, items, record
from tests.stores.redis_keys import ALL, OF_A, check_sizes, keys_of
from tests.stores.redis_server import Server
from tests.stores.steps import compare

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("commands")]


class TestRedisStore(StoreSuite):
    """The suite on a server, on a cluster, one of whose nodes is named to the store, and on Valkey."""

    @pytest.fixture(autouse=True)
    def _servers(self, servers: list[Server]) -> Iterator[None]:
        self.url = servers[0].url
        self.servers = servers
        yield
        for server in servers:
            keys_of(server)

    async def open(self, bounds: Bounds, now: Callable[[], float]) -> Store:
        return RedisStore(self.url, bounds, now)

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Servers that answer nothing."""
        with pytest.MonkeyPatch.context() as patch, ExitStack() as hanging:
            patch.setattr(redis_client, "TIMEOUT", 0.1)
            for server in self.servers:
                hanging.enter_context(server.hanging())
            yield


# What is kept --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
async def test_it_answers_what_the_memory_store_answers(seed: int, server: Server) -> None:
    """And what it counts is what there is."""
    clock, bounds = Clock(), Bounds(trees=1_000, size=10**8, age=400)
    store = RedisStore(server.url, bounds, clock)
    await compare(MemoryStore(bounds, clock), store, clock, seed)
    await check_sizes(server)
    clock.time += LOG_AGE
    for number in range(9):
        await add_turn(store, f"s{number}")
    await check_sizes(server)
    assert len(await store.scan()) == 9
    await store.close()


async def test_nothing_is_left_of_what_is_deleted(store: RedisStore, server: Server) -> None:
    await add_turn(store, "r1")
    await store.add(record("r2", "r1", status="in_progress"), items("x"))
    await store.post(A, "r2", b"message")
    await store.change(A, "r2", among=RUNNING, status="completed", events=[(0, b"end")])
    await store.add(record("r3", status="in_progress"))
    await store.add(record("c", kind="conversation", status="active"), items("x"))
    await store.append_items(A, "c", items("y"), "key")
    for id in ("r1", "r2", "r3", "c"):
        assert await store.delete(A, id)
    assert keys_of(server) == set()


async def test_nothing_is_left_of_what_is_too_old(server: Server) -> None:
    """Somebody else's call removes it, if its owner does not come back."""
    clock = Clock()
    store = RedisStore(server.url, Bounds(trees=99, size=10**6, age=100), clock)
    await add_turn(store, "r1")
    await add_turn(store, "r2", "r1")
    await store.add(record("r3", status="in_progress"))
    await store.change(A, "r3", among=RUNNING, events=[(0, b"e")])
    clock.time += 101
    await add_turn(store, "b", owner=B)
    assert not [key for key in keys_of(server) if key.startswith(OF_A)]
    assert await store.expired() == []
    await store.delete(B, "b")
    assert keys_of(server) == set()
    await store.close()


async def test_the_server_itself_removes_what_is_too_old(store: RedisStore, server: Server) -> None:
    """The data when it is, and the names later; each use begins the time anew."""
    await add_turn(store, "r1")
    with server.client() as client:
        client.expire(f"{OF_A}data:r1", 7)
    await store.history(A, "r1")
    keys = server.expirations()
    assert 3590 < keys[f"{OF_A}data:r1"] <= 3600
    assert all(7190 < seconds <= 7200 for key, seconds in keys.items() if key != f"{OF_A}data:r1")


async def test_a_log_is_removed_when_its_time_is_over(store: RedisStore, server: Server) -> None:
    await store.add(record("r", status="in_progress"))
    await store.change(A, "r", among=RUNNING, status="completed", events=[(0, b"e")])
    assert LOG_AGE - 10 < server.expirations()[f"{OF_A}events:r"] <= LOG_AGE
    clock = Clock()
    clock.time += LOG_AGE + 1
    later = RedisStore(server.url, WIDE, clock)
    await add_turn(later, "b", owner=B)
    assert f"{OF_A}events:r" not in keys_of(server)
    await check_sizes(server)
    await later.close()


async def test_a_tree_whose_data_redis_has_evicted_is_gone_as_a_whole(store: RedisStore, server: Server) -> None:
    await add_turn(store, "r1")
    await add_turn(store, "r2", "r1")
    with server.client() as client:
        client.delete(f"{OF_A}data:r1")
    assert await store.history(A, "r2") is None
    assert await store.find_items(A, ["ir1"]) == {}
    assert not await add_turn(store, "r3", "r2")
    assert await add_turn(store, "r1")
    assert ids_of(await store.history(A, "r1")) == ["ir1", "or1"]
    await check_sizes(server)


async def test_what_was_added_by_a_call_whose_answer_was_lost_is_not_added_again(store: RedisStore) -> None:
    await add_turn(store, "r1")
    assert await add_turn(store, "r1")
    assert ids_of(await store.get(A, "r1")) == ["ir1", "or1"]


async def test_a_turn_adds_as_many_bytes_however_long_its_chain_is(
    store: RedisStore, server: Server, commands: list[Any]
) -> None:
    """What turn 1,000 adds is at most a tenth more than what turn 10 does; one script reads its history."""
    taken: list[int] = []
    with server.client() as client:
        for number in range(1_000):
            turn = [StoredItem(f"i{number:09}", b"x" * 500), StoredItem(f"o{number:09}", b"y" * 1500, output=True)]
            assert await store.add(record(f"r{number:09}", f"r{number - 1:09}" if number else None), turn)
            if number in (9, 99, 899, 999):  # Hash tables grow by doubling, so it is the mean of many turns.
                taken.append(sum(client.memory_usage(key, samples=0) or 0 for key in client.scan_iter(count=99)))
    assert (taken[3] - taken[2]) / 100 <= 1.1 * (taken[1] - taken[0]) / 90
    sizes = {summary.id: summary.size for summary in await store.scan()}
    assert sizes["r000000999"] == sizes["r000000009"]
    commands.clear()
    assert len(ids_of(await store.history(A, "r000000999")) or []) == 2_000
    assert len(commands) == 1


async def test_more_calls_than_connections_wait_for_one_another(servers: list[Server]) -> None:
    store = RedisStore(servers[0].url)
    async with anyio.create_task_group() as tasks:
        for number in range(5 * CONNECTIONS):
            tasks.start_soon(add_turn, store, f"r{number}")
    assert len(await store.scan()) == 5 * CONNECTIONS
    await store.close()


# Bounds --------------------------------------------------------------------------------------------------------------


async def test_what_is_reported_late_does_not_replace_what_is_newer(
    store: RedisStore, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    late: list[Any] = []

    async def hold_up(owner: bytes, totals: Any, ended: Any = None) -> None:
        late.append((owner, totals))

    with monkeypatch.context() as patch:
        patch.setattr(store, "_report", hold_up)
        await add_turn(store, "r1")
    await add_turn(store, "r2")
    await store._report(*late[0])
    await check_sizes(server)


async def test_what_is_done_is_done_though_it_cannot_be_reported(
    store: RedisStore, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*arguments: Any) -> None:
        raise StoreUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(store, "_report", fail)
        assert await add_turn(store, "r1")
    assert await add_turn(store, "r2", "r1")
    await check_sizes(server)


async def test_the_bounds_hold_after_what_is_known_of_all_owners_was_lost(server: Server) -> None:
    clock = Clock()
    store = RedisStore(server.url, Bounds(trees=2, size=10**6, age=1000), clock)
    for number in range(2):
        await add_turn(store, f"r{number}")
    with server.client() as client:
        client.delete(*[key for key in keys_of(server) if key.startswith(ALL)])
    for number in range(2, 5):
        clock.time += 1
        await add_turn(store, f"r{number}")
    assert [summary.id for summary in await store.scan()] == ["r3", "r4"]
    assert store._evicted.count == 3
    await check_sizes(server)
    await store.close()


async def test_the_bounds_hold_when_several_processes_add_at_once(server: Server) -> None:
    stores = [RedisStore(server.url, Bounds(trees=20, size=10**6, age=1000)) for _ in range(5)]

    async def work(store: RedisStore, name: str) -> None:
        for number in range(40):
            await add_turn(store, f"{name}{number}")

    async with anyio.create_task_group() as tasks:
        for store, name in zip(stores, "abcde", strict=True):
            tasks.start_soon(work, store, name)
    assert 20 - len(stores) <= len(await stores[0].scan()) <= 20
    assert await stores[0].evicted() == sum(store._evicted.count for store in stores) >= 200 - 20
    await check_sizes(server)
    for store in stores:
        await store.close()


async def test_a_clock_that_is_put_back_does_not_hold_up_reports(store: RedisStore, server: Server) -> None:
    await add_turn(store, "r1")
    with server.client() as client:
        future = client.time()[0] + 3600
        kept = msgspec.msgpack.encode((future * 10**6, 1, 1))
        client.hset(f"{ALL}owners", A, kept)
        client.hset(f"{ALL}totals", mapping={"size": 1, "trees": 1})
    await add_turn(store, "r2")
    await check_sizes(server)


async def test_after_a_silence_one_call_does_not_remove_everything(server: Server) -> None:
    clock = Clock()
    store = RedisStore(server.url, Bounds(trees=99, size=10**6, age=100), clock)
    for number in range(2 * SWEEPS):
        await add_turn(store, "r", owner=b"%d" % number)
    clock.time += 101
    assert await store.scan() == []
    await add_turn(store, "a")
    assert len([key for key in keys_of(server) if key.endswith(":data:r")]) == SWEEPS
    await store.close()


async def test_a_scan_of_all_owners_asks_no_more_of_them_than_it_has_to(
    store: RedisStore, server: Server, commands: list[Any]
) -> None:
    clock = Clock()
    store = RedisStore(server.url, WIDE, clock)
    for number in range(9):
        clock.time += 1
        await add_turn(store, f"r{number}", owner=b"%d" % number)
    commands.clear()
    assert [summary.id for summary in await store.scan(limit=3)] == ["r0", "r1", "r2"]
    assert len(commands) == 1 + 3
    await store.close()
