"""The routes of stored responses: get one, delete it, cancel it, list its input."""

from __future__ import annotations

from typing import Any

import msgspec

from responses_shim.asgi.follow import Following, check_cursor
from responses_shim.asgi.query import Query
from responses_shim.asgi.request import Request
from responses_shim.core.wire.stored import runs_in_background, with_output
from responses_shim.core.wire.validation import quoted
from responses_shim.errors import InvalidRequest
from responses_shim.runtime.background import end_run
from responses_shim.runtime.client_store import ClientStore
from responses_shim.runtime.history import no_response
from responses_shim.stores.base import History, Page


async def retrieve(request: Request, store: ClientStore) -> Any:
    """`GET /responses/{id}`: the response as it is now; when it has ended, as its terminal event had it.

    With `stream=true` its events, those behind number `starting_after`, and then each one as it comes: returned as
    `Following`.
    """
    query = Query(request.scope)
    query.check_include()
    query.flag("include_obfuscation")
    after = query.integer("starting_after", -1, -1, 2**53)
    streams = query.flag("stream")
    found = await _find(request, store, items=not streams)
    if not streams:
        return _shown(found)
    if not runs_in_background(found.record.data):
        raise InvalidRequest(
            "The events of a response are kept only if it runs in the background; get it without 'stream'.",
            param="stream",
            code="unsupported_value",
        )
    await check_cursor(store.store, found.record, after)
    return Following(found.record, after)


def _shown(found: History) -> msgspec.Raw:
    """A response as the API shows it."""
    output = [item.data for item in found.items if item.output]
    return with_output(found.record.data, output, found.record.status)


async def delete(request: Request, store: ClientStore) -> Any:
    """`DELETE /responses/{id}`: nobody can get or continue it any more; what continues it already is not changed."""
    id = (await _find(request, store, items=False)).record.id
    if not await store.delete(id):
        raise no_response(id)
    return {"id": id, "object": "response", "deleted": True}


async def cancel(request: Request, store: ClientStore) -> Any:
    """`POST /responses/{id}/cancel`: end a response that runs in the background. One that has ended stays as it is."""
    record = (await _find(request, store, items=False)).record
    if record.status != "cancelled" and not runs_in_background(record.data):
        raise InvalidRequest(
            f"The response {quoted(record.id)} does not run in the background, so it cannot be cancelled.",
            param="response_id",
            code="invalid_value",
        )
    ended = await end_run(store.store, record.owner, record.id, "cancelled")
    if ended is None:
        raise no_response(record.id)
    return _shown(ended)


async def list_input_items(request: Request, store: ClientStore) -> Any:
    """`GET /responses/{id}/input_items`: a page of the items that the client sent with the request."""
    query = Query(request.scope)
    query.check_include()
    newest_first, limit, after = query.newest_first(), query.limit(), query.after()
    id = (await _find(request, store, items=False)).record.id
    page = await page_behind(store, id, after, outputs=False, limit=limit, newest_first=newest_first)
    if page is None:
        raise no_response(id)
    return listed(page)


async def page_behind(
    store: ClientStore, id: str, after: str | None, *, outputs: bool, limit: int, newest_first: bool
) -> Page | None:
    """A page of a record's items. Raises InvalidRequest if the record has no item `after`."""
    try:
        return await store.page(id, outputs=outputs, after=after, limit=limit, newest_first=newest_first)
    except KeyError:
        raise InvalidRequest(
            f"Invalid 'after': there is no item {quoted(after)}.", param="after", code="invalid_value"
        ) from None


def listed(page: Page) -> dict[str, Any]:
    """A page as the API writes one."""
    return {
        "object": "list",
        "data": [item.raw for item in page.items],
        "first_id": page.items[0].id if page.items else None,
        "last_id": page.items[-1].id if page.items else None,
        "has_more": page.has_more,
    }


async def _find(request: Request, store: ClientStore, *, items: bool) -> History:
    """The response of the path. Raises InvalidRequest with status 404 if the client has none with that id."""
    id = request.path_params["response_id"]
    found = await store.get(id, items=items)
    if found is None or found.record.kind != "response":
        raise no_response(id)
    return found
