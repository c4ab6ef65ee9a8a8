"""The scalar request fields as chat parameters."""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim.core.request.params import chat_params, text_echo, wants_logprobs, wants_summary
from responses_shim.core.request.parse import parse_request
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.requests import CreateRequest
from tests.core.driver import Json
from tests.core.prepared import body, prepared


def read(**fields: Any) -> CreateRequest:
    return parse_request(body(**fields))


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
def test_a_field_of_the_same_name_is_passed_on_even_if_it_is_zero(field: str, value: Any) -> None:
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


@pytest.mark.parametrize(
    ("fields", "top", "by_id"),
    [
        ({}, 0, True),
        ({"top_logprobs": 2}, 2, False),
        ({"include": ["message.output_text.logprobs"]}, 0, False),
    ],
)
def test_token_ids_come_with_logprobs_and_replace_none_that_the_client_reads(
    fields: Json, top: int, by_id: bool
) -> None:
    expected = {
        "logprobs": True,
        "top_logprobs": top,
        "return_token_ids": True,
        "return_tokens_as_token_ids": by_id,
    }
    assert params(return_token_ids=True, **fields) == (expected, "")
    assert "return_token_ids" not in params(return_token_ids=False, **fields)[0]


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        (None, False),
        ({}, False),
        ({"effort": "low"}, False),
        ({"summary": None}, False),
        ({"summary": "auto"}, True),
        ({"generate_summary": "concise"}, True),
    ],
)
def test_a_summary_is_asked_for_by_either_name(config: Json | None, wanted: bool) -> None:
    assert wants_summary(read(reasoning=config)) is wanted


@pytest.mark.parametrize("fields", [{}, {"top_logprobs": 0}, {"include": []}, {"include": None}])
def test_logprobs_are_not_asked_for_otherwise(fields: Json) -> None:
    assert not wants_logprobs(read(**fields))
    assert params(**fields) == ({}, "")


# Text ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verbosity", ["low", "medium", "high"])
def test_the_verbosity_has_its_chat_name(verbosity: str) -> None:
    assert params(text={"verbosity": verbosity}) == ({"verbosity": verbosity}, 'mapped=("text.verbosity")')


@pytest.mark.parametrize("answer_format", ["text", "json_object"])
def test_the_format_of_the_answer_is_no_parameter(answer_format: str) -> None:
    """It depends on the tools: see `answer_format`."""
    assert params(text={"format": {"type": answer_format}}) == ({}, "")


def test_the_echo_of_text_always_has_a_format() -> None:
    assert text_echo(read()) == {"format": {"type": "text"}}
    assert text_echo(read(text={"verbosity": "low"})) == {"format": {"type": "text"}, "verbosity": "low"}
    assert text_echo(read(text={"format": {"type": "json_object"}})) == {"format": {"type": "json_object"}}


# What has no effect --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "report"),
    [
        ({"truncation": "auto"}, 'dropped=("truncation")'),
        ({"reasoning": {"summary": "auto", "context": "auto", "mode": "pro"}}, 'dropped=("reasoning.mode")'),
        ({"max_tool_calls": 3}, 'dropped=("max_tool_calls")'),
        ({"prompt_cache_retention": "24h"}, 'dropped=("prompt_cache_retention")'),
        ({"prompt_cache_options": {"mode": "explicit"}}, 'dropped=("prompt_cache_options")'),
        ({"service_tier": "flex"}, 'defaulted=("service_tier")'),
        (
            {"include": ["web_search_call.results", "reasoning.encrypted_content", "code_interpreter_call.outputs"]},
            'dropped=("include[0]" "include[2]")',
        ),
    ],
)
def test_a_field_without_effect_is_reported(fields: Json, report: str) -> None:
    assert params(**fields) == ({}, report)


@pytest.mark.parametrize(
    "fields",
    [
        {"truncation": "disabled"},
        {"text": {"verbosity": None}},
        {"reasoning": {}},
        {"reasoning": {"summary": "auto"}},
        {"reasoning": {"generate_summary": "detailed"}},
        {"stream_options": {"include_obfuscation": True}},
        {"stream_options": {}},
        {"service_tier": "auto"},
        {"service_tier": "default"},
        {"store": False},
        {"metadata": {"k": "v"}},
        {"safety_identifier": "s"},
        {"prompt_cache_key": "k"},
    ],
)
def test_a_field_that_asks_for_what_is_done_anyway_is_not_reported(fields: Json) -> None:
    assert params(**fields) == ({}, "")


def test_a_field_of_chat_hosts_only_is_passed_on_under_its_name() -> None:
    """Researchers fix a seed, and interceptors set what vLLM samples by."""
    fields: Json = {"seed": 7, "top_k": 20, "min_p": 0.1, "repetition_penalty": 1.1, "stop": ["a", "b"]}
    chat = prepared(**fields).chat
    assert {name: chat[name] for name in fields} == fields


def test_one_stop_is_a_list_of_one_and_none_is_none() -> None:
    def stop(given: Any) -> Any:
        return prepared(stop=given).chat.get("stop")

    assert stop("END") == ["END"]
    assert stop("") is stop([]) is stop(None) is None
