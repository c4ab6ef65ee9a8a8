"""Request translation against the size of its input: the pure functions alone, no server and no JSON."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import cycle
from typing import Any

import msgspec

from responses_shim.core.request.parse import parse_request
from responses_shim.core.request.prepare import prepare

from .report import Row
from .sampling import Plan, Spread, in_turns, middle, ratio

MEGABYTE = 1_000_000


async def measure(plan: Plan) -> AsyncIterator[Row]:
    samples = await in_turns(
        plan.pairs,
        1,
        {str(size): _timed(size, plan.megabytes[-1]) for size in plan.megabytes},
    )
    for size in plan.megabytes:
        body = request_of(size)
        spread = Spread.of([sample[str(size)] for sample in samples])
        reading = _milliseconds(msgspec.json.decode, json.dumps(body).encode())
        items = len(body["input"])
        total = spread.median * size
        detail = f"{items:,} items: {total:.1f} ms; decoding their JSON takes {reading:.1f} ms beside"
        yield Row(f"request translation per MB, {size:g} MB of input items", spread, " ms/MB", "≤ 8 ms/MB", detail)
    small, large = plan.megabytes[0], plan.megabytes[-1]
    yield Row(
        f"request translation, cost per MB at {large:g} MB ÷ at {small:g} MB",
        ratio(samples, str(large), str(small)),
        bar="about 1: linear",
        detail=f"{middle(samples, str(large)):.1f} ÷ {middle(samples, str(small)):.1f} ms/MB",
    )


def translate(body: Any) -> object:
    """What becomes of a request between its JSON and the JSON of the chat request."""
    return prepare(parse_request(body), response_id="resp_1", created_at=0)


def _timed(size: float, most: float) -> Callable[[], Awaitable[float]]:
    """A contestant: milliseconds per MB, over as many calls as make up the work of the largest size."""
    body = request_of(size)
    calls = max(1, round(most / size))

    async def sample() -> float:
        return sum(_milliseconds(translate, body) for _ in range(calls)) / calls / size

    return sample


def _milliseconds(function: Callable[[Any], object], argument: Any) -> float:
    """CPU time of one call."""
    before = time.process_time()
    function(argument)
    return (time.process_time() - before) * 1000


def request_of(megabytes: float) -> dict[str, Any]:
    """A Responses request whose input items are about that many MB of JSON."""
    room = megabytes * MEGABYTE
    items = []
    for item in _turns():
        room -= len(json.dumps(item)) + 2
        if room < 0:
            break
        items.append(item)
    return {"model": "text-50-instant", "instructions": "Be brief.", "input": items, "stream": True}


def _turns() -> Iterator[dict[str, Any]]:
    """A coding agent's conversation, turn by turn, without end: items of about 100 to 1,500 bytes."""
    sentence = 'The quick brown fox jumps over the lazy dog, and then it says "naïve café".\n'
    for turn in cycle(range(100_000)):
        yield {"type": "message", "role": "user", "content": [{"type": "input_text", "text": sentence * 3}]}
        yield {
            "type": "reasoning",
            "id": f"rs_{turn}",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": sentence * 2}],
        }
        part = {"type": "output_text", "text": sentence * 4, "annotations": []}
        yield {
            "type": "message",
            "id": f"msg_{turn}",
            "role": "assistant",
            "status": "completed",
            "content": [part],
        }
        arguments = json.dumps({"command": ["sed", "-n", "1,80p", f"src/file_{turn}.py"], "workdir": "/src"})
        call = {"call_id": f"call_{turn}", "name": "shell", "arguments": arguments}
        yield {"type": "function_call", "id": f"fc_{turn}", "status": "completed", **call}
        yield {"type": "function_call_output", "call_id": f"call_{turn}", "output": sentence * 15}
