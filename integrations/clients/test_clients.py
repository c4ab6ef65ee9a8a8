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
# Passes over the `error` event, as all versions before 2.0.32 do, and takes only the finish reason from
# `response.failed`.
REPORTS_BY_FINISH_REASON = "ai-sdk-6-open-responses"

# Run the functions themselves, and ask again with the outputs.
AGENTS = ["openai-agents-python", "openai-agents-js", "pydantic-ai"]

every_client = pytest.mark.parametrize("client", CLIENTS)


def as_call(call: Call) -> dict[str, Any]:
    """A call as the clients' scripts print it."""
    id, name, arguments = call
    return {"id": id, "name": name, "arguments": json.loads(arguments)}


# A silence of three pings ------------------------------------------------------------------------------------------


@every_client
@pytest.mark.parametrize("situation", ["silent-at-first", "silent-within-text"])
def test_a_silence_does_not_harm_a_text(ask: Ask, client: str, situation: str) -> None:
    outcome = ask(client).outcomes[f"stream:{situation}"]
    assert (outcome["error"], outcome["text"], outcome["calls"]) == (None, "It is sunny.", [])


@every_client
def test_a_silence_does_not_harm_a_call(ask: Ask, client: str) -> None:
    outcome = ask(client).outcomes["stream:silent-within-a-call"]
    assert outcome["error"] is None
    [call] = outcome["calls"]
    assert (call["name"], call["arguments"]) == ("get_weather", {"city": "Paris"})


# Two calls at once -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [name for name in CLIENTS if name != STREAMS_ONE_CALL])
@pytest.mark.parametrize("situation", PARALLEL_CALLS)
def test_two_calls_in_a_stream(ask: Ask, client: str, situation: str) -> None:
    outcome = ask(client).outcomes[f"stream:{situation}"]
    assert outcome["error"] is None
    assert outcome["calls"] == [as_call(PARIS), as_call(ROME)]


@every_client
@pytest.mark.parametrize("situation", PARALLEL_CALLS)
def test_two_calls_in_a_whole_response(ask: Ask, client: str, situation: str) -> None:
    outcome = ask(client).outcomes[f"whole:{situation}"]
    assert outcome["error"] is None
    assert outcome["calls"] == [as_call(PARIS), as_call(ROME)]


@pytest.mark.parametrize("client", AGENTS)
def test_each_output_goes_back_to_its_call(ask: Ask, client: str) -> None:
    follow_ups = [chat for chat in ask(client).chats if chat["model"] in PARALLEL_CALLS and len(chat["messages"]) > 1]
    assert len(follow_ups) == 2 * len(PARALLEL_CALLS)
    for chat in follow_ups:
        outputs = {message["tool_call_id"]: message["content"] for message in chat["messages"][2:]}
        assert outputs == {"call_paris": "It is sunny in Paris.", "call_rome": "It is noon in Rome."}


@pytest.mark.parametrize("situation", PARALLEL_CALLS)
def test_crewai_makes_only_the_first_call_of_a_stream(ask: Ask, situation: str) -> None:
    outcome = ask(STREAMS_ONE_CALL).outcomes[f"stream:{situation}"]
    assert outcome["error"] is None
    assert outcome["calls"] == [{**as_call(PARIS), "id": None}]
    assert outcome["text"] == "It is sunny in Paris."


# A host that breaks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [name for name in CLIENTS if name != REPORTS_BY_FINISH_REASON])
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
    roles = [[message["role"] for message in chat["messages"]] for chat in chats]
    assert roles == [["user"]] * 2 * len(BROKEN_ANSWERS)


@pytest.mark.parametrize("situation", BROKEN_ANSWERS)
def test_the_open_responses_provider_of_ai_sdk_6_finishes_with_error(ask: Ask, situation: str) -> None:
    """Without an exception, and without a message: who does not look at the finish reason has a cut answer."""
    outcome = ask(REPORTS_BY_FINISH_REASON).outcomes[f"stream:{situation}"]
    assert (outcome["error"], outcome["finishReason"]) == (None, "error")
