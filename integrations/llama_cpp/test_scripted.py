"""What the small model would not say by itself, on llama-cpp-python's real server: thoughts, and calls as text."""

from __future__ import annotations

import json

import pytest

from integrations.llama_cpp.test_live import GET_WEATHER, create, stream_events
from integrations.script import Script

pytestmark = pytest.mark.live

WRITTEN = "".join(
    f'<tool_call>\n{{"name": "get_weather", "arguments": {{"city": "{city}"}}}}\n</tool_call>\n'
    for city in ("Paris", "Rome")
).rstrip("\n")


@pytest.mark.feature("reasoning")
def test_reasoning_is_taken_out_of_the_text(scripted_url: str, script: Script) -> None:
    script.say("<think>A greeting.</think>\n\nHello there!")
    streamed = stream_events(scripted_url, max_output_tokens=100)[-1]["response"]
    for response in (create(scripted_url, max_output_tokens=100), streamed):
        thought, message = response["output"]
        assert thought["content"][0]["text"] == "A greeting."
        assert message["content"][0]["text"].strip() == "Hello there!"


@pytest.mark.feature("parallel calls", "calls read from text", "prefix cache")
def test_calls_in_the_text_are_items_and_their_outputs_go_on_with_the_prompt(scripted_url: str, script: Script) -> None:
    script.say(WRITTEN)
    asked = {"tools": [GET_WEATHER], "max_output_tokens": 300}
    first = create(scripted_url, input="Weather?", **asked)
    assert [json.loads(item["arguments"])["city"] for item in first["output"]] == ["Paris", "Rome"]
    before = script.seen[-1]["prompt"]
    script.say("Sunny in both.")
    outputs = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "sunny"} for item in first["output"]
    ]
    create(scripted_url, input=outputs, previous_response_id=first["id"], **asked)
    assert script.seen[-1]["prompt"].startswith(before + WRITTEN)
