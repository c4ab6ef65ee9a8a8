"""The fixture that starts servers with canned answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.cli.canned import Answer, CannedHTTPServer, CannedServer, Serve


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve({"/v1/responses": Answer(...)})` starts a server that runs until the end of the test."""
    servers: list[CannedHTTPServer] = []

    def start(answers: dict[str, Answer]) -> CannedServer:
        server = CannedHTTPServer(answers)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server.canned

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
