"""Responses that wait for the outputs of their calls: in one process and in two, streamed, not streamed, in background.

`Shims` are two shims with one store: two processes. The response is asked for in the first, and the outputs come
through the second.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from responses_shim import ResponsesShim
from responses_shim.runtime import run, tool_outputs
from responses_shim.stores import opening
from responses_shim.stores.base import Store, StoreUnavailable
from responses_shim.stores.memory import MemoryStore
from tests.caller import DEADLINE, Reply, call, payloads, post, request, settle
from tests.guarded import KEY, GuardedHost
from tests.oracle import check_error, check_response
from tests.scripted import DONE, Hold, Script, ScriptedHost, Wait, call_answer, chunk, text_answer
from tests.scripted import Json as HostJson
from tests.scripted import call as tool_call
from tests.waiting import REQUEST, F, streamed

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

Json = dict[str, Any]

ONE_CALL = call_answer(("a", "f", '{"x": 1}'))
TWO_CALLS = call_answer(("a", "f", '{"x": 1}'), ("b", "f", '{"x": 2}'))
OTHER_CALL = call_answer(("c", "f", '{"x": 3}'))
ANSWER = text_answer("Fo", "ur.")
TEXT = [{"type": "output_text", "text": "4"}]


class Shims:
    """Two shims with one store, over one host."""

    def __init__(self, host: Any, store: Store, **settings: Any) -> None:
        self.host = host
        self.store = store
        self.first = ResponsesShim(host, **settings)
        self.second = ResponsesShim(host, **settings)

    async def get(self, id: str) -> Json:
        """The response, as the second process has it."""
        reply = await request(self.second, "GET", f"/v1/responses/{id}")
        assert reply.status == 200, reply.json
        response: Json = reply.json
        check_response(response)
        return response

    async def until_waiting(self, id: str) -> None:
        """Wait until the round has ended, so that its calls are in the record."""
        with anyio.fail_after(DEADLINE):
            while not (await self.get(id))["output"]:
                await settle()

    async def post(self, id: str, call_id: Any, output: Any = TEXT, **fields: Any) -> Reply:
        """Post an output through the second process."""
        body = {"tool_call_id": call_id, "output": output, **fields}
        return await post(self.second, f"/v1/responses/{id}/tool_outputs", body)

    async def items(self, id: str) -> list[str]:
        """The types of all items that are stored of a response, in their order."""
        [owner] = {summary.owner for summary in await self.store.scan() if summary.id == id}
        found = await self.store.get(owner, id)
        assert found is not None
        return [item.id.partition("_")[0] for item in found.items]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store of all shims in the test."""
    store = MemoryStore()
    monkeypatch.setitem(opening._FACTORIES, "memory", lambda url, bounds: store)
    return store


class FailingStore(MemoryStore):
    """A memory store that can fail.

    - `down`: the names of the methods that fail
    - `slow`: a message is posted when everything else is done
    - `lost`: the names of those, of `post` and `read`, that find no record: it has ended or been deleted just now
    """

    down: frozenset[str] = frozenset()
    slow = False
    lost: frozenset[str] = frozenset()

    def _check(self, name: str) -> None:
        if name in self.down:
            raise StoreUnavailable

    async def add(self, *arguments: Any, **options: Any) -> bool:
        self._check("add")
        return await super().add(*arguments, **options)

    async def change(self, *arguments: Any, **options: Any) -> bool:
        self._check("change")
        return await super().change(*arguments, **options)

    async def get(self, *arguments: Any, **options: Any) -> Any:
        self._check("get")
        return await super().get(*arguments, **options)

    async def post(self, *arguments: Any, **options: Any) -> bool:
        if self.slow:
            await settle()
        return "post" not in self.lost and await super().post(*arguments, **options)

    async def read(self, *arguments: Any, **options: Any) -> Any:
        self._check("read")
        return None if "read" in self.lost else await super().read(*arguments, **options)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> FailingStore:
    """The store of all shims in the test, which can fail."""
    store = FailingStore()
    monkeypatch.setitem(opening._FACTORIES, "memory", lambda url, bounds: store)
    return store


def shims(store: Store, *scripts: Script, **settings: Any) -> Shims:
    return Shims(ScriptedHost(*scripts), store, **settings)


def error_of(reply: Reply) -> Json:
    """The error of an answer, which is valid, with its status."""
    check_error(reply.json)
    return {"status": reply.status, **reply.json["error"]}


# It goes on ----------------------------------------------------------------------------------------------------------


async def test_a_stream_waits_for_all_outputs_and_goes_on_with_another_round(store: Store) -> None:
    both = shims(store, TWO_CALLS, ANSWER)
    async with streamed(both.first) as stream:
        id = await stream.called()
        reply = await both.post(id, "b", "5")
        assert (reply.status, reply.json) == (200, {"id": id, "status": "in_progress"})
        assert len(both.host.requests) == 1
        assert (await both.post(id, "a")).status == 200
        response = await stream.rest()
    assert response["status"] == "completed"
    assert response["tool_outputs"] == "wait"
    assert [item["type"] for item in response["output"]] == ["function_call", "function_call", "message"]
    assert response["usage"]["input_tokens"] == 20 + 7
    first, second = (request["messages"] for request in both.host.requests)
    assert second[: len(first)] == first
    assert [message["role"] for message in second[len(first) :]] == ["assistant", "tool", "tool"]
    assert [(m["tool_call_id"], m["content"]) for m in second[-2:]] == [("a", "4"), ("b", "5")]
    assert await both.get(id) == response


async def test_the_items_are_stored_in_their_order_and_can_be_continued(store: Store) -> None:
    both = shims(store, TWO_CALLS, ANSWER, text_answer("Yes."))
    async with streamed(both.first) as stream:
        id = await stream.called()
        for call_id in "ab":
            await both.post(id, call_id)
        await stream.rest()
    assert await both.items(id) == ["msg", "fc", "fc", "fco", "fco", "msg"]
    listed = await request(both.second, "GET", f"/v1/responses/{id}/input_items", query="order=asc")
    assert [item["type"] for item in listed.json["data"]] == ["message", *["function_call_output"] * 2]
    assert listed.json["data"][1]["output"] == [{"type": "input_text", "text": "4"}]
    body = {"model": "m", "input": "Sure?", "previous_response_id": id, "tools": [F]}
    assert (await post(both.second, "/v1/responses", body)).status == 200
    second, third = (request["messages"] for request in both.host.requests[1:])
    assert third[: len(second)] == second
    assert [message["content"] for message in third[len(second) :]] == ["Four.", "Sure?"]


async def test_an_output_may_come_before_the_round_has_ended(store: Store) -> None:
    rest = anyio.Event()
    script = [chunk(tool_calls=[tool_call(0, "a", "f", "{}")]), chunk("So."), Wait(rest), *ANSWER]
    both = shims(store, script, ANSWER)
    async with streamed(both.first) as stream, anyio.create_task_group() as group:
        id = await stream.called()
        replies: list[Reply] = []

        async def answer() -> None:
            replies.append(await both.post(id, "a"))

        group.start_soon(answer)
        await settle()
        assert not replies
        rest.set()
        response = await stream.rest()
    assert [reply.status for reply in replies] == [200]
    assert len(both.host.requests) == 2
    assert response["status"] == "completed"


async def test_a_response_that_is_not_streamed_waits_too(store: Store) -> None:
    both = shims(store, ONE_CALL, ANSWER)
    async with call(both.first, "POST", "/v1/responses", json=REQUEST) as exchange:
        await both.host.finished.wait()
        [summary] = await store.scan()
        assert (await both.post(summary.id, "a")).status == 200
        response = (await exchange.reply()).json
    check_response(response)
    assert [item["type"] for item in response["output"]] == ["function_call", "message"]
    assert await both.get(summary.id) == response


async def test_a_response_in_the_background_waits_too(store: Store) -> None:
    both = shims(store, ONE_CALL, ANSWER)
    async with both.first.running():
        created = await post(both.first, "/v1/responses", {**REQUEST, "background": True})
        id = created.json["id"]
        assert (await both.post(id, "a")).status == 200  # it waits for the end of the round
        followed = await request(both.second, "GET", f"/v1/responses/{id}", query="stream=true")
        response = payloads(followed.events)[-1]["response"]
    assert response["status"] == "completed"
    assert [item["type"] for item in response["output"]] == ["function_call", "message"]
    assert await both.get(id) == response
    assert await both.items(id) == ["msg", "fc", "fco", "msg"]


async def test_two_processes_with_one_file_share_what_waits(tmp_path: Path) -> None:
    host, url = ScriptedHost(TWO_CALLS, ANSWER), f"sqlite:///{tmp_path}/store.db"
    first, second = ResponsesShim(host, store=url), ResponsesShim(host, store=url)
    async with first.running(), second.running(), streamed(first) as stream:
        path = f"/v1/responses/{await stream.called()}/tool_outputs"
        for call_id in "ba":
            reply = await post(second, path, {"tool_call_id": call_id, "output": f"output of {call_id}"})
            assert reply.status == 200
        assert (await stream.rest())["status"] == "completed"
    assert [message["content"] for message in host.requests[1]["messages"][-2:]] == ["output of a", "output of b"]


async def test_a_response_has_as_many_rounds_as_it_needs(store: Store) -> None:
    both = shims(store, ONE_CALL, OTHER_CALL, ANSWER)
    async with streamed(both.first) as stream:
        id = await stream.called()
        await both.post(id, "a", "4")
        await stream.until("response.output_item.done")
        assert [item["call_id"] for item in (await both.get(id))["output"]][:1] == ["a"]
        await both.post(id, "c", "5")
        response = await stream.rest()
    assert [item["type"] for item in response["output"]] == ["function_call", "function_call", "message"]
    contents = [message["content"] for message in both.host.requests[2]["messages"] if message["role"] == "tool"]
    assert contents == ["4", "5"]
    assert await both.items(id) == ["msg", "fc", "fco", "fc", "fco", "msg"]


async def test_the_calls_of_the_last_round_end_the_response(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_outputs, "MAX_ROUNDS", 2)
    both = shims(store, ONE_CALL, OTHER_CALL)
    async with streamed(both.first) as stream:
        id = await stream.called()
        await both.post(id, "a")
        response = await stream.rest()
    assert response["status"] == "completed"
    assert [item["call_id"] for item in response["output"]] == ["a", "c"]
    assert error_of(await both.post(id, "c"))["code"] == "no_pending_tool_outputs"


async def test_the_calls_of_a_host_that_repeats_ids_get_an_output_each(store: Store) -> None:
    both = shims(store, ONE_CALL, ONE_CALL, ANSWER)
    async with streamed(both.first) as stream:
        id = await stream.called()
        await both.post(id, "a", "4")
        done = await stream.until("response.output_item.done")
        await both.post(id, done["item"]["call_id"], "5")
        response = await stream.rest()
    assert response["status"] == "completed"
    contents = [message["content"] for message in both.host.requests[2]["messages"] if message["role"] == "tool"]
    assert contents == ["4", "5"]


async def test_a_stream_that_waits_is_pinged(store: Store) -> None:
    both = shims(store, ONE_CALL, ANSWER, ping="event", ping_interval=0.02)
    async with streamed(both.first) as stream:
        id = await stream.called()
        await stream.until("response.ping")
        await both.post(id, "a")
        await stream.rest()


async def test_a_choice_that_forces_a_call_does_so_in_the_first_round(store: Store) -> None:
    both = shims(store, ONE_CALL, ANSWER)
    async with streamed(both.first, tool_choice="required") as stream:
        id = await stream.called()
        await both.post(id, "a")
        response = await stream.rest()
    assert [request["tool_choice"] for request in both.host.requests] == ["required", "auto"]
    assert response["tool_choice"] == "required"


async def test_tools_that_a_search_has_found_are_called_in_the_next_round(store: Store) -> None:
    search = {"type": "tool_search", "execution": "client"}
    found = {"type": "namespace", "name": "files", "description": "", "tools": [{"type": "custom", "name": "write"}]}
    searching = call_answer(("a", "tool_search", '{"query": "files"}'))
    both = shims(store, searching, call_answer(("b", "files__write", '{"input": "x"}')), ANSWER)
    async with streamed(both.first, tools=[search]) as stream:
        id = await stream.called()
        await both.post(id, "a", [found])
        done = await stream.until("response.output_item.done")
        assert (done["item"]["type"], done["item"]["namespace"]) == ("custom_tool_call", "files")
        await both.post(id, "b", "Done")
        response = await stream.rest()
    assert response["status"] == "completed"
    assert await both.items(id) == ["msg", "tsc", "tsco", "ctc", "ctco", "msg"]


async def test_the_answer_after_the_outputs_is_in_the_format_that_was_asked_for(store: Store) -> None:
    answer_format = {"type": "json_object"}
    both = shims(store, ONE_CALL, text_answer("It is four."), text_answer('{"is": 4}'), text_answer("Yes."))
    async with streamed(both.first, text={"format": answer_format}) as stream:
        id = await stream.called()
        await both.post(id, "a")
        response = await stream.rest()
    assert [item["type"] for item in response["output"]] == ["function_call", "message"]
    assert response["output"][-1]["content"][0]["text"] == '{"is": 4}'
    repairing = both.host.requests[2]
    assert "tools" not in repairing
    assert [message["role"] for message in repairing["messages"]][-2:] == ["assistant", "tool"]
    assert await both.items(id) == ["msg", "fc", "fco", "msg"]
    assert await both.get(id) == response


async def test_a_file_in_an_output_is_read(store: Store) -> None:
    file = {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,Rm91cg=="}
    both = shims(store, ONE_CALL, ANSWER)
    async with streamed(both.first) as stream:
        id = await stream.called()
        wrong = error_of(await both.post(id, "a", [{"type": "input_file", "filename": "a.txt", "file_data": "?"}]))
        assert wrong["param"] == "output[0].file_data"
        assert (await both.post(id, "a", [file])).status == 200
        await stream.rest()
    assert "Four" in both.host.requests[1]["messages"][-1]["content"]


async def test_the_items_of_a_conversation_are_added_in_their_order(store: Store) -> None:
    both = shims(store, ONE_CALL, ANSWER)
    conversation = (await post(both.first, "/v1/conversations", {})).json["id"]
    async with streamed(both.first, conversation=conversation) as stream:
        id = await stream.called()
        taken = await post(both.second, "/v1/responses", {**REQUEST, "conversation": conversation})
        assert error_of(taken)["code"] == "conversation_locked"
        await both.post(id, "a")
        await stream.rest()
    listed = await request(both.second, "GET", f"/v1/conversations/{conversation}/items", query="order=asc")
    assert [item["type"] for item in listed.json["data"]] == [
        "message",
        "function_call",
        "function_call_output",
        "message",
    ]


# It does not wait ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "fields", "waits"),
    [
        ("end", {}, False),
        ("end", {"tool_outputs": "wait"}, True),
        ("wait", {}, True),
        ("wait", {"store": True}, True),
        ("wait", {"tool_outputs": "end"}, False),
        ("wait", {"store": False}, False),
        ("wait", {"tools": []}, False),
    ],
)
async def test_a_response_waits_if_the_request_or_else_the_setting_says_so(
    store: Store, setting: Any, fields: Json, waits: bool
) -> None:
    script = ANSWER if fields.get("tools") == [] else ONE_CALL
    both = shims(store, script, ANSWER, tool_outputs=setting)
    async with streamed(both.first, **{"tool_outputs": None, **fields}) as stream:
        id = await stream.called()
        if waits:
            await both.post(id, "a")
        response = await stream.rest()
    assert response.get("tool_outputs") == ("wait" if waits else None)
    assert len(both.host.requests) == 1 + waits
    assert response["status"] == "completed"


async def test_calls_of_an_answer_that_was_cut_are_not_waited_for(store: Store) -> None:
    cut = [chunk(tool_calls=[tool_call(0, "a", "f", '{"x"')]), chunk(finish_reason="length"), DONE]
    both = shims(store, cut)
    async with streamed(both.first) as stream:
        await stream.until("response.output_item.done")
        response = await stream.rest()
    assert response["status"] == "incomplete"
    assert (await both.get(response["id"]))["status"] == "incomplete"


async def test_a_response_that_waits_has_to_be_stored(store: Store) -> None:
    both = shims(store, ONE_CALL)
    error = error_of(await post(both.first, "/v1/responses", {**REQUEST, "store": False}))
    assert (error["status"], error["param"]) == (400, "tool_outputs")
    error = error_of(await post(ResponsesShim(both.host, store="off"), "/v1/responses", REQUEST))
    assert (error["status"], error["param"]) == (400, "tool_outputs")
    reply = await post(ResponsesShim(both.host, store="off"), "/v1/responses", {**REQUEST, "tool_outputs": "end"})
    assert reply.status == 200
    assert len(both.host.requests) == 1


# What is refused -----------------------------------------------------------------------------------------------------


async def test_what_is_wrong_with_an_output_is_named(store: Store) -> None:
    both = shims(store, TWO_CALLS, ANSWER, max_tool_output=200)
    async with streamed(both.first) as stream:
        id = await stream.called()
        assert (await both.post(id, "b")).status == 200

        async def refused(call_id: Any = "a", output: Any = TEXT, id: str = id, **fields: Any) -> tuple[Any, ...]:
            error = error_of(await both.post(id, call_id, output, **fields))
            assert error["type"] == "invalid_request_error"
            return error["status"], error["param"], error["code"]

        assert await refused(id="resp_unknown") == (404, "response_id", "response_not_found")
        assert await refused("z") == (404, "tool_call_id", "tool_call_not_found")
        assert await refused("b") == (400, "tool_call_id", "tool_call_already_completed")
        nothing: list[Any] = [None, "", []]
        for empty in nothing:
            assert await refused(output=empty) == (400, "output", "invalid_value")
        assert await refused(output="4" * 200) == (400, "output", "tool_output_too_large")
        assert (await refused(output=4))[:2] == (400, "output")
        assert (await refused(output=[{"type": "output_text"}]))[:2] == (400, "output[0].text")
        assert (await refused(7))[:2] == (400, "tool_call_id")
        missing = await post(both.second, f"/v1/responses/{id}/tool_outputs", {"output": TEXT})
        assert error_of(missing)["param"] == "tool_call_id"

        assert (await both.post(id, "a")).status == 200
        await stream.rest()
    assert await refused("a") == (400, "tool_call_id", "tool_call_already_completed")
    assert await refused("z") == (404, "tool_call_id", "tool_call_not_found")


async def test_an_output_for_a_response_that_does_not_wait_is_refused(store: Store) -> None:
    both = shims(store, ONE_CALL, ANSWER)
    async with streamed(both.first, tool_outputs="end") as stream:
        id = await stream.called()
        await stream.rest()
    error = error_of(await both.post(id, "a"))
    assert (error["status"], error["message"]) == (400, "No pending tool outputs expected for this response.")
    assert error_of(await both.post(id, "z"))["status"] == 404


async def test_an_output_for_a_running_response_that_does_not_wait_is_refused(store: Store) -> None:
    rest = anyio.Event()
    both = shims(store, [chunk("Hm."), Wait(rest), *ANSWER])
    async with both.first.running():
        created = await post(both.first, "/v1/responses", {**REQUEST, "tool_outputs": "end", "background": True})
        id = created.json["id"]
        assert error_of(await both.post(id, "a"))["code"] == "no_pending_tool_outputs"
        rest.set()
        await request(both.second, "GET", f"/v1/responses/{id}", query="stream=true")


async def test_a_call_that_never_comes_is_unknown_when_the_response_has_ended(store: Store) -> None:
    rest = anyio.Event()
    both = shims(store, [chunk("Hm."), Wait(rest), *ANSWER])
    errors: list[Any] = []
    async with streamed(both.first) as stream, anyio.create_task_group() as group:
        id = await stream.started()

        async def answer() -> None:
            errors.append(error_of(await both.post(id, "a")))

        group.start_soon(answer)
        await settle()
        rest.set()
        await stream.rest()
    assert [error["code"] for error in errors] == ["tool_call_not_found"]


async def test_a_call_that_does_not_come_in_time_is_unknown(store: Store) -> None:
    both = shims(store, [chunk("Hm."), Hold()], tool_timeout=0.05)
    async with streamed(both.first) as stream:
        id = await stream.started()
        assert error_of(await both.post(id, "a"))["code"] == "tool_call_not_found"


async def test_who_leaves_while_the_model_writes_waits_no_longer(store: Store) -> None:
    both = shims(store, [chunk("Hm."), Hold()])
    async with streamed(both.first) as stream:
        id = await stream.started()
        body = {"tool_call_id": "a", "output": "4"}
        async with call(both.second, "POST", f"/v1/responses/{id}/tool_outputs", json=body) as posting:
            await settle()
            await posting.disconnect()
            await posting.finish()
            assert not posting.sent


async def test_of_several_outputs_of_one_call_at_once_one_counts(failing: FailingStore) -> None:
    failing.slow = True  # all of them find that the call waits before the first is posted
    both = shims(failing, TWO_CALLS, ANSWER)
    replies: list[Any] = []
    async with streamed(both.first) as stream:
        id = await stream.called()
        await both.post(id, "b")

        async def answer(text: str) -> None:
            replies.append((text, await both.post(id, "a", text)))

        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(answer, str(number))
        await stream.rest()
    won = [text for text, reply in replies if reply.status == 200]
    assert len(won) == 1
    assert {error_of(reply)["code"] for _, reply in replies if reply.status != 200} == {"tool_call_already_completed"}
    assert both.host.requests[1]["messages"][-2]["content"] == won[0]


async def test_only_its_owner_can_post_an_output(store: Store) -> None:
    both = Shims(GuardedHost(chat=ONE_CALL), store)
    path, body = "/v1/responses/{}/tool_outputs", {"tool_call_id": "a", "output": "4"}
    async with streamed(both.first, KEY) as stream:
        id = await stream.called()
        for headers in ({}, {"authorization": "Bearer wrong"}):
            assert (await post(both.second, path.format(id), body, headers=headers)).status == 401
        cookie = {**KEY, "cookie": "session=other"}
        foreign = error_of(await post(both.second, path.format(id), body, headers=cookie))
        unknown = error_of(await post(both.second, path.format("resp_unknown"), body, headers=cookie))
        assert foreign == {**unknown, "message": unknown["message"].replace("resp_unknown", id)}
        assert foreign["status"] == 404
        assert (await post(both.second, path.format(id), body, headers=KEY)).status == 200


async def test_the_route_takes_nothing_but_post(store: Store) -> None:
    both = shims(store)
    reply = await request(both.first, "GET", "/v1/responses/resp_1/tool_outputs")
    assert (reply.status, reply.headers["allow"]) == (405, "POST, OPTIONS")


# It ends -------------------------------------------------------------------------------------------------------------


async def test_a_tool_that_does_not_answer_in_time_fails_the_response(store: Store) -> None:
    both = shims(store, TWO_CALLS, tool_timeout=0.2)
    async with streamed(both.first) as stream:
        id = await stream.called()
        await both.post(id, "b")
        response = await stream.rest()
    assert response["status"] == "failed"
    assert response["error"]["message"] == "Timed out waiting for tool outputs: none came for 'a'."
    assert [event["error"]["status"] for event in stream.events if event["type"] == "error"] == [504]
    assert await both.get(id) == response
    assert error_of(await both.post(id, "a"))["code"] == "no_pending_tool_outputs"
    body = {"model": "m", "input": "Hi", "previous_response_id": id}
    assert error_of(await post(both.first, "/v1/responses", body))["status"] == 404


async def test_a_tool_that_does_not_answer_in_time_is_504_without_a_stream(store: Store) -> None:
    both = shims(store, ONE_CALL, tool_timeout=0.05)
    error = error_of(await post(both.first, "/v1/responses", REQUEST))
    assert (error["status"], error["code"]) == (504, "tool_timeout")
    [summary] = await store.scan()
    assert summary.status == "failed"


async def test_a_response_in_the_background_that_waits_fails_when_the_server_shuts_down(store: Store) -> None:
    both = shims(store, ONE_CALL)
    async with both.first.running():
        id = (await post(both.first, "/v1/responses", {**REQUEST, "background": True})).json["id"]
        await both.until_waiting(id)
    response = await both.get(id)
    assert (response["status"], len(response["output"])) == ("failed", 1)
    assert "shut down" in response["error"]["message"]


async def test_a_response_whose_client_leaves_is_cancelled(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "CANCEL_SECONDS", 0.01)
    both = shims(store, ONE_CALL)
    async with streamed(both.first) as stream:
        id = await stream.called()
        await both.until_waiting(id)
        await stream.exchange.disconnect()
        await stream.exchange.finish()
    assert (await both.get(id))["status"] == "cancelled"
    assert error_of(await both.post(id, "a"))["code"] == "no_pending_tool_outputs"
    assert len(both.host.requests) == 1


async def test_a_response_in_the_background_can_be_cancelled_while_it_waits(store: Store) -> None:
    both = shims(store, ONE_CALL)
    async with both.first.running():
        created = await post(both.first, "/v1/responses", {**REQUEST, "background": True, "stream": False})
        id = created.json["id"]
        while not (await both.get(id))["output"]:
            await settle()
        cancelled = await post(both.second, f"/v1/responses/{id}/cancel", {})
        assert cancelled.json["status"] == "cancelled"
        assert [item["type"] for item in cancelled.json["output"]] == ["function_call"]
        followed = await request(both.second, "GET", f"/v1/responses/{id}", query="stream=true")
        assert payloads(followed.events)[-1]["type"] == "response.incomplete"
    assert await both.get(id) == cancelled.json
    assert error_of(await both.post(id, "a"))["code"] == "no_pending_tool_outputs"


async def test_a_response_that_is_deleted_while_it_waits_fails(store: Store) -> None:
    both = shims(store, ONE_CALL)
    async with streamed(both.first) as stream:
        id = await stream.called()
        await both.host.finished.wait()
        await request(both.second, "DELETE", f"/v1/responses/{id}")
        response = await stream.rest()
    assert response["status"] == "failed"
    assert "ended or deleted" in response["error"]["message"]
    assert error_of(await both.post(id, "a"))["status"] == 404


async def test_a_response_that_is_deleted_in_its_first_round_fails(store: Store) -> None:
    rest = anyio.Event()
    both = shims(store, [chunk("Hm."), Wait(rest), *ONE_CALL])
    async with streamed(both.first) as stream:
        id = await stream.started()
        await request(both.second, "DELETE", f"/v1/responses/{id}")
        rest.set()
        response = await stream.rest()
    assert (response["status"], response["store"]) == ("failed", False)


async def test_a_response_that_is_deleted_in_its_last_round_fails(store: Store) -> None:
    rest = anyio.Event()
    both = shims(store, [chunk("Hm."), Wait(rest), *ANSWER])
    async with streamed(both.first) as stream:
        id = await stream.started()
        await request(both.second, "DELETE", f"/v1/responses/{id}")
        rest.set()
        response = await stream.rest()
    assert (response["status"], response["store"]) == ("failed", False)


async def test_a_later_round_that_fails_fails_the_response(store: Store) -> None:
    busy = HostJson(503, {"error": {"message": "busy", "type": "overloaded", "code": None, "param": None}})
    both = shims(store, ONE_CALL, [busy])
    async with streamed(both.first) as stream:
        id = await stream.called()
        await both.post(id, "a")
        response = await stream.rest()
    assert (response["status"], response["error"]["message"]) == ("failed", "busy")
    assert await both.get(id) == response


async def test_a_first_round_that_fails_has_its_status_and_leaves_no_response_that_waits(store: Store) -> None:
    busy = HostJson(429, {"error": {"message": "busy", "type": "overloaded", "code": None, "param": None}})
    both = shims(store, [busy])
    assert (await post(both.first, "/v1/responses", REQUEST)).status == 429
    [summary] = await store.scan()
    assert summary.status == "failed"


async def test_a_response_that_waits_is_known_to_be_alive(store: Store) -> None:
    both = shims(store, ONE_CALL, ANSWER)
    async with streamed(both.first) as stream:
        id = await stream.called()
        await settle()
        assert await store.expired() == []
        await both.post(id, "a")
        await stream.rest()


# Outages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("down", ["get", "add"])
async def test_without_a_store_it_is_503_before_the_host_is_called(failing: FailingStore, down: str) -> None:
    both = shims(failing, ONE_CALL)
    failing.down = frozenset({down})
    assert error_of(await post(both.first, "/v1/responses", REQUEST))["status"] == 503
    assert not both.host.requests


async def test_a_round_that_cannot_be_stored_fails_the_response(failing: FailingStore) -> None:
    rest = anyio.Event()
    both = shims(failing, [chunk("Hm."), Wait(rest), *ONE_CALL])
    async with streamed(both.first) as stream:
        await stream.until("response.output_text.delta")
        failing.down = frozenset({"change"})
        rest.set()
        response = await stream.rest()
    assert (response["status"], response["store"]) == ("failed", False)


async def test_an_outage_is_no_unknown_call(failing: FailingStore) -> None:
    both = shims(failing, ONE_CALL, ANSWER)
    async with streamed(both.first) as stream:
        id = await stream.called()
        failing.down = frozenset({"get"})
        assert error_of(await both.post(id, "a"))["status"] == 503
        failing.down = frozenset()
        assert (await both.post(id, "a")).status == 200
        await stream.rest()


async def test_an_outage_while_it_waits_ends_no_response(
    failing: FailingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool_outputs, "READ_SECONDS", 0.01)
    monkeypatch.setattr(tool_outputs, "RETRY_SECONDS", 0.01)
    both = shims(failing, ONE_CALL, ANSWER, ping="event", ping_interval=0.02)
    async with streamed(both.first) as stream:
        id = await stream.called()
        failing.down = frozenset({"read"})
        for _ in range(3):
            await stream.until("response.ping")
        failing.down = frozenset()
        assert (await both.post(id, "a")).status == 200
        assert (await stream.rest())["status"] == "completed"


@pytest.mark.parametrize(("lost", "code"), [("post", "no_pending_tool_outputs"), ("read", "response_not_found")])
async def test_a_response_may_end_while_an_output_is_posted(failing: FailingStore, lost: str, code: str) -> None:
    both = shims(failing, ONE_CALL, ANSWER)
    async with streamed(both.first) as stream:
        id = await stream.called()
        await both.host.finished.wait()
        await settle()
        failing.lost = frozenset({lost})
        assert error_of(await both.post(id, "a"))["code"] == code
