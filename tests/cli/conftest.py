from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest

from tests.cli.canned import Answer, CannedHandler, CannedServer, Serve


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve({"/v1/responses": Answer(...)})` starts a server that lasts as long as the test."""
    servers: list[ThreadingHTTPServer] = []

    def start(answers: dict[str, Answer]) -> CannedServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), CannedHandler)
        server.daemon_threads = False
        servers.append(server)
        canned = CannedServer(f"http://127.0.0.1:{server.server_port}/v1", answers)
        server.canned = canned  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return canned

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
