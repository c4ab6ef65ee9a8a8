"""Interceptors in a mounted shim: what they leave is what the host gets, what they refuse never reaches it."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from responses_shim import InvalidRequest, Message, RequestView, ResponsesShim, ResponseView, Settings, Tool
from responses_shim.core.wire.requests import CreateRequest
from responses_shim.errors import ConfigurationError
from tests.caller import Reply, call, payloads, post
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import Hold, Json, Raise, ScriptedHost, chunk, text_answer

pytestmark = pytest.mark.anyio

FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}}
REQUEST: dict[str, Any] = {"model": "scripted", "input": "Hi", "instructions": "Be brief.", "tools": [FUNCTION]}

streaming = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


async def look(view: RequestView, headers: Mapping[str, str]) -> None:
    """Change nothing."""


async def forbid(view: RequestView, headers: Mapping[str, str]) -> None:
    raise InvalidRequest("Not here.", status=403, type="permission_error", code="forbidden")


async def fail(view: RequestView, headers: Mapping[str, str]) -> None:
    raise RuntimeError("inside")


class Reader:
    """Keeps what was finished; `held` keeps it from returning."""

    def __init__(self) -> None:
        self.responses: list[ResponseView] = []
        self.requests: list[RequestView] = []
        self.reading = anyio.Event()
        self.held = anyio.Event()
        self.held.set()

    async def __call__(self, view: RequestView, headers: Mapping[str, str]) -> None:
        view.extra["user"] = "somebody"

    async def finished(self, request: RequestView, response: ResponseView) -> None:
        self.reading.set()
        await self.held.wait()
        self.requests.append(request)
        self.responses.append(response)


def error_of(reply: Reply) -> dict[str, Any]:
    check_error(reply.json)
    error: dict[str, Any] = reply.json["error"]
    return error


# The request -------------------------------------------------------------------------------------------------------


@streaming
async def test_with_interceptors_that_change_nothing_the_host_gets_the_same(stream: bool) -> None:
    hosts = [ScriptedHost(text_answer("Hello")), ScriptedHost(text_answer("Hello"))]
    request = {**REQUEST, "stream": stream, "client_metadata": {"a": 1}}
    await post(ResponsesShim(hosts[0]), "/v1/responses", request)
    await post(ResponsesShim(hosts[1], interceptors=[look, look]), "/v1/responses", request)
    assert hosts[0].requests == hosts[1].requests


@streaming
async def test_what_an_interceptor_leaves_is_what_the_host_gets_and_the_response_echoes(stream: bool) -> None:
    async def change(view: RequestView, headers: Mapping[str, str]) -> None:
        view.model = "other"
        view.messages[0].rewrite(str.upper)
        view.messages.append(Message("user", "Again."))
        view.tools.append(Tool("g", parameters={"type": "object"}))
        view.tool_choice = "none"
        view.params["max_tokens"] = 5
        view.extra["metadata"] = {"seen": "yes"}

    host = ScriptedHost(text_answer("Hello"))
    reply = await post(ResponsesShim(host, interceptors=[change]), "/v1/responses", {**REQUEST, "stream": stream})
    response = payloads(reply.events)[-1]["response"] if stream else reply.json
    check_response(response)
    [asked] = host.requests
    assert asked["model"] == response["model"] == "other"
    said = [(message["role"], message["content"]) for message in asked["messages"]]
    assert said == [("system", "BE BRIEF."), ("user", "Hi"), ("user", "Again.")]
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["f", "g"]
    assert asked["tool_choice"] == response["tool_choice"] == "none"
    assert 5 in (asked.get("max_tokens"), asked.get("max_completion_tokens"))
    assert (response["instructions"], response["max_output_tokens"]) == ("BE BRIEF.", 5)
    assert response["metadata"] == {"seen": "yes"}


async def test_an_interceptor_may_return_another_request() -> None:
    async def replace(view: RequestView, headers: Mapping[str, str]) -> RequestView:
        return RequestView.of({"model": "other", "input": "Ho"})

    host = ScriptedHost(text_answer("Hello"))
    await post(ResponsesShim(host, interceptors=[replace]), "/v1/responses", REQUEST)
    assert host.requests[0]["messages"] == [{"role": "user", "content": "Ho"}]


async def test_an_interceptor_may_even_decide_whether_to_stream() -> None:
    async def whole(view: RequestView, headers: Mapping[str, str]) -> None:
        view.extra["stream"] = False

    shim = ResponsesShim(ScriptedHost(text_answer("Hello")), interceptors=[whole])
    check_response((await post(shim, "/v1/responses", {**REQUEST, "stream": True})).json)


async def test_an_interceptor_sees_the_clients_headers_and_the_host_gets_them_as_they_were() -> None:
    seen: list[Mapping[str, str]] = []

    async def keep(view: RequestView, headers: Mapping[str, str]) -> None:
        seen.append(headers)
        with pytest.raises(TypeError):
            headers["authorization"] = "Bearer other"  # type: ignore[index]

    host = ScriptedHost(text_answer("Hello"))
    headers = {"Authorization": "Bearer key", "X-Team": "a"}
    await post(ResponsesShim(host, interceptors=[keep]), "/v1/responses", REQUEST, headers=headers)
    assert (seen[0]["authorization"], seen[0]["x-team"]) == ("Bearer key", "a")
    assert host.headers[0]["authorization"] == "Bearer key"


async def test_an_attached_file_is_seen_as_the_text_that_the_model_gets() -> None:
    async def hide(view: RequestView, headers: Mapping[str, str]) -> None:
        view.messages[0].rewrite(lambda text: text.replace("4111", "****"))

    host = ScriptedHost(text_answer("Hello"))
    data = b64encode(b"Card 4111").decode()
    file = {"type": "input_file", "filename": "a.txt", "file_data": f"data:text/plain;base64,{data}"}
    request = {"model": "scripted", "input": [{"role": "user", "content": [file]}]}
    await post(ResponsesShim(host, interceptors=[hide]), "/v1/responses", request)
    assert "Card ****" in str(host.requests[0]["messages"])
    assert "4111" not in str(host.requests[0])


@streaming
async def test_a_guard_says_no_with_its_own_error_and_the_host_is_not_called(stream: bool) -> None:
    host, reader = ScriptedHost(text_answer("Hello")), Reader()
    shim = ResponsesShim(host, interceptors=[reader, forbid])
    reply = await post(shim, "/v1/responses", {**REQUEST, "stream": stream})
    error = error_of(reply)
    assert (reply.status, error["type"], error["code"]) == (403, "permission_error", "forbidden")
    assert host.requests == []
    assert reader.responses == []


@streaming
async def test_an_interceptor_that_fails_is_a_500_without_insides(
    stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    host = ScriptedHost(text_answer("Hello"))
    reply = await post(ResponsesShim(host, interceptors=[fail]), "/v1/responses", {**REQUEST, "stream": stream})
    error = error_of(reply)
    assert (reply.status, error["type"]) == (500, "server_error")
    assert "inside" not in reply.body.decode()
    assert "fail failed" in caplog.text
    assert host.requests == []


@streaming
async def test_half_a_character_from_an_interceptor_is_its_failure_and_not_the_hosts(
    stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def cut(view: RequestView, headers: Mapping[str, str]) -> None:
        view.messages[0].content = "\ud83d"

    host = ScriptedHost(text_answer("Hello"))
    reply = await post(ResponsesShim(host, interceptors=[cut]), "/v1/responses", {**REQUEST, "stream": stream})
    assert (reply.status, error_of(reply)["type"]) == (500, "server_error")
    assert "cut failed" in caplog.text
    assert host.requests == []


async def test_a_refusals_headers_are_put_in_latin_1() -> None:
    async def refuse(view: RequestView, headers: Mapping[str, str]) -> None:
        raise InvalidRequest("Not today.", status=403, headers=[("X-Reason", "café, 日本")])

    reply = await post(ResponsesShim(ScriptedHost(), interceptors=[refuse]), "/v1/responses", REQUEST)
    assert (reply.status, reply.headers["x-reason"]) == (403, "café, ??")


@pytest.mark.parametrize(
    "item",
    [{"role": "critic", "content": "no"}, {"type": "nothing"}, {"role": "user", "content": 7}],
    ids=str,
)
async def test_a_bad_item_is_the_clients_fault_or_the_interceptors(
    item: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def add(view: RequestView, headers: Mapping[str, str]) -> None:
        view.messages.append(Message.of(item))

    host = ScriptedHost(text_answer("Hello"))
    request = {"model": "scripted", "input": [{"role": "user", "content": "Hi"}]}
    reply = await post(ResponsesShim(host, interceptors=[add]), "/v1/responses", request)
    assert (reply.status, error_of(reply)["param"]) == (500, None)
    assert "add made a request that is not valid: input[1]" in caplog.text

    reply = await post(ResponsesShim(host, interceptors=[fail]), "/v1/responses", {**request, "input": [item]})
    assert reply.status == 400
    assert error_of(reply)["param"].startswith("input[0]")
    assert host.requests == []


# The response ------------------------------------------------------------------------------------------------------


@streaming
async def test_a_response_is_read_after_its_end_which_does_not_wait_for_that(stream: bool) -> None:
    reader = Reader()
    reader.held = anyio.Event()
    shim = ResponsesShim(ScriptedHost(text_answer("Hel", "lo")), interceptors=[reader])
    async with call(shim, "POST", "/v1/responses", json={**REQUEST, "stream": stream}) as exchange:
        reply = await exchange.reply()
        response = payloads(reply.events)[-1]["response"] if stream else reply.json
        assert not exchange.ended.is_set()
        assert reader.responses == []
        reader.held.set()
        await exchange.finish()
    [read], [request] = reader.responses, reader.requests
    assert (read.id, read.text, read.finish_reason) == (response["id"], "Hello", "stop")
    assert read.output == response["output"]
    assert request.extra["user"] == "somebody"


@streaming
async def test_a_host_that_refuses_is_read_as_a_failed_response(stream: bool) -> None:
    """The client gets an HTTP error, and gets it first."""
    reader = Reader()
    reader.held = anyio.Event()
    host = ScriptedHost([Json(429, {"error": {"message": "later", "type": "t", "code": "c", "param": None}})])
    shim = ResponsesShim(host, interceptors=[reader])
    async with call(shim, "POST", "/v1/responses", json={**REQUEST, "stream": stream}) as exchange:
        reply = await exchange.reply()
        assert (reply.status, error_of(reply)["message"]) == (429, "later")
        reader.held.set()
        await exchange.finish()
    [read] = reader.responses
    assert (read.status, read.finish_reason) == ("failed", "error")
    assert read.error is not None
    assert read.error["code"] == "rate_limit_exceeded"


async def test_a_host_that_dies_in_its_answer_is_read_as_a_failed_response() -> None:
    reader = Reader()
    host = ScriptedHost([chunk("Hel"), Raise(RuntimeError("dead"))])
    reply = await post(ResponsesShim(host, interceptors=[reader]), "/v1/responses", {**REQUEST, "stream": True})
    check_stream(payloads(reply.events))
    [read] = reader.responses
    assert (read.text, read.finish_reason) == ("Hel", "error")


async def test_a_response_whose_client_left_is_not_read() -> None:
    reader = Reader()
    host = ScriptedHost([chunk("Hel"), Hold()])
    shim = ResponsesShim(host, interceptors=[reader])
    async with call(shim, "POST", "/v1/responses", json={**REQUEST, "stream": True}) as exchange:
        await exchange.next_event()
        await exchange.disconnect()
        await exchange.finish()
    assert reader.responses == []


@streaming
async def test_a_reader_that_fails_is_logged_and_never_sent(stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Reader):
        async def finished(self, request: RequestView, response: ResponseView) -> None:
            raise RuntimeError("inside")

    last = Reader()
    shim = ResponsesShim(ScriptedHost(text_answer("Hello")), interceptors=[Failing(), last])
    reply = await post(shim, "/v1/responses", {**REQUEST, "stream": stream})
    check_response(payloads(reply.events)[-1]["response"] if stream else reply.json)
    assert "inside" not in reply.body.decode()
    assert len(last.responses) == 1
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "Failing failed to read response resp_" in record.getMessage()


# The mount ---------------------------------------------------------------------------------------------------------


@streaming
async def test_without_interceptors_no_view_is_made(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(RequestView, "of")
    monkeypatch.delattr(ResponseView, "of")
    shim = ResponsesShim(ScriptedHost(text_answer("Hello")))
    assert (await post(shim, "/v1/responses", {**REQUEST, "stream": stream})).status == 200


async def test_interceptors_go_with_settings_of_either_kind() -> None:
    host = ScriptedHost(text_answer("Hello"))
    for shim in (
        ResponsesShim(host, Settings(ping="off"), interceptors=[forbid]),
        ResponsesShim(host, ping="off", interceptors=[forbid]),
    ):
        assert shim.settings.ping == "off"
        assert (await post(shim, "/v1/responses", REQUEST)).status == 403


def test_what_cannot_be_called_stops_the_start() -> None:
    with pytest.raises(ConfigurationError, match=r"interceptors\[0\]"):
        ResponsesShim(ScriptedHost([]), interceptors=["guard"])  # type: ignore[list-item]


def test_interceptors_are_no_setting() -> None:
    assert "interceptors" not in Settings.model_fields
    assert "interceptors" not in CreateRequest.__struct_fields__
    with pytest.raises(ConfigurationError, match="RESPONSES_SHIM_INTERCEPTORS"):
        Settings.load({"RESPONSES_SHIM_INTERCEPTORS": "guard"})
