"""`POST /responses/{id}/tool_outputs`: the output of a call, for a response that waits for it.

It is not OpenAI's: see `runtime.tool_outputs`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from responses_shim.asgi.body import ClientDisconnect, read_json
from responses_shim.asgi.client_watch import ClientWatch
from responses_shim.asgi.request import Request
from responses_shim.core.request.messages import Item
from responses_shim.core.request.tool_outputs import ITEM_PATH, check_output, output_item
from responses_shim.core.wire.validation import convert
from responses_shim.errors import InvalidRequest
from responses_shim.runtime.client_store import ClientStore
from responses_shim.runtime.files import read_files
from responses_shim.runtime.offload import offload_if_large
from responses_shim.runtime.tool_outputs import find_waiting_call, post_output


class _ToolOutput(Struct, kw_only=True):
    """The body. `output` is a text, content parts, or what that kind of tool puts out; `status` is that of a patch."""

    tool_call_id: str
    output: Any = None
    status: str | None = None


async def add_output(request: Request, store: ClientStore) -> Any:
    """Give a response that waits the output of one of its calls."""
    body, size = await read_json(request.scope, request.receive, request.settings, _admitted)
    posted: _ToolOutput = convert(body, _ToolOutput)
    id = request.path_params["response_id"]
    with ClientWatch(request.receive) as watch:
        watch.start()
        record, call = await find_waiting_call(store, id, posted.tool_call_id, request.settings.tool_timeout)
        item = await _checked(request, call, posted, size)
        await post_output(store.store, record, call, item)
        return {"id": id, "status": "in_progress"}
    raise ClientDisconnect


async def _checked(request: Request, call: Item, posted: _ToolOutput, size: int) -> Item:
    """The item of an output, files read. Raises InvalidRequest if it is empty, too large, or none for this call.

    `size` is that of the body, as `read_json` returns it.
    """
    if posted.output is None or (not posted.output and call["type"] != "tool_search_call"):
        raise InvalidRequest("'output' must not be empty.", param="output", code="invalid_value")
    item = output_item(call, posted.output, posted.status)
    try:
        [item] = await read_files(
            [item], request.settings, queues=request.file_queues, owner=lambda: request.owners[0], admit=_admitted
        )
        await offload_if_large(size, partial(_check, request, call, item))
    except InvalidRequest as error:
        raise _about_body(error) from None
    return item


def _check(request: Request, call: Item, item: Item) -> None:
    limit = request.settings.max_tool_output
    if len(msgspec.json.encode(item)) > limit:
        raise InvalidRequest(f"The output is larger than {limit} bytes.", param="output", code="tool_output_too_large")
    check_output(call, item, request.translation_options)


def _about_body(error: InvalidRequest) -> InvalidRequest:
    """An error about the item of the output, as one about the body that it was made of."""
    prefix = f"{ITEM_PATH}."
    error.param = (error.param or "").removeprefix(prefix) or None
    error.message = error.message.replace(prefix, "")
    return error


async def _admitted() -> None:
    """The host has let the client in already."""
