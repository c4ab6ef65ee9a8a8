"""Whatever a host refuses, and wherever its bytes are cut: the response is that of the call which it answered."""

from __future__ import annotations

import anyio
from hypothesis import given
from hypothesis import strategies as st

from responses_shim import ResponsesShim
from tests.caller import payloads, post
from tests.cuts import POSITIONS, cut
from tests.oracle import check_stream
from tests.scripted import DONE, Json, ScriptedHost, Step, chunk, frame, text_answer

STREAMED = {"model": "scripted", "input": "Hi", "stream": True}
ROLE = chunk("", role="assistant")
ERROR = frame({"error": {"message": "Internal server error", "type": "InternalServerError", "code": 500}})
REFUSALS: list[list[Step]] = [
    [Json(429, {"error": {"message": "Later."}})],
    [Json(503, {"detail": {"error": "text_generation_busy", "message": "busy"}})],
    [Json(503, None)],
    [ROLE, ERROR, DONE],
    [ROLE + ERROR[:30], ERROR[30:]],
]
ANSWER = b"".join(step for step in text_answer("Hel", "lo") if isinstance(step, bytes))


@given(st.lists(st.sampled_from(REFUSALS), max_size=3), POSITIONS)
def test_nothing_of_a_refused_call_is_in_the_stream(refusals: list[list[Step]], positions: list[int]) -> None:
    answer: list[Step] = [*cut(ANSWER, positions)]

    async def streamed(*scripts: list[Step]) -> list[tuple[str, str]]:
        reply = await post(ResponsesShim(ScriptedHost(*scripts), host="vllm-mlx"), "/v1/responses", STREAMED)
        events = payloads(reply.events)
        check_stream(events)
        return [(event["type"], event.get("delta", "")) for event in events]

    async def compare() -> None:
        assert await streamed(*refusals, answer) == await streamed(answer)

    anyio.run(compare)
