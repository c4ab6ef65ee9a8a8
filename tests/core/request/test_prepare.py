"""A create request: what is refused and how, what is accepted, and what the response object echoes."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest

from responses_shim.core.request.options import Policy
from responses_shim.core.request.parse import read_request
from responses_shim.core.request.prepare import Translation, new_response, to_chat
from responses_shim.errors import InvalidRequest
from responses_shim.hosts import PROFILES
from tests.core.driver import Json
from tests.oracle import check_error, check_response
from tests.shapes import NEVER_NULL, NULLABLE


def request(**fields: Any) -> Json:
    return {"model": "m", "input": "Hi", **fields}


def translate(**fields: Any) -> Translation:
    return to_chat(read_request(request(**fields)))


def refusal(body: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        to_chat(read_request(body))
    check_error(caught.value.body())
    assert caught.value.status == 400
    return caught.value


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["model", "input"])
def test_model_and_input_are_required(field: str) -> None:
    body = request()
    del body[field]
    error = refusal(body)
    assert error.message == f"Missing required parameter: '{field}'."
    assert (error.param, error.code) == (field, "missing_required_parameter")


def test_an_empty_model_is_none() -> None:
    assert refusal(request(model="")).message == "Missing required parameter: 'model'."


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
    return request(**{name: value})


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
def test_an_unknown_value_is_told_the_known_ones(path: str, supported: str) -> None:
    error = refusal(put(path, "blue"))
    assert error.message == f"Invalid value: 'blue'. Supported values are: {supported}."
    assert (error.param, error.code) == (path, "invalid_value")


def test_an_unknown_include_is_told_the_known_ones() -> None:
    error = refusal(request(include=["reasoning.encrypted_content", "everything"]))
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
        assert getattr(read_request(request(**{field: inside})), field) == inside
    for outside in (low - 1, high + 1, 10**400):
        error = refusal(request(**{field: outside}))
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
        assert read_request(request(metadata=metadata)).metadata == metadata
    else:
        assert refusal(request(metadata=metadata)).param == "metadata"


@pytest.mark.parametrize(("value", "named"), [(7, "an integer"), (None, "null"), ({}, "an object")])
def test_a_metadata_value_is_a_string(value: Any, named: str) -> None:
    error = refusal(request(metadata={"k": value}))
    assert error.message == f"Invalid type for 'metadata': expected a string, but got {named} instead."


def test_an_id_of_an_end_user_has_a_limit() -> None:
    assert read_request(request(safety_identifier="s" * 128)).safety_identifier == "s" * 128
    error = refusal(request(safety_identifier="s" * 129))
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
def test_a_text_format_is_whole(fields: Json, param: str) -> None:
    assert refusal(request(text={"format": fields})).param == param


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("previous_response_id", "resp_1"),
        ("conversation", "conv_1"),
        ("conversation", {"id": "conv_1"}),
        ("background", True),
        ("prompt", {"id": "pmpt_1"}),
        ("context_management", [{"type": "compaction"}]),
        ("moderation", {"model": "m"}),
    ],
)
def test_what_does_not_exist_here_is_refused_by_name(field: str, value: Any) -> None:
    error = refusal(request(**{field: value}))
    assert (error.param, error.code) == (field, "unsupported_parameter")
    assert error.message.startswith(f"Unsupported parameter: '{field}': ")
    assert ";" in error.message, "the message does not say what to do instead"


@pytest.mark.parametrize("field", ["background", "context_management", "previous_response_id", "prompt", "moderation"])
def test_what_does_not_exist_here_may_be_left_empty(field: str) -> None:
    empty = {"background": False, "context_management": []}.get(field)
    assert translate(**{field: empty}).chat["messages"] == [{"role": "user", "content": "Hi"}]


F: Json = {"type": "function", "name": "f"}


def nested(depth: int) -> Json:
    value: Json = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def test_a_schema_nested_absurdly_deep_is_refused() -> None:
    def text(depth: int) -> Json:
        return {"format": {"type": "json_schema", "name": "a", "schema": nested(depth)}}

    assert translate(text=text(100)).chat["response_format"]["type"] == "json_schema"
    error = refusal(request(text=text(101)))
    assert error.message == "Invalid 'text.format.schema': nested more than 100 levels deep."
    assert (error.param, error.code) == ("text.format.schema", "invalid_value")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (lambda deep: {"tools": [{"type": "web_search", "filters": deep}]}, "tools[0]"),
        (lambda deep: {"tools": [{"type": "function", "name": "f", "output_schema": deep}]}, "tools[0]"),
        (lambda deep: {"tools": [{"type": "function", "name": "f", "parameters": deep}]}, "tools[0].parameters"),
        (lambda deep: {"tools": [F], "tool_choice": {**F, "x": deep}}, "tool_choice"),
        (lambda deep: {"input": [{"role": deep, "content": "x"}]}, "input[0].role"),
        (lambda deep: {"input": [{"role": "user", "content": [{"type": deep}]}]}, "input[0].content[0].type"),
        (lambda deep: {"input": [{"type": "shell_call", "call_id": "a", "action": deep}]}, "input[0].action"),
        (
            lambda deep: {"input": [{"type": "tool_search_call", "call_id": "a", "arguments": deep}]},
            "input[0].arguments",
        ),
    ],
)
def test_what_is_written_down_again_is_not_nested_deeper_than_can_be_written(fields: Any, param: str) -> None:
    """What the body's reader just took, no writer takes further down the stack: it was a 500."""
    error = refusal(request(**fields(nested(950))))
    assert error.param == param
    assert len(error.message) < 400


# What is accepted ----------------------------------------------------------------------------------------------------


def test_unknown_fields_are_accepted_anywhere() -> None:
    read_request(
        request(
            client_metadata={"a": [1]},
            prompt_cache_options={"mode": "implicit"},
            reasoning={"effort": "low", "later": True},
            text={"format": {"type": "text", "later": True}, "later": 1},
            stream_options={"later": True},
        )
    )


def test_null_is_the_default_of_every_optional_field() -> None:
    fields = [name for name in msgspec.structs.asdict(read_request(request())) if name not in ("model", "input")]
    assert len(fields) > 25
    assert read_request(request(**dict.fromkeys(fields))) == read_request(request())


def test_null_is_the_default_inside_objects_too() -> None:
    assert translate(text={"format": None, "verbosity": None}, reasoning={"effort": None, "summary": None}).chat == (
        translate().chat
    )


def test_all_parts_of_the_request_make_one_chat_request() -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    translation = translate(instructions="Be brief.", temperature=0.5, tools=[tool], tool_choice="auto")
    assert translation.chat == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": "auto",
    }
    assert translation.report.header() == ""


@pytest.mark.parametrize("name", [[], {}, 7, None, ""])
def test_a_tools_name_that_is_none_is_a_400(name: Any) -> None:
    """A list once came as far as a set, and that is a 500."""
    assert refusal(request(tools=[{"type": "function", "name": name}])).param == "tools[0].name"


@pytest.mark.parametrize("context", [None, "auto", "all_turns", "current_turn"])
def test_which_reasoning_is_shown_again_is_the_clients_to_say(context: str | None) -> None:
    items = [
        {"role": "user", "content": "One?"},
        {"type": "reasoning", "content": "Old."},
        {"role": "assistant", "content": "One."},
        {"role": "user", "content": "Two?"},
        {"type": "reasoning", "content": "New."},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
    ]
    made = translate(input=items, reasoning={"context": context})
    told = [message["reasoning"] for message in made.chat["messages"] if "reasoning" in message]
    assert told == (["New."] if context == "current_turn" else ["Old.", "New."])
    assert made.report.header() == ("" if context is None else 'mapped=("reasoning.context")')


@pytest.mark.parametrize("input", ["And now?", [{"role": "user", "content": "And now?"}]])
def test_history_comes_before_the_input(input: Any) -> None:
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    messages = to_chat(read_request(request(input=input, instructions="Be brief.")), history).chat["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[-1]["content"] == "And now?"
    assert len(history) == 2


TOKENS = {"prompt_token_ids": [1], "generation_token_ids": [2], "generation_log_probs": [-0.5]}
WHOLE = request(
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


@pytest.mark.parametrize("policy", [Policy(), Policy(tool_images="tool", system="keep", replay_tokens=True)])
def test_the_request_is_left_as_it_was(policy: Policy) -> None:
    """Interceptors read it afterwards, the echo is made of it, and it will be stored."""
    body, history = copy.deepcopy(WHOLE), [{"role": "user", "content": [{"type": "input_text", "text": "Before."}]}]
    before = copy.deepcopy(history)
    translation = to_chat(read_request(body), history, policy)
    for profile in PROFILES.values():
        profile.adapt(translation.chat, translation.report)
    assert (body, history) == (WHOLE, before)


# The response object -------------------------------------------------------------------------------------------------


def echo(**fields: Any) -> Json:
    """The response object of a request as it begins."""
    read = read_request(request(**fields))
    response = new_response(read, to_chat(read).tools, "resp_1", 1_700_000_000)
    told: Json = json.loads(msgspec.json.encode(response))
    check_response(told)
    return told


def test_a_new_response_has_every_key_with_its_default() -> None:
    told = echo()
    assert told.keys() >= NEVER_NULL | NULLABLE
    assert told == {
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
def test_what_was_asked_for_is_echoed(field: str) -> None:
    assert echo(**{field: ECHOED[field]}) == {**echo(), field: ECHOED[field]}


def test_the_echo_of_a_schema_is_whole() -> None:
    form = {
        "type": "json_schema",
        "name": "city",
        "schema": {"type": "object"},
        "strict": True,
        "description": "A city",
    }
    assert echo(text={"format": form})["text"]["format"] == form


@pytest.mark.parametrize("options", [{}, {"mode": None, "ttl": None}, {"prewarm": False, "later": {"a": [1]}}])
def test_the_echo_of_cache_options_is_whole(options: Json) -> None:
    assert echo(prompt_cache_options=options)["prompt_cache_options"] == {"mode": "implicit", "ttl": "30m"}


def test_the_old_name_of_summary_is_echoed_under_the_new_one() -> None:
    assert echo(reasoning={"generate_summary": "concise"})["reasoning"] == {"effort": None, "summary": "concise"}


@pytest.mark.parametrize(("field", "asked"), [("store", True), ("service_tier", "flex")])
def test_what_cannot_be_had_is_echoed_as_it_is(field: str, asked: Any) -> None:
    assert echo(**{field: asked}) == echo()
    assert f'defaulted=("{field}")' in translate(**{field: asked}).report.header()
