"""Runs in the Redis store: leases, logs, and who waits and is woken."""

from __future__ import annotations

import sys
import time
from typing import Any

import anyio
import pytest

from responses_shim.stores import redis_client
from responses_shim.stores.base import LOG_SIZE, RUNNING, Entries, StoreUnavailable
from responses_shim.stores.redis import ENROLLED, RedisStore
from responses_shim.stores.suite.base import SECONDS, WIDE, A, Clock, add_turn, ids_of, record
from tests.stores.redis_keys import ALL, OF_A, check_sizes, keys_of
from tests.stores.redis_server import Server, only_client, subscribed

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("commands")]


# Runs ----------------------------------------------------------------------------------------------------------------


async def test_a_run_is_noted_before_its_record_is_added(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies between the two leaves a note, which is forgotten after a while, but not at once."""
    clock = Clock()
    store = RedisStore(server.url, WIDE, clock)

    async def die(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "_ask", die)
        with pytest.raises(KeyboardInterrupt):
            await store.add(record("r", status="in_progress"))
    assert await store.expired() == []
    assert f"{ALL}runs" in keys_of(server)
    clock.time += ENROLLED + 1
    assert await store.expired() == []
    assert f"{ALL}runs" not in keys_of(server)
    await store.close()


async def test_who_holds_a_lease_is_not_asked_about_until_it_may_have_expired(
    server: Server, commands: list[Any]
) -> None:
    clock = Clock()
    store = RedisStore(server.url, WIDE, clock)
    await store.add(record("r", status="in_progress"))
    await store.lease(A, "r", "h", 30)
    assert await store.expired() == []
    commands.clear()
    clock.time += 29
    assert await store.expired() == []
    assert len(commands) == 1
    await store.close()


async def test_time_is_that_of_the_server(server: Server) -> None:
    store = RedisStore(server.url)
    await store.add(record("r", status="in_progress"))
    assert await store.expired() == [(A, "r")]
    assert await store.lease(A, "r", "h", 30)
    assert await store.expired() == []
    (summary,) = await store.scan()
    with server.client() as client:
        assert abs(summary.used_at - client.time()[0]) < 2 * SECONDS
    assert await store.scan(unused_for=60) == []
    await store.close()


async def test_a_position_may_be_any_integer(store: RedisStore) -> None:
    """Clients choose it (`starting_after`); a stream's have 64 bits."""
    await store.add(record("r", status="in_progress"))
    await store.change(A, "r", among=RUNNING, events=[(0, b"a")])
    for after, expected in ((2**70, []), (2**53, []), (-9, [(0, b"a")])):
        read = await store.read(A, "r", "events", after=after, wait=0)
        assert read is not None
        assert read.entries == expected


async def test_an_entry_that_is_larger_than_a_log_may_be_is_dropped(store: RedisStore) -> None:
    await store.add(record("r", status="in_progress"))
    assert await store.change(A, "r", among=RUNNING, events=[(0, b"a"), (4, b"x" * (LOG_SIZE + 1))])
    read = await store.read(A, "r", "events", after=-1, wait=0)
    assert read is not None
    assert (read.entries, read.first) == ([], 5)


async def test_scripts_that_the_server_has_forgotten_are_sent_again(store: RedisStore, server: Server) -> None:
    await add_turn(store, "r1")
    with server.client() as client:
        client.script_flush()
    assert ids_of(await store.history(A, "r1")) == ["ir1", "or1"]


async def test_positions_that_do_not_ascend_are_refused(store: RedisStore, server: Server) -> None:
    await store.add(record("r", status="in_progress"))
    assert not await store.change(A, "r", among=RUNNING, events=[(0, b"a"), (0, b"b")])
    assert not await store.change(A, "r", among=RUNNING, events=[(3, b"a"), (2, b"b")])
    read = await store.read(A, "r", "events", after=-1, wait=0)
    assert read == Entries([], False, 0, -1)
    await check_sizes(server)


async def test_a_log_that_redis_has_removed_goes_on(store: RedisStore, server: Server) -> None:
    """It may have been silent for longer than the bounds allow, in a tree that was used."""
    await store.add(record("r", status="in_progress"))
    await store.change(A, "r", among=RUNNING, events=[(0, b"x" * (LOG_SIZE // 2)), (1, b"x" * (LOG_SIZE // 3))])
    with server.client() as client:
        client.delete(f"{OF_A}events:r")
    assert await store.change(A, "r", among=RUNNING, events=[(2, b"x" * (LOG_SIZE // 2))])
    read = await store.read(A, "r", "events", after=-1, wait=0)
    assert read is not None
    assert ([number for number, _ in read.entries], read.first) == ([2], 2)
    await check_sizes(server)


# Waiting -------------------------------------------------------------------------------------------------------------


async def test_all_who_wait_in_a_process_share_one_connection(store: RedisStore, server: Server) -> None:
    woken: list[Entries | None] = []

    async def follow(id: str) -> None:
        woken.append(await store.read(A, id, "events", after=-1, wait=SECONDS))

    for id in ("r1", "r2"):
        await store.add(record(id, status="in_progress"))
    with server.client() as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(follow, "r1")
                tasks.start_soon(follow, "r2")
            await subscribed(server, 2)
            assert len(list(client.client_list("pubsub"))) == 1
            await store.change(A, "r1", among=RUNNING, events=[(0, b"1")])
            await store.delete(A, "r2")
    assert woken.count(None) == 10
    assert woken.count(Entries([(0, b"1")], False, 0, 0)) == 10


async def test_who_is_woken_in_another_process_is_woken_soon(server: Server) -> None:
    store = RedisStore(server.url)
    await store.add(record("r", status="in_progress"))
    command = [sys.executable, "-m", "tests.stores.redis_follower", server.url, "r"]
    async with await anyio.open_process(command, stderr=None) as process:
        assert process.stdout is not None
        await subscribed(server, 1)
        sent = time.monotonic()
        await store.change(A, "r", among=RUNNING, status="completed", events=[(0, b"end")])
        lines = b"".join([part async for part in process.stdout]).splitlines()
    assert lines[0] == b"ready"
    number, data, at = lines[1].split()
    assert (number, data) == (b"0", b"end")
    assert float(at) - sent < SECONDS / 2  # a few milliseconds, where nothing else runs
    await store.close()


async def test_who_waits_when_the_server_is_killed_hears_of_it(own_server: Server) -> None:
    store = RedisStore(own_server.url)
    await store.add(record("r", status="in_progress"))
    lost = anyio.Event()

    async def follow() -> None:
        with pytest.raises(StoreUnavailable):
            await store.read(A, "r", "events", after=-1, wait=3 * SECONDS)
        lost.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await subscribed(own_server, 1)
        own_server.kill()
        await lost.wait()
    own_server.start()
    await store.add(record("r", status="in_progress"))
    await wake_up(store, own_server, "r")
    await store.close()


@pytest.mark.usefixtures("short_timeout")
async def test_a_subscription_that_is_silent_is_tried_and_replaced(
    own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else a connection that broke without a word would leave those who wait asleep."""
    monkeypatch.setattr(redis_client, "IDLE", 0.05)
    store = RedisStore(own_server.url)
    await store.add(record("r", status="in_progress"))
    async with store._client.listening("some channel") as woken:
        with own_server.hanging(), anyio.fail_after(SECONDS):
            await woken.wait()
    await wake_up(store, own_server, "r")
    await store.close()


async def test_channels_that_nobody_waits_for_are_left(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_client, "IDLE", 0.01)
    store = RedisStore(server.url)
    await store.add(record("r", status="in_progress"))
    async with store._client.listening("kept"):
        await store.read(A, "r", "events", after=-1, wait=0.001)
        await subscribed(server, 1)
    await subscribed(server, 0)
    await wake_up(store, server, "r")
    await store.close()


async def test_a_store_that_is_closed_leaves_nothing_open(server: Server) -> None:
    store = RedisStore(server.url)
    await store.add(record("r", status="in_progress"))
    await store.read(A, "r", "events", after=-1, wait=0.001)
    subscription = store._client._subscription
    assert subscription is not None
    await store.close()
    assert subscription.task.done()
    with server.client() as client:
        await only_client(client)


async def wake_up(store: RedisStore, server: Server, id: str) -> None:
    """Wait for an event, and be woken by it."""
    found: list[Entries | None] = []

    async def follow() -> None:
        found.append(await store.read(A, id, "events", after=-1, wait=SECONDS))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await subscribed(server, 1)
        await store.change(A, id, among=RUNNING, events=[(0, b"1")])
    assert found == [Entries([(0, b"1")], False, 0, 0)]
