"""The commit: when the HTTP answer starts. A failure before it is an HTTP error with its status, after it an event."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from responses_shim import ResponsesShim
from tests.caller import Exchange, call, payloads, post
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


async def read_opening(exchange: Exchange) -> None:
    """Read the two events that open a stream."""
    assert await exchange.start() == 200
    events = [await exchange.next_event() for _ in range(2)]
    assert [event and event.name for event in events] == ["response.created", "response.in_progress"]


@pytest.mark.parametrize("first", [chunk("a"), chunk(reasoning="a"), chunk("", role="assistant") + chunk("a")])
async def test_the_first_chunk_with_any_of_the_answer_starts_it(first: bytes) -> None:
    go = anyio.Event()
    host = ScriptedHost([first, Wait(go), *text_answer("b")])
    async with call(ResponsesShim(host), "POST", "/v1/responses", json=STREAMED) as exchange:
        await read_opening(exchange)
        go.set()
        await exchange.read()
    assert exchange.body.endswith(DONE)


async def test_a_comment_does_not_start_the_answer() -> None:
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
async def test_after_the_commit_a_failure_is_an_event(failure: Step, status: int, code: str) -> None:
    go = anyio.Event()
    app = ResponsesShim(ScriptedHost([Wait(go), failure]), commit_after=0.01)
    async with call(app, "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        go.set()
        events = payloads(await exchange.events())
    check_stream(events)
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert events[-1]["response"]["error"]["code"] == events[-2]["code"] == code
    assert events[-2]["error"]["status"] == status


@failures
async def test_after_the_commit_the_event_has_what_the_http_error_would_have_had(
    failure: Step, status: int, code: str
) -> None:
    """Its code only if it has one: else that of `response.error`, for a client must be able to tell by it."""
    before = await post(ResponsesShim(ScriptedHost([failure])), "/v1/responses", STREAMED)
    go = anyio.Event()
    app = ResponsesShim(ScriptedHost([Wait(go), failure]), commit_after=0)
    async with call(app, "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        go.set()
        after = payloads(await exchange.events())[-2]["error"]
    error = before.json["error"]
    assert after == {**error, "code": error["code"] or code, "status": before.status}


async def test_without_a_chunk_the_answer_starts_after_commit_after_seconds() -> None:
    go = anyio.Event()
    host = ScriptedHost([Wait(go), *text_answer("a")])
    async with call(ResponsesShim(host, commit_after=0.02), "POST", "/v1/responses", json=STREAMED) as exchange:
        await read_opening(exchange)
        assert not host.finished.is_set()
        go.set()
        await exchange.read()


async def test_with_commit_after_zero_the_answer_starts_at_once() -> None:
    host = ScriptedHost([Wait(anyio.Event())])
    async with call(ResponsesShim(host, commit_after=0), "POST", "/v1/responses", json=STREAMED) as exchange:
        await read_opening(exchange)


async def test_a_response_that_is_not_streamed_keeps_its_status_however_long_it_takes() -> None:
    """It has not started when a streamed one of the same age has."""
    go = anyio.Event()
    app = ResponsesShim(ScriptedHost([Wait(go), BUSY]), commit_after=0.02)
    async with (
        call(app, "POST", "/v1/responses", json=REQUEST) as unstreamed,
        call(app, "POST", "/v1/responses", json=STREAMED) as streamed,
    ):
        await streamed.start()
        assert not unstreamed.sent
        go.set()
        assert (await unstreamed.reply()).status == 429
        await streamed.read()


# Headers -------------------------------------------------------------------------------------------------------------

HOST_HEADERS = [
    (b"access-control-allow-origin", b"*"),
    (b"set-cookie", b"a=1"),
    (b"set-cookie", b"b=2"),
    (b"x-request-id", b"of-the-host"),
]


async def test_the_hosts_headers_come_with_the_first_chunk() -> None:
    host = ScriptedHost([Start(200, [*EVENT_STREAM, *HOST_HEADERS]), *text_answer("a")])
    for stream in (True, False):
        reply = await post(ResponsesShim(host), "/v1/responses", {**REQUEST, "stream": stream})
        assert reply.headers.raw[: len(HOST_HEADERS)] == HOST_HEADERS


async def test_an_answer_that_starts_without_a_chunk_has_the_hosts_headers_if_they_have_come() -> None:
    go = anyio.Event()
    host = ScriptedHost([Start(200, [*EVENT_STREAM, *HOST_HEADERS]), Wait(go), *text_answer("a")])
    async with call(ResponsesShim(host, commit_after=0.01), "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        assert exchange.headers.getlist("set-cookie") == ["a=1", "b=2"]
        go.set()
        await exchange.read()


async def test_an_answer_that_starts_before_the_hosts_headers_have_come_has_none_of_them() -> None:
    go = anyio.Event()
    host = ScriptedHost([Wait(go), Start(200, [*EVENT_STREAM, *HOST_HEADERS]), *text_answer("a")])
    async with call(ResponsesShim(host, commit_after=0.01), "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        assert [name for name, _ in exchange.headers.raw] == [b"content-type", b"cache-control", b"x-accel-buffering"]
        go.set()
        await exchange.read()


# Errors inside the stream --------------------------------------------------------------------------------------------

ERROR = frame({"error": {"message": "boom", "type": "BadRequestError", "param": None, "code": 400}})


@pytest.mark.parametrize("before", [[], [COMMENT]])
@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_frame_before_any_chunk_is_an_http_error(before: list[Step], stream: bool) -> None:
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
        await read_opening(exchange)
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


async def test_a_response_that_is_not_streamed_is_valid() -> None:
    check_response((await post(ResponsesShim(ScriptedHost()), "/v1/responses", REQUEST)).json)
