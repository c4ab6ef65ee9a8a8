"""References to stored items in the input of a request: `{"type": "item_reference", "id": "msg_…"}`."""

from __future__ import annotations

from typing import Any

import msgspec

from responses_shim.core.request.messages import Item
from responses_shim.core.wire.validation import missing, quoted, wrong_type
from responses_shim.errors import InvalidRequest
from responses_shim.runtime.client_store import ClientStore
from responses_shim.runtime.offload import ITEM_COST, offload_if_large


def is_reference(item: Item) -> bool:
    """Whether an item stands for a stored one: by its type, or because it has an id and nothing else."""
    kind = item.get("type")
    return kind == "item_reference" or (kind is None and "id" in item and item.keys() <= {"id", "type"})


async def dereferenced(store: ClientStore, items: list[Item]) -> list[Item]:
    """The items, stored ones in the place of references to them. Raises InvalidRequest that names one that is none."""

    def find() -> dict[int, Any]:
        return {index: item.get("id") for index, item in enumerate(items) if is_reference(item)}

    references = await offload_if_large(len(items) * ITEM_COST, find)
    if not references:
        return items
    for index, id in references.items():
        if not isinstance(id, str):
            raise missing(f"input[{index}].id") if id is None else wrong_type(f"input[{index}].id", "a string")
    found = await store.find_items({id for id in references.values() if isinstance(id, str)})
    resolved = list(items)
    for index, id in references.items():
        if id not in found:
            raise InvalidRequest(
                f"Item with id {quoted(id)} not found.", status=404, param=f"input[{index}].id", code="item_not_found"
            )
        resolved[index] = msgspec.json.decode(found[id])
    return resolved
