"""Server CPU time per streamed token: the shim against the bare host, and against a relay in front of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import chain

from . import servers
from .client import Answer, Connection, Dialect, connected
from .host import Script
from .report import Row
from .sampling import Plan, in_turns, middle, ratio
from .servers import Server


@dataclass
class Load:
    """One server, the open connections to it, and the request that all of them repeat."""

    server: Server
    connections: list[Connection]
    script: Script
    request: bytes
    answers: int
    """Answers that each connection asks for in one slice."""

    async def cpu(self) -> float:
        """Microseconds of server CPU per token in one slice, all of whose tokens have arrived."""
        before = self.server.cpu_seconds()
        answers = await asyncio.gather(*map(self._repeat, self.connections))
        spent = self.server.cpu_seconds() - before
        for answer in chain.from_iterable(answers):
            check(answer, self.server.dialect, self.script)
        return spent * 1e6 / (len(self.connections) * self.answers * self.script.tokens)

    async def _repeat(self, connection: Connection) -> list[Answer]:
        return [await connection.ask(self.request) for _ in range(self.answers)]


def check(answer: Answer, dialect: Dialect, script: Script) -> None:
    """Raise unless the answer carries exactly the tokens of the script."""
    body = answer.body
    if (seen := body.count(dialect.deltas[script.kind])) != script.tokens:
        raise AssertionError(f"{seen} tokens instead of {script.tokens}; the answer ends with {body[-1000:]!r}")


@contextlib.asynccontextmanager
async def load(
    server: Server, script: Script, plan: Plan, fields: dict[str, object] | None = None
) -> AsyncIterator[Load]:
    """Connect, and warm up with one slice. `fields` go into the request's body."""
    request = server.dialect.request(script, **(fields or {}))
    async with connected(server.port, plan.streams) as connections:
        ready = Load(server, connections, script, request, max(1, plan.tokens // script.tokens))
        await ready.cpu()
        yield ready


async def measure(plan: Plan) -> AsyncIterator[Row]:
    with contextlib.ExitStack() as started:
        running = {
            "raw": started.enter_context(servers.raw()),
            "shim": started.enter_context(servers.shim()),
        }
        if servers.relay_command() is not None:
            running["relay"] = started.enter_context(servers.relay())
        for tokens in plan.lengths:
            async for row in _compare(running, Script(tokens=tokens), plan):
                yield row


async def _compare(running: dict[str, Server], script: Script, plan: Plan) -> AsyncIterator[Row]:
    async with contextlib.AsyncExitStack() as opened:
        loads = {name: await opened.enter_async_context(load(server, script, plan)) for name, server in running.items()}
        samples = await in_turns(plan.pairs, plan.slices, {name: load.cpu for name, load in loads.items()})
    micros = {name: f"{middle(samples, name) / plan.slices:.1f} µs" for name in running}
    title = f"server CPU per token, answers of {script.tokens:,}"
    yield Row(
        f"{title}: shim ÷ chat stream",
        ratio(samples, "shim", "raw"),
        bar="≤ 1.3" if script.tokens >= 1000 else "≤ 1.6",
        detail=f"{micros['shim']} ÷ {micros['raw']}",
    )
    beside = f"{title}: shim ÷ (chat stream + codex-relay)"
    if "relay" in running:
        spread = ratio(samples, "shim", "relay")
        yield Row(beside, spread, bar="≤ 0.65", detail=f"{micros['shim']} ÷ {micros['relay']}")
    else:
        yield Row(beside, None, bar="≤ 0.65", detail="needs `pip install codex-relay==0.5.8`")
