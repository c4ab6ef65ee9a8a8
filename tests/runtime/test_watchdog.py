"""The watchdog's timer: what is due is done, unless the run has gone on meanwhile."""

from __future__ import annotations

import anyio
import pytest

from responses_shim.runtime.watchdog import Deadline, Watchdog
from tests.caller import DEADLINE, settle

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]


@pytest.mark.parametrize("still_due", [True, False])
async def test_what_is_no_longer_due_when_its_task_begins_is_not_done(still_due: bool) -> None:
    done = anyio.Event()
    deadlines: list[Deadline] = []

    async def act() -> None:
        deadlines.clear()
        done.set()

    deadlines.append((0.0, act))
    watchdog = Watchdog(lambda: 1.0)
    watchdog.start(
        lambda: deadlines,
        longest_nap=DEADLINE,
        disconnected=anyio.sleep_forever,
        client_gone=lambda: None,
        failed=lambda: None,
    )
    if not still_due:
        deadlines.clear()
    await settle()
    watchdog.stop()
    assert done.is_set() is still_due
    await settle()
