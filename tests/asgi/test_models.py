"""`GET /v1/models?client_version=…` gives Codex its catalogue; any other request for the list goes to the host."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Message, Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.asgi.models import MAX_LIST_SIZE
from responses_shim.extensions.codex import Model, catalog
from tests.caller import Reply, request

pytestmark = pytest.mark.anyio

QUERY = "client_version=0.169.0"
LIST = {"object": "list", "data": [{"id": "tiny", "object": "model", "max_model_len": 32768}]}
CATALOG = catalog([Model("tiny", 32768)])


class Host:
    """Answers any request with the given messages, then raises `error`, if given; keeps the scopes of its calls."""

    def __init__(self, *messages: Message, error: Exception | None = None) -> None:
        self.messages = messages
        self.error = error
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        assert (await receive())["type"] == "http.request"
        for message in self.messages:
            await send(message)
        if self.error is not None:
            raise self.error


def start(status: int = 200, *headers: tuple[bytes, bytes], content_type: bytes = b"application/json") -> Message:
    return {"type": "http.response.start", "status": status, "headers": [(b"content-type", content_type), *headers]}


def body(data: bytes, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def listing(*headers: tuple[bytes, bytes]) -> Host:
    return Host(start(200, *headers), body(json.dumps(LIST).encode()))


async def ask(host: Any, path: str = "/v1/models", query: str = QUERY, **options: Any) -> Reply:
    settings = options.pop("settings", {})
    return await request(ResponsesShim(host, **settings), options.pop("method", "GET"), path, query=query, **options)


# Requests from Codex ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [QUERY, "a=b&client_version=1", "client_version", "client_version="])
async def test_codex_gets_its_catalogue(query: str) -> None:
    reply = await ask(listing(), query=query)
    assert (reply.status, reply.json) == (200, CATALOG)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["content-length"] == str(len(reply.body))


async def test_the_hosts_list_may_come_in_several_messages() -> None:
    data = json.dumps(LIST).encode()
    reply = await ask(Host(start(), body(data[:9], more=True), body(b"", more=True), body(data[9:])))
    assert reply.json == CATALOG


async def test_the_host_gets_the_clients_own_request_but_for_some_headers_and_extensions() -> None:
    host = listing()
    kept = {"Authorization": "Bearer key", "X-Mine": "1"}
    dropped = {"Accept-Encoding": "gzip", "Range": "bytes=0-1", "If-None-Match": '"x"'}
    await ask(host, headers=kept | dropped, scope={"extensions": {"http.response.pathsend": {}, "tls": {"x": 1}}})
    [scope] = host.scopes
    assert (scope["method"], scope["path"], scope["raw_path"]) == ("GET", "/v1/models", b"/v1/models")
    assert scope["query_string"] == QUERY.encode()
    assert [pair for pair in scope["headers"] if pair[0] != b"host"] == [
        (b"authorization", b"Bearer key"),
        (b"x-mine", b"1"),
    ]
    assert scope["extensions"] == {"tls": {"x": 1}}


async def test_the_hosts_headers_are_kept_but_for_those_about_its_own_body() -> None:
    cookies = [(b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2")]
    reply = await ask(listing((b"ETag", b'"x"'), (b"Cache-Control", b"max-age=60"), *cookies))
    assert "etag" not in reply.headers
    assert "cache-control" not in reply.headers
    assert reply.headers.getlist("set-cookie") == ["a=1", "b=2"]


async def test_the_hosts_cors_headers_are_kept() -> None:
    app = Starlette(
        routes=[Route("/v1/models", lambda _: JSONResponse(LIST))],
        middleware=[Middleware(CORSMiddleware, allow_origins=["http://page.example"])],
    )
    reply = await ask(app, headers={"Origin": "http://page.example"})
    assert reply.json == CATALOG
    assert reply.headers["access-control-allow-origin"] == "http://page.example"
    assert reply.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    ("path", "root_path", "unprefixed"),
    [("/v1/models/", "", False), ("/models", "", True), ("/v1/models", "", True), ("/v1/models", "/app", False)],
)
async def test_the_catalogue_is_found_below_a_root_path_and_unprefixed(
    path: str, root_path: str, unprefixed: bool
) -> None:
    host = listing()
    reply = await ask(host, path, root_path=root_path, settings={"unprefixed": unprefixed})
    assert reply.json == CATALOG
    assert host.scopes[0]["path"] == root_path + "/v1/models"


async def test_the_catalogue_is_found_where_the_shim_is_mounted_below_a_router() -> None:
    inner = ResponsesShim(Starlette(routes=[Route("/v1/models", lambda _: JSONResponse(LIST))]))
    reply = await request(Starlette(routes=[Mount("/llm", inner)]), "GET", "/llm/v1/models", query=QUERY)
    assert reply.json == CATALOG


# Other answers of the host ------------------------------------------------------------------------------------------


def guarded(incoming: Request) -> Response:
    if incoming.headers.get("authorization") != "Bearer key":
        return JSONResponse({"error": "Unauthorized"}, 401, {"WWW-Authenticate": "Bearer", "ETag": '"x"'})
    return JSONResponse(LIST)


async def test_a_client_that_the_host_refuses_gets_the_hosts_refusal() -> None:
    app = Starlette(routes=[Route("/v1/models", guarded)])
    assert (await ask(app, headers={"Authorization": "Bearer key"})).json == CATALOG
    refused = await ask(app)
    assert (refused.status, refused.json) == (401, {"error": "Unauthorized"})
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.headers["etag"] == '"x"'


LIST_BODY = json.dumps(LIST).encode()


@pytest.mark.parametrize(
    "messages",
    [
        [start(403), body(LIST_BODY)],
        [start(500, content_type=b"text/plain"), body(b"Internal", more=True), body(b" Server Error")],
        [start(307, (b"location", b"/v1/models/")), body(b"")],
        [start(200, (b"content-encoding", b"gzip")), body(b"\x1f\x8b")],
        [start(content_type=b"text/html"), body(b"<p>", more=True), body(b"</p>")],
        [start(), body(b"not JSON")],
        [start(), body(b'{"data": ["\xff"]}')],
        [start(), body(b"[" * 100_000)],
        [start(), body(b'{"models": [{"slug": "mine"}]}')],
        [start(), body(LIST_BODY[:9], more=True)],
        [start(), body(b"a" * MAX_LIST_SIZE, more=True), body(b"b", more=True), body(b"c")],
        [start()],
    ],
    ids=["403", "500", "307", "gzip", "HTML", "text", "Latin-1", "deep", "a catalogue", "cut", "huge", "headers only"],
)
async def test_an_answer_that_is_no_list_of_models_is_passed_on_as_it_is(messages: list[Message]) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await ResponsesShim(Host(*messages))(scope(), receive, send)
    assert sent == messages


async def test_an_exception_of_the_host_is_raised() -> None:
    with pytest.raises(RuntimeError, match="out of order"):
        await ask(Host(error=RuntimeError("out of order")))


# Requests from other clients ----------------------------------------------------------------------------------------


def scope(path: str = "/v1/models", query: str = QUERY, **more: Any) -> Scope:
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [],
        **more,
    }


@pytest.mark.parametrize(
    ("other", "settings"),
    [
        (scope(query=""), {}),
        (scope(query="version=client_version"), {}),
        (scope(query="client_versions=1"), {}),
        (scope(method="HEAD"), {}),
        (scope(method="POST"), {}),
        (scope(method="OPTIONS"), {}),
        (scope("/v1/models/tiny"), {}),
        (scope("/models"), {}),
        (scope("/v1//models"), {"unprefixed": True}),
        (scope("/v1/models", raw_path=b"/v1%2fmodels"), {}),
        (scope(), {"enabled": False}),
        (scope(), {"host": "llama-cpp"}),
        ({"type": "websocket", "path": "/v1/models", "query_string": QUERY.encode(), "headers": []}, {}),
    ],
)
async def test_any_other_request_reaches_the_host_unchanged(other: Scope, settings: dict[str, Any]) -> None:
    calls: list[tuple[Any, ...]] = []

    async def host(*call: Any) -> None:
        calls.append(call)

    async def receive() -> Message:
        raise AssertionError("the host did not ask")

    async def send(message: Message) -> None:
        raise AssertionError("the host did not answer")

    before = dict(other)
    await ResponsesShim(host, **settings)(other, receive, send)
    assert calls == [(other, receive, send)]
    assert calls[0][0] is other
    assert other == before


async def test_no_catalogue_is_made_for_llama_cpp() -> None:
    """Its list of models takes the model's lock and so ends a running stream, so the client's request is passed on."""

    def route(incoming: Request) -> Response:
        return JSONResponse(LIST)

    route.__module__ = "llama_cpp.server.app"
    host = Starlette(routes=[Route("/v1/models", route), Route("/v1/chat/completions", route, methods=["POST"])])
    reply = await ask(host)
    assert reply.json == LIST
