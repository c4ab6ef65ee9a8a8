"""The routes: what a response repeats of its request, the report, and paths and methods that are not there."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from responses_shim import ResponsesShim
from responses_shim.setting_types import SettingsArguments
from responses_shim.views.request import RequestView
from tests.caller import payloads, post, request
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import DONE, ScriptedHost, Step, chunk, text_answer
from tests.scripted import call as tool_call

pytestmark = pytest.mark.anyio

REQUEST = {"model": "scripted", "input": "Hi"}
FUNCTION = {"type": "function", "name": "f"}


async def respond(
    *steps: Step, stream: bool = False, settings: SettingsArguments | None = None, **fields: Any
) -> dict[str, Any]:
    """The response of the terminal event, or of the JSON body."""
    host = ScriptedHost(steps or text_answer("Hello"))
    app = ResponsesShim(host, **(settings or {}))
    reply = await post(app, "/v1/responses", {**REQUEST, "stream": stream, **fields})
    if stream:
        events = payloads(reply.events)
        check_stream(events)
    response: dict[str, Any] = events[-1]["response"] if stream else reply.json
    check_response(response)
    return response


# POST /v1/responses --------------------------------------------------------------------------------------------------

streaming = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])


@streaming
async def test_a_response_has_the_defaults_of_parameters_that_were_not_given(stream: bool) -> None:
    response = await respond(stream=stream)
    own = {"id", "created_at", "completed_at", "output", "usage"}
    assert {key: response[key] for key in response.keys() - own} == {
        "object": "response",
        "status": "completed",
        "model": "scripted",
        "background": False,
        "conversation": None,
        "error": None,
        "frequency_penalty": 0.0,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "presence_penalty": 0.0,
        "previous_response_id": None,
        "prompt": None,
        "prompt_cache_key": None,
        "prompt_cache_retention": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "user": None,
    }


@streaming
async def test_a_response_repeats_the_parameters_of_the_request(stream: bool) -> None:
    parameters: dict[str, Any] = {
        "instructions": "Be brief.",
        "max_output_tokens": 9,
        "max_tool_calls": 3,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "temperature": 0.5,
        "top_p": 0.25,
        "presence_penalty": 1.5,
        "frequency_penalty": -1.5,
        "top_logprobs": 2,
        "truncation": "auto",
        "user": "u",
    }
    response = await respond(stream=stream, **parameters, tools=[FUNCTION], reasoning={"effort": "low"})
    assert {key: response[key] for key in parameters} == parameters
    assert [tool["name"] for tool in response["tools"]] == ["f"]
    assert response["reasoning"]["effort"] == "low"


@streaming
async def test_store_is_echoed_as_it_is_and_true_by_default(stream: bool) -> None:
    for store, echoed in ((True, True), (None, True), (False, False)):
        assert (await respond(stream=stream, store=store))["store"] is echoed


@streaming
async def test_without_a_store_store_is_false_whatever_the_request_says(stream: bool) -> None:
    for store in (True, False, None):
        assert (await respond(stream=stream, settings={"store": "off"}, store=store))["store"] is False


@streaming
async def test_ids_have_the_prefix_of_their_type_and_are_unique(stream: bool) -> None:
    calls = [tool_call(0, "call_1", "f", "{}")]
    steps = [chunk(reasoning="so"), chunk("Hello"), chunk(tool_calls=calls), chunk(finish_reason="tool_calls"), DONE]
    first, second = [await respond(*steps, stream=stream, tools=[FUNCTION]) for _ in range(2)]
    ids = [first["id"], *[item["id"] for item in first["output"]]]
    for prefix, id in zip(["resp", "rs", "msg", "fc"], ids, strict=True):
        assert re.fullmatch(rf"{prefix}_[0-9a-f]{{32}}", id)
    assert not set(ids) & {second["id"], *[item["id"] for item in second["output"]]}
    assert first["output"][2]["call_id"] == "call_1"


@streaming
async def test_the_times_of_a_response_are_those_of_the_clock(stream: bool) -> None:
    before = int(time.time())
    response = await respond(stream=stream)
    assert before <= response["created_at"] <= response["completed_at"] <= time.time()


async def test_a_response_is_not_streamed_by_default() -> None:
    for fields in ({}, {"stream": None}, {"stream": False}):
        reply = await post(ResponsesShim(ScriptedHost()), "/v1/responses", {**REQUEST, **fields})
        assert reply.headers["content-type"] == "application/json"


async def test_simultaneous_responses_are_kept_apart() -> None:
    def echo(request: dict[str, Any]) -> list[Step]:
        return text_answer(*[f"{request['messages'][-1]['content']};"] * 9)

    app, answers = ResponsesShim(ScriptedHost(echo)), {}

    async def ask(question: str) -> None:
        reply = await post(app, "/v1/responses", {"model": "scripted", "input": question, "stream": True})
        events = payloads(reply.events)
        check_stream(events)
        answers[question] = events[-1]["response"]["output"][0]["content"][0]["text"]

    async with anyio.create_task_group() as group:
        for number in range(12):
            group.start_soon(ask, f"question {number}")
    assert answers == {f"question {number}": f"question {number};" * 9 for number in range(12)}


# The report ----------------------------------------------------------------------------------------------------------


@streaming
async def test_the_report_lists_mapped_dropped_and_defaulted_fields(stream: bool) -> None:
    body = {**REQUEST, "stream": stream, "max_output_tokens": 9, "truncation": "auto", "service_tier": "flex"}
    reply = await post(ResponsesShim(ScriptedHost()), "/v1/responses", body)
    report = reply.headers["responses-shim-report"]
    assert report == 'mapped=("max_output_tokens"), dropped=("truncation"), defaulted=("service_tier")'


@pytest.mark.parametrize(("store", "reported"), [("memory://", None), ("off", 'defaulted=("store")')])
async def test_a_response_that_should_be_stored_and_cannot_be_is_reported(store: str, reported: str | None) -> None:
    reply = await post(ResponsesShim(ScriptedHost(), store=store), "/v1/responses", {**REQUEST, "store": True})
    assert reply.headers.get("responses-shim-report") == reported


@streaming
async def test_a_request_that_is_passed_on_as_it_is_has_no_report(stream: bool) -> None:
    reply = await post(ResponsesShim(ScriptedHost()), "/v1/responses", {**REQUEST, "stream": stream})
    assert "responses-shim-report" not in reply.headers


async def test_an_unknown_field_is_accepted_and_reported() -> None:
    body = {**REQUEST, "logit_bias": {"1": 2}, "client_metadata": {"a": "b"}}
    reply = await post(ResponsesShim(ScriptedHost()), "/v1/responses", body)
    assert (reply.status, reply.headers["responses-shim-report"]) == (200, 'dropped=("logit_bias")')


async def look_at(view: RequestView, headers: Mapping[str, str]) -> None:
    """An interceptor that changes nothing."""


@pytest.mark.parametrize("interceptors", [(), (look_at,)], ids=["plain", "intercepted"])
async def test_an_unknown_field_within_another_is_reported_by_its_path(interceptors: Any) -> None:
    message = {"role": "user", "content": [{"type": "input_text", "text": "Hi", "prompt_cache_breakpoint": {}}]}
    asked = {**REQUEST, "input": [message], "reasoning": {"max_tokens": 99}}
    reply = await post(ResponsesShim(ScriptedHost(), interceptors=interceptors), "/v1/responses", asked)
    report = 'dropped=("input[0].content[0].prompt_cache_breakpoint" "reasoning.max_tokens")'
    assert (reply.status, reply.headers["responses-shim-report"]) == (200, report)


async def test_an_error_of_the_host_comes_with_the_report() -> None:
    asked = {**REQUEST, "truncation": "auto"}
    reply = await post(ResponsesShim(ScriptedHost([DONE])), "/v1/responses", asked)
    assert (reply.status, reply.headers["responses-shim-report"]) == (502, 'dropped=("truncation")')


# The other routes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/responses/compact"),
        ("POST", "/v1/responses/compact/"),
        ("POST", "/v1/responses/input_tokens"),
        ("GET", "/v1/responses/compact"),
        ("GET", "/v1/responses/resp_1/more"),
        ("GET", f"/v1/responses/{'r' * 129}"),
        ("GET", "/v1/responses/resp.1"),
        ("GET", "/v1/conversations/conv_1/items/item_1/more"),
    ],
)
@pytest.mark.parametrize("root_path", ["", "/api"])
async def test_a_route_that_is_not_there_is_404(method: str, path: str, root_path: str) -> None:
    reply = await request(ResponsesShim(ScriptedHost()), method, path, root_path=root_path)
    check_error(reply.json)
    assert reply.status == 404
    assert (reply.json["error"]["type"], reply.json["error"]["code"]) == ("invalid_request_error", "not_found")
    assert reply.json["error"]["message"] == f"There is nothing at {method} {path}."


METHODS = {
    "/v1/responses": ["POST"],
    "/v1/responses/": ["POST"],
    "/v1/responses/resp_1": ["GET", "DELETE"],
    "/v1/responses/resp_1/": ["GET", "DELETE"],
    "/v1/responses/resp_1/cancel": ["POST"],
    "/v1/responses/resp_1/input_items": ["GET"],
    "/v1/conversations": ["POST"],
    "/v1/conversations/conv_1": ["GET", "POST", "DELETE"],
    "/v1/conversations/conv_1/items": ["GET", "POST"],
    "/v1/conversations/conv_1/items/msg_1": ["GET", "DELETE"],
}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", METHODS)
async def test_another_method_is_405_and_the_error_names_the_right_ones(method: str, path: str) -> None:
    reply = await request(ResponsesShim(ScriptedHost()), method, path)
    check_error(reply.json)
    if method in METHODS[path]:
        assert reply.status in (200, 404, 415)
        return
    assert (reply.status, reply.headers["allow"]) == (405, ", ".join([*METHODS[path], "OPTIONS"]))
    assert reply.json["error"]["message"] == f"{method} is not allowed at {path}; use {' or '.join(METHODS[path])}."


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/responses/" + "é" * 50_000), ("P" * 50_000, "/v1/responses")]
)
async def test_the_error_quotes_no_more_than_two_kilobytes_of_the_request(method: str, path: str) -> None:
    reply = await request(ResponsesShim(ScriptedHost()), method, path)
    check_error(reply.json)
    assert reply.status in (404, 405)
    assert 2000 < len(reply.json["error"]["message"].encode()) < 2048 + 200


async def test_the_error_may_quote_a_path_with_half_a_surrogate_pair() -> None:
    reply = await request(ResponsesShim(ScriptedHost()), "GET", "/", scope={"path": "/v1/responses/\udc80"})
    check_error(reply.json)
    assert "/v1/responses/?." in reply.json["error"]["message"]


async def test_the_error_may_quote_a_path_with_any_character() -> None:
    reply = await request(ResponsesShim(ScriptedHost()), "GET", "/v1/responses/%F0%9F%98%80%22")
    check_error(reply.json)
    assert '/v1/responses/😀"' in reply.json["error"]["message"]
