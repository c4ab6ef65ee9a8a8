"""The scalar request fields as chat parameters."""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim.core.params import chat_params, text_echo, wants_logprobs
from responses_shim.core.report import Report
from responses_shim.core.request import read_request
from responses_shim.core.types import CreateRequest
from tests.core.pipeline import Json


def read(**fields: Any) -> CreateRequest:
    return read_request({"model": "m", "input": "Hi", **fields})


ALWAYS: Json = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}


def params(**fields: Any) -> tuple[Json, str]:
    """What is sent besides what always is, and the report."""
    report = Report()
    chat = chat_params(read(**fields), report)
    assert {key: chat[key] for key in ALWAYS} == ALWAYS
    return {key: value for key, value in chat.items() if key not in ALWAYS}, report.header()


def test_the_host_is_always_asked_to_stream_and_to_count() -> None:
    assert params() == ({}, "")
    assert params(stream=False) == ({}, "")


@pytest.mark.parametrize(
    ("field", "value"),
    [("temperature", 0.0), ("top_p", 0.0), ("presence_penalty", -1.0), ("frequency_penalty", 0.0), ("user", "u")],
)
def test_what_has_the_same_name_is_passed_on_even_if_it_is_zero(field: str, value: Any) -> None:
    assert params(**{field: value}) == ({field: value}, "")
    assert params(**{field: None}) == ({}, "")


def test_the_token_limit_has_its_chat_name() -> None:
    assert params(max_output_tokens=9) == ({"max_completion_tokens": 9}, 'mapped=("max_output_tokens")')


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
def test_the_reasoning_effort_has_its_chat_name(effort: str) -> None:
    assert params(reasoning={"effort": effort}) == ({"reasoning_effort": effort}, 'mapped=("reasoning.effort")')


@pytest.mark.parametrize(
    ("fields", "top"),
    [
        ({"top_logprobs": 3}, 3),
        ({"include": ["message.output_text.logprobs"]}, 0),
        ({"include": ["message.output_text.logprobs"], "top_logprobs": 2}, 2),
    ],
)
def test_logprobs_are_asked_for_in_either_way(fields: Json, top: int) -> None:
    assert wants_logprobs(read(**fields))
    assert params(**fields) == ({"logprobs": True, "top_logprobs": top}, "")


@pytest.mark.parametrize("fields", [{}, {"top_logprobs": 0}, {"include": []}, {"include": None}])
def test_logprobs_are_not_asked_for_otherwise(fields: Json) -> None:
    assert not wants_logprobs(read(**fields))
    assert params(**fields) == ({}, "")


# Formats -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [{}, {"format": None}, {"format": {"type": "text"}}])
def test_plain_text_is_no_response_format(text: Json) -> None:
    assert params(text=text) == ({}, "")


def test_json_is_a_response_format() -> None:
    expected = {"response_format": {"type": "json_object"}}
    assert params(text={"format": {"type": "json_object"}}) == (expected, 'mapped=("text.format")')


def test_a_schema_is_nested_with_what_was_said_of_it() -> None:
    schema = {"type": "object", "properties": {}}
    short = {"type": "json_schema", "name": "city", "schema": schema}
    long = {**short, "strict": False, "description": "A city"}
    for form in (short, long):
        inner = {name: value for name, value in form.items() if name != "type"}
        expected = {"response_format": {"type": "json_schema", "json_schema": inner}}
        assert params(text={"format": form}) == (expected, 'mapped=("text.format")')


def test_the_echo_of_text_always_has_a_format() -> None:
    assert text_echo(read()) == {"format": {"type": "text"}}
    assert text_echo(read(text={"verbosity": "low"})) == {"format": {"type": "text"}, "verbosity": "low"}
    assert text_echo(read(text={"format": {"type": "json_object"}})) == {"format": {"type": "json_object"}}


# What has no effect --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "report"),
    [
        ({"truncation": "auto"}, 'dropped=("truncation")'),
        ({"text": {"verbosity": "low"}}, 'dropped=("text.verbosity")'),
        (
            {"reasoning": {"summary": "auto", "generate_summary": "auto", "context": "auto", "mode": "pro"}},
            'dropped=("reasoning.summary" "reasoning.generate_summary" "reasoning.context" "reasoning.mode")',
        ),
        ({"max_tool_calls": 3}, 'dropped=("max_tool_calls")'),
        ({"stream_options": {"include_obfuscation": True}}, 'dropped=("stream_options.include_obfuscation")'),
        ({"prompt_cache_key": "k"}, 'dropped=("prompt_cache_key")'),
        ({"prompt_cache_retention": "24h"}, 'dropped=("prompt_cache_retention")'),
        ({"service_tier": "flex"}, 'defaulted=("service_tier")'),
        ({"store": True}, 'defaulted=("store")'),
        (
            {"include": ["reasoning.encrypted_content", "code_interpreter_call.outputs"]},
            'dropped=("include[0]" "include[1]")',
        ),
    ],
)
def test_what_changes_nothing_is_reported(fields: Json, report: str) -> None:
    assert params(**fields) == ({}, report)


@pytest.mark.parametrize(
    "fields",
    [
        {"truncation": "disabled"},
        {"text": {"verbosity": None}},
        {"reasoning": {}},
        {"stream_options": {"include_obfuscation": False}},
        {"stream_options": {}},
        {"service_tier": "auto"},
        {"service_tier": "default"},
        {"store": False},
        {"metadata": {"k": "v"}},
        {"safety_identifier": "s"},
    ],
)
def test_what_asks_for_what_is_anyway_is_not_reported(fields: Json) -> None:
    assert params(**fields) == ({}, "")
