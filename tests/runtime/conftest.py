"""Fixtures that check what no run may leave behind."""

import asyncio
import logging
from collections.abc import AsyncIterator

import anyio.lowlevel
import pytest


@pytest.fixture
async def no_task_left() -> AsyncIterator[None]:
    """Checks after the test that no task is left in the event loop."""
    yield
    for _ in range(5):  # a task that was cancelled takes a turn or two of the loop to end
        await anyio.lowlevel.checkpoint()
    assert [task for task in asyncio.all_tasks() if "TestRunner" not in repr(task.get_coro())] == []


@pytest.fixture
async def nothing_logged(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Checks after the test that no warning was logged."""
    yield
    assert not [record for record in caplog.get_records("call") if record.levelno >= logging.WARNING]
