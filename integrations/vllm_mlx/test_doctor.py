"""`responses-shim doctor` on vllm-mlx's own server, whose model says what a script says."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest

from integrations.scripted_mlx.server import ScriptedServer, scripted_server
from integrations.scripted_mlx.turns import call
from integrations.vllm_mlx.test_live import COMMAND, INSTALL
from responses_shim.cli.doctor.command import choose, examine
from responses_shim.cli.doctor.connection import Connection, Limits
from responses_shim.cli.doctor.findings import Report
from responses_shim.cli.doctor.text import as_text

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server("VLLM_MLX", INSTALL, COMMAND, tmp_path_factory.mktemp("models")) as running:
        yield running


def test_a_model_that_calls_no_tool(server: ScriptedServer) -> None:
    """That is no fault of the server."""
    server.will_say("<think>Hm.</think>" + "on and " * 60, delay=0.003)
    report: Report = anyio.run(examine, Connection(server.url, None, Limits()), None, choose([], []))
    found = {result.name: result for result in report.results}
    assert report.exit_code == 0, as_text(report, colour=False)
    assert (report.host, report.mount) == ("vllm-mlx", "shim")
    expected = {
        "chat.tools": "untested",
        "chat.tools_required": "missing",
        "responses.tools": "untested",
        "chat.replay": "ok",
        "responses.replay": "ok",
        "responses.reasoning": "ok",
        "chat.logprobs": "missing",
        "chat.images": "missing",
        "responses.json_schema": "missing",
        "load.second": "ok",
        "load.disconnect": "ok",
        "state.replay": "ok",
    }
    assert {name: found[name].grade for name in expected} == expected


def test_a_model_that_always_calls_the_same_tool(server: ScriptedServer) -> None:
    """A named choice is a sentence in the prompt there, which this one does not read."""
    server.will_say("<think>Two.</think>" + call("Paris") + call("Rome"))
    names = ["chat.tools", "chat.tools_parallel"]
    names += ["responses.tools", "responses.tools_parallel", "responses.tools_named"]
    report: Report = anyio.run(examine, Connection(server.url, None, Limits()), None, choose(names, []))
    grades = {result.name: result.grade for result in report.results}
    assert grades == {**dict.fromkeys(names, "ok"), "responses.tools_named": "broken"}
