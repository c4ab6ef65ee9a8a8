"""The store as one client sees it: what belongs to the client is there, and nothing else is.

A client has one owner id for each of the operator's secret keys, the newest first. What it keeps now belongs to the
newest one; what it kept before the keys were rotated is found under an older one, and goes on there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

from responses_shim.stores.base import History, Page, Store
from responses_shim.stores.counted_warning import CountedWarning

Found = TypeVar("Found")


class ClientStore:
    """Finds a client's records under each of its owner ids. Each method raises StoreUnavailable if it cannot.

    `unstored` counts the responses, of all clients, that could not be stored and did not need to be.
    """

    def __init__(self, store: Store, owners: Sequence[bytes], unstored: CountedWarning) -> None:
        self.store = store
        self.unstored = unstored
        self.owner = owners[0]
        """Whom new records belong to."""
        self._owners = owners

    async def get(self, id: str, *, items: bool = True) -> History | None:
        """A record with its own items, or without items, if the client has one."""
        return await self._first(lambda owner: self.store.get(owner, id, items=items))

    async def history(self, id: str) -> History | None:
        """A record with the items of its ancestors and its own, if the client has one."""
        return await self._first(lambda owner: self.store.history(owner, id))

    async def page(self, id: str, *, outputs: bool, after: str | None, limit: int, newest_first: bool) -> Page | None:
        """Some items of a record. Raises KeyError if the record has no item `after`."""
        return await self._first(
            lambda owner: self.store.page(
                owner, id, outputs=outputs, after=after, limit=limit, newest_first=newest_first
            )
        )

    async def find_items(self, ids: Collection[str]) -> dict[str, bytes]:
        """The data of the client's items with these ids."""
        found: dict[str, bytes] = {}
        for owner in self._owners:
            missing = [id for id in ids if id not in found]
            found |= await self.store.find_items(owner, missing) if missing else {}
        return found

    async def delete(self, id: str, item: str | None = None) -> bool:
        """Hide a record, or remove an item of a conversation. False if the client has none."""
        return bool(await self._first(lambda owner: _if_true(self.store.delete(owner, id, item))))

    async def _first(self, find: Callable[[bytes], Awaitable[Found | None]]) -> Found | None:
        for owner in self._owners:
            if (found := await find(owner)) is not None:
                return found
        return None


async def _if_true(result: Awaitable[bool]) -> bool | None:
    return True if await result else None
