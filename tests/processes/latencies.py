"""How soon a process notices what came to another one: that a response is cancelled, or what a tool has put out."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import anyio

from tests.oracle import check_stream
from tests.processes.engine import ChatCall
from tests.processes.servers import SECONDS, Client, Site, StoreName
from tests.scripted import call_answer, chunk

LIMITS: dict[StoreName, float] = {"sqlite": 0.250, "redis": 0.050}
"""Within how many seconds the other process has to act."""
TOOL: Any = {"type": "function", "name": "look", "parameters": {"type": "object"}}


@dataclass
class Figures:
    """Seconds from before the request was sent to one process until the engine of the other one noticed."""

    cancels: list[float] = field(default_factory=list)
    """Until its call was given up."""
    outputs: list[float] = field(default_factory=list)
    """Until the next call came."""

    def __str__(self) -> str:
        return f"cancel {quantiles(self.cancels)}; tool_outputs {quantiles(self.outputs)}"


def quantile(seconds: list[float], share: float) -> float:
    """The value that so large a share of the values does not exceed."""
    return sorted(seconds)[min(int(len(seconds) * share), len(seconds) - 1)]


def quantiles(seconds: list[float]) -> str:
    p50, p99, most = (quantile(seconds, share) * 1000 for share in (0.5, 0.99, 1))
    return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, at most {most:.0f} ms ({len(seconds)} times)"


async def latencies(site: Site, times: int) -> Figures:
    """Measure both, so many times each, in both directions."""
    figures = Figures()
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(site.connect(pid)) for pid in site.pids]
        for number in range(times):
            maker, other = clients if number % 2 else reversed(clients)
            with anyio.fail_after(SECONDS):
                figures.cancels.append(await cancel(site, maker, other))
                figures.outputs.append(await put_out(site, maker, other))
    return figures


async def cancel(site: Site, maker: Client, other: Client) -> float:
    """Cancel a response through the process that does not make it."""
    begun, given_up = anyio.Event(), anyio.Event()
    noticed_at = 0.0

    async def answer(call: ChatCall) -> None:
        nonlocal noticed_at
        assert call.pid == maker.pid
        await call.write(chunk("Half"))
        begun.set()
        await call.left.wait()
        noticed_at = time.monotonic()
        given_up.set()

    site.engine.answer = answer
    id = (await maker.create(input="Hi", background=True))["id"]
    await begun.wait()
    started = time.monotonic()
    cancelled = await other.ask("POST", f"/responses/{id}/cancel")
    await given_up.wait()
    assert cancelled["status"] == "cancelled"
    assert await maker.get(id) == cancelled
    return noticed_at - started


async def put_out(site: Site, maker: Client, other: Client) -> float:
    """Post the output of a call to the process that does not make the response."""
    noticed_at = 0.0

    async def answer(call: ChatCall) -> None:
        nonlocal noticed_at
        assert call.pid == maker.pid
        if call.request["messages"][-1]["role"] != "tool":
            await call.write(*(step for step in call_answer(("call_1", "look", "{}")) if isinstance(step, bytes)))
        else:
            noticed_at = time.monotonic()
            await call.answer("Seen: ", call.messages[-1])

    site.engine.answer = answer
    events, started = [], 0.0
    async for event in maker.stream(input="Hi", tools=[TOOL], tool_outputs="wait"):
        events.append(event)
        if event["type"] == "response.output_item.done" and event["item"]["type"] == "function_call":
            path = f"/responses/{events[0]['response']['id']}/tool_outputs"
            started = time.monotonic()
            await other.ask("POST", path, json={"tool_call_id": "call_1", "output": "a cat"})
    check_stream(events)
    assert events[-1]["response"]["output"][-1]["content"][0]["text"] == "Seen: a cat"
    return noticed_at - started
