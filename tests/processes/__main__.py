"""`python -m tests.processes [SCENARIO ...] [--store STORE] [--times N] [--seed N]`: the figures of README.md."""

from __future__ import annotations

import argparse
import random
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio

from tests.processes.chains import long_chain, many_chains
from tests.processes.kills import kill_often
from tests.processes.latencies import latencies
from tests.processes.outages import ON_DISK, outage
from tests.processes.servers import STORES, Site, StoreName, running_site
from tests.processes.shutdowns import OPTIONS, shutdown

LEASE = 1.0
"""For how many seconds a killed process seems to live, where there are to be many."""
BOUND = 1_000
"""How many trees there may be beside a long chain."""

Scenario = Callable[[StoreName, Path, int, int], Awaitable[object]]


async def on_site(
    act: Callable[[Site], Awaitable[object]], store: StoreName, folder: Path, *options: str, **settings: Any
) -> object:
    """What a scenario gives on a new site."""
    async with running_site(store, folder, *options, **settings) as site:
        return await act(site)


async def kill(store: StoreName, folder: Path, times: int, seed: int) -> object:
    return await on_site(lambda site: kill_often(site, times, random.Random(seed)), store, folder, lease=LEASE)


async def kill_with_the_lease_that_is_used(store: StoreName, folder: Path, times: int, seed: int) -> object:
    return await on_site(lambda site: kill_often(site, -(-times // 10), random.Random(seed)), store, folder)


async def chains(store: StoreName, folder: Path, times: int, seed: int) -> object:
    return await on_site(lambda site: many_chains(site, times * 4), store, folder)


async def long(store: StoreName, folder: Path, times: int, seed: int) -> object:
    return await on_site(lambda site: long_chain(site, BOUND), store, folder, store_trees=BOUND)


async def latency(store: StoreName, folder: Path, times: int, seed: int) -> object:
    return await on_site(lambda site: latencies(site, times * 4), store, folder)


async def outages(store: StoreName, folder: Path, times: int, seed: int) -> object:
    return await on_site(partial(outage, streams=20), store, folder, redis_options=ON_DISK)


async def stop(store: StoreName, folder: Path, times: int, seed: int) -> object:
    async with running_site(store, folder, *OPTIONS) as site:
        return f"{await shutdown(site, ends=True)}; {await shutdown(site, ends=False)}"


SCENARIOS: dict[str, Scenario] = {
    "kill": kill,
    "lease": kill_with_the_lease_that_is_used,
    "chains": chains,
    "long": long,
    "latency": latency,
    "outage": outages,
    "stop": stop,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.processes", description="Try servers of several processes.")
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help=f"any of {', '.join(SCENARIOS)}; by default all"
    )
    parser.add_argument("--store", choices=STORES, action="append", help="by default both")
    parser.add_argument("--times", type=int, default=50, metavar="N", help="how many kills; of others there are more")
    parser.add_argument("--seed", type=int, metavar="N", help="kill at the moments of the run that printed it")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.scenarios if name not in SCENARIOS]:
        parser.error(f"no such scenario: {', '.join(unknown)} (there are {', '.join(SCENARIOS)})")
    seed = arguments.seed if arguments.seed is not None else random.randrange(2**32)
    print(f"seed {seed}")
    for name in arguments.scenarios or SCENARIOS:
        for store in arguments.store or STORES:
            if name == "outage" and store == "sqlite":
                continue  # which has no server that could be killed
            with TemporaryDirectory() as folder:
                result = anyio.run(SCENARIOS[name], store, Path(folder), arguments.times, seed)
            print(f"{name}, {store}: {result}", flush=True)


if __name__ == "__main__":
    main()
