"""The shim as users mount it: on FastAPI and Starlette, beside other middlewares, and on a real server."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeAlias

import anyio
import httpx
import pytest
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from responses_shim import RequestView, ResponsesShim
from tests.caller import call, parse_events, payloads, post, request
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import CHAT_PATH, DONE, ScriptedHost, chunk, usage
from tests.serving import serving as serving_in_thread

pytestmark = pytest.mark.anyio

REQUEST = {"model": "scripted", "input": "Hi"}
STREAMED = {**REQUEST, "stream": True}
ANSWER = [chunk("", role="assistant"), chunk("Hello"), chunk(finish_reason="stop"), chunk(usage=usage(1, 1)), DONE]


class Engine:
    """The chat route of a host; with `endless` its answer goes on until it is stopped."""

    def __init__(self, *, endless: bool = False) -> None:
        self.endless = endless

    async def chat(self, request: Request) -> Response:
        if (await request.json())["model"] == "unknown":
            raise HTTPException(404, "no such model")
        return StreamingResponse(self.tokens(), media_type="text/event-stream")

    async def tokens(self) -> AsyncIterator[bytes]:
        for step in ANSWER[:2] if self.endless else ANSWER:
            yield step
        while self.endless:
            await anyio.sleep(0.001)
            yield chunk("!")


App: TypeAlias = FastAPI | Starlette


def fastapi_app(engine: Engine) -> App:
    app = FastAPI()
    app.post(CHAT_PATH)(engine.chat)
    return app


def starlette_app(engine: Engine) -> App:
    return Starlette(routes=[Route(CHAT_PATH, engine.chat, methods=["POST"])])


class Stamp(BaseHTTPMiddleware):
    """A middleware like most: it reads the body, calls the next one, and adds a header."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        assert request.method == "GET" or b"Hi" in await request.body()
        response = await call_next(request)
        response.headers["x-stamp"] = request.url.path
        return response


def alone(app: App) -> None:
    app.add_middleware(ResponsesShim)


def inside_another(app: App) -> None:
    app.add_middleware(ResponsesShim)
    app.add_middleware(Stamp)


def outside_another(app: App) -> None:
    app.add_middleware(Stamp)
    app.add_middleware(ResponsesShim)


frameworks = pytest.mark.parametrize("framework", [fastapi_app, starlette_app])
mounts = pytest.mark.parametrize("mount", [alone, inside_another, outside_another])


@frameworks
@mounts
async def test_the_shim_answers_on_a_framework(
    framework: Callable[[Engine], App], mount: Callable[[App], None]
) -> None:
    app = framework(Engine())
    mount(app)
    reply = await post(app, "/v1/responses", STREAMED)
    check_stream(payloads(reply.events))
    unstreamed = await post(app, "/v1/responses", REQUEST)
    check_response(unstreamed.json)
    assert unstreamed.json["output"][0]["content"][0]["text"] == "Hello"
    if mount is not alone:
        assert reply.headers["x-stamp"] == (CHAT_PATH if mount is outside_another else "/v1/responses")


@frameworks
@mounts
async def test_a_client_that_leaves_stops_the_engine(
    framework: Callable[[Engine], App], mount: Callable[[App], None]
) -> None:
    app = framework(Engine(endless=True))
    mount(app)
    async with call(app, "POST", "/v1/responses", json=STREAMED) as exchange:
        await exchange.start()
        await exchange.disconnect()
        await exchange.finish()  # which it cannot while the engine goes on


@frameworks
@mounts
def test_a_response_in_the_background_outlives_its_request(
    framework: Callable[[Engine], App], mount: Callable[[App], None]
) -> None:
    """The frameworks pass the server's lifespan on, to which the runs belong."""
    app = framework(Engine())
    mount(app)
    with serving_in_thread(app) as url, httpx.Client(base_url=f"{url}/v1", trust_env=False, timeout=20) as client:
        made = client.post("/responses", json={**REQUEST, "background": True}).json()
        assert made["status"] == "queued"
        events = client.get(f"/responses/{made['id']}?stream=true")
        check_stream(payloads(parse_events(events.content)))
        got = client.get(f"/responses/{made['id']}").json()
    check_response(got)
    assert got["output"][0]["content"][0]["text"] == "Hello"


@frameworks
def test_a_server_that_stops_ends_what_runs_in_the_background(framework: Callable[[Engine], App]) -> None:
    engine = Engine(endless=True)
    app = framework(engine)
    app.add_middleware(ResponsesShim)
    with serving_in_thread(app) as url, httpx.Client(base_url=f"{url}/v1", trust_env=False, timeout=20) as client:
        made = client.post("/responses", json={**REQUEST, "background": True}).json()
        while client.get(f"/responses/{made['id']}").json()["status"] == "queued":
            pass
    # `serving_in_thread` fails if the server does not stop.


def guarded_app(engine: Engine) -> App:
    """A FastAPI app whose routes ask for a key, each by itself."""

    def check_key(authorization: Annotated[str, Header()] = "") -> None:
        if authorization != "Bearer right":
            raise HTTPException(401, "Invalid API key", {"WWW-Authenticate": "Bearer"})

    app = FastAPI()
    app.post(CHAT_PATH, dependencies=[Depends(check_key)])(engine.chat)
    app.get("/v1/models", dependencies=[Depends(check_key)])(lambda: {"object": "list", "data": []})
    return app


class Counter(BaseHTTPMiddleware):
    """A middleware that notes the paths that it sees."""

    def __init__(self, app: ASGIApp, paths: list[str]) -> None:
        super().__init__(app)
        self.paths = paths

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        self.paths.append(request.url.path)
        return await call_next(request)


@pytest.mark.parametrize("inside", [True, False], ids=["inside another", "outside another"])
async def test_a_framework_is_asked_for_the_key_before_a_large_body_is_read(inside: bool) -> None:
    app, paths = guarded_app(Engine()), list[str]()
    if inside:
        app.add_middleware(ResponsesShim)
    app.add_middleware(Counter, paths=paths)
    if not inside:
        app.add_middleware(ResponsesShim)
    large = {**STREAMED, "input": "Hi" * 100_000}
    reply = await post(app, "/v1/responses", large)
    check_error(reply.json)
    assert (reply.status, reply.json["error"]["message"]) == (401, "Invalid API key")
    assert reply.headers["www-authenticate"] == "Bearer"
    for _ in range(2):
        reply = await post(app, "/v1/responses", large, headers={"authorization": "Bearer right"})
        check_stream(payloads(reply.events))
    asked = ["/v1/models"] * 2 + [CHAT_PATH] * 2
    assert paths == (["/v1/responses"] * 3 if inside else asked)


@pytest.mark.parametrize("inside", [True, False], ids=["inside another", "outside another"])
async def test_a_client_that_leaves_cancels_an_interceptor(inside: bool) -> None:
    began, cancelled = anyio.Event(), anyio.Event()

    async def wait(view: RequestView, headers: Mapping[str, str]) -> None:
        began.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled.set()
            raise

    app = starlette_app(Engine())
    if inside:
        app.add_middleware(ResponsesShim, interceptors=[wait])
    app.add_middleware(Counter, paths=[])
    if not inside:
        app.add_middleware(ResponsesShim, interceptors=[wait])
    async with call(app, "POST", "/v1/responses", json=STREAMED) as exchange:
        await began.wait()
        await exchange.disconnect()
        with anyio.fail_after(5):
            await cancelled.wait()
        await exchange.finish()
        exchange.error = None  # Starlette's BaseHTTPMiddleware raises if it gets no answer from within


async def test_an_error_of_the_framework_keeps_its_status() -> None:
    app = fastapi_app(Engine())
    app.add_middleware(ResponsesShim)
    reply = await post(app, "/v1/responses", {**STREAMED, "model": "unknown"})
    check_error(reply.json)
    assert (reply.status, reply.json["error"]["message"]) == (404, "no such model")


async def test_cors_headers_are_sent_once_with_the_shim_inside_or_outside() -> None:
    orders: list[list[Any]] = [[CORSMiddleware, ResponsesShim], [ResponsesShim, CORSMiddleware]]
    for order in orders:
        app = starlette_app(Engine())
        for middleware in order:
            options: dict[str, Any] = (
                {"allow_origins": ["https://x.test"], "allow_methods": ["POST"]} if middleware is CORSMiddleware else {}
            )
            app.add_middleware(middleware, **options)
        reply = await post(app, "/v1/responses", STREAMED, headers={"origin": "https://x.test"})
        assert reply.headers.getlist("access-control-allow-origin") == ["https://x.test"]
        preflight = {"origin": "https://x.test", "access-control-request-method": "POST"}
        if order[0] is CORSMiddleware:
            assert (await request(app, "OPTIONS", "/v1/responses", headers=preflight)).status == 200


# A real server -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """Serve the app in this event loop, WebSockets included. Yields host and port."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            yield f"127.0.0.1:{listener.getsockname()[1]}"
            server.should_exit = True


async def test_a_websocket_client_gets_a_426() -> None:
    async with serving(ResponsesShim(ScriptedHost())) as address:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{address}/v1/responses", proxy=None)
    response = refused.value.response
    assert response.status_code == 426
    assert b'"websocket_not_supported"' in (response.body or b"")


async def test_a_websocket_of_the_host_passes_through() -> None:
    async with serving(ResponsesShim(ScriptedHost())) as address, connect(f"ws://{address}/echo", proxy=None) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"


async def test_a_client_that_closes_its_connection_stops_the_engine() -> None:
    app = fastapi_app(Engine(endless=True))
    app.add_middleware(ResponsesShim)
    ended = anyio.Event()

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)
        ended.set()

    async with serving(watched) as address, httpx.AsyncClient(trust_env=False) as client:
        async with client.stream("POST", f"http://{address}/v1/responses", json=STREAMED) as reply:
            await anext(reply.aiter_lines())
        with anyio.fail_after(5):
            await ended.wait()
