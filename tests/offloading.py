"""Watches which functions are run in a worker thread instead of in the event loop."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
import pytest


def watch_offloaded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A list that grows by every function that is run in a worker thread from now on."""
    offloaded: list[Any] = []
    run = anyio.to_thread.run_sync

    async def watched(work: Any, **options: Any) -> Any:
        offloaded.append(work)
        return await run(work, **options)

    monkeypatch.setattr(anyio.to_thread, "run_sync", watched)
    return offloaded
