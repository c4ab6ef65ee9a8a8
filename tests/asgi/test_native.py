"""A host that has a `/v1/responses` of its own: the shim takes its place, or leaves the requests to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from responses_shim import ResponsesShim
from tests.caller import request

pytestmark = pytest.mark.anyio

NATIVE = {"of": "the host"}
PATHS = [
    ("POST", "/v1/responses"),
    ("GET", "/v1/responses/resp_1"),
    ("POST", "/v1/responses/resp_1/cancel"),
    ("GET", "/v1/conversations/conv_1"),
]


async def answer(request: Request) -> JSONResponse:
    return JSONResponse(NATIVE)


def of_routes(*, native: bool) -> Starlette:
    """A host that answers every path, and that has a route for `/v1/responses` if it is a native one."""
    own = [Route("/v1/responses", answer, methods=["POST"])] if native else []
    return Starlette(routes=[*own, Route("/{path:path}", answer, methods=["GET", "POST"])])


def of_routers() -> FastAPI:
    router = APIRouter()
    for method, path in PATHS:
        router.add_api_route(path.removeprefix("/v1"), lambda: NATIVE, methods=[method])
    app = FastAPI()
    app.include_router(router, prefix="/v1")
    return app


def of_a_mount() -> Starlette:
    inner = [Route(path.removeprefix("/v1"), answer, methods=[method]) for method, path in PATHS]
    return Starlette(routes=[Mount("/v1", routes=inner)])


class Other:
    """A middleware between the shim and the host."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def as_middleware(app: Any, **options: Any) -> ASGIApp:
    app.add_middleware(Other)
    app.add_middleware(ResponsesShim, **options)
    return app  # type: ignore[no-any-return]


def around(app: ASGIApp, **options: Any) -> ASGIApp:
    return ResponsesShim(Other(app), **options)


@pytest.mark.parametrize("mounted", [as_middleware, around])
@pytest.mark.parametrize("host", [lambda: of_routes(native=True), of_routers, of_a_mount])
@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_a_native_host_answers_if_it_is_to(
    mounted: Callable[..., ASGIApp], host: Callable[[], ASGIApp], method: str, path: str
) -> None:
    reply = await request(mounted(host(), native="pass"), method, path, json={})
    assert (reply.status, reply.json) == (200, NATIVE)
    reply = await request(mounted(host()), method, path, json={})
    assert reply.json.keys() == {"error"}


@pytest.mark.parametrize("host", [lambda: of_routes(native=False), lambda: Starlette(), lambda: bare])
async def test_the_shim_answers_where_there_is_no_native_route(host: Callable[[], ASGIApp]) -> None:
    app = around(host(), native="pass", auth_probe="off")
    reply = await request(app, "POST", "/v1/responses", json={})
    assert (reply.status, reply.json["error"]["param"]) == (400, "model")


async def test_the_search_for_routes_ends_where_middlewares_wrap_one_another() -> None:
    one, two = Other(bare), Other(bare)
    one.app, two.app = two, one
    shim = ResponsesShim(one, native="pass", auth_probe="off")
    shim.app = one
    reply = await request(shim, "POST", "/v1/responses", json={})
    assert reply.status == 400


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """An app without routes."""
