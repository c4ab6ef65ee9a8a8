"""The call to the host: the request that its chat route gets, and answers of it that are no stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.asgi import host_answer
from tests.caller import Reply, call, payloads, post
from tests.oracle import check_error, check_stream
from tests.scripted import (
    EVENT_STREAM,
    Hold,
    Json,
    Raise,
    Return,
    ScriptedHost,
    Start,
    Step,
    frame,
    read_body,
    text_answer,
)

pytestmark = pytest.mark.anyio

REQUEST = {"model": "scripted", "input": "Hi"}
STREAMED = {**REQUEST, "stream": True}


async def inner_scope(**outer: Any) -> Scope:
    """The scope of the chat call for a request whose scope has these keys."""
    host = ScriptedHost()
    await post(ResponsesShim(host), "/v1/responses", REQUEST, scope=outer)
    return host.scopes[0]


async def failed(*steps: Step, **fields: Any) -> Reply:
    """The HTTP error that a request gets when the host takes these steps."""
    reply = await post(ResponsesShim(ScriptedHost(steps)), "/v1/responses", {**STREAMED, **fields})
    check_error(reply.json)
    return reply


# The request that the host gets --------------------------------------------------------------------------------------


async def test_the_host_gets_an_ordinary_chat_request() -> None:
    scope = await inner_scope(query_string=b"beta=true")
    assert (scope["method"], scope["path"], scope["query_string"]) == ("POST", "/v1/chat/completions", b"")
    assert scope["raw_path"] == b"/v1/chat/completions"
    assert scope["client"] == ("127.0.0.1", 50000)
    assert scope["scheme"] == "http"


@pytest.mark.parametrize("stream", [True, False])
async def test_the_host_is_always_asked_to_stream_and_to_send_usage(stream: bool) -> None:
    host = ScriptedHost()
    await post(ResponsesShim(host), "/v1/responses", {**REQUEST, "stream": stream})
    assert host.requests[0]["stream"] is True
    assert host.requests[0]["stream_options"] == {"include_usage": True}


async def test_keys_that_another_route_left_in_the_scope_are_not_passed_on() -> None:
    of_the_route = {"endpoint": object(), "path_params": {"a": "b"}, "route": object(), "router": object()}
    scope = await inner_scope(**of_the_route, app="kept")
    assert not of_the_route.keys() & scope.keys()
    assert scope["app"] == "kept"


async def test_the_host_gets_a_copy_of_the_state() -> None:
    outer = {"engine": object()}

    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["state"] == outer
        scope["state"]["request"] = 1
        await ScriptedHost()(scope, receive, send)

    assert (await post(ResponsesShim(host), "/v1/responses", REQUEST, scope={"state": outer})).status == 200
    assert outer.keys() == {"engine"}


async def test_extensions_that_would_bypass_the_shim_are_not_offered_to_the_host() -> None:
    offered = {"tls": {"version": 1}, "http.response.pathsend": {}, "http.response.trailers": {}}
    assert (await inner_scope(extensions=offered))["extensions"] == {"tls": {"version": 1}}
    assert (await inner_scope(extensions=None))["extensions"] == {}


async def test_the_scope_of_the_client_is_not_changed() -> None:
    kept: list[tuple[Scope, Scope]] = []
    app = ResponsesShim(ScriptedHost())

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        before = dict(scope)
        await app(scope, receive, send)
        kept.append((before, scope))

    await post(server, "/v1/responses", REQUEST)
    [(before, after)] = kept
    assert before == after


async def test_of_an_error_page_of_the_host_two_kilobytes_are_sent_on() -> None:
    for body in (b"<html>" + b"x" * 100_000, b"Bad gateway. " * 10_000):
        reply = await failed(Start(502, ()), body)
        assert reply.status == 502
        assert len(reply.json["error"]["message"].encode()) <= 2048


async def test_receive_gives_the_host_the_body_once_and_then_only_the_disconnect() -> None:
    messages: list[Message] = []
    polled = anyio.Event()

    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        messages.append(await receive())
        with anyio.move_on_after(0.01):
            messages.append(await receive())  # cancelled, as in hosts that poll
        polled.set()
        messages.append(await receive())
        messages.append(await receive())

    async with call(ResponsesShim(host), "POST", "/v1/responses", json=REQUEST) as exchange:
        await polled.wait()
        assert [message["type"] for message in messages] == ["http.request"]
        await exchange.disconnect()
        await exchange.finish()
    assert messages[0]["more_body"] is False
    assert [message["type"] for message in messages[1:]] == ["http.disconnect", "http.disconnect"]


async def test_messages_that_are_neither_start_nor_body_are_passed_over() -> None:
    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await send({"type": "http.response.debug", "info": {}})
        await send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM})
        await send({"type": "http.response.early_hint", "links": []})
        for step in text_answer("a"):
            await send({"type": "http.response.body", "body": step, "more_body": True})
        await send({"type": "http.response.trailers", "headers": []})
        await send({"type": "http.response.body"})

    check_stream(payloads((await post(ResponsesShim(host), "/v1/responses", STREAMED)).events))


@pytest.mark.parametrize(
    "content_type", [b"text/event-stream", b"Text/Event-Stream; charset=utf-8", b"text/plain", None]
)
async def test_an_answer_whose_media_type_is_not_json_is_read_as_a_stream(content_type: bytes | None) -> None:
    headers = [(b"Content-Type", content_type)] if content_type else []
    host = ScriptedHost([Start(200, headers), *text_answer("a")])
    check_stream(payloads((await post(ResponsesShim(host), "/v1/responses", STREAMED)).events))


JSON_ANSWER = b'{"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}'


@pytest.mark.parametrize("content_type", [b"text/event-stream", b"text/plain", b"application/problem+json", None])
@pytest.mark.parametrize(
    "body",
    [
        [JSON_ANSWER],
        [b"", b" \n", JSON_ANSWER],
        [JSON_ANSWER[:20], JSON_ANSWER[20:]],
        [JSON_ANSWER[:1], JSON_ANSWER[1:]],
    ],
)
async def test_a_json_answer_is_read_whatever_its_content_type(content_type: bytes | None, body: list[bytes]) -> None:
    headers = [(b"content-type", content_type)] if content_type else []
    host = ScriptedHost([Start(200, headers), *body])
    events = payloads((await post(ResponsesShim(host), "/v1/responses", STREAMED)).events)
    check_stream(events)
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "Hello"


async def test_a_json_error_with_the_content_type_of_a_stream_is_an_http_error() -> None:
    reply = await failed(Start(200, EVENT_STREAM), b'{"error": {"message": "busy", "code": "429"}}')
    assert (reply.status, reply.json["error"]["message"]) == (429, "busy")


# Errors, redirects and compressed answers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Too long.", "type": "invalid_request_error", "param": None, "code": None}},
        {"error": {"message": "Too long.", "type": "BadRequestError", "param": None, "code": 400}},
        {"object": "error", "message": "Too long.", "type": "BadRequestError", "param": None, "code": 400},
        {"error": "Too long."},
        {"detail": "Too long."},
        {"detail": [{"loc": ["body", "messages"], "msg": "Too long.", "type": "value_error"}]},
        {"detail": {"error": {"message": "Too long.", "type": "x", "code": "y"}}},
        "Too long.",
    ],
    ids=str,
)
async def test_every_shape_of_error_becomes_the_one_with_four_keys(body: Any) -> None:
    reply = await failed(Json(400, body))
    assert (reply.status, reply.json["error"]["message"]) == (400, "Too long.")
    assert reply.json["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 429, 500, 501, 502, 503, 504])
async def test_the_status_of_an_error_is_kept(status: int) -> None:
    assert (await failed(Json(status, {"error": {"message": "no"}}))).status == status


async def test_422_becomes_400_and_names_the_field_by_the_clients_name() -> None:
    body = {"detail": [{"loc": ["body", "max_completion_tokens"], "msg": "Too many.", "type": "value_error"}]}
    reply = await failed(Json(422, body))
    assert reply.status == 400
    assert (reply.json["error"]["message"], reply.json["error"]["param"]) == ("Too many.", "max_output_tokens")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"plain words\n", "plain words"),
        (b"\xff!", "\ufffd!"),
        (b"", "The host failed with status 500 and did not say why."),
        (b"[" * 100_000, "[" * 2045 + "…"),
        (b'"\\ud800"', '"\\ud800"'),
    ],
    ids=["text", "not UTF-8", "empty", "nested", "surrogate"],
)
async def test_the_message_of_an_error_that_is_no_json_is_its_text(body: bytes, message: str) -> None:
    assert (await failed(Start(500, []), body)).json["error"]["message"] == message


async def test_only_the_beginning_of_a_long_error_body_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_answer, "MAX_ERROR_BODY", 10)
    reply = await failed(Start(500, []), *[b"words"] * 100)
    assert reply.json["error"]["message"] == "wordswords"


async def test_an_error_whose_body_breaks_off_keeps_its_status() -> None:
    assert (await failed(Start(503, []), b'{"error": ', Return())).status == 503


@pytest.mark.parametrize("status", [301, 304, 307, 308])
async def test_a_redirect_is_a_bad_gateway(status: int) -> None:
    reply = await failed(Start(status, [(b"location", b"/elsewhere")]))
    assert (reply.status, reply.json["error"]["type"]) == (502, "server_error")
    assert str(status) in reply.json["error"]["message"]
    assert "location" not in reply.headers


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_compressed_answer_is_a_bad_gateway(stream: bool, status: int) -> None:
    headers = [*EVENT_STREAM, (b"Content-Encoding", b"GZip")]
    reply = await failed(Start(status, headers), *text_answer("a"), stream=stream)
    assert reply.status == 502
    assert "gzip" in reply.json["error"]["message"]


async def test_an_answer_may_have_the_content_coding_identity() -> None:
    host = ScriptedHost([Start(200, [*EVENT_STREAM, (b"content-encoding", b"identity")]), *text_answer("a")])
    check_stream(payloads((await post(ResponsesShim(host), "/v1/responses", STREAMED)).events))


PAGE = b"<!DOCTYPE html><html><head><title> 502 Bad Gateway </title></head><body>nginx</body></html>"
HTML = ((b"content-type", b"text/html; charset=utf-8"),)


@pytest.mark.parametrize(
    "steps",
    [
        [Start(200, HTML), PAGE],
        [Start(200, HTML)],
        [Start(200, HTML), b"no tags"],
        [Start(200, EVENT_STREAM), PAGE],
        [Start(200, EVENT_STREAM), b"", b"\n ", PAGE],
        [Start(200, EVENT_STREAM), PAGE[:40], PAGE[40:]],
        [Start(200, []), b"\n  <html>", b"</html>"],
        [Start(200, ((b"content-type", b"application/json"),)), PAGE],
        [Start(200, HTML), PAGE, Raise(RuntimeError("cut"))],
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_web_page_in_place_of_an_answer_is_named_as_such(steps: list[Step], stream: bool) -> None:
    reply = await failed(*steps, stream=stream)
    assert (reply.status, reply.json["error"]["type"]) == (502, "server_error")
    assert reply.json["error"]["message"].startswith("The host answered with a web page")


@pytest.mark.parametrize("headers", [HTML, EVENT_STREAM, ((b"content-type", b"application/json"),)])
async def test_the_message_about_a_web_page_has_its_title(headers: Sequence[tuple[bytes, bytes]]) -> None:
    reply = await failed(Start(200, headers), PAGE)
    assert reply.json["error"]["message"] == "The host answered with a web page: 502 Bad Gateway."


@pytest.mark.parametrize("status", [404, 500, 502, 503])
async def test_the_message_of_an_error_that_is_a_web_page_is_its_title(status: int) -> None:
    reply = await failed(Start(status, HTML), PAGE)
    assert (reply.status, reply.json["error"]["message"]) == (
        status,
        "The host answered with a web page: 502 Bad Gateway.",
    )


async def test_a_stream_that_begins_with_white_space_is_read() -> None:
    host = ScriptedHost([Start(200, EVENT_STREAM), b"", b"\n", *text_answer("<a")])
    check_stream(payloads((await post(ResponsesShim(host), "/v1/responses", STREAMED)).events))


@pytest.mark.parametrize(
    ("steps", "status", "message"),
    [
        ([Start(503, []), Hold()], 503, "The host is busy."),
        ([Start(429, []), b"slow ", b"down", Hold()], 429, "slow down"),
        ([Json(400, {"error": "no"}), Hold()], 400, "no"),
        ([Start(200, HTML), PAGE, Hold()], 502, "The host answered with a web page"),
        ([Start(200, EVENT_STREAM), PAGE, Hold()], 502, "The host answered with a web page"),
        ([Start(301, []), Hold()], 502, "status 301"),
    ],
    ids=str,
)
@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_whose_body_never_ends_is_given_up_with_its_status(
    monkeypatch: pytest.MonkeyPatch, steps: list[Step], status: int, message: str, stream: bool
) -> None:
    monkeypatch.setattr(host_answer, "ERROR_BODY_TIMEOUT", 0.01)
    host = ScriptedHost(steps)
    reply = await post(ResponsesShim(host), "/v1/responses", {**REQUEST, "stream": stream})
    check_error(reply.json)
    assert reply.status == status
    assert message in reply.json["error"]["message"]
    assert host.finished.is_set()


async def test_a_good_answer_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_answer, "ERROR_BODY_TIMEOUT", 0.0)
    check_stream(payloads((await post(ResponsesShim(ScriptedHost()), "/v1/responses", STREAMED)).events))


@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_has_the_hosts_headers(stream: bool) -> None:
    headers = [
        (b"Retry-After", b"7"),
        (b"access-control-allow-origin", b"*"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"x-request-id", b"1"),
        (b"content-length", b"999"),
        (b"transfer-encoding", b"chunked"),
    ]
    host = ScriptedHost([Json(429, {"error": {"message": "busy"}}, headers)])
    reply = await post(ResponsesShim(host, max_retries=0), "/v1/responses", {**REQUEST, "stream": stream})
    check_error(reply.json)
    assert reply.headers.raw == [
        (b"retry-after", b"7"),
        *headers[1:5],
        (b"content-type", b"application/json"),
        (b"content-length", str(len(reply.body)).encode()),
    ]
    assert reply.json["error"]["code"] == "rate_limit_exceeded"


async def test_an_error_frame_before_any_chunk_has_the_hosts_headers_too() -> None:
    """The host decides on cookies and CORS, whether its answer is an error or not."""
    headers = [*EVENT_STREAM, (b"access-control-allow-origin", b"*"), (b"x-request-id", b"1")]
    reply = await failed(Start(200, headers), frame({"error": {"message": "no", "code": 400}}))
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["x-request-id"] == "1"
