"""The Conversations API: lists of items that a request can continue, and that its response is added to."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from responses_shim.asgi.body import read_json
from responses_shim.asgi.query import Query
from responses_shim.asgi.request import Request
from responses_shim.asgi.stored_responses import listed, page_behind
from responses_shim.core.request.messages import Item
from responses_shim.core.request.stored_input import check_items, stored_input
from responses_shim.core.wire.requests import MetadataKey, MetadataValue
from responses_shim.core.wire.validation import convert, quoted
from responses_shim.errors import InvalidRequest
from responses_shim.runtime.client_store import ClientStore
from responses_shim.runtime.history import conversation_record
from responses_shim.runtime.ids import Ids
from responses_shim.stores.base import Page, Record, StoredItem

MAX_ITEMS = 20
"""How many items one request may add (OpenAI's limit)."""

Metadata = Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=16)]


class Conversation(Struct, kw_only=True):
    """The conversation object. `created_at` is in Unix seconds."""

    id: str
    object: str = "conversation"
    created_at: int
    metadata: dict[str, str] = msgspec.field(default_factory=dict)


class _Creation(Struct):
    items: list[dict[str, Any]] | None = None
    metadata: Metadata | None = None
    store: bool | None = None


class _Update(Struct):
    metadata: Metadata | UnsetType | None = UNSET


class _Addition(Struct):
    items: list[dict[str, Any]]


async def create(request: Request, store: ClientStore) -> Any:
    """`POST /conversations`: a new one, with its first items."""
    creation: _Creation = convert(await _body(request), _Creation)
    if creation.store is False:
        raise InvalidRequest(
            "A conversation is always stored: leave 'store' out.", param="store", code="unsupported_value"
        )
    items = _stored(creation.items or [])
    conversation = Conversation(
        id=f"conv_{secrets.token_hex(16)}", created_at=int(time.time()), metadata=creation.metadata or {}
    )
    record = Record(
        owner=store.owner,
        id=conversation.id,
        kind="conversation",
        status="active",
        created_at=conversation.created_at,
        data=msgspec.json.encode(conversation),
    )
    if not await store.store.add(record, items):
        raise InvalidRequest("The items are too large to be stored.", status=413, param="items", code="invalid_value")
    return conversation


async def retrieve(request: Request, store: ClientStore) -> Any:
    """`GET /conversations/{id}`."""
    return _conversation(await _find(request, store))


async def update(request: Request, store: ClientStore) -> Any:
    """`POST /conversations/{id}`: other metadata in the place of that which it has."""
    changes: _Update = convert(await _body(request), _Update)
    record = await _find(request, store)
    conversation = _conversation(record)
    if changes.metadata is not UNSET:
        conversation = replace(conversation, metadata=changes.metadata or {})
        data = msgspec.json.encode(conversation)
        if not await store.store.change(record.owner, record.id, among={"active"}, data=data):
            raise _not_found(record.id)
    return conversation


async def delete(request: Request, store: ClientStore) -> Any:
    """`DELETE /conversations/{id}`: the responses that were made in it stay."""
    record = await _find(request, store)
    if not await store.delete(record.id):
        raise _not_found(record.id)
    return {"id": record.id, "object": "conversation.deleted", "deleted": True}


async def add_items(request: Request, store: ClientStore) -> Any:
    """`POST /conversations/{id}/items`: up to 20 items, all or none."""
    Query(request.scope).check_include()
    addition: _Addition = convert(await _body(request), _Addition)
    record = await _find(request, store)
    items = _stored(addition.items)
    known = await store.store.append_items(record.owner, record.id, items, secrets.token_hex(16))
    if known is None:
        raise _not_found(record.id)
    if known:
        raise _known_already(known[0])
    return listed(Page(items, has_more=False))


async def list_items(request: Request, store: ClientStore) -> Any:
    """`GET /conversations/{id}/items`: a page of them."""
    query = Query(request.scope)
    query.check_include()
    newest_first, limit, after = query.newest_first(), query.limit(), query.after()
    id = (await _find(request, store)).id
    page = await page_behind(store, id, after, outputs=True, limit=limit, newest_first=newest_first)
    if page is None:
        raise _not_found(id)
    return listed(page)


async def retrieve_item(request: Request, store: ClientStore) -> Any:
    """`GET /conversations/{id}/items/{item_id}`."""
    Query(request.scope).check_include()
    record, item_id = await _find(request, store), request.path_params["item_id"]
    found = await store.store.find_items(record.owner, [item_id], record.id)
    if item_id not in found:
        raise _no_such_item(item_id)
    return msgspec.Raw(found[item_id])


async def delete_item(request: Request, store: ClientStore) -> Any:
    """`DELETE /conversations/{id}/items/{item_id}`: what remains is the conversation, which is the answer."""
    record, item_id = await _find(request, store), request.path_params["item_id"]
    if not await store.delete(record.id, item_id):
        raise _no_such_item(item_id)
    return _conversation(record)


async def _body(request: Request) -> Any:
    body, _ = await read_json(request.scope, request.receive, request.settings, _admitted)
    return body


async def _admitted() -> None:
    """The host has let the client in already."""


def _stored(items: Sequence[Item]) -> list[StoredItem]:
    """The items as they are stored. Raises InvalidRequest that names the one that is wrong."""
    if len(items) > MAX_ITEMS:
        raise InvalidRequest(
            f"Invalid 'items': at most {MAX_ITEMS} items can be added at once, but got {len(items)}.",
            param="items",
            code="array_above_max_length",
        )
    check_items(items, "items")
    ids = [item["id"] for item in items if item.get("id") is not None]
    repeated = next((id for index, id in enumerate(ids) if id in ids[:index]), None)
    if repeated is not None:
        raise _known_already(repeated)
    return [StoredItem(id, msgspec.json.encode(item)) for id, item in stored_input(list(items), Ids().new)]


async def _find(request: Request, store: ClientStore) -> Record:
    """The conversation of the path. Raises InvalidRequest with status 404 if the client has none with that id."""
    return await conversation_record(store, request.path_params["conversation_id"], "conversation_id")


def _conversation(record: Record) -> Conversation:
    return msgspec.json.decode(record.data, type=Conversation)


def _not_found(id: str) -> InvalidRequest:
    return InvalidRequest(
        f"Conversation with id {quoted(id)} not found.",
        status=404,
        param="conversation_id",
        code="conversation_not_found",
    )


def _no_such_item(id: str) -> InvalidRequest:
    return InvalidRequest(f"Item with id {quoted(id)} not found.", status=404, param="item_id", code="item_not_found")


def _known_already(id: str) -> InvalidRequest:
    return InvalidRequest(
        f"Item {quoted(id)} is in the conversation already.", param="items", code="item_already_in_conversation"
    )
