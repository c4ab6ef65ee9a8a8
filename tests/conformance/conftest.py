"""Keeps clients from the network while they are tested, and has those that rely on state tested on two stores."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NAMES = (None, "", "localhost")


@pytest.fixture
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Allows connections to this machine only: a client that reaches for another, in any thread, fails its test."""
    others: list[Any] = []
    look_up, connect = socket.getaddrinfo, socket.socket.connect

    def check(host: Any) -> None:
        host = host.decode() if isinstance(host, bytes) else host
        try:
            local = host in NAMES or ipaddress.ip_address(host).is_loopback
        except ValueError:
            local = False
        if not local:
            others.append(host)
            raise OSError(f"{host} is out of reach in tests")

    def guarded_look_up(host: Any, *args: Any, **options: Any) -> Any:
        check(host)
        return look_up(host, *args, **options)

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            check(address[0])
        connect(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    yield
    assert not others, f"connections to {others}"


@pytest.fixture(params=["memory", "sqlite"])
def each_store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The test runs on a server that keeps its state in memory, and on one that keeps it in a file."""
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/responses.db"
    monkeypatch.setenv("RESPONSES_SHIM_STORE", url)
