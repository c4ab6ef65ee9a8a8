"""A prompt that is too long: an error, or an incomplete response for those who train."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from responses_shim import ResponsesShim
from tests.caller import call, payloads
from tests.conformance.asking import Json, ask, events_of, refusal_of, response_of, streaming
from tests.conformance.nemo_gym.gym import GYM, TOKEN_FIELDS, TokenizingHost, answer
from tests.oracle import check_error
from tests.scripted import DONE, Raise, ScriptedHost, Start, Step, Wait, chunk, frame
from tests.scripted import Json as JsonAnswer

pytestmark = pytest.mark.anyio


OVERFLOW = {
    "message": "This model's maximum context length is 2048 tokens. However, your prompt contains at least 2049 input "
    "tokens. Please reduce the length of the input prompt. (parameter=input_tokens, value=2049)",
    "type": "BadRequestError",
    "param": "input_tokens",
    "code": 400,
}
INCOMPLETE: Json = {"overflow": "incomplete"}
# How hosts refuse such a prompt: with a 400, with a frame before any text, or with an exception out of their app.
REFUSALS: dict[str, Sequence[Step]] = {
    "status": [JsonAnswer(400, {"error": OVERFLOW}, [(b"x-request-id", b"r-1")])],
    "frame": [frame({"error": OVERFLOW}), DONE],
    "frame after the role": [chunk("", role="assistant"), frame({"error": OVERFLOW})],
    "exception": [Start(), Raise(ValueError("Requested tokens (3000) exceed context window of 2048"))],
}


@streaming
@pytest.mark.parametrize("steps", REFUSALS.values(), ids=REFUSALS)
async def test_too_long_a_prompt_gives_an_incomplete_response_with_the_setting(
    steps: Sequence[Step], stream: bool
) -> None:
    response = await answer(*steps, settings=INCOMPLETE, stream=stream)
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"] == []
    assert response["usage"] is None
    assert response["error"] is None


@streaming
@pytest.mark.parametrize("steps", REFUSALS.values(), ids=REFUSALS)
async def test_too_long_a_prompt_gives_an_empty_message_with_nemo_gym(steps: Sequence[Step], stream: bool) -> None:
    response = await answer(*steps, settings=INCOMPLETE | GYM, stream=stream)
    (message,) = response["output"]
    assert message["content"] == [{"type": "output_text", "text": "", "annotations": [], "logprobs": []}]
    assert message["status"] == "incomplete", "in Gym the message is completed, and the response is not"


@streaming
async def test_too_long_a_prompt_is_a_400_by_default(stream: bool) -> None:
    """In Gym the other is the default: its `propagate_context_overflow_errors` asks for the error."""
    for settings in ({}, GYM):
        reply = await ask(ResponsesShim(ScriptedHost(REFUSALS["status"]), **settings), stream=stream)
        assert reply.status == 400
        check_error(reply.json)
        assert reply.json["error"]["code"] == "context_length_exceeded"


async def test_too_long_a_prompt_that_is_refused_after_the_commit_ends_the_stream() -> None:
    refuse = anyio.Event()
    host = ScriptedHost([Wait(refuse), *REFUSALS["status"]])
    shim = ResponsesShim(host, commit_after=0, ping_interval=0.01, **INCOMPLETE)
    body = {"model": "scripted", "input": "Hi", "stream": True}
    async with call(shim, "POST", "/v1/responses", json=body) as exchange:
        created = await exchange.next_event()
        assert created is not None
        assert created.name == "response.created"
        refuse.set()
        events = payloads(await exchange.events())
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["output"] == []


async def test_too_long_a_prompt_has_no_token_ids() -> None:
    host = TokenizingHost(ScriptedHost(REFUSALS["status"]), {"tokens": [1]})
    response = await response_of(ResponsesShim(host, **INCOMPLETE | GYM), return_token_ids=True)
    assert not TOKEN_FIELDS & response["output"][0].keys()
    assert host.requests == []


async def test_an_answer_that_outgrows_the_context_is_a_failure() -> None:
    """There is text already, so it was not the prompt that was too long."""
    events = await events_of(ResponsesShim(ScriptedHost([chunk("Yes"), frame({"error": OVERFLOW})]), **INCOMPLETE))
    assert events[-1]["type"] == "response.failed"


async def test_a_token_limit_above_the_context_is_an_error() -> None:
    """Gym takes any 400 that names `max_tokens` for a prompt that is too long; but a shorter prompt would not help."""
    message = "max_tokens=100000 cannot be greater than max_model_len=2048. Please request fewer output tokens."
    error = {"message": message, "type": "BadRequestError", "param": "max_tokens", "code": 400}
    shim = ResponsesShim(ScriptedHost([JsonAnswer(400, {"error": error})]), **INCOMPLETE | GYM)
    assert (await refusal_of(shim, max_output_tokens=100_000))["param"] == "max_output_tokens"
