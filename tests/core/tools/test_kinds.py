"""What holds for every kind of tool; and that a new kind is one class and one entry in a list."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.request.options import TranslationOptions
from responses_shim.core.tools.arguments import write_arguments
from responses_shim.core.tools.base import Declaration, ParsedCallBuilder, ToolKind, ToolSummaries
from responses_shim.core.tools.kinds import KINDS, ToolKinds
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.events import Event
from responses_shim.core.wire.large_json import Text
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.responses import BaseItem, ItemStatus
from responses_shim.core.wire.validation import required_string
from tests.core.driver import Json
from tests.core.prepared import prepared
from tests.core.tools.declared import (
    APPLY_PATCH,
    CUSTOM,
    EVERY,
    LOCAL_SHELL,
    SEARCH,
    SHELL,
    F,
    call,
    call_item,
    function,
    functions,
    item,
    names,
    past_arguments,
    tool_map,
)


def test_every_kind_is_in_these_tests() -> None:
    assert {kind.tool_type for kind in KINDS} == EVERY.keys()


def test_every_kind_is_found_by_its_declarations_its_calls_and_their_outputs() -> None:
    for kind in KINDS:
        assert KINDS.by_tool_type[kind.tool_type] is kind
        assert KINDS.by_call_type[kind.call_type] is kind
        assert KINDS.by_output_type[kind.output_type] is kind


# Declarations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(EVERY.keys() - {"function"}))
def test_a_function_that_is_made_here_describes_its_parameters(kind: str) -> None:
    """A chat template shows the model nothing else."""
    parameters = function(EVERY[kind])["parameters"]
    assert parameters["type"] == "object"
    assert set(parameters["required"]) <= parameters["properties"].keys()
    assert all({"description", "enum"} & field.keys() for field in parameters["properties"].values())


BUILT_IN = {"shell": "shell_call", "local_shell": "local_shell_call", "apply_patch": "apply_patch_call"}


@pytest.mark.parametrize("kind", [*BUILT_IN, "tool_search"])
def test_a_tool_that_the_api_defines_is_described_here(kind: str) -> None:
    assert len(function(EVERY[kind])["description"]) > 20


@pytest.mark.parametrize("kind", BUILT_IN)
def test_a_tool_that_the_api_defines_is_a_function_whose_calls_are_items_of_their_own(kind: str) -> None:
    tool = {"type": kind}
    tools, report = tool_map([F, tool])
    assert names(tools) == ["f", kind]
    assert functions(tools)[1]["parameters"]["type"] == "object"
    assert functions(tools)[1]["strict"] is True  # or vLLM lets a model write anything into the arguments
    assert item(tools, kind)["type"] == BUILT_IN[kind]
    assert tools.echo[1] == tool
    assert report == 'mapped=("tools[1]")'


@pytest.mark.parametrize("kind", EVERY)
def test_a_declaration_becomes_the_same_function_every_time(kind: str) -> None:
    assert msgspec.json.encode(function(EVERY[kind])) == msgspec.json.encode(function(EVERY[kind]))


# Calls ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "begins"),
    [
        (F, {"type": "function_call", "id": "fc_1", "name": "f", "arguments": ""}),
        (CUSTOM, {"type": "custom_tool_call", "id": "ctc_1", "name": "c", "input": ""}),
        (SEARCH, {"type": "tool_search_call", "id": "tsc_1", "execution": "client", "arguments": {}}),
        (
            LOCAL_SHELL,
            {"type": "local_shell_call", "id": "lsh_1", "action": {"type": "exec", "command": [], "env": {}}},
        ),
        (
            SHELL,
            {
                "type": "shell_call",
                "id": "sh_1",
                "action": {"commands": [], "timeout_ms": None, "max_output_length": None},
                "environment": None,
            },
        ),
        (
            APPLY_PATCH,
            {"type": "apply_patch_call", "id": "apc_1", "operation": {"type": "update_file", "path": "", "diff": ""}},
        ),
    ],
)
def test_a_call_opens_empty_and_in_progress(tool: Json, begins: Json) -> None:
    assert call(tool, "{}")[0]["item"] == {**begins, "call_id": "call_1", "status": "in_progress"}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBER = st.integers(0, 10**6)
ARGUMENTS: dict[str, st.SearchStrategy[Json]] = {
    "function": st.dictionaries(TEXT, TEXT, max_size=3),
    "custom": st.fixed_dictionaries({"input": TEXT}),
    "tool_search": st.dictionaries(TEXT, TEXT | NUMBER, max_size=3),
    "local_shell": st.fixed_dictionaries(
        {"command": st.lists(TEXT)}, optional={"timeout_ms": NUMBER, "working_directory": TEXT}
    ),
    "shell": st.fixed_dictionaries(
        {"commands": st.lists(TEXT)}, optional={"timeout_ms": NUMBER, "max_output_length": NUMBER}
    ),
    "apply_patch": st.one_of(
        st.fixed_dictionaries({"type": st.sampled_from(["create_file", "update_file"]), "path": TEXT, "diff": TEXT}),
        st.fixed_dictionaries({"type": st.just("delete_file"), "path": TEXT}),
    ),
}


@given(st.sampled_from(sorted(EVERY)), st.data())
def test_a_past_call_is_shown_as_it_was_made(kind: str, data: st.DataObject) -> None:
    arguments = data.draw(ARGUMENTS[kind])
    done = call_item(EVERY[kind], json.dumps(arguments))
    shown = past_arguments(done["type"], **{key: value for key, value in done.items() if key != "type"})
    assert json.loads(shown) == arguments
    assert call_item(EVERY[kind], shown) == done


COMPLETE: dict[str, str] = {
    "function": '{"a": "bcd"}',
    "custom": '{"input": "abc\\n\\u00e9def"}',
    "shell": '{"commands": ["rm -r /tmp/a"], "timeout_ms": 10}',
    "local_shell": '{"command": ["rm", "-r", "/tmp/a"]}',
    "apply_patch": '{"type": "update_file", "path": "a", "diff": "-x"}',
    "tool_search": '{"query": "mail"}',
}


@given(st.sampled_from(sorted(EVERY)), st.text(max_size=40), st.lists(st.integers(0, 40), max_size=4), st.data())
def test_however_the_arguments_are_split_the_call_is_the_same(
    kind: str, text: str, edges: list[int], data: st.DataObject
) -> None:
    tool = EVERY[kind]
    raw = data.draw(st.sampled_from([text, COMPLETE[kind], COMPLETE[kind] + text, '{"input": "' + text]))
    status: ItemStatus = data.draw(st.sampled_from(["completed", "incomplete"]))
    edges = sorted(min(edge, len(raw)) for edge in edges)
    pieces = [raw[start:end] for start, end in zip([0, *edges], [*edges, len(raw)], strict=True)]
    events, in_one_piece = call(tool, pieces, status), call(tool, raw, status)
    assert events[-1]["item"] == in_one_piece[-1]["item"]
    streamed: dict[int, list[Any]] = {}
    for event in events:
        if event["type"].endswith(".delta"):
            streamed.setdefault(event.get("command_index", 0), []).append(event["delta"])
    done = events[-1]["item"]
    value = done.get("input") if "input" in done else done.get("arguments", "") if tool is F else None
    values = done["action"]["commands"] if tool is SHELL else [value] if value is not None else []
    assert ["".join(streamed.get(index, [])) for index in range(len(values))] == values


# A new kind ----------------------------------------------------------------------------------------------------------


class ClockCallItem(BaseItem, tag="clock_call", kw_only=True):
    call_id: str
    zone: str


class ClockCallBuilder(ParsedCallBuilder):
    prefix = "clk"

    def item(self, status: ItemStatus) -> Any:
        return ClockCallItem(id=self.id, call_id=self.call_id, zone=self._parsed.get("zone", "UTC"), status=status)


class ClockKind(ToolKind):
    """A made-up kind: a clock that the client reads for the model."""

    tool_type = "clock"
    call_type = "clock_call"
    output_type = "clock_call_output"
    builder = ClockCallBuilder

    def read_declaration(self, tool: Json, path: str) -> Declaration:
        zones = {"type": "string", "enum": tool["zones"]}
        return Declaration({"name": "clock", "parameters": {"type": "object", "properties": {"zone": zones}}})

    def past_arguments(self, item: Json, path: str) -> Text:
        return write_arguments({"zone": required_string(item, "zone", path)})

    def read_output(self, item: Json, path: str, tools: ToolSummaries) -> str:
        return f"It is {required_string(item, 'time', path)}."


WITH_CLOCKS = ToolKinds(*KINDS, ClockKind())
CLOCK: Json = {"type": "clock", "zones": ["UTC", "CET"]}


def test_a_new_kind_is_offered_and_can_be_chosen() -> None:
    tools, report = tool_map([F, CLOCK], {"type": "clock"}, kinds=WITH_CLOCKS)
    offered = functions(tools)[1]
    assert (offered["name"], offered["parameters"]["properties"]["zone"]["enum"]) == ("clock", ["UTC", "CET"])
    assert tools.chat_params()["tool_choice"] == {"type": "function", "function": {"name": "clock"}}
    assert (tools.echo[1], tools.choice.echo) == (CLOCK, {"type": "clock"})
    assert report == 'mapped=("tools[1]" "tool_choice")'


def test_a_call_of_a_new_kind_is_an_item_of_its_own() -> None:
    tools = ToolMap([CLOCK], None, None, Report(), kinds=WITH_CLOCKS)
    builder = tools.open("clock", lambda prefix: f"{prefix}_1", 0, count(), "call_1")
    events: list[Event] = []
    builder.add_arguments('{"zone": ', events)
    builder.add_arguments('"CET"}', events)
    done = msgspec.to_builtins(builder.close("completed", events))
    assert done == {"type": "clock_call", "id": "clk_1", "call_id": "call_1", "zone": "CET", "status": "completed"}


def test_past_calls_of_a_new_kind_and_their_outputs_become_messages() -> None:
    made = prepared(
        options=TranslationOptions(tool_kinds=WITH_CLOCKS),
        tools=[CLOCK],
        input=[
            {"role": "user", "content": "What time is it?"},
            {"type": "clock_call", "call_id": "call_1", "zone": "CET"},
            {"type": "clock_call_output", "call_id": "call_1", "time": "noon"},
        ],
    )
    _, asked, answered = made.chat["messages"]
    (made_call,) = asked["tool_calls"]
    assert made_call["function"] == {"name": "clock", "arguments": '{"zone": "CET"}'}
    assert answered == {"role": "tool", "tool_call_id": "call_1", "content": "It is noon."}
    assert made.response.tools == [CLOCK]


def test_a_kind_that_is_not_in_the_list_is_left_out() -> None:
    tools, report = tool_map([F, CLOCK])
    assert (names(tools), report) == (["f"], 'dropped=("tools[1]")')
