"""The statements of the SQLite store, for tests that count them."""

from __future__ import annotations

import sqlite3

import pytest

from responses_shim.stores.sqlite_file import StoreFile


def trace(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that SQLite runs, of all connections that a store opens from now on; the list grows."""
    run: list[str] = []
    connect = StoreFile.connect

    def traced(file: StoreFile) -> sqlite3.Connection:
        connection = connect(file)
        connection.set_trace_callback(run.append)
        return connection

    monkeypatch.setattr(StoreFile, "connect", traced)
    return run
