"""Decodes the body of a create request, without its tools if an earlier request has had the same.

    {"model": "m", "tools": […], "input": "Hi"}    only {"model": "m", "tools": null, "input": "Hi"} is decoded

The list is then the one that was decoded, checked and translated before: see `core.request.tool_lists`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from responses_shim.asgi.body import decode_json
from responses_shim.core.request.tool_lists import ToolList, ToolLists
from responses_shim.errors import InvalidRequest
from responses_shim.runtime.offload import INLINE_LIMIT
from responses_shim.settings import Settings

_split = msgspec.json.Decoder(dict[str, Raw]).decode
_NULL = Raw(b"null")


async def decode_request(
    body: bytes | bytearray, settings: Settings, known: ToolLists
) -> tuple[Any, int, ToolList | None]:
    """A body as JSON data, how large it is to work on, and its tools, which are among the `known` lists from now on.

    There is no list for a body without tools, with tools that are no array of objects, or of more than `INLINE_LIMIT`
    bytes. In the size, tools that were known count with their bytes alone.

    Raises InvalidRequest as `decode_json`.
    """
    fields = _fields_with_tools(body) if len(body) <= _largest(settings) else None
    if fields is None:
        return *await decode_json(body, settings), None
    tools_json = bytes(fields["tools"])
    tool_list = known.find(tools_json)
    if tool_list is None:
        data, size = await decode_json(body, settings)
        if all(isinstance(tool, dict) for tool in data["tools"]):
            tool_list = ToolList(data["tools"])
            known.add(tools_json, tool_list, size)
        return data, size, tool_list
    try:
        data, size = await decode_json(msgspec.json.encode({**fields, "tools": _NULL}), settings)
    except InvalidRequest:
        return *await decode_json(body, settings), None  # raises the same, with the complete body in view
    data["tools"] = tool_list.tools
    return data, size + len(tools_json), tool_list


def _largest(settings: Settings) -> int:
    """The largest body, in bytes, of which known tools are left out: it keeps the limits whatever is in these bytes.

    So two parts of it that are checked one by one keep them together too.
    """
    return min(INLINE_LIMIT, settings.max_text, settings.max_nodes, settings.max_values)


def _fields_with_tools(body: bytes | bytearray) -> dict[str, Raw] | None:
    """The JSON of each field of a body; None if it has no array of tools, or is no JSON object."""
    try:
        fields = _split(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return fields if bytes(fields.get("tools", b"")).startswith(b"[") else None
