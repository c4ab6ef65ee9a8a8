"""Function tools on mlx-vlm with a model for which it has no tool parser: the shim reads the calls.

MLX_VLM=path/to/its/environment pytest -m live integrations/mlx_vlm
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from integrations.mlx_vlm.test_live import COMMAND, INSTALL
from integrations.scripted_mlx.server import SECONDS, ScriptedServer, scripted_server
from integrations.scripted_mlx.turns import TEMPLATE, WEATHER, UnparsedTurns, xml_call

pytestmark = pytest.mark.live

NOT_KNOWN = TEMPLATE.replace("<tool_call>", "<function_call>").replace("</tool_call>", "</function_call>")
"""A template by whose contents the server knows no parser. It shows tools."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server("MLX_VLM", INSTALL, COMMAND, tmp_path_factory.mktemp("models"), NOT_KNOWN) as running:
        yield running


class TestServer(UnparsedTurns):
    """What every MLX server does."""


def test_the_template_shows_the_tools(server: ScriptedServer) -> None:
    server.will_say(xml_call("Paris", 3))
    body = {"model": server.model, "input": "Hi", "max_output_tokens": 50}
    sizes = []
    for tools in ([], [WEATHER]):
        reply = httpx.post(f"{server.url}/responses", json={**body, "tools": tools}, timeout=SECONDS)
        assert "described" not in reply.headers.get("responses-shim-report", "")
        sizes.append(reply.json()["usage"]["input_tokens"])
    assert sizes[1] - sizes[0] > 100, "a token is a byte of the tool"
