"""Which apps the launcher mounts the shim on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.cli import mounting


async def endpoint() -> Response:
    return Response()


def routes(*pairs: tuple[str, str]) -> Starlette:
    """An app with these routes: method and path."""
    return Starlette(routes=[Route(path, lambda request: Response(), methods=[method]) for method, path in pairs])


def fastapi(path: str, *prefixes: str) -> FastAPI:
    """An app with a POST route in routers, one in another, that have these prefixes."""
    app = FastAPI()
    router = APIRouter()
    router.post(path)(endpoint)
    for prefix in reversed(prefixes):
        outer = APIRouter()
        outer.include_router(router, prefix=prefix)
        router = outer
    app.include_router(router)
    return app


def mounted(path: str, app: ASGIApp) -> Starlette:
    return Starlette(routes=[Mount(path, app=app)])


class Other:
    """A middleware that does nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def classes(app: Starlette) -> list[Any]:
    """The app's middleware, the outermost first."""
    return [entry.cls for entry in app.user_middleware]


CHAT = ("POST", "/v1/chat/completions")


@pytest.mark.parametrize(
    "app",
    [
        routes(("GET", "/v1/models"), CHAT),
        routes(("POST", "/{version}/chat/completions")),
        fastapi("/v1/chat/completions"),
        fastapi("/chat/completions", "/v1"),
        fastapi("/completions", "/v1", "/chat"),
        mounted("/v1", routes(("POST", "/chat/completions"))),
        mounted("/", routes(CHAT)),
        mounted("/", Router(routes=[*fastapi("/v1/chat/completions").routes])),
    ],
)
def test_an_app_with_a_chat_route_gets_the_shim_as_its_outermost_middleware(
    app: Starlette, capsys: pytest.CaptureFixture[str]
) -> None:
    app.add_middleware(Other)
    mounting.mount(app)
    assert classes(app) == [ResponsesShim, Other]
    assert "mounted in process" in capsys.readouterr().err


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: Starlette(),
        lambda folder: FastAPI(),
        lambda folder: routes(("GET", "/v1/chat/completions")),
        lambda folder: routes(("POST", "/{path:path}")),
        lambda folder: routes(("POST", "/v1/completions"), ("POST", "/v1/responses")),
        lambda folder: routes(("POST", "/chat/completions")),
        lambda folder: fastapi("/chat/completions", "/api", "/v1"),
        lambda folder: mounted("/api", routes(CHAT)),
        lambda folder: mounted("/", StaticFiles(directory=folder)),
        lambda folder: Starlette(routes=[Mount("/api", app=routes(CHAT)), Mount("/", StaticFiles(directory=folder))]),
        lambda folder: Starlette(routes=[WebSocketRoute("/v1/chat/completions", endpoint)]),
        lambda folder: Starlette(routes=[Host("chat.example.org", app=routes(CHAT))]),
    ],
)
def test_an_app_of_another_kind_is_left_as_it_is(
    make: Callable[[Path], Starlette], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = make(tmp_path)
    mounting.mount(app)
    assert app.user_middleware == []
    assert capsys.readouterr().err == ""


class OwnShim(ResponsesShim):
    """A user's shim, with settings of its own."""


@pytest.mark.parametrize("shim", [ResponsesShim, OwnShim])
def test_an_app_with_the_shim_among_its_middleware_does_not_get_another(shim: type[ResponsesShim]) -> None:
    app = routes(CHAT)
    app.user_middleware.append(Middleware(shim))
    mounting.mount(app)
    assert classes(app) == [shim]


def test_an_app_that_the_shim_wraps_does_not_get_another() -> None:
    app, other = routes(CHAT), routes(CHAT)
    outer = ResponsesShim(Other(app))
    mounting.mount(app)
    mounting.mount(other)
    assert outer.settings.enabled
    assert app.user_middleware == []
    assert len(other.user_middleware) == 1
