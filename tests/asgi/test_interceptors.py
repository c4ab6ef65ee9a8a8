"""Interceptors in a mounted shim: the host gets the request as they changed it, and none that they refused."""

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

streaming = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])


async def look(view: RequestView, headers: Mapping[str, str]) -> None:
    """Change nothing."""


async def forbid(view: RequestView, headers: Mapping[str, str]) -> None:
    raise InvalidRequest("Not here.", status=403, type="permission_error", code="forbidden")


async def fail(view: RequestView, headers: Mapping[str, str]) -> None:
    raise RuntimeError("inside")


class Observer:
    """An interceptor that keeps what `finished` is called with. `finished` waits for `may_return`, set at first."""

    def __init__(self) -> None:
        self.responses: list[ResponseView] = []
        self.requests: list[RequestView] = []
        self.may_return = anyio.Event()
        self.may_return.set()

    async def __call__(self, view: RequestView, headers: Mapping[str, str]) -> None:
        view.extra["user"] = "somebody"

    async def finished(self, request: RequestView, response: ResponseView) -> None:
        await self.may_return.wait()
        self.requests.append(request)
        self.responses.append(response)


def error_of(reply: Reply) -> dict[str, Any]:
    check_error(reply.json)
    error: dict[str, Any] = reply.json["error"]
    return error


# The request -------------------------------------------------------------------------------------------------------


@streaming
async def test_interceptors_that_change_nothing_do_not_change_the_chat_request(stream: bool) -> None:
    hosts = [ScriptedHost(text_answer("Hello")), ScriptedHost(text_answer("Hello"))]
    request = {**REQUEST, "stream": stream, "client_metadata": {"a": 1}}
    await post(ResponsesShim(hosts[0]), "/v1/responses", request)
    await post(ResponsesShim(hosts[1], interceptors=[look, look]), "/v1/responses", request)
    assert hosts[0].requests == hosts[1].requests


@streaming
async def test_the_host_gets_and_the_response_echoes_the_changed_request(stream: bool) -> None:
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
    [chat] = host.requests
    assert chat["model"] == response["model"] == "other"
    messages = [(message["role"], message["content"]) for message in chat["messages"]]
    assert messages == [("system", "BE BRIEF."), ("user", "Hi"), ("user", "Again.")]
    assert [tool["function"]["name"] for tool in chat["tools"]] == ["f", "g"]
    assert chat["tool_choice"] == response["tool_choice"] == "none"
    assert 5 in (chat.get("max_tokens"), chat.get("max_completion_tokens"))
    assert (response["instructions"], response["max_output_tokens"]) == ("BE BRIEF.", 5)
    assert response["metadata"] == {"seen": "yes"}


async def test_an_interceptor_may_return_another_request() -> None:
    async def replace(view: RequestView, headers: Mapping[str, str]) -> RequestView:
        return RequestView.of({"model": "other", "input": "Ho"})

    host = ScriptedHost(text_answer("Hello"))
    await post(ResponsesShim(host, interceptors=[replace]), "/v1/responses", REQUEST)
    assert host.requests[0]["messages"] == [{"role": "user", "content": "Ho"}]


async def test_an_interceptor_may_turn_streaming_off() -> None:
    async def do_not_stream(view: RequestView, headers: Mapping[str, str]) -> None:
        view.extra["stream"] = False

    shim = ResponsesShim(ScriptedHost(text_answer("Hello")), interceptors=[do_not_stream])
    check_response((await post(shim, "/v1/responses", {**REQUEST, "stream": True})).json)


async def test_an_interceptor_gets_the_clients_headers_but_cannot_change_them() -> None:
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


async def test_an_interceptor_sees_an_attached_file_as_the_text_that_the_model_gets() -> None:
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
async def test_a_refusal_is_sent_with_its_own_error_and_the_host_is_not_called(stream: bool) -> None:
    host, observer = ScriptedHost(text_answer("Hello")), Observer()
    shim = ResponsesShim(host, interceptors=[observer, forbid])
    reply = await post(shim, "/v1/responses", {**REQUEST, "stream": stream})
    error = error_of(reply)
    assert (reply.status, error["type"], error["code"]) == (403, "permission_error", "forbidden")
    assert host.requests == []
    assert observer.responses == []


@streaming
async def test_an_interceptor_that_fails_is_a_500_that_does_not_show_its_exception(
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
async def test_half_a_surrogate_pair_from_an_interceptor_is_a_failure_of_the_interceptor(
    stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def cut(view: RequestView, headers: Mapping[str, str]) -> None:
        view.messages[0].content = "\ud83d"

    host = ScriptedHost(text_answer("Hello"))
    reply = await post(ResponsesShim(host, interceptors=[cut]), "/v1/responses", {**REQUEST, "stream": stream})
    assert (reply.status, error_of(reply)["type"]) == (500, "server_error")
    assert "cut failed" in caplog.text
    assert host.requests == []


@streaming
async def test_the_report_is_of_what_the_interceptors_have_left(stream: bool) -> None:
    async def change(view: RequestView, headers: Mapping[str, str]) -> None:
        view.model = "other"
        view.params["truncation"] = "auto"
        view.extra["logit_bias"] = {}
        del view.params["store"], view.extra["unknown"]

    request = {"input": "Hi", "stream": stream, "store": True, "unknown": 1}
    shim = ResponsesShim(ScriptedHost(text_answer("Hello")), interceptors=[look, change], default_model="m")
    reply = await post(shim, "/v1/responses", request)
    assert reply.headers["responses-shim-report"] == 'dropped=("truncation" "logit_bias")'
    shim = ResponsesShim(ScriptedHost(text_answer("Hello")), interceptors=[look], default_model="m")
    reply = await post(shim, "/v1/responses", {"input": "Hi"})
    assert reply.headers["responses-shim-report"] == 'defaulted=("model")'


async def test_headers_of_a_refusal_are_encoded_in_latin_1() -> None:
    async def refuse(view: RequestView, headers: Mapping[str, str]) -> None:
        raise InvalidRequest("Not today.", status=403, headers=[("X-Reason", "café, 日本")])

    reply = await post(ResponsesShim(ScriptedHost(), interceptors=[refuse]), "/v1/responses", REQUEST)
    assert (reply.status, reply.headers["x-reason"]) == (403, "café, ??")


@pytest.mark.parametrize(
    "item",
    [{"role": "critic", "content": "no"}, {"type": 7}, {"role": "user", "content": 7}],
    ids=str,
)
async def test_an_invalid_item_is_a_400_from_the_client_and_a_500_from_an_interceptor(
    item: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def add(view: RequestView, headers: Mapping[str, str]) -> None:
        view.messages.append(Message.of(item))

    host = ScriptedHost(text_answer("Hello"))
    request = {"model": "scripted", "input": [{"role": "user", "content": "Hi"}]}
    reply = await post(ResponsesShim(host, interceptors=[add]), "/v1/responses", request)
    assert (reply.status, error_of(reply)["param"]) == (500, None)
    assert "add made the request invalid: input[1]" in caplog.text

    reply = await post(ResponsesShim(host, interceptors=[fail]), "/v1/responses", {**request, "input": [item]})
    assert reply.status == 400
    assert error_of(reply)["param"].startswith("input[0]")
    assert host.requests == []


# The response ------------------------------------------------------------------------------------------------------


@streaming
async def test_finished_is_called_after_the_client_has_all_of_its_response(stream: bool) -> None:
    observer = Observer()
    observer.may_return = anyio.Event()
    shim = ResponsesShim(ScriptedHost(text_answer("Hel", "lo")), interceptors=[observer])
    async with call(shim, "POST", "/v1/responses", json={**REQUEST, "stream": stream}) as exchange:
        reply = await exchange.reply()
        response = payloads(reply.events)[-1]["response"] if stream else reply.json
        assert not exchange.ended.is_set()
        assert observer.responses == []
        observer.may_return.set()
        await exchange.finish()
    [seen], [request] = observer.responses, observer.requests
    assert (seen.id, seen.text, seen.finish_reason) == (response["id"], "Hello", "stop")
    assert seen.output == response["output"]
    assert request.extra["user"] == "somebody"


@streaming
async def test_finished_gets_a_failed_response_when_the_host_refuses(stream: bool) -> None:
    """The client gets an HTTP error, and gets it first."""
    observer = Observer()
    observer.may_return = anyio.Event()
    host = ScriptedHost([Json(429, {"error": {"message": "later", "type": "t", "code": "c", "param": None}})])
    shim = ResponsesShim(host, interceptors=[observer])
    async with call(shim, "POST", "/v1/responses", json={**REQUEST, "stream": stream}) as exchange:
        reply = await exchange.reply()
        assert (reply.status, error_of(reply)["message"]) == (429, "later")
        observer.may_return.set()
        await exchange.finish()
    [seen] = observer.responses
    assert (seen.status, seen.finish_reason) == ("failed", "error")
    assert seen.error is not None
    assert seen.error["code"] == "rate_limit_exceeded"


async def test_finished_gets_a_failed_response_when_the_host_raises_in_its_stream() -> None:
    observer = Observer()
    host = ScriptedHost([chunk("Hel"), Raise(RuntimeError("dead"))])
    reply = await post(ResponsesShim(host, interceptors=[observer]), "/v1/responses", {**REQUEST, "stream": True})
    check_stream(payloads(reply.events))
    [seen] = observer.responses
    assert (seen.text, seen.finish_reason) == ("Hel", "error")


async def test_finished_is_not_called_when_the_client_left() -> None:
    observer = Observer()
    host = ScriptedHost([chunk("Hel"), Hold()])
    shim = ResponsesShim(host, interceptors=[observer])
    async with call(shim, "POST", "/v1/responses", json={**REQUEST, "stream": True}) as exchange:
        await exchange.next_event()
        await exchange.disconnect()
        await exchange.finish()
    assert observer.responses == []


@streaming
async def test_a_finished_that_fails_is_logged_and_the_client_does_not_notice(
    stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Observer):
        async def finished(self, request: RequestView, response: ResponseView) -> None:
            raise RuntimeError("inside")

    last = Observer()
    shim = ResponsesShim(ScriptedHost(text_answer("Hello")), interceptors=[Failing(), last])
    reply = await post(shim, "/v1/responses", {**REQUEST, "stream": stream})
    check_response(payloads(reply.events)[-1]["response"] if stream else reply.json)
    assert "inside" not in reply.body.decode()
    assert len(last.responses) == 1
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "Failing failed in finished() for response resp_" in record.getMessage()


# Mounting ----------------------------------------------------------------------------------------------------------


@streaming
async def test_without_interceptors_no_view_is_made(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(RequestView, "of")
    monkeypatch.delattr(ResponseView, "of")
    shim = ResponsesShim(ScriptedHost(text_answer("Hello")))
    assert (await post(shim, "/v1/responses", {**REQUEST, "stream": stream})).status == 200


async def test_interceptors_are_given_beside_settings_in_either_form() -> None:
    host = ScriptedHost(text_answer("Hello"))
    for shim in (
        ResponsesShim(host, Settings(ping="off"), interceptors=[forbid]),
        ResponsesShim(host, ping="off", interceptors=[forbid]),
    ):
        assert shim.settings.ping == "off"
        assert (await post(shim, "/v1/responses", REQUEST)).status == 403


def test_an_interceptor_that_is_not_callable_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match=r"interceptors\[0\]"):
        ResponsesShim(ScriptedHost([]), interceptors=["guard"])  # type: ignore[list-item]


def test_interceptors_are_neither_a_setting_nor_a_request_field() -> None:
    assert "interceptors" not in Settings.model_fields
    assert "interceptors" not in CreateRequest.__struct_fields__
    with pytest.raises(ConfigurationError, match="interceptors"):
        Settings.load(interceptors=["guard"])  # type: ignore[call-arg]
