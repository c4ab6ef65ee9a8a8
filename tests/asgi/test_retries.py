"""Chat calls that are made again: what the host sees of it, what the client does not, and when there are none."""

from __future__ import annotations

import gc
import logging
import tracemalloc
from typing import Any

import anyio
import pytest
from starlette.types import Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.asgi import host_answer
from responses_shim.runtime import retry
from tests.caller import DEADLINE, Reply, call, payloads, post
from tests.hosts.replay import recorded
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import (
    DONE,
    EVENT_STREAM,
    Hold,
    Json,
    Raise,
    Return,
    Script,
    ScriptedHost,
    Start,
    Step,
    Wait,
    call_answer,
    chunk,
    frame,
    read_body,
    text_answer,
)
from tests.waiting import streamed

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

REQUEST: dict[str, Any] = {"model": "scripted", "input": "Hi"}
STREAMED = {**REQUEST, "stream": True}
LIMITED = Json(429, {"error": {"message": "Later.", "type": "rate_limit_error"}}, [(b"x-attempt", b"refused")])
BUSY = Json(503, {"detail": {"error": "text_generation_busy", "message": "busy; retry later"}})
ANSWER = text_answer("Hello")
streaming = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])


def text_of(reply: Reply) -> str:
    """The text of a complete response, streamed or not."""
    response = reply.json if reply.headers["content-type"] == "application/json" else None
    if response is None:
        events = payloads(reply.events)
        check_stream(events)
        response = events[-1]["response"]
    check_response(response)
    return "".join(part["text"] for item in response["output"] for part in item["content"])


@streaming
@pytest.mark.parametrize("refusals", [[LIMITED], [BUSY, LIMITED], [Json(503, None), LIMITED, BUSY]])
async def test_a_host_that_is_busy_is_asked_again(refusals: list[Step], stream: bool) -> None:
    scripts: list[Script] = [*([refusal] for refusal in refusals), ANSWER]
    host = ScriptedHost(*scripts)
    reply = await post(ResponsesShim(host), "/v1/responses", {**REQUEST, "stream": stream})
    assert (reply.status, text_of(reply)) == (200, "Hello")
    assert len(host.requests) == len(refusals) + 1
    assert all(request == host.requests[0] for request in host.requests)


@streaming
async def test_nothing_of_a_failed_call_is_in_the_response(stream: bool) -> None:
    refusal: list[Step] = [
        Start(429, [(b"x-refused", b"1"), (b"set-cookie", b"a=1"), (b"retry-after", b"0")]),
        b"Later.",
    ]
    host = ScriptedHost(refusal, [Start(200, [*EVENT_STREAM, (b"x-answered", b"1")]), *ANSWER])
    reply = await post(ResponsesShim(host), "/v1/responses", {**REQUEST, "stream": stream})
    assert reply.headers["x-answered"] == "1"
    assert not {"x-refused", "set-cookie", "retry-after"} & {*reply.headers}
    assert b"Later" not in reply.body


async def test_each_call_has_a_request_id_of_its_own() -> None:
    host = ScriptedHost([LIMITED], [LIMITED], ANSWER)
    await post(ResponsesShim(host), "/v1/responses", STREAMED, headers={"x-request-id": "mine"})
    ids = {headers["x-request-id"] for headers in host.headers}
    assert len(ids) == 3
    assert "mine" not in ids


@streaming
async def test_after_three_retries_the_client_gets_the_last_error(stream: bool) -> None:
    host = ScriptedHost([LIMITED], [LIMITED], [LIMITED], [Json(429, {"error": {"message": "Last."}}, [(b"x-n", b"4")])])
    reply = await post(ResponsesShim(host), "/v1/responses", {**REQUEST, "stream": stream})
    check_error(reply.json)
    assert (reply.status, reply.json["error"]["message"], reply.headers["x-n"]) == (429, "Last.", "4")
    assert "x-attempt" not in reply.headers
    assert len(host.requests) == 4


@pytest.mark.parametrize(("retries", "calls"), [(0, 1), (1, 2), (5, 6)])
async def test_how_many_there_are_is_a_setting(retries: int, calls: int) -> None:
    host = ScriptedHost([LIMITED])
    assert (await post(ResponsesShim(host, max_retries=retries), "/v1/responses", STREAMED)).status == 429
    assert len(host.requests) == calls


@streaming
@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (Json(400, {"error": "no"}), 400),
        (Json(401, {"error": "no"}), 401),
        (Json(403, {"error": "no"}), 403),
        (Json(404, {"error": "no"}), 404),
        (Json(500, {"error": "no"}), 500),
        (Json(502, {"error": "no"}), 502),
        (Json(503, {"error": "The engine is dead."}), 503),
        (Json(429, {"error": {"message": "Spent.", "code": "insufficient_quota"}}), 429),
        (Json(429, {"error": {"message": "maximum context length is 8", "code": "context_length_exceeded"}}), 400),
        (Start(302, []), 502),
        (Raise(RuntimeError("boom")), 500),
        (Return(), 502),
    ],
)
async def test_what_would_fail_again_is_not_tried_again(failure: Step, status: int, stream: bool) -> None:
    host = ScriptedHost([failure])
    assert (await post(ResponsesShim(host), "/v1/responses", {**REQUEST, "stream": stream})).status == status
    assert len(host.requests) == 1


@streaming
@pytest.mark.parametrize(
    "answer",
    [
        [chunk("a"), frame({"error": {"message": "busy", "code": 429}}), DONE],
        [chunk("", role="assistant"), frame({"error": {"message": "busy", "code": 429}}), DONE],
        [chunk("a"), Raise(RuntimeError("boom"))],
        [Start(200, EVENT_STREAM), Return()],
    ],
)
async def test_a_host_that_has_begun_to_answer_is_not_asked_again(answer: list[Step], stream: bool) -> None:
    host = ScriptedHost(answer)
    await post(ResponsesShim(host), "/v1/responses", {**REQUEST, "stream": stream})
    assert len(host.requests) == 1


async def test_an_error_whose_body_never_ends_is_one_to_retry_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_answer, "ERROR_BODY_TIMEOUT", 0.01)
    host = ScriptedHost([Start(429, []), b"slow ", Hold()], ANSWER)
    assert text_of(await post(ResponsesShim(host), "/v1/responses", STREAMED)) == "Hello"


# When -----------------------------------------------------------------------------------------------------------------


async def test_the_host_says_when() -> None:
    host = ScriptedHost([Json(429, {"error": "no"}, [(b"retry-after", b"0")])], ANSWER)
    assert text_of(await post(ResponsesShim(host), "/v1/responses", STREAMED)) == "Hello"


@pytest.mark.parametrize(("stream", "seconds"), [(True, b"5"), (False, b"60")])
async def test_a_host_that_asks_for_longer_is_passed_on(stream: bool, seconds: bytes) -> None:
    """Longer than it takes until the stream begins, or than anybody waits."""
    host = ScriptedHost([Json(429, {"error": "no"}, [(b"retry-after", seconds)])], ANSWER)
    reply = await post(ResponsesShim(host), "/v1/responses", {**REQUEST, "stream": stream})
    assert (reply.status, reply.headers["retry-after"]) == (429, seconds.decode())
    assert len(host.requests) == 1


async def test_a_stream_that_has_begun_is_not_tried_again() -> None:
    """It is older than `commit_after`, and has an end of its own: an event."""
    go = anyio.Event()
    host = ScriptedHost([Wait(go), LIMITED], ANSWER)
    async with call(ResponsesShim(host, commit_after=0.01), "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        go.set()
        events = payloads(await exchange.events())
    check_stream(events)
    assert events[-1]["response"]["error"]["code"] == "rate_limit_exceeded"
    assert len(host.requests) == 1


async def test_a_stream_that_would_begin_in_the_wait_fails_with_its_status_instead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 60.0)
    host = ScriptedHost([LIMITED])
    reply = await post(ResponsesShim(host), "/v1/responses", STREAMED)
    assert (reply.status, reply.headers["x-attempt"]) == (429, "refused")
    assert len(host.requests) == 1


async def test_a_stream_that_begins_during_another_call_has_nothing_of_the_failed_one() -> None:
    go = anyio.Event()
    host = ScriptedHost([LIMITED], [Wait(go), *ANSWER])
    async with call(ResponsesShim(host, commit_after=0.1), "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        assert "x-attempt" not in exchange.headers
        go.set()
        events = payloads(await exchange.events())
    check_stream(events)
    assert events[-1]["type"] == "response.completed"
    assert len(host.requests) == 2


async def waiting(exchange: Any, host: ScriptedHost) -> None:
    """Wait until the first call is over, and the next one waited for."""
    with anyio.fail_after(DEADLINE):
        await host.finished.wait()
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
    assert not exchange.ended.is_set()


@streaming
async def test_a_client_that_leaves_ends_the_wait(monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 60.0)
    monkeypatch.setattr(retry, "MAX_DELAY", 60.0)
    host = ScriptedHost([LIMITED])
    app = ResponsesShim(host, commit_after=600)
    async with call(app, "POST", "/v1/responses", json={**REQUEST, "stream": stream}) as exchange:
        await waiting(exchange, host)
        await exchange.disconnect()
        await exchange.finish()
        assert not exchange.sent
    assert len(host.requests) == 1


async def test_a_server_that_cancels_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 60.0)
    monkeypatch.setattr(retry, "MAX_DELAY", 60.0)
    host = ScriptedHost([LIMITED])
    shim = ResponsesShim(host)
    server = anyio.CancelScope()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with server:
            await shim(scope, receive, send)

    async with call(app, "POST", "/v1/responses", json=REQUEST) as exchange:
        await waiting(exchange, host)
        server.cancel()
        await exchange.finish()
    assert len(host.requests) == 1


# Who else is asked again ---------------------------------------------------------------------------------------------


async def test_a_response_in_the_background_is_tried_again() -> None:
    host = ScriptedHost([LIMITED], [LIMITED], ANSWER)
    shim = ResponsesShim(host)
    async with shim.running():
        reply = await post(shim, "/v1/responses", {**STREAMED, "background": True})
        events = payloads(reply.events)
    check_stream(events)
    assert events[-1]["type"] == "response.completed"
    assert len(host.requests) == 3


async def test_a_later_round_is_tried_again() -> None:
    """The stream has begun long ago, but not by this call."""
    host = ScriptedHost(call_answer(("call_1", "f", "{}")), [LIMITED], [BUSY], ANSWER)
    shim = ResponsesShim(host, commit_after=0)
    async with streamed(shim) as stream:
        path = f"/v1/responses/{await stream.called()}/tool_outputs"
        assert (await post(shim, path, {"tool_call_id": "call_1", "output": "1"})).status == 200
        response = await stream.rest()
    assert response["status"] == "completed"
    assert len(host.requests) == 4


# vllm-mlx, which says that it is busy in its stream -------------------------------------------------------------------

ROLE = chunk("", role="assistant")
REFUSED = frame({"error": {"message": "Internal server error", "type": "InternalServerError", "code": 500}})


@streaming
@pytest.mark.parametrize(
    "refusal",
    [
        [ROLE, REFUSED, DONE],
        [ROLE + REFUSED + DONE],
        [b": wait\n\n", ROLE[:20], ROLE[20:], REFUSED[:9], REFUSED[9:], chunk("never"), DONE],
        [REFUSED],
        [ROLE, REFUSED, Return()],
        [ROLE, REFUSED, Raise(RuntimeError("boom"))],
    ],
)
async def test_an_error_before_the_answer_is_one_to_retry_on_vllm_mlx(refusal: list[Step], stream: bool) -> None:
    host = ScriptedHost(refusal, refusal, ANSWER)
    reply = await post(ResponsesShim(host, host="vllm-mlx"), "/v1/responses", {**REQUEST, "stream": stream})
    assert text_of(reply) == "Hello"
    assert len(host.requests) == 3


@streaming
async def test_the_recorded_refusal_of_vllm_mlx_is_tried_again(stream: bool) -> None:
    host = recorded("mlx/vllm-mlx", "busy_stream")
    reply = await post(ResponsesShim(host, host="vllm-mlx"), "/v1/responses", {**REQUEST, "stream": stream})
    assert (reply.status, len(host.requests)) == (503, 4)
    assert "VLLM_MLX_SIMPLE_ENGINE_LOCK_ADMISSION" in reply.json["error"]["message"]


@pytest.mark.parametrize(
    "answer",
    [
        [ROLE, chunk("Hel"), chunk("lo"), chunk(finish_reason="stop"), DONE],
        [ROLE, b": wait\n\n", chunk("Hello"), chunk(finish_reason="stop"), DONE],
        [b"".join(step for step in ANSWER if isinstance(step, bytes))],
    ],
)
@streaming
async def test_what_is_held_of_an_answer_is_not_lost(answer: list[Step], stream: bool) -> None:
    shim = ResponsesShim(ScriptedHost(answer), host="vllm-mlx")
    assert text_of(await post(shim, "/v1/responses", {**REQUEST, "stream": stream})) == "Hello"


async def test_an_error_before_the_answer_is_an_event_if_there_is_no_time_to_retry() -> None:
    go = anyio.Event()
    host = ScriptedHost([ROLE, Wait(go), REFUSED, DONE], ANSWER)
    app = ResponsesShim(host, host="vllm-mlx", commit_after=0.01)
    async with call(app, "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        go.set()
        events = payloads(await exchange.events())
    check_stream(events)
    assert events[-2]["error"]["status"] == 503
    assert len(host.requests) == 1


async def test_a_host_that_dies_behind_its_error_is_given_up_if_the_wait_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error is read then, as if nothing had been planned."""

    async def never(self: object) -> bool:
        return False

    monkeypatch.setattr(retry.Retries, "wait", never)
    headers = [*EVENT_STREAM, (b"x-host", b"1")]
    host = ScriptedHost([Start(200, headers), ROLE, REFUSED, Hold()])
    monkeypatch.setattr(host_answer, "ERROR_BODY_TIMEOUT", 0.01)
    reply = await post(ResponsesShim(host, host="vllm-mlx"), "/v1/responses", STREAMED)
    check_error(reply.json)
    assert (reply.status, reply.headers["x-host"]) == (503, "1")


# What is kept, and what is said --------------------------------------------------------------------------------------


async def test_the_log_line_counts_the_retries(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "responses_shim")
    await post(ResponsesShim(ScriptedHost([LIMITED], [BUSY], ANSWER)), "/v1/responses", STREAMED)
    assert ", 2 retries" in caplog.messages[-1]
    await post(ResponsesShim(ScriptedHost(ANSWER)), "/v1/responses", STREAMED)
    assert "retries" not in caplog.messages[-1]


@streaming
async def test_so_does_the_report(stream: bool) -> None:
    for host, report in (
        (ScriptedHost([LIMITED], [BUSY], ANSWER), "retries=2"),
        (ScriptedHost([LIMITED]), "retries=3"),
    ):
        reply = await post(ResponsesShim(host), "/v1/responses", {**REQUEST, "stream": stream})
        assert reply.headers["responses-shim-report"] == report
    reply = await post(ResponsesShim(ScriptedHost(ANSWER)), "/v1/responses", {**REQUEST, "stream": stream})
    assert "responses-shim-report" not in reply.headers


@pytest.mark.parametrize(("host", "retries"), [("generic", 3), ("vllm-mlx", 3), ("generic", 0)])
async def test_the_request_is_kept_until_the_answer_begins(host: Any, retries: int) -> None:
    """It may be of megabytes. Before that it is kept once, encoded; without retries not even that."""
    size, allocated = 1_000_000, []

    def measure() -> None:
        gc.collect()
        allocated.append(tracemalloc.get_traced_memory()[0] / size)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await anyio.lowlevel.checkpoint()
        measure()
        await send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM})
        await send({"type": "http.response.body", "body": ROLE + chunk("a"), "more_body": True})
        measure()
        await send({"type": "http.response.body", "body": chunk(finish_reason="stop") + DONE, "more_body": False})

    shim = ResponsesShim(app, host=host, max_retries=retries, auth_probe="off")
    body = {**STREAMED, "input": "x" * size, "store": False}
    await post(shim, "/v1/responses", body)  # so that what is loaded once has been
    allocated.clear()
    tracemalloc.start()
    try:
        assert (await post(shim, "/v1/responses", body)).status == 200
    finally:
        tracemalloc.stop()
    before, after = allocated
    assert before < (2.3 if retries else 1.2)
    assert after < 1.2
