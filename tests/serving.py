"""A real server on a free port, for clients that need a URL: SDKs, curl, compliance suites."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
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


class _ServerHere(uvicorn.Server):
    """A server in the event loop of a test, whose signals are not its own."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = anyio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@asynccontextmanager
async def serving_here(app: ASGIApp, **options: Any) -> AsyncIterator[str]:
    """As `serving`, but in the event loop of the test, so that it can wait for what happens in the app.

    `options` are uvicorn's.
    """
    options = {"lifespan": "off", "ws": "none", "log_level": "critical", "timeout_graceful_shutdown": 1, **options}
    server = _ServerHere(uvicorn.Config(app, **options))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve([listener]))
        try:
            with anyio.fail_after(DEADLINE):
                await server.ready.wait()
            scheme = "https" if "ssl_certfile" in options else "http"
            yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            with anyio.fail_after(DEADLINE):
                await task
