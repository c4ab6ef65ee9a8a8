"""A conversation is held by the response that is made in it, so that no other one is made in it at the same time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

import anyio

from responses_shim.core.wire.validation import quoted
from responses_shim.errors import InvalidRequest
from responses_shim.stores.base import Record, Store, StoreUnavailable

LEASE_SECONDS = 30.0
"""How long a conversation stays held if the process that holds it dies."""
RELEASE_SECONDS = 2.0
"""How long it may take to give a conversation up, before its lease is left to expire."""


class ConversationLease:
    """A response's hold on its conversation. It is renewed until it is released.

    The end of the response in the store may give it up as well (`ConversationTurn`).
    """

    def __init__(self, store: Store, conversation: Record, response: str) -> None:
        """Make one for the response with the id `response`. It holds nothing until it is taken."""
        self._hold = partial(store.lease, conversation.owner, conversation.id, response)
        self._conversation = conversation.id
        self._renewal: asyncio.Task[None] | None = None

    async def take(self) -> None:
        """Take the conversation. Raises InvalidRequest with status 409 at once if another response holds it."""
        if not await self._hold(LEASE_SECONDS):
            raise InvalidRequest(
                f"The conversation {quoted(self._conversation)} is being used by another response.",
                status=409,
                param="conversation",
                code="conversation_locked",
            )
        self._renewal = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        while True:
            await anyio.sleep(LEASE_SECONDS / 3)
            with suppress(StoreUnavailable):
                await self._hold(LEASE_SECONDS)

    async def release(self) -> None:
        """Give it up."""
        if self._renewal is not None:
            self._renewal.cancel()
        with anyio.move_on_after(RELEASE_SECONDS, shield=True), suppress(StoreUnavailable):
            await self._hold(0)
