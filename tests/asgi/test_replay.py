"""Reasoning in a text: when the client sends it back, the host gets it as the model wrote it."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from responses_shim import ResponsesShim
from tests import caller
from tests.scripted import ScriptedHost, text_answer


@pytest.mark.parametrize(
    ("tags", "written", "expected"),
    [
        ("leading", "<think>\nHm.\n</think>\n\nHello.", "<think>\nHm.\n</think>\n\nHello."),
        ("prefilled", "Hm.\n</think>\n\nHello.", "<think>\nHm.\n</think>\n\nHello."),
        ("off", "<think>Hm.</think>Hello.", "<think>Hm.</think>Hello."),
    ],
)
def test_reasoning_between_tags_comes_back_to_the_host_unchanged(tags: Any, written: str, expected: str) -> None:
    host = ScriptedHost(text_answer(written))
    app = ResponsesShim(host, think_tags=tags, reasoning_replay="think")
    question = {"role": "user", "content": "Hi"}

    async def two_turns() -> None:
        first = await caller.post(app, "/v1/responses", {"model": "m", "input": [question]})
        history = [question, *first.json["output"], question]
        await caller.post(app, "/v1/responses", {"model": "m", "input": history})

    anyio.run(two_turns)
    assert host.requests[1]["messages"][1]["content"] == expected
