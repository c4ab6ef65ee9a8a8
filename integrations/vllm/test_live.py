"""The shim inside vLLM's real server.

    pytest -m live integrations/vllm            # with VLLM_ENVIRONMENT, see the README

What the engine says is a script in most tests, and the rest is vLLM's own. The small model is asked in a few others;
what it says is never checked, only what the API says about it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from integrations.flags import unknown_flags
from integrations.vllm.conftest import Serve
from integrations.vllm.server import MIDDLEWARE, MODEL, PARSERS, SMALL, Script, Server
from tests.oracle import check_error, check_response, check_stream

pytestmark = [
    pytest.mark.live,
    # The SDK leaves the closing of its connections to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

Json = dict[str, Any]
SECONDS = 60.0
PROPERTIES = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Json = {"type": "function", "name": "get_weather", "parameters": PROPERTIES}
KEY = {"authorization": "Bearer right"}
HELLO = "<think>Hm.</think>Hello."
SLOW = "<think>Hm.</think>" + "word " * 2000


def called(city: str) -> str:
    """A call as a model of the Hermes family writes it."""
    return f'<tool_call>\n{{"name": "get_weather", "arguments": {{"city": "{city}"}}}}\n</tool_call>'


def ask(server: Server, *, headers: Json | None = None, **fields: Any) -> httpx.Response:
    body = {"model": MODEL, "input": "Hello!", **fields}
    return httpx.post(f"{server.url}/responses", json=body, headers=headers or {}, timeout=SECONDS, trust_env=False)


def respond(server: Server, **fields: Any) -> Json:
    """The response, without a stream and with one: they must say the same."""
    reply = ask(server, **fields)
    assert reply.status_code == 200, reply.text
    response: Json = reply.json()
    check_response(response)
    streamed = stream(server, **fields)[-1]["response"]
    assert said(streamed) == said(response)
    assert streamed["usage"]["output_tokens"] == response["usage"]["output_tokens"]
    return response


def stream(server: Server, **fields: Any) -> list[Json]:
    """The events of a streamed response, checked by the suite's own oracle."""
    reply = ask(server, stream=True, **fields)
    assert reply.status_code == 200, reply.text
    lines = [line.removeprefix("data: ") for line in reply.text.split("\n") if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    events: list[Json] = [json.loads(line) for line in lines]
    check_stream(events)
    return events


def said(response: Json) -> list[tuple[str, str]]:
    return [
        (item["type"], item["arguments"] if "arguments" in item else "".join(part["text"] for part in item["content"]))
        for item in response["output"]
    ]


def until(condition: Callable[[], bool]) -> None:
    """Wait until something has happened in the server's process."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# The scripted engine -------------------------------------------------------------------------------------------------


@pytest.mark.feature("text", "usage")
@pytest.mark.feature(
    "reasoning",
    "reasoning tokens",
    note="with `--reasoning-parser`; without it the shim takes `<think>` spans out of the text",
)
def test_text_with_reasoning(scripted: Server, script: Script) -> None:
    script.say("<think>A greeting.</think>\n\nHello there!")
    response = respond(scripted)
    assert said(response) == [("reasoning", "A greeting."), ("message", "\n\nHello there!")]
    assert response["usage"]["output_tokens_details"]["reasoning_tokens"] > 0


@pytest.mark.feature("parallel calls")
def test_reasoning_text_and_parallel_calls(scripted: Server, script: Script) -> None:
    script.say(f"<think>Two.</think>\n\nLet me look.\n{called('Paris')}\n{called('Rome')}")
    response = respond(scripted, tools=[WEATHER])
    calls = [("function_call", '{"city": "Paris"}'), ("function_call", '{"city": "Rome"}')]
    assert said(response) == [("reasoning", "Two."), ("message", "\n\nLet me look."), *calls]
    assert len({item["call_id"] for item in response["output"] if "call_id" in item}) == 2


def test_several_tokens_in_one_chunk(scripted: Server, script: Script) -> None:
    script.say(f"<think>Two.</think>\n\nLet me look.\n{called('Paris')}\n{called('Rome')}", per_chunk=7)
    assert [kind for kind, _ in said(respond(scripted, tools=[WEATHER]))] == [
        *("reasoning", "message", "function_call", "function_call")
    ]


def test_the_line_end_between_a_thought_and_a_call_is_no_message(scripted: Server, script: Script) -> None:
    script.say(f"<think>Two.</think>\n{called('Paris')}")
    assert [kind for kind, _ in said(respond(scripted, tools=[WEATHER]))] == ["reasoning", "function_call"]


@pytest.mark.feature("prefix cache")
def test_the_prompt_of_a_turn_begins_with_that_of_the_turn_before_and_what_was_written(
    scripted: Server, script: Script
) -> None:
    """So the engine finds it in its cache. The small model's template writes no line end before a call, Qwen's does."""
    written = f"<think>Two.</think>Let me look.{called('Paris')}\n{called('Rome')}"
    script.say(written)
    history: list[Any] = [{"role": "user", "content": "Hello!"}]
    response = ask(scripted, input=history, tools=[WEATHER]).json()
    history += response["output"]
    history += [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "Sunny"}
        for item in response["output"]
        if item["type"] == "function_call"
    ]
    ask(scripted, input=history, tools=[WEATHER])
    first, second = script.seen
    assert second["prompt"].startswith(first["prompt"] + written)


def test_two_requests_with_one_id_are_two_requests_to_the_engine(scripted: Server, script: Script) -> None:
    """vLLM makes the id of a request that of the chat completion, so the client's own is not handed on."""
    script.say("Hello.")
    for _ in range(2):
        assert ask(scripted, headers={"x-request-id": "mine"}).headers["x-request-id"] == "mine"
    assert len({seen["request_id"] for seen in script.seen}) == 2


def test_fields_of_the_engine_reach_it(scripted: Server, script: Script) -> None:
    script.say("Hello.")
    sampling: Json = {"top_k": 20, "min_p": 0.1, "repetition_penalty": 1.1, "min_tokens": 2, "ignore_eos": True}
    reply = ask(
        scripted,
        headers={"x-session-id": "s-1", **KEY},
        **sampling,
        logit_bias={"17": -100},
        stop_token_ids=[5],
        temperature=0.5,
        max_output_tokens=9,
        prompt_cache_key="k",
        service_tier="flex",
        structured_outputs={"choice": ["Hello."]},
        chat_template_kwargs={"enable_thinking": False},
    )
    assert (reply.status_code, reply.json()["service_tier"]) == (200, "flex")
    [seen] = script.seen
    assert {name: seen[name] for name in sampling} == sampling
    assert (seen["temperature"], seen["max_tokens"], seen["stop_token_ids"]) == (0.5, 9, [5])
    assert (seen["priority"], seen["session_id"]) == (10, "s-1")
    assert len(seen["cache_salt"]) == 64
    assert seen["structured_outputs"]["choice"] == ["Hello."]
    assert seen["prompt"].endswith("<think></think>\n")  # the template's answer to enable_thinking
    assert "dropped" not in reply.headers["responses-shim-report"]


def test_the_effort_switches_the_templates_thinking(scripted: Server, script: Script) -> None:
    script.say("Hello.")
    for effort in ("none", "low"):
        assert ask(scripted, reasoning={"effort": effort}).status_code == 200
    assert [seen["prompt"].endswith("<think></think>\n") for seen in script.seen] == [True, False]


def test_a_thinking_budget_is_the_engines_to_take_or_to_refuse(scripted: Server, script: Script) -> None:
    script.say("<think>Hm.</think>Hello.")
    reply = ask(scripted, thinking_token_budget=100)
    if reply.status_code == 200:
        assert script.seen[0]["thinking_token_budget"] == 100
    else:
        check_error(reply.json())
        assert "thinking_token_budget" in reply.json()["error"]["message"]


@pytest.mark.feature("structured output beside tools")
def test_a_format_beside_tools_is_enforced_as_one_of_both(scripted: Server, script: Script) -> None:
    """The engine gets one grammar: calls of these functions, or JSON in this schema."""
    script.say('{"city": "Paris"}')
    fields: Json = {"text": {"format": {"type": "json_schema", "name": "place", "schema": PROPERTIES}}}
    reply = ask(scripted, tools=[WEATHER], **fields)
    assert reply.headers["responses-shim-report"] == 'composed=("text.format"), mapped=("tools[0].strict")'
    [seen] = script.seen
    grammar = json.loads(seen["structured_outputs"]["structural_tag"])
    assert grammar["format"]["type"] == "or"
    assert "get_weather" in json.dumps(grammar["format"]["elements"][0])
    assert grammar["format"]["elements"][1]["json_schema"] == PROPERTIES
    script.say(called("Rome"))
    assert said(respond(scripted, tools=[WEATHER], **fields)) == [("function_call", '{"city": "Rome"}')]


@pytest.mark.feature("token ids")
@pytest.mark.parametrize("streamed", [True, False])
def test_token_ids(streamed: bool, scripted: Server, script: Script) -> None:
    script.say("<think>Hm.</think>Hello.")
    fields: Json = {"return_token_ids": True}
    response = stream(scripted, **fields)[-1]["response"] if streamed else ask(scripted, **fields).json()
    last = response["output"][-1]
    assert len(last["prompt_token_ids"]) == response["usage"]["input_tokens"]
    assert len(last["generation_token_ids"]) == len(last["generation_log_probs"]) == response["usage"]["output_tokens"]


def test_an_engine_that_dies_in_the_middle(scripted: Server, script: Script) -> None:
    script.say("<think>Hm.</think>Hello there, how are you?", dies=True)
    events = stream(scripted)
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert "EngineCore" in events[-1]["response"]["error"]["message"]


@pytest.mark.feature("disconnect")
def test_a_client_that_leaves_frees_the_engine(scripted: Server, script: Script) -> None:
    script.say("word " * 2000, pause=0.02)
    body = {"model": MODEL, "input": "Hello!", "stream": True}
    with httpx.stream("POST", f"{scripted.url}/responses", json=body, timeout=SECONDS, trust_env=False) as reply:
        next(reply.iter_lines())
    until(lambda: bool(script.ended))
    assert script.ended[0] < 2000


def test_the_openai_sdk(scripted: Server, script: Script) -> None:
    script.say(f"<think>Hm.</think>Let me look.{called('Paris')}")
    with OpenAI(base_url=scripted.url, api_key="none", max_retries=0, timeout=SECONDS) as client:
        tools: Any = [WEATHER]
        with client.responses.stream(model=MODEL, input="Hello!", tools=tools) as events:
            response = events.get_final_response()
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]


@pytest.mark.feature("function calls", note="with `--enable-auto-tool-choice --tool-call-parser NAME`")
def test_the_example(scripted: Server, script: Script) -> None:
    script.play({"when": "<tool_response>", "text": "It is sunny."}, {"when": "", "text": called("Paris")})
    example = Path(__file__).with_name("ask.py")
    command = [sys.executable, str(example), scripted.url]
    run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (run.returncode, run.stdout) == (0, 'get_weather({"city": "Paris"})\nIt is sunny.\n'), run.stderr


@pytest.mark.feature("state")
def test_what_is_stored_is_found_again(scripted: Server, script: Script) -> None:
    script.say("Hello.")
    first = ask(scripted, input="My name is Ann.").json()
    second = ask(scripted, input="Who am I?", previous_response_id=first["id"]).json()
    assert second["previous_response_id"] == first["id"]
    assert "My name is Ann." in script.seen[-1]["prompt"]
    got = httpx.get(f"{scripted.url}/responses/{second['id']}", timeout=SECONDS, trust_env=False)
    assert got.json()["output"] == second["output"]


@pytest.mark.feature("log-probabilities")
def test_log_probabilities(scripted: Server, script: Script) -> None:
    """The scripted engine gives each token one of seven, and two others."""
    script.say(HELLO)
    response = respond(scripted, include=["message.output_text.logprobs"], top_logprobs=2)
    entries = response["output"][-1]["content"][0]["logprobs"]
    assert [entry["token"] for entry in entries][:2] == ["Hello", "."]
    for entry in entries:
        assert -7 <= entry["logprob"] / 0.125 <= -1
        assert len(entry["top_logprobs"]) == 2


@pytest.mark.feature("several requests")
def test_a_request_is_answered_while_another_one_is_streamed(scripted: Server, script: Script) -> None:
    script.play({"when": "slowly", "text": SLOW, "pause": 0.02}, {"when": "", "text": HELLO})
    body = {"model": MODEL, "input": "Count slowly.", "stream": True}
    with httpx.stream("POST", f"{scripted.url}/responses", json=body, timeout=SECONDS, trust_env=False) as slow:
        lines = slow.iter_lines()
        next(line for line in lines if "output_text.delta" in line)
        assert said(ask(scripted).json())[-1] == ("message", "Hello.")
        next(line for line in lines if "output_text.delta" in line)
    until(lambda: len(script.ended) == 2)  # or the second would be noted among the answers of the next test


@pytest.mark.feature("background")
def test_a_response_in_the_background_is_polled_and_another_one_cancelled(scripted: Server, script: Script) -> None:
    script.play({"when": "slowly", "text": SLOW, "pause": 0.02}, {"when": "", "text": HELLO})

    def poll(id: str) -> Json:
        polled: Json = httpx.get(f"{scripted.url}/responses/{id}", timeout=SECONDS, trust_env=False).json()
        return polled

    made = ask(scripted, background=True).json()
    until(lambda: poll(made["id"])["status"] == "completed")
    assert said(poll(made["id"]))[-1] == ("message", "Hello.")
    slow = ask(scripted, input="Count slowly.", background=True).json()
    until(lambda: poll(slow["id"])["status"] == "in_progress")
    cancelled = httpx.post(f"{scripted.url}/responses/{slow['id']}/cancel", timeout=SECONDS, trust_env=False)
    assert cancelled.json()["status"] == "cancelled"
    until(lambda: len(script.ended) == 2)
    assert script.ended[1] < 2000


def test_the_document_names_flags_of_the_server(installed: Path) -> None:
    command = [str(installed / "bin" / "vllm"), "serve", "--help=all"]
    assert not unknown_flags(Path(__file__).with_name("README.md"), command, SMALL)


# The real model, the plugin, a key, CORS, several API servers --------------------------------------------------------


def test_a_real_model_answers(real: Server) -> None:
    response = ask(real, headers=KEY, max_output_tokens=12, temperature=0).json()
    check_response(response)
    assert response["output"]
    assert response["usage"]["output_tokens"] > 0
    events = stream(real, headers=KEY, max_output_tokens=12, temperature=0)
    assert events[-1]["type"] in ("response.completed", "response.incomplete")


@pytest.mark.feature("named function")
def test_a_real_model_is_held_to_a_strict_call(real: Server) -> None:
    response = ask(
        real,
        headers=KEY,
        input="The weather in Paris?",
        tools=[{**WEATHER, "strict": True}],
        tool_choice={"type": "function", "name": "get_weather"},
        reasoning={"effort": "none"},
        max_output_tokens=200,
        temperature=0,
    ).json()
    [call] = [item for item in response["output"] if item["type"] == "function_call"]
    assert json.loads(call["arguments"]).keys() == {"city"}


@pytest.mark.feature("required call")
def test_a_real_model_is_held_to_some_call(real: Server) -> None:
    response = ask(
        real,
        headers=KEY,
        tools=[{**WEATHER, "strict": True}, {**WEATHER, "name": "get_time", "strict": True}],
        tool_choice="required",
        reasoning={"effort": "none"},
        max_output_tokens=200,
        temperature=0,
    ).json()
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    assert calls
    assert {call["name"] for call in calls} <= {"get_weather", "get_time"}


@pytest.mark.feature("structured output")
def test_a_real_model_is_held_to_a_schema(real: Server) -> None:
    response = ask(
        real,
        headers=KEY,
        text={"format": {"type": "json_schema", "name": "place", "schema": PROPERTIES, "strict": True}},
        reasoning={"effort": "none"},
        max_output_tokens=200,
        temperature=0,
    ).json()
    assert json.loads(response["output"][-1]["content"][0]["text"]).keys() == {"city"}


@pytest.mark.feature("cached tokens", note="with `--enable-prompt-tokens-details`")
def test_tokens_from_the_cache_are_counted(real: Server) -> None:
    prompt = "word " * 300  # more than a block of the cache, which has 128 tokens
    first, second = [ask(real, headers=KEY, input=prompt, max_output_tokens=1).json()["usage"] for _ in range(2)]
    assert first["input_tokens"] == second["input_tokens"]
    assert second["input_tokens_details"]["cached_tokens"] >= 128


def test_the_plugin_is_inside_the_key_check(real: Server) -> None:
    for path in ("responses/resp_1", "conversations/conv_1"):
        reply = httpx.get(f"{real.url}/{path}", timeout=SECONDS, trust_env=False)
        assert (reply.status_code, reply.json()) == (401, {"error": "Unauthorized"})  # vLLM's own words
    refused = ask(real)
    assert refused.status_code == 401


def test_the_plugin_is_inside_cors_and_request_ids(real: Server) -> None:
    reply = ask(real, headers={**KEY, "origin": "https://app.test", "x-request-id": "mine"}, max_output_tokens=1)
    assert reply.headers["access-control-allow-origin"] == "https://app.test"
    assert reply.headers["x-request-id"] == "mine"
    missing = httpx.get(
        f"{real.url}/responses/resp_1", headers={**KEY, "origin": "https://app.test"}, timeout=SECONDS, trust_env=False
    )
    check_error(missing.json())
    assert (missing.status_code, missing.headers["access-control-allow-origin"]) == (404, "https://app.test")


def test_several_api_servers_with_a_store_each_are_warned_of(serve: Serve, script: Script) -> None:
    with serve(*PARSERS, *MIDDLEWARE, "--api-server-count", "2", script=script) as server:
        until(lambda: server.log.count("2 processes answer requests, and each keeps what it stores to itself") == 2)


def test_several_api_servers_share_a_store(serve: Serve, script: Script, tmp_path: Path) -> None:
    """Each request may reach another of the two processes, so each is made a dozen times.

    A middleware is outside vLLM's key check, so who asks for what is stored is asked for the key by the shim.
    """
    script.say("Hello.")
    flags = [*PARSERS, *MIDDLEWARE, "--api-server-count", "2", "--api-key", "right"]
    store = f"sqlite:///{tmp_path}/responses.db"
    with (
        serve(*flags, script=script, RESPONSES_SHIM_STORE=store) as server,
        httpx.Client(headers=KEY, timeout=SECONDS, trust_env=False) as client,
        ThreadPoolExecutor(4) as pool,
    ):

        def create(**fields: Any) -> Json:
            body = {"model": MODEL, "input": "Hi!", **fields}
            response: Json = client.post(f"{server.url}/responses", json=body).json()
            return response

        made = [response["id"] for response in pool.map(lambda _: create(), range(12))]
        got = list(pool.map(lambda id: client.get(f"{server.url}/responses/{id}").status_code, made))
        continued = list(pool.map(lambda id: create(previous_response_id=id)["previous_response_id"], made))
        assert (set(got), continued) == ({200}, made)
        processes = set(re.findall(r"\(ApiServer_\d pid=(\d+)\)", server.log))
        assert len(processes) == 2
        assert "each keeps what it stores to itself" not in server.log
        without_key = httpx.get(f"{server.url}/responses/{made[0]}", timeout=SECONDS, trust_env=False)
        assert (without_key.status_code, without_key.json()["error"]["message"]) == (401, "Unauthorized")
        script.say("word " * 50, pause=0.1)
        running = f"{server.url}/responses/{create(background=True)['id']}"
        ended = [client.post(f"{running}/cancel").json()["status"] for _ in range(4)]
        assert set(ended) == {"cancelled"}


def test_an_engine_that_is_killed_fails_the_response(real: Server) -> None:
    """The last test of that server, which ends with its engine."""
    engine = subprocess.run(
        ["pgrep", "-g", str(real.process.pid), "-f", "VLLM::EngineCore"], capture_output=True, text=True, check=True
    )
    events: list[Json] = []
    body = {"model": MODEL, "input": "Hello!", "stream": True, "ignore_eos": True}
    request = httpx.stream("POST", f"{real.url}/responses", json=body, headers=KEY, timeout=SECONDS, trust_env=False)
    with request as reply:
        for line in reply.iter_lines():
            if line.startswith("data: {"):
                events.append(json.loads(line.removeprefix("data: ")))
                if len(events) == 12:
                    for process in engine.stdout.split():
                        os.kill(int(process), signal.SIGKILL)
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
