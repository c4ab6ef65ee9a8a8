"""Stored responses: continued by `previous_response_id`, got, listed and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from responses_shim import RequestView, ResponsesShim
from tests.conformance.asking import WEATHER, result_of
from tests.scripted import DONE, Json, Raise, ScriptedHost, Step, Wait, call_answer, chunk, text_answer
from tests.state import Client, next_event, prompts, store_of, texts

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left", "every_store")]

streaming = pytest.mark.parametrize("stream", [False, True], ids=["not streamed", "streamed"])


def counting(request: dict[str, Any]) -> list[Step]:
    """A model that answers with the number of messages that it was given."""
    return text_answer(f"Answer {len(request['messages'])}")


def client_of(*scripts: Any, **settings: Any) -> tuple[Client, ScriptedHost]:
    host = ScriptedHost(*(scripts or (counting,)))
    return Client(ResponsesShim(host, **settings)), host


# Continuing ----------------------------------------------------------------------------------------------------------


@streaming
async def test_a_chain_is_everything_in_order_and_nothing_else(stream: bool) -> None:
    client, host = client_of()
    first = await client.create(input="One", stream=stream)
    second = await client.create(input="Two", previous_response_id=first["id"], stream=stream)
    third = await client.create(input="Three", previous_response_id=second["id"], stream=stream)
    assert prompts(host)[2] == [
        "user: One",
        "assistant: Answer 1",
        "user: Two",
        "assistant: Answer 3",
        "user: Three",
    ]
    assert [response["previous_response_id"] for response in (first, second, third)] == [
        None,
        first["id"],
        second["id"],
    ]


async def test_instructions_are_each_turns_own_but_system_and_developer_messages_are_history() -> None:
    client, host = client_of()
    items = [{"role": "developer", "content": "Rhyme."}, {"role": "user", "content": "One"}]
    first = await client.create(input=items, instructions="Be brief.")
    second = await client.create(input="Two", previous_response_id=first["id"], instructions="Be long.")
    third = await client.create(input="Three", previous_response_id=second["id"])
    systems = [prompt[0] for prompt in prompts(host)]
    assert systems == ["system: Be brief.\n\nRhyme.", "system: Be long.\n\nRhyme.", "system: Rhyme."]
    assert [response["instructions"] for response in (first, second, third)] == ["Be brief.", "Be long.", None]


async def test_parameters_are_each_turns_own() -> None:
    client, host = client_of()
    parameters: dict[str, Any] = {
        "tools": [WEATHER],
        "tool_choice": "required",
        "text": {"format": {"type": "json_object"}},
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "truncation": "auto",
        "top_p": 0.5,
        "temperature": 0.5,
        "parallel_tool_calls": False,
        "max_output_tokens": 99,
        "metadata": {"a": "b"},
    }
    plain = await client.create(input="One")
    first = await client.create(input="One", **parameters)
    second = await client.create(input="Two", previous_response_id=first["id"])
    assert host.requests[2].keys() == host.requests[0].keys()
    own = {"id", "created_at", "completed_at", "output", "previous_response_id", "usage"}
    assert {key: second[key] for key in second.keys() - own} == {key: plain[key] for key in plain.keys() - own}


@streaming
async def test_a_call_and_its_output_are_in_their_places(stream: bool) -> None:
    answers = call_answer(("call_1", "get_weather", '{"city": "Paris"}')), text_answer("Sunny."), text_answer("Bye.")
    client, host = client_of(*answers)
    first = await client.create(input="Weather?", tools=[WEATHER], stream=stream)
    second = await client.create(
        input=[result_of(first["output"][0])], tools=[WEATHER], previous_response_id=first["id"], stream=stream
    )
    await client.create(input="Bye!", previous_response_id=second["id"])
    question, called, output, answer, last = host.requests[2]["messages"]
    assert called["tool_calls"][0]["id"] == output["tool_call_id"] == "call_1"
    assert [message["content"] for message in (question, output, answer, last)] == [
        "Weather?",
        "sunny",
        "Sunny.",
        "Bye!",
    ]


async def test_the_output_of_a_call_that_is_nowhere_in_the_chain_is_refused_by_name() -> None:
    client, host = client_of()
    first = await client.create()
    output = {"type": "function_call_output", "call_id": "call_9", "output": "4"}
    error = await client.refused(input=[output], previous_response_id=first["id"])
    assert (error["status"], error["param"]) == (400, "input[0].call_id")
    assert "call_9" in error["message"]
    assert len(host.requests) == 1


@streaming
async def test_an_incomplete_response_is_continued_from_its_partial_text(stream: bool) -> None:
    client, host = client_of(text_answer("Half", finish_reason="length"), counting)
    first = await client.create(input="One", stream=stream)
    assert first["status"] == "incomplete"
    assert await client.get(first["id"]) == first
    await client.create(input="Go on", previous_response_id=first["id"])
    assert prompts(host)[1] == ["user: One", "assistant: Half", "user: Go on"]


async def test_an_incomplete_response_without_text_is_no_message() -> None:
    client, host = client_of([chunk(finish_reason="length"), DONE], counting)
    first = await client.create(input="One")
    assert (first["status"], first["output"]) == ("incomplete", [])
    await client.create(input="Go on", previous_response_id=first["id"])
    assert prompts(host)[1] == ["user: One", "user: Go on"]


async def test_a_failed_response_is_kept_and_cannot_be_continued() -> None:
    client, host = client_of([chunk("Half"), Raise(RuntimeError("out of memory"))])
    failed = await client.create(stream=True)
    assert failed["status"] == "failed"
    assert await client.get(failed["id"]) == failed
    error = await client.refused(previous_response_id=failed["id"])
    assert (error["status"], error["code"]) == (404, "previous_response_not_found")
    assert len(host.requests) == 1


@streaming
async def test_a_request_that_the_host_refuses_leaves_nothing_behind(stream: bool) -> None:
    """Neither its input nor the error is in what follows."""
    busy = Json(429, {"error": {"message": "Later.", "type": "rate_limit_error"}})
    client, host = client_of(counting, [busy], counting, max_retries=0)
    first = await client.create(input="One")
    error = await client.refused(input="Two", previous_response_id=first["id"], stream=stream)
    assert error["status"] == 429
    await client.create(input="Three", previous_response_id=first["id"])
    assert prompts(host)[2] == ["user: One", "assistant: Answer 1", "user: Three"]


async def test_what_ends_can_be_continued_before_the_call_has_returned() -> None:
    """A client that has seen the terminal event goes on at once."""
    returns = anyio.Event()
    client, host = client_of([*text_answer("One"), Wait(returns)], counting)
    async with client.creating(stream=True) as exchange:
        first = (await next_event(exchange, "response.completed"))["response"]
        assert await client.get(first["id"]) == first
        await client.create(input="Two", previous_response_id=first["id"])
        returns.set()
    assert prompts(host)[1] == ["user: Hi", "assistant: One", "user: Two"]


@streaming
async def test_a_client_that_leaves_before_the_end_leaves_nothing(stream: bool) -> None:
    client, host = client_of([chunk("Half"), Wait(anyio.Event())])
    async with client.creating(stream=stream) as exchange:
        with anyio.fail_after(5):
            await host.called.wait()
        if stream:
            event = await exchange.next_event()
    if stream:
        assert event is not None
        assert (await client.refusal("GET", f"/responses/{event.data['response']['id']}"))["status"] == 404
    assert await store_of(client).scan() == []


async def test_two_turns_continue_one_response_at_once_and_do_not_see_each_other() -> None:
    go = anyio.Event()
    client, host = client_of(text_answer("Root"), [chunk("Slow"), Wait(go), *text_answer(" answer")], counting)
    root = await client.create(input="One")
    async with client.creating(input="Left", previous_response_id=root["id"], stream=True) as exchange:
        await exchange.next_event()
        right = await client.create(input="Right", previous_response_id=root["id"])
        go.set()
        left = (await exchange.events())[-2].data["response"]
    await client.create(input="On", previous_response_id=right["id"])
    await client.create(input="On", previous_response_id=left["id"])
    assert prompts(host)[3:] == [
        ["user: One", "assistant: Root", "user: Right", "assistant: Answer 3", "user: On"],
        ["user: One", "assistant: Root", "user: Left", "assistant: Slow answer", "user: On"],
    ]


@streaming
@pytest.mark.parametrize("id", ["resp_never", "no such thing", "", "x" * 5_000, "é\u0000"])
async def test_an_id_that_never_was_is_404_before_the_model_is_called(id: str, stream: bool) -> None:
    client, host = client_of()
    error = await client.refused(previous_response_id=id, stream=stream)
    assert (error["status"], error["code"], error["param"], error["type"]) == (
        404,
        "previous_response_not_found",
        "previous_response_id",
        "invalid_request_error",
    )
    assert repr(id)[1:40] in error["message"] or len(id) > 2_000 or not id.isascii()
    assert not host.requests


async def test_a_conversation_is_no_previous_response() -> None:
    client, _ = client_of()
    error = await client.refused(previous_response_id=await client.conversation())
    assert (error["status"], error["code"]) == (404, "previous_response_not_found")


async def test_a_chain_and_a_conversation_are_mutually_exclusive_before_either_is_looked_up() -> None:
    client, host = client_of()
    error = await client.refused(previous_response_id="resp_never", conversation="conv_never")
    assert error["status"] == 400
    for words in ("previous_response_id", "conversation", "mutually exclusive"):
        assert words in error["message"]
    assert not host.requests


# store ---------------------------------------------------------------------------------------------------------------


@streaming
async def test_a_response_that_is_not_to_be_stored_is_not(stream: bool) -> None:
    client, _ = client_of()
    response = await client.create(store=False, stream=stream)
    assert response["store"] is False
    assert (await client.refusal("GET", f"/responses/{response['id']}"))["code"] == "response_not_found"
    assert (await client.refused(previous_response_id=response["id"]))["code"] == "previous_response_not_found"


@pytest.mark.parametrize("fields", [{}, {"store": None}, {"store": True}], ids=str)
async def test_a_response_is_stored_unless_the_request_says_otherwise(fields: dict[str, Any]) -> None:
    client, _ = client_of()
    response = await client.create(**fields)
    assert response["store"] is True
    assert await client.get(response["id"]) == response


async def test_a_child_that_is_not_stored_sees_its_parent_and_has_no_children() -> None:
    client, host = client_of()
    parent = await client.create(input="One")
    child = await client.create(input="Two", previous_response_id=parent["id"], store=False)
    assert prompts(host)[1] == ["user: One", "assistant: Answer 1", "user: Two"]
    assert child["previous_response_id"] == parent["id"]
    error = await client.refused(input="Three", previous_response_id=child["id"])
    assert (error["status"], error["code"]) == (404, "previous_response_not_found")


async def test_what_is_too_much_is_forgotten_the_oldest_first() -> None:
    client, _ = client_of(store_trees=2)
    first, second = await client.create(), await client.create()
    await client.create(previous_response_id=first["id"])  # used: not the oldest any more
    third = await client.create()
    assert (await client.refused(previous_response_id=second["id"]))["status"] == 404
    for kept in (first, third):
        assert await client.get(kept["id"]) == kept


async def test_a_chain_goes_on_beyond_the_bound_of_trees() -> None:
    client, host = client_of(store_trees=1)
    response = await client.create(input="0")
    for number in range(1, 20):
        response = await client.create(input=str(number), previous_response_id=response["id"])
    assert prompts(host)[-1][::2] == [f"user: {number}" for number in range(20)]


# Getting -------------------------------------------------------------------------------------------------------------


@streaming
@pytest.mark.parametrize(
    "answer",
    [
        text_answer("Hello", " é 😀 \n\"'"),
        [chunk(reasoning="Hm."), *text_answer("So.")],
        call_answer(("call_1", "get_weather", '{"city": 1.50, "b": 1e3}'), ("call_2", "unknown", "{")),
        text_answer("Half", finish_reason="content_filter"),
    ],
    ids=["text", "reasoning", "calls", "incomplete"],
)
async def test_what_is_got_is_the_very_json_that_the_client_had(answer: list[Step], stream: bool) -> None:
    client, _ = client_of(answer)
    made = await client.create(tools=[WEATHER], metadata={"k": "v"}, stream=stream)
    reply = await client.ask("GET", f"/responses/{made['id']}")
    assert reply.json == made
    assert list(reply.json) == list(made)
    assert reply.headers["content-type"] == "application/json"
    assert b"chatcmpl" not in reply.body


async def test_the_bytes_that_are_got_are_those_of_the_answer() -> None:
    client, _ = client_of()
    made = await client.ask("POST", "/responses", json=client.body(metadata={"é": "\u2028"}))
    got = await client.ask("GET", f"/responses/{made.json['id']}")
    assert got.body == made.body


async def test_each_turn_of_a_chain_is_got_by_itself() -> None:
    client, _ = client_of()
    turns = [await client.create(input="0")]
    for number in range(1, 4):
        turns.append(await client.create(input=str(number), previous_response_id=turns[-1]["id"]))
    for turn in turns:
        assert await client.get(turn["id"]) == turn
        assert len(turn["output"]) == 1


async def test_a_response_in_the_foreground_has_no_events_to_follow() -> None:
    client, _ = client_of()
    made = await client.create()
    error = await client.refusal("GET", f"/responses/{made['id']}", query="stream=true")
    assert (error["status"], error["param"]) == (400, "stream")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("stream=maybe", "stream"),
        ("starting_after=x", "starting_after"),
        ("starting_after=-2", "starting_after"),
        ("starting_after=1.5", "starting_after"),
        (f"starting_after={'9' * 5_000}", "starting_after"),
        ("include_obfuscation=2", "include_obfuscation"),
        ("include=everything", "include[0]"),
        ("include[]=message.output_text.logprobs&include[]=everything", "include[1]"),
    ],
)
async def test_a_bad_query_of_a_response_is_named(query: str, param: str) -> None:
    client, _ = client_of()
    made = await client.create()
    error = await client.refusal("GET", f"/responses/{made['id']}", query=query)
    assert (error["status"], error["param"], error["code"]) == (400, param, "invalid_value")


@pytest.mark.parametrize(
    "query",
    ["", "stream=false", "stream=", "include=message.output_text.logprobs", "include_obfuscation=true", "unknown=1"],
)
async def test_a_query_that_changes_nothing_is_taken(query: str) -> None:
    client, _ = client_of()
    made = await client.create()
    assert await client.answer("GET", f"/responses/{made['id']}", query=query) == made


async def test_a_query_that_is_too_long_is_414() -> None:
    client, _ = client_of()
    assert (await client.refusal("GET", "/responses/resp_1", query="a" * 9_000))["status"] == 414


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")], ids=str
)
@pytest.mark.parametrize("id", ["resp_never", "x", "conv_1", "A-_" * 20])
async def test_what_never_was_is_not_found(method: str, path: str, id: str) -> None:
    client, _ = client_of()
    error = await client.refusal(method, f"/responses/{id}{path}")
    assert error == {
        "status": 404,
        "message": f"No response found with id '{id}'.",
        "type": "invalid_request_error",
        "param": "response_id",
        "code": "response_not_found",
    }


async def test_a_conversation_is_no_response() -> None:
    client, _ = client_of()
    conversation = await client.conversation()
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")):
        assert (await client.refusal(method, f"/responses/{conversation}{path}"))["code"] == "response_not_found"


# Deleting ------------------------------------------------------------------------------------------------------------


async def test_a_deleted_response_is_gone_for_every_use() -> None:
    client, _ = client_of()
    made = await client.create()
    assert await client.answer("DELETE", f"/responses/{made['id']}") == {
        "id": made["id"],
        "object": "response",
        "deleted": True,
    }
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")):
        assert (await client.refusal(method, f"/responses/{made['id']}{path}"))["status"] == 404
    assert (await client.refused(previous_response_id=made["id"]))["status"] == 404
    reference = {"type": "item_reference", "id": made["output"][0]["id"]}
    assert (await client.refused(input=[reference]))["status"] == 404


async def test_what_follows_a_deleted_response_still_has_its_history() -> None:
    client, host = client_of()
    first = await client.create(input="One")
    second = await client.create(input="Two", previous_response_id=first["id"])
    await client.answer("DELETE", f"/responses/{first['id']}")
    await client.create(input="Three", previous_response_id=second["id"])
    assert prompts(host)[2][0] == "user: One"
    assert await client.get(second["id"]) == second


# Input items ---------------------------------------------------------------------------------------------------------

FIVE = [
    {"role": "user", "content": "a"},
    {"type": "message", "role": "assistant", "content": "b"},
    {"role": "user", "content": [{"type": "input_text", "text": "c"}]},
    {"role": "assistant", "content": [{"type": "output_text", "text": "d", "annotations": []}]},
    {"role": "user", "content": "e"},
]


async def test_a_text_is_listed_as_a_message_with_a_part() -> None:
    client, _ = client_of()
    [item] = (await client.input_items((await client.create(input="Hello"))["id"]))["data"]
    assert item.pop("id").startswith("msg_")
    assert item == {
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_text", "text": "Hello"}],
    }


async def test_the_input_of_a_turn_is_listed_without_its_history_and_its_output() -> None:
    client, _ = client_of()
    first = await client.create(input="One")
    second = await client.create(input=FIVE, previous_response_id=first["id"])
    assert texts((await client.input_items(second["id"]))["data"]) == ["a", "b", "c", "d", "e"]


async def test_pages_of_the_input_go_both_ways_and_the_newest_are_first() -> None:
    client, _ = client_of()
    id = (await client.create(input=FIVE))["id"]
    up, down = await client.input_items(id, "order=asc"), await client.input_items(id, "order=desc")
    assert up["data"] == down["data"][::-1]
    assert await client.input_items(id, "") == down
    for order, complete in (("asc", up["data"]), ("desc", down["data"])):
        found: list[Any] = []
        after = ""
        while True:
            page = await client.input_items(id, f"order={order}&limit=2{after}")
            found += page["data"]
            assert page["has_more"] == (len(found) < 5)
            if not page["has_more"]:
                break
            after = f"&after={page['last_id']}"
        assert found == complete


@pytest.mark.parametrize(("limit", "count", "more"), [(1, 1, True), (2, 2, True), (5, 5, False), (10, 5, False)])
async def test_a_page_has_as_many_items_as_asked_for(limit: int, count: int, more: bool) -> None:
    client, _ = client_of()
    page = await client.input_items((await client.create(input=FIVE))["id"], f"limit={limit}")
    assert (len(page["data"]), page["has_more"]) == (count, more)


async def test_a_page_has_twenty_items_unless_asked_otherwise() -> None:
    client, _ = client_of()
    id = (await client.create(input=FIVE * 5))["id"]
    assert len((await client.input_items(id, ""))["data"]) == 20
    assert len((await client.input_items(id, "limit=100"))["data"]) == 25


@pytest.mark.parametrize(
    ("query", "param"),
    [
        *((f"limit={limit}", "limit") for limit in ("0", "101", "-1", "x", "1.0", "9" * 30, "+", "²")),
        ("order=up", "order"),
        ("after=msg_never", "after"),
        ("before=msg_1", "before"),
        ("after=msg_1&before=msg_2", "before"),
        ("include=everything", "include[0]"),
    ],
)
async def test_a_bad_query_of_a_list_is_named(query: str, param: str) -> None:
    client, _ = client_of()
    made, conversation = await client.create(), await client.conversation({"role": "user", "content": "Hi"})
    for path in (f"/responses/{made['id']}/input_items", f"/conversations/{conversation}/items"):
        error = await client.refusal("GET", path, query=query)
        assert (error["status"], error["param"]) == (400, param)


async def test_an_output_item_is_not_a_place_in_the_input() -> None:
    client, _ = client_of()
    made = await client.create()
    error = await client.refusal(
        "GET", f"/responses/{made['id']}/input_items", query=f"after={made['output'][0]['id']}"
    )
    assert error["param"] == "after"


async def test_the_ids_of_a_turn_ascend_from_its_input_to_its_output() -> None:
    client, _ = client_of()
    made = await client.create(input=FIVE)
    ids = [item["id"] for item in [*(await client.input_items(made["id"]))["data"], *made["output"]]]
    assert [id.partition("_")[2] for id in ids] == sorted(id.partition("_")[2] for id in ids)
    assert len(set(ids)) == 6


# References ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [{"type": "item_reference"}, {"type": None}, {}], ids=["typed", "null", "untyped"])
async def test_references_stand_for_stored_items_of_input_and_output(form: dict[str, Any]) -> None:
    client, host = client_of([chunk(reasoning="Hm."), *text_answer("Sunny.")], counting)
    first = await client.create(input="Weather?")
    [asked] = (await client.input_items(first["id"]))["data"]
    references = [{**form, "id": item["id"]} for item in [asked, *first["output"]]]
    await client.create(input=[*references, {"role": "user", "content": "And now?"}])
    assert prompts(host)[1] == ["user: Weather?", "assistant: Sunny.", "user: And now?"]
    assert host.requests[1]["messages"][1]["reasoning"] == "Hm."


async def test_a_request_may_be_nothing_but_references() -> None:
    client, host = client_of()
    first = await client.create(input="One")
    [asked] = (await client.input_items(first["id"]))["data"]
    await client.create(input=[{"type": "item_reference", "id": asked["id"]}])
    assert prompts(host)[1] == ["user: One"]


async def test_a_reference_to_a_call_and_its_output_in_full() -> None:
    """The AI SDK refers to messages and reasoning, and sends calls in full; others refer to calls too."""
    client, host = client_of(call_answer(("call_1", "get_weather", "{}")), counting)
    first = await client.create(input="Weather?", tools=[WEATHER])
    [called] = first["output"]
    await client.create(
        input=[{"role": "user", "content": "?"}, {"type": "item_reference", "id": called["id"]}, result_of(called)]
    )
    assert [message["role"] for message in host.requests[1]["messages"]] == ["user", "assistant", "tool"]


async def test_what_was_referred_to_is_part_of_the_turns_input() -> None:
    client, host = client_of()
    first = await client.create(input="One")
    second = await client.create(input=[{"type": "item_reference", "id": first["output"][0]["id"]}])
    assert texts((await client.input_items(second["id"]))["data"]) == ["Answer 1"]
    await client.answer("DELETE", f"/responses/{first['id']}")
    await client.create(input="On", previous_response_id=second["id"])
    assert prompts(host)[2] == ["assistant: Answer 1\n\nAnswer 1", "user: On"]


@pytest.mark.parametrize(
    ("reference", "status", "param"),
    [
        ({"type": "item_reference", "id": "msg_never"}, 404, "input[1].id"),
        ({"id": "msg_never"}, 404, "input[1].id"),
        ({"type": "item_reference"}, 400, "input[1].id"),
        ({"type": "item_reference", "id": None}, 400, "input[1].id"),
        ({"type": "item_reference", "id": 7}, 400, "input[1].id"),
        ({"type": "item_reference", "id": ["a"]}, 400, "input[1].id"),
    ],
)
async def test_a_reference_to_nothing_is_named(reference: dict[str, Any], status: int, param: str) -> None:
    client, host = client_of()
    error = await client.refused(input=[{"role": "user", "content": "Hi"}, reference])
    assert (error["status"], error["param"]) == (status, param)
    assert not host.requests


async def test_a_previous_response_and_references_add_up() -> None:
    """Whoever sends both gets both: autogen sends its whole history besides the id."""
    client, host = client_of()
    first = await client.create(input="One")
    await client.create(
        input=[{"id": first["output"][0]["id"]}, {"role": "user", "content": "Two"}],
        previous_response_id=first["id"],
    )
    assert prompts(host)[1] == ["user: One", "assistant: Answer 1\n\nAnswer 1", "user: Two"]


async def test_a_turn_whose_parent_is_deleted_meanwhile_fails() -> None:
    """What it has added would be a history without its beginning."""
    go = anyio.Event()
    client, _ = client_of(counting, [chunk("Half"), Wait(go), *text_answer(" done")])
    parent = await client.create()
    async with client.creating(previous_response_id=parent["id"], stream=True) as exchange:
        await next_event(exchange, "response.output_text.delta")
        await client.answer("DELETE", f"/responses/{parent['id']}")
        go.set()
        failed = (await next_event(exchange, "response.failed"))["response"]
    assert (failed["status"], failed["store"]) == ("failed", False)
    assert await store_of(client).scan() == []


async def test_a_turn_whose_parent_is_deleted_meanwhile_ends_if_it_is_not_to_be_stored() -> None:
    go = anyio.Event()
    client, _ = client_of(counting, [chunk("Half"), Wait(go), *text_answer(" done")])
    parent = await client.create()
    async with client.creating(previous_response_id=parent["id"], store=False, stream=True) as exchange:
        await next_event(exchange, "response.output_text.delta")
        await client.answer("DELETE", f"/responses/{parent['id']}")
        go.set()
        assert (await next_event(exchange, "response.completed"))["response"]["store"] is False


# Interceptors --------------------------------------------------------------------------------------------------------


async def test_what_an_interceptor_leaves_of_the_input_is_what_is_stored() -> None:
    """And it is shown the input of the turn alone."""
    seen: list[list[str]] = []

    async def shout(view: RequestView, headers: Mapping[str, str]) -> None:
        for message in view.messages:
            message.rewrite(str.upper)
        seen.append([message.text for message in view.messages])

    host = ScriptedHost(counting)
    client = Client(ResponsesShim(host, interceptors=[shout]))
    first = await client.create(input="One")
    second = await client.create(input=[{"id": first["output"][0]["id"]}, {"role": "user", "content": "Two"}])
    await client.create(input="Three", previous_response_id=second["id"])
    assert prompts(host)[2] == ["assistant: ANSWER 1", "user: TWO", "assistant: Answer 2", "user: THREE"]
    assert texts((await client.input_items(first["id"]))["data"]) == ["ONE"]
    assert seen == [["ONE"], ["ANSWER 1", "TWO"], ["THREE"]]


async def test_an_interceptor_can_decide_that_a_response_is_not_stored() -> None:
    async def forget(view: RequestView, headers: Mapping[str, str]) -> None:
        view.params["store"] = False

    client = Client(ResponsesShim(ScriptedHost(counting), interceptors=[forget]))
    conversation = await client.conversation()
    for fields in ({}, {"store": True}, {"conversation": conversation}):
        response = await client.create(**fields)
        assert response["store"] is False
        assert (await client.refusal("GET", f"/responses/{response['id']}"))["status"] == 404
    assert await client.items(conversation) == []
    assert (await client.refused(background=True))["param"] == "background"
