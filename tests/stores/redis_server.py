"""Servers for the Redis store's tests: real ones, on free ports, which keep nothing on disk."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import redis

SECONDS = 10.0
"""How long a server may take to answer or to end."""


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
        self.wait_for_log("eady to accept connections")

    def wait_for_log(self, words: str) -> None:
        """Return when the server has logged the words, after what was waited for before."""
        assert self._process is not None
        assert self._process.stdout is not None
        assert any(words in line for line in self._process.stdout), f"the server ended without logging {words!r}"

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
    """Three servers that are a cluster, with a third of the slots each.

    Each starts with a file that says who the others are, as after a restart: known nodes are tried
    until they answer. A `CLUSTER MEET` is tried for a few seconds only, and a busy machine can miss it.
    """
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "5000")
    folders = [folder / str(number) for number in range(3)]
    servers = [Server(executable, own, *options) for own in folders]
    for own, server in zip(folders, servers, strict=True):
        own.mkdir()
        (own / "nodes.conf").write_text(known_nodes(servers, server))
    with ExitStack() as stack:
        for server in servers:
            server.start()
            stack.callback(server.kill)
        for server in servers:
            server.wait_for_log("Cluster state changed: ok")
        yield servers


def known_nodes(servers: list[Server], own: Server) -> str:
    """What a node of a cluster writes down about all nodes, itself among them."""
    lines = []
    for number, server in enumerate(servers):
        flags = "myself,master" if server is own else "master"
        slots = f"{16384 * number // 3}-{16384 * (number + 1) // 3 - 1}"
        address = f"127.0.0.1:{server.port}@{server.port + 10_000}"
        lines.append(f"{number + 1:040x} {address} {flags} - 0 0 {number + 1} connected {slots}\n")
    return "".join(lines) + "vars currentEpoch 3 lastVoteEpoch 0\n"


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
