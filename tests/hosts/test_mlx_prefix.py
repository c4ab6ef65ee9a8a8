"""Whether a turn on an MLX server begins its prompt with that of the turn before it and all that the model wrote.

If it does, the server finds it in its prefix cache. The first turn is a recorded one; the chat request of the second is
rendered as a chat template of Qwen's kind renders it, after what the server itself does to messages.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from responses_shim import ResponsesShim
from responses_shim.setting_types import Host
from tests.caller import post
from tests.hosts.replay import CAPTURES, recorded

pytestmark = pytest.mark.anyio

Json = dict[str, Any]
WEATHER = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {"city": {}}}}
HOSTS = ["vllm-mlx", "mlx-vlm", "rapid-mlx", "mlx-openai-server"]


def rendered(host: Host, messages: list[Json]) -> str:
    """The prompt of a chat request. All but mlx-vlm drop past reasoning that is in a field of its own."""
    prompt = ""
    for message in messages:
        prompt += f"<|im_start|>{message['role']}\n"
        turn = ""
        if host == "mlx-vlm" and message.get("reasoning_content"):
            turn += f"<think>{message['reasoning_content']}</think>"
        turn += message["content"]
        for call in message.get("tool_calls", ()):
            function = {"name": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"])}
            turn += ("\n" if turn else "") + f"<tool_call>\n{json.dumps(function)}\n</tool_call>"
        prompt += f"{turn}<|im_end|>\n"
    return prompt


async def second_turn(host: Host, name: str, **fields: Any) -> tuple[str, str, str]:
    """The prompts of both turns, and what the model wrote in the first one."""
    request = {"model": "scripted", "tools": [WEATHER], **fields}
    first, second = recorded(f"mlx/{host}", name), recorded(f"mlx/{host}", "text_stream")
    question = {"type": "message", "role": "user", "content": "Hi."}
    reply = await post(ResponsesShim(first, host=host), "/v1/responses", {**request, "input": [question]})
    assert reply.status == 200, reply.body
    output = reply.json["output"]
    results = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "sunny"}
        for item in output
        if item["type"] == "function_call"
    ]
    history = [question, *output, *(results or [{"type": "message", "role": "user", "content": "And?"}])]
    reply = await post(ResponsesShim(second, host=host), "/v1/responses", {**request, "input": history})
    assert reply.status == 200, reply.body
    script = json.loads((CAPTURES / "mlx" / host / f"{name}.json").read_text())["script"]["text"]
    prompts = [rendered(host, app.requests[0]["messages"]) for app in (first, second)]
    return prompts[0], prompts[1], script


@pytest.mark.parametrize("name", ["text_stream", "call_stream", "calls_stream"])
@pytest.mark.parametrize("host", HOSTS)
async def test_the_prompt_only_grows_at_its_end(host: Host, name: str) -> None:
    """For a thought and a text, a thought, a text and a call, and a thought and two calls."""
    before, after, written = await second_turn(host, name)
    assert after.startswith(f"{before}<|im_start|>assistant\n{written.rstrip()}")


@pytest.mark.parametrize("host", ["rapid-mlx", "mlx-openai-server"])
async def test_space_before_an_answer_is_kept_where_the_host_keeps_it(host: Host) -> None:
    before, after, written = await second_turn(host, "spaced_text_stream")
    assert after.startswith(f"{before}<|im_start|>assistant\n{written}")


@pytest.mark.parametrize("host", ["vllm-mlx", "mlx-vlm"])
async def test_space_before_an_answer_is_lost_where_the_host_trims_it(host: Host) -> None:
    before, after, written = await second_turn(host, "spaced_text_stream")
    assert after.startswith(f"{before}<|im_start|>assistant\n{written.replace(chr(10), '')}")
