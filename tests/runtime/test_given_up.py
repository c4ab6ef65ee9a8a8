"""A host that gives up its last `send`, or does not await it, while the end of the response is being prepared."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import pytest
from starlette.types import Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.core.response.options import ResponseOptions
from responses_shim.core.wire.responses import Response
from responses_shim.runtime.answer_check import AnswerCheck
from responses_shim.runtime.interfaces import Listener
from responses_shim.stores.base import Record, StoredItem
from responses_shim.stores.memory import MemoryStore
from tests.caller import DEADLINE, call, parse_events
from tests.runtime.direct import Client, new_run
from tests.scripted import DONE, EVENT_STREAM, chunk, read_body
from tests.state import Client as StoringClient

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

END = chunk('{"a": 1}') + chunk(finish_reason="stop") + DONE


class Step:
    """Something that is awaited at the end: it says when it has begun, and ends when it may."""

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.may_end = anyio.Event()
        self.sending: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        self.begun.set()
        await self.may_end.wait()


async def give_up(sending: Awaitable[None], step: Step) -> None:
    """Cancel a `send` once the step has begun, and let the step end later."""
    task = asyncio.ensure_future(sending)
    await step.begun.wait()
    task.cancel()
    await asyncio.wait([task])
    step.may_end.set()


async def leave(sending: Awaitable[None], step: Step) -> None:
    """Do not await a `send`, and return before the step has ended."""
    step.sending = asyncio.ensure_future(sending)
    await step.begun.wait()
    asyncio.get_running_loop().call_later(0.01, step.may_end.set)


HOSTS = pytest.mark.parametrize("play", [give_up, leave])
Play = Callable[[Awaitable[None], Step], Awaitable[None]]


@HOSTS
@pytest.mark.parametrize("stream", [True, False])
async def test_while_the_response_is_saved(play: Play, stream: bool) -> None:
    step, client, saved = Step(), Client(), list[str]()

    async def save(response: Response) -> None:
        await step.wait()
        saved.append(response.status)

    async def upstream(chat: Any, listener: Listener) -> None:
        await play(listener.data(END, False), step)

    with anyio.fail_after(DEADLINE):
        await new_run(client, stream=stream, save=save).execute(upstream, {})
    assert saved == ["completed"]
    if stream:
        assert client.response["status"] == "completed"
    else:
        assert b'"status":"completed"' in client.body


@HOSTS
async def test_while_the_token_ids_of_the_prompt_are_fetched(play: Play) -> None:
    step, client = Step(), Client()

    async def prompt_tokens(chat: Any) -> list[int]:
        await step.wait()
        return [1, 2]

    async def upstream(chat: Any, listener: Listener) -> None:
        await listener.data(chunk("a", logprobs={"content": [{"token": "token_id:3", "logprob": -0.5}]}), True)
        await play(listener.data(chunk(finish_reason="stop") + DONE, False), step)

    run = new_run(client, options=ResponseOptions(token_ids=True), prompt_tokens=prompt_tokens)
    with anyio.fail_after(DEADLINE):
        await run.execute(upstream, {})
    assert client.response["status"] == "completed"
    assert client.response["output"][0]["prompt_token_ids"] == [1, 2]


@HOSTS
@pytest.mark.parametrize("stream", [True, False])
async def test_while_the_answer_is_checked(play: Play, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    step, check = Step(), AnswerCheck.check

    async def slow_check(self: AnswerCheck, text: str) -> str | None:
        await step.wait()
        return await check(self, text)

    monkeypatch.setattr(AnswerCheck, "check", slow_check)

    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM})
        await play(send({"type": "http.response.body", "body": END, "more_body": False}), step)

    response = await StoringClient(ResponsesShim(host)).create(
        stream=stream,
        text={"format": {"type": "json_object"}},
        tools=[{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}],
        input="Answer in JSON",
    )
    assert response["status"] == "completed"
    assert response["output"][0]["content"][0]["text"] == '{"a": 1}'


@pytest.mark.parametrize("written", [0, 2], ids=["before anything is sent", "between two deltas"])
@pytest.mark.parametrize("goes_on", [True, False])
async def test_in_the_middle_of_a_write(written: int, goes_on: bool) -> None:
    """Nobody knows how much of it was sent: the stream breaks off, which the client notices, and nothing is raised."""
    given_up, refused = anyio.Event(), anyio.Event()

    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM})
        for _ in range(written):
            await send({"type": "http.response.body", "body": chunk("a"), "more_body": True})
        exchange.stall()
        sending = asyncio.ensure_future(send({"type": "http.response.body", "body": chunk("b"), "more_body": True}))
        await exchange.blocked()
        sending.cancel()
        await asyncio.wait([sending])
        given_up.set()
        exchange.resume()
        if goes_on:
            try:
                await send({"type": "http.response.body", "body": END, "more_body": False})
            except OSError:
                refused.set()

    body = {"model": "scripted", "input": "Hi", "stream": True}
    async with call(ResponsesShim(host), "POST", "/v1/responses", json=body) as exchange:
        await exchange.finish()
    assert given_up.is_set()
    assert refused.is_set() == goes_on
    assert not exchange.complete
    sent = [event.data for event in parse_events(exchange.body)]
    assert [event["sequence_number"] for event in sent] == [*range(len(sent))]


@pytest.mark.parametrize("needed", [{}, {"store": True}])
async def test_while_the_store_takes_the_response(needed: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stored once, though it may have been so already when the host gave up."""
    step, add = Step(), MemoryStore.add

    async def slow_add(self: MemoryStore, record: Record, items: Sequence[StoredItem] = ()) -> bool:
        added = await add(self, record, items)
        await step.wait()
        return added

    monkeypatch.setattr(MemoryStore, "add", slow_add)

    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM})
        await give_up(send({"type": "http.response.body", "body": END, "more_body": False}), step)

    client = StoringClient(ResponsesShim(host))
    response = await client.create(stream=True, **needed)
    assert (response["status"], response["store"]) == ("completed", True)
    assert await client.get(response["id"]) == response
    assert len((await client.input_items(response["id"]))["data"]) == 1
