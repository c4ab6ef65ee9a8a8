"""The scenarios, with few repetitions: `python -m tests.processes` has more."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.processes.chains import long_chain, many_chains
from tests.processes.kills import kill_often
from tests.processes.latencies import LIMITS, latencies
from tests.processes.outages import ON_DISK, outage
from tests.processes.servers import STORES, StoreName, running_site
from tests.processes.shutdowns import OPTIONS, shutdown

pytestmark = pytest.mark.anyio

every_store = pytest.mark.parametrize("store", STORES)


@every_store
async def test_what_a_killed_process_has_begun_is_ended_by_another(store: StoreName, tmp_path: Path) -> None:
    async with running_site(store, tmp_path, lease=1) as site:
        figures = await kill_often(site, 2, Random(14))
    assert figures.completed + len(figures.failed) > 0


@every_store
async def test_two_processes_are_as_one(store: StoreName, tmp_path: Path) -> None:
    """Each sees what the other has stored, and notices what comes to it: of five times, once in time at least."""
    async with running_site(store, tmp_path, store_trees=20) as site:
        await many_chains(site, 16)
        await long_chain(site, 20)
        figures = await latencies(site, 5)
    assert min(figures.cancels) < LIMITS[store]
    assert min(figures.outputs) < LIMITS[store]


async def test_no_stream_breaks_when_redis_is_killed(tmp_path: Path) -> None:
    async with running_site("redis", tmp_path, redis_options=ON_DISK) as site:
        figures = await outage(site, 20)
    assert (figures.kept, figures.not_kept, figures.failed) == (10, 7, 3)


@every_store
async def test_a_server_that_is_stopped_leaves_no_response_unfinished(store: StoreName, tmp_path: Path) -> None:
    """It waits for those that are followed, as long as it may."""
    async with running_site(store, tmp_path, *OPTIONS) as site:
        await shutdown(site, ends=True)
        await shutdown(site, ends=False)
