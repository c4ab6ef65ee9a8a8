"""Which requests the shim answers, wherever it is mounted; all others reach the host unchanged."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from responses_shim import ResponsesShim, Settings
from responses_shim.errors import ConfigurationError
from tests.caller import post, request
from tests.oracle import check_error, check_response
from tests.scripted import CHAT_PATH, ScriptedHost

pytestmark = pytest.mark.anyio

REQUEST = {"model": "scripted", "input": "Hi"}

# Requests for the host ---------------------------------------------------------------------------------------------


class Recorder:
    """An app that remembers what it was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Scope, Receive, Send]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls.append((scope, receive, send))


async def reaches_host(scope: Scope, **options: Any) -> bool:
    """Whether the host is called with this scope, unchanged, and with the server's own `receive` and `send`."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    host, before = Recorder(), dict(scope)
    await ResponsesShim(host, **options)(scope, receive, send)
    assert scope == before
    if not host.calls:
        return False
    [(inner_scope, inner_receive, inner_send)] = host.calls
    assert inner_scope is scope
    assert inner_receive is receive
    assert inner_send is send
    assert not sent
    return True


def http(path: str, method: str = "POST", **more: Any) -> Scope:
    """The scope of an HTTP request for `path`, which is given percent-encoded, as a client sends it."""
    return {
        "type": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        **more,
    }


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/models",
        "/v1/chat/completions",
        "/v1/responsesX",
        "/v1/response",
        "/v1/conversationsX",
        "/v1/Responses",
        "/v1/responses%0A",
        "/v2/responses",
        "/x/v1/responses",
        "/responses",
        "/conversations",
    ],
)
async def test_any_other_path_goes_to_the_host_unchanged(path: str) -> None:
    assert await reaches_host(http(path))


AMBIGUOUS_PATHS = [
    "//v1/responses",
    "/v1//responses",
    "/v1/responses//",
    "/v1/responses//input_items",
    "/v1/./responses",
    "/v1/responses/.",
    "/v1/responses/./resp_1",
    "/v1/responses/..",
    "/v1/responses/../models",
    "/v1/x/../responses",
]


@pytest.mark.parametrize(
    "path",
    [
        *AMBIGUOUS_PATHS,
        "/v1%2fresponses",
        "/v1/responses%2Fresp_1",
        "/v1/responses/%2e%2e",
        "/v1/responses/%2E/resp_1",
        "/v1/responses/.%2e/models",
    ],
)
async def test_a_path_that_a_proxy_may_read_as_another_one_goes_to_the_host(path: str) -> None:
    assert await reaches_host(http(path))


@pytest.mark.parametrize("path", AMBIGUOUS_PATHS)
async def test_ambiguous_paths_are_recognised_without_a_raw_path_too(path: str) -> None:
    """`raw_path` is optional in ASGI."""
    scope = http(path)
    del scope["raw_path"]
    assert await reaches_host(scope)


async def test_the_host_lives_as_long_as_the_server_says() -> None:
    host, sent = ScriptedHost(), []
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message["type"])

    await ResponsesShim(host)({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
    assert host.lifespan == ["lifespan.startup", "lifespan.shutdown"]
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses/resp_1", "/v1/conversations"])
async def test_an_options_request_goes_to_the_host(path: str) -> None:
    assert await reaches_host(http(path, "OPTIONS"))


@pytest.mark.parametrize(
    "scope",
    [
        {"type": "websocket", "path": "/v1/chat", "headers": []},
        {"type": "websocket", "path": "/v1/responses/resp_1", "headers": []},
        {"type": "websocket", "path": "/v1/conversations", "headers": []},
        {"type": "something.new", "path": "/v1/responses"},
    ],
    ids=lambda scope: f"{scope['type']} {scope.get('path', '')}",
)
async def test_other_scope_types_and_other_websockets_go_to_the_host_unchanged(scope: Scope) -> None:
    assert await reaches_host(scope)


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses/", "/v1/responses/resp_1", "/v1/conversations"])
async def test_with_enabled_false_every_request_goes_to_the_host(path: str) -> None:
    assert await reaches_host(http(path), enabled=False)
    assert not await reaches_host(http(path), auth_probe="off")


async def test_body_headers_and_query_reach_the_host_byte_for_byte() -> None:
    body = bytes(range(256))
    headers = [("x-twice", "1"), ("x-twice", "2"), ("x-latin", "é"), ("connection", "x-twice")]
    app = ResponsesShim(ScriptedHost())
    reply = await request(app, "PUT", "/some/%C3%A9", body=[body, body], headers=headers, query="a=1&a=%20")
    assert reply.json == {
        "method": "PUT",
        "path": "/some/é",
        "raw_path": "/some/%C3%A9",
        "root_path": "",
        "query": "a=1&a=%20",
        "headers": [["host", "testserver"], *map(list, headers)],
        "body": (body + body).decode("latin-1"),
    }
    assert reply.headers.getlist("set-cookie") == ["a=1", "b=2"]


async def test_the_hosts_own_chat_route_answers_as_it_does_without_the_shim() -> None:
    host = ScriptedHost([b"data: 1\n\n", b"\xff"])
    direct = await post(host, CHAT_PATH, {"any": "thing"})
    through = await post(ResponsesShim(host), CHAT_PATH, {"any": "thing"})
    assert (through.status, through.body, through.headers.raw) == (direct.status, direct.body, direct.headers.raw)


# Under a mount and a root path ---------------------------------------------------------------------------------------


async def test_one_trailing_slash_is_accepted() -> None:
    check_response((await post(ResponsesShim(ScriptedHost()), "/v1/responses/", REQUEST)).json)


async def test_the_chat_path_has_the_root_path_if_the_server_puts_it_into_path() -> None:
    host = ScriptedHost()
    check_response((await post(ResponsesShim(host), "/v1/responses", REQUEST, root_path="/api")).json)
    [scope] = host.scopes
    assert (scope["path"], scope["raw_path"]) == ("/api/v1/chat/completions", b"/api/v1/chat/completions")
    assert scope["root_path"] == "/api"


async def test_the_chat_path_lacks_the_root_path_if_the_server_leaves_it_out_of_path() -> None:
    host = ScriptedHost()
    reply = await post(ResponsesShim(host), "/v1/responses", REQUEST, scope={"root_path": "/api"})
    check_response(reply.json)
    [scope] = host.scopes
    assert (scope["path"], scope["root_path"]) == ("/v1/chat/completions", "/api")


async def test_a_non_ascii_root_path_is_percent_encoded_in_the_raw_path_of_the_chat_call() -> None:
    host = ScriptedHost()
    check_response(
        (await post(ResponsesShim(host), "/caf%C3%A9/v1/responses", REQUEST, scope={"root_path": "/café"})).json
    )
    assert host.scopes[0]["path"] == "/café/v1/chat/completions"
    assert host.scopes[0]["raw_path"] == b"/caf%C3%A9/v1/chat/completions"


async def test_a_path_that_merely_starts_with_the_root_path_is_not_below_it() -> None:
    reply = await post(ResponsesShim(ScriptedHost()), "/apiary/v1/responses", REQUEST, scope={"root_path": "/api"})
    assert reply.json["path"] == "/apiary/v1/responses"


@pytest.mark.parametrize("root_path", ["", "/behind/a/proxy"])
async def test_the_shim_works_inside_a_starlette_mount(root_path: str) -> None:
    host = ScriptedHost()
    app = Starlette(routes=[Mount("/engine", app=ResponsesShim(host))])
    check_response((await post(app, "/engine/v1/responses", REQUEST, root_path=root_path)).json)
    assert host.scopes[0]["path"] == f"{root_path}/engine/v1/chat/completions"
    assert host.scopes[0]["root_path"] == f"{root_path}/engine"
    assert "path_params" not in host.scopes[0]


async def test_around_a_starlette_mount_the_mounted_paths_belong_to_the_host() -> None:
    app = ResponsesShim(Starlette(routes=[Mount("/engine", app=ScriptedHost())]))
    assert (await post(app, "/engine/v1/responses", REQUEST)).json["path"] == "/engine/v1/responses"


async def test_unprefixed_adds_the_routes_without_v1() -> None:
    host = ScriptedHost()
    app = ResponsesShim(host, unprefixed=True)
    check_response((await post(app, "/responses", REQUEST)).json)
    check_response((await post(app, "/v1/responses", REQUEST)).json)
    assert [scope["path"] for scope in host.scopes] == [CHAT_PATH, CHAT_PATH]
    assert (await request(app, "GET", "/conversations/conv_1")).status == 404


async def test_mounted_twice_it_calls_the_host_once() -> None:
    host = ScriptedHost()
    check_response((await post(ResponsesShim(ResponsesShim(host)), "/v1/responses", REQUEST)).json)
    assert len(host.requests) == 1


# WebSockets ----------------------------------------------------------------------------------------------------------

UPGRADE = {"connection": "keep-alive, Upgrade", "upgrade": "WebSocket", "sec-websocket-version": "13"}


async def open_websocket(extensions: dict[str, Any] | None) -> list[Message]:
    """What the app sends when a client opens a WebSocket at /v1/responses."""
    scope: Scope = {"type": "websocket", "path": "/v1/responses", "headers": [], "extensions": extensions}
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await ResponsesShim(ScriptedHost())(scope, receive, send)
    return sent


async def test_a_websocket_is_refused_with_426_if_the_server_can_send_a_response() -> None:
    start, body = await open_websocket({"websocket.http.response": {}})
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 426)
    assert body["type"] == "websocket.http.response.body"
    assert b'"websocket_not_supported"' in body["body"]


@pytest.mark.parametrize("extensions", [{}, None])
async def test_a_websocket_is_closed_if_the_server_cannot_send_a_response(extensions: dict[str, Any] | None) -> None:
    [close] = await open_websocket(extensions)
    assert (close["type"], close["code"]) == ("websocket.close", 1008)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_upgrade_that_the_server_passes_on_as_plain_http_is_refused_with_426(method: str) -> None:
    reply = await request(ResponsesShim(ScriptedHost()), method, "/v1/responses", headers=UPGRADE)
    check_error(reply.json)
    assert (reply.status, reply.json["error"]["code"]) == (426, "websocket_not_supported")
    assert reply.headers["upgrade"] == "HTTP/1.1"


async def test_the_hosts_own_websockets_still_work() -> None:
    messages: list[Message] = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "hello"},
        {"type": "websocket.receive", "bytes": b"\x00\xff"},
        {"type": "websocket.disconnect", "code": 1000},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await ResponsesShim(ScriptedHost())({"type": "websocket", "path": "/echo", "headers": []}, receive, send)
    assert sent == [
        {"type": "websocket.accept"},
        {"type": "websocket.send", "text": "hello"},
        {"type": "websocket.send", "bytes": b"\x00\xff"},
    ]


async def test_lifespan_events_reach_the_host() -> None:
    host = ScriptedHost()
    messages: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[str] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message["type"])

    await ResponsesShim(host)({"type": "lifespan"}, receive, send)
    assert host.lifespan == ["lifespan.startup", "lifespan.shutdown"]
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


# Settings ------------------------------------------------------------------------------------------------------------


async def test_settings_are_given_as_keyword_arguments_or_as_one_object() -> None:
    for shim in (ResponsesShim(Recorder(), max_body=7), ResponsesShim(Recorder(), Settings(max_body=7))):
        assert shim.settings == Settings(max_body=7)


async def test_settings_in_both_forms_are_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="not both"):
        ResponsesShim(Recorder(), Settings(), max_body=7)


async def test_an_unknown_keyword_argument_is_a_configuration_error() -> None:
    misspelt: dict[str, Any] = {"max_boddy": 7}
    with pytest.raises(ConfigurationError, match="max_boddy"):
        ResponsesShim(Recorder(), **misspelt)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("RESPONSES_SHIM_PING_INTERVAL", "often"), ("RESPONSES_SHIM_PING", "loud")],
)
async def test_a_wrong_environment_variable_is_named_in_a_configuration_error(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=rf"^{variable}: [^\n]+$"):
        ResponsesShim(Recorder())


async def test_an_unknown_environment_variable_is_a_warning_that_names_it_and_the_nearest(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RESPONSES_SHIM_PIMG", "off")
    ResponsesShim(Recorder())
    assert "RESPONSES_SHIM_PIMG: " in caplog.text
    assert "did you mean RESPONSES_SHIM_PING?" in caplog.text


async def test_an_environment_variable_counts_unless_a_keyword_argument_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RESPONSES_SHIM_ENABLED", "false")
    assert ResponsesShim(Recorder()).settings.enabled is False
    assert ResponsesShim(Recorder(), enabled=True).settings.enabled is True


# The model ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [{}, {"model": None}, {"model": ""}], ids=["absent", "null", "empty"])
async def test_a_request_without_a_model_gets_the_default_one_where_it_is_set(model: dict[str, Any]) -> None:
    host = ScriptedHost()
    reply = await post(ResponsesShim(host, default_model="scripted"), "/v1/responses", {"input": "Hi", **model})
    assert (reply.status, reply.json["model"], host.requests[0]["model"]) == (200, "scripted", "scripted")
    assert reply.headers["responses-shim-report"] == 'defaulted=("model")'
    refused = await post(ResponsesShim(host), "/v1/responses", {"input": "Hi", **model})
    assert (refused.status, refused.json["error"]["param"]) == (400, "model")


async def test_the_default_model_replaces_no_model_of_a_client() -> None:
    host = ScriptedHost()
    reply = await post(ResponsesShim(host, default_model="other"), "/v1/responses", REQUEST)
    assert host.requests[0]["model"] == "scripted"
    assert "responses-shim-report" not in reply.headers
    wrong = await post(ResponsesShim(host, default_model="other"), "/v1/responses", {"model": 7, "input": "Hi"})
    assert (wrong.status, wrong.json["error"]["param"]) == (400, "model")
