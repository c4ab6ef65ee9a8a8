"""The bytes of an answer: an event stream as clients and proxies need it, or one JSON object."""

from __future__ import annotations

import json

import pytest
from starlette.types import Message

from responses_shim import ResponsesShim
from responses_shim.asgi.replies import send_error
from responses_shim.errors import InvalidRequest
from tests.caller import call, parse_events, payloads, post
from tests.oracle import check_stream
from tests.scripted import DONE, ScriptedHost, chunk, text_answer

pytestmark = pytest.mark.anyio

REQUEST = {"model": "scripted", "input": "Hi"}
STREAMED = {**REQUEST, "stream": True}


async def test_the_headers_of_a_stream_forbid_caching_and_buffering() -> None:
    reply = await post(ResponsesShim(ScriptedHost()), "/v1/responses", STREAMED)
    assert reply.headers.raw == [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
    ]


async def test_events_are_numbered_from_zero_and_done_comes_last() -> None:
    reply = await post(ResponsesShim(ScriptedHost(text_answer("a"))), "/v1/responses", STREAMED)
    events = parse_events(reply.body)  # which compares the event line with the type
    assert [event.data["sequence_number"] for event in events[:-1]] == list(range(len(events) - 1))
    assert reply.body.endswith(b"\n\n" + DONE)


async def test_parts_of_different_types_in_turn_each_get_their_own_text() -> None:
    """The frames of deltas are made from a template, and each part has its own."""
    logprobs = {"content": [{"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []}]}
    script = [chunk(refusal="x"), chunk("a", logprobs=logprobs), chunk(refusal="y"), chunk("b"), chunk("c")]
    body = {**STREAMED, "include": ["message.output_text.logprobs"]}
    host = ScriptedHost([*script, chunk(finish_reason="stop"), DONE])
    events = payloads((await post(ResponsesShim(host), "/v1/responses", body)).events)
    check_stream(events)
    [message] = events[-1]["response"]["output"]
    assert [part.get("text", part.get("refusal")) for part in message["content"]] == ["x", "a", "y", "bc"]


async def test_all_events_of_one_message_of_the_host_are_sent_in_one_message() -> None:
    script = [chunk("a"), chunk("b") + chunk("c"), chunk(finish_reason="stop"), DONE]
    async with call(ResponsesShim(ScriptedHost(script)), "POST", "/v1/responses", json=STREAMED) as exchange:
        messages = [message async for message in exchange.messages()]
    assert [message["type"] for message in messages] == ["http.response.start", *["http.response.body"] * 3]
    assert [message["body"].count(b"output_text.delta\ndata") for message in messages[1:]] == [1, 2, 0]
    assert [message["more_body"] for message in messages[1:]] == [True, True, False]


async def test_a_response_that_is_not_streamed_is_one_json_object_with_a_content_length() -> None:
    async with call(
        ResponsesShim(ScriptedHost(text_answer("é", "😀"))), "POST", "/v1/responses", json=REQUEST
    ) as exchange:
        reply = await exchange.reply()
        assert len(exchange.sent) == 2
    assert reply.headers.raw == [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(reply.body)).encode()),
    ]
    assert "é😀" in reply.body.decode()


async def test_an_error_has_headers_of_its_own_and_those_that_are_given() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    error = InvalidRequest("No.", param="input", code="c", status=405, headers=[("Allow", "POST")])
    await send_error(send, error, [(b"x-other", b"1")])
    start, body = sent
    assert (start["status"], start["headers"][:2]) == (405, [(b"allow", b"POST"), (b"x-other", b"1")])
    assert json.loads(body["body"]) == {
        "error": {"message": "No.", "type": "invalid_request_error", "param": "input", "code": "c"}
    }
