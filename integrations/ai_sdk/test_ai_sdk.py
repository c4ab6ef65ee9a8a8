"""Vercel's AI SDK on the shim: text, tools, objects and reasoning, streamed and not.

npm install --prefix ~/ai-sdk ai@6.0.326 @ai-sdk/openai@3.0.141
AI_SDK=~/ai-sdk pytest integrations/ai_sdk
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from responses_shim import ResponsesShim
from tests.scripted import Script, ScriptedHost, Step, call_answer, chunk, text_answer
from tests.serving import serving

pytestmark = pytest.mark.live

INSTALL = "npm install --prefix ~/ai-sdk ai@6.0.326 @ai-sdk/openai@3.0.141"
SECONDS = 60
# Should it think of anything beside the shim, nobody listens there.
NOWHERE = dict.fromkeys(["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"], "http://127.0.0.1:9")

PARIS = call_answer(("call_1", "getWeather", '{"city": "Paris"}'))
SUNNY = text_answer("It is", " sunny.")


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs a scenario. Where there is no AI SDK the tests are skipped, but in CI they fail."""
    node, modules = shutil.which("node"), Path(os.environ.get("AI_SDK", "no such folder"), "node_modules").resolve()
    if node is None or not (modules / "@ai-sdk" / "openai").is_dir():
        reason = f"needs node, and AI_SDK to name the folder of: {INSTALL}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    folder = tmp_path_factory.mktemp("ai_sdk")
    shutil.copy(Path(__file__).with_name("client.mjs"), folder)
    (folder / "node_modules").symlink_to(modules)
    return [str(node), str(folder / "client.mjs")]


def run_client(client: list[str], scenario: str, *scripts: Script) -> tuple[Any, ScriptedHost]:
    """Run one scenario of `client.mjs` on a host with these scripts: the JSON that it prints, and the host."""
    host = ScriptedHost(*scripts)
    with serving(ResponsesShim(host)) as url:
        command = [*client, f"{url}/v1", scenario]
        environment = {**os.environ, **NOWHERE, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        printed = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment, check=False)
    assert printed.returncode == 0, printed.stderr
    return json.loads(printed.stdout), host


def test_text(client: list[str]) -> None:
    printed, host = run_client(client, "text", SUNNY)
    assert printed == {"text": "It is sunny.", "totalTokens": 9, "finishReason": "stop"}
    assert host.requests[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Paris?"},
    ]


def test_an_answer_that_was_cut_says_so(client: list[str]) -> None:
    printed, _ = run_client(client, "stream", text_answer("It is", finish_reason="length"))
    assert printed == {"pieces": ["It is"], "finishReason": "length"}


def test_text_that_is_streamed(client: list[str]) -> None:
    printed, _ = run_client(client, "stream", SUNNY)
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
    printed, host = run_client(client, "tool", PARIS, SUNNY)
    assert printed == {"text": "It is sunny.", "outputs": ["It is sunny in Paris."]}
    check_round_trip(host)


def test_a_tool_in_a_stream(client: list[str]) -> None:
    printed, host = run_client(client, "streamedTool", PARIS, SUNNY)
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

    printed, _ = run_client(client, "object", PARIS, answer)
    assert printed == {"output": {"city": "Paris"}, "steps": 2}


def test_reasoning_goes_out_and_comes_back(client: list[str]) -> None:
    thinks: list[Step] = [chunk(reasoning="I look "), chunk(reasoning="it up."), *PARIS]
    printed, host = run_client(client, "reasoning", thinks, SUNNY)
    assert (printed["text"], printed["first"]) == ("It is sunny.", "I look it up.")
    assert host.requests[1]["messages"][2]["reasoning"] == "I look it up."


def test_an_error_reaches_the_caller_with_its_status_and_field(client: list[str]) -> None:
    printed, host = run_client(client, "error", SUNNY)
    assert printed["status"] == 400
    assert "previous_response_id" in printed["message"]
    assert not host.requests
