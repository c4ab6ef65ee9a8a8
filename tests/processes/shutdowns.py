"""A server is asked to stop (SIGTERM) while a response runs in the background and is followed."""

from __future__ import annotations

import signal
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import anyio
import httpx

from tests.oracle import check_stream
from tests.processes.engine import ChatCall, count_messages
from tests.processes.servers import Client, Site
from tests.scripted import DONE, chunk

Json = dict[str, Any]

GRACE = 2
"""How many seconds uvicorn waits for its open connections, where there is a limit to that."""
OPTIONS = ("--timeout-graceful-shutdown", str(GRACE))
SHUT_DOWN = "The server was shut down before the response was complete."


@dataclass
class Figures:
    """How long the server took, and what the response was then."""

    seconds: float
    status: str
    cut_off: int
    """How many followers did not see that from this server."""

    def __str__(self) -> str:
        return (
            f"the server ended after {self.seconds:.2f} s, the response is {self.status}, {self.cut_off} were cut off"
        )


async def shutdown(site: Site, *, ends: bool) -> Figures:
    """Stop a server that has `OPTIONS`, and start another one in its place.

    - `ends`: the response ends by itself while the server waits for its connections

    Followers of a process that goes on see the end of the response. Those of the server itself do if it waited for it;
    else their connections break, and they find the end elsewhere.
    """
    begun, stopping = anyio.Event(), anyio.Event()
    seen: dict[int, list[Json]] = {}
    cut_off: set[int] = set()

    async def answer(call: ChatCall) -> None:
        await call.write(chunk("Half"))
        begun.set()
        await (stopping.wait() if ends else call.left.wait())
        await call.write(chunk(" done"), chunk(finish_reason="stop"), DONE)

    async def follow(follower: Client, id: str, up_to_date: anyio.Event) -> None:
        events = seen.setdefault(follower.pid, [])
        try:
            async for event in follower.follow(id):
                events.append(event)
                if event["type"] == "response.output_text.delta":
                    up_to_date.set()
        except httpx.TransportError:
            cut_off.add(follower.pid)

    site.engine.answer = answer
    async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
        followers = [await stack.enter_async_context(site.connect(pid)) for pid in site.pids]
        server = site.server_of(followers[0].pid)
        stopped = {*server.pids}
        async with site.connect(followers[0].pid) as client:
            id = (await client.create(input="Hi", background=True))["id"]
        await begun.wait()
        for follower in followers:
            up_to_date = anyio.Event()
            tasks.start_soon(follow, follower, id, up_to_date)
            await up_to_date.wait()
        started = time.monotonic()
        server.terminate()
        await server.logged("Shutting down")
        stopping.set()
        assert await server.ended() in (0, -signal.SIGTERM)
        seconds = time.monotonic() - started
    if ends:
        assert not cut_off
    else:  # A worker that is a moment later than the one that makes the response sees its end.
        assert {followers[0].pid} <= cut_off <= stopped
    site.servers.remove(server)
    await site.start(server.workers, *OPTIONS)
    async with site.connect(site.pids[-1]) as client:
        response = await client.get(id)
        complete = [event async for event in client.follow(id)]
        check_stream(complete)
        assert complete[-1]["response"] == response
        assert (response["status"], (response["error"] or {}).get("message")) == (
            ("completed", None) if ends else ("failed", SHUT_DOWN)
        )
        for pid, events in seen.items():
            assert events == (complete[: len(events)] if pid in cut_off else complete)
        site.engine.answer = count_messages
        assert (await client.create(input="Hi"))["status"] == "completed"
    return Figures(seconds, response["status"], len(cut_off))
