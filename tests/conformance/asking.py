"""Asks the complete shim in this process, streamed or not. The answer is checked before a test looks at it."""

from __future__ import annotations

from typing import Any, TypeAlias

import pytest
from starlette.types import ASGIApp

from tests.caller import HeaderPairs, Reply, payloads, post
from tests.oracle import check_error, check_response, check_stream

Json: TypeAlias = dict[str, Any]

streaming = pytest.mark.parametrize("stream", [False, True], ids=["not streamed", "streamed"])

QUESTION: Json = {"role": "user", "content": "What is the weather in Paris?"}
WEATHER: Json = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


async def ask(app: ASGIApp, headers: HeaderPairs = (), **fields: Any) -> Reply:
    """The answer to one request, which has a model and an input unless others are given."""
    return await post(app, "/v1/responses", {"model": "scripted", "input": "Hi", **fields}, headers=headers)


async def events_of(app: ASGIApp, headers: HeaderPairs = (), **fields: Any) -> list[Json]:
    """The events of a stream, all of them valid."""
    reply = await ask(app, headers, **fields, stream=True)
    assert reply.status == 200, reply.body
    events = payloads(reply.events)
    check_stream(events)
    return events


async def response_of(app: ASGIApp, headers: HeaderPairs = (), *, stream: bool = False, **fields: Any) -> Json:
    """The response of the terminal event, or of the JSON body. It is valid."""
    if stream:
        response: Json = (await events_of(app, headers, **fields))[-1]["response"]
        return response
    reply = await ask(app, headers, **fields)
    assert reply.status == 200, reply.body
    response = reply.json
    check_response(response)
    return response


async def refusal_of(app: ASGIApp, **fields: Any) -> Json:
    """The error of a request that is refused with a 400."""
    reply = await ask(app, **fields)
    assert reply.status == 400, reply.body
    check_error(reply.json)
    error: Json = reply.json["error"]
    return error


def items_of(response: Json, *types: str) -> list[Json]:
    """The output items, those of some types only."""
    return [item for item in response["output"] if not types or item["type"] in types]


def text_of(response: Json) -> str:
    """The texts of all messages, joined."""
    parts = [part for item in items_of(response, "message") for part in item["content"]]
    return "".join(part["text"] for part in parts)


def result_of(call: Json, output: Any = "sunny") -> Json:
    """The output of a call, as the client sends it."""
    return {"type": call["type"] + "_output", "call_id": call["call_id"], "output": output}
