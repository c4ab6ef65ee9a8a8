"""Vercel's AI SDK on the shim: text, tools, objects and reasoning, streamed and not.

npm install --prefix ~/ai-sdk ai@6.0.326 @ai-sdk/openai@3.0.141 @ai-sdk/open-responses@1.0.39
AI_SDK=~/ai-sdk pytest integrations/ai_sdk
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from integrations.clients.clients import AI_SDK_6
from integrations.running import node_command, run_client
from responses_shim import ResponsesShim
from tests.scripted import Script, ScriptedHost, Step, call_answer, chunk, text_answer
from tests.serving import serving

pytestmark = pytest.mark.live

PARIS = call_answer(("call_1", "getWeather", '{"city": "Paris"}'))
SUNNY = text_answer("It is", " sunny.")


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs a scenario. Where there is no AI SDK the tests are skipped, but in CI they fail."""
    script = Path(__file__).with_name("client.mjs")
    folder = tmp_path_factory.mktemp("ai_sdk") / "scripts"
    return node_command(script, "@ai-sdk/openai", "AI_SDK", AI_SDK_6.command, folder)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store: the test runs once for each kind."""
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/responses.db"


def run_scenario(
    client: list[str], scenario: str, *scripts: Script, store: str = "memory://"
) -> tuple[Any, ScriptedHost]:
    """Run one scenario of `client.mjs` on a host with these scripts: the JSON that it prints, and the host."""
    host = ScriptedHost(*scripts)
    with serving(ResponsesShim(host, store=store)) as url:
        return json.loads(run_client([*client, f"{url}/v1", scenario])), host


def test_text(client: list[str]) -> None:
    printed, host = run_scenario(client, "text", SUNNY)
    assert printed == {"text": "It is sunny.", "totalTokens": 9, "finishReason": "stop"}
    assert host.requests[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Paris?"},
    ]


def test_an_answer_that_was_cut_says_so(client: list[str]) -> None:
    printed, _ = run_scenario(client, "stream", text_answer("It is", finish_reason="length"))
    assert printed == {"pieces": ["It is"], "finishReason": "length"}


def test_text_that_is_streamed(client: list[str]) -> None:
    printed, _ = run_scenario(client, "stream", SUNNY)
    assert printed == {"pieces": ["It is", " sunny."], "finishReason": "stop"}


def check_round_trip(host: ScriptedHost) -> None:
    """The tool was offered, its schema as the SDK writes it, and its call and output came back."""
    first, second = host.requests
    offered = first["tools"][0]["function"]
    assert (offered["name"], offered["parameters"]["required"]) == ("getWeather", ["city"])
    asked, answered = second["messages"][-2:]
    assert json.loads(asked["tool_calls"][0]["function"]["arguments"]) == {"city": "Paris"}
    assert answered == {"role": "tool", "tool_call_id": "call_1", "content": "It is sunny in Paris."}


def test_a_tool(client: list[str]) -> None:
    printed, host = run_scenario(client, "tool", PARIS, SUNNY)
    assert printed == {"text": "It is sunny.", "outputs": ["It is sunny in Paris."]}
    check_round_trip(host)


def test_a_tool_in_a_stream(client: list[str]) -> None:
    printed, host = run_scenario(client, "streamedTool", PARIS, SUNNY)
    assert printed["text"] == "It is sunny."
    assert {"tool-input-start", "tool-input-delta", "tool-call", "tool-result", "text-delta"} <= set(printed["types"])
    assert "error" not in printed["types"]
    assert printed["input"] == '{"city": "Paris"}'
    check_round_trip(host)


def test_an_object_beside_tools(client: list[str]) -> None:
    """Its format is described to the model in words: if the host enforced it, the model could call no tool."""

    def answer(chat: dict[str, Any]) -> list[Step]:
        assert "response_format" not in chat
        return text_answer('{"city":', '"Paris"}' if '"city"' in chat["messages"][0]["content"] else "")

    printed, _ = run_scenario(client, "object", PARIS, answer)
    assert printed == {"output": {"city": "Paris"}, "steps": 2}


def test_reasoning_goes_out_and_comes_back(client: list[str]) -> None:
    thinks: list[Step] = [chunk(reasoning="I look "), chunk(reasoning="it up."), *PARIS]
    printed, host = run_scenario(client, "reasoning", thinks, SUNNY)
    assert (printed["text"], printed["first"]) == ("It is sunny.", "I look it up.")
    assert host.requests[1]["messages"][2]["reasoning"] == "I look it up."


def test_what_the_server_has_is_referred_to(client: list[str], store: str) -> None:
    """Unless it is told otherwise the SDK relies on the server to keep reasoning and messages."""
    thinks: list[Step] = [chunk(reasoning="I look "), chunk(reasoning="it up."), *PARIS]
    printed, host = run_scenario(client, "references", thinks, SUNNY, text_answer("Rainy."), store=store)
    assert printed["text"] == "Rainy."
    assert "item_reference" in printed["sent"]
    roles = [message["role"] for message in host.requests[2]["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert host.requests[2]["messages"][2]["reasoning"] == "I look it up."
    assert host.requests[2]["messages"][:4] == host.requests[1]["messages"]


def test_a_response_is_continued_by_its_id(client: list[str], store: str) -> None:
    printed, host = run_scenario(client, "chain", SUNNY, text_answer("Rainy."), store=store)
    assert printed == {"text": "Rainy."}
    contents = [message["content"] for message in host.requests[1]["messages"]]
    assert contents == ["Be brief.", "Weather in Paris?", "It is sunny.", "And now?"]


def test_an_error_reaches_the_caller_with_its_status(client: list[str]) -> None:
    printed, host = run_scenario(client, "error", SUNNY)
    assert printed == {"status": 404, "message": "Previous response with id 'resp_1' not found."}
    assert not host.requests
