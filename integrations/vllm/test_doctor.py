"""`responses-shim doctor` on vLLM's own server, whose engine says what a script says, with the shim and without it."""

from __future__ import annotations

import anyio
import pytest

from integrations.vllm.conftest import Serve
from integrations.vllm.server import PARSERS, Script, Server
from integrations.vllm.test_live import called
from responses_shim.cli.doctor.command import choose, examine
from responses_shim.cli.doctor.connection import Connection, Limits
from responses_shim.cli.doctor.findings import Report, Result
from responses_shim.cli.doctor.questions import CITIES_QUESTION, CITY_QUESTION, COUNT, WEATHER_QUESTION
from responses_shim.cli.doctor.text import as_text

pytestmark = pytest.mark.live


def play(script: Script) -> None:
    """The answers of a good model to what doctor asks. No engine that is constrained would make the named call."""
    script.play(
        {"when": "<tool_response>", "text": "<think>Good.</think>\n\nSunny."},
        {"when": COUNT, "text": "<think>Hm.</think>\n\n" + "\n".join(map(str, range(1, 400))), "pause": 0.004},
        {"when": CITIES_QUESTION, "text": f"<think>Two.</think>\n{called('Paris')}\n{called('Rome')}"},
        {"when": WEATHER_QUESTION, "text": f"<think>One.</think>\n{called('Paris')}"},
        {"when": CITY_QUESTION, "text": '<think>Lyon.</think>\n\n{"city": "Lyon", "people": 520000}'},
        {"when": "", "text": "<think>A greeting.</think>\n\nHello there!"},
    )


def report_on(server: Server, *only: str) -> tuple[Report, dict[str, Result]]:
    """The report, and its results by name."""
    skip = [] if only else ["chat.tools_named", "responses.tools_named"]
    report: Report = anyio.run(examine, Connection(server.url, None, Limits()), None, choose(only, skip))
    return report, {result.name: result for result in report.results}


def test_with_the_shim_there_is_no_fault(scripted: Server, script: Script) -> None:
    play(script)
    report, found = report_on(scripted)
    assert report.exit_code == 0, as_text(report, colour=False)
    assert (report.host, report.mount) == ("vllm", "shim")
    assert report.host_version.startswith("0.")
    lacking = {name for name, result in found.items() if result.grade == "missing"}
    assert lacking == {"access.key", "chat.images"}


def test_what_the_servers_own_endpoint_lacks_is_found(serve: Serve, script: Script) -> None:
    with serve(*PARSERS, script=script) as server:
        play(script)
        report, found = report_on(server, "host", "responses", "state", "errors")
    assert (report.mount, report.exit_code) == ("native", 1)
    assert "--middleware responses_shim.ResponsesShim" in found["host.mount"].advice
    expected = {
        "responses.create": "broken",
        "responses.limit": "broken",
        "errors.type": "missing",
        "state.get": "missing",
        "state.conversation": "missing",
        "state.delete": "missing",
    }
    assert {name: found[name].grade for name in expected} == expected, as_text(report, colour=False)
