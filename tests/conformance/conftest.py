"""What clients must not do while they are tested."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import pytest

NAMES = (None, "", "localhost")


@pytest.fixture
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Connections to this machine alone: a client that calls home, in whichever thread, fails its test."""
    strangers: list[Any] = []
    look_up, connect = socket.getaddrinfo, socket.socket.connect

    def check(host: Any) -> None:
        host = host.decode() if isinstance(host, bytes) else host
        try:
            here = host in NAMES or ipaddress.ip_address(host).is_loopback
        except ValueError:
            here = False
        if not here:
            strangers.append(host)
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
    assert not strangers, f"connections to {strangers}"
