"""Servers for the tests of the Redis store, one of each kind for all of them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from redis.crc import key_slot

from responses_shim.stores import redis_client
from responses_shim.stores.redis import RedisStore
from responses_shim.stores.redis_client import Client
from responses_shim.stores.suite.base import SECONDS, WIDE, Clock
from tests.stores.redis_server import Server, program, running, running_cluster

SERVERS = ["redis_server", "redis_cluster"] + ["valkey_server"] * (shutil.which("valkey-server") is not None)
"""The fixtures of the servers to test on. Debian has Valkey from 13 on, so it is not asked for."""


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(program("redis-server"), tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    with running_cluster(program("redis-server"), tmp_path_factory.mktemp("cluster")) as servers:
        yield servers


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(program("valkey-server"), tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
    """The commands that are sent, of which each names keys of one slot only."""
    sent: list[tuple[Any, ...]] = []
    command = Client.command

    async def recorded(client: Client, *arguments: Any) -> Any:
        sent.append(arguments)
        return await command(client, *arguments)

    monkeypatch.setattr(Client, "command", recorded)
    yield sent
    scripts = [arguments for arguments in sent if arguments[0].startswith("EVAL")]
    assert all(len({key_slot(key.encode()) for key in keys[3 : 3 + keys[2]]}) == 1 for keys in scripts)


@pytest.fixture(params=SERVERS)
def servers(request: pytest.FixtureRequest) -> list[Server]:
    """A server, or those of a cluster, with nothing in them."""
    given = request.getfixturevalue(request.param)
    servers: list[Server] = given if isinstance(given, list) else [given]
    for server in servers:
        server.clear()
    return servers


@pytest.fixture
def server(redis_server: Server) -> Server:
    redis_server.clear()
    return redis_server


@pytest.fixture
async def store(server: Server) -> AsyncIterator[RedisStore]:
    with anyio.fail_after(SECONDS):
        store = RedisStore(server.url, WIDE, Clock())
        yield store
        await store.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, to do with as it likes."""
    with running(program("redis-server"), tmp_path) as server:
        yield server


@pytest.fixture
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_client, "TIMEOUT", 0.2)
