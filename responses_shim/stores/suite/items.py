"""The items of responses and conversations."""

from __future__ import annotations

import pytest

from responses_shim.stores.base import StoredItem
from responses_shim.stores.suite.base import A, StoreTests, ids_of, items, record


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

    async def test_items_are_appended_to_a_conversation_all_or_none_and_once_for_a_key(self) -> None:
        async with self.opened() as store:
            await store.add(record("c", kind="conversation", status="active"), items("a"))
            assert await store.append_items(A, "c", items("b", "c"), "k1") == []
            assert await store.append_items(A, "c", items("b", "c"), "k1") == []
            assert await store.append_items(A, "c", items("d", "b", "a"), "k2") == ["b", "a"]
            assert await store.append_items(A, "c", items("d"), "k2") == []
            assert ids_of(await store.history(A, "c")) == ["a", "b", "c", "d"]
            assert await store.append_items(A, "nothing", items("z"), "k3") is None

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
