"""How much longer a request takes that is not streamed, while so many arrive each second, whatever became of the last.

The requests come at a steady pace, as from many clients, each on a connection that is free: a server that is slow gets
no fewer of them. The host streams to the shim, and answers a chat request of the same tokens with one JSON object.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import time
from collections.abc import AsyncIterator

from . import servers
from .client import Answer, Connection, connect
from .host import Script, words
from .report import Row
from .sampling import Plan, Spread, in_turns, percentile
from .servers import Server

PER_SECOND = 200
SCRIPT = Script(tokens=20)
PERCENTILES = (50, 99)


class Arrivals:
    """Requests to one server, at a steady pace. The times of the answers of each turn are in `turns`."""

    def __init__(self, server: Server, seconds: float) -> None:
        self.turns: list[list[float]] = []
        """Milliseconds from a request to the end of its answer."""
        self.cpu: list[float] = []
        """Milliseconds of the server's CPU time for a request, in each turn."""
        self._server = server
        self._count = max(1, round(seconds * PER_SECOND))
        self._request = server.dialect.request(SCRIPT, stream=False)
        self._free: list[Connection] = []

    async def __call__(self) -> float:
        """Send the requests of one turn, and return the median time."""
        start, cpu = time.perf_counter(), self._server.cpu_seconds()
        asked = []
        for number in range(self._count):
            await asyncio.sleep(start + number / PER_SECOND - time.perf_counter())
            asked.append(asyncio.create_task(self._ask()))
        answers = await asyncio.gather(*asked)
        self.cpu.append((self._server.cpu_seconds() - cpu) * 1000 / self._count)
        for answer in answers:
            assert _text(answer) == "".join(words(SCRIPT)), answer.body
        self.turns.append([(answer.times[-1] - answer.asked) * 1000 for answer in answers])
        return percentile(self.turns[-1], 50)

    async def _ask(self) -> Answer:
        connection = self._free.pop() if self._free else await connect(self._server.port)
        answer = await connection.ask(self._request)
        self._free.append(connection)
        return answer

    async def close(self) -> None:
        """Close the connections."""
        for connection in self._free:
            await connection.close()


async def measure(plan: Plan) -> AsyncIterator[Row]:
    with servers.raw() as raw, servers.shim() as shim:
        bare, ours = Arrivals(raw, plan.rate_seconds), Arrivals(shim, plan.rate_seconds)
        async with contextlib.AsyncExitStack() as opened:
            for arrivals in (bare, ours):
                opened.push_async_callback(arrivals.close)
                await arrivals()  # connects, and warms up
                arrivals.turns.clear()
                arrivals.cpu.clear()
            await in_turns(plan.pairs, 1, {"raw": bare, "shim": ours})
    name = f"a request that is not streamed, {PER_SECOND} a second"
    for share in PERCENTILES:
        times = [[percentile(turn, share) for turn in arrivals.turns] for arrivals in (ours, bare)]
        yield _row(f"{name}, p{share}", *times)
    yield _row(f"{name}, CPU time of the server", ours.cpu, bare.cpu)


def _row(what: str, shim: list[float], raw: list[float]) -> Row:
    middles = " − ".join(f"{statistics.median(values):.2f}" for values in (shim, raw))
    differences = [of - less for of, less in zip(shim, raw, strict=True)]
    return Row(f"{what}: shim − chat", Spread.of(differences), " ms", detail=f"{middles} ms")


def _text(answer: Answer) -> str:
    """The text of an answer of either API."""
    data = json.loads(answer.body)
    if "choices" in data:
        return str(data["choices"][0]["message"]["content"])
    return str(data["output"][0]["content"][0]["text"])
