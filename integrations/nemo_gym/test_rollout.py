"""The example runs as it stands, against a scripted server that returns token ids as vLLM does."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.nemo_gym.rollout import Turn, main, rollout
from responses_shim import ResponsesShim
from tests.scripted import DONE, ScriptedHost, Step, call, frame
from tests.serving import serving


def chunk_with_tokens(delta: dict[str, Any], *ids: int, finish_reason: str | None = None, **fields: Any) -> bytes:
    """A chunk with the ids of its tokens; the log-probability of each token is its id, negative."""
    logprobs = {"content": [{"token": str(id), "logprob": -float(id)} for id in ids]}
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "token_ids": list(ids), "logprobs": logprobs}
    return frame({"choices": [choice], **fields})


def calls_once(request: dict[str, Any]) -> list[Step]:
    """A model that calls the tool, and answers when it has the result."""
    if request["messages"][-1]["role"] == "tool":
        answer = chunk_with_tokens({"content": "Sunny."}, 7, finish_reason="stop", prompt_token_ids=[1, 2, 3, 4, 5, 6])
        return [answer, DONE]
    called = call(0, "call_1", request["tools"][0]["function"]["name"], '{"city": "Paris"}')
    delta = {"tool_calls": [called]}
    return [chunk_with_tokens(delta, 3, 4, finish_reason="tool_calls", prompt_token_ids=[1, 2]), DONE]


def test_a_rollout_collects_the_tokens_of_each_turn() -> None:
    host = ScriptedHost(calls_once)
    with serving(ResponsesShim(host, nemo_gym=True)) as url:
        first, second = rollout(f"{url}/v1", "scripted", "What is the weather in Paris?")
    assert first == Turn([1, 2], [3, 4], [-3.0, -4.0])
    assert second == Turn([1, 2, 3, 4, 5, 6], [7], [-7.0])
    assert second.continues(first)
    assert not first.continues(second)
    chat_request = host.requests[1]
    assert chat_request["chat_template_kwargs"] == {"enable_thinking": False}
    assert chat_request["messages"][-1] == {
        "role": "tool",
        "tool_call_id": "call_1",
        "content": "It is sunny in Paris.",
    }
    assert chat_request["messages"][-2]["generation_token_ids"] == [3, 4]


def test_the_example_prints_what_it_collected(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(ResponsesShim(ScriptedHost(calls_once), nemo_gym=True)) as url:
        main([f"{url}/v1", "scripted"])
    assert capsys.readouterr().out.splitlines() == [
        "turn 0: 2 tokens in, 2 out, log-probability -3.500",
        "turn 1: 6 tokens in, 1 out, log-probability -7.000, continues the turn before",
    ]
