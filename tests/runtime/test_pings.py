"""Pings: while a host is silent, a stream is kept alive from its opening events to the terminal one."""

from __future__ import annotations

from random import Random
from typing import Any

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.runtime import run as runs
from responses_shim.setting_types import PingKind
from tests.caller import Exchange, call, parse_events, payloads
from tests.oracle import check_stream
from tests.runtime.sockets import one_writer
from tests.scripted import (
    DONE,
    EVENT_STREAM,
    Hold,
    Json,
    Raise,
    Return,
    ScriptedHost,
    Step,
    Wait,
    chunk,
    read_body,
    text_answer,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left", "nothing_logged")]

STREAMED = {"model": "scripted", "input": "Hi", "stream": True}
OFTEN: dict[str, Any] = {"ping_interval": 0.01, "commit_after": 0}
PINGS: dict[PingKind, bytes] = {
    "event": b"event: response.ping\n",
    "in_progress": b"event: response.in_progress\n",
    "comment": b": ",
}


async def pinged(exchange: Exchange, kind: PingKind, times: int = 2) -> None:
    """Wait for so many body messages that are nothing but a ping."""
    while times:
        message = await exchange.next_message()
        assert message is not None
        times -= message.get("body", b"").startswith(PINGS[kind])


async def intervals_pass(times: int) -> None:
    """Let some intervals pass, as another stream counts them."""
    app = ResponsesShim(ScriptedHost([Wait(anyio.Event())]), **OFTEN)
    async with call(app, "POST", "/v1/responses", json=STREAMED) as other:
        await pinged(other, "in_progress", times)


def events_of(exchange: Exchange) -> list[dict[str, Any]]:
    return payloads(parse_events(exchange.body))


@pytest.mark.parametrize("kind", PINGS)
@pytest.mark.parametrize("before", [[], [chunk("a")]], ids=["in the prefill", "between tokens"])
async def test_a_silent_host_is_bridged_by_pings(kind: PingKind, before: list[Step]) -> None:
    go = anyio.Event()
    host = ScriptedHost([*before, Wait(go), *text_answer("b")])
    app = one_writer(ResponsesShim(host, ping=kind, **OFTEN))
    async with call(app, "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        await exchange.next_message()
        await exchange.next_message()
        await pinged(exchange, kind)
        go.set()
        await exchange.read()
    events = events_of(exchange)
    check_stream(events)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["type"] == "response.completed"


async def test_pings_by_in_progress_have_the_items_that_are_done_so_far() -> None:
    go = anyio.Event()
    host = ScriptedHost([chunk(reasoning="so"), chunk("a"), Wait(go), *text_answer("b")])
    app = ResponsesShim(host, ping="in_progress", **OFTEN)
    async with call(app, "POST", "/v1/responses", json=STREAMED) as exchange:
        while (event := await exchange.next_event()) is not None:
            if event.name == "response.in_progress" and event.data["response"]["output"]:
                break
        assert event is not None
        [reasoning] = event.data["response"]["output"]
        assert (reasoning["type"], reasoning["status"]) == ("reasoning", "completed")
        go.set()
        await exchange.read()


async def test_with_ping_off_there_are_no_pings() -> None:
    go = anyio.Event()
    host = ScriptedHost([chunk("a"), Wait(go), *text_answer("b")])
    async with call(ResponsesShim(host, ping="off", **OFTEN), "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        await intervals_pass(5)
        go.set()
        await exchange.read()
    check_stream(events_of(exchange))
    assert exchange.body.count(b"event: response.in_progress\n") == 1
    assert b"ping" not in exchange.body


async def test_a_response_that_is_not_streamed_has_no_pings() -> None:
    go = anyio.Event()
    host = ScriptedHost([Wait(go), *text_answer("b")])
    body = {**STREAMED, "stream": False}
    async with call(ResponsesShim(host, **OFTEN), "POST", "/v1/responses", json=body) as exchange:
        await host.called.wait()
        await intervals_pass(3)
        assert not exchange.sent
        go.set()
        assert (await exchange.reply()).json["status"] == "completed"


async def test_after_the_terminal_event_there_are_no_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller of the test fails at a message after the end."""
    monkeypatch.setattr(runs, "RETURN_SECONDS", 0.05)
    host = ScriptedHost([*text_answer("a"), Wait(anyio.Event())])
    async with call(ResponsesShim(host, **OFTEN), "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.read()
        await exchange.finish()
    assert exchange.violation is None
    assert exchange.body.endswith(DONE)


async def test_pings_go_on_while_a_call_without_a_finish_reason_has_not_returned() -> None:
    go = anyio.Event()
    host = ScriptedHost([chunk("a"), DONE, Wait(go)])
    async with call(ResponsesShim(host, **OFTEN), "POST", "/v1/responses", json=STREAMED) as exchange:
        await pinged(exchange, "in_progress")
        go.set()
        await exchange.read()
    check_stream(events_of(exchange))


async def test_the_first_ping_comes_an_interval_after_the_first_write() -> None:
    """The timer looks for the first time during that write, when no ping is due."""
    host = ScriptedHost([chunk("a"), Hold()])
    async with call(ResponsesShim(host, ping_interval=0.05), "POST", "/v1/responses", json=STREAMED) as exchange:
        await pinged(exchange, "in_progress", times=1)


# One write at a time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PINGS)
async def test_a_chunk_that_comes_while_a_ping_is_blocked_is_written_after_it(kind: PingKind) -> None:
    go = anyio.Event()
    host = ScriptedHost([chunk("a"), Wait(go), *text_answer("b")], listens=False)
    app = one_writer(ResponsesShim(host, ping=kind, **OFTEN))
    async with call(app, "POST", "/v1/responses", json=STREAMED) as exchange:
        await pinged(exchange, kind)
        exchange.stall()
        await exchange.blocked()
        go.set()
        await intervals_pass(3)  # the host waits for that ping, and no second one may be written
        exchange.resume()
        await exchange.read()
    check_stream(events_of(exchange))


@pytest.mark.parametrize("kind", PINGS)
async def test_there_is_no_ping_while_a_write_is_blocked(kind: PingKind) -> None:
    go = anyio.Event()
    host = ScriptedHost([chunk("a"), Wait(go), *text_answer("b")], listens=False)
    app = one_writer(ResponsesShim(host, ping=kind, ping_interval=0.01))
    async with call(app, "POST", "/v1/responses", json=STREAMED) as exchange:
        exchange.stall()
        await exchange.blocked()  # in the write that starts the answer
        await intervals_pass(3)
        exchange.resume()
        await exchange.start()
        first = await exchange.next_message(), await exchange.next_message()
        assert b"response.output_text.delta" in (first[1] or {})["body"]
        go.set()
        await exchange.read()
    check_stream(events_of(exchange))


@pytest.mark.parametrize("end", [Raise(RuntimeError("boom")), Return(), Json(400, {"error": {"message": "no"}})])
async def test_a_call_that_returns_during_a_write_of_the_timer_does_not_cut_that_write(
    end: Step, caplog: pytest.LogCaptureFixture
) -> None:
    go = anyio.Event()
    host = ScriptedHost([Wait(go), end], listens=False)
    async with call(
        one_writer(ResponsesShim(host, commit_after=0)), "POST", "/v1/responses", json=STREAMED
    ) as exchange:
        exchange.stall()
        await exchange.blocked()
        go.set()
        await host.finished.wait()
        await intervals_pass(1)
        exchange.resume()
        await exchange.read()
    check_stream(events_of(exchange))
    caplog.clear()  # of what the host raised


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", PINGS)
async def test_however_host_client_and_timer_interleave_the_stream_is_valid(kind: PingKind, seed: int) -> None:
    rng = Random(seed)
    words = [f"{number} " for number in range(20)]

    async def pause() -> None:
        await anyio.sleep(rng.choice([0, 0, 0, 0.001, 0.003]))

    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM})
        for step in text_answer(*words):
            await pause()
            await send({"type": "http.response.body", "body": step, "more_body": True})

    async def slow_client(scope: Scope, receive: Receive, send: Send) -> None:
        async def take(message: Message) -> None:
            await pause()
            await send(message)

        await one_writer(app)(scope, receive, take)

    app = ResponsesShim(host, ping=kind, ping_interval=0.001, commit_after=0.001)
    async with call(slow_client, "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.read()
    events = events_of(exchange)
    check_stream(events)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "".join(words)
