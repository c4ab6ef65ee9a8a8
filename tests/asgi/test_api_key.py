"""The guard of a proxy: who is let in, by which header, and what the others get."""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim import ResponsesShim
from responses_shim.asgi.api_key import ApiKeyGuard
from tests.caller import request
from tests.oracle import check_error
from tests.scripted import ScriptedHost

pytestmark = pytest.mark.anyio

KEYS = ["sk-first", "sk-second"]


def guarded(host: ScriptedHost | None = None) -> ApiKeyGuard:
    return ApiKeyGuard(ResponsesShim(host or ScriptedHost()), KEYS, open_paths=["/open"])


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer sk-first"},
        {"Authorization": "bearer  sk-second "},
        {"x-api-key": "sk-second"},
        {"api-key": "sk-first"},
        {"authorization": "Bearer other", "x-api-key": "sk-first"},
    ],
)
async def test_who_has_a_key_is_let_in(headers: dict[str, str]) -> None:
    assert (await request(guarded(), "GET", "/v1/models", headers=headers)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer sk-third"},
        {"authorization": "Bearer sk-first2"},
        {"authorization": "Bearer "},
        {"authorization": "sk-first"},
        {"authorization": "Basic sk-first"},
        {"x-api-key": ""},
        {"cookie": "sk-first"},
        {"x-api-key": "é"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/responses"),
        ("GET", "/v1/responses/resp_1"),
        ("DELETE", "/v1/responses/resp_1"),
        ("OPTIONS", "/anything"),
        ("GET", "/open/"),
    ],
)
async def test_nobody_else_is(headers: dict[str, str], method: str, path: str) -> None:
    host = ScriptedHost()
    reply = await request(guarded(host), method, path, headers=headers)
    check_error(reply.json)
    assert (reply.status, reply.json["error"]["code"]) == (401, "invalid_api_key")
    assert reply.headers["www-authenticate"] == "Bearer"
    assert not host.requests


async def test_a_path_may_be_open_to_all() -> None:
    assert (await request(guarded(), "GET", "/open")).status == 200


async def test_a_websocket_needs_a_key_too() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await guarded()({"type": "websocket", "path": "/v1/realtime", "headers": []}, receive, send)
    assert sent == ["websocket.close"]


async def test_the_lifespan_is_passed_on() -> None:
    host = ScriptedHost()
    messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> Any:
        return {"type": next(messages)}

    async def send(message: Any) -> None:
        pass

    await guarded(host)({"type": "lifespan"}, receive, send)
    assert host.lifespan == ["lifespan.startup", "lifespan.shutdown"]
