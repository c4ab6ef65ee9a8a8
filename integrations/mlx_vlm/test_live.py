"""The shim on mlx-vlm's own server, mounted by the launcher, with a model that says what a test wants it to say.

    MLX_VLM=path/to/its/environment pytest -m live integrations/mlx_vlm

The routes, the template, the engine and the parsers are the server's.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from integrations.scripted_mlx.server import SECONDS, ScriptedServer, scripted_server
from integrations.scripted_mlx.turns import WEATHER, ServerTurns, call, types

pytestmark = pytest.mark.live

INSTALL = "the install command in integrations/mlx_vlm/README.md"
COMMAND = ["mlx_vlm.server", "--model", "MODEL/vlm", "--host", "127.0.0.1", "--port", "PORT"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server("MLX_VLM", INSTALL, COMMAND, tmp_path_factory.mktemp("models")) as running:
        yield running


class TestServer(ServerTurns):
    """What every MLX server does."""


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


def test_the_host_is_recognised(server: ScriptedServer) -> None:
    """Its profile reports what its chat API does not read."""
    body = {"model": server.model, "input": "Hi", "stop": "x", "max_output_tokens": 50}
    reply = httpx.post(f"{server.url}/responses", json=body, timeout=SECONDS)
    assert 'dropped=("stop")' in reply.headers["responses-shim-report"]
