"""The reverse proxy, and the shim on it, in front of real servers: what arrives there, what comes back, how it ends."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
import trustme
from starlette.types import ASGIApp, Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.asgi import reverse_proxy
from responses_shim.asgi.reverse_proxy import HEALTH_PATH, ReverseProxy
from tests.caller import DEADLINE, Exchange, Reply, call, payloads, post, request
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import (
    DONE,
    EVENT_STREAM,
    Hold,
    Json,
    Raise,
    ScriptedHost,
    Start,
    Step,
    Wait,
    chunk,
    frame,
    read_body,
    text_answer,
)
from tests.serving import serving_here

pytestmark = pytest.mark.anyio

REQUEST: dict[str, Any] = {"model": "scripted", "input": "Hi"}
STREAMED = {**REQUEST, "stream": True}
RawAnswer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
streaming = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])


@asynccontextmanager
async def forwarding_to(app: ASGIApp, path: str = "", **options: Any) -> AsyncIterator[ReverseProxy]:
    """A proxy in front of a real server of this app, whose URL ends with this path."""
    async with serving_here(app) as url, closing(ReverseProxy(url + path, **options)) as proxy:
        yield proxy


@asynccontextmanager
async def closing(proxy: ReverseProxy) -> AsyncIterator[ReverseProxy]:
    try:
        yield proxy
    finally:
        await proxy._transport.aclose()


@asynccontextmanager
async def raw_server(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server that reads the head of each request, and answers with whatever bytes it likes."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def sending(data: bytes) -> RawAnswer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return answer


def unused_url() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def arrived(reply: Reply) -> dict[str, Any]:
    """What the echoing upstream says of the request that it got, its headers as a list of pairs."""
    found: dict[str, Any] = reply.json
    return found


def headers_of(reply: Reply, name: str) -> list[str]:
    return [value for key, value in arrived(reply)["headers"] if key == name]


async def until(event: anyio.Event) -> None:
    with anyio.fail_after(DEADLINE):
        await event.wait()


# What is forwarded ---------------------------------------------------------------------------------------------------


async def test_a_request_arrives_as_it_was() -> None:
    async with forwarding_to(ScriptedHost(), "/v1") as proxy:
        reply = await request(
            proxy, "PUT", "/a%2Fb/../c", body=b"\x00body", query="q=%20&q=", headers={"x-own": "1", "x-request-id": "r"}
        )
    found = arrived(reply)
    assert (found["method"], found["raw_path"], found["query"]) == ("PUT", "/a%2Fb/../c", "q=%20&q=")
    assert found["body"] == "\x00body"
    assert headers_of(reply, "x-own") == ["1"]
    assert headers_of(reply, "x-request-id") == ["r"]
    assert headers_of(reply, "content-length") == ["5"]
    assert not headers_of(reply, "transfer-encoding")


async def test_the_answer_comes_back_as_it_was() -> None:
    async with forwarding_to(ScriptedHost()) as proxy:
        reply = await request(proxy, "GET", "/anything")
    assert reply.status == 200
    assert reply.headers.getlist("set-cookie") == ["a=1", "b=2"]
    assert reply.headers["x-host"] == "scripted"
    assert "date" not in reply.headers  # the server of the proxy has its own
    assert reply.headers["server"] == "uvicorn"


@pytest.mark.parametrize("path", ["/api", "/api/v1"])
async def test_the_path_of_the_url_is_that_of_the_upstream(path: str) -> None:
    async with forwarding_to(ScriptedHost(), path) as proxy:
        assert arrived(await request(proxy, "GET", "/v1/models"))["path"] == "/api/v1/models"
        assert arrived(await request(proxy, "GET", "/health"))["path"] == "/api/health"


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS", "PATCH", "PROPFIND"])
async def test_every_method_is_forwarded(method: str) -> None:
    async with forwarding_to(ScriptedHost()) as proxy:
        assert arrived(await request(proxy, method, "/x"))["method"] == method


async def test_a_head_has_headers_and_no_body() -> None:
    async with forwarding_to(ScriptedHost()) as proxy:
        reply = await request(proxy, "HEAD", "/x")
    assert (reply.status, reply.body, reply.headers["x-host"]) == (200, b"", "scripted")


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
async def test_no_tunnel_and_no_echo_is_made(method: str) -> None:
    """TRACE would show a caller the upstream's key."""
    async with forwarding_to(ScriptedHost(), key="secret") as proxy:
        reply = await request(proxy, method, "/x")
    check_error(reply.json)
    assert reply.status == 405


async def test_headers_of_the_connection_are_not_forwarded() -> None:
    hop_by_hop = {
        "connection": "close, x-listed",
        "x-listed": "1",
        "keep-alive": "timeout=5",
        "te": "trailers",
        "trailer": "x-a",
        "upgrade": "h2c",
        "proxy-authorization": "Basic eDp5",
        "proxy-connection": "close",
        "expect": "100-continue",
    }
    async with forwarding_to(ScriptedHost()) as proxy:
        reply = await request(proxy, "GET", "/x", headers=hop_by_hop)
    assert not {name for name, _ in arrived(reply)["headers"]} & hop_by_hop.keys()


async def test_the_host_is_the_upstreams_and_the_clients_is_told_beside_it() -> None:
    async with forwarding_to(ScriptedHost()) as proxy:
        reply = await request(proxy, "GET", "/x", headers={"host": "public.example"})
        assert headers_of(reply, "host") == [proxy.url.origin.netloc.decode()]
    assert headers_of(reply, "x-forwarded-host") == ["public.example"]
    assert headers_of(reply, "x-forwarded-proto") == ["http"]
    assert headers_of(reply, "x-forwarded-for") == ["127.0.0.1"]


async def test_what_a_proxy_in_front_has_said_is_kept() -> None:
    said = {"x-forwarded-for": "10.0.0.1", "x-forwarded-proto": "https", "x-forwarded-host": "public.example"}
    async with forwarding_to(ScriptedHost()) as proxy:
        reply = await request(proxy, "GET", "/x", headers={**said, "via": "1.1 front"})
    assert headers_of(reply, "x-forwarded-for") == ["10.0.0.1, 127.0.0.1"]
    assert headers_of(reply, "x-forwarded-proto") == ["https"]
    assert headers_of(reply, "x-forwarded-host") == ["public.example"]
    assert [value.partition("-")[0] for value in headers_of(reply, "via")] == ["1.1 front", "1.1 responses"]


async def test_a_proxy_of_itself_is_noticed() -> None:
    proxies: list[ReverseProxy] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await proxies[0](scope, receive, send)

    url = unused_url()
    proxies.append(ReverseProxy(url))
    async with closing(proxies[0]), serving_here(app) as own_url:
        proxies[0].url = ReverseProxy(own_url).url
        reply = await request(proxies[0], "GET", "/x")
    check_error(reply.json)
    assert (reply.status, reply.json["error"]["code"]) == (508, "loop_detected")


async def test_a_compressed_answer_stays_compressed() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-encoding", b"gzip"), (b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"\x1f\x8bzip"})

    async with forwarding_to(app) as proxy:
        reply = await request(proxy, "GET", "/x", headers={"accept-encoding": "gzip"})
    assert (reply.body, reply.headers["content-encoding"]) == (b"\x1f\x8bzip", "gzip")


async def test_trailers_are_passed_over() -> None:
    data = (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n"
        b"connection: x-listed\r\nx-listed: 1\r\n\r\n"
        b"2\r\nab\r\n0\r\nx-sum: 1\r\n\r\n"
    )
    async with raw_server(sending(data)) as url, closing(ReverseProxy(url)) as proxy:
        reply = await request(proxy, "GET", "/x")
    assert (reply.status, reply.body, reply.headers.raw) == (200, b"ab", [])


async def test_a_redirect_is_passed_on_as_one_to_the_proxy() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        host = dict(scope["headers"])[b"host"]
        location = (
            b"http://%b/api/v1/models/" % host if scope["path"] == "/api/v1/models" else b"https://other.example/"
        )
        await send({"type": "http.response.start", "status": 307, "headers": [(b"location", location)]})
        await send({"type": "http.response.body"})

    async with forwarding_to(app, "/api/v1") as proxy:
        reply = await request(proxy, "GET", "/v1/models", headers={"authorization": "Bearer k"})
        assert (reply.status, reply.headers["location"]) == (307, "/v1/models/")
        assert (await request(proxy, "GET", "/other")).headers["location"] == "https://other.example/"


async def test_a_websocket_is_refused() -> None:
    async with closing(ReverseProxy(unused_url())) as proxy:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await proxy({"type": "websocket", "path": "/v1/realtime", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_an_odd_path_is_refused() -> None:
    async with closing(ReverseProxy(unused_url())) as proxy:
        reply = await request(proxy, "GET", "/", scope={"path": "*", "raw_path": b"*"})
    check_error(reply.json)


async def test_the_lifespan_closes_the_connections() -> None:
    lifespan = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[str] = []

    async def receive() -> Any:
        return {"type": next(lifespan)}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async with forwarding_to(ScriptedHost()) as proxy:
        await request(proxy, "GET", "/x")
        await proxy({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


# Bodies, back-pressure and clients that leave -------------------------------------------------------------------------

MEGABYTE = 1024 * 1024


async def test_a_large_body_is_streamed_both_ways() -> None:
    """Each part goes on before the next is there."""
    sizes: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            sizes.append(len(message.get("body", b"")))
        await send({"type": "http.response.body", "body": b"x" * (8 * MEGABYTE)})

    async with forwarding_to(app) as proxy:
        reply = await request(
            proxy, "POST", "/upload", body=[b"x" * MEGABYTE] * 8, headers={"transfer-encoding": "chunked"}
        )
    assert sum(sizes) == len(reply.body) == 8 * MEGABYTE
    assert len(sizes) > 8


async def test_an_upstream_may_answer_before_it_has_read_everything() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig")
        await reader.readuntil(b"\r\n0\r\n\r\n")

    async with raw_server(answer) as url, closing(ReverseProxy(url)) as proxy:
        reply = await request(proxy, "POST", "/x", body=[b"x" * 1000] * 3, headers={"transfer-encoding": "chunked"})
    assert (reply.status, reply.body) == (413, b"big")


class Flood:
    """Sends far more than all buffers between two processes hold, and counts what it could hand over."""

    total = 64
    """In parts of a megabyte."""

    def __init__(self, part: bytes = b"x" * MEGABYTE) -> None:
        self.part = part
        self.sent = 0
        self.left = anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/ping":
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})
            return
        await read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM})
        listening = asyncio.ensure_future(receive())
        while self.sent < self.total and not listening.done():
            await send({"type": "http.response.body", "body": self.part, "more_body": True})
            self.sent += 1
        if listening.done():
            self.left.set()
        listening.cancel()
        await send({"type": "http.response.body"})


async def settled(flood: Flood, proxy: ReverseProxy) -> int:
    """How much the upstream has sent once it sends no more, while requests beside it come and go."""
    seen = -1
    with anyio.fail_after(6 * DEADLINE):  # it is megabytes that go through
        while seen != flood.sent:
            seen = flood.sent
            for _ in range(3):
                await request(proxy, "GET", "/ping")
    return seen


@asynccontextmanager
async def stalled(app: ASGIApp, method: str, path: str, **options: Any) -> AsyncIterator[Exchange]:
    """An exchange whose client takes the start of the answer, and then no more."""
    async with call(app, method, path, **options) as exchange:
        await exchange.start()
        exchange.stall()
        await exchange.blocked()
        yield exchange


async def test_a_slow_client_slows_the_upstream_down() -> None:
    flood = Flood()
    async with forwarding_to(flood) as proxy, stalled(proxy, "GET", "/flood") as exchange:
        assert await settled(flood, proxy) < flood.total / 2
        exchange.resume()
        assert len(await exchange.read()) == flood.total * MEGABYTE


async def test_a_slow_client_of_the_shim_slows_the_upstream_down() -> None:
    flood = Flood(chunk("x" * 1000) * 1000)
    async with forwarding_to(flood) as proxy:
        async with stalled(ResponsesShim(proxy), "POST", "/v1/responses", json=STREAMED):
            assert await settled(flood, proxy) < flood.total / 2
        await until(flood.left)


@pytest.mark.parametrize("script", [[Hold()], [Start(), Hold()], [chunk("a"), Hold()]], ids=["silent", "head", "text"])
async def test_a_client_that_leaves_frees_the_upstream_at_once(script: list[Step]) -> None:
    host = ScriptedHost(script)
    async with forwarding_to(host) as proxy:
        async with call(proxy, "POST", "/v1/chat/completions", json={"messages": []}) as exchange:
            await until(host.called)
            await exchange.disconnect()
            await until(host.disconnected)
        await until(host.finished)


async def test_a_client_that_leaves_while_it_takes_nothing_frees_the_upstream() -> None:
    flood = Flood()
    async with forwarding_to(flood) as proxy:
        async with stalled(proxy, "GET", "/flood"):
            pass
        await until(flood.left)


async def test_a_client_whose_connection_breaks_frees_the_upstream() -> None:
    """Its server's `send` raises then."""
    flood = Flood()
    async with forwarding_to(flood) as proxy:
        async with stalled(proxy, "GET", "/flood") as exchange:
            await exchange.disconnect(broken_pipe=True)
        await until(flood.left)


async def test_a_client_that_leaves_during_its_upload_frees_the_upstream() -> None:
    left = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    async with forwarding_to(app) as proxy:
        body = [b"x" * 1000, b"never"]
        headers = {"transfer-encoding": "chunked"}
        async with call(proxy, "POST", "/upload", body=body, headers=headers) as exchange:
            exchange.body_ends_at(1)
            await anyio.lowlevel.checkpoint()
            await exchange.disconnect()
            await until(left)


@streaming
@pytest.mark.parametrize("before", [[], [Start()], [chunk("a")]], ids=["silent", "head", "text"])
async def test_a_client_of_the_shim_that_leaves_frees_the_upstream(before: list[Step], stream: bool) -> None:
    host = ScriptedHost([*before, Hold()])
    async with forwarding_to(host) as proxy:
        shim = ResponsesShim(proxy)
        async with call(shim, "POST", "/v1/responses", json={**REQUEST, "stream": stream}) as exchange:
            await until(host.called)
            await exchange.disconnect()
            await until(host.disconnected)


async def test_connections_are_used_again() -> None:
    clients: set[Any] = set()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        clients.add(scope["client"])
        await ScriptedHost()(scope, receive, send)

    async with forwarding_to(app) as proxy:
        shim = ResponsesShim(proxy)
        for _ in range(5):
            assert (await post(shim, "/v1/responses", REQUEST)).status == 200
    assert len(clients) == 1


# Responses -----------------------------------------------------------------------------------------------------------


@streaming
async def test_the_shim_answers_by_the_upstreams_chat_route(stream: bool) -> None:
    host = ScriptedHost(text_answer("Hello", " there"))
    async with forwarding_to(host, "/v1") as proxy:
        reply = await post(
            ResponsesShim(proxy), "/v1/responses", {**REQUEST, "stream": stream}, headers={"authorization": "Bearer k"}
        )
    response = payloads(reply.events)[-1]["response"] if stream else reply.json
    check_response(response)
    assert response["output"][0]["content"][0]["text"] == "Hello there"
    [headers] = host.headers
    assert headers["authorization"] == "Bearer k"
    assert headers["accept"] == "text/event-stream"
    assert "accept-encoding" not in headers


async def test_tokens_come_as_the_upstream_sends_them() -> None:
    go = anyio.Event()
    host = ScriptedHost([chunk("a"), Wait(go), *text_answer("b")])
    async with (
        forwarding_to(host) as proxy,
        call(ResponsesShim(proxy), "POST", "/v1/responses", json=STREAMED) as exchange,
    ):
        while (event := await exchange.next_event()) is not None and event.name != "response.output_text.delta":
            pass
        assert not host.finished.is_set()
        go.set()
        await exchange.read()


@streaming
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 520])
async def test_what_an_upstream_refuses_for_the_moment_is_tried_again(status: int, stream: bool) -> None:
    host = ScriptedHost([Json(status, {"error": "no"}, [(b"retry-after", b"0")])], text_answer("Hello"))
    async with forwarding_to(host) as proxy:
        reply = await post(ResponsesShim(proxy), "/v1/responses", {**REQUEST, "stream": stream})
    assert (reply.status, len(host.requests)) == (200, 2)
    assert len({headers["x-request-id"] for headers in host.headers}) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_what_it_refuses_for_good_is_not(status: int) -> None:
    host = ScriptedHost([Json(status, {"error": {"message": "no"}})])
    async with forwarding_to(host) as proxy:
        assert (await post(ResponsesShim(proxy), "/v1/responses", STREAMED)).status == status
    assert len(host.requests) == 1


@pytest.mark.parametrize(
    "failure",
    [
        [Start(), Raise(RuntimeError("killed"))],
        [chunk("", role="assistant"), Raise(RuntimeError("killed"))],
        [chunk("", role="assistant"), frame({"error": {"message": "busy", "code": 503}}), DONE],
    ],
)
async def test_an_upstream_that_breaks_off_before_anything_of_its_answer_is_asked_again(failure: list[Step]) -> None:
    host = ScriptedHost(failure, text_answer("Hello"))
    async with forwarding_to(host) as proxy:
        reply = await post(ResponsesShim(proxy), "/v1/responses", STREAMED)
    assert (reply.status, len(host.requests)) == (200, 2)


async def test_an_upstream_that_is_killed_in_its_answer_fails_the_response(caplog: pytest.LogCaptureFixture) -> None:
    host = ScriptedHost([chunk("Half"), Raise(RuntimeError("killed"))])
    async with forwarding_to(host) as proxy:
        events = payloads((await post(ResponsesShim(proxy), "/v1/responses", STREAMED)).events)
    check_stream(events)
    assert events[-1]["type"] == "response.failed"
    assert "connection to it has broken off" in events[-1]["response"]["error"]["message"]
    assert len(host.requests) == 1
    assert "broke off its answer" in caplog.text


async def test_a_forwarded_answer_that_breaks_off_does_so_for_the_client_too() -> None:
    host = ScriptedHost([chunk("Half"), Raise(RuntimeError("killed"))])
    async with forwarding_to(host) as proxy:
        async with call(proxy, "POST", "/v1/chat/completions", json={"messages": []}) as exchange:
            await exchange.finish()
            assert exchange.body == chunk("Half")
            assert not exchange.complete
        async with serving_here(proxy) as url, httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.post(f"{url}/v1/chat/completions", json={"messages": []})


# Upstreams that cannot be reached ------------------------------------------------------------------------------------


@streaming
async def test_an_upstream_that_is_down_is_a_502(stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    async with closing(ReverseProxy(unused_url())) as proxy:
        passed_on = await post(proxy, "/v1/chat/completions", {})
        reply = await post(ResponsesShim(proxy), "/v1/responses", {**REQUEST, "stream": stream})
    for answer in (passed_on, reply):
        check_error(answer.json)
        assert (answer.status, answer.json["error"]["code"]) == (502, "upstream_unreachable")
        assert answer.json["error"]["type"] == "server_error"
    assert reply.headers["responses-shim-report"].endswith("retries=3")
    assert "ConnectError" in caplog.text


async def test_an_upstream_that_comes_up_in_time_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is restarted: the first call finds nobody, the next one it."""
    url = unused_url()
    refused = anyio.Event()
    port = int(url.rpartition(":")[2])

    async def wait(self: Any) -> bool:
        refused.set()
        await until(up)
        return await original(self)

    from responses_shim.runtime.retry import Retries

    original, up = Retries.wait, anyio.Event()
    monkeypatch.setattr(Retries, "wait", wait)
    async with closing(ReverseProxy(url)) as proxy:
        async with call(ResponsesShim(proxy, commit_after=60), "POST", "/v1/responses", json=STREAMED) as exchange:
            await until(refused)
            server = await asyncio.start_server(_answering, "127.0.0.1", port)
            up.set()
            events = payloads(await exchange.events())
        server.close()
    check_stream(events)
    assert events[-1]["type"] == "response.completed"


async def _answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    body = b"".join(step for step in text_answer("Hello") if isinstance(step, bytes))
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + body)
    await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    ("answer", "status"),
    [(b"", 502), (b"SSH-2.0-OpenSSH\r\n", 502), (b"HTTP/1.1 99", 502)],
    ids=["nothing", "no HTTP", "half of a head"],
)
async def test_an_upstream_that_answers_with_no_http_is_a_502(answer: bytes, status: int) -> None:
    async with raw_server(sending(answer)) as url, closing(ReverseProxy(url)) as proxy:
        reply = await request(proxy, "GET", "/x")
    check_error(reply.json)
    assert reply.status == status


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (httpx.ConnectTimeout("late"), 504, "upstream_timeout"),
        (httpx.ReadTimeout("late"), 504, "upstream_timeout"),
        (httpx.PoolTimeout("full"), 503, "proxy_busy"),
        (httpx.LocalProtocolError("odd"), 400, None),
        (OSError("broken"), 502, "upstream_disconnected"),
    ],
)
async def test_each_failure_has_its_status(
    monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str | None
) -> None:
    async with closing(ReverseProxy(unused_url())) as proxy:

        async def fail(request: httpx.Request) -> httpx.Response:
            raise error

        monkeypatch.setattr(proxy._transport, "handle_async_request", fail)
        reply = await request(proxy, "GET", "/x")
    check_error(reply.json)
    assert (reply.status, reply.json["error"]["code"]) == (status, code)


# TLS -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@asynccontextmanager
async def serving_tls(authority: trustme.CA, folder: Path) -> AsyncIterator[str]:
    certificate = authority.issue_cert("127.0.0.1")
    file = folder / "server.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(str(file))
    async with serving_here(ScriptedHost(), ssl_certfile=str(file)) as url:
        yield url


async def test_a_certificate_of_an_authority_that_is_trusted(authority: trustme.CA, tmp_path: Path) -> None:
    import ssl

    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with serving_tls(authority, tmp_path) as url, closing(ReverseProxy(url, verify=context)) as proxy:
        assert arrived(await request(proxy, "GET", "/x"))["path"] == "/x"


async def test_a_certificate_that_nobody_knows_is_a_502(authority: trustme.CA, tmp_path: Path) -> None:
    async with serving_tls(authority, tmp_path) as url, closing(ReverseProxy(url)) as proxy:
        reply = await request(proxy, "GET", "/x")
    check_error(reply.json)
    assert reply.status == 502


async def test_a_certificate_that_is_not_verified(authority: trustme.CA, tmp_path: Path) -> None:
    async with serving_tls(authority, tmp_path) as url, closing(ReverseProxy(url, verify=False)) as proxy:
        assert (await request(proxy, "GET", "/x")).status == 200


# Keys ----------------------------------------------------------------------------------------------------------------

CREDENTIALS = {"authorization": "Bearer callers", "x-api-key": "callers", "api-key": "callers", "cookie": "callers=1"}


async def test_without_a_key_the_callers_credentials_are_forwarded() -> None:
    async with forwarding_to(ScriptedHost()) as proxy:
        reply = await request(proxy, "GET", "/x", headers=CREDENTIALS)
    for name, value in CREDENTIALS.items():
        assert headers_of(reply, name) == [value]


@pytest.mark.parametrize("options", [{"key": "upstreams"}, {"forwards_credentials": False}])
async def test_with_one_they_are_not(options: dict[str, Any]) -> None:
    async with forwarding_to(ScriptedHost(), **options) as proxy:
        reply = await request(proxy, "GET", "/x", headers=CREDENTIALS)
    assert "callers" not in json.dumps(arrived(reply))
    assert headers_of(reply, "authorization") == (["Bearer upstreams"] if "key" in options else [])
    assert "set-cookie" not in reply.headers


async def test_the_shims_call_has_the_key_of_the_proxy() -> None:
    host = ScriptedHost()
    async with forwarding_to(host, key="upstreams") as proxy:
        reply = await post(ResponsesShim(proxy), "/v1/responses", REQUEST, headers=CREDENTIALS)
    assert reply.status == 200
    assert host.headers[0].getlist("authorization") == ["Bearer upstreams"]
    assert not {"x-api-key", "api-key", "cookie"} & {*host.headers[0]}


async def test_an_upstream_that_refuses_the_key_of_the_proxy_is_no_401(caplog: pytest.LogCaptureFixture) -> None:
    """The caller's own key is right. And nothing of what the upstream says of the key is shown."""
    host = ScriptedHost([Json(401, {"error": {"message": "Incorrect API key provided: upst**ams"}})])
    async with forwarding_to(host, key="upstreams") as proxy:
        reply = await post(ResponsesShim(proxy), "/v1/responses", REQUEST)
    check_error(reply.json)
    assert (reply.status, reply.json["error"]["code"]) == (502, "upstream_unauthorized")
    assert b"upst**" not in reply.body
    assert len(host.requests) == 1
    assert "refuses the key of the proxy" in caplog.text
    assert "upstreams" not in caplog.text


async def test_owners_are_told_apart_by_their_own_credentials() -> None:
    async with forwarding_to(ScriptedHost(), key="upstreams") as proxy:
        shim = ResponsesShim(proxy)
        stored = await post(shim, "/v1/responses", REQUEST, headers={"authorization": "Bearer one"})
        path = f"/v1/responses/{stored.json['id']}"
        assert (await request(shim, "GET", path, headers={"authorization": "Bearer one"})).status == 200
        assert (await request(shim, "GET", path, headers={"authorization": "Bearer two"})).status == 404
        assert (await request(shim, "GET", path)).status == 404


# Health --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 404, 503])
async def test_an_upstream_that_answers_anything_can_be_reached(status: int) -> None:
    asked: list[tuple[str, str]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append((scope["method"], scope["path"]))
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body"})

    async with forwarding_to(app, "/api/v1", key="upstreams") as proxy:
        replies = [await request(proxy, "GET", HEALTH_PATH) for _ in range(5)]
    assert {(reply.status, reply.json["upstream"]) for reply in replies} == {(200, "reachable")}
    assert asked == [("HEAD", "/api/")]  # once, whoever asks


async def test_one_that_does_not_cannot() -> None:
    async with closing(ReverseProxy(unused_url())) as proxy:
        reply = await request(ResponsesShim(proxy), "GET", HEALTH_PATH)
        assert (reply.status, reply.json) == (503, {"upstream": "unreachable"})
        assert (await request(proxy, "POST", HEALTH_PATH)).status == 405


async def test_what_was_found_out_holds_for_a_second() -> None:
    now = 100.0
    async with serving_here(ScriptedHost()) as url, closing(ReverseProxy(url)) as proxy:
        assert await proxy.is_reachable(lambda: now)
    assert await proxy.is_reachable(lambda: now + 0.9)
    assert not await proxy.is_reachable(lambda: now + 1.1)


async def test_the_upstreams_own_health_is_not_hidden() -> None:
    async with forwarding_to(ScriptedHost()) as proxy:
        assert arrived(await request(ResponsesShim(proxy), "GET", "/health"))["path"] == "/health"


def test_the_logger_is_the_shims() -> None:
    assert reverse_proxy.logger is logging.getLogger("responses_shim")
