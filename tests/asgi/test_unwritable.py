"""A response that cannot be written as JSON fails, and is kept as it is then."""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim import ResponsesShim
from responses_shim.runtime.sealing import Sealer
from tests.caller import payloads, settle
from tests.oracle import check_error
from tests.scripted import ScriptedHost, chunk, text_answer
from tests.state import Client

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

SEALED: dict[str, Any] = {"include": ["reasoning.encrypted_content"]}
MESSAGE = "The host sent something that cannot be passed on."
ANSWER = [chunk("Hello"), chunk(reasoning="Hm"), *text_answer("bye")]


@pytest.fixture(autouse=True)
def unwritable_seal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealed reasoning is no text that can be encoded."""
    monkeypatch.setattr(Sealer, "seal", lambda self, owner, text: "\ud800")


async def events_of(client: Client, **fields: Any) -> list[Any]:
    """The events of a stream that is not checked, for those that could not be written are missing."""
    reply = await client.ask("POST", "/responses", json=client.body(stream=True, **fields))
    assert reply.status == 200, reply.body
    return payloads(reply.events)


@pytest.mark.parametrize("needed", [{}, {"store": True}])
async def test_a_stream_fails_and_is_kept_without_what_cannot_be_written(needed: dict[str, bool]) -> None:
    client = Client(ResponsesShim(ScriptedHost(ANSWER)))
    response = (await events_of(client, **SEALED, **needed))[-1]["response"]
    assert (response["status"], response["error"]["message"]) == ("failed", MESSAGE)
    assert [item["content"][0]["text"] for item in response["output"]] == ["Hello", "bye"]
    assert response["store"] is True
    assert await client.get(response["id"]) == response


async def test_a_response_that_is_not_streamed_is_an_error() -> None:
    client = Client(ResponsesShim(ScriptedHost(ANSWER)))
    error = await client.refused(**SEALED)
    assert (error["status"], error["message"]) == (502, MESSAGE)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_response_in_the_background_fails_and_has_its_end(stream: bool) -> None:
    shim = ResponsesShim(ScriptedHost(ANSWER))
    client = Client(shim)
    async with shim.running():
        if stream:
            made = (await events_of(client, background=True, **SEALED))[0]["response"]
        else:
            made = await client.create(background=True, **SEALED)
        response = await client.until(made["id"], "failed")
        assert response["error"]["message"] == MESSAGE
        assert [item["content"][0]["text"] for item in response["output"]] == ["Hello", "bye"]
        assert (await client.events(made["id"]))[-1]["type"] == "response.failed"


@pytest.mark.parametrize("background", [True, False])
async def test_a_response_that_cannot_even_begin_is_an_error(background: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def unwritable_metadata(response: object, *arguments: object) -> None:
        response.metadata = {"a": "\ud800"}  # type: ignore[attr-defined]

    monkeypatch.setattr("responses_shim.asgi.translate.encode_echo", unwritable_metadata)
    monkeypatch.setattr("responses_shim.asgi.translate.LARGE_ECHO", 0)
    shim = ResponsesShim(ScriptedHost(ANSWER))
    async with shim.running():
        for stream in (True, False):
            reply = await Client(shim).ask(
                "POST", "/responses", json={"model": "m", "input": "Hi", "stream": stream, "background": background}
            )
            assert reply.status == 502
            check_error(reply.json)
        await settle()
