"""What the MLX servers do otherwise than one would think: their recorded bytes, replayed through the complete shim."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from responses_shim import ResponsesShim
from responses_shim.setting_types import Host
from tests.caller import payloads, post
from tests.hosts.replay import CAPTURES, names, recorded
from tests.oracle import check_error, check_response, check_stream

pytestmark = pytest.mark.anyio

Json = dict[str, Any]
HOSTS = ["vllm-mlx", "mlx-vlm", "rapid-mlx", "mlx-openai-server"]
WEATHER = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {"city": {}}}}
STREAMED = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])

THOUGHT = ("reasoning", "They greet me.")
PARIS, ROME = ("function_call", '{"city": "Paris"}'), ("function_call", '{"city": "Rome"}')


def request_of(host: Host, name: str) -> Json:
    """The create request of which the recorded chat request could have been made."""
    capture = json.loads((CAPTURES / "mlx" / host / f"{name}.json").read_text())["request"]["json"]
    request: Json = {"model": "scripted", "input": "Hi.", "max_output_tokens": capture["max_tokens"]}
    if "tools" in capture:
        choice = capture.get("tool_choice", "auto")
        chosen = {"type": "function", "name": "get_weather"} if isinstance(choice, dict) else choice
        request |= {"tools": [WEATHER], "tool_choice": chosen}
    return request


async def ask(host: Host, name: str, stream: bool = True) -> tuple[Json, list[Json]]:
    """The response to what was recorded under that name, and its events."""
    shim = ResponsesShim(recorded(f"mlx/{host}", name), host=host)
    reply = await post(shim, "/v1/responses", {**request_of(host, name), "stream": stream})
    assert reply.status == 200, reply.body
    events = payloads(reply.events) if stream else []
    if stream:
        check_stream(events)
    response: Json = events[-1]["response"] if stream else reply.json
    check_response(response)
    return response, events


async def refusal(host: Host, name: str, stream: bool = True) -> Any:
    shim = ResponsesShim(recorded(f"mlx/{host}", name), host=host)
    reply = await post(shim, "/v1/responses", {**request_of(host, name), "stream": stream})
    check_error(reply.json)
    return SimpleNamespace(status=reply.status, **reply.json["error"])


def texts(response: Json) -> list[tuple[str, str]]:
    return [
        (item["type"], item["arguments"] if "arguments" in item else "".join(part["text"] for part in item["content"]))
        for item in response["output"]
    ]


def usage_of(host: Host, name: str) -> tuple[int, int]:
    """The tokens of the prompt and of the answer, as the host wrote them last."""
    body = b"".join(recorded(f"mlx/{host}", name).body).decode()
    chunks = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    [*_, usage] = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    return usage["prompt_tokens"], usage["completion_tokens"]


# Answers -------------------------------------------------------------------------------------------------------------


@STREAMED
@pytest.mark.parametrize("host", HOSTS)
async def test_reasoning_and_text(host: Host, stream: bool) -> None:
    """mlx-vlm sends each piece of reasoning in two fields; vllm-mlx, rapid-mlx and mlx-vlm the usage by itself."""
    response, _ = await ask(host, "text_stream", stream)
    assert texts(response) == [THOUGHT, ("message", "Hello, you.")]
    assert response["status"] == "completed"
    usage = response["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == usage_of(host, "text_stream")


@pytest.mark.parametrize("host", ["vllm-mlx", "mlx-openai-server"])
async def test_the_shim_parses_reasoning_where_the_host_does_not(host: Host) -> None:
    """Without `--reasoning-parser`."""
    response, _ = await ask(host, "unparsed_stream")
    assert texts(response) == [THOUGHT, ("message", "Hello, you.")]


async def test_without_its_reasoning_parser_rapid_mlx_loses_where_a_thought_ends() -> None:
    """It leaves `</think>` out of the text, but not `<think>`, so that all that follows is reasoning."""
    response, _ = await ask("rapid-mlx", "unparsed_stream")
    assert texts(response) == [("reasoning", "They greet me.Hello, you.")]


@STREAMED
@pytest.mark.parametrize("host", HOSTS)
async def test_a_text_and_a_call(host: Host, stream: bool) -> None:
    """The line end between them is the template's, which would write it again."""
    response, _ = await ask(host, "call_stream", stream)
    assert texts(response) == [THOUGHT, ("message", "Let me look."), PARIS]


@STREAMED
@pytest.mark.parametrize("name", ["calls_stream", "calls"])
@pytest.mark.parametrize("host", HOSTS)
async def test_no_message_of_the_line_ends_around_calls(host: Host, name: str, stream: bool) -> None:
    response, _ = await ask(host, name, stream)
    assert texts(response) == [THOUGHT, PARIS, ROME]
    assert response["status"] == "completed"


@pytest.mark.parametrize("host", ["vllm-mlx", "mlx-vlm", "mlx-openai-server"])
async def test_a_named_call(host: Host) -> None:
    """rapid-mlx has its grammar begin the call, which a model that keeps to a script cannot go on with."""
    response, _ = await ask(host, "choice_named_kept_stream")
    assert texts(response) == [THOUGHT, PARIS]


CUT = {
    "cut_in_text_stream": [THOUGHT, ("message", "on and on and on and on ")],
    "cut_in_thought_stream": [("reasoning", "on and on and on an")],
    "cut_in_call_stream": [THOUGHT],
    "cut_in_arguments_stream": [THOUGHT],
    "cut_after_call_stream": [THOUGHT, PARIS],
}
CUT_OF: dict[tuple[str, str], list[tuple[str, str]]] = {
    ("rapid-mlx", "cut_in_text_stream"): [THOUGHT, ("message", "on and on and on and on")],
    ("mlx-vlm", "cut_in_call_stream"): [THOUGHT, ("function_call", "")],
    ("mlx-vlm", "cut_in_arguments_stream"): [THOUGHT, ("function_call", '{"city": "P')],
    ("mlx-vlm", "cut_after_call_stream"): [THOUGHT, PARIS, ("function_call", "")],
}


@STREAMED
@pytest.mark.parametrize("name", CUT)
@pytest.mark.parametrize("host", HOSTS)
async def test_an_answer_that_the_limit_cuts_is_incomplete(host: Host, name: str, stream: bool) -> None:
    """mlx-openai-server says `stop`, vllm-mlx behind a call `tool_calls`, mlx-vlm in a call nothing but an error.

    rapid-mlx adds a notice and the reasoning once more.
    """
    response, _ = await ask(host, name, stream)
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert texts(response) == CUT_OF.get((host, name), CUT[name])


async def test_the_errors_in_a_stream_count_more_than_the_end_behind_them() -> None:
    """mlx-openai-server sends `stop` and `[DONE]` after an error."""
    error = await refusal("mlx-openai-server", "engine_error_stream")
    assert (error.status, error.type) == (500, "server_error")


# Errors --------------------------------------------------------------------------------------------------------------

INVALID = "Input should be a valid number, unable to parse string as a number"
HIDDEN = "The host failed with status 500; its log says more."
NO_METAL = "The host can enforce 'text.format' only with Metal, on a Mac; here it cannot."
ERRORS = {
    ("vllm-mlx", "busy"): (503, "SimpleEngine serialized route is busy"),
    ("vllm-mlx", "busy_stream"): (503, "The host failed before it wrote anything. vllm-mlx does so while"),
    ("vllm-mlx", "error_type_stream"): (400, INVALID),
    ("vllm-mlx", "error_model_stream"): (404, "The model `nope` does not exist."),
    ("vllm-mlx", "error_key_stream"): (401, "Invalid API key"),
    ("vllm-mlx", "error_no_key_stream"): (401, "API key required"),
    ("vllm-mlx", "engine_error"): (500, "Internal Server Error"),
    ("vllm-mlx", "json_schema_stream"): (400, "response_format is unavailable"),
    ("mlx-vlm", "error_type_stream"): (400, INVALID),
    ("mlx-vlm", "error_model_stream"): (400, "Failed to load model"),
    ("mlx-vlm", "error_key_stream"): (401, "Invalid API key"),
    ("mlx-vlm", "engine_error"): (500, HIDDEN),
    ("mlx-vlm", "engine_error_stream"): (500, HIDDEN),
    ("mlx-vlm", "error_no_messages_stream"): (500, HIDDEN),
    ("mlx-vlm", "image_broken_stream"): (400, "The host refused the request: an image cannot be read."),
    ("mlx-vlm", "json_schema"): (500, NO_METAL),
    ("mlx-vlm", "json_schema_stream"): (500, NO_METAL),
    ("mlx-vlm", "json_object_stream"): (500, NO_METAL),
    ("rapid-mlx", "error_type_stream"): (400, "Invalid request body: temperature: Input should be a valid number"),
    ("rapid-mlx", "error_model_stream"): (404, "The model `nope` does not exist."),
    ("rapid-mlx", "error_key_stream"): (401, "Invalid API key"),
    ("rapid-mlx", "error_no_key_stream"): (401, "API key required"),
    ("rapid-mlx", "image_stream"): (400, "Model 'scripted' is serving text-only; image input is unsupported."),
    ("rapid-mlx", "engine_error_stream"): (500, "Inference was interrupted by a transient engine error."),
    ("rapid-mlx", "call_without_metal_stream"): (500, "Inference was interrupted by a transient engine error."),
    ("rapid-mlx", "choice_required_stream"): (500, "Forced tool choice produced no valid tool call."),
    ("rapid-mlx", "choice_named_stream"): (500, "Forced tool choice produced no valid tool call."),
    ("mlx-openai-server", "error_type_stream"): (400, INVALID),
    ("mlx-openai-server", "error_model_stream"): (404, "Model 'nope' not found. Available models: scripted"),
    ("mlx-openai-server", "engine_error"): (500, HIDDEN),
    ("mlx-openai-server", "engine_error_stream"): (500, HIDDEN),
}


@STREAMED
@pytest.mark.parametrize(("host", "name"), ERRORS)
async def test_an_error_of_any_shape_is_an_http_error(host: Host, name: str, stream: bool) -> None:
    """Each has come after the status 200, and some behind a chunk with a role, if it is one of a stream."""
    status, message = ERRORS[host, name]
    error = await refusal(host, name, stream)
    assert error.status == status
    assert error.message.startswith(message)


@pytest.mark.parametrize("host", HOSTS[:3])
def test_the_list_of_models_asks_for_the_key(host: Host) -> None:
    """By it the shim finds out whether the host lets a client in."""
    assert recorded(f"mlx/{host}", "models").sent[0]["status"] == 200
    assert recorded(f"mlx/{host}", "models_wrong_key").sent[0]["status"] == 401


def test_each_server_has_been_recorded() -> None:
    assert all("text_stream" in names(f"mlx/{host}") for host in HOSTS)
