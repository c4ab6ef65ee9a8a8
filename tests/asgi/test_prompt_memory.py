"""A request may be of megabytes: it is translated in a few times its size, and while it is answered little is kept."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.types import Receive, Scope, Send

from responses_shim import ResponsesShim
from tests.caller import post
from tests.scripted import DONE, chunk, read_body

pytestmark = pytest.mark.anyio

SIZE = 1_000_000
TEXT = "x" * SIZE
MESSAGE = {"role": "user", "content": TEXT}
WIDE = [{"role": "user", "content": TEXT[1:] + "😀"}]


class MeasuringHost:
    """Answers with a text, and notes how much is allocated once it has begun to: then it will not be asked again."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await anyio.lowlevel.checkpoint()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        gc.collect()
        self.allocated, self.peak = tracemalloc.get_traced_memory()
        for body in (chunk("a"), chunk(finish_reason="stop"), DONE):
            await send({"type": "http.response.body", "body": body, "more_body": body is not DONE})


async def kept(**body: Any) -> float:
    """What is kept of a request while it is answered, its own bytes included, in multiples of `SIZE`."""
    return (await measured(**body)).allocated / SIZE


async def peak(**body: Any) -> float:
    """The most that is allocated until the host answers, the request's own bytes included, in multiples of `SIZE`."""
    return (await measured(**body)).peak / SIZE


async def measured(**body: Any) -> MeasuringHost:
    """A host that has measured while a second request of this kind is answered."""
    host = MeasuringHost()
    shim = ResponsesShim(host, auth_probe="off")
    request = {"model": "m", "stream": True, **body}
    await post(shim, "/v1/responses", request)  # so that what is loaded once has been
    gc.collect()
    tracemalloc.start()
    try:
        reply = await post(shim, "/v1/responses", request)
    finally:
        tracemalloc.stop()
    assert reply.status == 200
    return host


@pytest.mark.parametrize("given", [TEXT, [MESSAGE], WIDE])
async def test_the_messages_are_not_kept(given: Any) -> None:
    assert await kept(input=given, store=False) < 1.2


@pytest.mark.parametrize("given", [[MESSAGE], WIDE])
async def test_what_is_stored_is_kept_once(given: Any) -> None:
    assert await kept(input=given) < 2.7  # as JSON it may have half as much room again


async def test_tools_are_kept_as_json_and_not_as_they_were_decoded() -> None:
    """Those of a large request are shared with no other."""
    names = [f"f{number}" for number in range(2500)]
    schema = {"type": "object", "properties": {"a": {"type": "string", "description": "x" * 100}}}
    tools = [{"type": "function", "name": name, "parameters": schema} for name in names]
    assert await kept(input="Hi", tools=tools, store=False) < 3


async def test_what_the_response_repeats_is_kept_as_json() -> None:
    text = "x" * (SIZE - 1) + "😀"
    assert await kept(input="Hi", instructions=text, store=False) < 2.7


EMOJI = WIDE[0]["content"]
"""It takes four bytes for each character."""
CUSTOM_CALL = {"type": "custom_tool_call", "call_id": "a", "name": "c", "input": EMOJI}
SHELL_CALL = {"type": "shell_call", "call_id": "a", "action": {"commands": ["ls", EMOJI]}}
PATCH = {"type": "create_file", "path": "a", "diff": EMOJI}
PATCH_CALL = {"type": "apply_patch_call", "call_id": "a", "operation": PATCH}
CALL = {"type": "function_call", "call_id": "a", "name": "f", "arguments": f'{{"a":"{EMOJI}"}}'}
SHELL_OUTPUT = {
    "type": "shell_call_output",
    "call_id": "a",
    "output": [{"stdout": EMOJI, "outcome": {"type": "exit", "exit_code": 0}}],
}
PATCH_OUTPUT = {"type": "apply_patch_call_output", "call_id": "a", "status": "failed", "output": EMOJI}
ITEMS: dict[str, list[dict[str, Any]]] = {
    "custom": [CUSTOM_CALL],
    "shell": [SHELL_CALL],
    "patch": [PATCH_CALL],
    "function": [CALL],
    "shell output": [{**SHELL_CALL, "action": {"commands": ["ls"]}}, SHELL_OUTPUT],
    "patch output": [{**PATCH_CALL, "operation": {"type": "delete_file", "path": "a"}}, PATCH_OUTPUT],
    "developer": [{"role": "developer", "content": "a"}, {"role": "developer", "content": EMOJI}],
    "answers": [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": EMOJI}],
    "parts": [{"role": "user", "content": [{"type": "input_text", "text": text} for text in ("a", EMOJI)]}],
}
FIELDS = {
    "input": {"input": EMOJI},
    "instructions": {"input": "Hi", "instructions": EMOJI},
    **{name: {"input": [{"role": "user", "content": "Hi"}, *items]} for name, items in ITEMS.items()},
}


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
async def test_a_text_with_an_emoji_is_there_once_at_that_size(fields: Any) -> None:
    assert await peak(**fields) < 8.5


async def test_log_probabilities_that_come_back_are_not_decoded() -> None:
    probability = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
    part = {"type": "output_text", "text": "a", "annotations": [], "logprobs": [probability] * (SIZE // 80)}
    assert await peak(input=[{"role": "assistant", "content": [part]}]) < 6
