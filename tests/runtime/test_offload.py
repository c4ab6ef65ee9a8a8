"""Work in threads: the shim's own, which the host's routes cannot keep busy."""

from __future__ import annotations

import threading

import anyio
import anyio.to_thread
import pytest

from responses_shim.runtime.offload import INLINE_LIMIT, THREADS, offload, offload_if_large

pytestmark = pytest.mark.anyio


async def test_small_work_is_done_where_it_is_asked_for_and_large_work_in_a_thread() -> None:
    here = threading.get_ident()
    assert await offload_if_large(INLINE_LIMIT, threading.get_ident) == here
    assert await offload_if_large(INLINE_LIMIT + 1, threading.get_ident) != here


@pytest.mark.parametrize("size", [0, INLINE_LIMIT + 1])
async def test_what_the_work_raises_is_raised(size: int) -> None:
    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await offload_if_large(size, fail)


async def test_threads_of_the_host_that_are_all_busy_delay_nothing() -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    busy = [object() for _ in range(int(limiter.total_tokens))]
    for route in busy:
        limiter.acquire_on_behalf_of_nowait(route)
    try:
        with anyio.fail_after(5):
            assert await offload(lambda: 7) == 7
    finally:
        for route in busy:
            limiter.release_on_behalf_of(route)


async def test_only_so_many_threads_work_at_the_same_time() -> None:
    running, most = 0, 0
    lock, all_in = threading.Lock(), threading.Barrier(THREADS)

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        all_in.wait(5)  # so that each waits for as many as may run
        with lock:
            running -= 1

    async with anyio.create_task_group() as group:
        for _ in range(4 * THREADS):
            group.start_soon(offload, work)
    assert most == THREADS
