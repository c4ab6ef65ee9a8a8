"""Runs: rules 4, 5, 6 and 7."""

from __future__ import annotations

from typing import Any

import anyio

from responses_shim.stores.base import END_OF_LOG, LOG_AGE, LOG_SIZE, READ_ENTRIES, READ_SIZE, RUNNING
from responses_shim.stores.suite.base import SECONDS, A, Clock, StoreTests, ids_of, items, record


class RunTests(StoreTests):
    """How a run ends, who runs it, and what is written to its logs."""

    # Rule 4: the terminal write is one compare-and-set -------------------------------------------------------------

    async def test_the_terminal_write_is_one_compare_and_set(self) -> None:
        """Of all that end a response at once one wins, and everything of the others is without effect."""
        async with self.opened() as store:
            await store.add(record("r", status="queued"), items("i"))
            assert await store.change(A, "r", among={"queued"}, status="in_progress", events=[(0, b"e0")])
            won: list[str] = []

            async def end(status: str) -> None:
                item = items(status, output=True)
                if await store.change(
                    A,
                    "r",
                    among=RUNNING,
                    status=status,
                    data=status.encode(),
                    items=item,
                    events=[(1, status.encode())],
                ):
                    won.append(status)

            async with anyio.create_task_group() as tasks:
                for status in ("completed", "cancelled", "failed", "incomplete"):
                    tasks.start_soon(end, status)
            (winner,) = won
            found = await store.get(A, "r")
            assert found is not None
            assert (found.record.status, found.record.data, ids_of(found)) == (winner, winner.encode(), ["i", winner])
            assert await self.events(store, "r") == [(0, b"e0"), (1, winner.encode())]

    async def test_a_change_that_does_not_say_so_leaves_status_and_data(self) -> None:
        async with self.opened() as store:
            await store.add(record("r", status="in_progress"))
            assert await store.change(A, "r", among=RUNNING, items=items("o", output=True))
            found = await store.get(A, "r")
            assert found is not None
            assert (found.record.status, found.record.data, ids_of(found)) == ("in_progress", b"{}", ["o"])

    # Rules 5 and 6: leases -----------------------------------------------------------------------------------------

    async def test_liveness_lives_apart_from_the_record(self) -> None:
        """A heartbeat changes nothing of the record, and none is taken from a response that has ended."""
        async with self.opened() as store:
            await store.add(record("r", status="in_progress"))
            assert await store.lease(A, "r", "h", 30)
            assert await store.change(A, "r", among=RUNNING, status="cancelled")
            assert not await store.lease(A, "r", "h", 30)
            found = await store.get(A, "r")
            assert found is not None
            assert found.record.status == "cancelled"

    async def test_only_who_has_watched_a_whole_lease_time_pass_may_call_a_run_dead(self) -> None:
        """No lease ends before its time, and each renewal is one of a whole time; a lease never blocks a read.

        That it is one and the same process that has watched is for whoever uses the store to see to.
        """
        clock = Clock()
        async with self.opened(clock=clock) as store:
            await store.add(record("r", status="in_progress"))
            assert await store.expired() == [(A, "r")]
            assert await store.lease(A, "r", "h", 30)
            assert await store.expired() == []
            clock.time += 29
            assert await store.lease(A, "r", "h", 30)
            assert not await store.lease(A, "r", "other", 30)
            clock.time += 29
            assert await store.expired() == []
            assert await store.get(A, "r") is not None
            clock.time += 2
            assert await store.expired() == [(A, "r")]
            assert await store.lease(A, "r", "other", 30)
            assert not await store.lease(A, "r", "h", 30)
            await store.change(A, "r", among=RUNNING, status="failed")
            assert await store.expired() == []

    async def test_a_lease_that_is_given_up_is_free(self) -> None:
        async with self.opened() as store:
            await store.add(record("c", kind="conversation", status="active"))
            assert await store.lease(A, "c", "h", 30)
            assert not await store.lease(A, "c", "other", 30)
            assert not await store.lease(A, "c", "other", 0)
            assert await store.lease(A, "c", "h", 0)
            assert await store.lease(A, "c", "other", 30)
            assert await store.expired() == []  # a conversation does not run

    # Rule 7: positions in a log ------------------------------------------------------------------------------------

    async def test_a_position_in_a_log_is_the_writers_number(self) -> None:
        """One that is not past the end is refused, and the change that came with it."""
        async with self.opened() as store:
            await store.add(record("r", status="in_progress"))
            assert await store.change(A, "r", among=RUNNING, events=[(0, b"a"), (1, b"b")])
            assert not await store.change(A, "r", among=RUNNING, status="failed", events=[(1, b"c")])
            assert await store.change(A, "r", among=RUNNING, events=[(5, b"f")])
            assert await self.events(store, "r") == [(0, b"a"), (1, b"b"), (5, b"f")]
            assert await self.events(store, "r", after=0) == [(1, b"b"), (5, b"f")]
            assert await self.events(store, "r", after=3) == [(5, b"f")]
            assert await self.events(store, "r", after=5) == []
            assert await self.events(store, "r", after=99) == []

    async def test_the_log_has_bytes_and_an_age_of_its_own(self) -> None:
        clock = Clock()
        async with self.opened(clock=clock) as store:
            await store.add(record("r", status="in_progress"))
            for number in range(10):
                assert await store.change(A, "r", among=RUNNING, events=[(number, b"x" * (LOG_SIZE // 4))])
            read = await store.read(A, "r", "events", after=-1, wait=0)
            assert read is not None
            assert read.first == read.entries[0][0] > 0
            kept = await self.events(store, "r")
            assert 1 <= len(kept) <= 4
            assert kept[-1][0] == read.last == 9
            await store.change(A, "r", among=RUNNING, status="completed", events=[(10, b"end")])
            clock.time += LOG_AGE - 1
            assert (await self.events(store, "r"))[-1] == (10, b"end")
            clock.time += 2
            read = await store.read(A, "r", "events", after=-1, wait=0)
            assert read is not None
            assert (read.entries, read.ended, read.first, read.last) == ([], True, 11, 10)
            assert await store.get(A, "r") is not None

    async def test_a_long_log_is_read_piece_by_piece(self) -> None:
        """So that whoever reads it holds little of it at a time."""
        async with self.opened() as store:
            await store.add(record("r", status="in_progress"))
            many = [(number, b"e%d" % number) for number in range(2 * READ_ENTRIES + 1)]
            assert await store.change(A, "r", among=RUNNING, events=many)
            large = [(number, b"x" * (READ_SIZE // 2)) for number in range(1_000, 1_003)]
            assert await store.change(A, "r", among=RUNNING, events=large)
            assert await store.change(A, "r", among=RUNNING, status="completed", events=[(2_000, b"x" * READ_SIZE * 9)])
            sizes, number = [], -1
            while read := await store.read(A, "r", "events", after=number, wait=SECONDS):
                assert (read.ended, read.first, read.last) == (True, 0, 2_000)
                if not read.entries:
                    break
                sizes.append(len(read.entries))
                number = read.entries[-1][0]
            assert sizes == [READ_ENTRIES, READ_ENTRIES, 3, 2]
            assert await self.events(store, "r", after=1_001) == [large[2], (2_000, b"x" * READ_SIZE * 9)]

    async def test_where_a_log_ends_is_known_without_its_entries(self) -> None:
        async with self.opened() as store:
            await store.add(record("r", status="in_progress"))
            ends = []
            for events in ([], [(0, b"a")], [(7, b"b")]):
                assert await store.change(A, "r", among=RUNNING, events=events)
                read = await store.read(A, "r", "events", after=END_OF_LOG, wait=0)
                assert read is not None
                assert read.entries == []
                ends.append((read.first, read.last))
            assert ends == [(0, -1), (0, 0), (0, 7)]

    async def test_who_waits_for_a_log_is_woken_by_the_next_entry_and_by_the_end(self) -> None:
        async with self.opened() as store:
            await store.add(record("r", status="in_progress"))
            seen: list[Any] = []

            async def follow() -> None:
                number = -1
                while True:
                    read = await store.read(A, "r", "events", after=number, wait=SECONDS)
                    assert read is not None
                    seen.extend(data for _, data in read.entries)
                    number = read.entries[-1][0] if read.entries else number
                    if read.ended and not read.entries:
                        return

            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(follow)
                await store.change(A, "r", among=RUNNING, events=[(0, b"a")])
                await store.change(A, "r", among=RUNNING, status="completed", events=[(1, b"b")])
            assert sorted(seen) == [b"a"] * 3 + [b"b"] * 3

    async def test_messages_to_a_run_are_numbered_in_order_and_none_comes_after_its_end(self) -> None:
        async with self.opened() as store:
            await store.add(record("r", status="queued"))
            read = await store.read(A, "r", "messages", after=-1, wait=0)
            assert read is not None
            assert (read.entries, read.ended) == ([], False)
            assert await store.post(A, "r", b"one")
            assert await store.post(A, "r", b"two")
            read = await store.read(A, "r", "messages", after=0, wait=SECONDS)
            assert read is not None
            assert read.entries == [(1, b"two")]
            await store.change(A, "r", among=RUNNING, status="completed")
            assert not await store.post(A, "r", b"three")
            assert not await store.post(A, "nothing", b"four")

    async def test_a_reader_waits_no_longer_than_it_says(self) -> None:
        async with self.opened() as store:
            await store.add(record("r", status="in_progress"))
            read = await store.read(A, "r", "events", after=-1, wait=0.01)
            assert read is not None
            assert (read.entries, read.ended) == ([], False)
