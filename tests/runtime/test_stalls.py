"""A host that sends nothing, and a client that takes nothing: each is given up in time, and only for its own fault."""

from __future__ import annotations

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.runtime import run as runs
from responses_shim.setting_types import PingKind
from tests.caller import Exchange, call, parse_events, payloads, post
from tests.oracle import check_error, check_stream
from tests.runtime.sockets import one_writer
from tests.scripted import DONE, Hold, ScriptedHost, Start, Step, Wait, chunk, text_answer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left", "nothing_logged", "short_grace")]

REQUEST = {"model": "scripted", "input": "Hi"}
STREAMED = {**REQUEST, "stream": True}

listening = pytest.mark.parametrize("listens", [True, False], ids=["listens", "does not listen"])


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call whose client has gone is cancelled soon."""
    monkeypatch.setattr(runs, "CANCEL_SECONDS", 0.05)


def silent(*before: Step) -> list[Step]:
    """A script of these steps, and silence for ever."""
    return [*before, Wait(anyio.Event())]


async def time_passes(seconds: float, unless: anyio.Event) -> None:
    """Wait so long, and check that the event does not happen meanwhile."""
    with anyio.move_on_after(seconds):
        await unless.wait()
    assert not unless.is_set()


# The host ------------------------------------------------------------------------------------------------------------


@listening
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("before", [[], [Start()], [b": thinking\n\n"]], ids=["nothing", "headers", "a comment"])
async def test_a_silent_host_is_a_gateway_timeout(before: list[Step], stream: bool, listens: bool) -> None:
    host = ScriptedHost(silent(*before), listens=listens)
    app = ResponsesShim(host, upstream_idle=0.05)
    async with call(app, "POST", "/v1/responses", json={**REQUEST, "stream": stream}) as exchange:
        reply = await exchange.reply()
        await exchange.finish()
    check_error(reply.json)
    assert (reply.status, reply.json["error"]["message"]) == (504, "The host sent nothing for 0.05 seconds.")
    assert host.disconnected.is_set()
    assert host.finished.is_set()


@listening
@pytest.mark.parametrize("before", [[], [chunk("a")]], ids=["in the prefill", "between tokens"])
async def test_a_host_that_falls_silent_after_the_commit_fails_the_response(before: list[Step], listens: bool) -> None:
    host = ScriptedHost(silent(*before), listens=listens)
    app = one_writer(ResponsesShim(host, commit_after=0, upstream_idle=0.1, ping_interval=0.02))
    async with call(app, "POST", "/v1/responses", json=STREAMED) as exchange:
        events = payloads(await exchange.events())
        await exchange.finish()
    check_stream(events)
    assert events[-1]["response"]["error"]["code"] == "server_error"
    assert host.disconnected.is_set()
    assert host.finished.is_set()


async def test_upstream_idle_holds_without_pings() -> None:
    app = ResponsesShim(ScriptedHost(silent(chunk("a"))), upstream_idle=0.05, ping="off")
    check_stream(payloads((await post(app, "/v1/responses", STREAMED)).events))


async def test_a_host_that_sends_comments_is_not_idle() -> None:
    idle = 0.5

    go = [anyio.Event() for _ in range(6)]
    steps: list[Step] = [step for event in go for step in (Wait(event), b": thinking\n\n")]
    host = ScriptedHost([*steps, *text_answer("a")])
    app = ResponsesShim(host, upstream_idle=idle, commit_after=0)
    async with call(app, "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        for event in go:
            await time_passes(idle / 5, unless=exchange.ended)
            event.set()
        events = payloads(await exchange.events())
    assert events[-1]["type"] == "response.completed"


@pytest.mark.parametrize("write", ["chunk", "ping"])
async def test_a_host_is_not_idle_while_its_client_takes_nothing(write: str) -> None:
    """The host is blocked, so its silence is no fault of its own: it counts from when it may send again."""
    go = anyio.Event()
    host = ScriptedHost([chunk("a"), Wait(go), *text_answer("b")])
    app = ResponsesShim(host, upstream_idle=0.4, write_timeout=5, ping="event", ping_interval=0.02)
    async with call(app, "POST", "/v1/responses", json=STREAMED) as exchange:
        if write == "ping":
            await until_pinged(exchange)
        exchange.stall()
        await exchange.blocked()
        await time_passes(0.6, unless=exchange.ended)
        exchange.resume()
        await until_pinged(exchange)
        go.set()
        assert payloads(await exchange.events())[-1]["type"] == "response.completed"


async def until_pinged(exchange: Exchange) -> None:
    """Read up to the next ping."""
    while (event := await exchange.next_event()) is None or event.name != "response.ping":
        assert event is not None
        assert event.name != "response.failed"


# The client ----------------------------------------------------------------------------------------------------------


@listening
@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_takes_nothing_frees_the_engine(stream: bool, listens: bool) -> None:
    host = ScriptedHost([*text_answer("a"), Hold()], listens=listens)
    app = ResponsesShim(host, write_timeout=0.05)
    async with call(app, "POST", "/v1/responses", json={**REQUEST, "stream": stream}) as exchange:
        exchange.stall()
        await exchange.blocked()
        await exchange.finish()
        assert host.finished.is_set()
        exchange.resume()
        assert not exchange.sent


@listening
async def test_a_client_that_stops_taking_frees_the_engine(listens: bool) -> None:
    go = anyio.Event()
    host = ScriptedHost([chunk("a"), Wait(go), *[chunk("b")] * 100, Hold()], listens=listens)
    async with call(ResponsesShim(host, write_timeout=0.2), "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        await exchange.next_message()
        await exchange.next_message()
        exchange.stall()
        go.set()
        await exchange.blocked()
        await exchange.finish()
        assert host.finished.is_set()
        assert not exchange.complete


@listening
@pytest.mark.parametrize("kind", ["event", "in_progress", "comment"])
async def test_a_client_that_does_not_take_a_ping_frees_the_engine(kind: PingKind, listens: bool) -> None:
    host = ScriptedHost(silent(chunk("a")), listens=listens)
    app = ResponsesShim(host, write_timeout=0.2, ping=kind, ping_interval=0.02)
    async with call(app, "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        await exchange.next_message()
        await exchange.next_message()
        exchange.stall()
        await exchange.blocked()
        await exchange.finish()
        assert host.finished.is_set()


@listening
async def test_a_client_that_does_not_take_the_commit_frees_the_engine(listens: bool) -> None:
    host = ScriptedHost(silent(), listens=listens)
    async with call(
        ResponsesShim(host, write_timeout=0.05, commit_after=0), "POST", "/v1/responses", json=STREAMED
    ) as exchange:
        exchange.stall()
        await exchange.blocked()
        await exchange.finish()
        assert host.finished.is_set()


async def test_a_client_that_does_not_take_the_failure_of_a_silent_host_is_given_up() -> None:
    host = ScriptedHost(silent(), listens=False)
    app = ResponsesShim(host, write_timeout=0.2, commit_after=0.01, upstream_idle=0.2, ping="off")
    async with call(app, "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        await exchange.next_message()
        await exchange.next_message()
        exchange.stall()
        await exchange.blocked()  # in the write of response.failed
        await exchange.finish()
        assert not exchange.complete


@listening
@pytest.mark.parametrize("stream", [True, False])
async def test_a_slow_client_gets_the_end_of_its_answer(
    stream: bool, listens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only `write_timeout` is for the client; how long the call may take to return is another limit."""
    monkeypatch.setattr(runs, "RETURN_SECONDS", 0.01)
    go = anyio.Event()
    host = ScriptedHost([chunk("a"), Wait(go), chunk(finish_reason="stop"), DONE], listens=listens)
    app = ResponsesShim(host, write_timeout=5)
    async with call(app, "POST", "/v1/responses", json={**REQUEST, "stream": stream}) as exchange:
        if stream:
            await exchange.start()
            await exchange.next_message()
            await exchange.next_message()
        exchange.stall()
        go.set()
        await exchange.blocked()  # in the write of the end
        await time_passes(0.1, unless=exchange.ended)
        exchange.resume()
        await exchange.read()
    if stream:
        check_stream(payloads(parse_events(exchange.body)))
    assert exchange.complete


@listening
async def test_a_slow_client_gets_the_text_of_a_call_that_hangs_after_its_stream(
    listens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "RETURN_SECONDS", 0.01)
    host = ScriptedHost([chunk("a") + DONE, Wait(anyio.Event())], listens=listens)
    async with call(ResponsesShim(host, write_timeout=1), "POST", "/v1/responses", json=STREAMED) as exchange:
        exchange.stall()
        await exchange.blocked()  # in the write of the text, while the call has not returned
        await time_passes(0.1, unless=exchange.ended)
        exchange.resume()
        events = payloads(await exchange.events())
    check_stream(events)
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "a"


# The server ----------------------------------------------------------------------------------------------------------


async def test_an_exception_of_send_in_a_write_of_the_timer_ends_the_run_and_is_raised() -> None:
    host = ScriptedHost(silent())
    app = ResponsesShim(host, commit_after=0)

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        async def broken(message: Message) -> None:
            raise RuntimeError("a fault of the server")

        await app(scope, receive, broken)

    with pytest.raises(RuntimeError, match="a fault of the server"):
        async with call(server, "POST", "/v1/responses", json=STREAMED) as exchange:
            await exchange.finish()
    assert host.finished.is_set()


async def test_an_answer_with_a_finish_reason_is_complete_although_its_host_then_hangs() -> None:
    host = ScriptedHost(silent(chunk("a"), chunk(finish_reason="stop")))
    reply = await post(ResponsesShim(host, upstream_idle=0.05), "/v1/responses", STREAMED)
    events = payloads(reply.events)
    check_stream(events)
    assert events[-1]["type"] == "response.completed"


@pytest.mark.parametrize("stream", [True, False])
async def test_an_exception_of_receive_ends_the_run_and_is_raised(stream: bool) -> None:
    host = ScriptedHost(silent())
    app = ResponsesShim(host)

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        called = False

        async def broken() -> Message:
            nonlocal called
            if called:
                raise RuntimeError("a fault of the server")
            called = True
            return await receive()

        await app(scope, broken, send)

    with pytest.raises(RuntimeError, match="a fault of the server"):
        async with call(server, "POST", "/v1/responses", json={**REQUEST, "stream": stream}) as exchange:
            await exchange.finish()
    assert host.finished.is_set()
