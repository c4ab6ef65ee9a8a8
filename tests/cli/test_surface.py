"""The tables of what is supported: complete by OpenAI's own types, and true by sending each row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from openai.types.responses import (
    ResponseCreateParams,
    ResponseIncludable,
    ResponseInputContentParam,
    ResponseInputItemParam,
    ResponseStreamEvent,
    ResponseTextConfigParam,
    ToolParam,
    response_create_params,
)
from openai.types.shared_params import Reasoning
from typing_extensions import is_typeddict

from responses_shim.cli.surface import SURFACE, VERDICTS, Row, markdown
from responses_shim.core.wire.requests import CreateRequest
from responses_shim.errors import InvalidRequest
from tests.core.prepared import prepared

FIELDS, ITEMS, PARTS, TOOLS, CHOICES, EVENTS = SURFACE.values()


def names(rows: list[Row]) -> set[str]:
    return {row.name for row in rows}


def literals(kind: Any) -> Iterator[str]:
    """The strings that a type allows, through unions, optionals and Required."""
    if get_origin(kind) is Literal:
        yield from (value for value in get_args(kind) if isinstance(value, str))
    else:
        for inner in get_args(kind):
            yield from literals(inner)


def tags(union: Any) -> Iterator[str]:
    """The `type` of each member of a union of TypedDicts or models."""
    if hasattr(union, "model_fields"):
        yield from literals(union.model_fields["type"].annotation)
    elif is_typeddict(union):
        yield from literals(get_type_hints(union, include_extras=True)["type"])
    else:
        for member in get_args(union):
            yield from tags(member)


# Complete ----------------------------------------------------------------------------------------------------------


def test_every_field_of_the_sdk_and_of_ours_is_told() -> None:
    listed = {re.split(r"[.:]", name)[0] for name in names(FIELDS)}
    of_sdk = {key for member in get_args(ResponseCreateParams) for key in get_type_hints(member)}
    assert of_sdk - listed == set()
    assert set(CreateRequest.__struct_fields__) - listed == set()
    assert listed - of_sdk - set(CreateRequest.__struct_fields__) == {"client_metadata", "anything else"}


def test_every_part_of_reasoning_and_text_and_every_include_is_told() -> None:
    for prefix, shape in (("reasoning", Reasoning), ("text", ResponseTextConfigParam)):
        assert {f"{prefix}.{key}" for key in get_type_hints(shape)} <= names(FIELDS)
    assert {f"include: {name}" for name in literals(ResponseIncludable)} <= names(FIELDS)
    options = get_type_hints(response_create_params.StreamOptions)
    assert {f"stream_options.{key}" for key in options} <= names(FIELDS)


def test_every_item_is_told() -> None:
    # An item_reference may leave its type out.
    assert set(tags(ResponseInputItemParam)) | {"anything else"} == names(ITEMS)


def test_every_content_part_is_told() -> None:
    assert set(tags(ResponseInputContentParam)) | {"input_audio", "input_video", "refusal", "anything else"} == names(
        PARTS
    )


def test_every_tool_is_told() -> None:
    assert set(tags(ToolParam)) - {"computer_use"} <= names(TOOLS)


def test_every_choice_is_told() -> None:
    hints = get_type_hints(response_create_params.ResponseCreateParamsBase, include_extras=True)
    choice = hints["tool_choice"]
    assert set(choices(choice)) == names(CHOICES)


def choices(kind: Any) -> Iterator[str]:
    if is_typeddict(kind):
        yield from tags(kind)
    elif get_origin(kind) is Literal:
        yield from get_args(kind)
    else:
        for inner in get_args(kind):
            yield from choices(inner)


def test_every_event_is_told() -> None:
    assert set(tags(ResponseStreamEvent)) | {"response.ping"} == names(EVENTS)


def test_nothing_is_told_twice() -> None:
    for rows in SURFACE.values():
        assert len(names(rows)) == len(rows)
        assert {row.verdict for row in rows} <= set(VERDICTS)


# True --------------------------------------------------------------------------------------------------------------

SAMPLES: dict[str, Any] = {
    "instructions": "Be brief.",
    "stream": True,
    "stream_options.include_obfuscation": True,
    "temperature": 0.5,
    "top_p": 0.5,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "max_output_tokens": 16,
    "max_tool_calls": 3,
    "parallel_tool_calls": False,
    "text.format": {"type": "json_object"},
    "text.verbosity": "low",
    "reasoning.effort": "max",
    "reasoning.summary": "auto",
    "reasoning.generate_summary": "auto",
    "reasoning.context": "current_turn",
    "reasoning.mode": "pro",
    "top_logprobs": 2,
    "truncation": "auto",
    "metadata": {"a": "b"},
    "store": True,
    "user": "u",
    "safety_identifier": "s",
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "prompt_cache_options": {"mode": "implicit"},
    "service_tier": "flex",
    "return_token_ids": True,
    "tool_outputs": "wait",
    "access_programs": {},
    "image": {},
    "client_metadata": {},
    "previous_response_id": "resp_1",
    "conversation": "conv_1",
    "background": True,
    "prompt": {"id": "p"},
    "context_management": [{"type": "compaction"}],
    "moderation": {"model": "m"},
    "generate": False,
    "seed": 7,
    "stop": "END",
    "top_k": 20,
    "min_p": 0.1,
    "repetition_penalty": 1.1,
    "prompt_cache_options.prewarm": True,
}
SHIMS_OWN = {  # done by the shim itself: nothing of it is in the chat request
    "stream",
    "stream_options.include_obfuscation",
    "reasoning.summary",
    "reasoning.generate_summary",
    "reasoning.context",
    "include: reasoning.encrypted_content",
    "metadata",
    "tool_outputs",
    "store",
    "previous_response_id",
    "conversation",
    "background",
}
UNREPORTED = {  # no host could have done anything, or does by itself what the field is for
    *("safety_identifier", "access_programs", "image", "client_metadata"),
    "prompt_cache_key",
}
STRUCTURAL = {"model", "input", "tools", "tool_choice", "anything else"}
FUNCTION = {"type": "function", "name": "f", "parameters": {}}


def sample(row: Row) -> dict[str, Any]:
    if row.name.startswith("include: "):
        return {"include": [row.name.removeprefix("include: ")]}
    outer, _, inner = row.name.partition(".")
    value = SAMPLES[row.name]
    return {outer: {inner: value} if inner else value}


@pytest.mark.parametrize("row", [row for row in FIELDS if row.name not in STRUCTURAL], ids=str)
def test_a_field_is_what_the_table_says(row: Row) -> None:
    fields = sample(row)
    if row.verdict == "refused":
        with pytest.raises(InvalidRequest) as caught:
            prepared(**fields)
        assert caught.value.param == row.name
        return
    tools = [FUNCTION] if row.name == "parallel_tool_calls" else []
    plain, made = prepared(tools=tools), prepared(tools=tools, **fields)
    changed = made.chat != plain.chat
    assert changed == (row.verdict in ("honoured", "mapped") and row.name not in SHIMS_OWN)
    report = made.report.header()
    if row.verdict == "mapped":
        assert report.startswith("mapped=(") or row.name.startswith(("include", "instructions"))
    elif row.verdict == "accepted" and row.name not in UNREPORTED:
        assert report.startswith(("dropped=(", "defaulted=("))


@pytest.mark.parametrize("name", ["safety_identifier", "prompt_cache_key", "prompt_cache_retention", "metadata"])
def test_what_is_said_to_be_echoed_is(name: str) -> None:
    assert getattr(prepared(**{name: SAMPLES[name]}).response, name) == SAMPLES[name]


@pytest.mark.parametrize("row", [row for row in ITEMS if row.verdict != "mapped"], ids=str)
def test_an_item_that_says_nothing_to_a_host_is_what_the_table_says(row: Row) -> None:
    items = [{"role": "user", "content": "Hi"}, {"type": row.name, "id": "x_1"}]
    if row.verdict == "refused":
        with pytest.raises(InvalidRequest) as caught:
            prepared(input=items)
        assert caught.value.param == "input[1].type"
        assert row.note in caught.value.message
        return
    made = prepared(input=items)
    assert made.chat["messages"] == [{"role": "user", "content": "Hi"}]
    assert made.report.header() == 'dropped=("input[1]")'


@pytest.mark.parametrize("row", [row for row in ITEMS if row.verdict == "mapped"], ids=str)
def test_an_item_that_is_mapped_is_asked_for_what_it_lacks(row: Row) -> None:
    """None of them is passed over: an empty one is a 400 about one of its own fields, or says nothing."""
    items = [{"role": "user", "content": "Hi"}, {"type": row.name}]
    if row.name == "reasoning":
        assert len(prepared(input=items).chat["messages"]) == 1
        return
    with pytest.raises(InvalidRequest) as caught:
        prepared(input=items)
    assert (caught.value.param or "").startswith("input[1].")


TOOL_SAMPLES = {
    "function": FUNCTION,
    "custom": {"type": "custom", "name": "f"},
    "namespace": {"type": "namespace", "name": "n", "description": "", "tools": [FUNCTION]},
    "tool_search": {"type": "tool_search", "execution": "client"},
}


@pytest.mark.parametrize("row", TOOLS, ids=str)
def test_a_tool_is_what_the_table_says(row: Row) -> None:
    tool = TOOL_SAMPLES.get(row.name, {"type": row.name})
    if row.verdict == "refused":
        with pytest.raises(InvalidRequest) as caught:
            prepared(tools=[tool])
        assert caught.value.param == "tools[0].type"
        return
    made = prepared(tools=[tool])
    assert len(made.chat.get("tools", [])) == (row.verdict == "mapped")
    assert (made.report.header() == 'dropped=("tools[0]")') == (row.verdict == "accepted")


CHOICE_SAMPLES: dict[str, Any] = {
    **{mode: mode for mode in ("none", "auto", "required")},
    "function": {"type": "function", "name": "f"},
    "custom": {"type": "custom", "name": "c"},
    "allowed_tools": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
}


@pytest.mark.parametrize("row", CHOICES, ids=str)
def test_a_choice_is_what_the_table_says(row: Row) -> None:
    tools = [FUNCTION, {"type": "custom", "name": "c"}, {"type": "shell"}, {"type": "apply_patch"}]
    choice = CHOICE_SAMPLES.get(row.name, {"type": row.name, "server_label": "s"})
    if row.verdict == "refused":
        with pytest.raises(InvalidRequest) as caught:
            prepared(tools=tools, tool_choice=choice)
        assert (caught.value.param or "").startswith("tool_choice")
        return
    chat = prepared(tools=tools, tool_choice=choice).chat
    if row.name == "allowed_tools":
        assert len(chat["tools"]) == 1
    elif row.verdict == "honoured":
        assert chat["tool_choice"] == row.name
    else:
        assert chat["tool_choice"]["function"]["name"] == {"function": "f", "custom": "c"}.get(row.name, row.name)


def test_the_tables_are_markdown() -> None:
    text = markdown()
    assert all(f"### {heading}\n" in text for heading in SURFACE)
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == sum(len(table) for table in SURFACE.values())
    assert all(line.count("|") == 4 for line in rows)
