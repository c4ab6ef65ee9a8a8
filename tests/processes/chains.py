"""Chains of turns that both processes serve in turn: every turn sees all of its history."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import anyio

from tests.oracle import check_stream
from tests.processes.engine import ChatCall
from tests.processes.servers import Client, Site

Json = dict[str, Any]

WORKERS = 8
"""How many chains are worked on at a time."""


@dataclass
class Figures:
    """How many chains of how many turns, and how long that took."""

    chains: int
    turns: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.chains} chains of {self.turns} turns in {self.seconds:.1f} s, and each turn saw its history"


def digest(messages: Sequence[str]) -> str:
    """A text that no other messages have."""
    return hashlib.sha256(json.dumps(messages).encode()).hexdigest()[:16]


async def sign(call: ChatCall) -> None:
    """The model that shows, by a digest, what it was given."""
    await call.answer(digest(call.messages))


class Chain:
    """A chain of turns, and the texts that its next turn has to see."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.texts: list[str] = []
        self.turns: list[Json] = []

    async def go_on(self, client: Client, *, stream: bool = False) -> None:
        """Add a turn, and check that the model was given all turns before it."""
        asked = f"{self.name}: turn {len(self.turns)}"
        fields: Json = {"input": asked, **({"previous_response_id": self.turns[-1]["id"]} if self.turns else {})}
        if stream:
            events = [event async for event in client.stream(**fields)]
            check_stream(events)
            response = events[-1]["response"]
        else:
            response = await client.create(**fields)
        self.texts.append(asked)
        expected = digest(self.texts)
        assert response["output"][0]["content"][0]["text"] == expected, f"{self.name} does not see its history"
        self.texts.append(expected)
        self.turns.append(response)


async def many_chains(site: Site, chains: int, turns: int = 5) -> Figures:
    """Chains of which each process adds every other turn; every third turn is streamed."""
    site.engine.answer = sign
    started = time.monotonic()
    todo = iter(range(chains))

    async def work(clients: Sequence[Client]) -> None:
        for number in todo:
            chain = Chain(f"chain {number}")
            for turn in range(turns):
                await chain.go_on(clients[(number + turn) % 2], stream=turn % 3 == 1)
            for response in chain.turns:
                assert await clients[number % 2].get(response["id"]) == response

    async with AsyncExitStack() as stack:
        pairs: list[list[Client]] = [[] for _ in range(WORKERS)]
        for pair in pairs:
            pair += [await stack.enter_async_context(site.connect(pid)) for pid in site.pids]
        async with anyio.create_task_group() as tasks:
            for pair in pairs:
                tasks.start_soon(work, pair)
    return Figures(chains, turns, time.monotonic() - started)


async def long_chain(site: Site, bound: int) -> Figures:
    """A chain of one turn more than there may be trees, while as many other responses are made and go again.

    Then a turn in the middle is deleted: it cannot be got or continued any more, and the chain goes on.
    """
    site.engine.answer = sign
    started = time.monotonic()
    chain = Chain("chain")
    others: list[Json] = []
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(site.connect(pid)) for pid in site.pids]
        for turn in range(bound + 1):
            await chain.go_on(clients[turn % 2])
            others.append(await clients[turn % 2].create(input="Another"))
        client = clients[0]
        assert (await client.refusal("GET", f"/responses/{others[0]['id']}"))["status"] == 404
        assert await client.get(others[-1]["id"]) == others[-1]
        for response in chain.turns:
            assert await client.get(response["id"]) == response
        deleted = chain.turns[bound // 2]["id"]
        await client.ask("DELETE", f"/responses/{deleted}")
        for client in clients:
            assert (await client.refusal("GET", f"/responses/{deleted}"))["status"] == 404
            refused = await client.refusal(
                "POST", "/responses", json={"model": "m", "input": "Hi", "previous_response_id": deleted}
            )
            assert (refused["status"], refused["code"]) == (404, "previous_response_not_found")
            await chain.go_on(client)
    return Figures(1, len(chain.turns), time.monotonic() - started)
