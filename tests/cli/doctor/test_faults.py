"""Doctor finds each fault that is planted in a server, and none where there is none."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from starlette.types import ASGIApp

from responses_shim.cli.doctor.checks import Check
from responses_shim.cli.doctor.command import CHECKS, choose, examine
from responses_shim.cli.doctor.connection import Connection, Limits
from responses_shim.cli.doctor.findings import Finding, Report
from responses_shim.cli.doctor.subject import Subject
from responses_shim.cli.doctor.text import as_text
from tests.cli.doctor.faults import FAULTS, KEY, LIMITS, Fault, healthy, shim
from tests.serving import serving

pytestmark = pytest.mark.anyio


async def examined(
    server: ASGIApp, *only: str, key: str | None = None, limits: Limits = LIMITS, model: str | None = None
) -> Report:
    """The report on a server that runs while it is examined."""
    with serving(server) as url:
        return await examine(Connection(f"{url}/v1", key, limits), model, choose(only, []))


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_a_fault_is_found(fault: Fault) -> None:
    report = await examined(fault.server(), fault.check, key=fault.key, limits=fault.limits)
    (result,) = report.results
    assert (result.name, result.grade) == (fault.check, fault.grade), result
    assert fault.words.lower() in f"{result.reason} {result.advice}".lower(), result
    assert report.exit_code == (fault.grade == "broken")


@pytest.mark.parametrize("key", [None, KEY])
async def test_a_healthy_server_has_none(key: str | None) -> None:
    """Every check is ok, but for keys where there are none, and what only another server shows."""
    report = await examined(shim(key=key) if key else healthy(), key=key)
    assert report.exit_code == 0, as_text(report, colour=False)
    assert {check.name for check in CHECKS} == {result.name for result in report.results}
    expected = {"host.kind": "untested", "settings.environment": "untested"}
    if key is None:
        expected |= {"access.key": "missing"} | dict.fromkeys(
            ["access.wrong_key", "access.responses", "access.probe"], "untested"
        )
    assert {result.name: result.grade for result in report.results if result.grade != "ok"} == expected


async def test_a_server_that_is_slow_is_asked_no_more() -> None:
    """And what it was not asked counts for nothing."""
    report = await examined(shim("slow"), limits=Limits(answer=0.2, patience=0.1))
    grades = {result.name: result.grade for result in report.results}
    assert (grades["chat.answer"], grades["chat.tools"], grades["state.get"]) == ("ok", "untested", "untested")
    assert {result.grade for result in report.results if "--timeout" in result.reason} == {"untested"}


async def test_what_was_stored_is_deleted_when_it_is_interrupted() -> None:
    server: Any = healthy()
    waiting = anyio.Event()

    async def wait(subject: Subject) -> Finding:
        waiting.set()
        await anyio.sleep_forever()
        raise AssertionError("for ever is over")

    checks = [*choose(["state.get"], []), Check("wait", "it ends", wait)]
    with serving(server) as url:
        async with anyio.create_task_group() as group:
            group.start_soon(examine, Connection(f"{url}/v1", None, LIMITS), None, checks)
            await waiting.wait()
            assert len(await server._state.store.scan()) == 1
            group.cancel_scope.cancel()
    assert await server._state.store.scan() == []


async def test_what_was_stored_is_deleted() -> None:
    shim = healthy()
    await examined(shim, "state")
    left: Any = shim
    assert await left._state.store.scan() == []
