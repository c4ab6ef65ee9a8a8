"""The host's tokenize route, called for a client: the request that it gets, and hosts without such a route."""

from __future__ import annotations

import dataclasses
import json
import logging
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from responses_shim.asgi.host_client import HostClient
from responses_shim.hosts import PROFILES
from tests.scripted import read_body

pytestmark = pytest.mark.anyio

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
SCOPE: Scope = {
    "type": "http",
    "method": "POST",
    "path": "/llm/v1/responses",
    "root_path": "/llm",
    "query_string": b"beta=true",
    "headers": [(b"authorization", b"Bearer key"), (b"content-length", b"7")],
    "state": {"a": 1},
    "endpoint": "of the outer route",
    "extensions": {"http.response.pathsend": {}, "tls": {}},
}
GENERIC = PROFILES["generic"]


class Host:
    """Answers with JSON, and keeps the scopes and bodies of its calls."""

    def __init__(self, answer: Any, status: int = 200) -> None:
        self.answer, self.status = answer, status
        self.scopes: list[Scope] = []
        self.bodies: list[Any] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        self.bodies.append(json.loads(await read_body(receive)))
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        half = len(body := json.dumps(self.answer).encode()) // 2
        await send({"type": "http.response.body", "body": body[:half], "more_body": True})
        await send({"type": "http.response.body", "body": body[half:]})


async def test_the_route_gets_an_ordinary_request_with_the_clients_credentials() -> None:
    host = Host({"tokens": [1, 2], "count": 2})
    assert await HostClient(host, SCOPE, "/llm", GENERIC).prompt_tokens(CHAT) == [1, 2]
    (scope,) = host.scopes
    assert (scope["method"], scope["path"], scope["raw_path"]) == ("POST", "/llm/tokenize", b"/llm/tokenize")
    assert (scope["root_path"], scope["query_string"], scope["extensions"]) == ("/llm", b"", {"tls": {}})
    assert "endpoint" not in scope
    assert scope["state"] == {"a": 1}
    assert scope["state"] is not SCOPE["state"]
    headers = dict(scope["headers"])
    assert headers[b"authorization"] == b"Bearer key"
    assert headers[b"content-length"] == b"%d" % len(json.dumps(host.bodies[0], separators=(",", ":")))
    assert host.bodies == [{"model": "m", "messages": CHAT["messages"]}]


async def test_a_host_without_the_route_is_not_called() -> None:
    host = Host({"tokens": [1]})
    profile = dataclasses.replace(GENERIC, tokenize_path=None)
    assert await HostClient(host, SCOPE, "", profile).prompt_tokens(CHAT) is None
    assert host.scopes == []


async def test_a_refusal_is_logged_without_its_body(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "responses_shim"):
        for host in (Host({"error": "secret"}, 400), Host({"tokens": "secret"})):
            assert await HostClient(host, SCOPE, "", GENERIC).prompt_tokens(CHAT) is None
    assert [record.getMessage() for record in caplog.records] == [
        "the host's /tokenize answered with status 400",
        "the host's /tokenize failed: ValidationError",
    ]


async def test_a_host_that_sends_no_answer_has_no_tokens(caplog: pytest.LogCaptureFixture) -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        return

    with caplog.at_level(logging.WARNING, "responses_shim"):
        assert await HostClient(silent, SCOPE, "", GENERIC).prompt_tokens(CHAT) is None
    assert [record.getMessage() for record in caplog.records] == ["the host's /tokenize answered with status 0"]
