"""Tools as a request declares them, and what becomes of them: functions, calls, past calls, outputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count, pairwise
from typing import Any

import msgspec
import pytest

from responses_shim.core.tools.base import ToolSummaries
from responses_shim.core.tools.kinds import KINDS, ToolKinds
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.events import ALLOWED_AFTER, Event
from responses_shim.core.wire.large_json import plain
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.responses import ItemStatus
from responses_shim.errors import InvalidRequest
from tests.core.driver import Json, event_json
from tests.oracle import check_error, check_event, check_item

F: Json = {"type": "function", "name": "f"}
G: Json = {"type": "function", "name": "g"}
CUSTOM: Json = {"type": "custom", "name": "c"}
SHELL: Json = {"type": "shell"}
LOCAL_SHELL: Json = {"type": "local_shell"}
APPLY_PATCH: Json = {"type": "apply_patch"}
SEARCH: Json = {"type": "tool_search", "execution": "client"}
WEB: Json = {"type": "web_search", "search_context_size": "low"}
LATER: Json = {**F, "defer_loading": True, "description": "Does f"}

EVERY: dict[str, Json] = {tool["type"]: tool for tool in (F, CUSTOM, SHELL, LOCAL_SHELL, APPLY_PATCH, SEARCH)}
"""One tool of each kind."""
PARSED = [SHELL, LOCAL_SHELL, APPLY_PATCH, SEARCH]
"""Those whose calls are made of their parsed arguments."""


def in_namespace(name: str, *tools: Json, **fields: Any) -> Json:
    return {"type": "namespace", "name": name, "tools": list(tools), **fields}


def custom(name: str, **fields: Any) -> Json:
    return {"type": "custom", "name": name, **fields}


def in_input(*tools: Json) -> list[tuple[Json, str]]:
    """Tools that an item of the input declares, as `messages.declared_tools` finds them."""
    return [(tool, f"input[0].tools[{index}]") for index, tool in enumerate(tools)]


# Declarations --------------------------------------------------------------------------------------------------------


def tool_map(
    tools: Any = None,
    choice: Any = None,
    parallel: bool | None = None,
    from_input: Iterable[tuple[Json, str]] = (),
    kinds: ToolKinds = KINDS,
) -> tuple[ToolMap, str]:
    """The tools of a request, and the report."""
    report = Report()
    return ToolMap(tools, choice, parallel, report, from_input, kinds), report.header()


def refusal(tools: Any, choice: Any = None, from_input: Iterable[tuple[Json, str]] = ()) -> InvalidRequest:
    """The error about tools, or about the choice of one."""
    with pytest.raises(InvalidRequest) as caught:
        tool_map(tools, choice, from_input=from_input)
    check_error(caught.value.body())
    return caught.value


def functions(tools: ToolMap) -> list[Json]:
    """What the host is offered."""
    return [tool["function"] for tool in tools.chat_params().get("tools", [])]


def names(tools: ToolMap) -> list[str]:
    return [function["name"] for function in functions(tools)]


def function(tool: Json) -> Json:
    """What the host is offered for a single tool."""
    (only,) = functions(tool_map([tool])[0])
    return only


# Calls ---------------------------------------------------------------------------------------------------------------


def item(tools: ToolMap, name: str) -> Json:
    """A call of the function `name`, as the item that it opens with."""
    builder = tools.open(name, lambda prefix: f"{prefix}_1", 0, count(), "call_1")
    opened: Json = msgspec.to_builtins(builder.item("in_progress"))
    return opened


def identity(tools: ToolMap, name: str) -> tuple[str, str | None, str]:
    """Type, namespace and name that a call of the function `name` comes back with."""
    opened = item(tools, name)
    return opened["type"], opened.get("namespace"), opened["name"]


def call(tool: Json, pieces: Sequence[str] | str, status: ItemStatus = "completed") -> list[Json]:
    """The events of one call whose arguments come in these pieces: each valid, and in an order that may be."""
    tools, _ = tool_map([tool])
    (name,) = tools.names()
    builder = tools.open(name, lambda prefix: f"{prefix}_1", 0, count(), "call_1")
    events: list[Event] = []
    builder.open(events)
    for piece in [pieces] if isinstance(pieces, str) else pieces:
        builder.add_arguments(piece, events)
    builder.close(status, events)
    assert all(type(after) in ALLOWED_AFTER[type(before)] for before, after in pairwise(events))
    payloads = [event_json(event) for event in events]
    for payload in payloads:
        check_event(payload)
    check_item(payloads[-1]["item"])
    return payloads


def call_item(tool: Json, arguments: str, status: ItemStatus = "completed") -> Json:
    """The item that a call becomes."""
    done: Json = call(tool, arguments, status)[-1]["item"]
    return done


def types(events: Sequence[Json]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


# Past calls and their outputs ----------------------------------------------------------------------------------------


def past_arguments(call_type: str, **fields: Any) -> str:
    """The arguments of a past call, as the host is shown them again."""
    item = {"type": call_type, "call_id": "call_1", **fields}
    return plain(KINDS.by_call_type[call_type].past_arguments(item, "input[3]"))


def refused_call(call_type: str, **fields: Any) -> tuple[str | None, str | None]:
    """The field that a past call is refused for, and the code of the error."""
    with pytest.raises(InvalidRequest) as caught:
        past_arguments(call_type, **fields)
    return _below("input[3].", caught.value)


def output(output_type: str, among: ToolSummaries | None = None, **fields: Any) -> Any:
    """What the model is shown of an output, in a request with these tools."""
    item = {"type": output_type, "call_id": "call_1", **fields}
    return KINDS.by_output_type[output_type].read_output(item, "input[1]", among or tool_map()[0])


def refused_output(output_type: str, **fields: Any) -> tuple[str | None, str | None]:
    """The field that an output is refused for, and the code of the error."""
    with pytest.raises(InvalidRequest) as caught:
        output(output_type, **fields)
    return _below("input[1].", caught.value)


def _below(path: str, error: InvalidRequest) -> tuple[str | None, str | None]:
    check_error(error.body())
    assert error.param is not None
    assert error.param.startswith(path)
    return error.param.removeprefix(path), error.code
