"""The stores that the tests of state run over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from responses_shim.stores.base import Store
from responses_shim.stores.opening import open_store
from tests.stores.conftest import redis_server

__all__ = ["redis_server"]


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def every_store(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[None]:
    """The test runs once for each store, unless its shim is given one. What it has opened is closed at its end."""
    url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/state.db"}.get(request.param)
    if url is None:
        server = request.getfixturevalue("redis_server")
        server.clear()
        url = server.url
    opened: list[Store] = []

    def opening(*args: Any) -> Store:
        opened.append(open_store(*args))
        return opened[-1]

    monkeypatch.setattr("responses_shim.runtime.state.open_store", opening)
    monkeypatch.setenv("RESPONSES_SHIM_STORE", url)
    yield
    for store in opened:
        await store.close()
