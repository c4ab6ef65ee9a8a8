"""How a run ends, however the host ends: completed, incomplete or failed, and always with a terminal event."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from starlette.types import Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.runtime import run as runs
from tests.caller import Reply, call, payloads, post
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import (
    DONE,
    End,
    Hold,
    Json,
    Raise,
    Return,
    ScriptedHost,
    Start,
    Step,
    Wait,
    chunk,
    frame,
    read_body,
    text_answer,
    usage,
)
from tests.scripted import call as tool_call

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

REQUEST = {"model": "scripted", "input": "Hi"}
STREAMED = {**REQUEST, "stream": True}
FINISH = chunk(finish_reason="stop")
OVERFLOW = "Requested tokens (90) exceed context window of 64"


async def ask(
    *steps: Step, stream: bool = True, listens: bool = True, tools: Sequence[Any] = (), **settings: Any
) -> Reply:
    """The answer to a request when the host takes these steps."""
    app = ResponsesShim(ScriptedHost(steps, listens=listens), **settings)
    return await post(app, "/v1/responses", {**REQUEST, "stream": stream, "tools": list(tools)})


async def outcome(*steps: Step, **options: Any) -> dict[str, Any]:
    """The response of the terminal event, the stream being valid."""
    events = payloads((await ask(*steps, **options)).events)
    check_stream(events)
    response: dict[str, Any] = events[-1]["response"]
    return response


def text_of(response: dict[str, Any]) -> str:
    return str(response["output"][0]["content"][0]["text"])


# Responses that are complete or incomplete ---------------------------------------------------------------------------


COMPLETE: dict[str, list[Step]] = {
    "done and end": [FINISH, DONE],
    "end": [FINISH],
    "done": [FINISH, DONE, Return()],
    "return": [FINISH, Return()],
    "end and return": [FINISH, End(), Return()],
    "more after the end": [FINISH, DONE, End(), chunk("after the end")],
    "an error after done": [FINISH, DONE, frame({"error": "too late"})],
    "all in one message": [FINISH + DONE],
}


@pytest.mark.parametrize("ending", COMPLETE.values(), ids=COMPLETE.keys())
@pytest.mark.parametrize("listens", [True, False])
async def test_with_a_finish_reason_the_response_is_completed(ending: list[Step], listens: bool) -> None:
    response = await outcome(chunk("a"), *ending, listens=listens)
    assert (response["status"], text_of(response), response["error"]) == ("completed", "a", None)
    assert response["completed_at"] >= response["created_at"]


async def test_usage_after_the_finish_reason_is_read() -> None:
    response = await outcome(chunk("a"), FINISH, chunk(usage=usage(3, 4)), DONE)
    assert (response["usage"]["input_tokens"], response["usage"]["output_tokens"]) == (3, 4)


async def test_the_usage_is_null_if_the_host_sends_none() -> None:
    assert (await outcome(chunk("a"), FINISH, DONE))["usage"] is None


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_is_cut_is_incomplete(finish: str, reason: str, stream: bool) -> None:
    reply = await ask(chunk("a"), chunk(finish_reason=finish), DONE, stream=stream)
    response = payloads(reply.events)[-1]["response"] if stream else reply.json
    check_response(response)
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": reason})
    assert (response["completed_at"], response["output"][0]["status"]) == (None, "incomplete")


async def test_an_exception_after_the_finish_reason_changes_nothing() -> None:
    assert (await outcome(chunk("a"), FINISH, DONE, Raise(RuntimeError("late"))))["status"] == "completed"


@pytest.mark.parametrize("listens", [True, False])
async def test_the_terminal_event_does_not_wait_for_the_call_to_return(
    listens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "RETURN_SECONDS", 0.05)
    host = ScriptedHost([chunk("a"), FINISH, DONE, Wait(anyio.Event())], listens=listens)
    async with call(ResponsesShim(host), "POST", "/v1/responses", json=STREAMED) as exchange:
        events = payloads(await exchange.events())
        assert not host.finished.is_set()
        assert events[-1]["type"] == "response.completed"
        await exchange.finish()
    assert host.finished.is_set()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_json_answer_of_the_host_is_read(stream: bool) -> None:
    message = {"role": "assistant", "content": "Hello", "tool_calls": [tool_call(None, "call_1", "f", "{}")]}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], "usage": usage(3, 4)}
    reply = await ask(Json(200, answer), stream=stream, tools=[{"type": "function", "name": "f"}])
    response = payloads(reply.events)[-1]["response"] if stream else reply.json
    check_response(response)
    assert [item["type"] for item in response["output"]] == ["message", "function_call"]
    assert response["usage"]["total_tokens"] == 7


async def test_a_json_answer_may_come_in_several_messages() -> None:
    answer = b'{"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}'
    script: list[Step] = [Start(200, [(b"content-type", b"application/json")]), answer[:20], answer[20:]]
    assert text_of(await outcome(*script)) == "Hello"


# Responses that have failed ------------------------------------------------------------------------------------------

UNFINISHED = "The host ended its stream before the answer was complete."


CUT: dict[str, list[Step]] = {
    "end": [],
    "done and end": [DONE],
    "done": [DONE, Return()],
    "return": [Return()],
    "end and return": [End(), Return()],
}
EMPTY: dict[str, list[Step]] = {**CUT, "headers and end": [Start()], "headers": [Start(), Return()]}
RAISES: dict[str, list[Step]] = {"at once": [], "after the end": [End()], "after done": [DONE]}


@pytest.mark.parametrize("ending", CUT.values(), ids=CUT.keys())
@pytest.mark.parametrize("listens", [True, False])
async def test_without_a_finish_reason_the_response_has_failed(ending: list[Step], listens: bool) -> None:
    response = await outcome(chunk("a"), *ending, listens=listens)
    assert (response["status"], response["error"]["code"]) == ("failed", "server_error")
    assert response["error"]["message"] == UNFINISHED
    assert (text_of(response), response["completed_at"]) == ("a", None)


@pytest.mark.parametrize("steps", EMPTY.values(), ids=EMPTY.keys())
@pytest.mark.parametrize("stream", [True, False])
async def test_an_empty_stream_is_a_bad_gateway(steps: list[Step], stream: bool) -> None:
    reply = await ask(*steps, stream=stream)
    check_error(reply.json)
    assert (reply.status, reply.json["error"]["message"]) == (502, UNFINISHED)


@pytest.mark.parametrize("steps", RAISES.values(), ids=RAISES.keys())
@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [(ValueError(OVERFLOW), 400, "context_length_exceeded"), (RuntimeError("secret"), 500, None)],
)
async def test_an_exception_without_any_chunk_is_an_http_error(
    steps: list[Step], raised: Exception, status: int, code: str | None
) -> None:
    reply = await ask(*steps, Raise(raised))
    check_error(reply.json)
    assert (reply.status, reply.json["error"]["code"]) == (status, code)
    assert "secret" not in reply.body.decode()


@pytest.mark.parametrize("ending", RAISES.values(), ids=RAISES.keys())
async def test_an_exception_after_text_is_the_error_of_the_response(ending: list[Step]) -> None:
    response = await outcome(chunk("a"), *ending, Raise(ValueError(OVERFLOW)))
    assert response["error"] == {"code": "context_length_exceeded", "message": OVERFLOW}


async def test_of_a_group_of_exceptions_the_first_is_the_error() -> None:
    async def raise_group(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        async with anyio.create_task_group(), anyio.create_task_group():
            raise ValueError(OVERFLOW)

    reply = await post(ResponsesShim(raise_group), "/v1/responses", STREAMED)
    check_error(reply.json)
    assert (reply.status, reply.json["error"]["code"]) == (400, "context_length_exceeded")


async def test_the_log_has_the_place_of_a_hosts_exception_and_not_its_message(caplog: pytest.LogCaptureFixture) -> None:
    """The message of an exception may quote the prompt: pydantic's do."""
    caplog.set_level(logging.INFO)
    await ask(Raise(RuntimeError("a secret")))
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.name == "responses_shim"
    assert "RuntimeError at " in record.getMessage()
    assert "scripted.py:" in record.getMessage()
    assert "a secret" not in caplog.text


async def test_at_debug_level_the_log_has_the_message_of_a_hosts_exception_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "responses_shim")
    await ask(Raise(RuntimeError("a secret")))
    assert "RuntimeError: a secret" in caplog.text


@pytest.mark.parametrize("after", [[FINISH, DONE], [frame({"error": "second"}), DONE], [Raise(ValueError("x"))]])
@pytest.mark.parametrize("listens", [True, False])
async def test_the_first_error_frame_wins(after: list[Step], listens: bool) -> None:
    response = await outcome(chunk("a"), frame({"error": {"message": "first"}}), *after, listens=listens)
    assert response["error"] == {"code": "server_error", "message": "first"}


@pytest.mark.parametrize("bad", [b"data: {not json\n\n", b"data: 5\n\n", b'data: {"choices": [', b"data: \xff\n\n"])
@pytest.mark.parametrize("listens", [True, False])
async def test_a_frame_that_cannot_be_read_fails_the_run(bad: bytes, listens: bool) -> None:
    response = await outcome(chunk("a"), bad, listens=listens)
    assert (response["status"], response["error"]["code"]) == ("failed", "server_error")


async def test_a_last_frame_without_a_blank_line_is_read() -> None:
    assert (await outcome(chunk("a"), FINISH[:-2], Return()))["status"] == "completed"
    failed = await outcome(chunk("a"), frame({"error": "last words"})[:-2], Return())
    assert failed["error"]["message"] == "last words"


async def test_the_profile_corrects_a_wrong_finish_reason() -> None:
    """llama-cpp-python gives `tool_calls` for a named call that the token limit has cut."""
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    body = {**STREAMED, "tools": [tool], "tool_choice": {"type": "function", "name": "f"}}
    cut = [chunk(tool_calls=[tool_call(0, "call_1", "f", '{"a": ')]), chunk(finish_reason="tool_calls"), DONE]
    reply = await post(ResponsesShim(ScriptedHost(cut), host="llama-cpp"), "/v1/responses", body)
    events = payloads(reply.events)
    check_stream(events)
    assert events[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


@pytest.mark.parametrize("by", ["send", "receive"])
async def test_after_a_failure_the_host_sees_a_disconnect(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RETURN_SECONDS", 60)
    then = [Hold()] if by == "receive" else [chunk("b"), Wait(anyio.Event())]
    host = ScriptedHost([chunk("a"), b"data: {not json\n\n", *then], listens=False)
    check_stream(payloads((await post(ResponsesShim(host), "/v1/responses", STREAMED)).events))
    assert host.disconnected.is_set()


@pytest.mark.parametrize("ending", [End(), DONE], ids=["end", "done"])
@pytest.mark.parametrize("listens", [True, False])
async def test_a_call_that_hangs_after_the_end_of_its_stream_is_cancelled(
    ending: Step, listens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "RETURN_SECONDS", 0.05)
    response = await outcome(chunk("a"), ending, Wait(anyio.Event()), listens=listens, ping="off")
    assert (response["status"], response["error"]["message"]) == ("failed", UNFINISHED)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "answer",
    [Json(200, {"error": {"message": "boom", "code": 400}}), Json(200, {"detail": "boom"}), Json(200, [])],
)
async def test_a_json_answer_without_choices_is_an_error(answer: Json, stream: bool) -> None:
    reply = await ask(answer, stream=stream)
    check_error(reply.json)
    assert reply.status >= 400


async def test_a_json_answer_that_breaks_off_is_a_bad_gateway() -> None:
    reply = await ask(Start(200, [(b"content-type", b"application/json")]), b'{"choices": [', Return())
    check_error(reply.json)
    assert reply.status == 502


# The log -------------------------------------------------------------------------------------------------------------

UNREADABLE = {"choices": [{"delta": {"content": "Hi", "annotations": [{"type": "secret"}, {"type": "file_path"}]}}]}


@pytest.mark.parametrize(
    ("steps", "line_end"),
    [
        (text_answer("a", "b"), "completed in .* s, 1 items, 2 output tokens$"),
        ([chunk("secret"), FINISH], "completed in .* output tokens$"),
        ([chunk("secret")], r"failed in .* \? output tokens: server_error$"),
        ([frame(UNREADABLE), FINISH], r"completed in .* \? output tokens, 2 annotations ignored$"),
    ],
)
async def test_a_run_logs_one_line(steps: list[Step], line_end: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "responses_shim")
    await post(ResponsesShim(ScriptedHost(steps)), "/v1/responses", {**STREAMED, "input": "a secret"})
    [line] = caplog.messages
    assert "secret" not in line
    assert re.match(rf"resp_\w+ {line_end}", line)
