"""The shim on vLLM, as far as it shows without one: what reaches the chat route, and how the shim is mounted."""

from __future__ import annotations

import logging
from argparse import Namespace
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Message

from responses_shim import ResponsesShim
from responses_shim.asgi.vllm_plugin import VLLMPlugin
from tests.caller import Reply, payloads, post, request
from tests.hosts.replay import recorded
from tests.scripted import Script, ScriptedHost, Step, call_answer, chunk, text_answer

pytestmark = pytest.mark.anyio

Json = dict[str, Any]
REQUEST: Json = {"model": "smol", "input": "Hi"}
LOOK = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}


def served(**arguments: Any) -> Any:
    """An app such as `vllm serve` makes with these arguments, as far as the shim looks at it."""
    defaults = {"enable_auto_tool_choice": True, "tool_call_parser": "hermes", "tool_strict_level": "auto"}
    return SimpleNamespace(state=SimpleNamespace(args=Namespace(**defaults | arguments)))


async def ask(
    script: Script = (),
    arguments: Json | None = None,
    headers: Json | None = None,
    settings: Json | None = None,
    **fields: Any,
) -> tuple[Json, Reply, ScriptedHost]:
    """The chat request that vLLM gets, and the reply to the client."""
    host = ScriptedHost(script or text_answer("Hello."))
    shim = ResponsesShim(host, host="vllm", **(settings or {}))
    scope = {"app": served(**(arguments or {}))}
    reply = await post(shim, "/v1/responses", REQUEST | fields, headers=headers or {}, scope=scope)
    assert reply.status == 200, reply.body
    return host.requests[-1], reply, host


def json_if_constrained(chat: Json) -> list[Step]:
    return text_answer("{}" if "response_format" in chat else "No JSON.")


# Fields --------------------------------------------------------------------------------------------------------------


async def test_fields_of_the_engine_reach_it_and_others_are_reported() -> None:
    own: Json = {
        "chat_template_kwargs": {"enable_thinking": False},
        "logit_bias": {"17": -100},
        "min_tokens": 2,
        "ignore_eos": True,
        "structured_outputs": {"choice": ["yes", "no"]},
        "mm_processor_kwargs": {"num_crops": 4},
        "thinking_token_budget": 100,
        "top_k": 20,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
    }
    chat, reply, _ = await ask(**own, guided_decoding_backend="outlines", n=2)
    assert {name: chat[name] for name in own} == own
    assert reply.headers["responses-shim-report"] == 'dropped=("guided_decoding_backend" "n")'


async def test_another_host_gets_no_field_of_vllms() -> None:
    host = ScriptedHost(text_answer("Hello."))
    reply = await post(ResponsesShim(host), "/v1/responses", {**REQUEST, "min_tokens": 2, "prompt_cache_key": "k"})
    assert host.requests[0].keys().isdisjoint({"min_tokens", "prompt_cache_key", "cache_salt"})
    assert reply.headers["responses-shim-report"] == 'dropped=("min_tokens")'


async def test_a_null_field_of_the_engine_is_none() -> None:
    chat, reply, _ = await ask(min_tokens=None)
    assert "min_tokens" not in chat
    assert "responses-shim-report" not in reply.headers


async def test_every_round_has_the_fields_of_the_engine() -> None:
    """Where an answer beside tools is asked for again, as a mistral parser makes necessary."""
    fields: Json = {
        "text": {"format": {"type": "json_object"}},
        "tools": [LOOK],
        "min_tokens": 2,
        "prompt_cache_key": "k",
    }
    _, _, host = await ask(json_if_constrained, {"tool_call_parser": "mistral"}, **fields)
    assert [chat["min_tokens"] for chat in host.requests] == [2, 2]
    assert len({chat["cache_salt"] for chat in host.requests}) == 1


async def salt(key: str = "k", **options: Any) -> str | None:
    chat, _, _ = await ask(prompt_cache_key=key, **options)
    return chat.get("cache_salt")


async def test_the_salt_of_the_prefix_cache_is_that_of_the_key_and_the_client() -> None:
    """So a client cannot find out by the time of an answer what another one has asked, if it guesses the key."""
    ann, bob = {"authorization": "Bearer ann"}, {"authorization": "Bearer bob"}
    salts = [await salt(headers=who, key=key) for who in (ann, bob, {}) for key in ("k", "l")]
    assert len(set(salts)) == 6
    assert all(made is not None and len(made) == 64 for made in salts)


async def test_the_salt_is_the_same_in_every_process() -> None:
    assert await salt(headers={"authorization": "Bearer ann"}) == await salt(headers={"authorization": "Bearer ann"})


async def test_without_a_key_or_with_the_setting_off_prompts_share_the_cache() -> None:
    assert await salt(settings={"cache_salt": False}) is None
    chat, _, _ = await ask()
    assert "cache_salt" not in chat


async def test_a_tier_that_is_a_priority_is_echoed_as_the_one_that_is_used() -> None:
    chat, reply, _ = await ask(arguments={"scheduling_policy": "priority"}, service_tier="flex")
    assert (chat["priority"], reply.json["service_tier"]) == (10, "flex")
    chat, reply, _ = await ask(service_tier="flex")
    assert ("priority" in chat, reply.json["service_tier"]) == (False, "default")
    assert reply.headers["responses-shim-report"] == 'defaulted=("service_tier")'


async def test_the_headers_by_which_vllm_routes_requests_reach_it() -> None:
    _, _, host = await ask(headers={"x-session-id": "s-1", "x-data-parallel-rank": "1"})
    assert (host.headers[0]["x-session-id"], host.headers[0]["x-data-parallel-rank"]) == ("s-1", "1")


async def test_each_call_has_a_request_id_of_its_own() -> None:
    """vLLM makes it the id of the chat completion, and two requests may not have the same."""
    fields: Json = {"text": {"format": {"type": "json_object"}}, "tools": [LOOK], "request_id": "mine"}
    _, _, host = await ask(json_if_constrained, {"tool_call_parser": "mistral"}, {"x-request-id": "client"}, **fields)
    ids = [headers["x-request-id"] for headers in host.headers]
    assert len({*ids, "client"}) == 3
    assert all("request_id" not in chat for chat in host.requests)


# Tools and formats ---------------------------------------------------------------------------------------------------


async def test_a_format_beside_tools_is_composed_where_the_parser_can() -> None:
    answer_format = {"type": "json_schema", "name": "a", "schema": LOOK["parameters"]}
    chat, reply, host = await ask(text_answer("{}"), tools=[LOOK], text={"format": answer_format})
    assert chat["response_format"]["type"] == "json_schema"
    assert chat["tools"][0]["function"]["strict"] is True
    assert reply.headers["responses-shim-report"] == 'composed=("text.format"), mapped=("tools[0].strict")'
    assert reply.json["tools"][0]["strict"] is None  # the client's own declaration is repeated as it was
    assert len(host.requests) == 1


async def test_a_format_beside_tools_is_checked_where_the_parser_cannot_or_the_schema_is_odd() -> None:
    odd = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^a"}}}
    for schema, parser in ((odd, "hermes"), (LOOK["parameters"], "mistral")):
        answer_format = {"type": "json_schema", "name": "a", "schema": schema}
        chat, reply, _ = await ask(
            text_answer("{}"), {"tool_call_parser": parser}, tools=[LOOK], text={"format": answer_format}
        )
        assert "response_format" not in chat
        assert reply.headers["responses-shim-report"] == 'described=("text.format")'


async def test_the_line_end_before_a_call_is_no_text() -> None:
    script = [chunk(role="assistant"), chunk("Let me look."), chunk("\n"), *call_answer(("c1", "look", "{}"))]
    for stream in (True, False):
        _, reply, _ = await ask(script, tools=[LOOK], stream=stream)
        response = payloads(reply.events)[-1]["response"] if stream else reply.json
        message, call = response["output"]
        assert (message["content"][0]["text"], call["type"]) == ("Let me look.", "function_call")


async def test_how_the_server_was_started_is_found_where_the_shim_is_the_outermost_app_too() -> None:
    """`app = ResponsesShim(app)`: no Starlette has put its app into the scope yet."""
    app = Starlette(routes=[Mount("/", app=ScriptedHost(text_answer("Hello.")))])
    app.state.args = Namespace(scheduling_policy="priority")
    reply = await post(ResponsesShim(app, host="vllm"), "/v1/responses", {**REQUEST, "service_tier": "flex"})
    assert reply.json["service_tier"] == "flex"


# Token ids -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])
async def test_the_experts_are_on_the_item_with_the_token_ids(stream: bool) -> None:
    """vLLM has them in an answer that is not streamed alone, so that is what is asked for."""
    host = recorded("vllm", "experts")
    scope = {"app": served(enable_return_routed_experts=True)}
    body = {**REQUEST, "stream": stream, "return_token_ids": True}
    reply = await post(ResponsesShim(host, host="vllm"), "/v1/responses", body, scope=scope)
    response = payloads(reply.events)[-1]["response"] if stream else reply.json
    assert host.requests[-1]["stream"] is False
    assert [item["type"] for item in response["output"]] == ["reasoning", "message"]
    assert response["output"][-1]["routed_experts"].startswith("k05VTVBZ")  # NumPy's file format, in base64
    assert "routed_experts" not in response["output"][0]


# Mounting ------------------------------------------------------------------------------------------------------------


async def test_the_plugin_mounts_the_shim_inside_the_middlewares_that_vllm_adds_after_it() -> None:
    """Its key check among them: a response that is stored needs no chat call, and is guarded all the same."""
    host = ScriptedHost(text_answer("Hello."))
    app = Starlette(routes=[Mount("/", app=host)])
    plugin = VLLMPlugin()
    assert (plugin.name, plugin.required_tasks) == ("responses_shim", ("generate",))
    plugin.attach_router(app)
    app.add_middleware(KeyCheck)
    await plugin.init_state(None, app.state, Namespace())
    assert (await post(app, "/v1/responses", REQUEST)).status == 401
    key = {"authorization": "Bearer right"}
    stored = await post(app, "/v1/responses", {**REQUEST, "store": True}, headers=key)
    path = f"/v1/responses/{stored.json['id']}"
    assert (await request(app, "GET", path, headers=key)).status == 200
    assert (await request(app, "GET", path)).status == 401


@pytest.mark.parametrize(("arguments", "echoed"), [({"enable_request_id_headers": True}, None), ({}, "mine")])
async def test_the_plugin_leaves_the_request_id_to_vllm_where_it_sees_to_it(
    arguments: Json, echoed: str | None
) -> None:
    """There would be two of it."""
    app = Starlette(routes=[Mount("/", app=ScriptedHost(text_answer("Hello.")))])
    app.state.args = Namespace(**arguments)
    VLLMPlugin().attach_router(app)
    reply = await post(app, "/v1/responses", REQUEST, headers={"x-request-id": "mine"})
    assert reply.headers.get("x-request-id") == echoed


class KeyCheck:
    """As vLLM's `AuthenticationMiddleware`."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and dict(scope["headers"]).get(b"authorization") != b"Bearer right":
            await send(
                {"type": "http.response.start", "status": 401, "headers": [(b"content-type", b"application/json")]}
            )
            await send({"type": "http.response.body", "body": b'{"error":"Unauthorized"}'})
        else:
            await self.app(scope, receive, send)


async def start(shim: ResponsesShim, app: Any = None) -> None:
    """Start and stop the host, as a server does."""
    messages: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None: ...

    await shim({"type": "lifespan", **({"app": app} if app is not None else {})}, receive, send)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def test_several_processes_with_a_store_each_are_warned_of_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    await start(ResponsesShim(ScriptedHost(), host="vllm"), served(api_server_count=2))
    [warning] = warnings(caplog)
    assert warning.startswith("2 processes answer requests")
    assert "RESPONSES_SHIM_STORE" in warning


@pytest.mark.parametrize(
    ("settings", "processes"), [({}, 1), ({"store": "off"}, 2), ({"store": "sqlite:///{}/r.db"}, 2)]
)
async def test_one_process_or_a_shared_store_or_none_is_no_warning(
    settings: Json, processes: int, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    settings = {name: value.format(tmp_path) for name, value in settings.items()}
    await start(ResponsesShim(ScriptedHost(), host="vllm", **settings), served(api_server_count=processes))
    assert warnings(caplog) == []


async def test_mounted_twice_the_outer_one_answers_and_the_inner_one_does_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As by `--middleware` and `VLLM_PLUGINS` at once. Only one of them runs what is in the background."""
    host = ScriptedHost(text_answer("Hello."))
    inner = ResponsesShim(host, host="vllm")
    outer = ResponsesShim(inner, host="vllm")
    await start(outer, served(api_server_count=2))
    assert host.lifespan == ["lifespan.startup", "lifespan.shutdown"]
    assert len(warnings(caplog)) == 1
    async with outer.running():
        reply = await post(outer, "/v1/responses", {**REQUEST, "store": True})
        assert reply.status == 200
        assert len(host.requests) == 1
        assert (await request(outer, "GET", f"/v1/responses/{reply.json['id']}")).status == 200
        assert (await request(inner, "GET", f"/v1/responses/{reply.json['id']}")).status == 404
