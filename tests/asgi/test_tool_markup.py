"""Function tools on a host without a tool parser: through the complete shim, on a scripted host, streamed and not."""

from __future__ import annotations

import json
import logging
import sys
from argparse import Namespace
from types import ModuleType, SimpleNamespace
from typing import Any, get_args

import pytest

from responses_shim import ResponsesShim
from responses_shim.core.response.tool_markup import FORMS
from responses_shim.hosts import llama_cpp
from responses_shim.hosts.tool_handling import Model, Templates
from responses_shim.setting_types import ToolMarkup
from tests.caller import payloads, post
from tests.oracle import check_response, check_stream
from tests.scripted import ScriptedHost, call_answer, text_answer

pytestmark = pytest.mark.anyio

Json = dict[str, Any]

streaming = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "not streamed"])

WEATHER: Json = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
TIME: Json = {"type": "function", "name": "get_time", "parameters": {"type": "object", "properties": {}}}
TEXT = 'Let me see.\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
BARE = '{"name": "get_weather", "arguments": {"city": "Paris"}}'


def shim_of(app: ScriptedHost, **settings: Any) -> ResponsesShim:
    return ResponsesShim(app, **{"tool_markup": "detect", "auth_probe": "off", **settings})


async def respond(
    shim: ResponsesShim, *, stream: bool = True, scope: Json | None = None, **fields: Any
) -> tuple[Json, str]:
    """The response, which is valid, and the report."""
    body = {"model": "m", "input": "Weather?", "tools": [WEATHER, TIME], "stream": stream, **fields}
    reply = await post(shim, "/v1/responses", body, scope=scope)
    assert reply.status == 200, reply.body
    if stream:
        events = payloads(reply.events)
        check_stream(events)
        response: Json = events[-1]["response"]
    else:
        response = reply.json
    check_response(response)
    return response, str(reply.headers.get("responses-shim-report", ""))


def test_the_setting_names_every_form() -> None:
    assert get_args(ToolMarkup) == ("auto", "detect", "off", *FORMS)


@streaming
async def test_a_call_in_the_text_is_an_item(stream: bool) -> None:
    host = ScriptedHost(text_answer(*TEXT))
    response, report = await respond(shim_of(host), stream=stream)
    message, call = response["output"]
    assert message["content"][0]["text"] == "Let me see.\n"
    assert (call["type"], call["name"], json.loads(call["arguments"])) == (
        "function_call",
        "get_weather",
        {"city": "Paris"},
    )
    assert report == 'described=("tools")'
    (request,) = host.requests
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & request.keys()
    assert '{"name":"get_weather","parameters":' in request["messages"][0]["content"]


async def test_the_prompt_of_the_next_turn_begins_with_that_of_the_turn_before() -> None:
    host = ScriptedHost(text_answer(TEXT), text_answer("Sunny."))
    shim = shim_of(host)
    first, _ = await respond(shim)
    output = {"type": "function_call_output", "call_id": first["output"][1]["call_id"], "output": "sunny"}
    await respond(shim, previous_response_id=first["id"], input=[output])
    before, after = (request["messages"] for request in host.requests)
    assert after[: len(before)] == before
    assert after[len(before) :] == [
        {"role": "assistant", "content": TEXT},
        {"role": "user", "content": "<tool_response>\nsunny\n</tool_response>"},
    ]


@streaming
@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}])
async def test_a_forced_call_is_enforced_by_a_schema_and_read(choice: Any, stream: bool) -> None:
    host = ScriptedHost(text_answer(*BARE))
    response, report = await respond(shim_of(host), stream=stream, tool_choice=choice)
    (call,) = response["output"]
    assert (call["name"], call["arguments"]) == ("get_weather", '{"city": "Paris"}')
    (request,) = host.requests
    schema = request["response_format"]["json_schema"]["schema"]
    assert ("anyOf" in schema) is (choice == "required")
    assert "tool_choice" not in request
    assert report == 'mapped=("tool_choice"), described=("tools")'


async def test_the_description_does_not_depend_on_the_choice() -> None:
    host = ScriptedHost(*[text_answer("Hi.")] * 3)
    for choice in ("auto", "required", "none"):
        await respond(shim_of(host), tool_choice=choice)
    assert host.requests[0]["messages"] == host.requests[1]["messages"] == host.requests[2]["messages"]


async def test_where_no_call_may_be_made_calls_are_text() -> None:
    response, _ = await respond(shim_of(ScriptedHost(text_answer(TEXT))), tool_choice="none")
    assert response["output"][0]["content"][0]["text"] == TEXT


async def test_a_request_without_tools_is_untouched() -> None:
    host = ScriptedHost(text_answer(TEXT))
    response, report = await respond(shim_of(host), tools=None)
    assert response["output"][0]["content"][0]["text"] == TEXT
    assert host.requests[0]["messages"] == [{"role": "user", "content": "Weather?"}]
    assert report == ""


@pytest.mark.parametrize(
    "settings", [{"tool_markup": "off"}, {"tool_markup": "auto"}, {"tool_markup": "off", "host": "llama-cpp"}]
)
async def test_elsewhere_calls_are_left_to_the_host(settings: Json) -> None:
    host = ScriptedHost(text_answer(TEXT))
    response, _ = await respond(shim_of(host, **settings))
    assert response["output"][0]["content"][0]["text"] == TEXT
    assert len(host.requests[0]["tools"]) == 2


async def test_a_host_that_parses_calls_after_all_is_left_alone() -> None:
    host = ScriptedHost(call_answer(("call_1", "get_weather", '{"city": "Paris"}')))
    response, _ = await respond(shim_of(host))
    assert [item["call_id"] for item in response["output"]] == ["call_1"]


async def test_a_named_form_is_read_where_it_is_ambiguous() -> None:
    calls = "[get_weather(city='Paris'), get_time()]"
    read, _ = await respond(shim_of(ScriptedHost(text_answer(*calls)), tool_markup="pythonic"))
    assert [item["name"] for item in read["output"]] == ["get_weather", "get_time"]
    detected, _ = await respond(shim_of(ScriptedHost(text_answer(calls))), model="Llama-4-Scout")
    assert [item["name"] for item in detected["output"]] == ["get_weather", "get_time"]
    other, _ = await respond(shim_of(ScriptedHost(text_answer(calls))))
    assert [item["type"] for item in other["output"]] == ["message"]


async def test_one_call_is_enough_without_parallel_calls() -> None:
    text = '<tool_call>{"name": "get_time"}</tool_call>' * 2
    response, _ = await respond(shim_of(ScriptedHost(text_answer(*text))), parallel_tool_calls=False)
    assert len(response["output"]) == 1


async def test_an_answer_beside_tools_is_held_to_its_format_and_calls_are_made_all_the_same() -> None:
    form = {"type": "json_schema", "name": "a", "schema": {"type": "object", "required": ["x"]}, "strict": True}
    host = ScriptedHost(text_answer(TEXT), text_answer("words"), text_answer('{"x": 1}'))
    shim = shim_of(host, host="llama-cpp")
    called, _ = await respond(shim, text={"format": form})
    assert called["output"][-1]["type"] == "function_call"
    answered, _ = await respond(shim, text={"format": form})
    assert answered["output"][0]["content"][0]["text"] == '{"x": 1}'
    assert host.requests[2]["response_format"]["type"] == "json_object"


async def test_an_answer_that_ends_within_a_call_is_text_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="responses_shim")
    cut = TEXT[: TEXT.index('": {"city')]
    response, _ = await respond(shim_of(ScriptedHost(text_answer(cut, finish_reason="length"))))
    assert response["status"] == "incomplete"
    assert response["output"][0]["content"][0]["text"] == cut
    assert "ended its answer within a call (tool_markup: hermes)" in caplog.text
    assert "get_weather" not in caplog.text


# Tools as Codex has them ---------------------------------------------------------------------------------------------

CODEX_TOOLS: list[Json] = [
    {
        "type": "function",
        "name": "exec_command",
        "parameters": {
            "type": "object",
            "properties": {"cmd": {"type": "string"}, "yield_time_ms": {"type": "number"}, "tty": {"type": "boolean"}},
            "required": ["cmd"],
        },
    },
    {
        "type": "custom",
        "name": "apply_patch",
        "format": {"type": "grammar", "syntax": "lark", "definition": "start: X"},
    },
    {
        "type": "namespace",
        "name": "mcp__files",
        "description": "Files.",
        "tools": [{"type": "function", "name": "read", "parameters": {"type": "object", "properties": {"path": {}}}}],
    },
]
PATCH = '*** Begin Patch\n*** Add File: a.xml\n+<parameter=a>\n+</parameter> {"}\n*** End Patch\n'


@streaming
@pytest.mark.parametrize("form", ["hermes", "qwen3_coder", "glm"])
async def test_tools_as_codex_has_them(form: str, stream: bool) -> None:
    calls: list[tuple[str, Json]] = [
        ("exec_command", {"cmd": "echo '</tool_call>' | grep \"a\" && ls", "yield_time_ms": 1000, "tty": True}),
        ("apply_patch", {"input": PATCH}),
        ("mcp__files.read", {"path": "/a"}),
    ]
    host = ScriptedHost(text_answer(*written(form, calls)))
    response, _ = await respond(shim_of(host, host="llama-cpp"), stream=stream, tools=CODEX_TOOLS)
    command, patch, read = response["output"]
    assert (command["name"], json.loads(command["arguments"])) == calls[0]
    assert (patch["type"], patch["name"], patch["input"]) == ("custom_tool_call", "apply_patch", PATCH)
    assert (read["namespace"], read["name"], json.loads(read["arguments"])) == ("mcp__files", "read", {"path": "/a"})


def written(form: str, calls: list[tuple[str, Json]]) -> str:
    """The calls as a model of that form writes them."""
    blocks = []
    for name, arguments in calls:
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in arguments.items()}
        if form == "hermes":
            inner = json.dumps({"name": name, "arguments": arguments})
        elif form == "qwen3_coder":
            parameters = "".join(f"<parameter={key}>\n{text}\n</parameter>\n" for key, text in texts.items())
            inner = f"<function={name}>\n{parameters}</function>"
        else:
            inner = name + "".join(
                f"<arg_key>{key}</arg_key><arg_value>{text}</arg_value>" for key, text in texts.items()
            )
        blocks.append(f"<tool_call>\n{inner}\n</tool_call>")
    return "\n".join(blocks)


# llama-cpp-python's own template -------------------------------------------------------------------------------------

WITH_TOOLS = "{% for tool in tools %}{{ tool | tojson }}{% endfor %}{{ tool_call.arguments | tojson }}<tool_call>"
ITERATES = WITH_TOOLS + "{% for key, value in tool_call.arguments | items %}{% endfor %}"


def load(monkeypatch: pytest.MonkeyPatch, chat_format: str | None, **metadata: str) -> None:
    """Have llama-cpp-python's server loaded, with such a model."""
    module = ModuleType("llama_cpp.server.app")
    named = {f"tokenizer.{name.replace('__', '.')}": value for name, value in metadata.items()}
    model = SimpleNamespace(chat_format=chat_format, metadata=named)
    module.__dict__["_llama_proxy"] = SimpleNamespace(_current_model=model)
    monkeypatch.setitem(sys.modules, "llama_cpp.server.app", module)


def test_the_template_is_that_of_the_loaded_model(monkeypatch: pytest.MonkeyPatch) -> None:
    assert llama_cpp.templates("m").chat is None
    load(monkeypatch, "chat_template.default", chat_template="default", chat_template__tool_use="tools")
    assert llama_cpp.templates("m").chat == "default"
    load(monkeypatch, "chat_template.tool_use", chat_template="default", chat_template__tool_use="tools")
    assert llama_cpp.templates("m").chat == "tools"
    for chat_format in ("chatml", None, "chat_template.gone"):
        load(monkeypatch, chat_format, chat_template="default")
        assert llama_cpp.templates("m").chat is None


def test_a_template_renders_tools_if_it_takes_arguments_as_text() -> None:
    def renders(template: str | None) -> bool:
        return llama_cpp.renders_tools(Model("m", Templates(template), "hermes"))

    assert renders(WITH_TOOLS)
    assert not renders(ITERATES)
    assert not renders("{% for key in arguments.items() %}{% endfor %}{{ tools }}")
    assert not renders("{{ messages }}")
    assert not renders(None)


async def test_tools_go_to_a_template_that_shows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, "chat_template.default", chat_template=WITH_TOOLS)
    host = ScriptedHost(*[text_answer(TEXT)] * 2, text_answer(BARE))
    shim = shim_of(host, host="llama-cpp", tool_markup="auto")
    response, report = await respond(shim)
    assert response["output"][1]["name"] == "get_weather"
    assert [tool["function"]["name"] for tool in host.requests[0]["tools"]] == ["get_weather", "get_time"]
    assert [message["role"] for message in host.requests[0]["messages"]] == ["user"]
    assert report == ""
    # One function is enforced by the host itself, any of several by a schema.
    await respond(shim, tool_choice={"type": "function", "name": "get_time"})
    assert host.requests[1]["tool_choice"]["function"]["name"] == "get_time"
    assert "response_format" not in host.requests[1]
    required, _ = await respond(shim, tool_choice="required")
    assert required["output"][0]["name"] == "get_weather"
    assert host.requests[2]["response_format"]["type"] == "json_object"
    assert len(host.requests[2]["response_format"]["schema"]["anyOf"]) == 2
    assert len(host.requests[2]["tools"]) == 2


@pytest.mark.parametrize(("template", "native"), [(ITERATES, False), ("{{ messages }}", True)])
async def test_tools_are_described_where_the_template_does_not_show_them_or_fails(
    monkeypatch: pytest.MonkeyPatch, template: str, native: bool
) -> None:
    load(monkeypatch, "chat_template.default", chat_template=template)
    host = ScriptedHost(*[text_answer(BARE)] * 2)
    shim = shim_of(host, host="llama-cpp", tool_markup="auto")
    await respond(shim)
    assert "tools" not in host.requests[0]
    assert "<tools>" in host.requests[0]["messages"][0]["content"]
    # A choice that the host enforces goes there, unless the template would show the tool a second time.
    await respond(shim, tool_choice={"type": "function", "name": "get_weather"})
    assert ("tool_choice" in host.requests[1]) is native
    assert ("response_format" in host.requests[1]) is not native
    assert host.requests[1]["messages"] == host.requests[0]["messages"]


@pytest.mark.parametrize(
    ("choice", "asked"),
    [("required", "call one of these functions:"), ({"type": "function", "name": "get_time"}, "call get_time:")],
)
async def test_a_forced_call_is_asked_for_in_words_where_no_schema_is_enforced(
    monkeypatch: pytest.MonkeyPatch, choice: Any, asked: str
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    host = ScriptedHost(text_answer('{"name": "get_time", "arguments": {}}'))
    response, report = await respond(shim_of(host, host="vllm-mlx"), tool_choice=choice)
    assert [item["type"] for item in response["output"]] == ["function_call"]
    (request,) = host.requests
    assert not {"tools", "tool_choice", "response_format"} & request.keys()
    assert asked in request["messages"][0]["content"]
    assert 'described=("tools" "tool_choice")' in report


# vLLM without a tool parser ------------------------------------------------------------------------------------------

OWN_FORM = {
    "fields": {
        "tool_calls": {
            "open_pattern": r"<call (?P<name>\w+)>",
            "close": "</call>",
            "content": "json",
            "transform": {"function": {"name": "{name}", "arguments": "{content}"}},
        }
    }
}


def vllm_without_parser(template: str | None = None, **tokenizer: Any) -> SimpleNamespace:
    """The app of a vLLM server that was started without `--tool-call-parser`."""
    renderer = SimpleNamespace(tokenizer=SimpleNamespace(**tokenizer))
    serving = SimpleNamespace(chat_template=template, renderer=renderer)
    args = Namespace(enable_auto_tool_choice=False, tool_call_parser=None)
    return SimpleNamespace(state=SimpleNamespace(args=args, openai_serving_chat=serving))


def on_vllm(app: ScriptedHost) -> ResponsesShim:
    return shim_of(app, host="vllm", tool_markup="auto")


async def test_vllm_gets_tools_for_its_template_and_leaves_the_calls_in_the_text() -> None:
    host = ScriptedHost(text_answer(TEXT), text_answer(BARE), text_answer("Hi."), text_answer("Hi."))
    shim, scope = on_vllm(host), {"app": vllm_without_parser(ITERATES)}
    response, report = await respond(shim, scope=scope)
    assert [item["type"] for item in response["output"]] == ["message", "function_call"]
    assert response["output"][0]["content"][0]["text"] == "Let me see.", "the template writes the line end again"
    forced, _ = await respond(shim, scope=scope, tool_choice="required")
    assert [item["type"] for item in forced["output"]] == ["function_call"]
    await respond(shim, scope=scope, tool_choice="none")
    await respond(shim, scope=scope, tools=[])
    auto, required, none, without = host.requests
    for request in (auto, required):
        assert (request["tool_choice"], request["skip_special_tokens"]) == ("none", False)
        assert [tool["function"]["name"] for tool in request["tools"]] == ["get_weather", "get_time"]
    assert "response_format" not in auto
    assert len(required["response_format"]["json_schema"]["schema"]["anyOf"]) == 2
    assert none["tool_choice"] == "none"
    assert not {"tools", "tool_choice", "skip_special_tokens"} & without.keys()
    assert report == ""


async def test_the_tools_are_described_where_vllms_template_does_not_show_them() -> None:
    host = ScriptedHost(text_answer(TEXT))
    response, report = await respond(on_vllm(host), scope={"app": vllm_without_parser("{{ messages }}")})
    assert response["output"][1]["type"] == "function_call"
    assert report == 'described=("tools")'
    (request,) = host.requests
    assert not {"tools", "tool_choice"} & request.keys()
    assert request["skip_special_tokens"] is False


@streaming
async def test_calls_are_read_in_the_form_that_the_models_own_response_template_describes(stream: bool) -> None:
    answer = 'Let me see. <call get_weather>{"city": "Paris"}</call>'
    for tokenizer, kinds in (({"response_template": OWN_FORM}, ["message", "function_call"]), ({}, ["message"])):
        scope = {"app": vllm_without_parser(WITH_TOOLS, **tokenizer)}
        response, _ = await respond(on_vllm(ScriptedHost(text_answer(*answer))), stream=stream, scope=scope)
        assert [item["type"] for item in response["output"]] == kinds
