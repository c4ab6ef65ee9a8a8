"""A thousand streams that are open for a minute, at two tokens a second: whether all arrive, in time, and at what size.

Beside them some streams fall silent after their first token, so that pings are due. Late is what comes later than the
pace, or the ping interval, after what came before it in the same stream: as the client sees it, in another process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain, pairwise

from . import servers
from .client import Connection, connect
from .host import GAPS, Script
from .memory import warm_up
from .report import Row
from .sampling import Plan, Spread, percentile
from .servers import Server
from .tokens import check

SILENT_SHARE = 10
"""One silent stream beside so many others."""
PINGS = 6
"""How many ping intervals there are in the time that is measured."""


@dataclass(frozen=True)
class Result:
    """What became of the streams of one server. Times are in milliseconds."""

    kb: float
    """Resident memory of a stream, halfway."""
    failed: int
    tokens: list[float]
    """How late each token came."""
    pings: list[float]
    """How late each ping came."""


async def measure(plan: Plan) -> AsyncIterator[Row]:
    interval = plan.open_seconds / PINGS
    rounds: list[tuple[Result, Result]] = []
    for _ in range(plan.open_rounds):
        raw = await _keep_open(servers.raw, plan, interval)
        shim = await _keep_open(lambda: servers.shim(RESPONSES_SHIM_PING_INTERVAL=str(interval)), plan, interval)
        rounds.append((raw, shim))
    name = f"{plan.open:,} streams of 2 tokens/s for {plan.open_seconds:g} s"
    raws, shims = zip(*rounds, strict=True)
    yield Row(
        f"{name}, memory per stream: shim − chat stream",
        Spread.of([shim.kb - raw.kb for raw, shim in rounds]),
        " KB",
        "≤ 20 KB",
        f"{_middle([shim.kb for shim in shims]):.1f} − {_middle([raw.kb for raw in raws]):.1f} KB",
    )
    yield Row(
        f"{name}, streams that failed",
        Spread.of([float(shim.failed) for shim in shims]),
        bar="0",
        detail=f"of the chat's: {sum(raw.failed for raw in raws)}",
    )
    yield Row(
        f"{name}, how late a token comes, p99: shim − chat stream",
        Spread.of([percentile(shim.tokens, 99) - percentile(raw.tokens, 99) for raw, shim in rounds]),
        " ms",
        detail=f"shim: {_lateness([shim.tokens for shim in shims])}; chat: {_lateness([raw.tokens for raw in raws])}",
    )
    pings = [shim.pings for shim in shims]
    yield Row(
        f"{name}, how late a ping comes, p99",
        Spread.of([percentile(late, 99) for late in pings]),
        " ms",
        detail=f"{_lateness(pings)}; {len(pings[0])} pings, every {interval:.2g} s in {_silent(plan)} silent streams",
    )


async def _keep_open(start: Callable[[], AbstractContextManager[Server]], plan: Plan, interval: float) -> Result:
    """Open the streams of one server, and read them to their end."""
    script = Script(tokens=round(plan.open_seconds / GAPS["slow"]), pace="slow")
    with start() as server:
        await warm_up(server, Script(tokens=1, pace="held"))
        before = server.resident_kb()
        connections = [await connect(server.port) for _ in range(plan.open)]
        silent = [await connect(server.port) for _ in range(_silent(plan))]
        asked = [
            asyncio.create_task(_ask(server, script, connection, GAPS["slow"] * number / plan.open, plan))
            for number, connection in enumerate(connections)
        ]
        quiet = [
            asyncio.create_task(_ask(server, Script(tokens=1, pace="held"), connection, 0.0, plan))
            for connection in silent
        ]
        await asyncio.sleep(plan.open_seconds / 2)
        kb = (server.resident_kb() - before) / (plan.open + len(silent))
        failed = sum(await asyncio.gather(*asked))
        for task in quiet:
            task.cancel()
        await asyncio.wait(quiet)
        result = Result(kb, failed, _late(connections, GAPS["slow"]), _late(silent, interval))
        for connection in [*connections, *silent]:
            await connection.close()
    return result


async def _ask(server: Server, script: Script, connection: Connection, delay: float, plan: Plan) -> bool:
    """Whether a stream that is asked for after `delay` seconds fails."""
    await asyncio.sleep(delay)
    try:
        check(
            await connection.ask(server.dialect.request(script), patience=plan.open_seconds + 60),
            server.dialect,
            script,
        )
    except (ConnectionError, AssertionError, asyncio.TimeoutError) as error:
        print(f"a stream failed: {error!r:.500}")
        return True
    return False


def _late(connections: list[Connection], gap: float) -> list[float]:
    """By how many milliseconds the times between two messages exceed `gap`, where they are not sent together."""
    times = chain.from_iterable(pairwise(connection.answer.times) for connection in connections)
    return [(later - earlier - gap) * 1000 for earlier, later in times if later - earlier > gap / 2]


def _silent(plan: Plan) -> int:
    return max(1, plan.open // SILENT_SHARE)


def _middle(values: list[float]) -> float:
    return Spread.of(values).median


def _lateness(rounds: list[list[float]]) -> str:
    """Median, 99th percentile and maximum: medians over the rounds."""
    p50, p99, longest = (_middle([percentile(late, share) for late in rounds]) for share in (50, 99, 100))
    return f"p50 {p50:.1f}, p99 {p99:.1f}, max {longest:.1f} ms"
