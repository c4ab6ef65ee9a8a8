"""Complaints about reasoning that is lost between turns, or refused (15 and 16)."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from responses_shim import ResponsesShim
from tests.conformance.asking import QUESTION, WEATHER, Json, ask, items_of, response_of, result_of, streaming
from tests.conformance.complaints.answers import calling
from tests.scripted import ScriptedHost, chunk, text_answer
from tests.scripted import call as tool_call

pytestmark = pytest.mark.anyio


def generated(reasoning: str, content: str, *calls: Json) -> str:
    """What a model wrote, as it is in its context."""
    written = [json.dumps(call["function"]) for call in calls]
    return "".join(["<|assistant|>", f"<think>{reasoning}</think>" if reasoning else "", content, *written, "<|end|>"])


def rendered(chat: Json) -> str:
    """A chat request as the prompt that a template makes of it."""
    text = ""
    for message in chat["messages"]:
        if message["role"] == "assistant":
            assert message.get("reasoning") == message.get("reasoning_content"), "the two fields differ"
            calls = message.get("tool_calls", ())
            text += generated(message.get("reasoning", ""), message["content"] or "", *calls)
        else:
            text += f"<|{message['role']}|>{message['content']}<|end|>"
    return text


def as_it_came(item: Json) -> Json:
    return item


def without_ids(item: Json) -> Json:
    return {key: value for key, value in item.items() if key not in ("id", "status")}


def sealed_only(item: Json) -> Json:
    return {**item, "content": None} if item["type"] == "reasoning" else item


@pytest.mark.parametrize("kept", [as_it_came, without_ids, sealed_only])
@pytest.mark.parametrize("summary", [None, "auto"])
async def test_15_reasoning_comes_back_to_the_model_unchanged(
    kept: Callable[[Json], Json], summary: str | None
) -> None:
    """Reasoning was lost between turns: agents repeated themselves, and since the prompt had changed, the engine read
    all of it again in every turn. Here each prompt begins, byte for byte, with the one before and what the model wrote
    next."""
    arguments = '{"city":"Paris"}'
    thinks = [chunk("", role="assistant"), chunk(reasoning="Paris, "), chunk(reasoning="then."), chunk("I look it up.")]
    host = ScriptedHost(
        [*thinks, *calling([tool_call(0, "call_1", "get_weather", arguments)])],
        [chunk(reasoning="So it is."), *text_answer("Sunny.")],
        text_answer("Gladly."),
    )
    shim = ResponsesShim(host)
    fields: Json = {
        "instructions": "Be brief.",
        "tools": [WEATHER],
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"summary": summary},
    }
    history: list[Json] = [QUESTION]
    for next_message in (None, {"role": "user", "content": "Thanks."}, None):
        response = await response_of(shim, input=history, **fields)
        history += [kept(item) for item in response["output"]]
        history += [result_of(call) for call in items_of(response, "function_call")]
        history += [next_message] if next_message is not None else []

    first, second, third = (rendered(chat) for chat in host.requests)
    call = {"function": {"name": "get_weather", "arguments": arguments}}
    assert second.startswith(first + generated("Paris, then.", "I look it up.", call))
    assert third.startswith(second + generated("So it is.", "Sunny."))


@streaming
@pytest.mark.parametrize(
    "item",
    [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAABo-of-another-service"},
        {"type": "reasoning", "summary": [], "encrypted_content": "rs1.damaged"},
        {"type": "reasoning", "summary": [], "encrypted_content": ""},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "reasoning", "summary": [], "content": [], "encrypted_content": None},
        {"type": "reasoning", "content": None},
    ],
    ids=["foreign", "damaged", "empty", "no content", "nulls", "no summary"],
)
async def test_16_reasoning_that_cannot_be_read_is_no_error(item: Json, stream: bool) -> None:
    """A server refused requests with reasoning that another service had sealed, or that had no text: no session could
    move to it."""
    host = ScriptedHost()
    reply = await ask(ResponsesShim(host), input=[QUESTION, item, {"role": "user", "content": "Well?"}], stream=stream)
    assert reply.status == 200
    assert [message["role"] for message in host.requests[0]["messages"]] == ["user", "user"]
    if item.get("encrypted_content"):
        assert 'dropped=("input[1].encrypted_content")' in reply.headers["responses-shim-report"]
        assert item["encrypted_content"] not in json.dumps(host.requests[0])
