"""A conversation is held by the response that is made in it, so that no other one is made in it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import anyio

from responses_shim.core.wire.validation import quoted
from responses_shim.errors import InvalidRequest
from responses_shim.stores.base import Record, Store, StoreUnavailable

LEASE_SECONDS = 30.0
"""How long a conversation stays held if the process that holds it dies."""
RELEASE_SECONDS = 2.0
"""How long it may take to give a conversation up, before its lease is left to expire."""


@asynccontextmanager
async def hold(store: Store, conversation: Record, response: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Hold a conversation for the response with that id; gives a function that ends this before the block does.

    Raises InvalidRequest with status 409 at once if another response holds it. The end of a response in the store may
    give it up as well (`ConversationTurn`).
    """
    owner, id = conversation.owner, conversation.id
    if not await store.lease(owner, id, response, LEASE_SECONDS):
        raise InvalidRequest(
            f"The conversation {quoted(id)} is being used by another response.",
            status=409,
            param="conversation",
            code="conversation_locked",
        )

    async def renew() -> None:
        while True:
            await anyio.sleep(LEASE_SECONDS / 3)
            with suppress(StoreUnavailable):
                await store.lease(owner, id, response, LEASE_SECONDS)

    renewal = asyncio.create_task(renew())

    async def release() -> None:
        renewal.cancel()
        with anyio.move_on_after(RELEASE_SECONDS, shield=True), suppress(StoreUnavailable):
            await store.lease(owner, id, response, 0)

    try:
        yield release
    finally:
        await release()
