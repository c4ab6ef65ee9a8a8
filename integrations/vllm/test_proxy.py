"""`responses-shim proxy` in front of vLLM's real server, as of a remote one: its chat route is called over HTTP.

    pytest -m live integrations/vllm/test_proxy.py

What the engine says is a script.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from integrations.vllm.server import MODEL, Script, Server
from integrations.vllm.test_live import SECONDS, WEATHER, called, said, until
from responses_shim import ResponsesShim
from responses_shim.asgi.reverse_proxy import ReverseProxy
from tests.oracle import check_response, check_stream
from tests.serving import serving

pytestmark = pytest.mark.live

Json = dict[str, Any]


@pytest.fixture(scope="module")
def url(scripted: Server) -> Iterator[str]:
    """The proxy. The server has the shim too, which is not asked: of its routes the proxy calls chat alone."""
    with serving(ResponsesShim(ReverseProxy(scripted.url), host="vllm")) as root:
        yield f"{root}/v1"


def body(**fields: Any) -> Json:
    return {"model": MODEL, "input": "Hello!", **fields}


@pytest.mark.feature("reasoning", "function calls", "parallel calls", host="proxy")
@pytest.mark.parametrize("stream", [True, False])
def test_reasoning_text_and_parallel_calls(url: str, script: Script, stream: bool) -> None:
    script.say(f"<think>Two.</think>\n\nLet me look.\n{called('Paris')}\n{called('Rome')}")
    reply = httpx.post(f"{url}/responses", json=body(tools=[WEATHER], stream=stream), timeout=SECONDS)
    assert reply.status_code == 200, reply.text
    response: Json = reply.json() if not stream else last_of(reply)
    check_response(response)
    # With which parser the server was started is not known here, so the template's line end before a call stays.
    calls = [("function_call", '{"city": "Paris"}'), ("function_call", '{"city": "Rome"}')]
    assert said(response) == [("reasoning", "Two."), ("message", "\n\nLet me look.\n"), *calls]


def last_of(reply: httpx.Response) -> Json:
    """The response at the end of a stream, which is valid."""
    lines = [line.removeprefix("data: ") for line in reply.text.split("\n") if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    events: list[Json] = [json.loads(line) for line in lines]
    check_stream(events)
    response: Json = events[-1]["response"]
    return response


def test_fields_of_the_engine_reach_it(url: str, script: Script) -> None:
    script.say("Hello.")
    reply = httpx.post(f"{url}/responses", json=body(top_k=20, prompt_cache_key="k"), timeout=SECONDS)
    assert reply.status_code == 200, reply.text
    [seen] = script.seen
    assert (seen["top_k"], len(seen["cache_salt"])) == (20, 64)


@pytest.mark.parametrize("path", ["responses", "chat/completions"])
def test_a_client_that_leaves_stops_the_engine(url: str, script: Script, path: str) -> None:
    script.say("word " * 2000, pause=0.02)
    asked = body(stream=True, messages=[{"role": "user", "content": "Hi"}])
    if path == "responses":
        del asked["messages"]
    with httpx.stream("POST", f"{url}/{path}", json=asked, timeout=SECONDS) as reply:
        next(line for line in reply.iter_lines() if "word" in line)
    until(lambda: bool(script.ended))
    assert script.ended[0] < 2000
