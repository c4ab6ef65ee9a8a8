"""A response that needs several chat calls: one stream of events, and an end however the rounds go."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from responses_shim.asgi.sinks import EventStreamSink, JSONSink
from responses_shim.core.response.filters import Filter
from responses_shim.core.response.stream import RoundResult
from responses_shim.core.response.think_tags import ThinkTagFilter
from responses_shim.core.response.translator import Translator
from responses_shim.errors import InvalidRequest, ShimError, UpstreamError
from responses_shim.runtime import run as runs
from responses_shim.runtime.interfaces import Listener
from responses_shim.runtime.run import Chat, Run
from responses_shim.settings import Settings
from tests.caller import parse_events, payloads
from tests.core.driver import new_stream
from tests.oracle import check_response, check_stream
from tests.scripted import DONE, call, chunk, usage

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

CALLING = [chunk("<think>Hm.</think>"), chunk(tool_calls=[call(0, "a", "f", "{}")]), chunk(finish_reason="tool_calls")]
ANSWER = [chunk("<think>"), chunk("So."), chunk("</think>"), chunk("Hel"), chunk("lo"), chunk(finish_reason="stop")]
Step = bytes | Callable[[Listener], Awaitable[None]]


class Client:
    """The server's end of a request: what was sent, and whether the client has left."""

    def __init__(self) -> None:
        self.body = b""
        self.left = anyio.Event()
        self.news = anyio.Event()

    async def send(self, message: Any) -> None:
        self.body += message.get("body", b"")
        self.news.set()
        self.news = anyio.Event()

    async def sent(self, text: bytes) -> None:
        with anyio.fail_after(5):
            while text not in self.body:
                await self.news.wait()

    @property
    def events(self) -> list[dict[str, Any]]:
        events = payloads(parse_events(self.body))
        check_stream(events)
        return events


class Host:
    """Answers one chat call after the other, each by its messages; keeps what it was asked."""

    def __init__(self, *rounds: list[Step], error: ShimError | None = None) -> None:
        self.rounds = list(rounds)
        self.error = error
        self.asked: list[Chat] = []

    async def __call__(self, chat: Chat, listener: Listener) -> ShimError | None:
        self.asked.append(chat)
        for step in self.rounds[len(self.asked) - 1]:
            if isinstance(step, bytes):
                await listener.data(step, True)
            else:
                await step(listener)
        return self.error if len(self.asked) == len(self.rounds) else None


def again_while_there_are_calls(result: RoundResult) -> Callable[[], Awaitable[Chat]] | None:
    """Another round as long as the last one made calls."""
    if not result.calls:
        return None

    async def request() -> Chat:
        return {"outputs": [item.call_id for item in result.calls]}

    return request


def running(
    client: Client, *, stream: bool = True, next_round: Any = again_while_there_are_calls, **settings: Any
) -> Run:
    def filters() -> list[Filter]:
        return [ThinkTagFilter("leading")]

    sink = EventStreamSink(client.send, []) if stream else JSONSink(client.send, [])
    return Run(
        Translator(new_stream(), filters=filters, framing=sink.framing),
        sink,
        Settings(**settings),
        disconnected=client.left.wait,
        unfinished="cut",
        next_round=next_round,
    )


@pytest.mark.parametrize("ends", [[DONE], []], ids=["done", "no done"])
async def test_three_rounds_are_one_response(ends: list[Step]) -> None:
    client, host = Client(), Host([*CALLING, chunk(usage=usage(1, 2)), *ends], [*CALLING, *ends], [*ANSWER, *ends])
    with anyio.fail_after(5):
        await running(client).execute(host, {"first": True})
    assert host.asked == [{"first": True}, {"outputs": ["a"]}, {"outputs": ["a"]}]
    events = client.events
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events].count("response.created") == 1
    response = events[-1]["response"]
    assert [item["type"] for item in response["output"]] == [
        *["reasoning", "function_call"] * 2,
        *("reasoning", "message"),
    ]
    assert response["status"] == "completed"
    assert response["usage"] is None, "two of the rounds gave none"


async def test_a_response_that_is_not_streamed_has_rounds_too() -> None:
    client, host = Client(), Host([*CALLING, DONE], [*ANSWER, DONE])
    with anyio.fail_after(5):
        await running(client, stream=False).execute(host, {})
    response = json.loads(client.body)
    check_response(response)
    assert [item["type"] for item in response["output"]] == ["reasoning", "function_call", "reasoning", "message"]


async def test_what_a_round_made_is_sent_before_the_next_begins() -> None:
    client, ready = Client(), anyio.Event()

    def later(result: RoundResult) -> Callable[[], Awaitable[Chat]] | None:
        if not result.calls:
            return None

        async def request() -> Chat:
            await ready.wait()
            return {}

        return request

    async with anyio.create_task_group() as group:
        host = Host([*CALLING, DONE], [*ANSWER, DONE])
        run = running(client, next_round=later, ping="event", ping_interval=0.05)
        group.start_soon(run.execute, host, {})
        await client.sent(b'"type":"response.output_item.done"')
        await client.sent(b"response.ping")
        assert len(host.asked) == 1
        ready.set()
    assert client.events[-1]["type"] == "response.completed"


async def test_a_call_that_does_not_return_holds_up_no_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "GRACE", 0.05)

    async def hang(listener: Listener) -> None:
        await anyio.sleep_forever()

    client, host = Client(), Host([*CALLING, DONE, hang], [*ANSWER, DONE])
    with anyio.fail_after(5):
        await running(client).execute(host, {})
    assert client.events[-1]["type"] == "response.completed"


async def test_what_a_call_sends_behind_its_end_belongs_to_no_round() -> None:
    client, host = Client(), Host([*CALLING, DONE, chunk("late")], [*ANSWER, DONE])
    with anyio.fail_after(5):
        await running(client).execute(host, {})
    assert b"late" not in client.body
    assert len(client.events[-1]["response"]["output"]) == 4


async def test_a_round_that_fails_is_the_last() -> None:
    client = Client()
    host = Host([*CALLING, DONE], [chunk("Hel")], error=UpstreamError("the host's own reason"))
    with anyio.fail_after(5):
        await running(client).execute(host, {})
    response = client.events[-1]["response"]
    assert response["error"]["message"] == "the host's own reason"
    assert [item["type"] for item in response["output"]] == ["reasoning", "function_call", "message"]


@pytest.mark.parametrize("error", [InvalidRequest("no such tool"), RuntimeError("a secret")])
async def test_where_the_next_round_cannot_be_prepared_the_response_fails(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(result: RoundResult) -> Callable[[], Awaitable[Chat]]:
        async def request() -> Chat:
            raise error

        return request

    client = Client()
    with anyio.fail_after(5):
        await running(client, next_round=failing).execute(Host([*CALLING, DONE]), {})
    response = client.events[-1]["response"]
    assert response["status"] == "failed"
    assert (response["error"]["message"] == "no such tool") == isinstance(error, InvalidRequest)
    assert b"a secret" not in client.body
    assert ("a secret" in caplog.text) == isinstance(error, RuntimeError)


async def test_a_client_that_leaves_between_two_rounds_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "GONE_GRACE", 0.05)

    def never(result: RoundResult) -> Callable[[], Awaitable[Chat]]:
        async def request() -> Chat:
            client.left.set()
            await anyio.sleep_forever()
            return {}

        return request

    client, host = Client(), Host([*CALLING, DONE])
    with anyio.fail_after(5):
        await running(client, next_round=never).execute(host, {})
    assert len(host.asked) == 1
    assert b"response.completed" not in client.body
