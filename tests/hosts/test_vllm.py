"""The profile of vLLM: what its chat route reads is sent, in its own terms, and nothing that it ignores."""

from __future__ import annotations

import copy
from argparse import Namespace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.request.options import TranslationOptions
from responses_shim.core.response.call_space import CallSpaceFilter
from responses_shim.core.wire.report import Report
from responses_shim.hosts import HostProfile
from responses_shim.hosts.vllm import ENGINE_FIELDS, PROFILE, Server, for_server, server_of
from responses_shim.hosts.vllm_schema import is_plain_schema
from tests.core.driver import Json
from tests.core.prepared import prepare_body
from tests.hosts.test_llama_cpp import REQUESTS

# The fields of `ChatCompletionRequest` in vLLM 0.32. It ignores any other.
READ = {
    *("add_generation_prompt", "add_special_tokens", "allowed_token_ids", "bad_words", "cache_salt", "chat_template"),
    *("chat_template_kwargs", "continue_final_message", "documents", "ec_transfer_params", "echo"),
    *("frequency_penalty", "ignore_eos", "include_reasoning", "include_stop_str_in_output", "kv_transfer_params"),
    *("length_penalty", "logit_bias", "logprob_token_ids", "logprobs", "max_completion_tokens", "max_tokens"),
    *("media_io_kwargs", "messages", "min_p", "min_tokens", "mm_payload", "mm_processor_kwargs", "model", "n"),
    *("parallel_tool_calls", "presence_penalty", "priority", "prompt_logprobs", "reasoning_effort"),
    *("repetition_detection", "repetition_penalty", "request_id", "response_format", "return_mm_kwargs"),
    *("return_prompt_text", "return_token_ids", "return_token_offsets", "return_tokens_as_token_ids"),
    *("routed_experts_prompt_start", "seed", "session_id", "skip_special_tokens", "spaces_between_special_tokens"),
    *("stop", "stop_token_ids", "stream", "stream_interval", "stream_options", "structured_outputs", "temperature"),
    *("thinking_token_budget", "tool_choice", "tools", "top_k", "top_logprobs", "top_p", "truncate_prompt_tokens"),
    *("truncation_side", "use_beam_search", "user", "vllm_xargs", "watermarking"),
}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}


def profile(**arguments: Any) -> HostProfile:
    """The profile of a server that was started with these arguments."""
    given = {"enable_auto_tool_choice": True, "tool_strict_level": "auto", **arguments}
    return for_server(SimpleNamespace(state=SimpleNamespace(args=Namespace(**given))))


def tool(name: str = "look", **function: Any) -> Json:
    return {"type": "function", "function": {"name": name, "parameters": SCHEMA, **function}}


def adapted(chat: Json, host: HostProfile = PROFILE) -> tuple[Json, str]:
    """The chat request as the host gets it, and the report."""
    chat = {"model": "m", "messages": [], "stream": True, "stream_options": {"include_usage": True}, **chat}
    before = copy.deepcopy(chat)
    report = Report()
    report.tools = [f"tools[{index}]" for index in range(len(chat.get("tools", ())))]
    changed = host.adapt(chat, report)
    assert chat == before
    assert changed.keys() <= READ
    return changed, report.header()


# Fields --------------------------------------------------------------------------------------------------------------


def test_the_engines_own_fields_are_among_those_that_vllm_reads() -> None:
    assert {"prompt_cache_key", "service_tier"} == ENGINE_FIELDS - READ


@given(st.sampled_from(sorted(ENGINE_FIELDS - {"prompt_cache_key", "service_tier"})), st.integers())
def test_the_engines_own_fields_go_on_as_they_are(name: str, value: int) -> None:
    changed, report = adapted({name: value})
    assert (changed[name], report) == (value, "")


def test_a_cache_key_becomes_the_salt_of_the_prefix_cache() -> None:
    changed, report = adapted({"prompt_cache_key": "a1"})
    assert (changed["cache_salt"], report) == ("a1", 'mapped=("prompt_cache_key")')


def test_a_salt_that_the_client_has_chosen_itself_counts_before_the_cache_key() -> None:
    assert adapted({"prompt_cache_key": "a1", "cache_salt": "mine"})[0]["cache_salt"] == "mine"


def test_the_tiers_are_priorities_in_the_order_of_their_speed() -> None:
    """With vLLM the lower number goes first, and 0 is the default."""
    host = profile(scheduling_policy="priority")
    tiers = ["ultrafast", "fast", "priority", "scale", "default", "flex"]
    priorities = [adapted({"service_tier": tier}, host)[0].get("priority", 0) for tier in tiers]
    assert priorities == sorted(set(priorities))
    assert adapted({"service_tier": "flex"}, host)[1] == 'mapped=("service_tier")'
    assert adapted({"service_tier": "default"}, host) == adapted({}, host)


def test_a_tier_is_no_priority_where_none_are_heeded() -> None:
    for host in (PROFILE, profile(scheduling_policy="fcfs")):
        assert adapted({"service_tier": "flex"}, host) == adapted({}, host)


def test_a_priority_that_the_client_has_chosen_itself_counts_before_the_tier() -> None:
    assert adapted({"service_tier": "flex", "priority": 3}, profile(scheduling_policy="priority"))[0]["priority"] == 3


def test_what_vllm_does_not_read_is_left_out_and_reported() -> None:
    changed, report = adapted({"verbosity": "low", "user": "ann"})
    assert report == 'dropped=("text.verbosity" "user")'
    assert "verbosity" not in changed


def test_the_effort_goes_on_for_vllm_derives_the_templates_switch_from_it() -> None:
    assert adapted({"reasoning_effort": "none"})[0]["reasoning_effort"] == "none"


def test_null_content_beside_calls_becomes_an_empty_string() -> None:
    message = {"role": "assistant", "content": None, "reasoning": "Hm.", "tool_calls": [{"id": "a"}]}
    user = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
    assert adapted({"messages": [user, message]})[0]["messages"] == [user, {**message, "content": ""}]


@given(REQUESTS)
def test_no_request_has_a_field_that_vllm_does_not_read(request: Json) -> None:
    prepared = prepare_body(request, options=PROFILE.policy)
    assert PROFILE.adapt(prepared.chat, prepared.report).keys() <= READ


# Strict tools and formats --------------------------------------------------------------------------------------------


def test_strict_is_forwarded() -> None:
    """Without it vLLM lets the model write anything into the arguments."""
    assert adapted({"tools": [tool(strict=True), tool(strict=False)]})[0]["tools"] == [
        tool(strict=True),
        tool(strict=False),
    ]


def test_beside_a_format_the_first_tool_is_made_strict_since_vllm_composes_both_only_then() -> None:
    changed, report = adapted(
        {"tools": [tool("a"), tool("b")], "response_format": FORMAT}, profile(tool_call_parser="hermes")
    )
    assert changed["tools"] == [tool("a", strict=True), tool("b")]
    assert report == 'mapped=("tools[0].strict")'


@pytest.mark.parametrize(
    "chat",
    [
        {"tools": [tool("a"), tool("b", strict=True)], "response_format": FORMAT},
        {"tools": [tool()], "response_format": FORMAT, "tool_choice": "none"},
        {"tools": [tool()], "response_format": FORMAT, "tool_choice": "required"},
        {"tools": [tool()]},
        {"response_format": FORMAT},
    ],
    ids=["one is strict", "no call", "forced", "no format", "no tools"],
)
def test_no_tool_is_made_strict_where_it_makes_no_difference(chat: Json) -> None:
    changed, report = adapted(chat, profile(tool_call_parser="hermes"))
    assert (changed.get("tools"), report) == (chat.get("tools"), "")


@pytest.mark.parametrize(
    "arguments", [{"tool_call_parser": "glm47"}, {"tool_call_parser": "hermes", "tool_strict_level": "function"}]
)
def test_no_tool_is_made_strict_where_vllm_composes_with_any(arguments: Json) -> None:
    host = profile(**arguments)
    assert host.policy.composes_format == "always"
    assert adapted({"tools": [tool()], "response_format": FORMAT}, host)[0]["tools"] == [tool()]


def test_a_tool_with_a_schema_that_the_grammar_does_not_know_is_not_made_strict() -> None:
    odd = tool("odd", parameters={"type": "object", "patternProperties": {"^a": {}}})
    host = profile(tool_call_parser="hermes")
    chat = {"tools": [odd, tool()], "response_format": FORMAT}
    assert adapted(chat, host)[0]["tools"] == [odd, tool(strict=True)]
    assert adapted({**chat, "tools": [odd]}, host)[0]["tools"] == [odd]  # where the operator has it `constrain`


def composes(host: HostProfile, tools: list[Json], schema: Json | None) -> bool:
    policy: TranslationOptions = host.policy
    return policy.composes_format == "always" and policy.can_compose(tools, schema)


@pytest.mark.parametrize("parser", ["hermes", "openai", "deepseek_v41", "kimi_k2", "llama3_json"])
def test_calls_and_a_format_are_composed_by_the_parsers_that_can(parser: str) -> None:
    host = profile(tool_call_parser=parser)
    assert composes(host, [tool()], SCHEMA)
    assert composes(host, [tool()], None)
    assert not composes(host, [tool()], {"type": "object", "patternProperties": {}})
    assert not composes(host, [tool(parameters={"pattern": "a"})], SCHEMA)


@pytest.mark.parametrize("parser", ["mistral", "pythonic", "granite", "seed_oss", "somebody's own", None])
def test_calls_and_a_format_are_not_composed_by_the_others(parser: str | None) -> None:
    assert not composes(profile(tool_call_parser=parser), [tool()], SCHEMA)


def test_they_are_not_composed_where_it_is_not_known_how_the_server_was_started() -> None:
    for app in (None, object(), SimpleNamespace(state=SimpleNamespace())):
        assert not composes(for_server(app), [tool()], SCHEMA)


def test_they_are_not_composed_where_calls_are_not_parsed() -> None:
    assert not composes(profile(tool_call_parser="hermes", enable_auto_tool_choice=False), [tool()], SCHEMA)


@pytest.mark.parametrize(("value", "enforces"), [("0", False), ("false", False), ("1", True), ("True", True)])
def test_they_are_not_composed_where_the_operator_has_switched_it_off(value: str, enforces: bool) -> None:
    app = SimpleNamespace(
        state=SimpleNamespace(args=Namespace(enable_auto_tool_choice=True, tool_call_parser="hermes"))
    )
    assert server_of(app, {"VLLM_ENFORCE_STRICT_TOOL_CALLING": value}).composes is enforces


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        SCHEMA,
        {"$defs": {"a": {"type": ["string", "null"]}}, "properties": {"pattern": {"$ref": "#/$defs/a"}}},
        {"type": "array", "items": {"anyOf": [{"enum": [1, "a"]}, {"const": None}]}, "minItems": 1},
        {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
    ],
)
def test_plain_schemas(schema: Any) -> None:
    assert is_plain_schema(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^a"},
        {"type": "string", "format": "idn-email"},
        {"type": "array", "uniqueItems": True},
        {"properties": {"a": {"multipleOf": 2}}},
        {"items": {"allOf": [{"type": "string"}, {"enum": ["a"]}]}},
        {"anyOf": [{"not": {}}]},
        {"additionalProperties": {"propertyNames": {}}},
        {"items": [{}]},
        {"properties": []},
        "a text",
    ],
)
def test_schemas_that_are_not_plain(schema: Any) -> None:
    assert not is_plain_schema(schema)


# The server ----------------------------------------------------------------------------------------------------------


def test_several_processes_are_counted() -> None:
    assert profile(api_server_count=4).processes == 4
    assert profile(api_server_count=None).processes == profile().processes == for_server(None).processes == 1


def test_the_answer_is_not_streamed_where_only_then_it_has_the_experts() -> None:
    host = profile(enable_return_routed_experts=True)
    asked = {"return_token_ids": True}
    changed, _ = adapted(asked, host)
    assert (changed["stream"], "stream_options" in changed) == (False, False)
    assert adapted({}, host)[0]["stream"] is True
    assert adapted(asked, profile())[0]["stream"] is True


@pytest.mark.parametrize(
    ("parser", "filtered"), [("hermes", True), ("deepseek_v32", True), ("kimi_k2", False), (None, False)]
)
def test_white_space_before_calls_is_taken_out_where_the_template_puts_it(parser: str | None, filtered: bool) -> None:
    made = profile(tool_call_parser=parser).make_filter({"tools": [tool()]})
    assert isinstance(made, CallSpaceFilter) is filtered
    assert profile(tool_call_parser=parser).make_filter({}) is None


def test_a_server_that_is_not_known_has_the_profile_of_any_vllm() -> None:
    assert server_of(None, {}) == Server()
    chat = {"tools": [tool()], "response_format": FORMAT}
    assert adapted(chat, for_server(None)) == adapted(chat) == (adapted(chat)[0], "")
