"""Detecting which host an app is: real FastAPI and Starlette apps, alone and wrapped in middlewares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.hosts import PROFILES, detect
from responses_shim.hosts.generic import PROFILE as GENERIC
from responses_shim.hosts.llama_cpp import PROFILE as LLAMA_CPP
from responses_shim.hosts.mlx import PROFILES as MLX
from responses_shim.hosts.vllm import PROFILE as VLLM
from responses_shim.setting_types import Host


def endpoint(module: str) -> Callable[[], Any]:
    """A route function that seems to be defined in `module`."""

    async def create_chat_completion() -> None: ...

    create_chat_completion.__module__ = module
    return create_chat_completion


def fastapi_app(module: str) -> FastAPI:
    app = FastAPI()
    app.post("/v1/chat/completions")(endpoint(module))
    return app


def app_with_router(module: str) -> FastAPI:
    """As llama-cpp-python's `create_app` builds it."""
    router = APIRouter()
    router.post("/v1/chat/completions")(endpoint(module))
    app = FastAPI(title="a host")
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    app.include_router(router)
    return app


def app_with_nested_routers(module: str) -> FastAPI:
    inner, outer = APIRouter(), APIRouter(prefix="/v1")
    inner.post("/chat/completions")(endpoint(module))
    outer.include_router(inner)
    app = FastAPI()
    app.include_router(outer)
    return app


def mounting_app(module: str) -> Starlette:
    return Starlette(routes=[Route("/", endpoint("somewhere")), Mount("/llm", app=fastapi_app(module))])


BUILDERS = [fastapi_app, app_with_router, app_with_nested_routers, mounting_app]


class Wrapper:
    """A middleware, which has the app that it wraps in its attribute `app`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@pytest.mark.parametrize("build", BUILDERS)
def test_a_host_is_detected_by_the_modules_of_its_routes(build: Callable[[str], ASGIApp]) -> None:
    assert detect(build("llama_cpp.server.app")) is LLAMA_CPP
    assert detect(build("llama_cpp")) is LLAMA_CPP


@pytest.mark.parametrize("build", BUILDERS)
def test_vllm_is_detected_by_the_module_of_its_chat_route(build: Callable[[str], ASGIApp]) -> None:
    """`vllm` alone is no sign of it: its other packages define routes for servers of other kinds."""
    assert detect(build("vllm.entrypoints.openai.chat_completion.api_router")) is VLLM  # 0.32
    assert detect(build("vllm.entrypoints.openai.api_server")) is VLLM  # before 0.16
    assert detect(build("vllm")) is GENERIC


MLX_MODULES = {
    "vllm_mlx.server": "vllm-mlx",  # 0.6.0
    "mlx_vlm.server.openai": "mlx-vlm",  # 0.7.10
    "mlx_vlm.server.app": "mlx-vlm",
    "rapid_mlx.routes.chat": "rapid-mlx",  # 0.16.10, also where it is imported by its other name, `vllm_mlx`
    "app.api.endpoints": "generic",  # mlx-openai-server 1.8.1, and who knows what else
}


@pytest.mark.parametrize("module", MLX_MODULES)
@pytest.mark.parametrize("build", BUILDERS)
def test_the_mlx_servers_are_detected_by_the_modules_of_their_routes(
    build: Callable[[str], ASGIApp], module: str
) -> None:
    assert detect(build(module)) is PROFILES[MLX_MODULES[module]]


@pytest.mark.parametrize("module", ["llama_cpp_tools.app", "my.llama_cpp", "fastapi.routing", "__main__", ""])
@pytest.mark.parametrize("build", BUILDERS)
def test_any_other_module_gives_the_generic_profile(build: Callable[[str], ASGIApp], module: str) -> None:
    assert detect(build(module)) is GENERIC


@pytest.mark.parametrize("build", BUILDERS)
def test_a_host_is_detected_inside_middlewares(build: Callable[[str], ASGIApp]) -> None:
    app = build("llama_cpp.server.app")
    assert detect(Wrapper(GZipMiddleware(Wrapper(app)))) is LLAMA_CPP
    assert detect(ResponsesShim(app)) is LLAMA_CPP


def test_a_host_is_detected_from_inside_its_own_middleware_stack() -> None:
    """That is where `add_middleware` puts the shim: the app that it wraps is the rest of the stack, not the FastAPI."""
    app = app_with_router("llama_cpp.server.app")
    assert detect(app.build_middleware_stack()) is LLAMA_CPP
    assert detect(Wrapper(app.build_middleware_stack())) is LLAMA_CPP


async def bare(scope: Scope, receive: Receive, send: Send) -> None: ...


class NoRouter:
    """Has `routes` like a router, but some that are none."""

    routes = (object(), Route("/", bare))


@pytest.mark.parametrize("app", [bare, None, FastAPI(), Starlette(), Wrapper(bare), NoRouter()])
def test_an_app_without_any_host_routes_gives_the_generic_profile(app: Any) -> None:
    assert detect(app) is GENERIC


def test_detection_ends_if_middlewares_wrap_each_other_in_a_cycle() -> None:
    cycle = Wrapper(bare)
    cycle.app = Wrapper(cycle)
    assert detect(cycle) is GENERIC


def test_detection_ends_if_a_router_contains_itself() -> None:
    class Endless:
        @property
        def routes(self) -> list[Endless]:
            return [self]

    assert detect(Endless()) is GENERIC


def test_routes_may_be_none() -> None:
    class Unready:
        routes = None

    assert detect(Unready()) is GENERIC


def test_the_profiles_by_name() -> None:
    mlx = {profile.name: profile for profile in MLX}
    assert [*mlx] == ["vllm-mlx", "mlx-vlm", "rapid-mlx", "mlx-openai-server"]
    assert {"llama-cpp": LLAMA_CPP, "vllm": VLLM, "generic": GENERIC, **mlx} == PROFILES
    assert {*PROFILES, "auto"} == {*get_args(Host)}
