"""`responses-shim doctor` on llama-cpp-python's own server."""

from __future__ import annotations

import anyio
import pytest

from responses_shim.cli.doctor.command import choose, examine
from responses_shim.cli.doctor.connection import Connection, Limits
from responses_shim.cli.doctor.findings import Report, Result
from responses_shim.cli.doctor.text import as_text

pytestmark = pytest.mark.live


def report_on(url: str, *only: str, key: str | None = None) -> tuple[Report, dict[str, Result]]:
    """The report, and its results by name."""
    report: Report = anyio.run(examine, Connection(url, key, Limits()), None, choose(only, []))
    return report, {result.name: result for result in report.results}


def test_a_server_that_queues_requests_has_no_fault(url: str) -> None:
    some = ("host", "access", "errors", "load", "chat.usage", "chat.json_schema", "responses.json_schema")
    report, found = report_on(url, *some)
    assert report.exit_code == 0, as_text(report, colour=False)
    assert (report.host, report.mount) == ("llama-cpp", "shim")
    assert report.host_version
    assert "waits" in found["load.second"].reason
    expected = {"chat.json_schema": "missing", "responses.json_schema": "ok", "chat.usage": "missing"}
    assert {name: found[name].grade for name in expected} == expected
    assert found["access.key"].advice.startswith("Start it with --api_key")


def test_one_that_is_interrupted_is_told_the_flag(locked_url: str) -> None:
    report, found = report_on(locked_url, "access", "load", key="right")
    assert report.exit_code == 1
    assert found["load.second"].grade == "broken"
    assert "--interrupt_requests False" in found["load.second"].advice
    access = {name: result.grade for name, result in found.items() if name.startswith("access.")}
    assert set(access.values()) == {"ok"}, access
