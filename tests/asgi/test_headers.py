"""Which of the client's headers the host gets, and which of the host's headers the client gets."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
import pytest
from starlette.types import Message

from responses_shim import ResponsesShim
from responses_shim.asgi.headers import echoing, headers_from_host, headers_to_host, request_id_of
from responses_shim.setting_types import Host
from tests.caller import post
from tests.scripted import EVENT_STREAM, Json, ScriptedHost, Start, text_answer

REQUEST = {"model": "scripted", "input": "Hi"}
HOP_BY_HOP = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
]


def names(pairs: list[tuple[bytes, bytes]]) -> list[str]:
    return [name.decode() for name, _ in pairs]


# To the host ---------------------------------------------------------------------------------------------------------

OWN = ["accept", "content-type", "content-length", "x-request-id"]


def sent_on(*pairs: tuple[str, str]) -> list[tuple[str, str]]:
    """Which of the client's headers the host gets; the shim's own come after them."""
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    headers = headers_to_host(raw, b"{}", "hex")
    assert names(headers[-4:]) == OWN
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers[:-4]]


def test_credentials_and_ordinary_headers_are_sent_to_the_host() -> None:
    pairs = [
        ("host", "engine.test"),
        ("authorization", "Bearer key"),
        ("x-api-key", "key"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("origin", "https://x.test"),
        ("user-agent", "test"),
        ("x-forwarded-for", "10.0.0.1"),
        ("traceparent", "00-1-2-01"),
        ("x-latin", "é"),
    ]
    assert sent_on(*pairs) == pairs


@pytest.mark.parametrize(
    "name",
    [
        *HOP_BY_HOP,
        "accept",
        "accept-encoding",
        "content-type",
        "content-length",
        "content-encoding",
        "content-md5",
        "expect",
        "range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "x-request-id",
    ],
)
def test_headers_about_the_clients_connection_body_or_answer_are_not_sent_to_the_host(name: str) -> None:
    assert sent_on((name, "x"), (name.title(), "y"), ("x-other", "z")) == [("x-other", "z")]


@pytest.mark.parametrize(
    "name", ["authorization", "x-api-key", "cookie", "x-forwarded-for", "x-real-ip", "forwarded", "x-hop"]
)
def test_the_clients_connection_header_takes_no_header_away(name: str) -> None:
    """The header may be one that a proxy has set, or that the host knows the client by."""
    assert sent_on(("Connection", f"close, {name.title()} ,te"), (name, "1"), ("TE", "trailers")) == [(name, "1")]


def test_header_names_are_sent_in_lower_case() -> None:
    assert sent_on(("X-Mixed-Case", "Value")) == [("x-mixed-case", "Value")]


def test_the_shims_own_headers_describe_the_call_to_the_host() -> None:
    headers = dict(headers_to_host([(b"content-length", b"99"), (b"accept", b"application/json")], b"12345", "hex"))
    assert headers[b"content-length"] == b"5"
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"accept"] == b"text/event-stream"


@pytest.mark.anyio
@pytest.mark.parametrize(("profile", "length"), [("generic", 32), ("llama-cpp", 36)])
async def test_each_call_has_its_own_request_id_in_the_form_the_host_takes(profile: Host, length: int) -> None:
    host = ScriptedHost()
    app = ResponsesShim(host, host=profile)
    for _ in range(2):
        await post(app, "/v1/responses", REQUEST, headers={"x-request-id": "the-clients"})
    ids = [headers.getlist("x-request-id") for headers in host.headers]
    assert ids[0] != ids[1]
    for [id] in ids:
        assert len(id) == length
        assert uuid.UUID(id).version == 4


@pytest.mark.anyio
async def test_the_content_length_is_that_of_the_body() -> None:
    """The host reads as many bytes as Content-Length says: too small a number would cut the JSON."""
    host = ScriptedHost()
    await post(ResponsesShim(host), "/v1/responses", {**REQUEST, "input": "é😀"})
    assert host.requests[0]["messages"][0]["content"] == "é😀"
    assert int(host.headers[0]["content-length"]) == len(msgspec.json.encode(host.requests[0]))


# From the host -------------------------------------------------------------------------------------------------------


def test_the_hosts_headers_keep_their_order_and_their_duplicates() -> None:
    pairs = [(b"set-cookie", b"a=1"), (b"vary", b"Origin"), (b"set-cookie", b"b=2"), (b"x-request-id", b"1")]
    assert headers_from_host(pairs) == pairs


@pytest.mark.parametrize(
    "name",
    [
        *HOP_BY_HOP,
        "content-type",
        "content-length",
        "content-encoding",
        "cache-control",
        "date",
        "etag",
        "server",
        "x-accel-buffering",
    ],
)
def test_headers_about_the_hosts_own_response_are_not_sent_to_the_client(name: str) -> None:
    assert headers_from_host([(name.title().encode(), b"x"), (b"x-other", b"y")]) == [(b"x-other", b"y")]


def test_headers_that_the_hosts_connection_header_lists_are_not_sent_to_the_client() -> None:
    assert headers_from_host([(b"connection", b"x-hop"), (b"X-Hop", b"1"), (b"x-kept", b"2")]) == [(b"x-kept", b"2")]


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [True, False])
async def test_headers_about_framing_are_sent_once_and_are_the_shims(stream: bool) -> None:
    host_headers = [
        *EVENT_STREAM,
        (b"cache-control", b"no-cache"),
        (b"content-length", b"1"),
        (b"x-accel-buffering", b"yes"),
    ]
    host = ScriptedHost([Start(200, host_headers), *text_answer("a")])
    reply = await post(ResponsesShim(host), "/v1/responses", {**REQUEST, "stream": stream})
    sent = names(reply.headers.raw)
    assert len(sent) == len(set(sent))
    if stream:
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert (reply.headers["cache-control"], reply.headers["x-accel-buffering"]) == ("no-store", "no")
    else:
        assert int(reply.headers["content-length"]) == len(reply.body)


# The client's request id ---------------------------------------------------------------------------------------------

ECHOED = b"x-request-id"


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], None),
        ([(b"X-Request-Id", b"mine")], b"mine"),
        ([(ECHOED, b"one"), (ECHOED, b"two")], b"one"),
        ([(ECHOED, b"")], None),
        ([(ECHOED, b"a b")], None),
        ([(ECHOED, b"a\xe9")], None),
        ([(ECHOED, b"a\n")], None),
        ([(ECHOED, b"!" * 2048)], b"!" * 2048),
        ([(ECHOED, b"~" * 2049)], None),
    ],
    ids=lambda case: str(case)[:40],
)
def test_only_a_request_id_of_visible_ascii_is_echoed(pairs: list[tuple[bytes, bytes]], expected: bytes | None) -> None:
    assert request_id_of(pairs) == expected


ANSWERS: dict[str, tuple[str, Any, int]] = {
    "whole": ("/v1/responses", REQUEST, 200),
    "streamed": ("/v1/responses", {**REQUEST, "stream": True}, 200),
    "a wrong request": ("/v1/responses", {"model": "scripted"}, 400),
    "not found": ("/v1/responses/compact", REQUEST, 404),
    "no such response": ("/v1/responses/resp_1/cancel", REQUEST, 404),
}


@pytest.mark.anyio
@pytest.mark.parametrize("answer", ANSWERS)
async def test_the_clients_request_id_is_on_every_answer_and_the_hosts_is_not(answer: str) -> None:
    path, body, status = ANSWERS[answer]
    host = ScriptedHost([Start(200, [*EVENT_STREAM, (b"X-Request-ID", b"of-the-host")]), *text_answer("a")])
    reply = await post(ResponsesShim(host), path, body, headers={"X-Request-Id": "the-clients"})
    assert reply.status == status
    assert reply.headers.getlist("x-request-id") == ["the-clients"]


@pytest.mark.anyio
async def test_the_clients_request_id_is_on_the_hosts_errors_too() -> None:
    host = ScriptedHost([Json(429, {"error": {"message": "Later."}}, [(ECHOED, b"of-the-host")])])
    reply = await post(ResponsesShim(host), "/v1/responses", REQUEST, headers={"x-request-id": "the-clients"})
    assert (reply.status, reply.headers.getlist("x-request-id")) == (429, ["the-clients"])


@pytest.mark.anyio
@pytest.mark.parametrize("headers", [{}, {"x-request-id": "two words"}])
async def test_without_a_request_id_that_can_be_echoed_the_hosts_is_sent(headers: dict[str, str]) -> None:
    host = ScriptedHost([Start(200, [*EVENT_STREAM, (ECHOED, b"of-the-host")]), *text_answer("a")])
    reply = await post(ResponsesShim(host), "/v1/responses", REQUEST, headers=headers)
    assert reply.headers.getlist("x-request-id") == ["of-the-host"]


@pytest.mark.anyio
async def test_a_refused_websocket_gets_its_request_id_back_too() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    echo = echoing(b"mine", send)
    for kind in ("websocket.http.response.start", "http.response.start"):
        await echo({"type": kind, "status": 426, "headers": [(b"x-request-id", b"other"), (b"upgrade", b"HTTP/1.1")]})
        assert sent.pop()["headers"] == [(b"upgrade", b"HTTP/1.1"), (ECHOED, b"mine")]
    await echo({"type": "http.response.body", "body": b"a"})
    assert sent == [{"type": "http.response.body", "body": b"a"}]
