"""A request prepared for a run: the chat request, with history before its input, and the response object."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest

from responses_shim.core.request.options import DEFAULT_OPTIONS, TranslationOptions
from responses_shim.errors import InvalidRequest
from responses_shim.hosts import PROFILES
from tests.core.driver import Json
from tests.core.prepared import body, prepare_body, prepared
from tests.oracle import check_error, check_response
from tests.shapes import NEVER_NULL, NULLABLE


def refusal(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        prepared(**fields)
    check_error(caught.value.body())
    assert caught.value.status == 400
    return caught.value


F: Json = {"type": "function", "name": "f"}


def nested(depth: int) -> Json:
    value: Json = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (lambda deep: {"input": [{"role": deep, "content": "x"}]}, "input[0].role"),
        (lambda deep: {"input": [{"role": "user", "content": [{"type": deep}]}]}, "input[0].content[0].type"),
    ],
)
def test_what_is_nested_deep_is_quoted_in_a_few_words(fields: Any, param: str) -> None:
    error = refusal(**fields(nested(950)))
    assert error.param == param
    assert len(error.message) < 400


# The chat request ----------------------------------------------------------------------------------------------------


def test_all_parts_of_the_request_make_one_chat_request() -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    made = prepared(instructions="Be brief.", temperature=0.5, tools=[tool], tool_choice="auto")
    assert made.chat == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": "auto",
    }
    assert made.report.header() == ""


@pytest.mark.parametrize("name", [[], {}, 7, None, ""])
def test_a_tool_without_a_name_is_a_400(name: Any) -> None:
    """A list in its place once got as far as a set, which was a 500."""
    assert refusal(tools=[{"type": "function", "name": name}]).param == "tools[0].name"


@pytest.mark.parametrize("context", [None, "auto", "all_turns", "current_turn"])
def test_the_client_says_which_past_reasoning_is_shown(context: str | None) -> None:
    items = [
        {"role": "user", "content": "One?"},
        {"type": "reasoning", "content": "Old."},
        {"role": "assistant", "content": "One."},
        {"role": "user", "content": "Two?"},
        {"type": "reasoning", "content": "New."},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
    ]
    made = prepared(input=items, reasoning={"context": context})
    shown = [message["reasoning"] for message in made.chat["messages"] if "reasoning" in message]
    assert shown == (["New."] if context == "current_turn" else ["Old.", "New."])
    assert made.report.header() == ("" if context is None else 'mapped=("reasoning.context")')


@pytest.mark.parametrize("input", ["And now?", [{"role": "user", "content": "And now?"}]])
def test_history_comes_before_the_input(input: Any) -> None:
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    messages = prepared(history=history, input=input, instructions="Be brief.").chat["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[-1]["content"] == "And now?"
    assert len(history) == 2


def test_an_item_is_named_by_whether_it_is_of_the_history_or_of_the_input() -> None:
    good, bad = {"role": "user", "content": "Hi"}, {"role": "user", "content": 7}
    assert refusal(history=[good, bad], input="Hi").param == "history[1].content"
    assert refusal(history=[good, good], input=[good, bad]).param == "input[1].content"
    search = {"type": "additional_tools", "tools": [{"type": "function"}]}
    assert refusal(history=[good], input=[search]).param == "input[0].tools[0].name"


TOKENS = {"prompt_token_ids": [1], "generation_token_ids": [2], "generation_log_probs": [-0.5]}
EVERYTHING = body(
    instructions="Be brief.",
    input=[
        {"role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]},
        {"role": "user", "content": [{"type": "input_image", "image_url": {"url": "data:,", "detail": "low"}}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], **TOKENS},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Hi", "annotations": []}]},
        {"type": "shell_call", "call_id": "s", "action": {"commands": ["ls"]}},
        {"type": "function_call", "call_id": "a", "name": "f", "namespace": "n", "arguments": "{}"},
        {"type": "tool_search_call", "call_id": "t", "arguments": {"query": ["x"]}},
        {
            "type": "function_call_output",
            "call_id": "a",
            "output": [{"type": "input_image", "image_url": "data:,"}, {"type": "input_text", "text": "4"}],
        },
        {"type": "tool_search_output", "call_id": "t", "tools": [{"type": "function", "name": "g"}]},
        {"type": "additional_tools", "role": "developer", "tools": [{"type": "custom", "name": "c"}]},
    ],
    tools=[
        {
            "type": "namespace",
            "name": "n",
            "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        },
        {"type": "function", "function": {"name": "h", "parameters": {"$schema": "x", "properties": {"a": {}}}}},
        {"type": "shell"},
        {"type": "web_search", "filters": {"allowed_domains": ["a"]}},
    ],
    tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "h"}]},
    text={"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}},
    metadata={"k": "v"},
    prompt_cache_options={"mode": "explicit"},
)


@pytest.mark.parametrize(
    "options", [DEFAULT_OPTIONS, TranslationOptions(tool_images="tool", system_messages="keep", replay_tokens=True)]
)
def test_the_request_and_the_history_are_not_changed(options: TranslationOptions) -> None:
    """Interceptors read it afterwards, the echo is made of it, and it will be stored."""
    request, history = (
        copy.deepcopy(EVERYTHING),
        [{"role": "user", "content": [{"type": "input_text", "text": "Before."}]}],
    )
    before = copy.deepcopy(history)
    made = prepare_body(request, history=history, options=options)
    for profile in PROFILES.values():
        profile.adapt(made.chat, made.report)
    assert (request, history) == (EVERYTHING, before)


# The response object -------------------------------------------------------------------------------------------------


def echo(**fields: Any) -> Json:
    """The response object of a request as it begins."""
    response: Json = json.loads(msgspec.json.encode(prepared(**fields).response))
    check_response(response)
    return response


def test_a_new_response_has_every_key_with_its_default() -> None:
    response = echo()
    assert response.keys() >= NEVER_NULL | NULLABLE
    assert response == {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "completed_at": None,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": "m",
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "conversation": None,
        "prompt": None,
        "prompt_cache_key": None,
        "prompt_cache_retention": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
    }


ECHOED: Json = {
    "instructions": "Be brief.",
    "max_output_tokens": 9,
    "max_tool_calls": 3,
    "parallel_tool_calls": False,
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "prompt_cache_options": {"mode": "explicit", "ttl": "12h"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "safety_identifier": "s",
    "temperature": 0.0,
    "text": {"format": {"type": "json_object"}, "verbosity": "low"},
    "tool_choice": "none",
    "top_logprobs": 5,
    "top_p": 0.0,
    "presence_penalty": -1.0,
    "frequency_penalty": 2.0,
    "truncation": "auto",
    "user": "u",
    "metadata": {"k": "v"},
}


@pytest.mark.parametrize("field", ECHOED)
def test_what_the_client_asked_for_is_echoed(field: str) -> None:
    assert echo(**{field: ECHOED[field]}) == {**echo(), field: ECHOED[field]}


def test_a_schema_is_echoed_with_all_its_fields() -> None:
    answer_format = {
        "type": "json_schema",
        "name": "city",
        "schema": {"type": "object"},
        "strict": True,
        "description": "A city",
    }
    assert echo(text={"format": answer_format})["text"]["format"] == answer_format


@pytest.mark.parametrize("options", [{}, {"mode": None, "ttl": None}, {"prewarm": False, "later": {"a": [1]}}])
def test_cache_options_are_echoed_with_all_their_fields(options: Json) -> None:
    assert echo(prompt_cache_options=options)["prompt_cache_options"] == {"mode": "implicit", "ttl": "30m"}


def test_the_old_name_of_summary_is_echoed_under_the_new_one() -> None:
    assert echo(reasoning={"generate_summary": "concise"})["reasoning"] == {"effort": None, "summary": "concise"}


@pytest.mark.parametrize(("field", "asked"), [("service_tier", "flex")])
def test_what_this_server_does_not_have_is_echoed_as_its_default(field: str, asked: Any) -> None:
    assert echo(**{field: asked}) == echo()
    assert f'defaulted=("{field}")' in prepared(**{field: asked}).report.header()
