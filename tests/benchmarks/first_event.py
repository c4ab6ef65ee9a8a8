"""How much later the first event comes: sixteen streams always open, tokens paced as an engine paces them.

With an instant host a stream's first event would wait for the whole answers of others: that is throughput
once more. Hence the pace: each stream gets a token every 5 ms, and the server is idle most of the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections.abc import AsyncIterator

from . import servers
from .client import Connection, connect
from .host import GAP, Script
from .report import Row
from .sampling import Plan, difference, in_turns, middle
from .servers import Server
from .tokens import check

SCRIPT = Script(tokens=20, pace="paced")


class Arrivals:
    """Open connections to one server. A wave gives the median time to the first event, in milliseconds."""

    def __init__(self, server: Server, connections: list[Connection], waves: int) -> None:
        self._server = server
        self._connections = connections
        self._waves = waves
        self._request = server.dialect.request(SCRIPT)

    async def spread(self) -> float:
        """Each stream begins its next answer when the last one ended; their beginnings are spread evenly."""
        lasts = SCRIPT.tokens * GAP
        delays = [lasts * place / len(self._connections) for place in range(len(self._connections))]
        waits = await asyncio.gather(*map(self._repeat, self._connections, delays))
        return statistics.median(wait for of_one in waits for wait in of_one)

    async def at_once(self) -> float:
        """All streams begin at the same moment, again and again."""
        waits: list[float] = []
        for _ in range(self._waves):
            waits += await asyncio.gather(*map(self._first, self._connections))
        return statistics.median(waits)

    async def _repeat(self, connection: Connection, delay: float) -> list[float]:
        await asyncio.sleep(delay)
        return [await self._first(connection) for _ in range(self._waves)]

    async def _first(self, connection: Connection) -> float:
        answer = await connection.ask(self._request)
        check(answer, self._server.dialect, SCRIPT)
        return (answer.first - answer.asked) * 1000


async def measure(plan: Plan) -> AsyncIterator[Row]:
    with contextlib.ExitStack() as started:
        running = {
            "raw": started.enter_context(servers.raw()),
            "shim": started.enter_context(servers.shim()),
        }
        arrivals = {}
        opened: list[Connection] = []
        try:
            for name, server in running.items():
                connections = [await connect(server.port) for _ in range(plan.streams)]
                opened += connections
                arrivals[name] = Arrivals(server, connections, plan.waves)
                await arrivals[name].at_once()
            for manner in ("spread", "at_once"):
                contestants = {name: getattr(arrival, manner) for name, arrival in arrivals.items()}
                samples = await in_turns(plan.pairs, 1, contestants)
                yield _row(manner, samples, plan)
        finally:
            for connection in opened:
                await connection.close()


def _row(manner: str, samples: list[dict[str, float]], plan: Plan) -> Row:
    manners = {"spread": "arriving evenly", "at_once": "arriving at once"}
    return Row(
        f"time to first event, p50, {plan.streams} streams {manners[manner]}: shim − chat stream",
        difference(samples, "shim", "raw"),
        " ms",
        "≤ 0.3 ms",
        f"{middle(samples, 'shim'):.2f} − {middle(samples, 'raw'):.2f} ms",
    )
