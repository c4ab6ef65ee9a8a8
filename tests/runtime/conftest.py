"""Fixtures that check what no run may leave behind."""

import logging
from collections.abc import AsyncIterator

import pytest


@pytest.fixture
async def nothing_logged(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Checks after the test that no warning was logged."""
    yield
    assert not [record for record in caplog.get_records("call") if record.levelno >= logging.WARNING]
