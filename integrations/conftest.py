"""What the tests of all integrations share."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The servers run on asyncio, so the tests do."""
    return "asyncio"
