"""What a server that the shim knows nothing about gets from it, shown on one that plays a script; and the example.

They need no engine, so they run with the tests of this repository; what they show is recorded with the live ones.
"""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from integrations.generic.app import app
from responses_shim import ResponsesShim
from tests.caller import DEADLINE
from tests.scripted import (
    DONE,
    Hold,
    ScriptedHost,
    Step,
    Wait,
    call_answer,
    chunk,
    frame,
    text_answer,
    usage,
)
from tests.state import Client

pytestmark = pytest.mark.anyio

Response = dict[str, Any]

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "name": "get_weather", "parameters": PARAMETERS}
PARIS = ("call_1", "get_weather", '{"city": "Paris"}')
ROME = ("call_2", "get_weather", '{"city": "Rome"}')
PLACE = {"format": {"type": "json_schema", "name": "place", "schema": PARAMETERS, "strict": True}}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)


def client_of(*scripts: Any, **settings: Any) -> tuple[Client, ScriptedHost]:
    host = ScriptedHost(*scripts)
    return Client(ResponsesShim(host, **settings)), host


async def both_ways(client: Client, **fields: Any) -> Response:
    """The response, streamed and not: both have the same output."""
    streamed = await client.create(stream=True, **fields)
    response = await client.create(**fields)
    assert [unnamed(item) for item in streamed["output"]] == [unnamed(item) for item in response["output"]]
    return response


def unnamed(item: Response) -> Response:
    return {name: value for name, value in item.items() if name != "id"}


def text_of(response: Response) -> str:
    return "".join(part["text"] for item in response["output"] if item["type"] == "message" for part in item["content"])


def calls_in(response: Response) -> list[tuple[str, str, str]]:
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    return [(item["call_id"], item["name"], item["arguments"]) for item in calls]


@pytest.mark.feature("text", "usage")
async def test_text() -> None:
    client, _ = client_of()
    response = await both_ways(client, input="Hi")
    assert text_of(response) == "Hello world"
    assert response["usage"]["total_tokens"] == 9


@pytest.mark.feature("reasoning")
@pytest.mark.parametrize(
    "answer",
    [
        [chunk(reasoning="Hm."), *text_answer("Hello.")],
        [chunk(reasoning_content="Hm."), *text_answer("Hello.")],
        text_answer("<think>", "Hm.", "</think>", "Hello."),
    ],
    ids=["reasoning", "reasoning_content", "think tags"],
)
async def test_reasoning(answer: list[Step]) -> None:
    client, _ = client_of(answer)
    thought, message = (await both_ways(client, input="Hi"))["output"]
    assert thought["content"] == [{"type": "reasoning_text", "text": "Hm."}]
    assert message["content"][0]["text"] == "Hello."


@pytest.mark.feature("function calls", "parallel calls")
async def test_calls_and_their_outputs() -> None:
    client, host = client_of(call_answer(PARIS, ROME), call_answer(PARIS, ROME), text_answer("Sunny."))
    response = await both_ways(client, input="Weather?", tools=[WEATHER])
    assert calls_in(response) == [PARIS, ROME]
    outputs = [{"type": "function_call_output", "call_id": id, "output": "sunny"} for id, _, _ in (PARIS, ROME)]
    answer = await client.create(input=outputs, previous_response_id=response["id"], tools=[WEATHER])
    assert text_of(answer) == "Sunny."
    assert [message["role"] for message in host.requests[-1]["messages"]] == ["user", "assistant", "tool", "tool"]


@pytest.mark.feature("named function", "required call", note="if the server enforces it")
@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}])
async def test_a_choice_reaches_the_server(choice: Any) -> None:
    client, host = client_of(call_answer(PARIS))
    await client.create(input="Weather?", tools=[WEATHER], tool_choice=choice)
    named = {"type": "function", "function": {"name": "get_weather"}}
    assert host.requests[0]["tool_choice"] == (choice if choice == "required" else named)


@pytest.mark.feature("calls read from text", note="with `tool_markup=detect`")
async def test_calls_are_read_from_the_text() -> None:
    written = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
    client, _ = client_of(text_answer(*written), tool_markup="detect")
    response = await client.create(input="Weather?", tools=[WEATHER])
    assert [call[1:] for call in calls_in(response)] == [("get_weather", '{"city": "Paris"}')]


@pytest.mark.feature("structured output", note="if the server enforces it")
async def test_a_format_reaches_the_server() -> None:
    client, host = client_of(text_answer('{"city": "Paris"}'))
    response = await both_ways(client, input="Where?", text=PLACE)
    assert json.loads(text_of(response)) == {"city": "Paris"}
    assert host.requests[0]["response_format"]["json_schema"]["schema"] == PARAMETERS


@pytest.mark.feature("structured output beside tools")
async def test_an_answer_out_of_format_beside_tools_is_asked_for_again() -> None:
    client, host = client_of(text_answer("In Paris, I think."), text_answer('{"city": "Paris"}'))
    response = await client.create(input="Where?", text=PLACE, tools=[WEATHER])
    assert json.loads(text_of(response)) == {"city": "Paris"}
    assert ["response_format" in request for request in host.requests] == [False, True]


@pytest.mark.feature("log-probabilities", note="if the server returns them")
async def test_log_probabilities() -> None:
    entry = {"token": "Hello", "logprob": -0.5, "bytes": [72], "top_logprobs": []}
    answer = [chunk("Hello", logprobs={"content": [entry]}), chunk(finish_reason="stop"), DONE]
    client, host = client_of(answer)
    response = await both_ways(client, input="Hi", include=["message.output_text.logprobs"], top_logprobs=2)
    [logprob] = response["output"][0]["content"][0]["logprobs"]
    assert (logprob["token"], logprob["logprob"]) == ("Hello", -0.5)
    assert (host.requests[0]["logprobs"], host.requests[0]["top_logprobs"]) == (True, 2)


@pytest.mark.feature("token ids", note="if the server returns them")
async def test_token_ids() -> None:
    logprobs = {"content": [{"token": "Hello", "logprob": -0.5}]}
    choice = {"index": 0, "delta": {"content": "Hello"}, "token_ids": [7], "logprobs": logprobs}
    answer = [frame({"choices": [{**choice, "finish_reason": "stop"}], "prompt_token_ids": [1, 2]}), DONE]
    client, _ = client_of(answer)
    item = (await both_ways(client, input="Hi", return_token_ids=True))["output"][-1]
    assert (item["prompt_token_ids"], item["generation_token_ids"], item["generation_log_probs"]) == (
        [1, 2],
        [7],
        [-0.5],
    )


@pytest.mark.feature("cached tokens", "reasoning tokens", note="if the server counts them")
async def test_token_counts_in_detail() -> None:
    counts = usage(20, 9, cached=16, reasoning=5)
    client, _ = client_of([chunk("Hi."), chunk(finish_reason="stop"), chunk(usage=counts), DONE])
    response = await both_ways(client, input="Hi")
    assert response["usage"]["input_tokens_details"]["cached_tokens"] == 16
    assert response["usage"]["output_tokens_details"]["reasoning_tokens"] == 5


@pytest.mark.feature("images", note="if the server takes them")
async def test_an_image_reaches_the_server() -> None:
    client, host = client_of()
    part = {"type": "input_image", "image_url": PIXEL, "detail": "auto"}
    await client.create(input=[{"role": "user", "content": [part]}])
    [sent] = host.requests[0]["messages"][0]["content"]
    assert (sent["type"], sent["image_url"]["url"]) == ("image_url", PIXEL)


@pytest.mark.feature("prefix cache")
async def test_the_messages_of_a_turn_begin_with_those_of_the_turn_before() -> None:
    first = [chunk(reasoning="Two cities."), chunk("Let me look."), *call_answer(PARIS, ROME)]
    client, host = client_of(first, text_answer("Sunny."))
    response = await client.create(input="Weather?", instructions="Be brief.", tools=[WEATHER])
    outputs = [{"type": "function_call_output", "call_id": id, "output": "sunny"} for id, _, _ in (PARIS, ROME)]
    await client.create(input=outputs, previous_response_id=response["id"], instructions="Be brief.", tools=[WEATHER])
    before, after = (request["messages"] for request in host.requests)
    assert after[: len(before)] == before
    said = after[len(before)]
    assert (said["reasoning"], said["content"]) == ("Two cities.", "Let me look.")
    assert [call["function"]["arguments"] for call in said["tool_calls"]] == [PARIS[2], ROME[2]]


@pytest.mark.feature("disconnect")
@pytest.mark.parametrize("streamed", [True, False])
async def test_a_client_that_leaves_frees_the_server(streamed: bool) -> None:
    client, host = client_of([chunk("Half"), Hold()])
    async with client.creating(input="Hi", stream=streamed) as exchange:
        with anyio.fail_after(DEADLINE):
            await host.called.wait()
        await exchange.disconnect()
        with anyio.fail_after(DEADLINE):
            await host.finished.wait()
    assert host.disconnected.is_set()


@pytest.mark.feature("several requests")
async def test_two_requests_at_once() -> None:
    """The first is answered when the second has been."""
    go = anyio.Event()
    client, host = client_of([chunk("Half"), Wait(go), *text_answer(" done.")], text_answer("Second."))
    async with client.creating(input="Hi") as waiting:
        with anyio.fail_after(DEADLINE):
            await host.called.wait()
        assert text_of(await client.create(input="Hi")) == "Second."
        go.set()
        assert text_of((await waiting.reply()).json) == "Half done."


@pytest.mark.feature("state")
async def test_a_response_is_continued_and_found_again() -> None:
    client, host = client_of(text_answer("Hello Ann."), text_answer("Ann."))
    first = await client.create(input="I am Ann.")
    second = await client.create(input="Who am I?", previous_response_id=first["id"])
    contents = [message["content"] for message in host.requests[-1]["messages"]]
    assert contents == ["I am Ann.", "Hello Ann.", "Who am I?"]
    assert (await client.get(second["id"]))["output"] == second["output"]


@pytest.mark.feature("background")
async def test_a_response_in_the_background_is_polled_and_another_one_cancelled() -> None:
    client, _ = client_of(text_answer("Done."), [chunk("Half"), Hold()])
    shim: Any = client.app
    async with shim.running():
        polled = await client.create(input="Hi", background=True)
        assert text_of(await client.until(polled["id"], "completed")) == "Done."
        other = await client.create(input="Hi", background=True)
        await client.until(other["id"], "in_progress")
        assert (await client.cancel(other["id"]))["status"] == "cancelled"


async def test_the_example() -> None:
    response = await both_ways(Client(app), model="echo", input="Say it again.")
    assert text_of(response) == "Say it again. "
    assert response["usage"]["output_tokens"] == 3
