"""The shim on mlx-vlm's own server, mounted by the launcher, with a model that says what a test wants it to say.

    MLX_VLM=path/to/its/environment pytest -m live integrations/mlx_vlm

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
from integrations.scripted_mlx.turns import WEATHER, ServerTurns, UnforcedTurns, call, text_of, types

pytestmark = pytest.mark.live

INSTALL = "the install command in integrations/mlx_vlm/README.md"
COMMAND = ["mlx_vlm.server", "--model", "MODEL/vlm", "--host", "127.0.0.1", "--port", "PORT", "--top-logprobs-k", "2"]
CACHE = {"APC_ENABLED": "1", "APC_DISK_ENABLED": "0"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server("MLX_VLM", INSTALL, COMMAND, tmp_path_factory.mktemp("models"), **CACHE) as running:
        yield running


class TestServer(ServerTurns, UnforcedTurns):
    """What every MLX server does."""


def test_the_example_mounts_the_shim_by_itself(tmp_path: Path) -> None:
    command = [str(Path(__file__).with_name("serve.py")), *COMMAND[1:]]
    with scripted_server("MLX_VLM", INSTALL, command, tmp_path) as server:
        server.will_say("<think>Hm.</think>Hello.")
        assert text_of(server.create(input="Hi", max_output_tokens=100)) == "Hello."


def test_a_call_that_the_limit_cuts_is_incomplete(server: ScriptedServer) -> None:
    """The server sends the call's markup as text, and then an error."""
    server.will_say("<think>Hm.</think>" + call("Paris"))
    response = server.create(input="Hi", tools=[WEATHER], max_output_tokens=50)
    assert types(response["output"]) == ["reasoning", "function_call"]
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


def test_an_image_that_cannot_be_read_is_the_clients_fault(server: ScriptedServer) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    body = {"model": server.model, "input": [{"role": "user", "content": [image]}]}
    reply = httpx.post(f"{server.url}/responses", json=body, timeout=SECONDS)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "input")


@pytest.mark.feature("several requests")
def test_two_requests_at_a_time_are_both_answered(server: ScriptedServer) -> None:
    """In one batch, which the script is not made for: so what they say is not looked at."""
    server.will_say("<think>Hm.</think>Hello.", delay=0.02)
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(server.create, input="Hi", max_output_tokens=40) for _ in range(2)]
        assert all(answer.result(SECONDS)["output"] for answer in answers)


@pytest.mark.feature("log-probabilities", note="other tokens than the chosen one with `--top-logprobs-k N`")
def test_log_probabilities(server: ScriptedServer) -> None:
    server.will_say("<think>Hm.</think>Hello.")
    fields = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    response = server.create(input="Hi", max_output_tokens=100, **fields)
    entries = response["output"][-1]["content"][0]["logprobs"]
    assert "".join(entry["token"] for entry in entries) == "Hello."
    assert {len(entry["top_logprobs"]) for entry in entries} == {2}


@pytest.mark.feature("cached tokens", note="with the variable `APC_ENABLED=1`, for the server's prefix cache")
def test_cached_tokens_are_counted(server: ScriptedServer) -> None:
    server.will_say("<think>Hm.</think>Hello.")
    first, second = [server.create(input="word " * 300, max_output_tokens=50)["usage"] for _ in range(2)]
    assert first["input_tokens"] == second["input_tokens"]
    assert second["input_tokens_details"]["cached_tokens"] > 0


@pytest.mark.feature("prefix cache")
def test_the_prompt_of_a_turn_begins_with_that_of_the_turn_before(server: ScriptedServer) -> None:
    """Its cache, which has blocks of 16 tokens, knows the complete prompt again."""
    server.will_say("<think>Two.</think>Let me look." + call("Paris") + call("Rome"))
    first = server.create(input="word " * 100, tools=[WEATHER], max_output_tokens=300)
    server.will_say("<think>Done.</think>Sunny.")
    calls = [item for item in first["output"] if item["type"] == "function_call"]
    outputs = [{"type": "function_call_output", "call_id": item["call_id"], "output": "sunny"} for item in calls]
    second = server.create(input=outputs, tools=[WEATHER], previous_response_id=first["id"], max_output_tokens=200)
    assert second["usage"]["input_tokens_details"]["cached_tokens"] > first["usage"]["input_tokens"] - 16


@pytest.mark.usefixtures("server")
def test_the_document_names_flags_of_the_server() -> None:
    command = [str(installation("MLX_VLM") / "bin" / "mlx_vlm.server"), "--help"]
    assert not unknown_flags(Path(__file__).with_name("README.md"), command)


def test_the_host_is_recognised(server: ScriptedServer) -> None:
    """Its profile reports what its chat API does not read."""
    body = {"model": server.model, "input": "Hi", "stop": "x", "max_output_tokens": 50}
    reply = httpx.post(f"{server.url}/responses", json=body, timeout=SECONDS)
    assert 'dropped=("stop")' in reply.headers["responses-shim-report"]
