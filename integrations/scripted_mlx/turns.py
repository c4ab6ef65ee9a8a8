"""The turns that each MLX server has to make with the scripted model, as a class of tests for their modules."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from integrations.scripted_mlx.server import SECONDS, ScriptedServer
from tests.oracle import check_error

WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


TEMPLATE = (Path(__file__).parent / "chat_template.jinja").read_text(encoding="utf-8")
"""The chat template of the scripted models, by which servers know how these write their calls."""


def call(city: str) -> str:
    return f"<tool_call>{json.dumps({'name': 'get_weather', 'arguments': {'city': city}})}</tool_call>"


def types(items: list[dict[str, Any]]) -> list[str]:
    return [item["type"] for item in items]


def text_of(response: dict[str, Any]) -> str:
    return "".join(part["text"] for item in response["output"] if item["type"] == "message" for part in item["content"])


PLACE: dict[str, Any] = {"format": {"type": "json_schema", "name": "place", "schema": WEATHER["parameters"]}}


def kimi_call(city: str) -> str:
    """A call in the form of Kimi K2."""
    arguments = json.dumps({"city": city})
    written = f"functions.get_weather:0<|tool_call_argument_begin|>{arguments}"
    return f"<|tool_calls_section_begin|><|tool_call_begin|>{written}<|tool_call_end|><|tool_calls_section_end|>"


def xml_call(city: str, days: int) -> str:
    """A call in the form of Qwen3-Coder."""
    parameters = f"<parameter=city>\n{city}\n</parameter>\n<parameter=days>\n{days}\n</parameter>"
    return f"<tool_call>\n<function=forecast>\n{parameters}\n</function>\n</tool_call>"


FORECAST: dict[str, Any] = {
    "type": "function",
    "name": "forecast",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
}


def calls_of(response: dict[str, Any]) -> list[tuple[str, Any]]:
    """The names of the functions that were called, with their arguments."""
    return [
        (item["name"], json.loads(item["arguments"])) for item in response["output"] if item["type"] == "function_call"
    ]


class UnparsedTurns:
    """Tests of a server that reads no calls of its model, which the fixture `server` of the subclass's module runs."""

    @pytest.mark.feature("calls read from text")
    def test_a_call_in_the_text_is_an_item(self, server: ScriptedServer) -> None:
        server.will_say("Let me look.\n" + kimi_call("Paris"))
        response = server.create(input="Weather?", tools=[WEATHER], max_output_tokens=400)
        assert calls_of(response) == [("get_weather", {"city": "Paris"})]
        assert text_of(response).rstrip("\n") == "Let me look."

    def test_calls_in_parallel_are_streamed_with_arguments_of_their_types(self, server: ScriptedServer) -> None:
        server.will_say(xml_call("Paris, on the Seine", 3) + xml_call("Rome", 2))
        events = server.stream(input="Weather?", tools=[WEATHER, FORECAST], max_output_tokens=500)
        assert calls_of(events[-1]["response"]) == [
            ("forecast", {"city": "Paris, on the Seine", "days": 3}),
            ("forecast", {"city": "Rome", "days": 2}),
        ]
        assert sum(event["type"].endswith("arguments.delta") for event in events) > 10

    def test_a_forced_call_is_read(self, server: ScriptedServer) -> None:
        server.will_say('{"name": "forecast", "arguments": {"city": "Oslo", "days": 1}}')
        for choice in ("required", {"type": "function", "name": "forecast"}):
            response = server.create(input="Go.", tools=[WEATHER, FORECAST], tool_choice=choice, max_output_tokens=300)
            assert calls_of(response) == [("forecast", {"city": "Oslo", "days": 1})]

    def test_text_stays_text(self, server: ScriptedServer) -> None:
        server.will_say('[a list], {"name": "get_weather"} and `<tool_call>`')
        assert text_of(server.create(input="Hi", tools=[WEATHER], max_output_tokens=200)) == (
            '[a list], {"name": "get_weather"} and `<tool_call>`'
        )
        server.will_say(kimi_call("Paris"))
        assert text_of(server.create(input="Hi", max_output_tokens=400)) == kimi_call("Paris"), "no tools were offered"

    def test_the_outputs_of_calls_are_sent_back(self, server: ScriptedServer) -> None:
        server.will_say(kimi_call("Paris"))
        first = server.create(input="Weather?", tools=[WEATHER], max_output_tokens=400)
        [call_id] = [item["call_id"] for item in first["output"] if item["type"] == "function_call"]
        server.will_say("Sunny.")
        outputs = [{"type": "function_call_output", "call_id": call_id, "output": "sunny"}]
        second = server.create(input=outputs, tools=[WEATHER], previous_response_id=first["id"], max_output_tokens=200)
        assert text_of(second) == "Sunny."

    def test_a_call_that_the_limit_cuts_is_incomplete(self, server: ScriptedServer) -> None:
        server.will_say(xml_call("Paris, on the Seine, and on and on and on", 3))
        response = server.create(input="Weather?", tools=[FORECAST], max_output_tokens=70)
        assert response["status"] == "incomplete"


class ServerTurns:
    """Tests of one server, which the fixture `server` of the subclass's module runs."""

    @pytest.mark.feature("text", "reasoning", "usage")
    def test_reasoning_and_text_are_streamed(self, server: ScriptedServer) -> None:
        server.will_say("<think>They greet me.</think>Hello, you — über alles 🙂.")
        events = server.stream(input="Hi", max_output_tokens=200)
        response = events[-1]["response"]
        assert events[-1]["type"] == "response.completed"
        assert types(response["output"]) == ["reasoning", "message"]
        assert text_of(response) == "Hello, you — über alles 🙂."
        assert sum(event["type"] == "response.output_text.delta" for event in events) > 3
        assert response["usage"]["output_tokens"] > 3

    @pytest.mark.feature("text")
    def test_the_same_without_a_stream(self, server: ScriptedServer) -> None:
        server.will_say("<think>They greet me.</think>Hello.")
        response = server.create(input="Hi", max_output_tokens=200)
        assert (response["status"], text_of(response)) == ("completed", "Hello.")

    @pytest.mark.feature("function calls", "parallel calls", "state")
    def test_calls_in_parallel_and_the_turn_that_answers_them(self, server: ScriptedServer) -> None:
        server.will_say("<think>Two cities.</think>" + call("Paris") + call("Rome"))
        first = server.create(input="Weather in Paris and Rome?", tools=[WEATHER], max_output_tokens=300)
        calls = [item for item in first["output"] if item["type"] == "function_call"]
        assert [json.loads(item["arguments"]) for item in calls] == [{"city": "Paris"}, {"city": "Rome"}]
        assert len({item["call_id"] for item in calls}) == 2

        server.will_say("<think>Done.</think>Sunny in both.")
        outputs = [{"type": "function_call_output", "call_id": item["call_id"], "output": "sunny"} for item in calls]
        second = server.create(input=outputs, tools=[WEATHER], previous_response_id=first["id"], max_output_tokens=200)
        assert text_of(second) == "Sunny in both."

    def test_a_custom_tool_is_called_with_plain_text(self, server: ScriptedServer) -> None:
        arguments = json.dumps({"name": "note", "arguments": {"input": "feed the cat"}})
        server.will_say(f"<think>A note.</think><tool_call>{arguments}</tool_call>")
        response = server.create(input="Note it.", tools=[{"type": "custom", "name": "note"}], max_output_tokens=200)
        [item] = [item for item in response["output"] if item["type"] == "custom_tool_call"]
        assert item["input"] == "feed the cat"

    def test_an_answer_that_the_limit_cuts_is_incomplete(self, server: ScriptedServer) -> None:
        server.will_say("<think>Hm.</think>" + "on and " * 100)
        response = server.create(input="Hi", max_output_tokens=40)
        assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})

    @pytest.mark.feature("disconnect")
    def test_a_client_that_leaves_frees_the_engine(self, server: ScriptedServer) -> None:
        server.will_say("<think>Hm.</think>" + "on and " * 100, end=False, delay=0.05)
        body = {"model": server.model, "input": "Hi", "stream": True, "max_output_tokens": 2000}
        with httpx.stream("POST", f"{server.url}/responses", json=body, timeout=SECONDS) as reply:
            assert any("output_text.delta" in line for line in reply.iter_lines())
        server.will_say("<think>Hm.</think>Next.")
        assert text_of(server.create(input="Hi", max_output_tokens=100)) == "Next."

    @pytest.mark.feature("structured output beside tools")
    def test_an_answer_in_a_format_beside_tools(self, server: ScriptedServer) -> None:
        """The format is described to the model, and what it says is checked."""
        server.will_say('<think>Hm.</think>{"city": "Paris"}')
        response = server.create(input="Where?", text=PLACE, tools=[WEATHER], max_output_tokens=200)
        assert json.loads(text_of(response)) == {"city": "Paris"}

    @pytest.mark.feature("background")
    def test_a_response_in_the_background_is_polled_and_another_one_cancelled(self, server: ScriptedServer) -> None:
        server.will_say("<think>Hm.</think>Hello.")
        made = server.create(input="Hi", background=True, max_output_tokens=100)
        assert text_of(until(server, made["id"], "completed")) == "Hello."
        server.will_say("<think>Hm.</think>" + "on and " * 100, end=False, delay=0.05)
        slow = server.create(input="Hi", background=True, max_output_tokens=2000)
        until(server, slow["id"], "in_progress")
        cancelled = httpx.post(f"{server.url}/responses/{slow['id']}/cancel", timeout=SECONDS)
        assert cancelled.json()["status"] == "cancelled"

    @pytest.mark.feature("token ids", no="the server has none in its answers")
    def test_token_ids_are_reported_as_left_out(self, server: ScriptedServer) -> None:
        assert "return_token_ids" in report(server, return_token_ids=True)


class UnforcedTurns:
    """Tests of a server that holds its model to nothing: `required`, a name and a format are wishes at most."""

    @pytest.mark.feature(
        "required call", "named function", no="a sentence in the prompt; nothing holds the model to it"
    )
    @pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}])
    def test_a_model_that_will_not_call_is_not_made_to(self, server: ScriptedServer, choice: Any) -> None:
        server.will_say("<think>Hm.</think>I would rather not.")
        response = server.create(input="Weather?", tools=[WEATHER], tool_choice=choice, max_output_tokens=200)
        assert text_of(response) == "I would rather not."

    @pytest.mark.feature("structured output", no="on a Linux CPU: it needs Metal")
    def test_a_format_without_metal_is_an_error(self, server: ScriptedServer) -> None:
        server.will_say('<think>Hm.</think>{"city": "Paris"}')
        body = {"model": server.model, "input": "Where?", "text": PLACE, "max_output_tokens": 100}
        reply = httpx.post(f"{server.url}/responses", json=body, timeout=SECONDS)
        assert reply.status_code >= 400
        check_error(reply.json())

    @pytest.mark.feature("reasoning tokens", no="the server does not count them")
    def test_reasoning_tokens_are_not_counted(self, server: ScriptedServer) -> None:
        server.will_say("<think>They greet me.</think>Hello.")
        usage = server.create(input="Hi", max_output_tokens=200)["usage"]
        assert usage["output_tokens_details"]["reasoning_tokens"] == 0


def report(server: ScriptedServer, **fields: Any) -> str:
    """The report header of a short answer."""
    body = {"model": server.model, "input": "Hi", "max_output_tokens": 50, **fields}
    reply = httpx.post(f"{server.url}/responses", json=body, timeout=SECONDS)
    return str(reply.headers["responses-shim-report"])


def until(server: ScriptedServer, id: str, status: str) -> dict[str, Any]:
    """The stored response once it has that status."""
    deadline = time.monotonic() + SECONDS
    while True:
        response: dict[str, Any] = httpx.get(f"{server.url}/responses/{id}", timeout=SECONDS).json()
        if response["status"] == status:
            return response
        assert time.monotonic() < deadline, response
        time.sleep(0.05)
