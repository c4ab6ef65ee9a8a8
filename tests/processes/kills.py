"""A process is killed at a random moment, while it makes responses in the background and in the foreground.

Each response in the background is followed by its maker, who goes on at the other process when the connection breaks,
and by two clients of the other process from the beginning. Whatever came first, its end or the kill: all see the same
events, to one end, and that end is stored. Whoever has seen the end of any response finds it again, and each chain goes
on behind its last turn.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import anyio
import httpx
import openai

from tests.conformance.test_sdk import as_json
from tests.oracle import check_resumed, check_stream
from tests.processes.engine import ChatCall
from tests.processes.latencies import TOOL
from tests.processes.servers import SECONDS, Client, Site
from tests.scripted import DONE, call_answer, chunk

Json = dict[str, Any]

RUNS = 4
"""How many responses the killed process makes in the background."""
TALKERS = 4
"""How many clients of it make one short response after the other."""
PIECES = 40
"""How many pieces a response in the background has."""
LATEST = 3 * RUNS * PIECES
"""Behind how many pieces, of all responses together, the process is killed at the latest."""

GONE = "The process that made the response is gone."
ENDS = ("response.completed", "response.incomplete", "response.failed")


@dataclass
class Figures:
    """What came of so many kills."""

    kills: int = 0
    completed: int = 0
    """Responses in the background that had ended before."""
    failed: list[float] = field(default_factory=list)
    """For each that had not: the seconds from the kill to the end that followers saw."""
    found_again: int = 0
    """Responses whose end a client had seen, and that are as they were then."""
    continued: int = 0
    """Chains that went on."""

    def __str__(self) -> str:
        times = sorted(self.failed)
        seconds = f"after {times[0]:.2f} to {times[-1]:.2f} s, p50 {times[len(times) // 2]:.2f}" if times else ""
        return (
            f"{self.kills} kills: {self.completed} responses in the background had completed, {len(times)} failed "
            f"{seconds}; {self.found_again} ends that were seen are stored; {self.continued} chains went on"
        )


async def kill_often(site: Site, times: int, random: Random) -> Figures:
    """Kill one of the two processes so many times."""
    figures = Figures()
    for _ in range(times):
        victim, other = random.sample(site.pids, 2)
        with anyio.fail_after(3 * SECONDS):
            await Kill(site, victim, other, random.randint(1, LATEST), figures).perform()
            await site.recover()
        figures.kills += 1
    return figures


class Kill:
    """One kill of a process, behind so many pieces of text, and what the clients see of it."""

    def __init__(self, site: Site, victim: int, other: int, pieces: int, figures: Figures) -> None:
        self.site = site
        self.victim = victim
        self.other = other
        self.pieces_left = pieces
        self.figures = figures
        self.killed_at: float | None = None
        self.ends: dict[str, Json] = {}
        """The responses whose end a client has seen."""
        self.chains: list[list[Json]] = []
        """The turns of each chain that were seen to end."""

    async def perform(self) -> None:
        """Kill the process, and check what the clients see then and afterwards."""
        self.site.engine.answer = count
        async with AsyncExitStack() as stack:

            async def connected(pid: int) -> Client:
                return await stack.enter_async_context(self.site.connect(pid))

            client = await connected(self.victim)
            conversation = (await client.ask("POST", "/conversations", json={}))["id"]
            bases = [await client.create(input="Talk") for _ in range(RUNS)]
            talkers = [await connected(self.victim) for _ in range(TALKERS)]
            pids = (self.victim, self.other, self.other, self.other)
            followers: list[list[Client]] = [[] for _ in bases]
            for clients in followers:
                clients += [await connected(pid) for pid in pids]
            waiting, waiter = list[Json](), await connected(self.victim)
            self.site.engine.answer = self.answer
            async with anyio.create_task_group() as tasks:
                for base, clients in zip(bases, followers, strict=True):
                    tasks.start_soon(self.run, base, clients)
                for talker in talkers:
                    tasks.start_soon(self.talk, talker)
                tasks.start_soon(self.see, client.stream(input="Run", conversation=conversation), [])
                tasks.start_soon(self.see, waiter.stream(input="Look", tools=[TOOL], tool_outputs="wait"), waiting)
            last = await connected(self.other)
            await self.look_again(last, conversation)
            if waiting:
                await self.give_up_waiting(last, waiting[0]["response"]["id"])

    async def answer(self, call: ChatCall) -> None:
        """The model, which kills the process before the last of its pieces."""
        await count(call, self.before_piece)

    def before_piece(self) -> None:
        """Kill the process if it is time."""
        self.pieces_left -= 1
        if self.pieces_left == 0:
            self.site.kill(self.victim)
            self.killed_at = time.monotonic()

    async def see(self, events: AsyncIterator[Json], seen: list[Json]) -> None:
        """Read a stream to its end, or until it breaks with the killed process."""
        try:
            async for event in events:
                seen.append(event)
                if event["type"] in ENDS:
                    self.ends[event["response"]["id"]] = event["response"]
        except httpx.TransportError:
            assert self.killed_at is not None

    # The clients -------------------------------------------------------------------------------------------------

    async def talk(self, client: Client) -> None:
        """Make one short response after the other, until the process is killed."""
        chain: list[Json] = []
        self.chains.append(chain)
        while self.killed_at is None:
            seen: list[Json] = []
            previous = {"previous_response_id": chain[-1]["id"]} if chain else {}
            await self.see(client.stream(input="Talk", **previous), seen)
            if seen and seen[-1]["type"] in ENDS:
                check_stream(seen)
                chain.append(seen[-1]["response"])

    async def run(self, base: Json, clients: Sequence[Client]) -> None:
        """Make a response in the background, and follow it with four clients, of which the first makes it."""
        maker, again, other, sdk = clients
        chain = [base]
        self.chains.append(chain)
        seen: list[Json] = []
        complete: list[Json] = []
        of_sdk: list[Json] = []

        async def follow(id: str) -> None:
            async for event in other.follow(id):
                complete.append(event)
                if event["type"] == "response.failed":
                    assert self.killed_at is not None, "a response failed whose process lives"
                    self.figures.failed.append(time.monotonic() - self.killed_at)

        async def follow_by_sdk(id: str) -> None:
            with suppress(openai.APIError):  # which is what it makes of an `error` event
                async for event in await sdk.openai().responses.retrieve(id, stream=True):
                    of_sdk.append(as_json(event))

        events = maker.stream(input="Run", background=True, previous_response_id=base["id"])
        async with anyio.create_task_group() as tasks:
            try:
                seen.append(await anext(events))
            except httpx.TransportError:
                return  # the process was killed before
            id = seen[0]["response"]["id"]
            tasks.start_soon(follow, id)
            tasks.start_soon(follow_by_sdk, id)
            await self.see(events, seen)
            last = seen[-1]["sequence_number"]
            rest = [event async for event in again.follow(id, last)]
        response = complete[-1]["response"]
        check_stream(complete)
        check_resumed(rest, last, complete)
        assert [*seen, *rest] == complete
        self.ends[id] = response
        if response["status"] == "completed":
            assert of_sdk == complete
            self.figures.completed += 1
            chain.append(response)
        else:
            assert of_sdk == complete[:-2]
            assert response["error"]["message"] == GONE

    # Afterwards --------------------------------------------------------------------------------------------------

    async def look_again(self, client: Client, conversation: str) -> None:
        """Each response whose end was seen is as it was seen, and each chain and the conversation go on."""
        self.site.engine.answer = repeat
        for id, response in self.ends.items():
            assert await client.get(id) == response
        for chain in self.chains:
            previous = {"previous_response_id": chain[-1]["id"]} if chain else {}
            turn = await client.create(input="And?", **previous)
            given = [text for response in chain for text in turn_of(response)]
            assert texts(turn["output"]) == [json.dumps([*given, "And?"])]
        items = (await client.ask("GET", f"/conversations/{conversation}/items", params={"order": "asc"}))["data"]
        assert texts(items) in ([], ["Run", counted(PIECES)])
        fields = {"model": "m", "input": "And?", "conversation": conversation}
        while (answer := await client.http.post("/v1/responses", json=fields)).status_code == 409:
            pass  # the killed process seems to use it still
        assert texts(answer.json()["output"]) == [json.dumps([*texts(items), "And?"])]
        self.figures.found_again += len(self.ends)
        self.figures.continued += len(self.chains) + 1

    async def give_up_waiting(self, client: Client, id: str) -> None:
        """The response that waited for the output of a call has failed, or does so soon, and takes no output."""
        while (response := await client.get(id))["status"] == "in_progress":
            pass
        assert (response["status"], response["error"]["message"]) == ("failed", GONE)
        output = {"tool_call_id": "call_1", "output": "a cat"}
        refused = await client.refusal("POST", f"/responses/{id}/tool_outputs", json=output)
        assert refused["status"] in (400, 404)


async def count(call: ChatCall, before_piece: Callable[[], None] = lambda: None) -> None:
    """The model that counts: far if it is asked to `Run`, else up to 2. If it has a tool it calls that instead."""
    if call.request.get("tools"):
        before_piece()
        await call.write(*(step for step in call_answer(("call_1", "look", "{}")) if isinstance(step, bytes)))
        return
    await call.write(chunk("", role="assistant"))
    for number in range(PIECES if call.messages[-1] == "Run" else 3):
        before_piece()
        await call.write(chunk(f"{number} "))
    await call.write(chunk(finish_reason="stop"), DONE)


async def repeat(call: ChatCall) -> None:
    """The model that says what it was given."""
    await call.answer(json.dumps(call.messages))


def counted(pieces: int) -> str:
    return "".join(f"{number} " for number in range(pieces))


def texts(items: list[Json]) -> list[str]:
    """The texts of messages."""
    return [part["text"] for item in items for part in item["content"]]


def turn_of(response: Json) -> list[str]:
    """What the model is given of a turn later: the input, and what it counted."""
    [text] = texts(response["output"])
    return ["Run" if text == counted(PIECES) else "Talk", text]
