"""The Redis store when Redis is killed, hangs, is full or refuses; who waits and is woken."""

from __future__ import annotations

import asyncio
import socket
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trustme

from responses_shim.errors import ConfigurationError
from responses_shim.stores.base import ENDED, RUNNING, StoreUnavailable
from responses_shim.stores.redis import RedisStore
from responses_shim.stores.suite.base import SECONDS, A, add_turn, ids_of, items, record
from tests.stores.redis_server import Server, commands_to, free_port, only_client, program, running

pytestmark = pytest.mark.anyio


@pytest.fixture
def server(own_server: Server) -> Server:
    return own_server


@pytest.fixture
async def store(server: Server) -> AsyncIterator[RedisStore]:
    with anyio.fail_after(3 * SECONDS):
        store = RedisStore(server.url)
        yield store
        await store.close()


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
    """And what comes after them works, once the server is there again.

    A connection may have been closed unnoticed when a call goes out on it, so that each worker's first one may fail.
    """
    outcomes: list[bool] = []
    busy, back = anyio.Event(), anyio.Event()

    async def work(name: str) -> None:
        number = 0
        while not back.is_set():
            number += 1
            try:
                outcomes.append(await add_turn(store, f"{name}{number}"))
            except StoreUnavailable:
                outcomes.append(False)
            if len(outcomes) > 100:
                busy.set()

    async def work_again(name: str) -> None:
        with suppress(StoreUnavailable):
            await store.get(A, name)
        assert await add_turn(store, f"{name} again")

    async with anyio.create_task_group() as tasks:
        for name in "abcdefghij":
            tasks.start_soon(work, name)
        await busy.wait()
        server.kill()
        server.start()
        back.set()
    async with anyio.create_task_group() as tasks:
        for name in "abcdefghij":
            tasks.start_soon(work_again, name)
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


# Cancellation --------------------------------------------------------------------------------------------------------


async def test_whoever_is_cancelled_while_redis_is_asked_is_cancelled(store: RedisStore) -> None:
    """At whatever step. (`asyncio.wait_for` takes some cancellations for nothing, before Python 3.12.)"""
    await add_turn(store, "r")
    for steps in range(30):
        task = asyncio.create_task(store.get(A, "r"))
        for _ in range(steps):
            await asyncio.sleep(0)
        if task.cancel():
            with pytest.raises(asyncio.CancelledError):
                await task


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
