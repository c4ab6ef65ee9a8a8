"""What a client gets for everything that llama-cpp-python was recorded to answer.

Each capture is replayed to the whole shim, for a client that streams and for one that does not. The captured requests
are not those that the shim would send; these tests are about the answers.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from responses_shim import ResponsesShim
from responses_shim.core.response.filters import Filter
from responses_shim.core.response.think_tags import ThinkTagFilter
from responses_shim.hosts.llama_cpp import PROFILE
from tests.caller import Reply, payloads, post
from tests.core.driver import Json, play
from tests.hosts.replay import Recorded, names, recorded
from tests.oracle import check_error, check_response, check_stream

pytestmark = pytest.mark.anyio

LONG = (
    "Hello there, welcome to my world! I'm here to help with any kind of magical or mystical topic. "
    "What can I assist you with?"
)
PARIS = '{ "city": "Paris" }'
WEATHER = "Paris, the City of Light. The weather in Paris is"

# The texts or arguments of the output items, and the reason why the response is incomplete (None: it is completed).
ANSWERS: dict[str, tuple[list[str], str | None]] = {
    "api_key_right_stream": (["Hello there"], "max_output_tokens"),
    "assistant_content_empty_stream": (["You're here"], "max_output_tokens"),
    "chatml_tools_auto": ([PARIS], None),
    "chatml_tools_auto_text": ([], None),
    "chatml_tools_auto_text_stream": ([], None),
    "chatml_tools_named_stream": ([PARIS], None),
    "chatml_tools_unsaid_stream": (["Paris, the"], "max_output_tokens"),
    "emoji": (["é 😀 日本"], None),
    "emoji_stream": (["é 😀 日本"], None),
    "ignored_fields_stream": (["Hello there,"], "max_output_tokens"),
    "json_object_schema_stream": ([PARIS], None),
    "json_object_stream": (['{\n    "weather_info": {\n        "city":'], "max_output_tokens"),
    "length": (["Hello there,"], "max_output_tokens"),
    "length_stream": (["Hello there,"], "max_output_tokens"),
    "logprobs": (["Hello there"], "max_output_tokens"),
    "logprobs_stream": (["Hello there"], "max_output_tokens"),
    "logprobs_top_0_stream": (["Hello there"], "max_output_tokens"),
    "logprobs_top_1_stream": (["Hello there"], "max_output_tokens"),
    "logprobs_without_top_stream": (["Hello there"], "max_output_tokens"),
    "max_completion_tokens_stream": ([LONG], None),
    "named_tool": ([PARIS], None),
    "named_tool_cut": (['{ "'], "max_output_tokens"),
    "named_tool_cut_stream": (['{ "'], "max_output_tokens"),
    "named_tool_stream": ([PARIS], None),
    "no_messages_stream": (["The original sentence"], "max_output_tokens"),
    "no_model_stream": (["Hello there,"], "max_output_tokens"),
    "nullable_fields_stream": (["Hello there, welcome to my world"], None),
    "plain": (["Hello there, welcome to my world! I'm here to"], "max_output_tokens"),
    "plain_stream": ([LONG], None),
    "queued_ping_stream": (["Hello there,"], "max_output_tokens"),
    "request_id_uuid_stream": (["Hello there"], "max_output_tokens"),
    "stop_string_stream": (["Hello there, welcome to my world"], None),
    "think_in_content_stream": (["\nA greeting.\n", "\n\nHello."], None),
    "tool_round_stream": (["Paris is a city known for its warm and welcoming atmosphere,"], "max_output_tokens"),
    "tools_auto_stream": ([WEATHER], "max_output_tokens"),
    "tools_required_stream": ([WEATHER], "max_output_tokens"),
    "two_systems_stream": (["Hello."], None),
    "unknown_model_stream": (["Hello there,"], "max_output_tokens"),
    "usage_asked_stream": (["Hello there,"], "max_output_tokens"),
}

# The answer ends without a finish_reason after these texts, so it cannot be trusted to be complete.
UNFINISHED: dict[str, list[str]] = {
    "client_disconnect_stream": ["Hello"],
    "client_gone_at_once_stream": [],
    "interrupted_by_chat_stream": ["Hello there"],
    "interrupted_by_models_stream": ["Hello there"],
    "models": [],
}

NOT_TEMPLATED = "'dict object' has no attribute 'content'"
NOT_A_LIST = 'can only concatenate str (not "list") to str'
NO_FILE = "The host cannot load this model: its file is missing."
NO_LOGITS = "logprobs is not supported for models created with logits_all=False"
REFUSED = "The host refused the request: "
SYSTEM_FIRST = f"{REFUSED}messages.{{}}.ChatCompletionRequestSystemMessage.role: Input should be 'system'."
OVERFLOW = (
    "This model's maximum context length is 512 tokens. However, you requested 643 tokens (631 in the messages, 12 in "
    "the completion). Please reduce the length of the messages or completion."
)

# Status, code and message of the HTTP error. All of these fail before the answer begins.
FAILURES: dict[str, tuple[int, str | None, str]] = {
    "api_key_as_x_api_key": (401, "invalid_api_key", "Invalid API key"),
    "api_key_missing": (401, "invalid_api_key", "Invalid API key"),
    "api_key_right_probe": (400, None, f"{REFUSED}messages: Input should be a valid list."),
    "api_key_wrong": (401, "invalid_api_key", "Invalid API key"),
    "api_key_wrong_probe": (401, "invalid_api_key", "Invalid API key"),
    "assistant_content_absent": (500, None, NOT_TEMPLATED),
    "assistant_content_absent_stream": (500, None, f"The host failed: {NOT_TEMPLATED}"),
    "assistant_content_null_stream": (400, None, SYSTEM_FIRST.format(1)),
    "assistant_content_parts_stream": (400, None, SYSTEM_FIRST.format(1)),
    "chatml_tools_auto_stream": (500, None, "The host failed: Automatic streaming tool choice is not supported"),
    "chatml_tools_required": (500, None, "The host failed with status 500 and did not say why."),
    "chatml_tools_required_stream": (500, None, "The host failed: AssertionError"),
    "content_type_text": (
        400,
        None,
        f"{REFUSED}body: Input should be a valid dictionary or object to extract fields from.",
    ),
    "context_overflow": (400, "context_length_exceeded", OVERFLOW),
    "context_overflow_stream": (
        400,
        "context_length_exceeded",
        "The host failed: Requested tokens (631) exceed context window of 512",
    ),
    "developer_role": (400, None, SYSTEM_FIRST.format(0)),
    "developer_role_stream": (400, None, SYSTEM_FIRST.format(0)),
    "empty_body": (500, None, "The host failed: Expecting value: line 1 column 1 (char 0)"),
    "json_schema_stream": (400, None, f"{REFUSED}response_format.type: Input should be 'text' or 'json_object'."),
    "logits_all_off_logprobs": (500, None, NO_LOGITS),
    "logits_all_off_logprobs_stream": (500, None, f"The host failed: {NO_LOGITS}"),
    "malformed_json": (500, None, "The host failed: Expecting value: line 1 column 15 (char 14)"),
    "missing_model": (400, "model_not_found", NO_FILE),
    "missing_model_stream": (400, "model_not_found", NO_FILE),
    "presence_penalty_null": (500, None, "argument 5: TypeError: wrong type"),
    "presence_penalty_null_stream": (500, None, "The host failed: argument 5: TypeError: wrong type"),
    "request_id_not_uuid": (400, None, "The host failed with status 400 and did not say why."),
    "system_parts_stream": (
        400,
        None,
        f"{REFUSED}messages.0.ChatCompletionRequestSystemMessage.content: Input should be a valid string.",
    ),
    "temperature_null_stream": (400, None, f"{REFUSED}temperature: Input should be a valid number."),
    "tool_round_content_null_stream": (400, None, SYSTEM_FIRST.format(1)),
    "tool_without_parameters_stream": (400, None, f"{REFUSED}tools.0.function.parameters: Field required."),
    "top_p_too_large_stream": (400, None, f"{REFUSED}top_p: Input should be less than or equal to 1."),
    "unknown_route": (404, None, "Not Found"),
    "unknown_tool": (500, None, "Tool choice 'nope' not found in tools."),
    "unknown_tool_stream": (500, None, "The host failed: Tool choice 'nope' not found in tools."),
    "user_input_text_stream": (400, None, SYSTEM_FIRST.format(0)),
    "user_parts": (500, None, NOT_A_LIST),
    "user_parts_stream": (500, None, f"The host failed: {NOT_A_LIST}"),
    "wrong_method": (405, None, "Method Not Allowed"),
}


def test_every_capture_is_in_one_of_the_tables() -> None:
    tables: list[dict[str, Any]] = [ANSWERS, UNFINISHED, FAILURES]
    assert sorted(name for table in tables for name in table) == names("llama_cpp")


def capture(name: str) -> Recorded:
    return recorded("llama_cpp", name)


async def ask(host: Recorded, stream: bool, **fields: Any) -> Reply:
    body = {"model": "smollm2", "input": "Hi", "stream": stream, **fields}
    return await post(ResponsesShim(host, host="llama-cpp"), "/v1/responses", body)


def choice(name: str) -> Json:
    """The request fields for a capture: the tool that it may be a call of, and must be one of if that was named."""
    tool = {"type": "function", "name": "get_weather"}
    if "named" in name:
        return {"tools": [tool], "tool_choice": tool}
    return {"tools": [tool]} if "tools" in name else {}


def response_of(reply: Reply, stream: bool) -> Json:
    assert reply.status == 200, reply.body
    response: Json = reply.json if not stream else payloads(reply.events)[-1]["response"]
    if stream:
        check_stream(payloads(reply.events))
    check_response(response)
    return response


def texts(response: Json) -> list[str]:
    return [
        item["arguments"] if item["type"] == "function_call" else "".join(part["text"] for part in item["content"])
        for item in response["output"]
    ]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])
@pytest.mark.parametrize("name", ANSWERS)
async def test_the_response_has_the_captured_answer(name: str, stream: bool) -> None:
    response = response_of(await ask(capture(name), stream, **choice(name)), stream)
    expected, reason = ANSWERS[name]
    assert texts(response) == expected
    assert response["status"] == ("completed" if reason is None else "incomplete")
    assert response["incomplete_details"] == (None if reason is None else {"reason": reason})
    assert response["model"] == "smollm2"


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])
@pytest.mark.parametrize("name", FAILURES)
async def test_a_failure_before_the_answer_is_an_http_error(name: str, stream: bool) -> None:
    reply = await ask(capture(name), stream, **choice(name))
    check_error(reply.json)
    error = reply.json["error"]
    assert (reply.status, error["code"], error["message"]) == FAILURES[name]
    assert reply.headers["content-type"] == "application/json"
    for secret in (".py", "/tmp", "/srv", "site-packages", "Say hello"):
        assert secret not in reply.body.decode()


@pytest.mark.parametrize("name", UNFINISHED)
async def test_an_answer_without_a_finish_reason_is_a_failure(name: str) -> None:
    unstreamed = await ask(capture(name), stream=False)
    check_error(unstreamed.json)
    assert unstreamed.status == 502
    assert "--interrupt_requests False" in unstreamed.json["error"]["message"]
    streamed = await ask(capture(name), stream=True)
    if streamed.status != 200:  # it ended before the first chunk
        assert (streamed.status, streamed.json) == (502, unstreamed.json)
        assert UNFINISHED[name] == []
        return
    events = payloads(streamed.events)
    check_stream(events)
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert texts(events[-1]["response"]) == UNFINISHED[name]
    assert events[-1]["response"]["error"]["message"] == unstreamed.json["error"]["message"]


def cut_behind_a_middleware() -> Recorded:
    """The interrupted stream as a BaseHTTPMiddleware passes it on: without `[DONE]`, and ended as if all was well."""
    host = capture("interrupted_by_chat_stream")
    assert host.sent.pop()["body"] == b"data: [DONE]\n\n"
    host.sent.append({"type": "http.response.body", "body": b"", "more_body": False})
    return host


@pytest.mark.parametrize(
    "host", [capture("interrupted_by_chat_stream"), cut_behind_a_middleware()], ids=["bare", "behind"]
)
async def test_an_interrupted_answer_fails_with_what_happened_and_what_to_do(host: Recorded) -> None:
    events = payloads((await ask(host, stream=True)).events)
    error, failed = events[-2:]
    assert (error["code"], failed["response"]["error"]["code"]) == ("server_error", "server_error")
    assert "another request comes, unless it is started with --interrupt_requests False" in error["message"]
    [item] = failed["response"]["output"]
    assert item["status"] == "incomplete"


async def test_a_keep_alive_comment_does_not_begin_the_answer() -> None:
    """What comes after it may still be an error with a status."""
    host = capture("context_overflow_stream")
    comment = capture("queued_ping_stream").sent[1]
    assert comment["body"].startswith(b": ping")
    host.sent.insert(1, comment)
    assert (await ask(host, stream=True)).status == 400


# Single quirks -------------------------------------------------------------------------------------------------------


async def test_a_stream_has_no_usage_and_none_is_made_up() -> None:
    assert response_of(await ask(capture("usage_asked_stream"), stream=True), True)["usage"] is None


async def test_an_answer_that_is_not_streamed_has_usage() -> None:
    usage = response_of(await ask(capture("plain"), stream=False), False)["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (33, 12, 45)


@pytest.mark.parametrize("name", ["named_tool_stream", "chatml_tools_named_stream"])
async def test_a_call_whose_deltas_all_repeat_its_id_and_name_is_one_call(name: str) -> None:
    (call,) = response_of(await ask(capture(name), stream=True, **choice(name)), True)["output"]
    assert call["name"] == "get_weather"
    assert call["call_id"].startswith("call__0_get_weather_cmpl-")
    assert call["call_id"].count("call__") == 1


THOUGHTFUL = "<think>\nA greeting.\n</think>\n\nHello."


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])
@pytest.mark.parametrize("tags", ["leading", "anywhere"])
async def test_a_think_span_becomes_reasoning_and_is_sent_back_as_it_was_written(stream: bool, tags: Any) -> None:
    """The server gets it as text, so the prompt of the next turn contains exactly what the model wrote."""
    host = capture("think_in_content_stream")
    shim = ResponsesShim(host, host="llama-cpp", think_tags=tags)
    body = {"model": "smollm2", "input": "Hi", "stream": stream}
    output = response_of(await post(shim, "/v1/responses", body), stream)["output"]
    assert [item["type"] for item in output] == ["reasoning", "message"]
    await post(shim, "/v1/responses", {**body, "input": [*output, {"role": "user", "content": "And?"}]})
    assert host.requests[1]["messages"][0] == {"role": "assistant", "content": THOUGHTFUL}


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])
async def test_with_think_tags_off_a_think_span_stays_text(stream: bool) -> None:
    shim = ResponsesShim(capture("think_in_content_stream"), host="llama-cpp", think_tags="off")
    reply = await post(shim, "/v1/responses", {"model": "smollm2", "input": "Hi", "stream": stream})
    assert texts(response_of(reply, stream)) == [THOUGHTFUL]


async def test_an_incomplete_call_is_only_checked_if_the_request_named_a_tool() -> None:
    """The server makes no other calls, so no other call can have been cut."""
    tools = choice("named")["tools"]
    response = response_of(await ask(capture("named_tool_cut_stream"), stream=True, tools=tools), True)
    assert response["status"] == "completed"


@pytest.mark.parametrize(
    ("name", "top"),
    [("logprobs_stream", 2), ("logprobs", 2), ("logprobs_top_1_stream", 1), ("logprobs_top_0_stream", 1)],
)
async def test_logprobs_get_the_bytes_that_the_server_does_not_send(name: str, top: int) -> None:
    reply = await ask(capture(name), stream=True, top_logprobs=2)
    ((part,),) = (item["content"] for item in response_of(reply, True)["output"])
    assert [entry["token"] for entry in part["logprobs"]] == ["Hello", " there"]
    for entry in part["logprobs"]:
        assert bytes(entry["bytes"]).decode() == entry["token"]
        assert len(entry["top_logprobs"]) == top


async def test_logprobs_are_left_out_unless_the_client_asks_for_them() -> None:
    ((part,),) = (item["content"] for item in response_of(await ask(capture("logprobs"), True), True)["output"])
    assert part["logprobs"] == []


async def test_the_servers_keep_alive_comments_are_not_passed_on() -> None:
    host = capture("queued_ping_stream")
    assert host.body[0].startswith(b": ping")
    reply = await ask(host, stream=True)
    assert b": ping" not in reply.body


@pytest.mark.parametrize("name", ["context_overflow", "context_overflow_stream"])
async def test_a_prompt_that_is_too_long_is_context_length_exceeded(name: str) -> None:
    assert (await ask(capture(name), stream=True)).json["error"]["code"] == "context_length_exceeded"


async def test_a_refused_key_is_passed_on_with_the_servers_headers() -> None:
    reply = await ask(capture("api_key_wrong"), stream=True)
    assert reply.headers["x-request-id"] == "ed8d000e09734a059db6f1b2a8da7ce9"
    assert reply.headers["content-length"] == str(len(reply.body))


# Cutting the bytes ---------------------------------------------------------------------------------------------------

STREAMS = [name for name in ANSWERS if name.endswith("_stream")]


def filters(name: str, thinks: bool) -> list[Filter]:
    named = {"type": "function", "function": {"name": "get_weather"}}
    own = PROFILE.make_filter({"tool_choice": named} if "named" in name else {})
    found: list[Filter] = [own] if own is not None else []
    return [*found, ThinkTagFilter("leading")] if thinks else found


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 20_000), max_size=40), st.booleans())
@example("think_in_content_stream", [], True)
@example("think_in_content_stream", list(range(0, 6000, 7)), False)
def test_the_events_are_the_same_wherever_the_bytes_are_cut(name: str, positions: list[int], thinks: bool) -> None:
    body = capture(name).body
    data = b"".join(body)
    cuts = sorted(position % (len(data) + 1) for position in positions)
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    played = play(pieces, filters=lambda: filters(name, thinks), logprobs=True)
    assert played.frames == play(body, filters=lambda: filters(name, thinks), logprobs=True).frames
    expected = [THOUGHTFUL] if name == "think_in_content_stream" and not thinks else ANSWERS[name][0]
    assert texts(played.response) == expected
