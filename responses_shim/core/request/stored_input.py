"""Input items as they are stored, and as `input_items` and conversations show them.

Each has an id and a type, and the content of a message is a list of parts:

    "Hi"                                →  {"type": "message", "role": "user", "id": "msg_…", "status": "completed",
                                            "content": [{"type": "input_text", "text": "Hi"}]}
    {"role": "user", "content": "Hi"}   →  the same
    {"type": "function_call_output",    →  the same with "id": "fco_…"
     "call_id": "a", "output": "4"}

Nothing else is changed, so that a stored item is translated as the one that was sent: the model's prompt of the next
turn begins with that of this one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Any

from responses_shim.core.request.messages import REFUSED_ITEMS, ROLES, Item, type_by_shape
from responses_shim.core.tools.kinds import KINDS
from responses_shim.core.wire.validation import bad_value, check_depth, missing, quoted, unsupported, wrong_type
from responses_shim.errors import InvalidRequest

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")

_PREFIXES = {
    "message": "msg",
    "agent_message": "msg",
    "reasoning": "rs",
    **{call: kind.builder.prefix for call, kind in KINDS.by_call_type.items()},
    **{output: f"{kind.builder.prefix}o" for output, kind in KINDS.by_output_type.items()},
}


def stored_input(
    items: str | Iterable[Item], new_id: Callable[[str], str], taken: Container[str] = ()
) -> Iterator[tuple[str, Item]]:
    """The id of each input item, and the item as it is stored, one after the other: together they may be large.

    `new_id` gives an id for a prefix. An item keeps its own id, unless that is no string, is empty, is among those that
    are `taken`, or an earlier item has it.
    """
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    known: set[str] = set()
    for item in items:
        kind = item.get("type") or type_by_shape(item) or "message"
        id = item.get("id")
        if not isinstance(id, str) or not id or id in taken or id in known:
            id = new_id(_PREFIXES.get(kind, "item") if isinstance(kind, str) else "item")
        known.add(id)
        yield id, _completed(item, kind, id)


def check_items(items: Sequence[Item], path: str) -> None:
    """Raise InvalidRequest if an item could never be part of a request: it is named as `items[0]`, if that is `path`.

    Calls and their outputs may come in different requests, so whether they belong together is seen later.
    """
    for index, item in enumerate(items):
        own = f"{path}[{index}]"
        kind, id = item.get("type") or type_by_shape(item), item.get("id")
        if kind is None:
            raise missing(f"{own}.type")
        if not isinstance(kind, str):
            raise wrong_type(f"{own}.type", "a string")
        if kind in REFUSED_ITEMS:
            raise unsupported(f"{own}.type", f"items of type {quoted(kind)}: {REFUSED_ITEMS[kind]}")
        if kind == "message" and item.get("role") not in ROLES:
            raise bad_value(f"{own}.role", item.get("role"), ROLES) if "role" in item else missing(f"{own}.role")
        if kind == "message" and not isinstance(item.get("content"), (str, list)):
            raise missing(f"{own}.content")
        if id is not None and not (isinstance(id, str) and _ID.fullmatch(id)):
            prefix = _PREFIXES.get(kind, "item")
            raise InvalidRequest(
                f"Invalid '{own}.id': {quoted(id)}. Expected an ID that begins with '{prefix}'.",
                param=f"{own}.id",
                code="invalid_value",
            )
        check_depth(item, own)


def _completed(item: Item, kind: Any, id: str) -> Item:
    """The item with its type and id, and for a message with a status and its content as parts."""
    completed = {"type": kind, **item, "id": id}
    completed["type"] = kind
    if kind == "message":
        completed.setdefault("status", "completed")
        if isinstance(item.get("content"), str):
            part = {"type": "output_text", "text": item["content"], "annotations": []}
            if item.get("role") != "assistant":
                part = {"type": "input_text", "text": item["content"]}
            completed["content"] = [part]
    return completed
