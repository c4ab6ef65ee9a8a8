"""Where vLLM 0.32's own `/v1/responses` falls short of the API, and the shim on the same server does not.

Each was seen on that endpoint, and has a test of its name. vLLM's answers are its own bytes where they were recorded
(`tests/captures/vllm`), else a script of what it sends.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from responses_shim import ResponsesShim
from tests.caller import post
from tests.hosts.replay import recorded
from tests.oracle import check_error, check_stream
from tests.scripted import Script, ScriptedHost, Step, Wait, call_answer, chunk, frame, text_answer
from tests.state import Client, next_event

pytestmark = pytest.mark.anyio

Json = dict[str, Any]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER: Json = {"type": "function", "name": "get_weather", "parameters": PARAMETERS}
TIME: Json = {"type": "function", "name": "get_time", "parameters": {"type": "object", "properties": {}}}
PATCH: Json = {"type": "custom", "name": "apply_patch", "format": {"type": "text"}}
DEAD = {
    "error": {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "param": None, "code": 500}
}


def replayed(name: str) -> Client:
    """A client of the shim on what vLLM was recorded to answer."""
    return Client(ResponsesShim(recorded("vllm", name), host="vllm", auth_probe="off"))


@asynccontextmanager
async def serving(*scripts: Script, **settings: Any) -> AsyncIterator[tuple[Client, ScriptedHost]]:
    """A client of the shim on a vLLM that plays these scripts."""
    host = ScriptedHost(*scripts)
    shim = ResponsesShim(host, host="vllm", auth_probe="off", **settings)
    async with shim.running():
        yield Client(shim), host


def kinds(events: list[Json]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


# 1
async def test_an_answer_that_the_limit_has_cut_is_incomplete_and_so_is_its_last_item() -> None:
    """vLLM ends the stream with `response.completed`, and says that the item is complete."""
    events = await replayed("length_in_text_stream").stream()
    assert kinds(events)[-1] == "incomplete"
    response = events[-1]["response"]
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]


# 2
async def test_an_engine_error_in_the_stream_is_an_error_event_and_response_failed() -> None:
    """vLLM cuts the connection."""
    events = await replayed("died_stream").stream()
    assert kinds(events)[-2:] == ["error", "failed"]
    assert events[-1]["response"]["error"]["message"].startswith("EngineCore encountered an issue")


# 3
async def test_responses_are_stored_by_default_shared_between_processes_and_bounded(tmp_path: Path) -> None:
    """vLLM's store is off, else in the memory of one process, and nothing is ever dropped."""
    store = f"sqlite:///{tmp_path}/responses.db"
    async with serving(store=store, store_trees=3) as (one, host), serving(store=store, store_trees=3) as (other, _):
        first = await one.create(input="My name is Ann.")
        second = await other.create(input="Who am I?", previous_response_id=first["id"])
        assert await one.get(second["id"]) == second
        assert first["store"] is True
        for _ in range(3):
            await one.create()
        assert (await other.refusal("GET", f"/responses/{first['id']}"))["status"] == 404
        assert (await one.refused(previous_response_id=second["id"]))["code"] == "previous_response_not_found"
        assert len(host.requests) == 4


# 4
async def test_a_response_can_be_deleted_its_input_listed_and_there_are_conversations() -> None:
    """vLLM has none of these routes, and passes over `conversation` in silence."""
    async with serving() as (client, host):
        response = await client.create(input="Hello?")
        assert [item["content"][0]["text"] for item in (await client.input_items(response["id"]))["data"]] == ["Hello?"]
        assert await client.answer("DELETE", f"/responses/{response['id']}") == {
            "id": response["id"],
            "object": "response",
            "deleted": True,
        }
        assert (await client.refusal("GET", f"/responses/{response['id']}"))["status"] == 404
        conversation = await client.conversation({"role": "user", "content": "My name is Ann."})
        await client.create(input="Who am I?", conversation=conversation)
        assert "My name is Ann." in json.dumps(host.requests[-1]["messages"])
        assert len(await client.items(conversation)) == 3


# 5
async def test_in_the_background_the_status_is_the_true_one_and_replays_end() -> None:
    """vLLM says `queued` to the end, sends no `response.queued`, and leaves who replays an error waiting."""
    go = anyio.Event()
    dying: list[Step] = [chunk("Half"), Wait(go), frame(DEAD)]
    async with serving(dying) as (client, host):
        async with client.creating(background=True, stream=True) as exchange:
            created = await next_event(exchange, "response.created")
            id = created["response"]["id"]
            assert created["response"]["status"] == "queued"
            await next_event(exchange, "response.queued")
            await next_event(exchange, "response.in_progress")
            await host.called.wait()
            assert (await client.get(id))["status"] == "in_progress"
            go.set()
            await next_event(exchange, "response.failed")
        events = await client.events(id)
        check_stream(events)
        assert kinds(events)[:3] == ["created", "queued", "in_progress"]
        assert kinds(events)[-1] == "failed"
        foreground = await client.create(stream=True, store=True)
        for method, path, query in (
            ("GET", f"/responses/{foreground['id']}", "stream=true"),
            ("POST", f"/responses/{foreground['id']}/cancel", ""),
        ):
            assert (await client.refusal(method, path, query=query))["status"] in (400, 404)


# 6
async def test_allowed_tools_hold_and_what_cannot_be_offered_is_reported() -> None:
    """vLLM ignores `allowed_tools`, drops hosted tools, and never reads `max_tool_calls`, all in silence."""
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "get_time"}]}
    async with serving(call_answer(("c1", "get_time", "{}"))) as (client, host):
        body = client.body(tools=[WEATHER, TIME, {"type": "web_search"}], tool_choice=allowed, max_tool_calls=2)
        reply = await client.ask("POST", "/responses", json=body)
        assert [tool["function"]["name"] for tool in host.requests[0]["tools"]] == ["get_time"]
        assert host.requests[0]["tool_choice"] in ("required", {"type": "function", "function": {"name": "get_time"}})
        report = reply.headers["responses-shim-report"]
        assert '"tools[2]"' in report
        assert '"max_tool_calls"' in report


# 7
async def test_a_custom_tool_may_have_a_grammar_streams_its_text_alone_and_has_a_status() -> None:
    """vLLM refuses a grammar, and leaks the JSON around the text where the limit has cut it."""
    grammar = {**PATCH, "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "a"'}}
    pieces = ['{"input', '": "*** Beg', "in\\n+a"]
    script: list[Step] = [
        chunk(role="assistant"),
        *(
            chunk(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "apply_patch", "arguments": piece}}])
            if number == 0
            else chunk(tool_calls=[{"index": 0, "function": {"arguments": piece}}])
            for number, piece in enumerate(pieces)
        ),
        chunk(finish_reason="length"),
    ]
    async with serving(script) as (client, _):
        events = await client.stream(tools=[grammar])
    deltas = [event["delta"] for event in events if event["type"] == "response.custom_tool_call_input.delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == "*** Begin\n+a"
    [call] = events[-1]["response"]["output"]
    assert (call["type"], call["input"], call["status"]) == ("custom_tool_call", "*** Begin\n+a", "incomplete")


# 8
async def test_every_item_that_a_client_sends_back_is_taken() -> None:
    """vLLM refuses references, files and encrypted reasoning, reads the first part alone, and wants a `type`."""
    async with serving(text_answer("<think>Hm.</think>Hello.")) as (client, host):
        before = await client.create(include=["reasoning.encrypted_content"])
        reasoning = next(item for item in before["output"] if item["type"] == "reasoning")
        text = "data:text/plain;base64,UGFyaXM="
        await client.create(
            input=[
                {"type": "item_reference", "id": before["output"][-1]["id"]},
                {
                    "type": "reasoning",
                    "id": "rs_1",
                    "summary": [],
                    "content": [{"type": "reasoning_text", "text": "One."}, {"type": "reasoning_text", "text": "Two."}],
                },
                {
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "Three."}, {"type": "output_text", "text": "Four."}],
                },
                {"role": "user", "content": [{"type": "input_file", "filename": "a.txt", "file_data": text}]},
            ]
        )
        sent = json.dumps(host.requests[-1]["messages"])
        for word in ("Hello.", "One.", "Two.", "Three.", "Four.", "Paris"):
            assert word in sent
        await client.create(input=[{**reasoning, "content": None, "summary": []}, {"role": "user", "content": "?"}])
        if reasoning.get("encrypted_content"):  # with the extra `encryption`
            assert "Hm." in json.dumps(host.requests[-1]["messages"])
        refused = await client.refused(input=[{"type": "function_call_output", "call_id": 7, "output": "x"}])
        assert refused["param"] == "input[0].call_id"
        assert len(refused["message"]) < 200


# 9
async def test_the_response_object_has_every_key_with_its_default_and_no_other() -> None:
    """vLLM's lacks some, has null for others, and `tool_choice: "none"` where there are no tools."""
    async with serving() as (client, _):
        response = await client.create(prompt_cache_key="k", safety_identifier="s")
    assert response["completed_at"] >= response["created_at"]
    expected = {
        "error": None,
        "store": True,
        "conversation": None,
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "text": {"format": {"type": "text"}},
        "reasoning": {"effort": None, "summary": None},
        "tool_choice": "auto",
        "top_logprobs": 0,
    }
    assert {name: response[name] for name in expected} == expected
    assert response["output"][0]["content"][0]["logprobs"] == []
    assert response.keys().isdisjoint({"kv_transfer_params", "input_messages", "output_messages"})
    statuses = {item["status"] for item in (await replayed("plain_stream").create())["output"]}
    assert statuses == {"completed"}


# 10
async def test_the_done_event_of_a_text_has_the_log_probabilities_of_its_deltas() -> None:
    """vLLM's has an empty list."""
    asked: Json = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    events = await replayed("thought_readable_stream").stream(**asked)
    deltas = [entry for event in events if event["type"] == "response.output_text.delta" for entry in event["logprobs"]]
    [done] = [event for event in events if event["type"] == "response.output_text.done"]
    assert done["logprobs"]
    assert done["logprobs"] == deltas


# 11
async def test_reasoning_is_shown_as_a_summary_and_deltas_are_obfuscated_where_that_is_asked_for() -> None:
    """vLLM reads neither; a `prompt` template is refused by both, here with its name."""
    client = replayed("plain_stream")
    summarised = await client.stream(reasoning={"summary": "auto"}, stream_options={"include_obfuscation": True})
    assert "response.reasoning_summary_text.delta" in {event["type"] for event in summarised}
    assert summarised[-1]["response"]["output"][0]["summary"][0]["text"] == "A greeting.\n"
    assert all(event["obfuscation"] for event in summarised if event["type"].endswith("text.delta"))
    assert (await client.refused(prompt={"id": "pmpt_1"}))["param"] == "prompt"


# 12
async def test_an_error_is_an_object_with_a_code_in_words_and_the_clients_name_of_the_field() -> None:
    """vLLM's has a number as its code, and `body.…` as its field; that of a wrong key is a bare text."""
    for name, status, param, code in (
        ("error_type_stream", 400, "temperature", None),
        ("error_too_long_stream", 400, "input", "context_length_exceeded"),
        ("error_key_stream", 401, None, "invalid_api_key"),
    ):
        error = await replayed(name).refused()
        assert (error["status"], error["param"], error["code"]) == (status, param, code)
        assert error["type"] == "invalid_request_error"


# 13
async def test_a_silent_stream_is_kept_alive() -> None:
    """`--sse-keep-alive-interval` of vLLM is for chat alone."""
    go = anyio.Event()
    script = [chunk("Half"), Wait(go), *text_answer(" done")]
    async with serving(script, ping_interval=0.02) as (client, _), client.creating(stream=True) as exchange:
        await next_event(exchange, "response.output_text.delta")
        await next_event(exchange, "response.in_progress")  # once more
        go.set()
        await next_event(exchange, "response.completed")


# 14
async def test_a_call_has_an_id_of_its_own_and_an_empty_answer_is_a_complete_response() -> None:
    """With vLLM two rounds may have calls with one id, if their server gives no other."""
    events = await replayed("plain_calls_stream").stream(tools=[WEATHER])
    calls = [item for item in events[-1]["response"]["output"] if item["type"] == "function_call"]
    assert len({item["call_id"] for item in calls} | {item["id"] for item in calls}) == 4
    assert all(item["id"].startswith("fc_") for item in calls)
    async with serving(text_answer("")) as (client, _):
        events = await client.stream()
        assert kinds(events) == ["created", "in_progress", "completed"]
        assert events[-1]["response"]["output"] == []


async def test_all_that_is_true_without_a_stream_too() -> None:
    """Of an error the HTTP status as well: vLLM has sent its 200 when the engine is found dead."""
    reply = await post(
        ResponsesShim(recorded("vllm", "died_at_once_stream"), host="vllm"), "/v1/responses", Client.body()
    )
    check_error(reply.json)
    assert reply.status == 500
    response = await replayed("length_in_text_stream").create()
    assert (response["status"], response["output"][-1]["status"]) == ("incomplete", "incomplete")
