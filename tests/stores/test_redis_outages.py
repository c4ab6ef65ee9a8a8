"""The Redis store when Redis is killed, hangs, is full or refuses; who waits and is woken."""

from __future__ import annotations

import socket
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import redis
import trustme

from responses_shim.errors import ConfigurationError
from responses_shim.stores import redis_client
from responses_shim.stores.base import ENDED, RUNNING, Entries, StoreUnavailable
from responses_shim.stores.redis import RedisStore
from responses_shim.stores.suite.base import SECONDS, A, add_turn, ids_of, items, record
from tests.stores.redis_server import Server, commands_to, free_port, program, running

pytestmark = pytest.mark.anyio


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, to do with as it likes."""
    with running(program("redis-server"), tmp_path) as server:
        yield server


@pytest.fixture
async def store(server: Server) -> AsyncIterator[RedisStore]:
    with anyio.fail_after(3 * SECONDS):
        store = RedisStore(server.url)
        yield store
        await store.close()


@pytest.fixture
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_client, "TIMEOUT", 0.2)


def calls(store: RedisStore) -> list[Callable[[], Awaitable[Any]]]:
    """A call of each method."""
    page: dict[str, Any] = {"outputs": True, "after": None, "limit": 9, "newest_first": False}
    return [
        lambda: store.add(record("new"), items("x")),
        lambda: store.add(record("run", status="queued")),
        lambda: store.change(A, "r", among=ENDED, data=b"[]"),
        lambda: store.get(A, "r"),
        lambda: store.history(A, "r"),
        lambda: store.page(A, "r", **page),
        lambda: store.find_items(A, ["ir"]),
        lambda: store.append_items(A, "c", items("y"), "key"),
        lambda: store.delete(A, "nothing"),
        lambda: store.lease(A, "r", "h", 9),
        store.expired,
        lambda: store.post(A, "r", b"message"),
        lambda: store.read(A, "r", "events", after=-1, wait=0),
        lambda: store.read(A, "r", "events", after=-1, wait=SECONDS),
        store.scan,
        store.secret,
    ]


async def check_unavailable(store: RedisStore, within: float) -> None:
    """Every method raises StoreUnavailable in time, and none takes an outage for a record that is missing."""
    for call in calls(store):
        with anyio.fail_after(within), pytest.raises(StoreUnavailable):
            await call()


# Outages -------------------------------------------------------------------------------------------------------------


async def test_a_server_that_is_killed_is_unavailable_until_it_is_there_again(
    store: RedisStore, server: Server
) -> None:
    await add_turn(store, "r")
    server.kill()
    await check_unavailable(store, within=SECONDS / 2)
    server.start()
    assert await store.get(A, "r") is None
    assert await add_turn(store, "r")
    assert ids_of(await store.history(A, "r")) == ["ir", "or"]


async def test_calls_that_are_under_way_when_the_server_is_killed_end(store: RedisStore, server: Server) -> None:
    await add_turn(store, "r0")
    outcomes: list[bool] = []
    busy, back = anyio.Event(), anyio.Event()

    async def work(name: str) -> None:
        for number in range(10_000):
            try:
                outcomes.append(await add_turn(store, f"{name}{number}", "r0"))
            except StoreUnavailable:
                break
            if len(outcomes) > 100:
                busy.set()
        await back.wait()
        assert await add_turn(store, f"{name} again")

    async with anyio.create_task_group() as tasks:
        for name in "abcdefghij":
            tasks.start_soon(work, name)
        await busy.wait()
        server.kill()
        server.start()
        back.set()
    assert all(outcomes[:100])


@pytest.mark.usefixtures("short_timeout")
async def test_a_server_that_never_answers_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        store = RedisStore(f"redis://127.0.0.1:{listener.getsockname()[1]}")
        await check_unavailable(store, within=SECONDS / 2)
        await store.close()


@pytest.mark.usefixtures("short_timeout")
async def test_a_server_that_falls_silent_is_unavailable_until_it_answers(server: Server) -> None:
    store = RedisStore(server.url)
    await add_turn(store, "r")
    with server.hanging():
        await check_unavailable(store, within=SECONDS / 2)
    assert ids_of(await store.history(A, "r")) == ["ir", "or"]
    await store.close()


async def test_what_is_kept_in_a_full_server_can_be_read_and_deleted(store: RedisStore, server: Server) -> None:
    await store.add(record("c", kind="conversation", status="active"), items("x", "y"))
    await add_turn(store, "r1", size=200_000)
    await add_turn(store, "r2", "r1")
    await store.add(record("run", status="in_progress"))
    with server.client() as client:
        client.config_set("maxmemory", 1)
    for call in (
        lambda: add_turn(store, "r3", "r2"),
        lambda: store.append_items(A, "c", items("z"), "key"),
        lambda: store.change(A, "run", among=RUNNING, status="failed"),
        lambda: store.post(A, "run", b"message"),
    ):
        with pytest.raises(StoreUnavailable):
            await call()
    assert ids_of(await store.history(A, "r2")) == ["ir1", "or1", "ir2", "or2"]
    assert ids_of(await store.get(A, "c")) == ["x", "y"]
    assert await store.lease(A, "run", "h", 30)
    assert await store.expired() == []
    for id, item in (("c", "x"), ("r1", None), ("r2", None)):
        assert await store.delete(A, id, item)
    with server.client() as client:
        client.config_set("maxmemory", 0)
    assert ids_of(await store.get(A, "c")) == ["y"]
    assert await add_turn(store, "r3")


async def test_a_replica_that_takes_no_writes_is_unavailable_for_them(store: RedisStore, server: Server) -> None:
    """And the connection is given up, for the name in the URL may be another server's by now."""
    await add_turn(store, "r")
    with server.client() as client:
        commands_to(client)("REPLICAOF", "127.0.0.1", "1")
        assert ids_of(await store.get(A, "r")) == ["ir", "or"]
        with pytest.raises(StoreUnavailable):
            await add_turn(store, "s")
        await only_client(client)
        commands_to(client)("REPLICAOF", "NO", "ONE")
    assert await add_turn(store, "s")


# Configuration -------------------------------------------------------------------------------------------------------


async def test_credentials_are_used_and_never_shown(server: Server) -> None:
    with server.client() as client:
        client.config_set("requirepass", "correct-horse")
    store = RedisStore(f"redis://:correct-horse@127.0.0.1:{server.port}")
    assert await add_turn(store, "r")
    await store.close()
    for url in (f"redis://:wrong-horse@127.0.0.1:{server.port}", f"redis://u:wrong-horse@127.0.0.1:{server.port}/7"):
        store = RedisStore(url)
        with pytest.raises(StoreUnavailable) as caught:
            await store.get(A, "r")
        assert "wrong-horse" not in "".join(traceback.format_exception(caught.value))
        assert "wrong-horse" not in repr(store)
        await store.close()
    with server.client() as client:
        commands_to(client)("AUTH", "correct-horse")
        client.config_set("requirepass", "")


@pytest.mark.parametrize(
    "url",
    ["memory://", "http://secret@h", "redis://:secret@h:port", "redis://h?socket_timeout=secret", "redis://h?secret=1"],
)
def test_a_wrong_url_is_a_mistake_of_the_operator(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RedisStore(url)
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    assert "\n" not in str(caught.value)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'responses-shim\[redis\]'"):
        RedisStore("redis://localhost")


async def test_a_user_who_may_not_ask_whether_it_is_a_cluster_can_use_a_server(server: Server) -> None:
    with server.client() as client:
        commands_to(client)("ACL", "SETUSER", "u", "on", ">p", "~responses-shim:*", "&*", "+@all", "-info")
    store = RedisStore(f"redis://u:p@127.0.0.1:{server.port}")
    assert await add_turn(store, "r")
    await store.close()


async def test_a_socket_in_the_file_system(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with running(program("redis-server"), tmp_path, "--unixsocket", str(path)):
        store = RedisStore(f"unix://{path}")
        assert await add_turn(store, "r")
        await store.close()


async def test_tls(tmp_path: Path) -> None:
    authority, port = trustme.CA(), free_port()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    options = ("--tls-port", str(port), "--tls-auth-clients", "no", "--tls-ca-cert-file", str(tmp_path / "ca.pem"))
    files = ("--tls-cert-file", str(tmp_path / "server.pem"), "--tls-key-file", str(tmp_path / "server.pem"))
    with running(program("redis-server"), tmp_path, *options, *files):
        store = RedisStore(f"rediss://localhost:{port}/0?ssl_ca_certs={tmp_path}/ca.pem")
        assert await add_turn(store, "r")
        await store.close()
        stranger = RedisStore(f"rediss://localhost:{port}/0")
        with pytest.raises(StoreUnavailable):
            await stranger.get(A, "r")
        await stranger.close()


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
    assert woken.count(Entries([(0, b"1")], False)) == 10


async def test_who_is_woken_in_another_process_is_woken_soon(store: RedisStore, server: Server) -> None:
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


async def test_who_waits_when_the_server_is_killed_hears_of_it(store: RedisStore, server: Server) -> None:
    await store.add(record("r", status="in_progress"))
    lost = anyio.Event()

    async def follow() -> None:
        with pytest.raises(StoreUnavailable):
            await store.read(A, "r", "events", after=-1, wait=3 * SECONDS)
        lost.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await subscribed(server, 1)
        server.kill()
        await lost.wait()
    server.start()
    await store.add(record("r", status="in_progress"))
    await wake_up(store, server, "r")


@pytest.mark.usefixtures("short_timeout")
async def test_a_subscription_that_is_silent_is_tried_and_replaced(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else a connection that broke without a word would leave those who wait asleep."""
    monkeypatch.setattr(redis_client, "IDLE", 0.05)
    store = RedisStore(server.url)
    await store.add(record("r", status="in_progress"))
    async with store._client.listening("some channel") as woken:
        with server.hanging(), anyio.fail_after(SECONDS):
            await woken.wait()
    await wake_up(store, server, "r")
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
    assert found == [Entries([(0, b"1")], False)]


async def only_client(client: redis.Redis) -> None:
    """Return when the server has no other client."""
    with anyio.fail_after(SECONDS):
        while len(list(client.client_list())) > 1:
            await anyio.lowlevel.checkpoint()


async def subscribed(server: Server, channels: int) -> None:
    """Return when somebody waits for so many logs of the server."""
    with server.client() as client, anyio.fail_after(SECONDS):
        while len(list(client.pubsub_channels())) != channels:
            await anyio.lowlevel.checkpoint()
