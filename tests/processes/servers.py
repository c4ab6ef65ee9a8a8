"""Servers in processes of their own, two of which share a store, and clients of each of them.

    async with running_site("sqlite", tmp_path) as site:       # uvicorn with two workers, on one file
        one, other = site.pids
        async with site.connect(one) as client:
            response = await client.create(input="Hi")
        site.kill(one)

A site on Redis is two servers of one process each, as on two machines. Each connection leads to one process, which the
test chooses.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.lowlevel
import httpx
from anyio.abc import Process, TaskGroup, TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream
from openai import AsyncOpenAI

from tests.oracle import check_error, check_response
from tests.processes.engine import Engine, running_engine
from tests.stores.redis_server import Server as RedisServer
from tests.stores.redis_server import program, running

Json = dict[str, Any]
StoreName = Literal["sqlite", "redis"]
STORES: Sequence[StoreName] = ("sqlite", "redis")

SECONDS = 20.0
"""How long anything may take."""
ROOT = Path(__file__).parents[2]

_ADDRESS = re.compile(r"Uvicorn running on (http://[\d.:]+)")
_STARTED = re.compile(r"Started server process \[(\d+)\]")


class Client:
    """A client of one process. Its answers are checked before a test sees them."""

    def __init__(self, http: httpx.AsyncClient, pid: int) -> None:
        self.http = http
        self.pid = pid

    def openai(self) -> AsyncOpenAI:
        """OpenAI's client, on this connection."""
        options: Any = {"http_client": self.http}  # It is typed for httpx2, whose interface this is too.
        return AsyncOpenAI(base_url=f"{self.http.base_url}/v1", api_key="alice", max_retries=0, **options)

    async def ask(self, method: str, path: str, **options: Any) -> Json:
        """The JSON of an answer with status 200, to a request below `/v1`."""
        answer = await self.http.request(method, f"/v1{path}", **options)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def refusal(self, method: str, path: str, **options: Any) -> Json:
        """The error of a request that is refused, with its HTTP status as `status`."""
        answer = await self.http.request(method, f"/v1{path}", **options)
        assert answer.status_code >= 400, answer.text
        check_error(answer.json())
        return {"status": answer.status_code, **answer.json()["error"]}

    async def create(self, **fields: Any) -> Json:
        """The response to a request."""
        response = await self.ask("POST", "/responses", json={"model": "m", **fields})
        check_response(response)
        return response

    async def get(self, id: str) -> Json:
        """A stored response."""
        response = await self.ask("GET", f"/responses/{id}")
        check_response(response)
        return response

    async def stream(self, **fields: Any) -> AsyncIterator[Json]:
        """The events of the response to a request. Raises httpx.TransportError if they break off."""
        async for event in self._events("POST", "/responses", json={"model": "m", "stream": True, **fields}):
            yield event

    async def follow(self, id: str, after: int = -1) -> AsyncIterator[Json]:
        """The events of a response in the background behind a number. Raises httpx.TransportError if they break off."""
        query = {"stream": "true", "starting_after": after}
        async for event in self._events("GET", f"/responses/{id}", params=query):
            yield event

    async def _events(self, method: str, path: str, **options: Any) -> AsyncIterator[Json]:
        async with self.http.stream(method, f"/v1{path}", **options) as answer:
            assert answer.status_code == 200, await answer.aread()
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    yield json.loads(line.removeprefix("data: "))


class Server:
    """A uvicorn server, and the process ids of those of its workers that serve."""

    def __init__(self, process: Process, workers: int) -> None:
        self.url = ""
        self.log: list[str] = []
        self.pids: list[int] = []
        self._process = process
        self.workers = workers
        self._changed = anyio.Event()
        self.reading = anyio.CancelScope(shield=True)
        """That of `read_log`, which goes on to the end, so that asyncio closes the pipe."""

    async def read_log(self) -> None:
        """Read what the server writes, to its end."""
        assert self._process.stderr is not None
        lines = BufferedByteReceiveStream(self._process.stderr)
        with self.reading, suppress(anyio.EndOfStream, anyio.IncompleteRead, anyio.ClosedResourceError):
            while True:
                line = (await lines.receive_until(b"\n", 1024 * 1024)).decode()
                self.log.append(line)
                if found := _ADDRESS.search(line):
                    self.url = found[1]
                elif found := _STARTED.search(line):
                    self.pids.append(int(found[1]))
                self._changed.set()
                self._changed = anyio.Event()
        self._changed.set()

    async def ready(self) -> None:
        """Wait until all workers serve."""
        with anyio.fail_after(SECONDS):
            while not self.url or len(self.pids) < self.workers:
                assert self._process.returncode is None, self.log
                await self._changed.wait()

    async def logged(self, text: str) -> None:
        """Wait until the server has written a line with this text."""
        with anyio.fail_after(SECONDS):
            while not any(text in line for line in self.log):
                await self._changed.wait()

    def kill(self, pid: int) -> None:
        """Kill a worker, as running out of memory would."""
        self.pids.remove(pid)
        os.kill(pid, signal.SIGKILL)

    def terminate(self) -> None:
        """Ask the server to stop, as a service manager does."""
        self._process.terminate()

    async def ended(self) -> int:
        """Wait for the end of the server. Returns its exit code."""
        return await self._process.wait()

    async def stop(self) -> None:
        """End the server and its workers, whatever they are doing."""
        with suppress(ProcessLookupError):
            self.terminate()
        with anyio.move_on_after(SECONDS / 4):
            await self._process.wait()
            return
        for pid in [*self.pids, self._process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await self._process.wait()


@asynccontextmanager
async def running_server(environment: dict[str, str], workers: int = 1, *options: str) -> AsyncIterator[Server]:
    """A uvicorn server of tests.processes.app on a free port, as long as this lasts."""
    command = [sys.executable, "-m", "uvicorn", "tests.processes.app:app", "--port", "0", "--workers", str(workers)]
    process = await anyio.open_process(
        # An idle connection is kept, for it leads to one worker, and the next one may lead to another.
        [*command, "--ws", "none", "--no-access-log", "--timeout-keep-alive", "600", *options],
        stdin=None,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    server = Server(process, workers)
    async with process, anyio.create_task_group() as tasks:
        tasks.start_soon(server.read_log)
        try:
            await server.ready()
            yield server
        finally:
            with anyio.CancelScope(shield=True):
                await server.stop()
            server.reading.deadline = anyio.current_time() + SECONDS / 4


class Site:
    """Two processes that serve, on one store."""

    def __init__(self, engine: Engine, environment: dict[str, str], tasks: TaskGroup) -> None:
        self.engine = engine
        self.servers: list[Server] = []
        self.redis: RedisServer | None = None
        self._environment = environment
        self._tasks = tasks

    @property
    def pids(self) -> list[int]:
        """The processes that serve."""
        return [pid for server in self.servers for pid in server.pids]

    async def start(self, workers: int, *options: str) -> Server:
        """Start another server."""

        async def serve(*, task_status: TaskStatus[Server]) -> None:
            async with running_server(self._environment, workers, *options) as server:
                task_status.started(server)
                await anyio.sleep_forever()

        server: Server = await self._tasks.start(serve)
        self.servers.append(server)
        return server

    def server_of(self, pid: int) -> Server:
        """The server that a process belongs to."""
        [server] = [server for server in self.servers if pid in server.pids]
        return server

    def kill(self, pid: int) -> None:
        """Kill a process."""
        self.server_of(pid).kill(pid)

    async def recover(self) -> None:
        """Wait until there are two processes again after one was killed: uvicorn replaces a worker, nobody a server."""
        for server in [*self.servers]:
            if server.pids or server.workers > 1:
                await server.ready()
            else:
                self.servers.remove(server)
                await self.start(1)

    @asynccontextmanager
    async def connect(self, pid: int) -> AsyncIterator[Client]:
        """A client that is connected to this process."""
        url = self.server_of(pid).url
        with anyio.fail_after(SECONDS):
            client = await self._connected(url, pid)
        try:
            yield Client(client, pid)
        finally:
            with anyio.CancelScope(shield=True):
                await client.aclose()

    async def _connected(self, url: str, pid: int) -> httpx.AsyncClient:
        """Workers accept connections from one port, so it takes some before the right one answers."""
        while True:
            transport = httpx.AsyncHTTPTransport(verify=False, limits=httpx.Limits(max_connections=1))
            headers = {"authorization": "Bearer alice"}
            client = httpx.AsyncClient(base_url=url, transport=transport, headers=headers, timeout=SECONDS)
            with suppress(httpx.ConnectError):  # The first worker is about to listen.
                if (await client.get("/pid")).text == str(pid):
                    return client
            await client.aclose()
            await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def running_site(
    store: StoreName,
    folder: Path,
    *options: str,
    lease: float | None = None,
    redis_options: Sequence[str] = (),
    **settings: Any,
) -> AsyncIterator[Site]:
    """A site on a new store, as long as this lasts.

    - `options`: of the command `uvicorn`
    - `lease`: for how many seconds a process that has died seems to live
    - `settings`: of the shim
    """
    environment = {f"RESPONSES_SHIM_{name.upper()}": str(value) for name, value in settings.items()}
    if lease is not None:
        environment["LEASE"] = str(lease)
    with ExitStack() as stack:
        async with running_engine() as engine, anyio.create_task_group() as tasks:
            environment["ENGINE"] = str(engine.port)
            site = Site(engine, environment, tasks)
            if store == "sqlite":
                environment["RESPONSES_SHIM_STORE"] = f"sqlite:///{folder}/responses.db"
                await site.start(2, *options)
            else:
                site.redis = stack.enter_context(running(program("redis-server"), folder, *redis_options))
                environment["RESPONSES_SHIM_STORE"] = site.redis.url
                for _ in range(2):
                    await site.start(1, *options)
            yield site
            tasks.cancel_scope.cancel()
