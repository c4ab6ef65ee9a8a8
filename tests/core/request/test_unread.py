"""The fields of a request that nobody reads, by their paths, at every depth."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from responses_shim.core.request.unread import MAX_KEY, MAX_PATHS, unread_fields
from responses_shim.core.wire.responses import OutputItem
from responses_shim.core.wire.tokens import Tokens
from tests.core.driver import Json
from tests.core.prepared import body, prepare_body
from tests.cpu_time import takes_less_than

PNG = "data:image/png;base64,AA=="


def unread(**fields: Any) -> list[str]:
    """What is unread of a request that is otherwise taken."""
    request = body(**fields)
    prepare_body(request)
    return unread_fields(request)


def user(*parts: Json, **fields: Any) -> Json:
    return {"role": "user", "content": list(parts), **fields}


@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        ({"logit_bias": {}, "client_metadata": {"a": 1}, "internal_x": 1, "later": None}, ["logit_bias", "internal_x"]),
        ({"reasoning": {"effort": "low", "max_tokens": 99}}, ["reasoning.max_tokens"]),
        ({"text": {"verbosity": "low", "later": 1}}, ["text.later"]),
        ({"text": {"format": {"type": "json_object", "schema": {}}}}, ["text.format.schema"]),
        (
            {"text": {"format": {"type": "json_schema", "name": "a", "schema": {"x": 1}, "later": 1}}},
            ["text.format.later"],
        ),
        ({"stream_options": {"include_usage": True, "later": 1}}, ["stream_options.later"]),
        ({"metadata": {"a": "b"}, "prompt_cache_options": {"mode": "implicit"}}, []),
    ],
    ids=lambda case: str(case)[:60],
)
def test_fields_of_the_request(fields: Json, paths: list[str]) -> None:
    assert unread(**fields) == paths


@pytest.mark.parametrize(
    ("tool", "paths"),
    [
        (
            {"type": "function", "name": "f", "parameters": {"x": 1}, "output_schema": {}, "async": True},
            ["output_schema", "async"],
        ),
        (
            {"type": "function", "function": {"name": "f", "output_schema": {}}, "strict": True},
            ["function.output_schema", "strict"],
        ),
        (
            {"type": "custom", "name": "c", "format": {"type": "text", "later": 1}, "later": 1},
            ["format.later", "later"],
        ),
        ({"type": "custom", "custom": {"name": "c", "later": 1}}, ["custom.later"]),
        (
            {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f", "later": 1}], "later": 1},
            ["tools[0].later", "later"],
        ),
        (
            {"type": "shell", "environment": {"type": "local", "skills": []}, "later": 1},
            ["environment.skills", "later"],
        ),
        ({"type": "tool_search", "execution": "client", "later": 1}, ["later"]),
        ({"type": "apply_patch", "later": 1}, ["later"]),
        ({"type": "web_search", "filters": {}}, []),
    ],
    ids=lambda case: str(case)[:60],
)
def test_fields_of_a_tool(tool: Json, paths: list[str]) -> None:
    """One that is left out as a whole is reported as a whole."""
    assert unread(tools=[tool]) == [f"tools[0].{path}" for path in paths]
    item = {"type": "additional_tools", "role": "developer", "tools": [tool]}
    assert unread(input=[user(), item]) == [f"input[1].tools[0].{path}" for path in paths]


def test_fields_of_a_choice() -> None:
    tools = [{"type": "function", "name": "f"}]
    assert unread(tools=tools, tool_choice={"type": "function", "name": "f", "later": 1}) == ["tool_choice.later"]
    nested = {"type": "function", "function": {"name": "f", "later": 1}}
    assert unread(tools=tools, tool_choice=nested) == ["tool_choice.function.later"]
    assert unread(tools=tools, tool_choice={"type": "allowed_tools", "tools": tools, "mode": "auto"}) == []


@pytest.mark.parametrize(
    ("part", "paths"),
    [
        (
            {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
            ["prompt_cache_breakpoint"],
        ),
        ({"type": "output_text", "text": "a", "annotations": [{}], "logprobs": []}, []),
        ({"type": "input_image", "image_url": PNG, "file_id": "file_1"}, ["file_id"]),
        (
            {"type": "input_image", "image_url": {"url": PNG, "later": 1}, "video_url": PNG},
            ["image_url.later", "video_url"],
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "", "format": "wav", "later": 1}, "audio_url": "data:,"},
            ["input_audio.later", "audio_url"],
        ),
        ({"type": "input_image", "image_url": PNG, "file_id": None}, []),
        ({"type": "hologram", "data": "AA=="}, []),
    ],
    ids=lambda case: str(case)[:60],
)
def test_fields_of_a_content_part(part: Json, paths: list[str]) -> None:
    """A second source of an image is one that is not looked at."""
    call = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "a", "output": [part]}
    where = [f"input[0].content[0].{path}" for path in paths] + [f"input[2].output[0].{path}" for path in paths]
    assert unread(input=[user(part), call, output]) == where


@pytest.mark.parametrize(
    ("item", "paths"),
    [
        (user(name="Ann", id="msg_1", status="completed"), ["name"]),
        (
            {"role": "assistant", "content": "a", "phase": "commentary", "reasoning_content": "b", "name": "Bob"},
            ["name"],
        ),
        (
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "a", "type": "function", "index": 0, "function": {"name": "f", "arguments": "", "later": 1}}
                ],
            },
            ["tool_calls[0].function.later"],
        ),
        (
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}", "async": True, "caller": None},
            ["async"],
        ),
        ({"call_id": "a", "name": "f", "arguments": "{}", "later": 1}, ["later"]),
        ({"type": "newer", "role": "user", "content": "a", "later": 1}, ["later"]),
        ({"type": "newer", "later": 1}, []),
        ({"type": "web_search_call", "id": "ws_1", "action": {}}, []),
        ({"type": "reasoning", "summary": [{"type": "summary_text", "text": "a", "later": 1}]}, ["summary[0].later"]),
        ({"type": "shell_call", "call_id": "a", "action": {"commands": [], "later": 1}}, ["action.later"]),
        ({"type": "agent_message", "author": "a", "recipient": "b", "content": [], "agent": {}}, ["agent"]),
    ],
    ids=lambda case: str(case)[:60],
)
def test_fields_of_an_item(item: Json, paths: list[str]) -> None:
    assert unread(input=[user(), item]) == [f"input[1].{path}" for path in paths]


@pytest.mark.parametrize("kind", get_args(OutputItem), ids=lambda kind: kind.__name__)
def test_nothing_that_the_shim_has_sent_is_unread_when_it_comes_back(kind: Any) -> None:
    item = {**dict.fromkeys(kind.__struct_fields__, 1), "type": kind.__struct_config__.tag, "role": "assistant"}
    paths = unread_fields({"input": [item]}, Tokens.__struct_fields__)
    assert paths in ([], ["input[0].role"])


def test_token_ids_are_read_where_they_are_wanted() -> None:
    items = [user(), {"role": "assistant", "content": "a", "prompt_token_ids": [1]}]
    assert unread(input=items) == ["input[1].prompt_token_ids"]
    assert unread_fields(body(input=items), Tokens.__struct_fields__) == []


# Size ----------------------------------------------------------------------------------------------------------------


def test_only_so_many_paths_are_collected() -> None:
    assert len(unread(input=[user(name="Ann")] * 1000)) == MAX_PATHS
    assert len(unread_fields({f"later_{number}": 1 for number in range(1000)})) == MAX_PATHS


def test_a_key_is_cut_where_nobody_reads_on() -> None:
    assert unread(**{"x" * MAX_KEY: 1, "y" * 1_000_000: 1}) == ["x" * MAX_KEY, "y" * MAX_KEY + "…"]
    assert unread(input=[user(**{"z" * 300: 1})]) == ["input[0]." + "z" * MAX_KEY + "…"]


def test_what_is_read_as_a_whole_may_be_nested_deeply() -> None:
    deep: Json = {}
    for _ in range(10_000):
        deep = {"a": deep}
    assert unread_fields({"input": [{"type": "newer", "x": deep}], "metadata": deep, "y": deep}) == ["y"]


def test_an_array_within_an_array_is_not_searched_however_deep() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    newer = {"type": "newer", "role": "user", "content": deep, "call_id": "a", "output": deep}
    assert unread_fields({"input": [newer]}) == ["input[0].call_id", "input[0].output"]


def test_the_time_is_linear() -> None:
    """It is taken for each request, before the host gets it. 20,000 items with a part each take some 50 ms."""
    items = [user({"type": "input_text", "text": "a"}) for _ in range(20_000)]
    assert unread_fields({"input": items}) == []
    assert takes_less_than(1, lambda: unread_fields({"input": items}))


def test_the_body_stays_as_it_was() -> None:
    request = body(input=[user(name="Ann")], reasoning={"later": 1})
    before = msgspec.json.encode(request)
    unread_fields(request)
    assert msgspec.json.encode(request) == before
