"""Prefix caches, in the rounds of responses that wait for the outputs of their calls.

The prompt of a round begins with that of the round before and what the model wrote to it, on every kind of host; and so
does the prompt of a later response that continues one, whose items come from the store.
"""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim import ResponsesShim
from tests.caller import post
from tests.conformance.templates import TemplateHost
from tests.conformance.test_prefix import EXCHANGES, HOSTS, OUTPUTS, TOOLS, check
from tests.waiting import streamed

pytestmark = pytest.mark.anyio

PRINTED = [{"stdout": "a\n", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]


@pytest.mark.parametrize("host", HOSTS)
async def test_the_prompt_of_each_round_begins_with_that_of_the_round_before(host: str) -> None:
    dialect, settings = HOSTS[host]
    app = TemplateHost(dialect, [turn for exchange in EXCHANGES for turn in exchange.turns])
    shim = ResponsesShim(app, auth_probe="off", **settings)  # a template cannot be rendered for the probe
    previous: str | None = None
    for exchange in EXCHANGES:
        fields: dict[str, Any] = {"input": exchange.question, "tools": TOOLS, "previous_response_id": previous}
        async with streamed(shim, instructions="Be brief.", **fields) as stream:
            previous = await stream.started()
            while (event := await stream.exchange.next_event()) is not None and not event.is_done:
                stream.events.append(event.data)
                if event.data["type"] == "response.output_item.done" and event.data["item"]["type"] in OUTPUTS:
                    await answer(shim, previous, event.data["item"], exchange.output)
        assert stream.events[-1]["type"] == "response.completed"
    check(app)


async def answer(shim: ResponsesShim, id: str, item: dict[str, Any], output: str) -> None:
    """Post the output of a call."""
    posted = PRINTED if item["type"] == "shell_call" else [{"type": "output_text", "text": output}]
    body = {"tool_call_id": item["call_id"], "output": posted}
    reply = await post(shim, f"/v1/responses/{id}/tool_outputs", body)
    assert reply.status == 200, reply.json
