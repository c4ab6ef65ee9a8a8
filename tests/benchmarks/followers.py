"""One run in the background at fifty tokens a second, with one follower and with hundreds, some of whom stop reading.

A server of its own for each run. The stalled followers have asked for the events and read nothing: what is sent to them
fills the buffers of the sockets, which are made small here, and then that of uvicorn.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from . import servers
from .client import LAST_CHUNK, PATIENCE, connect, connected
from .host import Script
from .report import Row
from .sampling import Plan, Spread
from .servers import Server

STORES = ("memory", "SQLite", "Redis")
STALLED = 10
"""One follower of so many reads nothing."""
BUFFER = 16 * 1024
"""The buffers of the sockets, in bytes, so that who reads nothing shows it."""
WRITE_TIMEOUT = 3
"""The setting `write_timeout`, in seconds: less than the run takes."""


@dataclass(frozen=True)
class Followed:
    """A run, as its followers saw it.

    - `seconds`: from its first event to its last, at a follower that reads
    - `peak`: the most memory that the server has had meanwhile, in KB
    - `cpu`: what it took of the processor, in seconds
    - `cut`: how many of those who read nothing have been cut off before the end
    """

    seconds: float
    peak: float
    cpu: float
    cut: int


async def measure(plan: Plan) -> AsyncIterator[Row]:
    script = Script(tokens=plan.run_tokens, pace="fifty")
    stalled = plan.followers // STALLED
    for name in STORES:
        if name == "Redis" and shutil.which("redis-server") is None:
            yield Row(f"{plan.followers} followers of one run: {name}", None, "", "≤ 1.05", "needs redis-server")
            continue
        alone, many = [], []
        for _ in range(plan.runs):
            alone.append(await _run(name, script, 1, 0))
            many.append(await _run(name, script, plan.followers - stalled, stalled))
        what = f"{plan.followers} followers of one run of {script.tokens:,} tokens, {stalled} of them stalled"
        pairs = list(zip(many, alone, strict=True))
        seconds = Spread.of([each.seconds / one.seconds for each, one in pairs])
        detail = (
            f"{many[0].seconds:.2f} ÷ {alone[0].seconds:.2f} s; {many[0].cpu / many[0].seconds:.0%} of a core; "
            f"{many[0].cut} cut off after {WRITE_TIMEOUT} s"
        )
        yield Row(f"{what}: time ÷ with one follower, {name}", seconds, "", "≤ 1.05", detail)
        memory = Spread.of([(each.peak - one.peak) / (plan.followers - 1) for each, one in pairs])
        detail = f"({many[0].peak:,.0f} − {alone[0].peak:,.0f} KB) ÷ {plan.followers - 1}"
        yield Row(f"memory for each of them at the peak, {name}", memory, " KB", "≤ 64 KB", detail)


async def _run(store: str, script: Script, reading: int, stalled: int) -> Followed:
    with _store(store) as url, servers.shim(BUFFER, RESPONSES_SHIM_STORE=url, **_SETTINGS) as server:
        return await _follow(server, script, reading, stalled)


_SETTINGS = {"RESPONSES_SHIM_WRITE_TIMEOUT": str(WRITE_TIMEOUT)}


async def _follow(server: Server, script: Script, reading: int, stalled: int) -> Followed:
    id = await _create(server, script)
    async with AsyncExitStack() as closing:
        readers = [await connect(server.port) for _ in range(reading)]
        for reader in readers:
            closing.push_async_callback(reader.close)
        idle = [_small_socket(server.port) for _ in range(stalled)]
        for each in idle:
            closing.callback(each.close)
        server.forget_peak()
        cpu = server.cpu_seconds()
        request = f"GET /v1/responses/{id}?stream=true HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        for each in idle:
            each.sendall(request)
        answers = await asyncio.gather(*(reader.ask(request) for reader in readers))
        seconds = time.perf_counter() - answers[0].first
        peak, cpu = server.peak_kb(), server.cpu_seconds() - cpu
        bodies = {answer.body for answer in answers}
        assert len(bodies) == 1, "two followers have seen different events"
        body = bodies.pop()
        deltas = body.count(server.dialect.deltas[script.kind])
        assert deltas == script.tokens, f"{deltas} tokens instead of {script.tokens}, and then {body[-2_000:]!r}"
        cut = sum([await asyncio.to_thread(_was_cut, each) for each in idle])
    return Followed(seconds, peak, cpu, cut)


async def _create(server: Server, script: Script) -> str:
    """Have a response made in the background; returns its id."""
    async with connected(server.port, 1) as (connection,):
        request = server.dialect.request(script, background=True)
        answer = await connection.ask(request, b'"type":"response.created"', 1)
    id: str = next(answer.events())["response"]["id"]
    return id


def _small_socket(port: int) -> socket.socket:
    """A connection that takes little without being read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    connection.connect(("127.0.0.1", port))
    return connection


def _was_cut(connection: socket.socket) -> bool:
    """Read what has come in the end; whether the last of it is missing."""
    connection.settimeout(PATIENCE)
    data = b""
    while block := connection.recv(1 << 16):
        data += block
        if data.endswith(LAST_CHUNK):
            return False
    return True


@contextmanager
def _store(name: str) -> Iterator[str]:
    """The URL of an empty store."""
    with TemporaryDirectory() as folder:
        if name == "memory":
            yield "memory://"
        elif name == "SQLite":
            yield f"sqlite:///{Path(folder) / 'responses.db'}"
        else:
            with servers.redis_server(folder) as port:
                yield f"redis://127.0.0.1:{port}"
