"""Function tools on vllm-mlx without `--tool-call-parser`: the shim reads the calls in forms that the server does not.

VLLM_MLX=path/to/its/environment pytest -m live integrations/vllm_mlx
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from integrations.scripted_mlx.server import SECONDS, ScriptedServer, scripted_server
from integrations.scripted_mlx.turns import TEMPLATE, WEATHER, UnparsedTurns, call, calls_of, kimi_call
from integrations.vllm_mlx.test_live import COMMAND, INSTALL

pytestmark = pytest.mark.live

WITHOUT_PARSERS = COMMAND[: COMMAND.index("--reasoning-parser")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    folder = tmp_path_factory.mktemp("models")
    template = TEMPLATE + "{# <|tool_calls_section_begin|> #}"
    with scripted_server("VLLM_MLX", INSTALL, WITHOUT_PARSERS, folder, template) as running:
        yield running


class TestServer(UnparsedTurns):
    """What every MLX server does."""


def test_tools_are_described(server: ScriptedServer) -> None:
    server.will_say(kimi_call("Paris"))
    body = {"model": server.model, "input": "Hi", "tools": [WEATHER], "max_output_tokens": 50}
    reply = httpx.post(f"{server.url}/responses", json=body, timeout=SECONDS)
    assert 'described=("tools")' in reply.headers["responses-shim-report"]


def test_forms_that_the_server_reads_well_are_left_to_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("models")
    with scripted_server("VLLM_MLX", INSTALL, WITHOUT_PARSERS, folder) as server:
        server.will_say(call("Paris") + call("Rome"))
        body = {"model": server.model, "input": "Hi", "tools": [WEATHER], "max_output_tokens": 300}
        reply = httpx.post(f"{server.url}/responses", json=body, timeout=SECONDS)
        assert calls_of(reply.json()) == [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})]
        assert "described" not in reply.headers.get("responses-shim-report", "")
