"""How much later the first event comes: sixteen streams always open, tokens paced as an engine paces them.

With an instant host a stream's first event would wait for the whole answers of others: that is throughput
once more. Hence the pace: each stream gets a token every 5 ms, and the server is idle most of the time.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator
from itertools import chain

from . import servers
from .client import Answer, Connection, connected
from .host import GAPS, Script
from .report import Row
from .sampling import Plan, Sample, difference, in_turns, middle
from .servers import Server
from .tokens import check

SCRIPT = Script(tokens=20, pace="paced")


class Arrivals:
    """Open connections to one server. A sample is the median time to the first event, in milliseconds."""

    def __init__(self, server: Server, connections: list[Connection], waves: int) -> None:
        self._server = server
        self._connections = connections
        self._waves = waves
        self._request = server.dialect.request(SCRIPT)

    async def evenly(self) -> float:
        """Each stream begins its next answer when the last one ended; their beginnings are spread evenly."""
        lasts = SCRIPT.tokens * GAPS[SCRIPT.pace]
        delays = [lasts * place / len(self._connections) for place in range(len(self._connections))]
        answers = await asyncio.gather(*map(self._repeat, self._connections, delays))
        return self._median(answers)

    async def at_once(self) -> float:
        """All streams begin at the same moment, again and again."""
        answers = []
        for _ in range(self._waves):
            answers.append(await asyncio.gather(*(connection.ask(self._request) for connection in self._connections)))
        return self._median(answers)

    async def _repeat(self, connection: Connection, delay: float) -> list[Answer]:
        await asyncio.sleep(delay)
        return [await connection.ask(self._request) for _ in range(self._waves)]

    def _median(self, answers: list[list[Answer]]) -> float:
        waits = []
        for answer in chain.from_iterable(answers):
            check(answer, self._server.dialect, SCRIPT)
            waits.append((answer.first - answer.asked) * 1000)
        return statistics.median(waits)


async def measure(plan: Plan) -> AsyncIterator[Row]:
    with servers.raw() as raw, servers.shim() as shim:
        async with connected(raw.port, plan.streams) as to_raw, connected(shim.port, plan.streams) as to_shim:
            bare, ours = Arrivals(raw, to_raw, plan.waves), Arrivals(shim, to_shim, plan.waves)
            await bare.at_once()
            await ours.at_once()
            samples = await in_turns(plan.pairs, 1, {"raw": bare.evenly, "shim": ours.evenly})
            yield _row("arriving evenly", samples, plan)
            samples = await in_turns(plan.pairs, 1, {"raw": bare.at_once, "shim": ours.at_once})
            yield _row("arriving at once", samples, plan)


def _row(manner: str, samples: list[Sample], plan: Plan) -> Row:
    return Row(
        f"time to first event, p50, {plan.streams} streams {manner}: shim − chat stream",
        difference(samples, "shim", "raw"),
        " ms",
        "≤ 0.3 ms",
        f"{middle(samples, 'shim'):.2f} − {middle(samples, 'raw'):.2f} ms",
    )
