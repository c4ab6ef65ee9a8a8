"""Clients of the Responses API in the situations in which they go wrong: a silence, two calls at once, a broken host.

The README of this folder says which clients these are, and how they are installed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from integrations.clients.clients import CLIENTS
from integrations.clients.conftest import Asked
from integrations.clients.situations import (
    BROKEN_ANSWERS,
    ERROR_MESSAGE,
    PARALLEL_CALLS,
    PARIS,
    ROME,
    STOPPED_MESSAGE,
    Call,
)

pytestmark = pytest.mark.live

Ask = Callable[[str], Asked]

# Gives nobody the calls of a stream: it makes the first itself, and answers with its output.
STREAMS_ONE_CALL = "crewai"
# Takes the id of a call's item for the id of the call, and sends it back as that.
HAS_OTHER_IDS = "chatlas"
# Passes over the `error` event, as all versions before 2.0.32 do, and takes only the finish reason from
# `response.failed`.
REPORTS_BY_FINISH_REASON = "ai-sdk-6-open-responses"

# Run the functions themselves, and ask again with the outputs.
AGENTS = [
    *("openai-agents-python", "openai-agents-js", "pydantic-ai", "strands", "chatlas", "google-adk"),
    *("agent-framework", "semantic-kernel"),
]
# Send the outputs alone, and leave what was said before to the server.
STATEFUL = ["agent-framework", "semantic-kernel"]

STREAMING = [name for name, client in CLIENTS.items() if client.streams]

every_client = pytest.mark.parametrize("client", CLIENTS)
every_streaming_client = pytest.mark.parametrize("client", STREAMING)


def as_call(call: Call) -> dict[str, Any]:
    """A call as the clients' scripts print it."""
    id, name, arguments = call
    return {"id": id, "name": name, "arguments": json.loads(arguments)}


def both_calls(client: str) -> list[dict[str, Any]]:
    """The two calls as this client's script prints them."""
    calls = [as_call(PARIS), as_call(ROME)]
    return [{**call, "id": None} for call in calls] if client == HAS_OTHER_IDS else calls


# A silence of three pings ------------------------------------------------------------------------------------------


@every_streaming_client
@pytest.mark.parametrize("situation", ["silent-at-first", "silent-within-text"])
def test_a_silence_does_not_harm_a_text(ask: Ask, client: str, situation: str) -> None:
    outcome = ask(client).outcomes[f"stream:{situation}"]
    assert (outcome["error"], outcome["text"], outcome["calls"]) == (None, "It is sunny.", [])


@every_streaming_client
def test_a_silence_does_not_harm_a_call(ask: Ask, client: str) -> None:
    outcome = ask(client).outcomes["stream:silent-within-a-call"]
    assert outcome["error"] is None
    [call] = outcome["calls"]
    assert (call["name"], call["arguments"]) == ("get_weather", {"city": "Paris"})


# Two calls at once -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [name for name in STREAMING if name != STREAMS_ONE_CALL])
@pytest.mark.parametrize("situation", PARALLEL_CALLS)
def test_two_calls_in_a_stream(ask: Ask, client: str, situation: str) -> None:
    outcome = ask(client).outcomes[f"stream:{situation}"]
    assert outcome["error"] is None
    assert outcome["calls"] == both_calls(client)


@every_client
@pytest.mark.parametrize("situation", PARALLEL_CALLS)
def test_two_calls_in_a_whole_response(ask: Ask, client: str, situation: str) -> None:
    outcome = ask(client).outcomes[f"whole:{situation}"]
    assert outcome["error"] is None
    assert outcome["calls"] == both_calls(client)


@pytest.mark.parametrize("client", AGENTS)
def test_each_output_goes_back_to_its_call(ask: Ask, client: str) -> None:
    chats = [chat for chat in ask(client).chats if chat["model"] in PARALLEL_CALLS]
    follow_ups = [chat["messages"] for chat in chats if "tool" in [message["role"] for message in chat["messages"]]]
    assert len(follow_ups) == 2 * len(PARALLEL_CALLS)
    for messages in follow_ups:
        [weather, time] = [call["id"] for message in messages for call in message.get("tool_calls", ())]
        outputs = {message["tool_call_id"]: message["content"] for message in messages if message["role"] == "tool"}
        assert outputs.keys() == {weather, time}
        assert "It is sunny in Paris." in outputs[weather]  # ADK's is JSON with that in it
        assert "It is noon in Rome." in outputs[time]


@pytest.mark.parametrize("client", STATEFUL)
def test_the_server_keeps_what_was_said(ask: Ask, client: str) -> None:
    asked = ask(client)
    continued = [body for body in asked.requests if body.get("previous_response_id")]
    assert len(continued) == 2 * len(PARALLEL_CALLS) + 1  # and the silence within a call
    for body in continued:
        assert body.get("store") is not False
        assert not any(item.get("type") == "function_call" for item in body["input"])


@pytest.mark.parametrize("situation", PARALLEL_CALLS)
def test_crewai_makes_only_the_first_call_of_a_stream(ask: Ask, situation: str) -> None:
    outcome = ask(STREAMS_ONE_CALL).outcomes[f"stream:{situation}"]
    assert outcome["error"] is None
    assert outcome["calls"] == [{**as_call(PARIS), "id": None}]
    assert outcome["text"] == "It is sunny in Paris."


# A host that breaks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [name for name in STREAMING if name != REPORTS_BY_FINISH_REASON])
@pytest.mark.parametrize("situation", BROKEN_ANSWERS)
def test_a_stream_that_breaks_is_an_error(ask: Ask, client: str, situation: str) -> None:
    check_error(ask(client).outcomes[f"stream:{situation}"], situation)


@every_client
@pytest.mark.parametrize("situation", BROKEN_ANSWERS)
def test_a_whole_response_that_breaks_is_an_error(ask: Ask, client: str, situation: str) -> None:
    check_error(ask(client).outcomes[f"whole:{situation}"], situation)


def check_error(outcome: dict[str, Any], situation: str) -> None:
    """The client raised what the host, or the shim, said of the failure, and gave no answer."""
    assert (outcome["text"], outcome["calls"]) == ("", [])
    assert (ERROR_MESSAGE if situation.startswith("error") else STOPPED_MESSAGE) in outcome["error"]


@pytest.mark.parametrize("client", AGENTS)
def test_a_call_of_an_answer_that_breaks_has_no_output(ask: Ask, client: str) -> None:
    chats = [chat for chat in ask(client).chats if chat["model"] in BROKEN_ANSWERS]
    assert len(chats) == 2 * len(BROKEN_ANSWERS)
    assert {message["role"] for chat in chats for message in chat["messages"]} <= {"system", "user"}


@pytest.mark.parametrize("situation", BROKEN_ANSWERS)
def test_the_open_responses_provider_of_ai_sdk_6_finishes_with_error(ask: Ask, situation: str) -> None:
    """Without an exception, and without a message: who does not look at the finish reason has a cut answer."""
    outcome = ask(REPORTS_BY_FINISH_REASON).outcomes[f"stream:{situation}"]
    assert (outcome["error"], outcome["finishReason"]) == (None, "error")
