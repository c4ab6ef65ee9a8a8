"""A response that takes several chat calls: one stream of events, which always ends."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from responses_shim.core.response.stream import RoundResult
from responses_shim.core.response.think_tags import ThinkTagFilter
from responses_shim.errors import InvalidRequest, ShimError, UpstreamError
from responses_shim.hosts.profile import Chat
from responses_shim.runtime import run as runs
from responses_shim.runtime.interfaces import Listener, NextRound
from responses_shim.runtime.run import Run
from tests.oracle import check_response
from tests.runtime.direct import Client, new_run
from tests.scripted import DONE, call, chunk, usage

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

CALLING = [chunk("<think>Hm.</think>"), chunk(tool_calls=[call(0, "a", "f", "{}")]), chunk(finish_reason="tool_calls")]
ANSWER = [chunk("<think>"), chunk("So."), chunk("</think>"), chunk("Hel"), chunk("lo"), chunk(finish_reason="stop")]
Step = bytes | Callable[[Listener], Awaitable[None]]


class Host:
    """Answers each chat call with the messages of one round; keeps the requests."""

    def __init__(self, *rounds: list[Step], error: ShimError | None = None) -> None:
        self.rounds = list(rounds)
        self.error = error
        self.requests: list[Chat] = []

    async def __call__(self, chat: Chat, listener: Listener) -> ShimError | None:
        self.requests.append(chat)
        for step in self.rounds[len(self.requests) - 1]:
            if isinstance(step, bytes):
                await listener.data(step, True)
            else:
                await step(listener)
        return self.error if len(self.requests) == len(self.rounds) else None


def again_while_there_are_calls(result: RoundResult) -> Callable[[], Awaitable[Chat]] | None:
    """Another round as long as the last one made calls."""
    if not result.calls:
        return None

    async def request() -> Chat:
        return {"outputs": [item.call_id for item in result.calls]}

    return request


def run_with_calls(client: Client, *, next_round: NextRound = again_while_there_are_calls, **options: Any) -> Run:
    """A run that makes another chat call as long as the last one made calls, and takes think tags out of the text."""
    return new_run(client, filters=lambda: [ThinkTagFilter("leading")], next_round=next_round, **options)


@pytest.mark.parametrize("ends", [[DONE], []], ids=["done", "no done"])
async def test_three_rounds_are_one_response(ends: list[Step]) -> None:
    client, host = Client(), Host([*CALLING, chunk(usage=usage(1, 2)), *ends], [*CALLING, *ends], [*ANSWER, *ends])
    with anyio.fail_after(5):
        await run_with_calls(client).execute(host, {"first": True})
    events = client.events
    first, second = (item["call_id"] for item in events[-1]["response"]["output"] if item["type"] == "function_call")
    assert first == "a"
    assert second != "a", "two calls have one id"
    assert host.requests == [{"first": True}, {"outputs": [first]}, {"outputs": [second]}]
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
        await run_with_calls(client, stream=False).execute(host, {})
    response = json.loads(client.body)
    check_response(response)
    assert [item["type"] for item in response["output"]] == ["reasoning", "function_call", "reasoning", "message"]


async def test_the_items_of_a_round_are_sent_before_the_next_round_begins() -> None:
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
        run = run_with_calls(client, next_round=later, ping="event", ping_interval=0.05)
        group.start_soon(run.execute, host, {})
        await client.wait_for(b'"type":"response.output_item.done"')
        await client.wait_for(b"response.ping")
        assert len(host.requests) == 1
        ready.set()
    assert client.events[-1]["type"] == "response.completed"


async def test_a_call_that_does_not_return_does_not_hold_up_the_next_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RETURN_SECONDS", 0.05)

    async def hang(listener: Listener) -> None:
        with listener.call:
            await anyio.sleep_forever()

    client, host = Client(), Host([*CALLING, DONE, hang], [*ANSWER, DONE])
    with anyio.fail_after(5):
        await run_with_calls(client).execute(host, {})
    assert client.events[-1]["type"] == "response.completed"


async def test_what_comes_between_two_rounds_may_take_longer_than_a_call_may_take_to_return(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runs, "RETURN_SECONDS", 0.01)
    client, host = Client(), Host([*CALLING, DONE], [*ANSWER, DONE])

    def after_three_pings(result: RoundResult) -> Callable[[], Awaitable[Chat]] | None:
        async def request() -> Chat:
            await client.wait_for(b": ping\n\n" * 3)
            return {}

        return request if result.calls else None

    run = run_with_calls(client, next_round=after_three_pings, ping="comment", ping_interval=0.02)
    with anyio.fail_after(5):
        await run.execute(host, {})
    assert len(host.requests) == 2
    assert client.events[-1]["type"] == "response.completed"


async def test_what_a_call_sends_after_the_end_of_its_stream_is_ignored() -> None:
    client, host = Client(), Host([*CALLING, DONE, chunk("late")], [*ANSWER, DONE])
    with anyio.fail_after(5):
        await run_with_calls(client).execute(host, {})
    assert b"late" not in client.body
    assert len(client.events[-1]["response"]["output"]) == 4


async def test_a_failed_round_is_the_last() -> None:
    client = Client()
    host = Host([*CALLING, DONE], [chunk("Hel")], error=UpstreamError("the host's own reason"))
    with anyio.fail_after(5):
        await run_with_calls(client).execute(host, {})
    response = client.events[-1]["response"]
    assert response["error"]["message"] == "the host's own reason"
    assert [item["type"] for item in response["output"]] == ["reasoning", "function_call", "message"]


@pytest.mark.parametrize("error", [InvalidRequest("no such tool"), RuntimeError("a secret")])
async def test_an_exception_while_the_next_round_is_prepared_fails_the_response(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(result: RoundResult) -> Callable[[], Awaitable[Chat]]:
        async def request() -> Chat:
            raise error

        return request

    client = Client()
    with anyio.fail_after(5):
        await run_with_calls(client, next_round=failing).execute(Host([*CALLING, DONE]), {})
    response = client.events[-1]["response"]
    assert response["status"] == "failed"
    assert (response["error"]["message"] == "no such tool") == isinstance(error, InvalidRequest)
    assert b"a secret" not in client.body
    assert ("a secret" in caplog.text) == isinstance(error, RuntimeError)


async def test_a_client_that_leaves_between_two_rounds_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "CANCEL_SECONDS", 0.05)

    def never(result: RoundResult) -> Callable[[], Awaitable[Chat]]:
        async def request() -> Chat:
            client.left.set()
            await anyio.sleep_forever()
            return {}

        return request

    client, host = Client(), Host([*CALLING, DONE])
    with anyio.fail_after(5):
        await run_with_calls(client, next_round=never).execute(host, {})
    assert len(host.requests) == 1
    assert b"response.completed" not in client.body
