"""When the answer begins: until then a failure is an HTTP error with its status, from then on an event."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from responses_shim import ResponsesShim
from tests.caller import call, payloads, post
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import (
    DONE,
    EVENT_STREAM,
    Json,
    Raise,
    Return,
    ScriptedHost,
    Start,
    Step,
    Wait,
    chunk,
    frame,
    text_answer,
    usage,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

REQUEST = {"model": "scripted", "input": "Hi"}
STREAMED = {**REQUEST, "stream": True}
COMMENT = b": still thinking\n\n"

BUSY = Json(429, {"error": {"message": "busy", "type": "rate_limit", "param": None, "code": None}})
FAILURES: list[tuple[Step, int, str]] = [
    (BUSY, 429, "rate_limit_exceeded"),
    (Json(503, {"detail": "starting"}), 503, "server_error"),
    (Json(401, {"error": "no key"}), 401, "invalid_prompt"),
    (Json(422, {"detail": [{"loc": ["body", "messages"], "msg": "bad", "type": "x"}]}), 400, "invalid_prompt"),
    (Raise(RuntimeError("boom")), 500, "server_error"),
    (Return(), 502, "server_error"),
    (Start(200, []), 502, "server_error"),
]
failures = pytest.mark.parametrize(("failure", "status", "code"), FAILURES)


async def committed_by_clock(exchange: Any) -> None:
    assert await exchange.start() == 200
    assert (await exchange.next_event()).name == "response.created"
    assert (await exchange.next_event()).name == "response.in_progress"


@pytest.mark.parametrize("first", [chunk("a"), chunk(reasoning="a"), chunk("", role="assistant") + chunk("a")])
async def test_the_first_chunk_with_any_of_the_answer_begins_it(first: bytes) -> None:
    go = anyio.Event()
    host = ScriptedHost([first, Wait(go), *text_answer("b")])
    async with call(ResponsesShim(host), "POST", "/v1/responses", json=STREAMED) as exchange:
        await committed_by_clock(exchange)
        go.set()
        await exchange.read()
    assert exchange.body.endswith(DONE)


async def test_a_comment_does_not_begin_it() -> None:
    reply = await post(ResponsesShim(ScriptedHost([COMMENT, COMMENT, Return()])), "/v1/responses", STREAMED)
    check_error(reply.json)
    assert reply.status == 502


@failures
@pytest.mark.parametrize("stream", [True, False])
async def test_before_the_first_chunk_a_failure_is_an_http_error(
    failure: Step, status: int, code: str, stream: bool
) -> None:
    reply = await post(ResponsesShim(ScriptedHost([failure])), "/v1/responses", {**REQUEST, "stream": stream})
    check_error(reply.json)
    assert reply.status == status
    assert reply.headers["content-type"] == "application/json"


@failures
async def test_after_the_commit_it_is_an_event(failure: Step, status: int, code: str) -> None:
    go = anyio.Event()
    app = ResponsesShim(ScriptedHost([Wait(go), failure]), commit_after=0.01)
    async with call(app, "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        go.set()
        events = payloads(await exchange.events())
    check_stream(events)
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert events[-1]["response"]["error"]["code"] == events[-2]["code"] == code


async def test_a_silent_prefill_begins_the_answer_after_a_while() -> None:
    go = anyio.Event()
    host = ScriptedHost([Wait(go), *text_answer("a")])
    async with call(ResponsesShim(host, commit_after=0.02), "POST", "/v1/responses", json=STREAMED) as exchange:
        await committed_by_clock(exchange)
        assert not host.finished.is_set()
        go.set()
        await exchange.read()


async def test_a_commit_may_be_due_at_once() -> None:
    host = ScriptedHost([Wait(anyio.Event())])
    async with call(ResponsesShim(host, commit_after=0), "POST", "/v1/responses", json=STREAMED) as exchange:
        await committed_by_clock(exchange)


async def test_a_response_that_is_not_streamed_keeps_its_status_however_long_it_takes() -> None:
    """It is not begun when a streamed one beside it, of the same age, is."""
    go = anyio.Event()
    app = ResponsesShim(ScriptedHost([Wait(go), BUSY]), commit_after=0.02)
    async with (
        call(app, "POST", "/v1/responses", json=REQUEST) as whole,
        call(app, "POST", "/v1/responses", json=STREAMED) as streamed,
    ):
        await streamed.start()
        assert not whole.sent
        go.set()
        assert (await whole.reply()).status == 429
        await streamed.read()


# Headers -------------------------------------------------------------------------------------------------------------

OF_THE_HOST = [
    (b"access-control-allow-origin", b"*"),
    (b"set-cookie", b"a=1"),
    (b"set-cookie", b"b=2"),
    (b"x-request-id", b"of-the-host"),
]


async def test_the_hosts_headers_come_with_the_first_chunk() -> None:
    host = ScriptedHost([Start(200, [*EVENT_STREAM, *OF_THE_HOST]), *text_answer("a")])
    for stream in (True, False):
        reply = await post(ResponsesShim(host), "/v1/responses", {**REQUEST, "stream": stream})
        assert reply.headers.raw[: len(OF_THE_HOST)] == OF_THE_HOST


async def test_a_commit_by_the_clock_has_the_hosts_headers_if_they_have_come() -> None:
    go = anyio.Event()
    host = ScriptedHost([Start(200, [*EVENT_STREAM, *OF_THE_HOST]), Wait(go), *text_answer("a")])
    async with call(ResponsesShim(host, commit_after=0.01), "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        assert exchange.headers.getlist("set-cookie") == ["a=1", "b=2"]
        go.set()
        await exchange.read()


async def test_a_commit_by_the_clock_goes_out_without_the_hosts_headers_if_they_have_not() -> None:
    go = anyio.Event()
    host = ScriptedHost([Wait(go), Start(200, [*EVENT_STREAM, *OF_THE_HOST]), *text_answer("a")])
    async with call(ResponsesShim(host, commit_after=0.01), "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        assert [name for name, _ in exchange.headers.raw] == [b"content-type", b"cache-control", b"x-accel-buffering"]
        go.set()
        await exchange.read()


# Errors inside the stream --------------------------------------------------------------------------------------------

ERROR = frame({"error": {"message": "boom", "type": "BadRequestError", "param": None, "code": 400}})


@pytest.mark.parametrize("before", [[], [COMMENT]])
@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_frame_that_comes_first_is_an_http_error(before: list[Step], stream: bool) -> None:
    script = [*before, ERROR, chunk(finish_reason="stop"), DONE]
    reply = await post(ResponsesShim(ScriptedHost(script)), "/v1/responses", {**REQUEST, "stream": stream})
    check_error(reply.json)
    assert (reply.status, reply.json["error"]["message"]) == (400, "boom")


ROLE = chunk("", role="assistant")
BUSY_FRAME = frame({"error": {"message": "busy", "code": "text_generation_busy"}})


@pytest.mark.parametrize(
    ("before", "error", "status"),
    [
        ([ROLE], ERROR, 400),
        ([ROLE, b"data: {}\n\n", chunk(usage=usage(7, 0))], ERROR, 400),
        ([ROLE], BUSY_FRAME, 503),
        ([ROLE], frame({"error": {"message": "busy", "code": "429"}}), 429),
        ([ROLE], frame({"error": {"message": "gone", "type": "InternalServerError", "code": 500}}), 500),
        ([ROLE, chunk(finish_reason="stop")], ERROR, 400),
        ([ROLE], chunk(finish_reason="abort"), 502),
        ([ROLE], Raise(RuntimeError("boom")), 500),
        ([ROLE], Return(), 502),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_behind_the_role_is_an_http_error(
    before: list[Step], error: Step, status: int, stream: bool
) -> None:
    """vllm-mlx answers with 200 and the role, and then says that it is busy."""
    script = [*before, error] if isinstance(error, Return) else [*before, error, DONE]
    reply = await post(ResponsesShim(ScriptedHost(script)), "/v1/responses", {**REQUEST, "stream": stream})
    check_error(reply.json)
    assert reply.status == status


async def test_a_host_that_falls_silent_behind_the_role_does_not_delay_the_answer() -> None:
    go = anyio.Event()
    app = ResponsesShim(ScriptedHost([ROLE, Wait(go), ERROR, DONE]), commit_after=0.01)
    async with call(app, "POST", "/v1/responses", json=STREAMED) as exchange:
        await committed_by_clock(exchange)
        go.set()
        events = payloads(await exchange.events())
    assert events[-1]["type"] == "response.failed"


async def test_an_error_frame_after_text_is_an_event() -> None:
    reply = await post(ResponsesShim(ScriptedHost([ROLE, chunk("a"), ERROR, DONE])), "/v1/responses", STREAMED)
    assert reply.status == 200
    events = payloads(reply.events)
    check_stream(events)
    assert events[-1]["response"]["error"] == {"code": "invalid_prompt", "message": "boom"}
    assert events[-1]["response"]["output"][0]["status"] == "incomplete"


async def test_an_error_after_text_is_an_http_error_if_nothing_is_streamed() -> None:
    reply = await post(ResponsesShim(ScriptedHost([chunk("a"), ERROR, DONE])), "/v1/responses", REQUEST)
    check_error(reply.json)
    assert (reply.status, reply.json["error"]["message"]) == (400, "boom")


async def test_a_whole_response_needs_no_patience() -> None:
    check_response((await post(ResponsesShim(ScriptedHost()), "/v1/responses", REQUEST)).json)
