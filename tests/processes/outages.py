"""Redis is killed in the middle of streams, and started again: no stream breaks, and the servers go on."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import anyio

from tests.oracle import check_stream
from tests.processes.engine import ChatCall
from tests.processes.servers import SECONDS, Site
from tests.scripted import DONE, chunk

Json = dict[str, Any]

ON_DISK = ("--appendonly", "yes", "--appendfsync", "always")
"""The options of a Redis that keeps what it has confirmed."""


@dataclass
class Figures:
    """How streams ended in the middle of which Redis was killed."""

    kept: int = 0
    """Those that ended when Redis was there again: they are stored."""
    not_kept: int = 0
    """Those that ended before: their responses say `store: false`."""
    failed: int = 0
    """Those that ended before, and whose clients had insisted on `store: true`."""

    def __str__(self) -> str:
        return (
            f"{self.kept + self.not_kept + self.failed} streams: {self.kept} completed and stored, "
            f"{self.not_kept} completed without Redis, {self.failed} failed that insisted on it; none broke"
        )


async def outage(site: Site, streams: int) -> Figures:
    """Kill Redis in the middle of so many streams, and start it again before half of them have ended."""
    assert site.redis is not None
    figures = Figures()
    under_way = 0
    all_under_way, away, back = anyio.Event(), anyio.Event(), anyio.Event()

    async def answer(call: ChatCall) -> None:
        nonlocal under_way
        await call.write(chunk("Half"))
        if call.messages[-1] != "Now":
            under_way += 1
            if under_way == streams:
                all_under_way.set()
            await away.wait()
            await call.write(chunk(", and"))
            await (back if call.messages[-1] == "Late" else away).wait()
        await call.write(chunk(" done"), chunk(finish_reason="stop"), DONE)

    ends: list[tuple[Json, Json]] = []
    not_late, ended_early = streams - streams // 2, anyio.Event()

    async def read(number: int, client: Any) -> None:
        fields: Json = {"input": "Late"} if number < streams // 2 else {"input": "Early"}
        if number % 4 == 3:
            fields["store"] = True
        events = [event async for event in client.stream(**fields)]
        check_stream(events)
        ends.append((fields, events[-1]["response"]))
        if sum(fields["input"] == "Early" for fields, _ in ends) == not_late:
            ended_early.set()

    site.engine.answer = answer
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(site.connect(pid)) for pid in site.pids]
        before = await one.create(input="Now")
        readers = [await stack.enter_async_context(site.connect(site.pids[number % 2])) for number in range(streams)]
        with anyio.fail_after(2 * SECONDS):
            async with anyio.create_task_group() as tasks:
                for number, reader in enumerate(readers):
                    tasks.start_soon(read, number, reader)
                await all_under_way.wait()
                await anyio.to_thread.run_sync(site.redis.kill)
                away.set()
                for client in (one, other):
                    assert (await client.refusal("GET", f"/responses/{before['id']}"))["status"] == 503
                    fields = {"model": "m", "input": "Now", "previous_response_id": before["id"]}
                    assert (await client.refusal("POST", "/responses", json=fields))["status"] == 503
                    assert (await client.create(input="Now"))["store"] is False
                await ended_early.wait()
                await anyio.to_thread.run_sync(site.redis.start)
                back.set()
        for fields, response in ends:
            if fields["input"] == "Late":
                assert (response["status"], response["store"]) == ("completed", True)
                assert await one.get(response["id"]) == await other.get(response["id"]) == response
                figures.kept += 1
            elif fields.get("store"):
                assert response["status"] == "failed"
                figures.failed += 1
            else:
                assert (response["status"], response["store"]) == ("completed", False)
                figures.not_kept += 1
        for client in (other, one):
            before = await client.create(input="Now", previous_response_id=before["id"])
            assert before["store"] is True
    return figures
