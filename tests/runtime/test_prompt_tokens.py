"""The token ids of the prompt: a run asks for them if the host's stream does not have them."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from responses_shim import ResponsesShim
from responses_shim.core.response.options import ResponseOptions
from responses_shim.errors import InvalidRequest, ShimError, UpstreamError
from responses_shim.runtime import run as runs
from responses_shim.runtime.interfaces import Listener
from tests.caller import DEADLINE, payloads, post
from tests.core.driver import Json
from tests.oracle import check_error, check_stream
from tests.runtime.direct import Client, PromptTokens, new_run
from tests.scripted import DONE, ScriptedHost, chunk, frame

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

REQUEST = {"model": "scripted", "input": "Hi"}
HELLO = chunk("Hello", logprobs={"content": [{"token": "token_id:3", "logprob": -0.5}]})
FINISH = chunk(finish_reason="stop")
WITH_TOKENS = ResponseOptions(token_ids=True)


async def upstream(chat: Json, listener: Listener) -> None:
    """A host whose answer has the ids of its own tokens, and not those of the prompt."""
    await listener.data(HELLO, True)
    await listener.data(FINISH + DONE, False)


async def response_with(
    prompt_tokens: PromptTokens | None, options: ResponseOptions = WITH_TOKENS, **settings: Any
) -> Json:
    """The streamed response of a run that gets the token ids of the prompt so."""
    client = Client()
    with anyio.fail_after(DEADLINE):
        await new_run(client, options=options, prompt_tokens=prompt_tokens, **settings).execute(upstream, {})
    return client.response


async def error_with(prompt_tokens: PromptTokens | None) -> ShimError:
    """The error of a run that is not streamed: nothing has been sent, so it becomes an HTTP error."""
    client = Client()
    run = new_run(client, stream=False, options=WITH_TOKENS, prompt_tokens=prompt_tokens)
    with pytest.raises(ShimError) as caught:
        await run.execute(upstream, {})
    assert client.body == b""
    return caught.value


# Ways to get the token ids of the prompt, most of which fail.


async def known(chat: Json) -> list[int] | None:
    return [1, 2]


async def unknown(chat: Json) -> list[int] | None:
    return None


async def broken(chat: Json) -> list[int] | None:
    raise RuntimeError("a secret")


async def silent(chat: Json) -> list[int] | None:
    await anyio.sleep_forever()
    return None


async def refused(chat: Json) -> list[int] | None:
    raise InvalidRequest("no")


async def test_the_prompts_tokens_are_asked_for_if_the_stream_does_not_have_them() -> None:
    (item,) = (await response_with(known))["output"]
    assert item["prompt_token_ids"] == [1, 2]
    assert item["generation_token_ids"] == [3]


async def test_the_prompts_tokens_are_not_asked_for_if_the_client_does_not_want_token_ids() -> None:
    response = await response_with(broken, ResponseOptions())
    assert response["status"] == "completed"
    assert "prompt_token_ids" not in response["output"][0]


@pytest.mark.parametrize("failing", [unknown, broken, silent, refused, None])
async def test_a_response_without_the_prompts_tokens_has_failed(
    failing: PromptTokens | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runs, "RETURN_SECONDS", 0.05)
    with caplog.at_level(logging.WARNING):
        response = await response_with(failing)
        error = await error_with(failing)
    assert (response["status"], response["error"]["code"]) == ("failed", "server_error")
    assert "prompt" in response["error"]["message"]
    assert (error.status, error.code) == (502, "token_ids_inconsistent")
    assert ("RuntimeError" in caplog.text) == (failing is broken)
    assert "a secret" not in caplog.text


async def test_a_short_write_timeout_does_not_cut_the_end_off_while_the_tokens_are_waited_for() -> None:
    """The timer itself ends this run, and all that it writes must be done within `write_timeout`."""
    client = Client()

    async def unfinished(chat: Json, listener: Listener) -> None:
        await listener.data(HELLO + FINISH, True)

    run = new_run(client, options=WITH_TOKENS, prompt_tokens=silent, write_timeout=0.1)
    with anyio.fail_after(DEADLINE):
        await run.execute(unfinished, {})
    assert client.response["status"] == "failed"


async def test_after_another_failure_the_prompts_tokens_are_not_asked_for() -> None:
    client = Client()

    async def failing(chat: Json, listener: Listener) -> ShimError | None:
        await listener.data(HELLO, True)
        return UpstreamError("the host's own reason")

    with anyio.fail_after(DEADLINE):
        await new_run(client, options=WITH_TOKENS, prompt_tokens=broken).execute(failing, {})
    assert client.response["error"]["message"] == "the host's own reason"


@pytest.mark.parametrize("stream", [True, False])
async def test_contradictory_prompt_tokens_are_a_502_or_a_failed_response(stream: bool) -> None:
    first, second = (frame({"choices": [], "prompt_token_ids": [id]}) for id in (1, 2))
    app = ResponsesShim(ScriptedHost([first, chunk("Hello"), second, FINISH, DONE]))
    reply = await post(app, "/v1/responses", {**REQUEST, "stream": stream, "return_token_ids": True})
    if stream:
        check_stream(payloads(reply.events))
        assert payloads(reply.events)[-1]["response"]["status"] == "failed"
    else:
        check_error(reply.json)
        assert (reply.status, reply.json["error"]["code"]) == (502, "token_ids_inconsistent")
