"""Resident memory of a stream that is open and halfway through its answer, above that of the raw chat stream.

Every sample starts a fresh server: memory once given back is used again, and would hide what a stream needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from functools import partial

from . import servers
from .client import Connection, connect, connected
from .host import Script
from .report import Row
from .sampling import Plan, difference, in_turns, middle
from .servers import Server

WARM_UP = 5
"""Streams that are opened and closed before: what is loaded once is no part of a stream."""


async def measure(plan: Plan) -> AsyncIterator[Row]:
    for length in plan.lengths:
        script = Script(tokens=length // 2, pace="held")
        contestants = {
            "raw": partial(_kb_per_stream, servers.raw, script, plan.held),
            "shim": partial(_kb_per_stream, servers.shim, script, plan.held),
        }
        samples = await in_turns(plan.pairs, 1, contestants)
        yield Row(
            f"memory per open stream, {script.tokens} of {length:,} tokens sent: shim − chat stream",
            difference(samples, "shim", "raw"),
            " KB",
            "≤ 20 KB",
            f"{middle(samples, 'shim'):.1f} − {middle(samples, 'raw'):.1f} KB",
        )


async def _kb_per_stream(start: Callable[[], AbstractContextManager[Server]], script: Script, streams: int) -> float:
    with start() as server:
        await warm_up(server, script)
        before = server.resident_kb()
        held = await _hold(server, script, streams)
        grown = server.resident_kb() - before
        for connection in held:
            await connection.close()
    return grown / streams


async def warm_up(server: Server, script: Script) -> None:
    """Open a few streams of a held script, and close them."""
    for connection in await _hold(server, script, WARM_UP):
        await connection.hang_up()
    await _ask_once(server)


async def _ask_once(server: Server) -> None:
    """A short answer. When it is complete, the server has also done what it does when clients leave."""
    async with connected(server.port, 1) as (connection,):
        await connection.ask(server.dialect.request(Script(tokens=1)))


async def _hold(server: Server, script: Script, streams: int) -> list[Connection]:
    """Open streams, each up to the point where the host falls silent."""
    request, mark = server.dialect.request(script), server.dialect.deltas[script.kind]
    connections = [await connect(server.port) for _ in range(streams)]
    await asyncio.gather(*(connection.ask(request, mark, script.tokens) for connection in connections))
    return connections
