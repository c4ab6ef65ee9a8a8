"""What the tests of all integrations share, and the option that records what they show (see `features.py`)."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import pytest

from integrations import features
from integrations.features import Finding


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The servers run on asyncio, so the tests do."""
    return "asyncio"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--features-file",
        type=Path,
        metavar="FILE",
        help="add what the tests show of each server to this JSON file; with --collect-only, what they would show",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("features_file", None) is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(config.getoption("features_file")))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Notes what each test shows among its properties, which its reports have, also those of xdist's workers."""
    for marker in item.iter_markers("feature"):
        try:
            shown = features.marked_findings(item.path.parent.name, item.nodeid, *marker.args, **marker.kwargs)
        except (TypeError, ValueError) as error:
            raise pytest.UsageError(str(error)) from error
        item.user_properties += [("feature", astuple(found)) for found in shown]


class Recorder:
    """Writes what the tests of a run have shown into a file, beside what others have shown before."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.shown: set[Finding] = set()
        self.failed: set[Finding] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if session.config.option.collectonly:
            for item in session.items:
                self.shown |= findings_in(item.user_properties)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed |= findings_in(report.user_properties)
        elif report.passed and report.when == "call":
            self.shown |= findings_in(report.user_properties)

    def pytest_sessionfinish(self) -> None:
        tests = {found.test for found in self.shown | self.failed}
        others = {found for found in features.read(self.file) if found.test not in tests}
        features.write(self.file, others | (self.shown - self.failed))


def findings_in(properties: list[tuple[str, object]]) -> set[Finding]:
    """The findings among the properties of a test or of its report."""
    # xdist sends tuples as lists.
    return {Finding(*value) for name, value in properties if name == "feature" and isinstance(value, (list, tuple))}
