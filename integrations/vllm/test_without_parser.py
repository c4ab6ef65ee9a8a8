"""Function tools on a vLLM server that was started without a tool parser: the shim reads the calls in the text.

pytest -m live integrations/vllm/test_without_parser.py        # with VLLM_ENVIRONMENT, see the README

The scripted engine says what a model would, and vLLM leaves it as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integrations.vllm.conftest import Serve
from integrations.vllm.server import MIDDLEWARE, Script, Server, make_model
from integrations.vllm.test_live import WEATHER, ask, called, respond, said, stream

pytestmark = pytest.mark.live

Json = dict[str, Any]

FORECAST: Json = {
    "type": "function",
    "name": "forecast",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
}
TOOLS = [WEATHER, FORECAST]
XML = (
    "<tool_call>\n<function=forecast>\n<parameter=city>\nParis, on the Seine\n</parameter>\n"
    "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>"
)


@pytest.fixture(scope="module")
def server(serve: Serve, script: Script) -> Iterator[Server]:
    """A server that splits reasoning, and has no tool parser."""
    with serve(*MIDDLEWARE, "--reasoning-parser", "qwen3", script=script) as running:
        yield running


@pytest.mark.feature("calls read from text")
def test_a_call_in_the_text_is_an_item(server: Server, script: Script) -> None:
    script.say(f"<think>Paris.</think>\n\nLet me look.\n{called('Paris')}")
    response = respond(server, tools=TOOLS)
    call = ("function_call", '{"city": "Paris"}')
    assert said(response) == [("reasoning", "Paris."), ("message", "\n\nLet me look."), call]
    for seen in script.seen:
        assert seen["prompt"].count('"name": "forecast"') == 1, "the template has shown the tools, and nobody else"
        assert seen["structured_outputs"] is None


def test_text_stays_text(server: Server, script: Script) -> None:
    script.say("<think>Hm.</think>\n\nA call begins with `<tool_call>`, [a list] with a < b.")
    assert said(respond(server, tools=TOOLS))[1] == (
        "message",
        "\n\nA call begins with `<tool_call>`, [a list] with a < b.",
    )
    script.say(f"<think>Hm.</think>{called('Paris')}")
    assert said(respond(server))[1] == ("message", called("Paris")), "no tools were offered"
    assert said(respond(server, tools=TOOLS, tool_choice="none"))[1] == ("message", called("Paris"))


def test_calls_in_parallel_and_several_tokens_at_once(server: Server, script: Script) -> None:
    for per_chunk in (1, 3, 50):
        script.say(f"<think>Two.</think>{called('Paris')}\n{XML}", per_chunk=per_chunk)
        response = respond(server, tools=TOOLS)
        first, second = response["output"][1:]
        assert (first["name"], json.loads(first["arguments"])) == ("get_weather", {"city": "Paris"})
        assert (second["name"], json.loads(second["arguments"])) == (
            "forecast",
            {"city": "Paris, on the Seine", "days": 3},
        )


def test_a_string_in_markup_is_streamed(server: Server, script: Script) -> None:
    script.say(f"<think>Hm.</think>{XML}")
    deltas = [event["delta"] for event in stream(server, tools=TOOLS) if event["type"].endswith("arguments.delta")]
    assert json.loads("".join(deltas)) == {"city": "Paris, on the Seine", "days": 3}
    assert len(deltas) > 4


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "forecast"}], ids=["required", "named"])
def test_a_forced_call_is_enforced_by_a_schema(server: Server, script: Script, choice: Any) -> None:
    script.say('<think>So.</think>{"name": "forecast", "arguments": {"city": "Rome", "days": 2}}')
    response = respond(server, tools=TOOLS, tool_choice=choice)
    assert said(response)[1:] == [("function_call", '{"city": "Rome", "days": 2}')]
    constraint = script.seen[0]["structured_outputs"]["json"]
    schema = json.loads(constraint) if isinstance(constraint, str) else constraint
    calls = schema["anyOf"] if choice == "required" else [schema]
    names = [call["properties"]["name"]["enum"] for call in calls]
    assert names == ([["get_weather"], ["forecast"]] if choice == "required" else [["forecast"]])
    assert calls[-1]["properties"]["arguments"]["properties"]["days"] == {"type": "integer"}


def test_the_prompt_of_a_turn_begins_with_that_of_the_turn_before(server: Server, script: Script) -> None:
    written = f"<think>Two.</think>Let me look.{called('Paris')}\n{called('Rome')}"
    script.say(written)
    history: list[Any] = [{"role": "user", "content": "Hello!"}]
    response = ask(server, input=history, tools=TOOLS).json()
    history += response["output"]
    history += [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "Sunny"}
        for item in response["output"]
        if item["type"] == "function_call"
    ]
    ask(server, input=history, tools=TOOLS)
    first, second = script.seen
    assert second["prompt"].startswith(first["prompt"] + written)


def test_an_answer_that_is_cut_in_a_call_is_incomplete(server: Server, script: Script) -> None:
    script.say(f"<think>Hm.</think>{called('Paris')}")
    response = ask(server, tools=TOOLS, max_output_tokens=30).json()
    assert response["status"] == "incomplete"
    assert [item["status"] for item in response["output"]][-1] == "incomplete"


OWN_FORM = {
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "tool_calls": {
            "open_pattern": r"<do:(?P<name>\w+)>",
            "close": "</do>",
            "repeats": True,
            "content": "xml-inline",
            "content_args": {"tag_pattern": r"<with (?P<key>\w+)>(?P<value>.*?)</with>"},
            "transform": {"type": "function", "function": {"name": "{name}", "arguments": "{content}"}},
        }
    },
}


@pytest.fixture(scope="module")
def without_any_parser(installed: Path, script: Script, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without any parser, which does not show tools either. Its model says itself how it writes calls."""
    folder = tmp_path_factory.mktemp("own")
    model = make_model(installed, folder)
    for file in model.iterdir():
        (folder / file.name).symlink_to(file)
    options = json.loads((model / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({**options, "response_template": OWN_FORM}))
    flags = [*MIDDLEWARE, "--exclude-tools-when-tool-choice-none"]
    with Server(installed, folder, flags, folder / "log", script) as running:
        yield running


def test_tools_are_described_where_the_template_does_not_get_them(without_any_parser: Server, script: Script) -> None:
    script.say(f"<think>Paris.</think>Let me look.\n{called('Paris')}")
    response = respond(without_any_parser, tools=TOOLS)
    call = ("function_call", '{"city": "Paris"}')
    assert said(response) == [("reasoning", "Paris."), ("message", "Let me look.\n"), call]
    assert script.seen[0]["prompt"].count('"name":"forecast"') == 1
    assert "Write nothing behind them" in script.seen[0]["prompt"]


def test_a_models_own_response_template_says_how_its_calls_are_read(without_any_parser: Server, script: Script) -> None:
    script.say("So: <do:forecast><with city>Rome</with><with days>2</with></do>")
    response = respond(without_any_parser, tools=TOOLS)
    assert said(response) == [("message", "So: "), ("function_call", '{"city": "Rome", "days": 2}')]
