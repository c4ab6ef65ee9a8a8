"""The store of one shim, and the keys by which it knows whose a record is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import anyio

from responses_shim.runtime.background import Runs
from responses_shim.runtime.sealing import Keys, owner_key
from responses_shim.settings import Settings
from responses_shim.stores.base import Store, StoreUnavailable
from responses_shim.stores.counted_warning import CountedWarning
from responses_shim.stores.opening import BoundsSettings, open_store

SECRET_SECONDS = 10.0
"""After how long the store is asked for its secret again."""
UNSTORED = 'the store cannot keep what it should: %d responses were made without it, and say "store": false'
"""What is logged now and then when a response that does not need the store cannot be stored."""


class State:
    """The store that the settings name, and the keys for the HMAC that makes owner ids (see `asgi.owner`).

    Without `secret_keys` the key is made from the secret of the store, so that all processes that use the store agree
    on who is who, and still do after a restart. Raises ConfigurationError if there is no such store.
    """

    def __init__(self, settings: Settings, keys: Keys) -> None:
        bounds = BoundsSettings(trees=settings.store_trees, size=settings.store_size, age=settings.store_age)
        self.store: Store = open_store(settings.store.get_secret_value(), bounds)
        self.unstored = CountedWarning(UNSTORED)
        """The responses that went on without being stored: the store was not available, or had no room for them."""
        self.runs = Runs(self.store)
        """The responses that run in the background in this process."""
        self._has_keys = bool(settings.secret_keys)
        self._keys: Sequence[bytes] | None = keys.owner_keys if settings.secret_keys else None

    @classmethod
    def of(cls, settings: Settings, keys: Keys) -> State | None:
        """The state of a shim with these settings; None if nothing is to be stored."""
        return cls(settings, keys) if settings.store.get_secret_value() != "off" else None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run responses in the background until the block is left; then end them, and close the store."""
        watch = asyncio.create_task(self._watch_secret())
        try:
            async with self.runs.running():
                yield
        finally:
            watch.cancel()
            await asyncio.wait([watch])
            await self.store.close()

    async def _watch_secret(self) -> None:
        while not self._has_keys:
            await anyio.sleep(SECRET_SECONDS)
            with suppress(StoreUnavailable):
                await self.renew_keys()

    async def renew_keys(self) -> None:
        """Take the store's secret anew: it is another one if the store has lost what it kept. Raises StoreUnavailable.

        A Redis that keeps nothing on disk does so in a restart. Processes that have started since know the new secret
        only. Without this, older ones would go on with the former one, and neither would find what the others store.
        """
        if self._keys is not None and not self._has_keys:
            self._keys = [owner_key(await self.store.secret())]

    async def owner_keys(self) -> Sequence[bytes]:
        """The keys, the newest first. Raises StoreUnavailable if they are in the store and that is not available."""
        if self._keys is None:
            self._keys = [owner_key(await self.store.secret())]
        return self._keys
