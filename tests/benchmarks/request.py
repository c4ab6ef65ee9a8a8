"""What a request costs in process, whatever its answer: the shim around a host that answers with a single frame.

No server and no socket take part: the shim is called as a server calls it, with the request's bytes, and its messages
are thrown away. What is measured is all that is done once per request: reading and checking it, translating it,
calling the host, and making the opening and the closing events. The host's own time is subtracted.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any

import msgspec

from responses_shim import ResponsesShim
from responses_shim.core.request.parse import parse_request
from responses_shim.core.request.prepare import prepare
from responses_shim.hosts import generic

from .host import App, Message, Receive, Send
from .report import Row
from .sampling import Plan, Sample, difference, in_turns, middle

PROMPT = "Tell me about the fox and the dog, in a few plain sentences."
TOOLS = 20
INSTRUCTIONS = 20_000
"""Characters: what a coding agent sends with every request."""

_CHOICE = {"index": 0, "delta": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}
_USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
_CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [_CHOICE]}
FRAME = b"data: " + json.dumps({**_CHUNK, "usage": _USAGE}).encode() + b"\n\ndata: [DONE]\n\n"


def small() -> dict[str, Any]:
    """A request with nothing in it but a question."""
    return {"model": "m", "input": PROMPT, "stream": True}


def with_tools() -> dict[str, Any]:
    """The same with twenty functions, whose schemas are of about 500 bytes, and 20 kB of instructions."""
    sentence = "You are a careful engineer, and you run the tests before you say that something works. "
    instructions = (sentence * (INSTRUCTIONS // len(sentence) + 1))[:INSTRUCTIONS]
    return {**small(), "instructions": instructions, "tools": [_tool(number) for number in range(TOOLS)]}


def _tool(number: int) -> dict[str, Any]:
    properties = {
        "path": {"type": "string", "description": "The file, relative to the root of the project."},
        "first": {"type": "integer", "description": "The first line to return.", "minimum": 1},
        "last": {"type": ["integer", "null"], "description": "The last line; null for all that follow."},
        "encoding": {"type": "string", "enum": ["utf-8", "latin-1", "utf-16"], "description": "How to decode it."},
        "filters": {"type": "array", "items": {"type": "object", "properties": {"pattern": {"type": "string"}}}},
    }
    return {
        "type": "function",
        "name": f"read_file_{number}",
        "description": "Reads one file of the project and returns its text, numbered by lines.",
        "strict": False,
        "parameters": {
            "type": "object",
            "properties": properties,
            "required": ["path", "first"],
            "additionalProperties": False,
        },
    }


_WITH_TOOLS = f"{TOOLS} tools and {INSTRUCTIONS // 1000} kB of instructions"
ROWS: dict[str, tuple[Callable[[], dict[str, Any]], bool, str]] = {
    "small": (small, False, "≤ 70 µs"),
    _WITH_TOOLS: (with_tools, False, "≤ 150 µs"),
    f"{_WITH_TOOLS}, never the same tools": (with_tools, True, ""),
}
"""Requests, whether each has tools of its own, which no other has had, and bars."""


async def measure(plan: Plan) -> AsyncIterator[Row]:
    shim = ResponsesShim(host)
    for name, (request, new_tools, bar) in ROWS.items():
        body = request()
        samples = await in_turns(
            plan.pairs,
            plan.slices,
            {
                "shim": _timed(shim, "/v1/responses", body, plan, new_tools),
                "host": _timed(host, "/v1/chat/completions", body, plan, new_tools),
                "pure": _timed_translation(body, plan),
            },
        )
        yield Row(f"a request in process, {name}: shim − host", *_figures(samples, plan, bar))


def _figures(samples: list[Sample], plan: Plan, bar: str) -> tuple[Any, str, str, str]:
    """Spread, unit, bar and detail of a row."""
    per_request = [{name: value / plan.slices for name, value in sample.items()} for sample in samples]
    detail = f"of these, {middle(per_request, 'pure'):.0f} µs from the parsed JSON to the JSON of the chat request"
    return difference(per_request, "shim", "host"), " µs", bar, detail


def _timed(app: App, path: str, body: dict[str, Any], plan: Plan, new_tools: bool) -> Callable[[], Awaitable[float]]:
    """A contestant: microseconds of CPU time for one request to `app`, over `plan.requests` of them."""
    data = json.dumps(body).encode()
    numbers = count()

    async def sample() -> float:
        bodies = [data] * plan.requests
        if new_tools:
            bodies = [data.replace(b'"read_file_0"', b'"read_file_%d_0"' % next(numbers)) for _ in bodies]
        before = time.process_time()
        for each in bodies:
            await ask(app, path, each)
        return (time.process_time() - before) / plan.requests * 1e6

    return sample


def _timed_translation(body: dict[str, Any], plan: Plan) -> Callable[[], Awaitable[float]]:
    """The same for the pure part alone."""

    async def sample() -> float:
        before = time.process_time()
        for _ in range(plan.requests):
            translate(body)
        return (time.process_time() - before) / plan.requests * 1e6

    return sample


def translate(body: dict[str, Any]) -> bytes:
    """The body of the chat request for a host about which nothing is known."""
    prepared = prepare(parse_request(body), response_id="resp_1", created_at=0)
    return msgspec.json.encode(generic.PROFILE.adapt(prepared.chat, prepared.report))


async def ask(app: App, path: str, body: bytes) -> list[Message]:
    """Send one request as a server does, and return the messages of its answer."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Message] = []
    gone = asyncio.get_running_loop().create_future()

    async def receive() -> Message:
        return waiting.pop() if waiting else await gone

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
    }
    await app(scope, receive, send)
    await asyncio.sleep(0)  # as between two requests: in this turn of the loop, tasks that were cancelled end
    return sent


async def host(scope: Message, receive: Receive, send: Send) -> None:
    """Read the request and answer it with one frame."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await send({"type": "http.response.body", "body": FRAME, "more_body": False})
