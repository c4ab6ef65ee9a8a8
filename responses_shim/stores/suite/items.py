"""The items of responses and conversations."""

from __future__ import annotations

import pytest

from responses_shim.stores.base import RUNNING, Bounds, ConversationTurn, StoredItem
from responses_shim.stores.suite.base import A, Clock, StoreTests, ids_of, items, record


class ItemTests(StoreTests):
    """Pages, references, conversations."""

    # Items ---------------------------------------------------------------------------------------------------------

    async def test_pages_go_through_the_items_of_a_record_in_both_orders(self) -> None:
        async with self.opened() as store:
            await store.add(record("r"), items("a", "b", "c") + items("o", output=True))
            assert await self.page(store, "r") == (["a", "b", "c", "o"], False)
            assert await self.page(store, "r", outputs=False) == (["a", "b", "c"], False)
            assert await self.page(store, "r", outputs=False, limit=2) == (["a", "b"], True)
            assert await self.page(store, "r", outputs=False, limit=2, after="b") == (["c"], False)
            assert await self.page(store, "r", outputs=False, newest_first=True) == (["c", "b", "a"], False)
            assert await self.page(store, "r", outputs=False, newest_first=True, limit=1, after="c") == (["b"], True)
            assert await self.page(store, "r", after="o") == ([], False)
            with pytest.raises(KeyError):
                await self.page(store, "r", after="x")
            with pytest.raises(KeyError):
                await self.page(store, "r", outputs=False, after="o")
            assert await self.page(store, "nothing") is None

    async def test_items_are_found_by_their_ids_the_latest_of_those_with_one_id(self) -> None:
        async with self.opened() as store:
            await store.add(record("r1"), [StoredItem("a", b"1"), StoredItem("b", b"2")])
            await store.add(record("r2"), [StoredItem("a", b"3")])
            assert await store.find_items(A, ["a", "b", "x"]) == {"a": b"3", "b": b"2"}
            await store.delete(A, "r2")
            assert await store.find_items(A, ["a"]) == {"a": b"1"}
            assert await store.find_items(A, []) == {}

    async def test_items_are_found_in_one_record_and_in_no_other(self) -> None:
        async with self.opened() as store:
            await store.add(record("r1"), [StoredItem("a", b"1"), StoredItem("b", b"2")])
            await store.add(record("r2"), [StoredItem("a", b"3")])
            assert await store.find_items(A, ["a", "b"], "r1") == {"a": b"1", "b": b"2"}
            assert await store.find_items(A, ["a", "b"], "r2") == {"a": b"3"}
            assert await store.find_items(A, ["a"], "nothing") == {}
            await store.delete(A, "r1")
            assert await store.find_items(A, ["a"], "r1") == {}

    async def test_a_record_is_got_without_its_items(self) -> None:
        async with self.opened() as store:
            await store.add(record("r1"), items("a"))
            with_items, without = await store.get(A, "r1"), await store.get(A, "r1", items=False)
            assert with_items is not None
            assert without is not None
            assert (without.record, without.items) == (with_items.record, [])
            assert await store.get(A, "nothing", items=False) is None

    async def test_items_are_appended_to_a_conversation_all_or_none_and_once_for_a_key(self) -> None:
        async with self.opened() as store:
            await store.add(record("c", kind="conversation", status="active"), items("a"))
            assert await store.append_items(A, "c", items("b", "c"), "k1") == []
            assert await store.append_items(A, "c", items("b", "c"), "k1") == []
            assert await store.append_items(A, "c", items("d", "b", "a"), "k2") == ["b", "a"]
            assert await store.append_items(A, "c", items("d"), "k2") == []
            assert ids_of(await store.history(A, "c")) == ["a", "b", "c", "d"]
            assert await store.append_items(A, "nothing", items("z"), "k3") is None

    async def test_the_end_of_a_response_is_one_step_with_that_of_its_turn_in_a_conversation(self) -> None:
        """Whoever sees the end can go on in the conversation."""
        async with self.opened() as store:
            await store.add(record("c", kind="conversation", status="active"), items("a"))
            await store.add(record("r", status="in_progress"), items("b"))
            assert await store.lease(A, "c", "r", 30)
            turn = ConversationTurn("c", "r", items("b", "o"), key="r")
            assert not await store.change(A, "r", among={"queued"}, status="completed", turn=turn)
            assert not await store.lease(A, "c", "other", 30)
            assert ids_of(await store.get(A, "c")) == ["a"]
            assert await store.change(A, "r", among=RUNNING, status="completed", items=items("o"), turn=turn)
            assert ids_of(await store.history(A, "c")) == ["a", "b", "o"]
            assert await store.lease(A, "c", "other", 30)
            assert await store.append_items(A, "c", turn.items, "r") == []

    async def test_a_turn_without_items_gives_up_its_own_lease_and_no_other(self) -> None:
        async with self.opened() as store:
            await store.add(record("c", kind="conversation", status="active"))
            for number, holder in enumerate(["r", "other"]):
                await store.add(record(f"r{number}", status="in_progress"))
                assert await store.lease(A, "c", holder, 30)
                turn = ConversationTurn("c", "r")
                assert await store.change(A, f"r{number}", among=RUNNING, status="cancelled", turn=turn)
                assert await store.lease(A, "c", "next", 30) == (holder == "r")
                await store.lease(A, "c", "next", 0)
            assert ids_of(await store.get(A, "c")) == []

    async def test_a_response_ends_though_its_turn_cannot_be_made(self) -> None:
        """Because the conversation has one of the items by now, or is gone; the lease is given up all the same."""
        async with self.opened() as store:
            await store.add(record("c", kind="conversation", status="active"), items("a"))
            for number, id in enumerate(["c", "nothing"]):
                await store.add(record(f"r{number}", status="in_progress"))
                await store.lease(A, id, "r", 30)
                turn = ConversationTurn(id, "r", items("new", "a"), key="k")
                assert await store.change(A, f"r{number}", among=RUNNING, status="completed", turn=turn)
            assert ids_of(await store.get(A, "c")) == ["a"]
            assert await store.lease(A, "c", "next", 30)

    async def test_the_items_of_a_turn_count_for_the_bounds(self) -> None:
        clock = Clock()
        async with self.opened(Bounds(trees=99, size=20_000, age=1000), clock) as store:
            await store.add(record("old"), items("x", size=9_000))
            clock.time += 1
            await store.add(record("c", kind="conversation", status="active"))
            await store.add(record("r", status="in_progress"))
            turn = ConversationTurn("c", "r", items("b", size=9_000), key="r")
            assert await store.change(A, "r", among=RUNNING, status="completed", turn=turn)
            assert await store.get(A, "old") is None
            assert ids_of(await store.get(A, "c")) == ["b"]

    async def test_paging_is_stable_while_items_are_added(self) -> None:
        async with self.opened() as store:
            await store.add(record("c", kind="conversation", status="active"), items("a", "b", "c"))
            assert await self.page(store, "c", limit=2, newest_first=True) == (["c", "b"], True)
            await store.append_items(A, "c", items("d"), "k")
            assert await self.page(store, "c", limit=2, newest_first=True, after="b") == (["a"], False)

    async def test_an_item_is_removed_from_a_conversation_and_may_be_added_again(self) -> None:
        async with self.opened() as store:
            await store.add(record("c", kind="conversation", status="active"), items("a", "b"))
            assert await store.delete(A, "c", "a")
            assert not await store.delete(A, "c", "a")
            assert ids_of(await store.get(A, "c")) == ["b"]
            assert await store.find_items(A, ["a"]) == {}
            assert await store.append_items(A, "c", items("a"), "k") == []
            assert ids_of(await store.get(A, "c")) == ["b", "a"]
            assert await store.delete(A, "c")
            assert await store.append_items(A, "c", items("z"), "k2") is None
