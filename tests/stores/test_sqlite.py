"""The SQLite store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from responses_shim.stores.base import Bounds, Store
from responses_shim.stores.sqlite import SQLiteStore
from responses_shim.stores.suite import StoreSuite


@pytest.mark.anyio
class TestSQLiteStore(StoreSuite):
    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / "responses.db"

    async def open(self, bounds: Bounds, now: Callable[[], float]) -> Store:
        return SQLiteStore(self.path, bounds, now)
