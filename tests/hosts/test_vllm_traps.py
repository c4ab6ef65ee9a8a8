"""What vLLM's server does otherwise than one would think: its recorded bytes, replayed through the complete shim."""

from __future__ import annotations

import json
from argparse import Namespace
from types import SimpleNamespace
from typing import Any

import pytest

from responses_shim import ResponsesShim
from tests.caller import payloads, post
from tests.hosts.replay import CAPTURES, names, recorded
from tests.oracle import check_error, check_response, check_stream

pytestmark = pytest.mark.anyio

Json = dict[str, Any]
ARGUMENTS = Namespace(enable_auto_tool_choice=True, tool_call_parser="hermes", tool_strict_level="auto")
SERVED = SimpleNamespace(state=SimpleNamespace(args=ARGUMENTS))
WITHOUT_PARSER = SimpleNamespace(
    state=SimpleNamespace(
        args=Namespace(enable_auto_tool_choice=False, tool_call_parser=None),
        openai_serving_chat=SimpleNamespace(chat_template=(CAPTURES / "vllm" / "template.jinja").read_text()),
    )
)
WEATHER = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {"city": {}}}}
REQUEST: Json = {"model": "smol", "input": "Say hello.", "tools": [WEATHER]}

GREETING = [("reasoning", "A greeting.\n"), ("message", "\n\nHello there!")]
LOOKING = [("reasoning", "Weather."), ("message", "\n\nLet me look.")]
PARIS, ROME = ("function_call", '{"city": "Paris"}'), ("function_call", '{"city": "Rome"}')

ANSWERS: dict[str, tuple[list[tuple[str, str]], str]] = {
    "plain_stream": (GREETING, "completed"),
    "usage_in_each_chunk_stream": (GREETING, "completed"),
    "comments_stream": (GREETING, "completed"),
    "hidden_reasoning_stream": ([GREETING[1]], "completed"),
    "plain_call_stream": ([*LOOKING, PARIS], "completed"),
    "plain_calls_stream": ([("reasoning", "Two."), PARIS, ROME], "completed"),
    "plain_calls": ([("reasoning", "Two."), PARIS, ROME], "completed"),
    "length_in_text_stream": ([GREETING[0], ("message", "\n\nHello there")], "incomplete"),
    "length_in_call_stream": ([*LOOKING, ("function_call", '{"city": "Paris')], "incomplete"),
    "stop_string_stream": ([("message", "<|im_start|>user\n")], "completed"),
    "named_stream": ([("function_call", '{\n    "city": "New York"\n}')], "completed"),
}
UNPARSED_ANSWERS: dict[str, tuple[list[tuple[str, str]], str]] = {
    "no_tool_parser_call_stream": ([*LOOKING, PARIS], "completed"),
    "no_tool_parser_calls_merged_stream": ([("reasoning", "Two."), PARIS, ROME], "completed"),
    "no_tool_parser_cut_stream": ([*LOOKING, ("function_call", '{"city": "Paris')], "incomplete"),
    "no_tool_parser_forced_stream": ([("function_call", '{\n    "city": "New York"\n  }')], "completed"),
}
"""Of a server without `--tool-call-parser`, whose calls the shim reads."""


async def ask(name: str, stream: bool, app: Any = SERVED, **fields: Any) -> tuple[Json, list[Json]]:
    """The response to what was recorded under that name, and its events."""
    body = {**REQUEST, "stream": stream, **fields}
    reply = await post(ResponsesShim(recorded("vllm", name), host="vllm"), "/v1/responses", body, scope={"app": app})
    assert reply.status == 200, reply.body
    events = payloads(reply.events) if stream else []
    if stream:
        check_stream(events)
    response: Json = events[-1]["response"] if stream else reply.json
    check_response(response)
    return response, events


def texts(response: Json) -> list[tuple[str, str]]:
    return [
        (item["type"], item["arguments"] if "arguments" in item else "".join(part["text"] for part in item["content"]))
        for item in response["output"]
    ]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])
@pytest.mark.parametrize("name", ANSWERS)
async def test_the_items_of_an_answer(name: str, stream: bool) -> None:
    """The last text may be in the chunk that has the finish_reason; a stop string is cut off; comments are none of it.

    A named call ends with the finish_reason `stop`, and is a call all the same.
    """
    items, status = ANSWERS[name]
    response, _ = await ask(name, stream)
    assert texts(response) == items
    assert response["status"] == status
    if status == "incomplete":
        assert response["incomplete_details"] == {"reason": "max_output_tokens"}
        assert response["output"][-1]["status"] == "incomplete"


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])
@pytest.mark.parametrize("name", UNPARSED_ANSWERS)
async def test_calls_in_the_text_of_a_server_without_a_tool_parser(name: str, stream: bool) -> None:
    """The end of the thinking and the beginning of a call may be in one chunk. A forced call is a JSON object."""
    items, status = UNPARSED_ANSWERS[name]
    choice = "required" if "forced" in name else "auto"
    response, _ = await ask(name, stream, WITHOUT_PARSER, tool_choice=choice)
    assert texts(response) == items
    assert response["status"] == status


def test_every_recorded_answer_without_a_tool_parser_is_listed() -> None:
    assert sorted(UNPARSED_ANSWERS) == [name for name in names("vllm") if name.startswith("no_tool_parser_")]


async def test_a_required_call_has_a_name_and_arguments_of_its_own() -> None:
    """The model is a small one, so what it says differs between processors; the envelope does not."""
    response, _ = await ask("required_stream", True)
    [call] = [item for item in response["output"] if item["type"] == "function_call"]
    assert call["name"] == "get_weather"
    assert json.loads(call["arguments"]).keys() == {"city"}


@pytest.mark.parametrize(
    ("name", "cached", "written"),
    [("cache_written_stream", False, True), ("cache_read_stream", True, False), ("cache_salted_stream", False, True)],
)
async def test_cached_tokens_are_counted_where_the_server_tells_them(name: str, cached: bool, written: bool) -> None:
    """`--enable-prompt-tokens-details`. Another salt finds nothing in the cache."""
    details = (await ask(name, True))[0]["usage"]["input_tokens_details"]
    assert (details["cached_tokens"] > 0, details["cache_write_tokens"] > 0) == (cached, written)


async def test_reasoning_tokens_are_counted_whatever_the_flags() -> None:
    assert (await ask("plain_stream", True))[0]["usage"]["output_tokens_details"] == {"reasoning_tokens": 4}


async def test_an_engine_that_dies_in_the_middle_fails_the_response() -> None:
    """vLLM keeps the status 200, sends an error frame, and `[DONE]`."""
    response, events = await ask("died_stream", True)
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert response["error"]["code"] == "server_error"
    assert response["error"]["message"].startswith("EngineCore encountered an issue")
    assert texts(response) == [GREETING[0], ("message", "\n\nHello")]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])
async def test_an_engine_that_dies_before_the_first_token_is_an_http_error(stream: bool) -> None:
    """vLLM has sent its 200 by then; the shim has not."""
    for name in ("died_at_once_stream", "died"):
        error = await refusal(name, stream=stream)
        assert (error.status, error.body["type"]) == (500, "server_error")


# Errors --------------------------------------------------------------------------------------------------------------


async def refusal(name: str, **fields: Any) -> Any:
    reply = await post(ResponsesShim(recorded("vllm", name), host="vllm"), "/v1/responses", REQUEST | fields)
    check_error(reply.json)
    return SimpleNamespace(status=reply.status, body=reply.json["error"])


ERRORS = {
    "error_model_stream": (404, "model", "The model `other` does not exist. Valid aliases: smol."),
    "error_temperature_stream": (400, "temperature", "temperature must be non-negative, got -1.0."),
    "error_type_stream": (
        400,
        "temperature",
        "The host refused the request: temperature: Input should be a valid number, unable to parse string as a "
        "number.",
    ),
    "error_field_missing": (400, "input", "The host refused the request: input: Field required."),
    "error_json": (400, None, "The host refused the request: JSON decode error."),
    "error_too_long_stream": (400, "input", "This model's maximum context length is 1024 tokens."),
    "error_token_limit_stream": (400, "max_output_tokens", "max_completion_tokens=5000 cannot be greater than"),
    "error_image_stream": (400, None, "smol is not a multimodal model"),
    "error_schema_stream": (400, None, 'Grammar error: at 1(8): invalid regex "("'),
    "error_choice_stream": (400, "tool_choice", "When using `tool_choice`, `tools` must be set."),
    "error_custom_tool_stream": (
        400,
        "tools[0].type",
        "The host refused the request: tools[0].type: Input should be 'function'.",
    ),
    "error_no_tool_parser_stream": (400, None, '"auto" tool choice requires --enable-auto-tool-choice'),
    "error_required_without_parser_stream": (400, None, 'tool_choice="required" requires --tool-call-parser'),
    "error_named_without_parser_stream": (400, None, 'tool_choice=function "get_weather" requires --tool-call-parser'),
    "error_key_stream": (401, None, "Unauthorized"),
    "error_path": (404, None, "Not Found"),
    "error_method": (405, None, "Method Not Allowed"),
}


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])
@pytest.mark.parametrize("name", ERRORS)
async def test_the_errors_are_openais_with_the_clients_name_of_the_field(name: str, stream: bool) -> None:
    """vLLM writes them in six shapes: one of them in a stream, two with a text where OpenAI has an object."""
    status, param, message = ERRORS[name]
    error = await refusal(name, stream=stream)
    assert (error.status, error.body["param"]) == (status, param)
    assert error.body["message"].startswith(message)
    assert "'input'" not in error.body["message"]
    assert "(parameter=" not in error.body["message"]
    too_long = name == "error_too_long_stream"
    assert error.body["code"] == {401: "invalid_api_key"}.get(status, "context_length_exceeded" if too_long else None)


def test_every_recorded_error_is_listed() -> None:
    assert sorted(ERRORS) == [name for name in names("vllm") if name.startswith("error_")]
