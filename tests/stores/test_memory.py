"""The memory store."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from responses_shim.stores.base import Bounds, Store
from responses_shim.stores.memory import MemoryStore
from responses_shim.stores.suite import StoreSuite


@pytest.mark.anyio
class TestMemoryStore(StoreSuite):
    shared = False

    async def open(self, bounds: Bounds, now: Callable[[], float]) -> Store:
        return MemoryStore(bounds, now)
