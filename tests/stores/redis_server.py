"""Servers for the Redis store's tests: real ones, on free ports, which keep nothing on disk."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import redis

SECONDS = 10.0
"""How long a server may take to start, and a cluster to form."""


def program(name: str) -> str:
    """Where a program is. Where there is none the tests are skipped, but in CI they fail."""
    found = shutil.which(name)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"needs {name}: apt-get install {name}")
    return found


class Server:
    """A server. What is kept in it is gone when it is stopped."""

    def __init__(self, executable: str, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._command = [executable, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        self._command += ["--save", "", "--appendonly", "no", *options]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the server; returns when it accepts connections."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert any("eady to accept connections" in line for line in self._process.stdout), "the server did not start"

    def kill(self) -> None:
        """Kill the server, as a crash of its machine would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Connections are accepted meanwhile, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """A client to look into the server with."""
        with redis.Redis(port=self.port, socket_timeout=SECONDS, protocol=2) as client:
            yield client

    def clear(self) -> None:
        """Remove all keys and scripts."""
        with self.client() as client:
            client.flushall()
            client.script_flush()

    def expirations(self) -> dict[str, float]:
        """All keys, and for how many seconds they will be kept: -1 if for ever."""
        with self.client() as client:
            return {key.decode(): client.pttl(key) / 1000 for key in client.scan_iter(count=1_000)}


@contextmanager
def running(executable: str, folder: Path, *options: str) -> Iterator[Server]:
    """A server that runs as long as this."""
    server = Server(executable, folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def running_cluster(executable: str, folder: Path) -> Iterator[list[Server]]:
    """Three servers that are a cluster, with a third of the slots each."""
    with ExitStack() as stack:
        servers = []
        for number in range(3):
            (folder / str(number)).mkdir()
            options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "5000")
            servers.append(stack.enter_context(running(executable, folder / str(number), *options)))
        nodes = [commands_to(stack.enter_context(server.client())) for server in servers]
        for number, node in enumerate(nodes):
            node("CLUSTER ADDSLOTS", *range(16384 * number // 3, 16384 * (number + 1) // 3))
            node("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for server in servers[1:]:
            nodes[0]("CLUSTER MEET", "127.0.0.1", server.port)
        deadline = time.monotonic() + SECONDS
        while not all(node("CLUSTER INFO")["cluster_state"] == "ok" for node in nodes):
            assert time.monotonic() < deadline, "the cluster did not form"
        yield servers


def commands_to(client: redis.Redis) -> Callable[..., Any]:
    """The method of a client that sends a command; it has no types."""
    send: Callable[..., Any] = client.execute_command
    return send


def free_port() -> int:
    """A port that is free, and not so high that a cluster cannot have the one 10,000 above it."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port: int = listener.getsockname()[1]
        if port < 55_000:
            return port


async def only_client(client: redis.Redis) -> None:
    """Return when the server has no other client."""
    with anyio.fail_after(SECONDS):
        while len(list(client.client_list())) > 1:
            await anyio.lowlevel.checkpoint()


async def subscribed(server: Server, channels: int) -> None:
    """Return when somebody waits for so many logs of the server."""
    with server.client() as client, anyio.fail_after(SECONDS):
        while len(list(client.pubsub_channels())) != channels:
            await anyio.lowlevel.checkpoint()
