"""A client that leaves: its engine is freed at once, nothing is left behind, and nothing is logged as an error."""

from __future__ import annotations

import logging

import anyio
import anyio.lowlevel
import pytest
from starlette.types import Message, Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.runtime import run as runs
from tests.caller import DEADLINE, call
from tests.runtime.sockets import breaking
from tests.scripted import Hold, Json, ScriptedHost, Start, Step, Wait, chunk, text_answer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left", "nothing_logged")]

REQUEST = {"model": "scripted", "input": "Hi"}
STREAMED = {**REQUEST, "stream": True}

streaming = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])
silences = pytest.mark.parametrize(
    "before", [[], [Start()], [chunk("", role="assistant")], [chunk("a")]], ids=["nothing", "headers", "role", "text"]
)


@pytest.fixture(autouse=True)
def no_deadline_for_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shim cancels no call within the time of a test, so a host that stops has learned of the disconnect."""
    monkeypatch.setattr(runs, "CANCEL_SECONDS", 60)


async def wait_for(event: anyio.Event) -> None:
    with anyio.fail_after(DEADLINE):
        await event.wait()


@streaming
@silences
async def test_a_host_that_listens_stops_at_once(before: list[Step], stream: bool) -> None:
    host = ScriptedHost([*before, Hold()])
    async with call(ResponsesShim(host), "POST", "/v1/responses", json={**REQUEST, "stream": stream}) as exchange:
        await host.called.wait()
        if stream and before and isinstance(before[-1], bytes):
            await exchange.start()
        sent = len(exchange.sent)
        await exchange.disconnect()
        await wait_for(host.disconnected)
        await wait_for(exchange.ended)
        assert len(exchange.sent) == sent
    assert host.finished.is_set()


@streaming
@silences
async def test_a_host_that_listens_only_between_tokens_stops(before: list[Step], stream: bool) -> None:
    """It does not listen while it generates, but calls `receive` when it has nothing to send."""
    host = ScriptedHost([*before, Hold()], listens=False)
    async with call(ResponsesShim(host), "POST", "/v1/responses", json={**REQUEST, "stream": stream}) as exchange:
        await host.called.wait()
        await exchange.disconnect()
        await wait_for(host.disconnected)
        await wait_for(exchange.ended)


@streaming
@silences
async def test_a_host_that_never_listens_is_cancelled(
    before: list[Step], stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "CANCEL_SECONDS", 0.02)
    host = ScriptedHost([*before, Wait(anyio.Event())], listens=False)
    async with call(ResponsesShim(host), "POST", "/v1/responses", json={**REQUEST, "stream": stream}) as exchange:
        await host.called.wait()
        await exchange.disconnect()
        await wait_for(host.disconnected)
        await wait_for(exchange.ended)


@streaming
async def test_a_host_that_never_listens_stops_at_its_next_token(stream: bool) -> None:
    go = anyio.Event()
    host = ScriptedHost([chunk("a"), Wait(go), chunk("b"), Wait(anyio.Event())], listens=False)
    async with call(ResponsesShim(host), "POST", "/v1/responses", json={**REQUEST, "stream": stream}) as exchange:
        await host.called.wait()
        await exchange.disconnect()
        go.set()
        await wait_for(host.disconnected)
        await wait_for(exchange.ended)


@pytest.mark.parametrize("listens", [True, False])
async def test_a_client_that_leaves_right_after_the_commit_frees_the_engine(listens: bool) -> None:
    host = ScriptedHost([Hold()], listens=listens)
    async with call(ResponsesShim(host, commit_after=0), "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        await exchange.disconnect()
        await wait_for(host.disconnected)
        await wait_for(exchange.ended)


@pytest.mark.parametrize("listens", [True, False])
@pytest.mark.parametrize("after", range(5))
async def test_a_socket_that_breaks_without_a_disconnect_frees_the_engine(after: int, listens: bool) -> None:
    script = [*text_answer("a", "b", "c", "d", "e")[:-3], Hold()]
    host = ScriptedHost(script, listens=listens)
    app = breaking(ResponsesShim(host), after)
    async with call(app, "POST", "/v1/responses", json=STREAMED) as exchange:
        await wait_for(host.disconnected)
        await wait_for(exchange.ended)
        assert len(exchange.sent) == after


@pytest.mark.parametrize("after", range(4))
async def test_a_socket_that_breaks_in_the_commit_or_a_ping_frees_the_engine(after: int) -> None:
    host = ScriptedHost([Hold()])
    app = breaking(ResponsesShim(host, commit_after=0, ping_interval=0.01), after)
    async with call(app, "POST", "/v1/responses", json=STREAMED) as exchange:
        await wait_for(host.disconnected)
        await wait_for(exchange.ended)


@pytest.mark.parametrize("after", [0, 1])
async def test_a_socket_that_breaks_in_a_response_that_is_not_streamed_is_no_error(after: int) -> None:
    app = breaking(ResponsesShim(ScriptedHost()), after)
    async with call(app, "POST", "/v1/responses", json=REQUEST) as exchange:
        await wait_for(exchange.ended)
        assert len(exchange.sent) == after


@pytest.mark.parametrize("fields", [{"temperature": "hot"}, {}], ids=["ours", "the host's"])
async def test_a_socket_that_breaks_in_an_error_response_is_no_error(fields: dict[str, str]) -> None:
    host = ScriptedHost([Json(400, {"error": {"message": "no"}})])
    async with call(breaking(ResponsesShim(host), 0), "POST", "/v1/responses", json={**STREAMED, **fields}) as exchange:
        await wait_for(exchange.ended)


@pytest.mark.parametrize("body", [[], [b'{"model": "m", ']])
async def test_for_a_client_that_leaves_before_its_body_has_come_the_host_is_not_called(body: list[bytes]) -> None:
    host = ScriptedHost()
    messages: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in body]

    async def hanging_up(scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_part() -> Message:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        await ResponsesShim(host)(scope, receive_part, send)

    async with call(hanging_up, "POST", "/v1/responses", headers={"content-type": "application/json"}) as exchange:
        await wait_for(exchange.ended)
        assert not exchange.sent
    assert not host.requests


async def test_other_messages_after_the_body_are_not_taken_for_a_disconnect() -> None:
    """Some servers go on giving empty parts of the body."""
    host = ScriptedHost([chunk("a"), Hold()])
    empty, read = 3, False

    async def repeating(scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_more() -> Message:
            nonlocal empty, read
            if read and empty:
                empty -= 1
                return {"type": "http.request", "body": b"", "more_body": False}
            read = True
            return await receive()

        await ResponsesShim(host)(scope, receive_more, send)

    async with call(repeating, "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        while empty:
            await anyio.lowlevel.checkpoint()
        assert not host.disconnected.is_set()
        await exchange.disconnect()
        await wait_for(exchange.ended)


async def test_an_exception_of_a_host_whose_client_has_left_is_not_logged() -> None:
    host = ScriptedHost([chunk("a"), Hold()])

    async def raising(scope: Scope, receive: Receive, send: Send) -> None:
        await host(scope, receive, send)
        raise RuntimeError("the client is gone")

    async with call(ResponsesShim(raising), "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        await exchange.disconnect()
        await wait_for(exchange.ended)


async def test_a_run_whose_client_has_left_is_logged_as_abandoned(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "responses_shim")
    async with call(
        ResponsesShim(ScriptedHost([chunk("a"), Hold()])), "POST", "/v1/responses", json=STREAMED
    ) as exchange:
        await exchange.start()
        await exchange.disconnect()
        await wait_for(exchange.ended)
    [line] = caplog.messages
    assert " abandoned in " in line


async def test_a_run_that_the_server_cancels_stops_the_engine_and_ends() -> None:
    """As a server does when it shuts down and has waited long enough."""
    host = ScriptedHost([chunk("a"), Wait(anyio.Event())])
    serving = anyio.CancelScope()

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        with serving:
            await ResponsesShim(host)(scope, receive, send)

    async with call(server, "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        serving.cancel()
        await wait_for(exchange.ended)
    assert host.finished.is_set()
    assert not exchange.complete
