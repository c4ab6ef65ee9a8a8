"""Complaints about silence, compression, answers that are cut, images and schemas (17 to 22)."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Callable

import anyio
import httpx
import pytest

from responses_shim import ResponsesShim
from responses_shim.setting_types import SettingsArguments
from tests.caller import call, payloads
from tests.conformance.asking import (
    QUESTION,
    WEATHER,
    Json,
    ask,
    events_of,
    items_of,
    response_of,
    result_of,
    streaming,
    text_of,
)
from tests.conformance.complaints.answers import IMAGE, PIXEL
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import DONE, ScriptedHost, Step, Wait, call_answer, chunk, text_answer, usage
from tests.scripted import Json as JsonAnswer
from tests.scripted import call as tool_call
from tests.serving import serving

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.anyio


OFTEN = SettingsArguments(commit_after=0, ping_interval=0.02)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [(OFTEN, "response.in_progress"), (SettingsArguments(ping="event", **OFTEN), "response.ping")],
    ids=["default", "event"],
)
async def test_17_pings_bridge_a_long_silence(settings: SettingsArguments, kind: str) -> None:
    """A long prompt takes minutes to read. Clients that count events gave up although comments came, and proxies hung
    up, or kept what came in a buffer."""
    read = anyio.Event()
    shim = ResponsesShim(ScriptedHost([Wait(read), *text_answer("Hello")]), **settings)
    async with call(shim, "POST", "/v1/responses", json={"model": "m", "input": "Hi", "stream": True}) as exchange:
        opening = [await exchange.next_event() for _ in range(5)]
        assert (exchange.headers["x-accel-buffering"], exchange.headers["cache-control"]) == ("no", "no-store")
        assert [event.name for event in opening if event is not None] == [
            "response.created",
            "response.in_progress",
            *[kind] * 3,
        ]
        read.set()
        events = payloads([event for event in opening if event is not None] + await exchange.events())
    check_stream(events)
    assert text_of(events[-1]["response"]) == "Hello"


@pytest.mark.parametrize(
    ("coding", "compress"), [("zstd", zstd.compress), ("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_18_a_compressed_request_is_read(coding: str, compress: Callable[[bytes], bytes]) -> None:
    """Agents compress their requests, and servers read the compressed bytes as JSON."""
    host = ScriptedHost()
    body = json.dumps({"model": "scripted", "input": "Hi" * 20_000}).encode()
    headers = {"content-type": "application/json", "content-encoding": coding}
    with serving(ResponsesShim(host, max_body=100_000)) as url, httpx.Client(timeout=20, trust_env=False) as client:
        good = client.post(f"{url}/v1/responses", content=compress(body), headers=headers)
        plain = client.post(f"{url}/v1/responses", content=body, headers=headers)
        bomb = client.post(f"{url}/v1/responses", content=compress(b" " * 1_000_000), headers=headers)
        unknown = client.post(f"{url}/v1/responses", content=body, headers=headers | {"content-encoding": "snappy"})
    assert good.status_code == 200
    check_response(good.json())
    assert host.requests[0]["messages"] == [{"role": "user", "content": "Hi" * 20_000}]
    assert [reply.status_code for reply in (plain, bomb, unknown)] == [400, 413, 415]
    for refused in (plain, bomb, unknown):
        check_error(refused.json())


@streaming
@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
@pytest.mark.parametrize(
    "chunks",
    [[chunk("Hel")], [], [chunk(reasoning="Hm")], [chunk(tool_calls=[tool_call(0, "call_1", "get_weather", '{"ci')])]],
    ids=["text", "no chunk", "reasoning", "a call"],
)
async def test_19_an_answer_that_is_cut_is_incomplete(
    chunks: list[Step], finish: str, reason: str, stream: bool
) -> None:
    """At the token limit the response was `completed`: agents took half an answer, or none, for the end of their
    work."""
    script = [*chunks, chunk(finish_reason=finish), chunk(usage=usage(7, 1)), DONE]
    response = await response_of(ResponsesShim(ScriptedHost(script)), tools=[WEATHER], stream=stream)
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": reason}
    assert response["completed_at"] is None
    assert [item["status"] for item in response["output"]] == ["incomplete"] * bool(chunks)


async def test_19_an_answer_without_a_finish_reason_has_failed() -> None:
    """An engine that died in the middle left a response that looked complete."""
    shim = ResponsesShim(ScriptedHost([chunk("Hel")]))
    events = await events_of(shim)
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    reply = await ask(shim)
    assert reply.status == 502
    check_error(reply.json)


def text_in_tools_only(request: Json) -> list[Step]:
    """A host that takes images from users only, and wants the outputs of tools, as text, right after the calls."""
    waiting: set[str] = set()
    for message in request["messages"]:
        if message["role"] != "tool" and waiting:
            return [JsonAnswer(400, {"error": {"message": "A tool call was not answered.", "code": 400}})]
        if message["role"] == "tool":
            waiting.discard(message["tool_call_id"])
            if not isinstance(message["content"], str):
                return [JsonAnswer(400, {"error": {"message": "Tool content must be a string.", "code": 400}})]
        waiting |= {call["id"] for call in message.get("tool_calls", ())}
    return text_answer("I see.")


async def test_20_the_model_sees_an_image_that_a_tool_puts_out() -> None:
    """A screenshot as the output of a tool was refused in this and every later turn, was dropped, or went to the model
    as a megabyte of base64."""
    host = ScriptedHost(text_in_tools_only)
    shim = ResponsesShim(host)
    calls = [
        {"type": "function_call", "call_id": f"call_{n}", "name": "screenshot", "arguments": "{}"} for n in range(2)
    ]
    history: list[Json] = [
        QUESTION,
        *calls,
        result_of(calls[0], [{"type": "input_text", "text": "The screen:"}, IMAGE]),
        result_of(calls[1], [IMAGE]),
    ]
    first = await response_of(shim, input=history)
    assert text_of(first) == "I see."
    messages = host.requests[0]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool", "user"]
    assert PIXEL not in json.dumps(messages[:4])
    assert "The screen:" in messages[2]["content"]
    images = [part for part in messages[4]["content"] if part["type"] == "image_url"]
    assert [image["image_url"]["url"] for image in images] == [IMAGE["image_url"]] * 2

    later = [*history, *first["output"], {"role": "user", "content": "What else?"}]
    assert text_of(await response_of(shim, input=later)) == "I see."
    assert host.requests[1]["messages"][:5] == messages


@streaming
@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
async def test_21_every_reasoning_effort_goes_to_the_host(effort: str, stream: bool) -> None:
    """An effort that the server's own types lacked broke the stream after it had started with a 200."""
    host = ScriptedHost()
    response = await response_of(ResponsesShim(host), reasoning={"effort": effort}, stream=stream)
    assert host.requests[0]["reasoning_effort"] == effort
    assert response["reasoning"]["effort"] == effort


async def test_21_an_output_may_be_a_list_of_texts() -> None:
    """The same types allowed only a string as the output of a tool."""
    host = ScriptedHost()
    called = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
    parts = [{"type": "input_text", "text": "One."}, {"type": "output_text", "text": "Two."}]
    await response_of(ResponsesShim(host), input=[QUESTION, called, result_of(called, parts)])
    assert host.requests[0]["messages"][-1]["content"] == "One.\nTwo."


PLACE: Json = {
    "type": "json_schema",
    "name": "place",
    "strict": True,
    "schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


def constrained(request: Json) -> list[Step]:
    """A model that the host holds to a schema can call no tool; without that it follows the schema only if it is in the
    system message."""
    awaits_result = request["messages"][-1]["role"] != "tool"
    if "response_format" not in request and request.get("tools") and awaits_result:
        return call_answer(("call_1", "get_weather", '{"city": "Paris"}'))
    knows_schema = "response_format" in request or '"additionalProperties":false' in str(
        request["messages"][0]["content"]
    )
    return [chunk(reasoning="In braces."), *text_answer('{"city": "Paris"}' if knows_schema else "Paris, I think.")]


@streaming
async def test_22_with_a_schema_for_the_answer_tools_and_reasoning_still_work(stream: bool) -> None:
    """With a schema for the answer the model could call no tool, or its reasoning was held to the schema too."""
    shim = ResponsesShim(host := ScriptedHost(constrained))
    alone = await response_of(shim, input=[QUESTION], text={"format": PLACE}, stream=stream)
    assert json.loads(text_of(alone)) == {"city": "Paris"}
    assert [item["type"] for item in alone["output"]] == ["reasoning", "message"]
    assert host.requests[0]["response_format"]["json_schema"]["schema"] == PLACE["schema"]

    beside: Json = {"tools": [WEATHER], "text": {"format": PLACE}, "stream": stream}
    first = await response_of(shim, input=[QUESTION], **beside)
    [called] = items_of(first, "function_call")
    second = await response_of(shim, input=[QUESTION, called, result_of(called)], **beside)
    assert json.loads(text_of(second)) == {"city": "Paris"}
    assert "response_format" not in host.requests[1] | host.requests[2]
    assert second["text"]["format"]["schema"] == PLACE["schema"]


async def test_22_the_setting_format_with_tools_keeps_the_hosts_constraint() -> None:
    """That is for a host that holds the answer to the schema and not the calls."""
    host = ScriptedHost()
    shim = ResponsesShim(host, format_with_tools="constrain")
    await response_of(shim, tools=[WEATHER], text={"format": PLACE})
    assert host.requests[0]["response_format"]["type"] == "json_schema"
    assert [message["role"] for message in host.requests[0]["messages"]] == ["user"]
