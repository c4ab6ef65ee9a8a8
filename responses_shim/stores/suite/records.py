"""Records, trees and owners: rules 1, 2, 3, 8, 9 and 10."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from responses_shim.stores.base import ENDED, RUNNING, Bounds, Record, StoredItem, StoreUnavailable
from responses_shim.stores.suite.base import SECONDS, A, B, Clock, StoreTests, add_turn, ids_of, items, record


class RecordTests(StoreTests):
    """What is kept, for whom, and for how long."""

    # Rule 1: the owner is part of the key --------------------------------------------------------------------------

    async def test_the_owner_is_part_of_the_key(self) -> None:
        """What is another owner's is not found by any method, like what never was; ids that begin alike are others."""
        async with self.opened() as store:
            await add_turn(store, "r1")
            await store.add(record("c1", kind="conversation", status="active"), items("x"))
            await store.add(record("run", status="in_progress"))
            for owner, response, conversation, run in (
                (B, "r1", "c1", "run"),
                (A, "r", "c", "ru"),
                (A + b"1", "r1", "c1", "run"),
            ):
                assert await store.get(owner, response) is None
                assert await store.history(owner, response) is None
                assert await self.page(store, response, owner=owner) is None
                assert await store.find_items(owner, ["ir1"] if owner != A else ["ir"]) == {}
                assert not await store.change(owner, response, among=ENDED, data=b"[]")
                assert not await store.delete(owner, response)
                assert await store.append_items(owner, conversation, items("y"), "k") is None
                assert not await store.delete(owner, conversation, "x")
                assert not await store.lease(owner, run, "h", 9)
                assert not await store.post(owner, run, b"m")
                assert await store.read(owner, run, "events", after=-1, wait=0) is None
                assert not await store.add(record("r9", response, owner=owner))
            assert ids_of(await store.get(A, "r1")) == ["ir1", "or1"]
            assert ids_of(await store.get(A, "c1")) == ["x"]

    async def test_two_owners_may_have_the_same_id(self) -> None:
        async with self.opened() as store:
            await add_turn(store, "r1", owner=A)
            await store.add(record("r1", owner=B), items("b"))
            assert ids_of(await store.history(A, "r1")) == ["ir1", "or1"]
            assert ids_of(await store.history(B, "r1")) == ["b"]

    # Rule 2: a turn stores only what it added ----------------------------------------------------------------------

    async def test_a_turn_stores_only_what_it_added(self) -> None:
        """And a fork is a branch of its own, which names its base."""
        async with self.opened() as store:
            await add_turn(store, "r1")
            await add_turn(store, "r2", "r1")
            await add_turn(store, "r3", "r2")
            await add_turn(store, "r4", "r1")
            assert ids_of(await store.history(A, "r3")) == ["ir1", "or1", "ir2", "or2", "ir3", "or3"]
            assert ids_of(await store.history(A, "r4")) == ["ir1", "or1", "ir4", "or4"]
            assert ids_of(await store.get(A, "r3")) == ["ir3", "or3"]
            third = await store.history(A, "r3")
            assert third is not None
            assert third.record.parent == "r2"
            sizes = {summary.id: summary.size for summary in await store.scan(A)}
            assert sizes["r3"] == sizes["r1"]

    async def test_what_was_kept_comes_back_byte_for_byte(self) -> None:
        data = '{"text":"é😀 \\u0000","n":1e400,"a":[1,2.50]}'.encode()
        async with self.opened() as store:
            await store.add(
                Record(owner=A, id="r", status="completed", created_at=7, data=data),
                [StoredItem("i", data, output=True)],
            )
            found = await store.get(A, "r")
            assert found is not None
            assert (found.record.data, found.record.created_at, found.record.kind) == (data, 7, "response")
            assert found.items == [StoredItem("i", data, output=True)]

    # Rule 3: history is never shortened in silence -----------------------------------------------------------------

    async def test_history_is_never_shortened_in_silence(self) -> None:
        """A deleted ancestor serves as long as a descendant lives; nobody can read or continue it."""
        async with self.opened() as store:
            for id, parent in (("r1", None), ("r2", "r1"), ("r3", "r2")):
                await add_turn(store, id, parent)
            assert await store.delete(A, "r1")
            assert await store.delete(A, "r2")
            assert not await store.delete(A, "r2")
            assert await store.get(A, "r2") is None
            assert await store.history(A, "r2") is None
            assert await self.page(store, "r2") is None
            assert await store.find_items(A, ["ir1", "or2", "or3"]) == {"or3": items("or3")[0].data}
            assert ids_of(await store.history(A, "r3")) == ["ir1", "or1", "ir2", "or2", "ir3", "or3"]
            assert [summary.id for summary in await store.scan(A)] == ["r3"]
            assert await store.delete(A, "r3")
            assert not await add_turn(store, "r4", "r1")
            assert await store.scan() == []

    async def test_a_turn_that_began_before_its_parent_was_deleted_is_kept(self) -> None:
        async with self.opened() as store:
            await add_turn(store, "r1")
            await store.add(record("r2", "r1", status="in_progress"))
            await store.delete(A, "r1")
            assert await add_turn(store, "r3", "r2")
            assert ids_of(await store.history(A, "r3")) == ["ir1", "or1", "ir3", "or3"]

    async def test_a_turn_whose_parent_is_gone_is_not_kept(self) -> None:
        async with self.opened() as store:
            assert not await add_turn(store, "r2", "r1")
            assert await store.get(A, "r2") is None

    async def test_a_tree_ages_as_a_whole_from_its_last_use(self) -> None:
        clock = Clock()
        async with self.opened(Bounds(trees=99, size=10**6, age=100), clock) as store:
            await add_turn(store, "r1")
            await add_turn(store, "s1")
            clock.time += 90
            await add_turn(store, "r2", "r1")
            clock.time += 90
            assert await store.history(A, "s1") is None
            assert ids_of(await store.history(A, "r2")) == ["ir1", "or1", "ir2", "or2"]
            clock.time += 90
            assert ids_of(await store.history(A, "r1")) == ["ir1", "or1"]
            clock.time += 101
            assert await store.history(A, "r2") is None
            assert await store.get(A, "r1") is None
            assert await store.find_items(A, ["ir1"]) == {}

    async def test_too_many_trees_cost_the_one_that_was_used_longest_ago(self) -> None:
        clock = Clock()
        async with self.opened(Bounds(trees=3, size=10**6, age=1000), clock) as store:
            for id in ("r1", "r2", "r3"):
                clock.time += 1
                await add_turn(store, id)
            clock.time += 1
            await store.history(A, "r1")
            clock.time += 1
            await add_turn(store, "r4")
            assert [await store.get(A, id) is not None for id in ("r1", "r2", "r3", "r4")] == [True, False, True, True]

    async def test_a_chain_is_one_tree_however_long_it_is(self) -> None:
        async with self.opened(Bounds(trees=1, size=10**6, age=1000)) as store:
            for number in range(5):
                assert await add_turn(store, f"r{number}", f"r{number - 1}" if number else None)
            history = ids_of(await store.history(A, "r4"))
            assert history is not None
            assert len(history) == 10

    async def test_who_has_the_most_loses_and_nobody_else(self) -> None:
        clock = Clock()
        async with self.opened(Bounds(trees=99, size=40_000, age=1000), clock) as store:
            await add_turn(store, "b1", owner=B)
            for number in range(10):
                clock.time += 1
                assert await add_turn(store, f"r{number}", size=10_000)
            assert await store.get(B, "b1") is not None
            assert await store.get(A, "r0") is None
            assert await store.get(A, "r9") is not None

    async def test_what_is_larger_than_the_bounds_is_not_kept(self) -> None:
        async with self.opened(Bounds(trees=99, size=10_000, age=1000)) as store:
            assert not await add_turn(store, "r1", size=20_000)
            assert await store.get(A, "r1") is None
            assert await add_turn(store, "r2")

    async def test_evictions_are_counted_by_a_store_that_says_so(self) -> None:
        """What has become too old, or was deleted, is no eviction."""
        clock = Clock()
        async with self.opened(Bounds(trees=2, size=10**6, age=100), clock) as store:
            evicted = getattr(store, "evicted", None)
            if evicted is None:
                return
            for number in range(5):
                clock.time += 1
                await add_turn(store, f"r{number}")
            assert await evicted() == 3
            await store.delete(A, "r4")
            clock.time += 200
            await add_turn(store, "new")
            assert await evicted() == 3

    # Rule 8: an id can be chained after success --------------------------------------------------------------------

    async def test_an_id_can_be_chained_after_success_and_before_the_terminal_event(self) -> None:
        """What was kept is there when the call that keeps it returns, and when its last event can be read."""
        async with self.opened() as store:
            for number in range(20):
                assert await add_turn(store, f"r{number}", f"r{number - 1}" if number else None)
                assert await store.history(A, f"r{number}") is not None
            await store.add(record("run", "r19", status="in_progress"), items("asked"))
            chained: list[bool] = []

            async def chain() -> None:
                read = await store.read(A, "run", "events", after=-1, wait=SECONDS)
                assert read is not None
                assert (read.entries, read.ended) == ([(0, b"end")], True)
                chained.append(await add_turn(store, "next", "run"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(chain)
                await anyio.wait_all_tasks_blocked()
                said = items("said", output=True)
                assert await store.change(A, "run", among=RUNNING, status="completed", items=said, events=[(0, b"end")])
            assert chained == [True]
            history = ids_of(await store.history(A, "next"))
            assert history is not None
            assert history[-4:] == ["asked", "said", "inext", "onext"]

    # Rule 9: records are bound to owner, model and format version ---------------------------------------------------

    async def test_records_are_bound_to_owner_model_and_format_version(self) -> None:
        """What a record says of its model stays, whichever model goes on from it, and nobody else's has its id.

        What another format has written is read or refused as a whole: see the tests of each store.
        """
        async with self.opened() as store:
            for owner, id, parent, model in ((A, "r1", None, "one"), (A, "r2", "r1", "two"), (B, "r1", None, "three")):
                data = b'{"model":"%b"}' % model.encode()
                made = Record(owner=owner, id=id, parent=parent, status="completed", created_at=7, data=data)
                assert await store.add(made)
            for owner, id, model in ((A, "r1", "one"), (A, "r2", "two"), (B, "r1", "three")):
                for found in (await store.get(owner, id), await store.history(owner, id)):
                    assert found is not None
                    assert (found.record.owner, found.record.data) == (owner, b'{"model":"%b"}' % model.encode())
            assert not await store.add(record("r3", "r2", owner=B))

    # Rule 10: an outage is no miss ---------------------------------------------------------------------------------

    async def test_an_outage_is_no_miss(self) -> None:
        """Each method raises StoreUnavailable; what is there is found when it is over. The bounds are per owner."""
        async with self.opened() as store:
            await add_turn(store, "r1")
            await add_turn(store, "other")
            await store.add(record("run", status="in_progress"))
            outage = self.outage()
            if outage is None:
                return
            calls: list[Callable[[], Awaitable[Any]]] = [
                lambda: store.get(A, "r1"),
                lambda: store.get(A, "nothing"),
                lambda: store.history(A, "r1"),
                lambda: store.page(A, "r1", outputs=True, after=None, limit=1, newest_first=False),
                lambda: store.find_items(A, ["ir1"]),
                lambda: store.read(A, "run", "events", after=-1, wait=0),
                lambda: store.read(A, "run", "events", after=-1, wait=SECONDS),
                lambda: add_turn(store, "r2", "r1"),
                lambda: store.change(A, "run", among=RUNNING, status="completed"),
                lambda: store.append_items(A, "other", items("x"), "k"),
                lambda: store.delete(A, "other"),
                lambda: store.lease(A, "run", "h", 9),
                lambda: store.post(A, "run", b"m"),
                lambda: store.expired(),
                lambda: store.scan(),
            ]
            with outage:
                for call in calls:
                    with pytest.raises(StoreUnavailable):
                        await call()
            assert ids_of(await store.history(A, "r1")) == ["ir1", "or1"]
            found = await store.get(A, "run")
            assert found is not None
            assert found.record.status in ("in_progress", "completed")  # a call whose answer is lost may have been done

    # The store itself ----------------------------------------------------------------------------------------------

    async def test_a_scan_lists_what_has_been_unused_for_some_time(self) -> None:
        clock = Clock()
        async with self.opened(clock=clock) as store:
            await add_turn(store, "r1")
            clock.time += 50
            await add_turn(store, "b1", owner=B)
            clock.time += 1
            await store.add(record("c1", kind="conversation", status="active"))
            listed = await store.scan()
            assert [(summary.owner, summary.id, summary.kind, summary.status) for summary in listed] == [
                (A, "r1", "response", "completed"),
                (B, "b1", "response", "completed"),
                (A, "c1", "conversation", "active"),
            ]
            assert listed[0].used_at == clock.time - 51
            assert listed[0].size > 0
            assert [summary.id for summary in await store.scan(A)] == ["r1", "c1"]
            assert [summary.id for summary in await store.scan(unused_for=10)] == ["r1"]
            assert [summary.id for summary in await store.scan(limit=1)] == ["r1"]

    async def test_the_secret_is_made_once(self) -> None:
        async with self.opened() as store:
            secret = await store.secret()
            assert len(secret) == 32
            assert await store.secret() == secret
            if self.shared:
                async with self.opened() as other:
                    assert await other.secret() == secret

    async def test_what_one_keeps_the_next_one_finds(self) -> None:
        if not self.shared:
            return
        async with self.opened() as store:
            await add_turn(store, "r1")
            await store.add(record("r2", "r1", status="in_progress"))
            async with self.opened() as other:
                assert ids_of(await other.history(A, "r1")) == ["ir1", "or1"]
                assert await add_turn(other, "r3", "r1")
                assert await other.lease(A, "r2", "h", 30)
                assert not await store.lease(A, "r2", "other", 30)
                assert await other.post(A, "r2", b"cancel")
                read = await store.read(A, "r2", "messages", after=-1, wait=SECONDS)
                assert read is not None
                assert read.entries == [(0, b"cancel")]
                assert await store.change(A, "r2", among=RUNNING, status="cancelled", events=[(0, b"end")])
                ended = await other.read(A, "r2", "events", after=-1, wait=SECONDS)
                assert ended is not None
                assert (ended.entries, ended.ended) == ([(0, b"end")], True)
        async with self.opened() as later:
            assert ids_of(await later.history(A, "r3")) == ["ir1", "or1", "ir3", "or3"]
