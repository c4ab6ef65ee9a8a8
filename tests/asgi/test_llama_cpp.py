"""llama-cpp-python behind the complete shim: what reaches it, what does not, and the warning to its operator."""

from __future__ import annotations

import logging
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.hosts.llama_cpp import INTERRUPTS
from tests.caller import post
from tests.scripted import ScriptedHost, text_answer

pytestmark = pytest.mark.anyio

Json = dict[str, Any]


async def test_the_fields_of_its_engine_reach_it_but_no_grammar() -> None:
    """A wrong grammar ends the process."""
    host = ScriptedHost(text_answer("Hi."))
    engine: Json = {"min_tokens": 2, "logit_bias": {"5": -100}, "mirostat_mode": 2, "mirostat_tau": None}
    body = {"model": "m", "input": "Hi", "grammar": "root ::= (", **engine}
    reply = await post(ResponsesShim(host, host="llama-cpp"), "/v1/responses", body)
    [request] = host.requests
    assert not {"grammar", "mirostat_tau"} & request.keys()
    assert (request["min_tokens"], request["logit_bias"], request["mirostat_mode"]) == (2, {"5": -100}, 2)
    assert 'dropped=("grammar")' in reply.headers["responses-shim-report"]


def load_server(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    """Have llama-cpp-python's server loaded, started with these settings."""
    module = ModuleType("llama_cpp.server.app")
    module.__dict__["_server_settings"] = SimpleNamespace(**settings)
    monkeypatch.setitem(sys.modules, "llama_cpp.server.app", module)


async def test_a_server_whose_requests_interrupt_each_other_is_warned_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    load_server(monkeypatch, interrupt_requests=True)
    shim = ResponsesShim(ScriptedHost(*[text_answer("Hi.")] * 2), host="llama-cpp")
    for _ in range(2):
        await post(shim, "/v1/responses", {"model": "m", "input": "Hi"})
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.message == INTERRUPTS
    assert "--interrupt_requests False" in record.message


async def test_the_warning_comes_when_the_server_starts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    load_server(monkeypatch, interrupt_requests=True)
    shim = ResponsesShim(ScriptedHost(text_answer("Hi.")), host="llama-cpp")
    messages: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None: ...

    await shim({"type": "lifespan"}, receive, send)
    assert INTERRUPTS in caplog.text
    await post(shim, "/v1/responses", {"model": "m", "input": "Hi"})
    assert caplog.text.count(INTERRUPTS) == 1


@pytest.mark.parametrize("settings", [{"interrupt_requests": False}, {}])
async def test_no_other_server_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, settings: Json
) -> None:
    load_server(monkeypatch, **settings)
    await post(ResponsesShim(ScriptedHost(text_answer("Hi.")), host="llama-cpp"), "/v1/responses", {"input": "Hi"})
    assert INTERRUPTS not in caplog.text


async def test_the_shim_asks_nothing_that_takes_the_models_lock() -> None:
    """Whatever does would end a stream that is running: the list of models, and the routes for tokens."""
    host, paths = ScriptedHost(text_answer("Hi.")), []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        paths.append(scope["path"])
        await host(scope, receive, send)

    shim = ResponsesShim(app, host="llama-cpp")
    await post(shim, "/v1/responses", {"model": "m", "input": "Hi", "return_token_ids": True, "top_logprobs": 2})
    await post(shim, "/v1/responses", {"model": "m", "input": 7})
    await post(shim, "/v1/responses", {"model": "m", "input": "Hi", "previous_response_id": "resp_1"})
    await post(shim, "/v1/responses", {"model": "m", "input": "a" * 100_000})
    assert {*paths} == {"/v1/chat/completions"}
