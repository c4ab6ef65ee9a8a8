"""The shim on rapid-mlx's own server, mounted by the launcher, with a model that says what a test wants it to say.

    RAPID_MLX=path/to/its/environment pytest -m live integrations/rapid_mlx

The routes, the template, the engine and the parsers are the server's.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from integrations.scripted_mlx.server import SECONDS, ScriptedServer, scripted_server
from integrations.scripted_mlx.turns import WEATHER, ServerTurns, call, text_of, types

pytestmark = pytest.mark.live

INSTALL = "the install command in integrations/rapid_mlx/README.md"
COMMAND = ["rapid-mlx", "serve", "MODEL/lm", "--served-model-name", "scripted", "--host", "127.0.0.1", "--port", "PORT"]
COMMAND += ["--reasoning-parser", "qwen3", "--enable-auto-tool-choice", "--tool-call-parser", "hermes"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    # The scripted model is a Python file.
    trust = {"RAPID_MLX_TRUST_REMOTE_CODE": "1"}
    with scripted_server("RAPID_MLX", INSTALL, COMMAND, tmp_path_factory.mktemp("models"), **trust) as running:
        yield running


class TestServer(ServerTurns):
    """What every MLX server does."""


def test_an_answer_that_the_limit_cuts_in_a_thought_has_no_text(server: ScriptedServer) -> None:
    """The server invents one: `[truncated — reasoning incomplete…`."""
    server.will_say("<think>" + "on and " * 100)
    response = server.create(input="Hi", max_output_tokens=40)
    assert (response["status"], text_of(response)) == ("incomplete", "")


def test_a_required_call_that_does_not_come_is_an_error(server: ScriptedServer) -> None:
    server.will_say("<think>Hm.</think>No.")
    body = {"model": server.model, "input": "Hi", "tools": [WEATHER], "tool_choice": "required"}
    reply = httpx.post(f"{server.url}/responses", json=body, timeout=SECONDS)
    assert reply.status_code >= 400
    server.will_say("<think>Hm.</think>" + call("Paris"))
    assert "function_call" in types(server.create(**{**body, "max_output_tokens": 200})["output"])


def test_the_host_is_recognised(server: ScriptedServer) -> None:
    """Its profile reports what its chat API does not read."""
    body = {"model": server.model, "input": "Hi", "user": "u", "text": {"verbosity": "low"}, "max_output_tokens": 50}
    reply = httpx.post(f"{server.url}/responses", json=body, timeout=SECONDS)
    assert 'dropped=("text.verbosity"' in reply.headers["responses-shim-report"]
