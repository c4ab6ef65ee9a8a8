"""OpenAI's own Python SDK and what is stored, over real HTTP: each method of `responses` and `conversations`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio.to_thread
import openai
import pytest
from openai import OpenAI

from responses_shim import ResponsesShim
from tests.conformance.test_sdk import as_json
from tests.oracle import check_resumed, check_stream
from tests.scripted import Hold, ScriptedHost, Step, call_answer, chunk, text_answer
from tests.serving import serving

pytestmark = pytest.mark.usefixtures("loopback_only", "each_store")

WEATHER: Any = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}, "strict": False}
DEADLINE = 10.0


def counting(request: dict[str, Any]) -> list[Step]:
    """A model that answers with the number of messages that it was given."""
    return text_answer("Answer ", str(len(request["messages"])))


@contextmanager
def client_of(*scripts: Any, key: str = "alice") -> Iterator[tuple[Any, ScriptedHost]]:
    """A client of a server with the shim over a host with these scripts."""
    host = ScriptedHost(*(scripts or (counting,)))
    with connected(host, key) as client:
        yield client, host


@contextmanager
def connected(host: ScriptedHost, key: str = "alice") -> Iterator[Any]:
    """A client of a server with the shim over this host. Its union types are not narrowed here, so it is `Any`."""
    with (
        serving(ResponsesShim(host, ping_interval=0.2)) as url,
        OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=20) as client,
    ):
        yield client


def contents(request: dict[str, Any]) -> list[str]:
    return [message["content"] for message in request["messages"]]


class Gate(ScriptedHost):
    """A host in a server's thread whose answer waits in its middle until the test opens it."""

    def __init__(self) -> None:
        super().__init__([])
        self.opened = threading.Event()
        self.reached = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def gated(message: Any) -> None:
            await send(message)
            if b"Half" in message.get("body", b""):
                self.reached.set()
                await anyio.to_thread.run_sync(self.opened.wait, DEADLINE)

        self.scripts = ([chunk("Half"), *text_answer(" done")],)
        await super().__call__(scope, receive, gated)


# Responses -----------------------------------------------------------------------------------------------------------


def test_a_chain_over_whole_streamed_and_background_turns() -> None:
    with client_of() as (client, host):
        first = client.responses.create(model="m", input="One")
        with client.responses.stream(model="m", input="Two", previous_response_id=first.id) as stream:
            second = stream.get_final_response()
        third = client.responses.create(model="m", input="Three", previous_response_id=second.id, background=True)
        assert third.status == "queued"
        events = list(client.responses.retrieve(third.id, stream=True))
        fourth = client.responses.create(model="m", input="Four", previous_response_id=third.id)
        assert contents(host.requests[3]) == ["One", "Answer 1", "Two", "Answer 3", "Three", "Answer 5", "Four"]
        assert [event.type for event in events][-1] == "response.completed"
        assert fourth.previous_response_id == third.id


def test_a_response_is_retrieved_listed_and_deleted() -> None:
    with client_of() as (client, _):
        made = client.responses.create(model="m", input="Hello", metadata={"a": "b"})
        assert client.responses.retrieve(made.id) == made
        assert client.responses.retrieve(made.id, include=["message.output_text.logprobs"]) == made
        [item] = client.responses.input_items.list(made.id).data
        assert item.content[0].text == "Hello"
        assert client.responses.delete(made.id) is None
        with pytest.raises(openai.NotFoundError, match="No response found"):
            client.responses.retrieve(made.id)


def test_the_pages_of_the_input_follow_one_another() -> None:
    with client_of() as (client, _):
        questions: Any = [{"role": "user", "content": str(number)} for number in range(7)]
        made = client.responses.create(model="m", input=questions)
        found = [item.content[0].text for item in client.responses.input_items.list(made.id, limit=3, order="asc")]
        assert found == list("0123456")


def test_a_run_is_polled() -> None:
    with client_of() as (client, _):
        response = client.responses.create(model="m", input="Hello", background=True)
        while response.status in ("queued", "in_progress"):
            response = client.responses.retrieve(response.id)
        assert (response.status, response.output_text) == ("completed", "Answer 1")


def test_a_run_whose_stream_broke_is_resumed_behind_the_last_event() -> None:
    host = Gate()
    with connected(host) as client:
        seen = []
        with client.responses.create(model="m", input="Hello", background=True, stream=True) as stream:
            for event in stream:
                seen.append(event)
                if event.type == "response.output_text.delta":
                    break  # and the connection is closed
        id = seen[0].response.id
        assert host.reached.is_set()
        host.opened.set()
        last = seen[-1].sequence_number
        rest = list(client.responses.retrieve(id, stream=True, starting_after=last))
        complete = [as_json(event) for event in client.responses.retrieve(id, stream=True)]
        check_stream(complete)
        check_resumed([as_json(event) for event in rest], last, complete)
        assert [as_json(event) for event in [*seen, *rest]] == complete
        with client.responses.stream(response_id=id, starting_after=last) as stream_again:
            assert [event.type for event in stream_again] == [event.type for event in rest]
        assert client.responses.retrieve(id).output_text == "Half done"


def test_a_run_is_cancelled() -> None:
    with client_of([chunk("Half"), Hold()]) as (client, _):
        made = client.responses.create(model="m", input="Hello", background=True)
        cancelled = client.responses.cancel(made.id)
        assert cancelled.status == "cancelled"
        assert [item.type for item in cancelled.output] in ([], ["message"])  # whatever has come by then
        assert client.responses.cancel(made.id) == cancelled
        assert client.responses.retrieve(made.id) == cancelled
        foreground = client.responses.create(model="m", input="Hello", stream=True)
        foreground.close()


def test_a_response_in_the_foreground_is_not_cancelled() -> None:
    with client_of() as (client, _):
        made = client.responses.create(model="m", input="Hello")
        with pytest.raises(openai.BadRequestError, match="background"):
            client.responses.cancel(made.id)


def test_the_errors_of_state_are_those_of_their_status() -> None:
    with client_of() as (client, host):
        with pytest.raises(openai.NotFoundError) as missing:
            client.responses.create(model="m", input="Hi", previous_response_id="resp_never")
        assert (missing.value.code, missing.value.param) == ("previous_response_not_found", "previous_response_id")
        with pytest.raises(openai.BadRequestError, match="mutually exclusive"):
            client.responses.create(model="m", input="Hi", previous_response_id="resp_never", conversation="conv_never")
        with pytest.raises(openai.BadRequestError, match="background"):
            client.responses.create(model="m", input="Hi", background=True, store=False)
        assert not host.requests


def test_another_key_finds_nothing() -> None:
    with client_of() as (client, _):
        made = client.responses.create(model="m", input="Hi")
        other = client.with_options(api_key="bob")
        for use in (other.responses.retrieve, other.responses.delete, other.responses.cancel):
            with pytest.raises(openai.NotFoundError):
                use(made.id)
        with pytest.raises(openai.NotFoundError):
            other.responses.create(model="m", input="Hi", previous_response_id=made.id)
        assert client.responses.retrieve(made.id) == made


# Conversations -------------------------------------------------------------------------------------------------------


def test_a_conversation_is_made_changed_and_deleted() -> None:
    with client_of() as (client, _):
        made = client.conversations.create(items=[{"role": "user", "content": "Hello"}], metadata={"a": "b"})
        assert client.conversations.retrieve(made.id) == made
        changed = client.conversations.update(made.id, metadata={"c": "d"})
        assert (changed.metadata, changed.created_at) == ({"c": "d"}, made.created_at)
        deleted = client.conversations.delete(made.id)
        assert (deleted.id, deleted.object, deleted.deleted) == (made.id, "conversation.deleted", True)
        with pytest.raises(openai.NotFoundError, match="Conversation with id"):
            client.conversations.retrieve(made.id)
        assert client.conversations.create(items=[]).metadata == {}
        assert client.conversations.create().object == "conversation"


def test_items_are_added_listed_retrieved_and_deleted() -> None:
    call: Any = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
    output: Any = {"type": "function_call_output", "call_id": "call_1", "output": "4"}
    custom: Any = {"type": "custom_tool_call", "call_id": "call_2", "name": "g", "input": "x"}
    with client_of() as (client, _):
        id = client.conversations.create().id
        added = client.conversations.items.create(id, items=[{"role": "user", "content": "One"}, call, output, custom])
        assert [item.type for item in added.data] == [
            "message",
            "function_call",
            "function_call_output",
            "custom_tool_call",
        ]
        listed = list(client.conversations.items.list(id, order="asc", limit=2))
        assert listed == added.data
        first = added.data[0]
        assert client.conversations.items.retrieve(str(first.id), conversation_id=id) == first
        assert client.conversations.items.delete(str(first.id), conversation_id=id).id == id
        assert [item.id for item in client.conversations.items.list(id, order="asc")] == [
            item.id for item in added.data[1:]
        ]


def test_responses_in_a_conversation() -> None:
    with client_of(call_answer(("call_1", "get_weather", "{}")), counting) as (client, host):
        conversation = client.conversations.create(items=[{"role": "user", "content": "Zero"}])
        first = client.responses.create(model="m", input="One", conversation=conversation.id, tools=[WEATHER])
        output: Any = [{"type": "function_call_output", "call_id": first.output[0].call_id, "output": "4"}]
        with client.responses.stream(
            model="m", input=output, conversation={"id": conversation.id}, tools=[WEATHER]
        ) as stream:
            second = stream.get_final_response()
        assert first.conversation is not None
        assert second.conversation is not None
        assert first.conversation.id == second.conversation.id == conversation.id
        assert [message["role"] for message in host.requests[1]["messages"]] == ["user", "user", "assistant", "tool"]
        items = client.conversations.items.list(conversation.id, order="asc")
        assert [item.type for item in items] == [
            "message",
            "message",
            "function_call",
            "function_call_output",
            "message",
        ]


def test_references_as_the_ai_sdk_sends_them() -> None:
    """By default it refers to the items that the server has, reasoning among them, and sends calls in full."""
    thinking = [chunk(reasoning="Hm."), *call_answer(("call_1", "get_weather", "{}"))]
    with client_of(thinking, counting) as (client, host):
        first = client.responses.create(model="m", input="Weather?", tools=[WEATHER])
        reasoning, call = first.output
        again: Any = [
            {"role": "user", "content": "Weather?"},
            {"type": "item_reference", "id": reasoning.id},
            call.to_dict(),
            {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
        ]
        client.responses.create(model="m", input=again, tools=[WEATHER])
        question, called, output = host.requests[1]["messages"]
        assert called["reasoning"] == "Hm."
        assert (question["content"], output["content"]) == ("Weather?", "sunny")
