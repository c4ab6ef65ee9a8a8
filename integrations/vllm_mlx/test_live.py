"""The shim on vllm-mlx's own server, mounted by the launcher, with a model that says what a test wants it to say.

    VLLM_MLX=path/to/its/environment pytest -m live integrations/vllm_mlx

The routes, the template, the engine and the parsers are the server's.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from integrations.flags import unknown_flags
from integrations.running import installation
from integrations.scripted_mlx.server import SECONDS, ScriptedServer, scripted_server
from integrations.scripted_mlx.turns import WEATHER, ServerTurns, UnforcedTurns, call, report, text_of, types

pytestmark = pytest.mark.live

INSTALL = "the install command in integrations/vllm_mlx/README.md"
COMMAND = ["vllm-mlx", "serve", "MODEL/lm", "--served-model-name", "scripted", "--host", "127.0.0.1", "--port", "PORT"]
COMMAND += ["--reasoning-parser", "qwen3", "--enable-auto-tool-choice", "--tool-call-parser", "hermes"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server("VLLM_MLX", INSTALL, COMMAND, tmp_path_factory.mktemp("models")) as running:
        yield running


class TestServer(ServerTurns, UnforcedTurns):
    """What every MLX server does."""


def test_the_example_mounts_the_shim_by_itself(tmp_path: Path) -> None:
    command = [str(Path(__file__).with_name("serve.py")), *COMMAND[1:]]
    with scripted_server("VLLM_MLX", INSTALL, command, tmp_path) as server:
        server.will_say("<think>Hm.</think>Hello.")
        assert text_of(server.create(input="Hi", max_output_tokens=100)) == "Hello."


def test_an_answer_that_the_limit_cuts_behind_a_call_is_incomplete(server: ScriptedServer) -> None:
    server.will_say("<think>Hm.</think>" + call("Paris") + "\n" + "on and " * 100)
    response = server.create(input="Hi", tools=[WEATHER], max_output_tokens=100)
    assert types(response["output"])[:2] == ["reasoning", "function_call"]
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


def test_line_ends_around_calls_are_no_messages(server: ScriptedServer) -> None:
    server.will_say("<think>Two.</think>\n" + call("Paris") + "\n" + call("Rome") + "\n")
    response = server.create(input="Hi", tools=[WEATHER], max_output_tokens=300)
    assert types(response["output"]) == ["reasoning", "function_call", "function_call"]


@pytest.mark.feature("several requests", note="one after the other; together with `--continuous-batching`")
def test_two_requests_at_a_time_are_both_answered(server: ScriptedServer) -> None:
    """The launcher has the server queue them; of itself it refuses the second."""
    server.will_say("<think>Hm.</think>Hello.", delay=0.02)
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(server.create, input="Hi", max_output_tokens=100) for _ in range(2)]
        assert [text_of(answer.result(SECONDS)) for answer in answers] == ["Hello.", "Hello."]


@pytest.mark.feature("log-probabilities", no="the server's chat API has none")
def test_log_probabilities_are_reported_as_left_out(server: ScriptedServer) -> None:
    assert "top_logprobs" in report(server, include=["message.output_text.logprobs"], top_logprobs=2)


@pytest.mark.feature("cached tokens", no="the server does not count them")
def test_cached_tokens_are_not_counted(server: ScriptedServer) -> None:
    server.will_say("<think>Hm.</think>Hello.")
    usages = [server.create(input="word " * 300, max_output_tokens=50)["usage"] for _ in range(2)]
    assert [usage["input_tokens_details"]["cached_tokens"] for usage in usages] == [0, 0]


@pytest.mark.feature("prefix cache")
def test_the_prompt_of_a_turn_begins_with_that_of_the_turn_before_and_what_was_written(server: ScriptedServer) -> None:
    written = "<think>Two.</think>Let me look." + call("Paris") + call("Rome")
    server.will_say(written)
    first = server.create(input="Weather?", tools=[WEATHER], max_output_tokens=300)
    before = longest_prompt(server)
    server.will_say("<think>Done.</think>Sunny.")
    calls = [item for item in first["output"] if item["type"] == "function_call"]
    outputs = [{"type": "function_call_output", "call_id": item["call_id"], "output": "sunny"} for item in calls]
    server.create(input=outputs, tools=[WEATHER], previous_response_id=first["id"], max_output_tokens=200)
    assert longest_prompt(server).startswith(before + written)


def longest_prompt(server: ScriptedServer) -> str:
    """The prompt that the model has read since the script was set; it reads the ends of answers as well."""
    prompts = [str(seen["prompt"]) for seen in server.script.seen]
    return max(prompts, key=len).removeprefix("<|im_end|>")


@pytest.mark.usefixtures("server")
def test_the_document_names_flags_of_the_server() -> None:
    command = [str(installation("VLLM_MLX") / "bin" / "vllm-mlx"), "serve", "--help"]
    assert not unknown_flags(Path(__file__).with_name("README.md"), command)


def test_the_host_is_recognised(server: ScriptedServer) -> None:
    """Its profile reports what its chat API does not read."""
    body = {"model": server.model, "input": "Hi", "seed": 7, "max_output_tokens": 50}
    reply = httpx.post(f"{server.url}/responses", json=body, timeout=SECONDS)
    assert 'dropped=("seed")' in reply.headers["responses-shim-report"]
