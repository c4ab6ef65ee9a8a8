"""A real server on a free port, for clients that need a URL: SDKs, curl, compliance suites."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

DEADLINE = 10.0
"""How many seconds a server may take to start, and to stop."""


class ReadyServer(uvicorn.Server):
    """A server that sets an event once it accepts connections, so that nobody has to poll it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve the app from a thread of this process. Yields the URL of its root, without a slash at the end."""
    config = uvicorn.Config(app, lifespan="on", ws="none", log_level="warning", timeout_graceful_shutdown=1)
    server = ReadyServer(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            assert server.ready.wait(DEADLINE), "the server did not start"
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(DEADLINE)
    assert not thread.is_alive(), "the server did not stop"
