"""Reads the files of input items as a request of a client does whom the host lets in."""

from __future__ import annotations

from typing import Any

from responses_shim.runtime import files
from responses_shim.runtime.files import FileQueues
from responses_shim.settings import Settings


async def admit() -> None:
    """The host lets everybody in."""


async def read_files(items: list[Any], settings: Settings, queues: FileQueues | None = None) -> list[Any]:
    """The items with their files replaced, read by the only client unless it shares `queues` with others."""
    queues = queues or FileQueues(settings)
    return await files.read_files(items, settings, queues=queues, owner=lambda: b"owner", admit=admit)
