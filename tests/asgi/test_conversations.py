"""The Conversations API, and responses that are made in a conversation."""

from __future__ import annotations

import time
from typing import Any

import anyio
import pytest

from responses_shim import ResponsesShim
from responses_shim.runtime import conversation_lease
from tests.caller import call, settle
from tests.conformance.asking import WEATHER, result_of
from tests.scripted import Json, Raise, ScriptedHost, Step, Wait, call_answer, chunk, text_answer
from tests.state import Client, next_event, prompts, store_of, texts

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left", "every_store")]

streaming = pytest.mark.parametrize("stream", [False, True], ids=["not streamed", "streamed"])

HELLO = {"role": "user", "content": "Hello"}


def counting(request: dict[str, Any]) -> list[Step]:
    """A model that answers with the number of messages that it was given."""
    return text_answer(f"Answer {len(request['messages'])}")


def client_of(*scripts: Any, **settings: Any) -> tuple[Client, ScriptedHost]:
    host = ScriptedHost(*(scripts or (counting,)))
    return Client(ResponsesShim(host, **settings)), host


# The conversation itself ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [{}, {"items": None, "metadata": None}, {"items": [], "metadata": {}}, {"store": True}], ids=str
)
async def test_a_conversation_is_made_of_nothing(body: dict[str, Any]) -> None:
    client, _ = client_of()
    before = int(time.time())
    made = await client.answer("POST", "/conversations", json=body)
    id, created_at = made.pop("id"), made.pop("created_at")
    assert made == {"object": "conversation", "metadata": {}}
    assert id.startswith("conv_")
    assert type(created_at) is int
    assert before <= created_at <= time.time()
    assert await client.items(id) == []


async def test_a_conversation_is_got_changed_and_deleted() -> None:
    client, _ = client_of()
    made = await client.answer("POST", "/conversations", json={"metadata": {"a": "1", "b": "2"}, "items": [HELLO]})
    path = f"/conversations/{made['id']}"
    assert await client.answer("GET", path) == made
    changed = await client.answer("POST", path, json={"metadata": {"c": "3"}})
    assert changed == {**made, "metadata": {"c": "3"}}
    assert await client.answer("GET", path) == changed
    assert await client.answer("POST", path, json={}) == changed
    assert (await client.answer("POST", path, json={"metadata": None}))["metadata"] == {}
    assert await client.answer("DELETE", path) == {"id": made["id"], "object": "conversation.deleted", "deleted": True}
    for method in ("GET", "DELETE"):
        assert (await client.refusal(method, path))["code"] == "conversation_not_found"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ([], None),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {"a": "x" * 513}}, "metadata"),
        ({"metadata": {"x" * 65: "a"}}, "metadata"),
        ({"metadata": {str(number): "" for number in range(17)}}, "metadata"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_bad_metadata_is_named(body: Any, param: str | None) -> None:
    client, _ = client_of()
    for path in ("/conversations", f"/conversations/{await client.conversation()}"):
        error = await client.refusal("POST", path, json=body)
        assert error["status"] == 400
        assert error["param"] == param


async def test_a_conversation_is_always_stored() -> None:
    client, _ = client_of()
    error = await client.refusal("POST", "/conversations", json={"store": False})
    assert (error["status"], error["param"]) == (400, "store")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("POST", "", {"metadata": {}}),
        ("DELETE", "", None),
        ("GET", "/items", None),
        ("POST", "/items", {"items": [HELLO]}),
        ("GET", "/items/msg_1", None),
        ("DELETE", "/items/msg_1", None),
    ],
)
async def test_what_never_was_is_not_found(method: str, path: str, body: Any) -> None:
    client, _ = client_of()
    response = (await client.create())["id"]
    for id in ("conv_never", "x", response):
        assert await client.refusal(method, f"/conversations/{id}{path}", json=body) == {
            "status": 404,
            "message": f"Conversation with id '{id}' not found.",
            "type": "invalid_request_error",
            "param": "conversation_id",
            "code": "conversation_not_found",
        }


# Its items -----------------------------------------------------------------------------------------------------------

EVERY_KIND: list[dict[str, Any]] = [
    {"role": "user", "content": "One"},
    {"type": "message", "role": "assistant", "content": "Two", "phase": "commentary"},
    {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
    {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a": 1}'},
    {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "4"}]},
    {"type": "custom_tool_call", "call_id": "call_2", "name": "g", "input": "x"},
    {"type": "custom_tool_call_output", "call_id": "call_2", "output": "y"},
    {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "queries": ["a", "b"], "sources": [{"type": "url", "url": "https://a.test"}]},
    },
]


async def test_items_of_every_kind_come_back_as_they_are() -> None:
    client, _ = client_of()
    id = await client.conversation(*EVERY_KIND)
    items = await client.items(id)
    assert [item["type"] for item in items] == [item.get("type", "message") for item in EVERY_KIND]
    prefixes = [item["id"].partition("_")[0] for item in items]
    assert prefixes == ["msg", "msg", "rs", "fc", "fco", "ctc", "ctco", "ws"]
    for sent, kept in zip(EVERY_KIND, items, strict=True):
        assert {key: value for key, value in kept.items() if key in sent and key != "content"} == {
            key: value for key, value in sent.items() if key != "content"
        }
        assert await client.answer("GET", f"/conversations/{id}/items/{kept['id']}") == kept


async def test_items_are_added_in_their_order_and_the_newest_are_listed_first() -> None:
    client, _ = client_of()
    id = await client.conversation(HELLO)
    path = f"/conversations/{id}/items"
    added = await client.answer("POST", path, json={"items": [{"role": "user", "content": text} for text in "abc"]})
    assert texts(added["data"]) == ["a", "b", "c"]
    assert (added["object"], added["has_more"]) == ("list", False)
    assert (added["first_id"], added["last_id"]) == (added["data"][0]["id"], added["data"][2]["id"])
    assert texts(await client.items(id, "")) == ["c", "b", "a", "Hello"]
    assert await client.items(id) == (await client.items(id, "order=desc"))[::-1]


async def test_pages_are_stable_while_items_are_added() -> None:
    client, _ = client_of()
    id = await client.conversation(*[{"role": "user", "content": str(number)} for number in range(6)])
    first = await client.items(id, "limit=3")
    await client.answer("POST", f"/conversations/{id}/items", json={"items": [HELLO]})
    second = await client.items(id, f"limit=3&after={first[-1]['id']}")
    assert texts([*first, *second]) == ["5", "4", "3", "2", "1", "0"]


async def test_an_item_that_is_deleted_leaves_the_conversation_and_the_model_does_not_see_it() -> None:
    client, host = client_of()
    made = await client.answer("POST", "/conversations", json={"metadata": {"a": "b"}})
    await client.answer(
        "POST",
        f"/conversations/{made['id']}/items",
        json={"items": [{"role": "user", "content": text} for text in ("One", "Two")]},
    )
    one, two = await client.items(made["id"])
    path = f"/conversations/{made['id']}/items/{one['id']}"
    assert await client.answer("DELETE", path) == made
    for method in ("GET", "DELETE"):
        error = await client.refusal(method, path)
        assert (error["status"], error["code"], error["param"]) == (404, "item_not_found", "item_id")
    assert await client.items(made["id"]) == [two]
    await client.create(conversation=made["id"], input="Three")
    assert prompts(host) == [["user: Two", "user: Three"]]


async def test_an_item_of_another_conversation_is_not_found() -> None:
    client, _ = client_of()
    one, other = await client.conversation(HELLO), await client.conversation(HELLO)
    [item] = await client.items(other)
    for method in ("GET", "DELETE"):
        error = await client.refusal(method, f"/conversations/{one}/items/{item['id']}")
        assert (error["status"], error["code"]) == (404, "item_not_found")


async def test_an_id_is_added_once_and_a_batch_is_added_whole_or_not_at_all() -> None:
    client, _ = client_of()
    id = await client.conversation({**HELLO, "id": "msg_mine"})
    new = {"role": "user", "content": "new"}
    for batch in ([new, {**HELLO, "id": "msg_mine"}], [{**new, "id": "msg_a"}, {**new, "id": "msg_a"}]):
        error = await client.refusal("POST", f"/conversations/{id}/items", json={"items": batch})
        assert (error["status"], error["code"], error["param"]) == (400, "item_already_in_conversation", "items")
    assert texts(await client.items(id)) == ["Hello"]
    other = await client.conversation({**HELLO, "id": "msg_mine"})
    assert [item["id"] for item in await client.items(other)] == ["msg_mine"]


async def test_an_item_that_was_deleted_can_be_added_again() -> None:
    client, _ = client_of()
    id = await client.conversation({**HELLO, "id": "msg_mine"})
    await client.answer("DELETE", f"/conversations/{id}/items/msg_mine")
    await client.answer("POST", f"/conversations/{id}/items", json={"items": [{**HELLO, "id": "msg_mine"}]})
    assert [item["id"] for item in await client.items(id)] == ["msg_mine"]


@pytest.mark.parametrize(
    ("item", "param", "code"),
    [
        ({}, "items[1].type", "missing_required_parameter"),
        ({"type": 7}, "items[1].type", "invalid_type"),
        ({"type": "message"}, "items[1].role", "missing_required_parameter"),
        ({"type": "message", "role": "king", "content": "a"}, "items[1].role", "invalid_value"),
        ({"type": "message", "role": "user"}, "items[1].content", "missing_required_parameter"),
        ({"type": "item_reference", "id": "msg_1"}, "items[1].type", "unsupported_parameter"),
        ({"type": "mcp_call"}, "items[1].type", "unsupported_parameter"),
        ({**HELLO, "id": ""}, "items[1].id", "invalid_value"),
        ({**HELLO, "id": "a b"}, "items[1].id", "invalid_value"),
        ({**HELLO, "id": 7}, "items[1].id", "invalid_value"),
        ({**HELLO, "id": "x" * 129}, "items[1].id", "invalid_value"),
    ],
    ids=str,
)
async def test_an_item_that_could_never_be_sent_is_named(item: Any, param: str, code: str) -> None:
    client, _ = client_of()
    id = await client.conversation()
    for path in ("/conversations", f"/conversations/{id}/items"):
        error = await client.refusal("POST", path, json={"items": [HELLO, item]})
        assert (error["status"], error["param"], error["code"]) == (400, param, code)
    assert await client.items(id) == []


async def test_the_error_of_a_bad_id_says_what_it_should_be() -> None:
    client, _ = client_of()
    error = await client.refusal("POST", "/conversations", json={"items": [{**HELLO, "id": ""}]})
    assert error["message"] == "Invalid 'items[0].id': ''. Expected an ID that begins with 'msg'."


@pytest.mark.parametrize("body", [{}, {"items": None}, {"items": HELLO}, {"items": [7]}, [], "x"], ids=str)
async def test_what_is_no_list_of_items_is_refused(body: Any) -> None:
    client, _ = client_of()
    id = await client.conversation()
    assert (await client.refusal("POST", f"/conversations/{id}/items", json=body))["status"] == 400


async def test_at_most_twenty_items_are_added_at_once() -> None:
    client, _ = client_of()
    id = await client.conversation(*[HELLO] * 20)
    for path in ("/conversations", f"/conversations/{id}/items"):
        error = await client.refusal("POST", path, json={"items": [HELLO] * 21})
        assert (error["status"], error["param"], error["code"]) == (400, "items", "array_above_max_length")
    assert len(await client.items(id, "limit=100")) == 20


async def test_what_is_nested_too_deeply_is_refused() -> None:
    client, _ = client_of()
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    item = {"role": "user", "content": [{"type": "input_text", "text": "a", "x": deep}]}
    error = await client.refusal("POST", "/conversations", json={"items": [item]})
    assert error["status"] == 400


async def test_a_client_that_leaves_before_its_items_are_there_gets_no_answer() -> None:
    client, _ = client_of()
    id = await client.conversation()
    for path in ("/v1/conversations", f"/v1/conversations/{id}/items"):
        scope = {"content-type": "application/json", **client.headers}
        async with call(client.app, "POST", path, body=[b'{"items": [', b"]}"], headers=scope) as exchange:
            exchange.body_ends_at(1)
            await settle()
            await exchange.disconnect()
            await exchange.finish()
            assert exchange.sent == []


# Responses in it -----------------------------------------------------------------------------------------------------


@streaming
@pytest.mark.parametrize("form", [lambda id: id, lambda id: {"id": id}], ids=["string", "object"])
async def test_a_response_continues_its_conversation_and_is_added_to_it(form: Any, stream: bool) -> None:
    client, host = client_of()
    id = await client.conversation({"role": "user", "content": "Zero"})
    first = await client.create(conversation=form(id), input="One", stream=stream)
    second = await client.create(conversation=form(id), input="Two", stream=stream)
    assert prompts(host) == [
        ["user: Zero", "user: One"],
        ["user: Zero", "user: One", "assistant: Answer 2", "user: Two"],
    ]
    assert first["conversation"] == second["conversation"] == {"id": id}
    assert first["previous_response_id"] is None
    items = await client.items(id)
    assert texts(items) == ["Zero", "One", "Answer 2", "Two", "Answer 4"]
    assert [items[2], items[4]] == [*first["output"], *second["output"]]
    assert await client.get(first["id"]) == first
    assert texts((await client.input_items(second["id"]))["data"]) == ["Two"]


async def test_calls_and_their_outputs_are_items_of_the_conversation() -> None:
    client, host = client_of(call_answer(("call_1", "get_weather", "{}")), text_answer("Sunny."), counting)
    id = await client.conversation()
    first = await client.create(conversation=id, input="Weather?", tools=[WEATHER])
    await client.create(conversation=id, input=[result_of(first["output"][0])], tools=[WEATHER])
    await client.create(conversation=id, input="Thanks", tools=[WEATHER])
    roles = [message["role"] for message in host.requests[2]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


@streaming
async def test_a_response_that_is_not_stored_sees_the_conversation_and_leaves_it(stream: bool) -> None:
    client, host = client_of()
    id = await client.conversation({"role": "user", "content": "Zero"})
    response = await client.create(conversation=id, input="One", store=False, stream=stream)
    assert prompts(host) == [["user: Zero", "user: One"]]
    assert (response["conversation"], response["store"]) == ({"id": id}, False)
    assert texts(await client.items(id)) == ["Zero"]


async def test_instructions_are_not_added_to_the_conversation() -> None:
    client, host = client_of()
    id = await client.conversation()
    await client.create(conversation=id, instructions="Be brief.")
    await client.create(conversation=id)
    assert [prompt[0] for prompt in prompts(host)] == ["system: Be brief.", "user: Hi"]


async def test_a_response_may_have_no_input_but_the_conversations() -> None:
    client, host = client_of()
    id = await client.conversation({"role": "user", "content": "Zero"})
    await client.create(conversation=id, input=[])
    assert prompts(host) == [["user: Zero"]]


async def test_an_item_that_is_sent_again_gets_an_id_of_its_own() -> None:
    """A client that sends its whole history in a conversation doubles it. It is no error, and no id is there twice."""
    client, _ = client_of()
    id = await client.conversation()
    first = await client.create(conversation=id, input="One")
    await client.create(conversation=id, input=[*await client.items(id), {"role": "user", "content": "Two"}])
    items = await client.items(id)
    assert texts(items) == ["One", "Answer 1", "One", "Answer 1", "Two", "Answer 5"]
    assert len({item["id"] for item in items}) == 6
    assert items[1] == first["output"][0]


async def test_a_response_of_a_conversation_is_continued_in_the_conversation() -> None:
    client, _ = client_of()
    id = await client.conversation()
    response = await client.create(conversation=id)
    error = await client.refused(previous_response_id=response["id"])
    assert (error["status"], error["param"]) == (400, "previous_response_id")
    assert id in error["message"]


async def test_the_responses_of_a_deleted_conversation_stay() -> None:
    client, _ = client_of()
    id = await client.conversation()
    response = await client.create(conversation=id)
    await client.answer("DELETE", f"/conversations/{id}")
    assert await client.get(response["id"]) == response
    assert (await client.refused(conversation=id))["status"] == 404


@streaming
@pytest.mark.parametrize(
    ("conversation", "status", "param"),
    [
        ("conv_never", 404, "conversation"),
        ({"id": "conv_never"}, 404, "conversation"),
        ("resp_1", 400, "conversation"),
        ("", 400, "conversation"),
        ({}, 400, "conversation.id"),
        ({"id": None}, 400, "conversation.id"),
        ({"id": 7}, 400, "conversation.id"),
        (7, 400, "conversation"),
        ([], 400, "conversation"),
    ],
    ids=str,
)
async def test_what_is_no_conversation_is_named(conversation: Any, status: int, param: str, stream: bool) -> None:
    client, host = client_of()
    error = await client.refused(conversation=conversation, stream=stream)
    assert (error["status"], error["param"]) == (status, param)
    assert not host.requests
    if conversation in ("resp_1", ""):
        assert "conversation" in error["message"]
        assert "conv_" in error["message"]


async def test_a_response_is_no_conversation() -> None:
    client, _ = client_of()
    response = await client.create()
    assert (await client.refused(conversation=response["id"]))["status"] == 400


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ([Json(429, {"error": {"message": "Later."}})], None),
        ([chunk("Half"), Raise(RuntimeError("out of memory"))], "failed"),
    ],
    ids=["before it began", "in the middle"],
)
async def test_a_response_that_fails_leaves_nothing_in_the_conversation(script: list[Step], status: str | None) -> None:
    client, host = client_of(script, counting, max_retries=0)
    id = await client.conversation()
    if status is None:
        assert (await client.refused(conversation=id, input="One"))["status"] == 429
    else:
        assert (await client.create(conversation=id, input="One", stream=True))["status"] == status
    assert await client.items(id) == []
    await client.create(conversation=id, input="Two")  # and it is free again
    assert prompts(host)[1] == ["user: Two"]


async def test_an_incomplete_response_is_added_with_its_partial_text() -> None:
    client, _ = client_of(text_answer("Half", finish_reason="length"))
    id = await client.conversation()
    await client.create(conversation=id, input="One")
    assert texts(await client.items(id)) == ["One", "Half"]


# One at a time -------------------------------------------------------------------------------------------------------


async def check_locked(client: Client, id: str) -> None:
    error = await client.refused(conversation=id, input="Second")
    assert (error["status"], error["code"], error["param"], error["type"]) == (
        409,
        "conversation_locked",
        "conversation",
        "invalid_request_error",
    )


@streaming
async def test_a_second_response_meanwhile_is_409_at_once(stream: bool) -> None:
    go = anyio.Event()
    client, host = client_of([chunk("Half"), Wait(go), *text_answer(" done")], counting)
    id = await client.conversation()
    async with client.creating(conversation=id, input="First", stream=stream) as exchange:
        with anyio.fail_after(5):
            await host.called.wait()
        await check_locked(client, id)
        assert len(host.requests) == 1
        await client.create(conversation=id, input="Aside", store=False)  # that one adds nothing
        await client.answer("GET", f"/conversations/{id}")
        assert await client.items(id) == []
        go.set()
        await exchange.reply()
    await client.create(conversation=id, input="Third")
    assert texts(await client.items(id)) == ["First", "Half done", "Third", "Answer 3"]


async def test_a_turn_that_has_ended_locks_no_longer_though_its_call_has_not_returned() -> None:
    returns = anyio.Event()
    client, _ = client_of([*text_answer("One"), Wait(returns)], counting)
    id = await client.conversation()
    async with client.creating(conversation=id, stream=True) as exchange:
        await next_event(exchange, "response.completed")
        await client.create(conversation=id, input="Second")
        returns.set()
    assert texts(await client.items(id)) == ["Hi", "One", "Second", "Answer 3"]


@streaming
async def test_a_client_that_leaves_frees_the_conversation(stream: bool) -> None:
    client, host = client_of([chunk("Half"), Wait(anyio.Event())], counting)
    id = await client.conversation()
    async with client.creating(conversation=id, input="First", stream=stream):
        with anyio.fail_after(5):
            await host.called.wait()
    await client.create(conversation=id, input="Second")
    assert texts(await client.items(id)) == ["Second", "Answer 1"]


async def test_a_client_that_leaves_while_its_request_is_read_frees_the_conversation() -> None:
    entered = anyio.Event()

    async def slow(view: Any, headers: Any) -> None:
        if not entered.is_set():
            entered.set()
            await anyio.sleep_forever()

    client = Client(ResponsesShim(ScriptedHost(counting), interceptors=[slow]))
    id = await client.conversation()
    async with client.creating(conversation=id):
        with anyio.fail_after(5):
            await entered.wait()
        await check_locked(client, id)
    await client.create(conversation=id)


async def test_an_exception_frees_the_conversation() -> None:
    calls = []

    async def breaking(view: Any, headers: Any) -> None:
        calls.append(view)
        if len(calls) == 1:
            raise RuntimeError("a bug of the operator")

    client = Client(ResponsesShim(ScriptedHost(counting), interceptors=[breaking]))
    id = await client.conversation()
    assert (await client.refused(conversation=id))["status"] == 500
    await client.create(conversation=id)


async def test_a_request_that_is_wrong_frees_the_conversation() -> None:
    client, _ = client_of()
    id = await client.conversation()
    assert (await client.refused(conversation=id, tools=[{"type": "mcp"}]))["status"] == 400
    await client.create(conversation=id)


async def test_the_lock_is_kept_as_long_as_the_response_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a lease that is renewed: only that of a process that is gone ends by itself."""
    monkeypatch.setattr(conversation_lease, "LEASE_SECONDS", 0.06)
    client, _ = client_of([chunk("Half"), Wait(anyio.Event())], counting)
    id = await client.conversation()
    store, renewed, count = store_of(client), anyio.Event(), [0]
    lease = store.lease

    async def counted(*args: Any) -> bool:
        count[0] += 1
        if count[0] > 8:
            renewed.set()
        return await lease(*args)

    monkeypatch.setattr(store, "lease", counted)
    async with client.creating(conversation=id):
        with anyio.fail_after(5):
            await renewed.wait()
        await check_locked(client, id)


async def test_items_can_be_added_to_a_conversation_that_is_taken() -> None:
    go = anyio.Event()
    client, host = client_of([chunk("Half"), Wait(go), *text_answer(" done")], counting)
    id = await client.conversation()
    async with client.creating(conversation=id, input="First") as exchange:
        with anyio.fail_after(5):
            await host.called.wait()
        await client.answer("POST", f"/conversations/{id}/items", json={"items": [HELLO]})
        go.set()
        await exchange.reply()
    assert texts(await client.items(id)) == ["Hello", "First", "Half done"]


@streaming
async def test_a_response_whose_conversation_is_deleted_meanwhile_fails_and_is_not_kept(stream: bool) -> None:
    go = anyio.Event()
    client, host = client_of([chunk("Half"), Wait(go), *text_answer(" done")], counting)
    id = await client.conversation()
    async with client.creating(conversation=id, input="First", stream=stream) as exchange:
        with anyio.fail_after(5):
            await host.called.wait()
        await client.answer("DELETE", f"/conversations/{id}")
        go.set()
        reply = await exchange.reply()
    if stream:
        response = reply.events[-2].data["response"]
        assert (response["status"], response["store"]) == ("failed", False)
        assert (await client.refusal("GET", f"/responses/{response['id']}"))["status"] == 404
    else:
        assert reply.status == 503
    assert await store_of(client).scan() == []
