"""Servers for the tests of the Redis store, one of each kind for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from redis.crc import key_slot

from responses_shim.stores.redis_client import Client
from tests.stores.redis_server import Server, program, running, running_cluster


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
