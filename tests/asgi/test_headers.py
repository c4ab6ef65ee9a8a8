"""Which headers the host is given, and which of its own come back."""

from __future__ import annotations

import uuid

import msgspec
import pytest

from responses_shim import ResponsesShim
from responses_shim.asgi.headers import inward, outward
from tests.caller import post
from tests.scripted import EVENT_STREAM, ScriptedHost, Start, text_answer

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


# Inward --------------------------------------------------------------------------------------------------------------

OWN = ["accept", "content-type", "content-length", "x-request-id"]


def given(*pairs: tuple[str, str], request_id: str = "hex") -> list[tuple[str, str]]:
    """What the host gets besides the shim's own headers."""
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    headers = inward(raw, b"{}", request_id)  # type: ignore[arg-type]
    assert names(headers[-4:]) == OWN
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers[:-4]]


def test_credentials_and_everything_else_of_the_clients_go_in() -> None:
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
    assert given(*pairs) == pairs


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
def test_what_is_said_of_another_connection_body_or_answer_stays_out(name: str) -> None:
    assert given((name, "x"), (name.title(), "y"), ("x-other", "z")) == [("x-other", "z")]


def test_what_connection_names_stays_out() -> None:
    assert given(("Connection", "close, X-Hop ,x-skip"), ("x-hop", "1"), ("X-Skip", "2"), ("x-kept", "3")) == [
        ("x-kept", "3")
    ]


def test_the_names_are_lower_case() -> None:
    assert given(("X-Mixed-Case", "Value")) == [("x-mixed-case", "Value")]


def test_the_shims_own_describe_the_inner_call() -> None:
    headers = dict(inward([(b"content-length", b"99"), (b"accept", b"application/json")], b"12345", "hex"))
    assert headers[b"content-length"] == b"5"
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"accept"] == b"text/event-stream"


@pytest.mark.anyio
@pytest.mark.parametrize(("host_name", "length"), [("generic", 32), ("llama-cpp", 36)])
async def test_each_call_has_a_request_id_of_its_own_in_the_form_the_host_takes(host_name: str, length: int) -> None:
    host = ScriptedHost()
    app = ResponsesShim(host, host=host_name)
    for _ in range(2):
        await post(app, "/v1/responses", REQUEST, headers={"x-request-id": "the-clients"})
    ids = [headers.getlist("x-request-id") for headers in host.headers]
    assert ids[0] != ids[1]
    for [id] in ids:
        assert len(id) == length
        assert uuid.UUID(id).version == 4


@pytest.mark.anyio
async def test_the_body_is_as_long_as_it_is_said_to_be() -> None:
    """The host's own reader stops at the length: a wrong one would cut the JSON."""
    host = ScriptedHost()
    await post(ResponsesShim(host), "/v1/responses", {**REQUEST, "input": "é😀"})
    assert host.requests[0]["messages"][0]["content"] == "é😀"
    assert int(host.headers[0]["content-length"]) == len(msgspec.json.encode(host.requests[0]))


# Outward -------------------------------------------------------------------------------------------------------------


def test_the_hosts_headers_come_out_in_order_and_as_often_as_they_are() -> None:
    pairs = [(b"set-cookie", b"a=1"), (b"vary", b"Origin"), (b"set-cookie", b"b=2"), (b"x-request-id", b"1")]
    assert outward(pairs) == pairs


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
def test_what_is_said_of_the_hosts_body_stays_in(name: str) -> None:
    assert outward([(name.title().encode(), b"x"), (b"x-other", b"y")]) == [(b"x-other", b"y")]


def test_what_the_hosts_connection_names_stays_in() -> None:
    assert outward([(b"connection", b"x-hop"), (b"X-Hop", b"1"), (b"x-kept", b"2")]) == [(b"x-kept", b"2")]


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [True, False])
async def test_nothing_about_framing_is_said_twice(stream: bool) -> None:
    of_the_host = [
        *EVENT_STREAM,
        (b"cache-control", b"no-cache"),
        (b"content-length", b"1"),
        (b"x-accel-buffering", b"yes"),
    ]
    host = ScriptedHost([Start(200, of_the_host), *text_answer("a")])
    reply = await post(ResponsesShim(host), "/v1/responses", {**REQUEST, "stream": stream})
    given_names = names(reply.headers.raw)
    assert len(given_names) == len(set(given_names))
    if stream:
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert (reply.headers["cache-control"], reply.headers["x-accel-buffering"]) == ("no-store", "no")
    else:
        assert int(reply.headers["content-length"]) == len(reply.body)
