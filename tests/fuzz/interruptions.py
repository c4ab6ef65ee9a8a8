"""Clients that leave, servers that cancel or shut down, hosts that raise, each at any step of a response.

No task is left, nothing is raised but the cancellation itself, the engine is free, and the store has complete turns
only, of a conversation that goes on.
"""

from __future__ import annotations

import asyncio
import re
import sys
import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Literal
from unittest.mock import patch

import anyio
import anyio.lowlevel
import msgspec
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.runtime import run
from tests.caller import DEADLINE, Exchange, Reply, call, payloads, settle
from tests.cuts import cut
from tests.fuzz.fuzzer import Fuzzer
from tests.fuzz.mutations import as_json
from tests.fuzz.odd_hosts import ERRORS, MANNERS, Error, Manners, OddHost
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import CHAT_PATH, Hold, Raise, ScriptedHost, Step, call_answer, text_answer
from tests.state import Client, texts

Json = dict[str, Any]

Who = Literal["nobody", "client", "client, broken pipe", "server", "server, by a scope", "shutdown", "cancel"]


class Interruption(msgspec.Struct, frozen=True):
    """A turn of a conversation, and who interrupts it when.

    - `who`: nobody (the host may still fail); the client leaves; the server cancels the request, its task or a scope
      round it; it shuts down; or a client cancels the response in the background
    - `when`: after how many turns of the event loop that happens; of the server's cancellation, at which await
    - `host`: what the host raises, or that it falls silent, at step `host_step` of its answer, if that has so many
    """

    who: Who
    when: int
    host: Literal["", "falls silent", Error] = ""
    host_step: int = 0
    manners: Manners = Manners()
    calls: bool = False
    stream: bool = True
    background: bool = False
    conversation: bool = True
    file: bool = False
    """Whether the request has a file, which is read in a thread."""
    pieces: int = 1
    """In how many messages the request arrives."""


examples = st.builds(
    Interruption,
    st.sampled_from(
        [
            *["nobody", "nobody", "client", "client", "client, broken pipe"],
            *["server", "server", "server, by a scope", "shutdown", "cancel"],
        ]
    ),
    st.integers(0, 60),
    st.sampled_from([*[""] * 6, "falls silent", "falls silent", *ERRORS]),
    st.integers(0, 7),
    MANNERS,
    *[st.booleans()] * 5,
    st.integers(1, 3),
)

ENDED = ("completed", "incomplete", "failed", "cancelled")
RUNNING = ("queued", "in_progress")
MARK = "x-interrupted"
"""A header of the request that is interrupted, by which the host knows its chat call."""
FILE = {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,SGk="}


# Who interrupts ------------------------------------------------------------------------------------------------------


@types.coroutine
def interrupting(
    work: Coroutine[Any, Any, None], number: int, interrupt: Callable[[], None]
) -> Generator[Any, Any, None]:
    """Await `work`, and interrupt it at its await of that number, from 0 on."""
    resume = partial(work.send, None)
    while True:
        try:
            waited_for = resume()
        except StopIteration:
            return
        if number == 0:
            interrupt()
        number -= 1
        try:
            value = yield waited_for
        except BaseException as error:
            resume = partial(work.throw, error)
        else:
            resume = partial(work.send, value)


def cancelled_at(app: ASGIApp, number: int, may_swallow: bool) -> ASGIApp:
    """The app under a server that cancels the request, which has a task of its own, at its await of that number."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        cancelled = False

        def cancel() -> None:
            nonlocal cancelled
            cancelled = running.cancel()

        async def run() -> None:
            await interrupting(app(scope, receive, send), number, cancel)  # type: ignore[arg-type]

        running = asyncio.create_task(run())
        await asyncio.wait([running])
        assert running.cancelled() <= cancelled, "there was no cancellation"
        if not running.cancelled():
            assert not cancelled or may_swallow, "the cancellation was swallowed"
            running.result()

    return serve


def cancelled_by_scope_at(app: ASGIApp, number: int, may_swallow: bool) -> ASGIApp:
    """As `cancelled_at`, by a scope round the call, which may come too late for its last await."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        with anyio.CancelScope() as request:
            await interrupting(app(scope, receive, send), number, request.cancel)  # type: ignore[arg-type]

    return serve


SERVERS: dict[Who, Callable[[ASGIApp, int, bool], ASGIApp]] = {
    "server": cancelled_at,
    "server, by a scope": cancelled_by_scope_at,
}


# What must hold ------------------------------------------------------------------------------------------------------


class Play:
    """Plays one interruption: a complete turn, the one that is interrupted, and one after it."""

    def __init__(self, example: Interruption) -> None:
        self.example = example
        self.host = ScriptedHost(text_answer("an", "swer"))
        self.odd_host = OddHost(self.steps(), example.manners)
        self.shim = ResponsesShim(self.engine)
        self.client = Client(self.shim)
        self.conversation = ""
        self.working = 0
        """How many requests the hosts are at."""

    async def engine(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The host: an odd one for the chat call that is interrupted, and a good one for all others."""
        interrupted = scope["type"] == "http" and scope["path"] == CHAT_PATH and MARK in Headers(scope=scope)
        self.working += 1
        try:
            await (self.odd_host if interrupted else self.host)(scope, receive, send)
        finally:
            self.working -= 1

    def steps(self) -> list[Step]:
        """The script of the chat call that is interrupted."""
        example = self.example
        steps = call_answer(("call_1", "f", "{}")) if example.calls else text_answer("a", "b", "c")
        if example.host:
            step = Hold() if example.host == "falls silent" else Raise(ERRORS[example.host]())
            steps[example.host_step :] = [step]
        return steps

    async def run(self) -> str:
        """Play all of it. Returns what has become of the response that was interrupted."""
        async with self.shim.running():
            self.conversation = await self.client.conversation()
            await self.client.create(input="q1", conversation=self.conversation)
            exchange = await self.interrupted()
            id = id_in(exchange)
            if self.example.who != "shutdown":
                outcome = await self.end(exchange, id)
                await self.go_on(id)
        if self.example.who == "shutdown":
            response = await self.client.get(id) if id is not None and self.example.background else None
            outcome = response["status"] if response is not None else "none in the background"
            assert outcome not in RUNNING
        await self.odd_host.until_quiet()
        assert self.working == 0, "the engine goes on"
        assert self.odd_host.violations == []
        return f"{self.example.who}: {outcome}"

    def body(self) -> Json:
        """The request that is interrupted."""
        example = self.example
        text: Json = {"type": "input_text", "text": "q2"}
        body: Json = {
            "model": "m",
            "input": [{"role": "user", "content": [FILE, text] if example.file else "q2"}],
            "stream": example.stream,
            "background": example.background,
            "tools": [{"type": "function", "name": "f"}],
        }
        return {**body, "conversation": self.conversation} if example.conversation else body

    async def interrupted(self) -> Exchange:
        """Make the request, and interrupt it. Returns when the server is done with it."""
        example = self.example
        data = as_json(self.body())
        pieces = cut(data, [len(data) * number // example.pieces for number in range(1, example.pieces)])
        app: ASGIApp = self.shim
        if example.who in SERVERS:
            # The shim cancels the call of a silent host itself, in the same task. Before Python 3.11 a task does not
            # count its cancellations, so if the server's comes in that moment, they are one.
            may_swallow = sys.version_info < (3, 11) and example.host == "falls silent"
            app = SERVERS[example.who](app, example.when, may_swallow)
        headers = {**self.client.headers, "content-type": "application/json", MARK: "yes"}
        async with call(app, "POST", "/v1/responses", body=pieces, headers=headers) as exchange:
            if example.who in ("nobody", *SERVERS) and example.host != "falls silent":
                await exchange.finish()
            elif example.who not in SERVERS:
                for _ in range(example.when):
                    await anyio.lowlevel.checkpoint()
            if example.who == "client, broken pipe":
                await exchange.disconnect(broken_pipe=True)
            elif example.who == "cancel" and (id := id_in(exchange)) is not None:
                await self.client.ask("POST", f"/responses/{id}/cancel")
        return exchange  # at the end of the block, the client leaves

    async def end(self, exchange: Exchange, id: str | None) -> str:
        """Wait for the end of the response, and check its events and what the store has of it. Returns its status."""
        example = self.example
        if exchange.complete:
            check_reply(Reply(exchange.status, exchange.headers, exchange.body), failing=bool(example.host))
        elif example.who == "nobody" and example.host != "falls silent" and not self.gives_up:
            raise AssertionError("the answer has no end")
        if id is None:
            return "without an answer"
        if not example.background:
            assert self.working == 0, "the engine goes on"
            reply = await self.client.ask("GET", f"/responses/{id}")
            if reply.status == 404:
                assert len(await self.items()) == 2
                return "not stored"
        elif example.host == "falls silent":
            await self.client.cancel(id)
        response = await self.client.until(id, *ENDED)
        if example.background:
            check_stream(await self.client.events(id))
        if example.who == "nobody" and not example.host:
            assert response["status"] == "completed", response
        return str(response["status"])

    @property
    def gives_up(self) -> bool:
        """Whether the host may cancel a `send` of its own, of which then nobody knows how much is sent."""
        manners = self.example.manners
        return manners.senders > 1 and manners.bound and self.example.host in ERRORS

    async def items(self) -> list[Json]:
        """The items of the conversation."""
        return await self.client.items(self.conversation, "order=asc&limit=100")

    async def go_on(self, id: str | None) -> None:
        """Ask for another turn. What the conversation has of the one before is all of it, or nothing."""
        example = self.example
        if example.background and id is None:
            return  # nobody knows of the response, which may be at work
        if example.background:
            await self.until_free()
        turn = (await self.items())[2:]
        if turn:
            assert turn[0]["role"] == "user"
            if id is not None:
                response = await self.client.get(id)
                assert response["status"] in ("completed", "incomplete")
                assert turn[1:] == response["output"]
            else:  # the client has left just before its answer was sent
                # more than one if an odd host has sent a text late
                assert {item["status"] for item in turn[1:]} == {"completed"}
        results = [
            {"type": "function_call_output", "call_id": item["call_id"], "output": "4"}
            for item in turn
            if item["type"] == "function_call"
        ]
        question = {"role": "user", "content": "q3"}
        await self.client.create(input=[*results, question], conversation=self.conversation)
        items = await self.items()
        assert len(items) == 2 + len(turn) + len(results) + 2
        assert texts([*items[:2], *items[-2:]]) == ["q1", "answer", "q3", "answer"]

    async def until_free(self) -> None:
        """Wait until a response in the background has given its conversation up, which it does just behind its end."""
        with anyio.fail_after(DEADLINE):
            while self.working or (await self.client.ask("POST", "/responses", json=self.probe())).status == 409:
                await settle()

    def probe(self) -> Json:
        """A request that takes the conversation, and adds nothing to it."""
        return Client.body(conversation=self.conversation, store=False)


def check_reply(reply: Reply, *, failing: bool) -> None:
    """Check that a complete answer is valid, and no 5xx unless the host may fail."""
    if reply.headers["content-type"].startswith("text/event-stream"):
        check_stream(payloads(reply.events))
    elif reply.status == 200:
        check_response(reply.json)
    else:
        check_error(reply.json)
        assert reply.status < 500 or failing, reply.body


def id_in(exchange: Exchange) -> str | None:
    """The id of the response, as far as the client knows it."""
    found = re.search(rb'"(resp_\w+)"', exchange.body)
    return found[1].decode() if found is not None else None


async def check(example: Interruption) -> str:
    """Play the example. What a host is given time for is shorter than otherwise."""
    with patch.multiple(run, CANCEL_SECONDS=0.01, RETURN_SECONDS=0.05):
        return await Play(example).run()


INTERRUPTIONS = Fuzzer("interruptions", Interruption, examples, check, short=150)
