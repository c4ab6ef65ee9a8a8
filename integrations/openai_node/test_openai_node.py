"""OpenAI's SDK for JavaScript on the shim, with the helper that collects a stream and is strict about its events.

npm install --prefix ~/openai-node openai@7.55.0 @openai/agents@0.20.0
OPENAI_NODE=~/openai-node pytest integrations/openai_node
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from starlette.types import ASGIApp

from integrations.clients.clients import OPENAI_NODE
from integrations.clients.situations import Pings, watched
from integrations.running import node_command, run_client
from responses_shim import ResponsesShim
from tests.scripted import ScriptedHost, Step, Wait, call, call_answer, chunk, text_answer
from tests.serving import serving

pytestmark = pytest.mark.live


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that asks once. Where there is no openai-node the tests are skipped, but in CI they fail."""
    script = Path(__file__).with_name("client.mjs")
    folder = tmp_path_factory.mktemp("openai_node") / "scripts"
    return node_command(script, "openai", "OPENAI_NODE", OPENAI_NODE.command, folder)


def ask(client: list[str], app: ASGIApp) -> Any:
    """What the client makes of one streamed response: its events, its final response, the error that it throws."""
    with serving(app) as url:
        return json.loads(run_client([*client, f"{url}/v1"]))


def silent_until_pinged(
    before: list[Step], after: list[Step], ping: Literal["in_progress", "event"], times: int = 3
) -> ASGIApp:
    """The shim on a host that is silent between two halves of its answer, until so many pings have been sent."""
    pings = Pings(ping, times)
    host = ScriptedHost([*before, Wait(pings.enough), *after])
    return watched(ResponsesShim(host, ping=ping, ping_interval=0.05, commit_after=0), pings.watch)


def test_text(client: list[str]) -> None:
    answer = ask(client, ResponsesShim(ScriptedHost(text_answer("It is", " sunny."))))
    assert answer["error"] is None
    assert answer["text"] == answer["response"]["output_text"] == "It is sunny."
    assert answer["types"][-1] == "response.completed"


PARIS_ROME: list[Step] = call_answer(
    ("call_1", "get_weather", '{"city": "Paris"}'), ("call_2", "get_weather", '{"city": "Rome"}')
)
HALF_A_CALL: list[Step] = [chunk(tool_calls=[call(0, "call_1", "get_weather", '{"city": ')])]
OTHER_HALF: list[Step] = [chunk(tool_calls=[call(0, arguments='"Paris"}')]), *call_answer()]


def test_parallel_calls(client: list[str]) -> None:
    answer = ask(client, ResponsesShim(ScriptedHost(PARIS_ROME)))
    assert answer["error"] is None
    calls = [json.loads(item["arguments"]) for item in answer["response"]["output"]]
    assert calls == [json.loads(text) for text in answer["argumentDeltas"].values()]
    assert calls == [{"city": "Paris"}, {"city": "Rome"}]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], text_answer("It is", " sunny.")),
        ([chunk("It is")], text_answer(" sunny.")),
        ([chunk(reasoning="Well."), chunk("It is")], text_answer(" sunny.")),
    ],
    ids=["before the first token", "within the text", "after an item that is done"],
)
def test_pings_in_a_silence_do_no_harm(client: list[str], before: list[Step], after: list[Step]) -> None:
    answer = ask(client, silent_until_pinged(before, after, "in_progress"))
    assert answer["error"] is None
    assert answer["text"] == answer["response"]["output_text"] == "It is sunny."
    assert answer["types"].count("response.in_progress") >= 1 + 3


def test_pings_within_a_call_do_no_harm(client: list[str]) -> None:
    answer = ask(client, silent_until_pinged(HALF_A_CALL, OTHER_HALF, "in_progress"))
    assert answer["error"] is None
    (call,) = answer["response"]["output"]
    assert call["arguments"] == answer["argumentDeltas"]["0"] == '{"city": "Paris"}'


def test_reasoning_and_its_summary_side_by_side(client: list[str]) -> None:
    host = ScriptedHost([chunk(reasoning="Let me "), chunk(reasoning="see."), *text_answer("It is", " sunny.")])
    answer = ask(client, ResponsesShim(host, reasoning_display="both"))
    assert answer["error"] is None
    thought = answer["response"]["output"][0]
    assert [part["text"] for part in thought["content"] + thought["summary"]] == ["Let me see."] * 2
    assert answer["text"] == "It is sunny."


def test_a_host_that_breaks_off_is_an_error(client: list[str]) -> None:
    answer = ask(client, ResponsesShim(ScriptedHost([chunk("It is")])))
    assert answer["response"] is None
    assert (answer["text"], answer["types"][-1]) == ("It is", "response.output_item.done")
    error = answer["error"]
    assert error["name"] == "APIError"
    assert (error["type"], error["code"], error["status"]) == ("server_error", "server_error", 502)
    assert "ended its stream" in error["message"]


def test_at_an_event_that_it_does_not_know_it_throws(client: list[str]) -> None:
    """That is why `ping` is `in_progress` by default."""
    answer = ask(client, silent_until_pinged([], text_answer("It is", " sunny."), "event", times=1))
    assert answer["response"] is None
    assert answer["types"][-1] != "response.completed"
    assert answer["error"]["message"].startswith("Unhandled response stream event")
