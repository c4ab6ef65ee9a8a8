"""Keeps clients from the network while they are tested."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
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
