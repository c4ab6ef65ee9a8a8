"""Outputs that are posted to a response which waits for them, and its next round, which begins with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from responses_shim.core.request.messages import Item, declared_tools, to_messages
from responses_shim.core.request.options import TranslationOptions
from responses_shim.core.tools.choice import without_force
from responses_shim.core.tools.kinds import KINDS
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.requests import CreateRequest
from responses_shim.core.wire.validation import check_depth

ITEM_PATH = "input[0]"
"""The path of the output item in the errors of `check_output`."""


def output_item(call: Item, output: Any, status: str | None) -> Item:
    """The input item for the output of a call, which is an item of the response. It is not checked.

        {"type": "function_call", "call_id": "a", …},       "4"  →  {"type": "function_call_output", "call_id": "a",
                                                                     "output": "4"}
        {"type": "apply_patch_call", "call_id": "a", …}, "Done"  →  {"type": "apply_patch_call_output", "call_id": "a",
                                                                     "status": "completed", "output": "Done"}

    `status` is that of a patch: `completed`, the default, or `failed`.
    """
    kind = KINDS.by_call_type[call["type"]]
    return {"type": kind.output_type, "call_id": call["call_id"], **kind.posted_output(output, status)}


def check_output(call: Item, item: Item, options: TranslationOptions) -> None:
    """Raise InvalidRequest that names the part or the field if an output item could not be shown to the model."""
    check_depth(item, ITEM_PATH)
    items = [(call, "call"), (item, ITEM_PATH)]
    report = Report()
    tools = ToolMap(None, None, None, report, declared_tools(items), options.tool_kinds)
    to_messages(None, items, tools, report, options)


def next_round_request(request: CreateRequest, items: Sequence[Item]) -> CreateRequest:
    """The request of a further round, with the items of the rounds before it behind the input.

    A `tool_choice` that forces a call has done so in the first round.
    """
    sent = [{"role": "user", "content": request.input}] if isinstance(request.input, str) else request.input
    return replace(request, input=[*sent, *items], tool_choice=without_force(request.tool_choice))
