"""Which host an app is: the apps of all six, as they were recorded, and of a dozen that are something else.

The live tests ask the apps themselves (`integrations/`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from responses_shim import ResponsesShim
from responses_shim.hosts import PROFILES, detect
from tests.hosts.replay import CAPTURES, names

Json = dict[str, Any]
CHAT = "/v1/chat/completions"


def function(module: str) -> Callable[[], Any]:
    """A route function that is defined in a module of that name."""

    async def answer() -> None: ...

    answer.__module__ = module
    return answer


# The hosts -----------------------------------------------------------------------------------------------------------


def capture(host: str) -> Json:
    recorded: Json = json.loads((CAPTURES / "apps" / f"{host}.json").read_text())
    return recorded


def router_of(routes: list[Json], module: str | None = None) -> Any:
    """An app or router with the recorded routes; with `module`, as if all were defined there."""
    made = []
    for route in routes:
        if "module" in route:
            made.append(SimpleNamespace(path=route["path"], endpoint=function(module or route["module"])))
        elif "included" in route:
            made.append(SimpleNamespace(path="", original_router=router_of(route["included"], module)))
        else:
            made.append(SimpleNamespace(path=route["path"], routes=router_of(route["mounted"], module).routes))
    return SimpleNamespace(routes=made)


def load(monkeypatch: pytest.MonkeyPatch, modules: list[str]) -> None:
    for name in modules:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))


@pytest.mark.parametrize("host", names("apps"))
def test_the_app_of_each_host_is_recognised(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = capture(host)
    load(monkeypatch, recorded["loaded"])
    app = router_of(recorded["routes"])
    assert detect(app) is PROFILES[host]
    assert detect(SimpleNamespace(app=ResponsesShim(app))) is PROFILES[host]


def test_every_host_with_a_profile_of_its_own_was_recorded() -> None:
    assert {*names("apps"), "generic"} == {*PROFILES}


# Other apps ----------------------------------------------------------------------------------------------------------


def bare_chat_route() -> ASGIApp:
    return Starlette(routes=[Route(CHAT, function("__main__"), methods=["POST"])])


def like_litellm() -> ASGIApp:
    app, router = FastAPI(title="LiteLLM API"), APIRouter()
    for path in (
        CHAT,
        "/chat/completions",
        "/engines/{model:path}/chat/completions",
        "/v1/completions",
        "/key/generate",
    ):
        router.post(path)(function("litellm.proxy.proxy_server"))
    for path in ("/v1/models", "/health", "/metrics"):
        router.get(path)(function("litellm.proxy.health_endpoints"))
    app.include_router(router)
    return app


def gateway_with_the_paths_of_vllm() -> Any:
    return router_of(capture("vllm")["routes"], module="gateway.main")


def models_and_health_only() -> ASGIApp:
    app = FastAPI()
    for path in ("/v1/models", "/health", "/version"):
        app.get(path)(function("vllm.entrypoints.openai.models.api_router"))
    return app


def like_tgi() -> ASGIApp:
    app = FastAPI()
    for path in ("/generate", "/generate_stream", "/tokenize", CHAT):
        app.post(path)(function("text_generation_server.router"))
    app.get("/info")(function("text_generation_server.router"))
    return app


def like_sglang() -> ASGIApp:
    app = FastAPI()
    for path in (CHAT, "/v1/completions", "/v1/responses", "/generate", "/v1/tokenize"):
        app.post(path)(function("sglang.srt.entrypoints.http_server"))
    return app


def like_mlx_omni() -> ASGIApp:
    app, router, version = FastAPI(title="MLX Omni Server"), APIRouter(), APIRouter(prefix="/v1")
    router.post("/chat/completions")(function("mlx_omni_server.chat.openai.router"))
    version.include_router(router)
    app.include_router(version)
    return app


def mounted_below_a_path() -> ASGIApp:
    inner = FastAPI()
    inner.post(CHAT)(function("chat.api"))
    return Starlette(routes=[Route("/", function("site.pages")), Mount("/llm", app=inner)])


def proxy_of_everything() -> ASGIApp:
    app = FastAPI()
    app.api_route("/{path:path}", methods=["GET", "POST"])(function("vllm.entrypoints.proxy"))
    return app


def package_called_app() -> ASGIApp:
    """As that of mlx-openai-server is, and of many a tutorial's."""
    app = FastAPI(title="OpenAI-compatible API")
    app.post(CHAT)(function("app.api.endpoints"))
    return app


def with_routes_of_hosts_but_a_chat_route_of_its_own() -> ASGIApp:
    app = FastAPI()
    app.get("/metrics")(function("vllm.entrypoints.serve.instrumentator.metrics"))
    app.post("/extras/tokenize")(function("llama_cpp.server.app"))
    app.post("/v1/audio/speech")(function("mlx_vlm.server.openai"))
    app.post(CHAT)(function("assistant.routes"))
    return app


def packages_named_after_hosts() -> ASGIApp:
    app = FastAPI()
    for path, module in ((CHAT, "vllm_gateway.main"), ("/chat/completions", "llama_cpp_proxy"), ("/v2" + CHAT, "vllm")):
        app.post(path)(function(module))
    return app


def class_as_endpoint() -> ASGIApp:
    class Chat(HTTPEndpoint):
        async def post(self, request: Any) -> JSONResponse:
            return JSONResponse({})

    return Starlette(routes=[Route(CHAT, Chat)])


OTHERS: list[Callable[[], Any]] = [
    bare_chat_route,
    like_litellm,
    gateway_with_the_paths_of_vllm,
    models_and_health_only,
    like_tgi,
    like_sglang,
    like_mlx_omni,
    mounted_below_a_path,
    proxy_of_everything,
    package_called_app,
    with_routes_of_hosts_but_a_chat_route_of_its_own,
    packages_named_after_hosts,
    class_as_endpoint,
]


@pytest.mark.parametrize("make", OTHERS)
def test_an_app_that_is_something_else_is_no_host_of_ours(make: Callable[[], Any]) -> None:
    app = make()
    assert detect(app) is PROFILES["generic"]
    assert detect(SimpleNamespace(app=SimpleNamespace(app=app))) is PROFILES["generic"]


def test_with_the_server_loaded_a_package_called_app_is_that_of_mlx_openai_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load(monkeypatch, ["app.core.handler_process"])
    assert detect(package_called_app()) is PROFILES["mlx-openai-server"]
