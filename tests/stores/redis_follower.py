"""Follows a run from a process of its own: python -m tests.stores.redis_follower URL ID. Prints a line for an event."""

import sys
import time

import anyio

from responses_shim.stores.redis import RedisStore
from responses_shim.stores.suite.base import SECONDS, A


async def follow(url: str, id: str) -> None:
    """Print number, data and the time of each event."""
    store = RedisStore(url)
    number = -1
    print("ready", flush=True)
    while True:
        read = await store.read(A, id, "events", after=number, wait=SECONDS)
        assert read is not None
        for number, data in read.entries:
            print(number, data.decode(), time.monotonic(), flush=True)
        if read.ended and not read.entries:
            await store.close()
            return


if __name__ == "__main__":
    anyio.run(follow, sys.argv[1], sys.argv[2])
