"""A request body: what is refused, by which path and in which words, and what is accepted."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from responses_shim.core.request.parse import check_strings, parse_request, refuse_state
from responses_shim.errors import InvalidRequest
from tests.core.driver import Json
from tests.core.prepared import body, prepare_body, prepared
from tests.oracle import check_error


def refusal(body: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        prepare_body(body)
    check_error(caught.value.body())
    assert caught.value.status == 400
    return caught.value


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [[], ["text"], "text", 1, None])
def test_a_body_that_is_no_object_has_no_field_with_a_string_too_long(body: Any) -> None:
    check_strings(body)
    assert refusal(body).code == "invalid_type"


@pytest.mark.parametrize("field", ["model", "input"])
def test_model_and_input_are_required(field: str) -> None:
    request = body()
    del request[field]
    error = refusal(request)
    assert error.message == f"Missing required parameter: '{field}'."
    assert (error.param, error.code) == (field, "missing_required_parameter")


def test_an_empty_model_is_missing() -> None:
    assert refusal(body(model="")).message == "Missing required parameter: 'model'."


@pytest.mark.parametrize("body", [None, [], "x", 7, True])
def test_a_body_is_an_object(body: Any) -> None:
    error = refusal(body)
    assert error.message.startswith("Invalid type for 'body': expected an object, but got ")
    assert (error.param, error.code) == (None, "invalid_type")


WRONG_TYPES: dict[str, Any] = {
    "model": 7,
    "input": 7,
    "input[0]": "x",
    "instructions": ["x"],
    "previous_response_id": 7,
    "conversation": 7,
    "store": "yes",
    "background": 1,
    "stream": "true",
    "stream_options": True,
    "stream_options.include_obfuscation": "no",
    "temperature": "1",
    "top_p": True,
    "presence_penalty": "x",
    "frequency_penalty": [],
    "max_output_tokens": 1.5,
    "max_tool_calls": "3",
    "parallel_tool_calls": 0,
    "tools": {},
    "tools[0]": "web_search",
    "tool_choice": 7,
    "text": "json",
    "text.format": "json",
    "text.format.type": 7,
    "text.verbosity": 1,
    "reasoning": "high",
    "reasoning.effort": 1,
    "include": "x",
    "include[0]": 7,
    "top_logprobs": "5",
    "truncation": False,
    "context_management": {},
    "metadata": [],
    "prompt": "x",
    "prompt_cache_key": 7,
    "prompt_cache_options": "explicit",
    "prompt_cache_options.mode": 7,
    "return_token_ids": 1,
    "reasoning.context": 7,
    "safety_identifier": 7,
    "user": 7,
    "service_tier": 7,
    "moderation": True,
}


def put(path: str, value: Any) -> Json:
    """A request with `value` at `path`, which has at most two steps below the top and ends of lists only."""
    name, _, rest = path.replace("[0]", ".0").partition(".")
    for step in reversed(rest.split(".") if rest else []):
        value = [value] if step == "0" else {step: value}
    return body(**{name: value})


@pytest.mark.parametrize("path", WRONG_TYPES)
def test_a_wrong_type_is_named_by_its_path(path: str) -> None:
    error = refusal(put(path, WRONG_TYPES[path]))
    assert (error.param, error.code) == (path, "invalid_type")
    assert error.message.startswith(f"Invalid type for '{path}': expected ")


@pytest.mark.parametrize(
    ("path", "supported"),
    [
        ("reasoning.effort", "'none', 'minimal', 'low', 'medium', 'high', 'xhigh' and 'max'"),
        ("reasoning.summary", "'auto', 'concise' and 'detailed'"),
        ("reasoning.generate_summary", "'auto', 'concise' and 'detailed'"),
        ("reasoning.context", "'auto', 'current_turn' and 'all_turns'"),
        ("reasoning.mode", "'standard' and 'pro'"),
        ("text.format.type", "'text', 'json_object' and 'json_schema'"),
        ("text.verbosity", "'low', 'medium' and 'high'"),
        ("truncation", "'auto' and 'disabled'"),
        ("prompt_cache_options.mode", "'implicit' and 'explicit'"),
        ("prompt_cache_options.ttl", "'30m' and '12h'"),
        ("prompt_cache_retention", "'in_memory', 'in-memory' and '24h'"),
        ("service_tier", "'auto', 'default', 'flex', 'scale', 'priority', 'fast' and 'ultrafast'"),
        ("tool_choice", "'none', 'auto' and 'required'"),
    ],
)
def test_an_unknown_value_is_answered_with_the_known_ones(path: str, supported: str) -> None:
    error = refusal(put(path, "blue"))
    assert error.message == f"Invalid value: 'blue'. Supported values are: {supported}."
    assert (error.param, error.code) == (path, "invalid_value")


def test_an_unknown_include_is_answered_with_the_known_ones() -> None:
    error = refusal(body(include=["reasoning.encrypted_content", "everything"]))
    assert error.param == "include[1]"
    assert "'message.output_text.logprobs'" in error.message


BOUNDS: dict[str, tuple[Any, Any]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "max_output_tokens": (1, 2**31 - 1),
    "max_tool_calls": (1, 2**31 - 1),
    "top_logprobs": (0, 20),
}


@pytest.mark.parametrize("field", BOUNDS)
def test_bounds_are_held(field: str) -> None:
    low, high = BOUNDS[field]
    for inside in (low, high):
        assert getattr(parse_request(body(**{field: inside})), field) == inside
    for outside in (low - 1, high + 1, 10**400):
        error = refusal(body(**{field: outside}))
        assert error.message.startswith(f"Invalid '{field}': ")
        assert (error.param, error.code) == (field, "invalid_value")


@pytest.mark.parametrize(
    ("metadata", "allowed"),
    [
        ({"k" * 64: "v" * 512}, True),
        ({str(number): "v" for number in range(16)}, True),
        ({"k" * 65: "v"}, False),
        ({"k": "v" * 513}, False),
        ({str(number): "v" for number in range(17)}, False),
    ],
)
def test_metadata_has_limits(metadata: dict[str, str], allowed: bool) -> None:
    if allowed:
        assert parse_request(body(metadata=metadata)).metadata == metadata
    else:
        assert refusal(body(metadata=metadata)).param == "metadata"


@pytest.mark.parametrize(("value", "named"), [(7, "an integer"), (None, "null"), ({}, "an object")])
def test_a_metadata_value_is_a_string(value: Any, named: str) -> None:
    error = refusal(body(metadata={"k": value}))
    assert error.message == f"Invalid type for 'metadata': expected a string, but got {named} instead."


def test_an_id_of_an_end_user_has_a_limit() -> None:
    assert parse_request(body(safety_identifier="s" * 128)).safety_identifier == "s" * 128
    error = refusal(body(safety_identifier="s" * 129))
    assert (error.param, error.code) == ("safety_identifier", "invalid_value")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"type": "json_schema"}, "text.format.name"),
        ({"type": "json_schema", "name": "a"}, "text.format.schema"),
        ({"type": "json_schema", "name": "", "schema": {}}, "text.format.name"),
        ({"type": "json_schema", "name": "a" * 65, "schema": {}}, "text.format.name"),
        ({"type": "json_schema", "name": "a", "schema": []}, "text.format.schema"),
        ({}, "text.format.type"),
    ],
)
def test_a_text_format_has_all_that_it_needs(fields: Json, param: str) -> None:
    assert refusal(body(text={"format": fields})).param == param


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", {"id": "pmpt_1"}),
        ("context_management", [{"type": "compaction"}]),
        ("moderation", {"model": "m"}),
    ],
)
def test_a_field_that_does_not_exist_here_is_refused_by_name(field: str, value: Any) -> None:
    error = refusal(body(**{field: value}))
    assert (error.param, error.code) == (field, "unsupported_parameter")
    assert error.message.startswith(f"Unsupported parameter: '{field}': ")
    assert ";" in error.message, "the message does not say what to do instead"


@pytest.mark.parametrize(("field", "value"), [("background", True), ("tool_outputs", "wait")])
def test_a_response_that_is_found_while_it_is_made_has_to_be_stored(field: str, value: Any) -> None:
    error = refusal(body(**{field: value, "store": False}))
    assert (error.param, error.code) == (field, "invalid_value")
    assert error.message == f"'{field}' can only be used when 'store' is true."
    parse_request(body(**{field: value}))


def test_a_response_waits_for_no_tool_outputs_where_it_is_not_stored() -> None:
    with pytest.raises(InvalidRequest) as caught:
        refuse_state(parse_request(body(tool_outputs="wait")))
    assert (caught.value.param, caught.value.code) == ("tool_outputs", "unsupported_parameter")
    refuse_state(parse_request(body(tool_outputs="end")))
    assert refusal(body(tool_outputs="perhaps")).param == "tool_outputs"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("previous_response_id", "resp_1"),
        ("conversation", "conv_1"),
        ("conversation", {"id": "conv_1"}),
        ("background", True),
    ],
)
def test_a_field_that_needs_a_store_is_refused_by_name_where_there_is_none(field: str, value: Any) -> None:
    request = parse_request(body(**{field: value}))
    with pytest.raises(InvalidRequest) as caught:
        refuse_state(request)
    assert (caught.value.param, caught.value.code) == (field, "unsupported_parameter")
    assert caught.value.message.startswith(f"Unsupported parameter: '{field}': ")
    assert ";" in caught.value.message, "the message does not say what to do instead"


def test_without_a_store_a_request_that_needs_none_is_not_refused() -> None:
    for fields in ({}, {"store": True, "background": False}, {"previous_response_id": None, "conversation": None}):
        refuse_state(parse_request(body(**fields)))


@pytest.mark.parametrize("field", ["background", "context_management", "previous_response_id", "prompt", "moderation"])
def test_a_field_that_does_not_exist_here_may_be_left_empty(field: str) -> None:
    empty: Json = {"background": False, "context_management": []}
    fields: Json = {field: empty.get(field)}
    assert prepared(**fields).chat["messages"] == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"generate": False}, "generate"), ({"prompt_cache_options": {"prewarm": True}}, "prompt_cache_options.prewarm")],
)
def test_a_request_that_only_fills_the_prompt_cache_is_refused(fields: Json, param: str) -> None:
    error = refusal(body(**fields))
    assert (error.param, error.code) == (param, "unsupported_parameter")
    assert error.message.startswith(f"Unsupported parameter: '{param}': ")


def nested(depth: int) -> Json:
    value: Json = {}
    for _ in range(depth):
        value = {"a": value}
    return value


# What is accepted ----------------------------------------------------------------------------------------------------


def test_unknown_fields_are_accepted_anywhere() -> None:
    parse_request(
        body(
            client_metadata={"a": [1]},
            prompt_cache_options={"mode": "implicit"},
            reasoning={"effort": "low", "later": True},
            text={"format": {"type": "text", "later": True}, "later": 1},
            stream_options={"later": True},
        )
    )


def test_null_is_the_default_of_every_optional_field() -> None:
    fields = [name for name in msgspec.structs.asdict(parse_request(body())) if name not in ("model", "input")]
    assert len(fields) > 25
    assert parse_request(body(**dict.fromkeys(fields))) == parse_request(body())


def test_null_is_the_default_inside_objects_too() -> None:
    assert prepared(text={"format": None, "verbosity": None}, reasoning={"effort": None, "summary": None}).chat == (
        prepared().chat
    )
