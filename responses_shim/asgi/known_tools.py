"""Decodes the body of a create request, without its tools if an earlier request has had the same.

    {"model": "m", "tools": […], "input": "Hi"}    only {"model": "m", "tools": null, "input": "Hi"} is decoded

The list is then the one that was decoded, checked and translated before: see `core.request.tool_lists`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from responses_shim.asgi.body import decode_json, split_fields
from responses_shim.asgi.large_request import parse_large_request
from responses_shim.core.request.tool_lists import ToolList, ToolLists
from responses_shim.core.wire.requests import CreateRequest
from responses_shim.errors import InvalidRequest
from responses_shim.runtime.offload import INLINE_LIMIT
from responses_shim.settings import Settings

Result = TypeVar("Result")

_NULL = Raw(b"null")


async def decode_request(
    body: bytes | bytearray,
    settings: Settings,
    admit: Callable[[], Awaitable[None]],
    known: ToolLists,
    read: Callable[[Any, int], Result],
    engine_fields: frozenset[str] = frozenset(),
) -> tuple[Result, ToolList | None]:
    """What `read` makes of a body's JSON data and its size, and the body's tools, if other requests may share them.

    As `decode_json`. Of a body of more than `INLINE_LIMIT` bytes values may be left out that are neither of the API's
    fields nor of `engine_fields`: see `parse_large_request`.

    Tools that come for the second time are among the `known` lists from then on. Not those of such a body, nor what is
    no array of objects. In the size, tools that were known count with their bytes alone.
    """
    if len(body) > INLINE_LIMIT:
        parse = partial(parse_large_request, read=engine_fields.union(CreateRequest.__struct_fields__))
        return await decode_json(body, settings, admit, read, parse=parse), None
    fields = _fields_with_tools(body) if len(body) <= _largest(settings) else None
    if fields is None:
        return await decode_json(body, settings, admit, read), None
    tools_json = bytes(fields["tools"])
    tool_list = known.find(tools_json)
    if tool_list is None and not known.is_repeated(tools_json):
        return await decode_json(body, settings, admit, read), None
    if tool_list is None:
        result, tool_list, size = await decode_json(body, settings, admit, partial(_read_new, read))
        if tool_list is not None:
            known.add(tools_json, tool_list, size)
        return result, tool_list
    fields["tools"] = _NULL
    # A text, as instructions are, has no nodes and no numbers.
    counted = msgspec.json.encode({name: value for name, value in fields.items() if not _is_text(value)})
    read_known = partial(_read_known, read, tool_list, len(tools_json))
    try:
        result = await decode_json(msgspec.json.encode(fields), settings, admit, read_known, counted)
    except InvalidRequest:
        return await decode_json(body, settings, admit, read), None  # raises the same, with the complete body in view
    return result, tool_list


def _read_new(read: Callable[[Any, int], Result], data: Any, size: int) -> tuple[Result, ToolList | None, int]:
    """What `read` makes of a body whose tools were not known, these as a list, and the size of the body."""
    tools = data["tools"]
    return read(data, size), ToolList(tools) if all(isinstance(tool, dict) for tool in tools) else None, size


def _read_known(read: Callable[[Any, int], Result], tools: ToolList, tools_size: int, data: Any, size: int) -> Result:
    """What `read` makes of a body of which all but the tools has been decoded."""
    data["tools"] = tools.tools
    return read(data, size + tools_size)


def _largest(settings: Settings) -> int:
    """The largest body, in bytes, of which known tools are left out: it keeps the limits whatever is in these bytes.

    So two parts of it that are checked one by one keep them together too.
    """
    return min(INLINE_LIMIT, settings.max_text, settings.max_nodes, settings.max_values)


def _fields_with_tools(body: bytes | bytearray) -> dict[str, Raw] | None:
    """The JSON of each field of a body; None if it has no array of tools, or is no JSON object."""
    try:
        fields = split_fields(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return fields if bytes(fields.get("tools", b"")).startswith(b"[") else None


def _is_text(json: Raw) -> bool:
    """Whether the JSON of a value is a string."""
    return memoryview(json)[0] == ord('"')
