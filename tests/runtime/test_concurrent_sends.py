"""A host that sends several messages at once: they go out in order, one after the other, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import pytest
from starlette.types import Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.core.response.filters import Field
from responses_shim.core.wire.chat import Chunk
from responses_shim.errors import UpstreamError
from responses_shim.runtime.interfaces import Listener
from tests.caller import DEADLINE, call, payloads, post
from tests.core.driver import Json
from tests.oracle import check_error, check_stream
from tests.runtime.direct import Client, new_run
from tests.scripted import DONE, EVENT_STREAM, ScriptedHost, Start, chunk, read_body

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

STREAMED = {"model": "scripted", "input": "Hi", "stream": True}
END = chunk(finish_reason="stop") + DONE

SendBytes = Callable[[bytes], Awaitable[None]]


async def at_once(send: SendBytes) -> None:
    await asyncio.gather(*(send(chunk(letter)) for letter in "abcdef"))
    await asyncio.gather(send(chunk("g")), send(END), send(chunk("after the end")))


async def awaited_in_another_order(send: SendBytes) -> None:
    first = asyncio.ensure_future(send(chunk("a")))
    second = asyncio.ensure_future(send(chunk("b")))
    await send(chunk("c"))
    await asyncio.gather(second, first)
    last = asyncio.ensure_future(send(chunk("defg") + END))
    await send(chunk("after the end"))
    await last


async def given_up(send: SendBytes) -> None:
    """One that waits is cancelled, as by a timeout of the host's."""
    first = asyncio.ensure_future(send(chunk("ab")))
    second = asyncio.ensure_future(send(chunk("cd")))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([first, second])
    await send(chunk("efg"))
    await send(END)


async def given_up_at_the_end(send: SendBytes) -> None:
    first = asyncio.ensure_future(send(chunk("abc")))
    last = asyncio.ensure_future(send(chunk("defg") + END))
    await asyncio.sleep(0)
    last.cancel()
    await asyncio.wait([first, last])


async def never_awaited(send: SendBytes) -> None:
    asyncio.ensure_future(send(chunk("abcdefg") + END)).cancel()


HOSTS = [at_once, awaited_in_another_order, given_up, never_awaited]


@pytest.mark.parametrize(
    ("play", "stream"), [*((play, stream) for play in HOSTS for stream in (True, False)), (given_up_at_the_end, True)]
)
async def test_the_messages_go_out_in_the_order_in_which_they_were_sent(
    play: Callable[[SendBytes], Awaitable[None]], stream: bool
) -> None:
    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM})
        await play(lambda data: send({"type": "http.response.body", "body": data, "more_body": True}))

    reply = await post(ResponsesShim(host), "/v1/responses", {**STREAMED, "stream": stream})
    if stream:
        check_stream(payloads(reply.events))
    response = payloads(reply.events)[-1]["response"] if stream else reply.json
    assert response["status"] == "completed"
    assert response["output"][0]["content"][0]["text"] == "abcdefg"


async def test_pings_and_messages_at_once_are_in_order() -> None:
    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM})
        for letter in "abc":
            await anyio.sleep(0.02)
            await send({"type": "http.response.body", "body": chunk(letter), "more_body": True})
        await send({"type": "http.response.body", "body": END, "more_body": False})

    reply = await post(ResponsesShim(host, ping_interval=0.005, ping="event"), "/v1/responses", STREAMED)
    check_stream(payloads(reply.events))


class Broken:
    """A filter with a fault."""

    done = False

    def feed(self, chunk: Chunk) -> list[Chunk]:
        raise RuntimeError("a secret")

    def close(self) -> list[Chunk]:
        return []

    def passes_as(self, field: Field) -> Field | None:
        return None


@pytest.mark.parametrize("json", [True, False])
async def test_what_cannot_be_translated_fails_the_response_even_if_the_host_goes_on(
    json: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def upstream(chat: Json, listener: Listener) -> None:
        if json:
            await listener.json(b'{"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}')
        else:
            await listener.data(chunk("a"), True)
            with suppress(OSError):
                await listener.data(END, False)

    with anyio.fail_after(DEADLINE), pytest.raises(UpstreamError, match="could not be translated"):
        await new_run(Client(), filters=lambda: [Broken()]).execute(upstream, {})
    assert "RuntimeError at " in caplog.text
    assert "a secret" not in caplog.text


async def test_an_error_before_the_commit_gives_up_on_a_client_that_takes_nothing() -> None:
    app = ResponsesShim(ScriptedHost([Start(400)]), write_timeout=0.05)
    async with call(app, "POST", "/v1/responses", json=STREAMED) as exchange:
        exchange.stall()
        await exchange.blocked()
        await exchange.finish()
        exchange.resume()
    assert exchange.sent == []


async def test_an_error_before_the_commit_is_sent_within_the_write_timeout() -> None:
    reply = await post(ResponsesShim(ScriptedHost([Start(400)]), write_timeout=5), "/v1/responses", STREAMED)
    check_error(reply.json)
