"""What a run does between the host's chunks and the events: text that is held back, and the prompt's tokens."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from responses_shim import ResponsesShim
from responses_shim.asgi.sinks import EventStreamSink, JSONSink
from responses_shim.core.response.options import ResponseOptions
from responses_shim.core.response.translator import Translator
from responses_shim.errors import InvalidRequest, ShimError, UpstreamError
from responses_shim.runtime import run as runs
from responses_shim.runtime.interfaces import Listener, Sink
from responses_shim.runtime.run import Run
from responses_shim.settings import Settings
from tests.caller import Reply, call, payloads, post
from tests.caller import parse_events as parse
from tests.core.driver import new_stream
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import (
    DONE,
    End,
    Hold,
    Raise,
    Return,
    ScriptedHost,
    Step,
    chunk,
    frame,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

REQUEST = {"model": "scripted", "input": "Hi"}
FINISH = chunk(finish_reason="stop")


async def ask(*steps: Step, stream: bool = True, **settings: Any) -> Reply:
    return await post(ResponsesShim(ScriptedHost(steps), **settings), "/v1/responses", {**REQUEST, "stream": stream})


def said(response: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item["type"], "".join(part["text"] for part in item["content"])) for item in response["output"]]


# What is held back ---------------------------------------------------------------------------------------------------

WELL: dict[str, list[Step]] = {
    "finish and done": [FINISH, DONE],
    "finish and end": [FINISH],
    "finish and return": [FINISH, Return()],
    "finish and exception": [FINISH, Raise(RuntimeError("late"))],
    "finish in the same chunk as nothing": [chunk("", finish_reason="stop"), DONE],
    "silence after the finish": [FINISH, Hold()],
}
BADLY: dict[str, list[Step]] = {
    "done": [DONE],
    "end": [End()],
    "return": [Return()],
    "exception": [Raise(RuntimeError("broken"))],
    "error frame": [frame({"error": "gone"}), DONE],
    "no JSON": [b"data: {\n\n"],
    "silence": [Hold()],
    "half a frame": [b'data: {"choices": [{"delta": {"con'],
}
HELD_BACK: dict[str, tuple[str, list[str], list[tuple[str, str]]]] = {
    "of a tag": ("leading", ["<thi"], [("message", "<thi")]),
    "of a tag after white space": ("leading", [" ", "\n<"], [("message", " \n<")]),
    "of an end tag": ("leading", ["<think>", "Hm.</th"], [("reasoning", "Hm.</th")]),
    "behind a span": ("leading", ["<think>Hm.</think>", "\n<"], [("reasoning", "Hm."), ("message", "\n<")]),
    "in the middle": ("anywhere", ["Hello", " <th"], [("message", "Hello <th")]),
    "in a span that was begun": ("prefilled", ["Hm.", "<", "/"], [("reasoning", "Hm.</")]),
}


@pytest.mark.parametrize("ending", WELL.values(), ids=WELL.keys())
@pytest.mark.parametrize(("tags", "pieces", "expected"), HELD_BACK.values(), ids=HELD_BACK.keys())
@pytest.mark.parametrize("stream", [True, False])
async def test_what_was_held_back_is_said_at_the_end(
    tags: str,
    pieces: list[str],
    expected: list[tuple[str, str]],
    ending: list[Step],
    stream: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runs, "GONE_GRACE", 0.05)
    reply = await ask(*map(chunk, pieces), *ending, stream=stream, think_tags=tags, upstream_idle=0.2)
    if stream:
        check_stream(payloads(reply.events))
    response = payloads(reply.events)[-1]["response"] if stream else reply.json
    check_response(response)
    assert said(response) == expected
    assert response["status"] == "completed"


@pytest.mark.parametrize("ending", BADLY.values(), ids=BADLY.keys())
@pytest.mark.parametrize(("tags", "pieces", "expected"), HELD_BACK.values(), ids=HELD_BACK.keys())
async def test_what_the_host_said_before_it_failed_counts_held_back_or_not(
    tags: str, pieces: list[str], expected: list[tuple[str, str]], ending: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "GRACE", 0.05)
    monkeypatch.setattr(runs, "GONE_GRACE", 0.05)
    reply = await ask(*map(chunk, pieces), *ending, think_tags=tags, upstream_idle=0.2)
    events = payloads(reply.events)
    check_stream(events)
    response = events[-1]["response"]
    assert said(response) == expected
    assert (response["status"], response["output"][-1]["status"]) == ("failed", "incomplete")


async def test_white_space_that_nothing_followed_is_no_answer_behind_a_span() -> None:
    for steps in ([chunk("<think>"), chunk(" "), FINISH], [chunk("<think></think>"), chunk("\n\n"), FINISH]):
        response = (await ask(*steps, stream=False)).json
        assert (response["status"], response["output"]) == ("completed", [])


async def test_white_space_is_an_answer_where_there_was_no_span() -> None:
    """What the model wrote comes back to it as it was, or the host's prefix cache is lost."""
    [message] = (await ask(chunk("\n"), chunk("\n"), FINISH, stream=False)).json["output"]
    assert message["content"][0]["text"] == "\n\n"


async def test_who_leaves_gets_nothing_of_it_and_leaves_nothing_behind() -> None:
    host = ScriptedHost([chunk("Hello"), chunk("<thi"), Hold()])
    app = ResponsesShim(host, think_tags="anywhere")
    async with call(app, "POST", "/v1/responses", json={**REQUEST, "stream": True}) as exchange:
        while (event := await exchange.next_event()) is not None and event.name != "response.output_text.delta":
            pass
        await exchange.disconnect()
        await exchange.finish()
    assert host.disconnected.is_set()
    assert b"<thi" not in exchange.body


async def test_tags_are_text_where_they_are_switched_off() -> None:
    reply = await ask(chunk("<think>Hm.</think>Hi"), FINISH, stream=False, think_tags="off")
    assert said(reply.json) == [("message", "<think>Hm.</think>Hi")]


# A run without a server ----------------------------------------------------------------------------------------------


class Wire:
    """Where a server would send from; `stalled` holds it up."""

    def __init__(self) -> None:
        self.body = b""
        self.flow = anyio.Event()
        self.flow.set()
        self.waiting = anyio.Event()

    async def send(self, message: Any) -> None:
        self.waiting.set()
        await self.flow.wait()
        self.body += message.get("body", b"")

    @property
    def events(self) -> list[dict[str, Any]]:
        return payloads(parse(self.body))

    @property
    def response(self) -> dict[str, Any]:
        check_stream(self.events)
        response: dict[str, Any] = self.events[-1]["response"]
        return response


async def test_the_fast_path_does_not_outlive_its_part() -> None:
    """Not even if the timer is writing when the part ends, and the host's next frame has begun."""
    wire = Wire()
    ending, begun = chunk(refusal="No.") + b"data:\n", chunk("again")

    async def upstream(chat: dict[str, Any], listener: Listener) -> None:
        await listener.data(chunk("Hel"), True)
        await listener.data(chunk("lo"), True)
        wire.flow, wire.waiting = anyio.Event(), anyio.Event()
        await wire.waiting.wait()  # a ping is being written
        closing = listener.data(ending, True)
        wire.flow.set()
        await closing
        await listener.data(begun, True)
        await listener.data(FINISH + DONE, False)

    with anyio.fail_after(5):
        await running(EventStreamSink(wire.send, []), ping_interval=0.05).execute(upstream, {})
    (message,) = wire.response["output"]
    assert [part.get("text", part.get("refusal")) for part in message["content"]] == ["Hello", "No.", "again"]


# The tokens of the prompt ---------------------------------------------------------------------------------------------

ENTRY = {"token": "token_id:3", "logprob": -0.5}
HELLO = chunk("Hello", logprobs={"content": [ENTRY]})
Ask = Callable[[], Awaitable["list[int] | None"]]


def running(sink: Sink, *, prompt_tokens: Ask | None = None, token_ids: bool = False, **settings: Any) -> Run:
    return Run(
        Translator(new_stream(options=ResponseOptions(token_ids=token_ids)), framing=sink.framing),
        sink,
        Settings(**settings),
        disconnected=anyio.sleep_forever,
        unfinished="cut",
        prompt_tokens=prompt_tokens,
    )


async def saying(chat: dict[str, Any], listener: Listener) -> None:
    await listener.data(HELLO, True)
    await listener.data(FINISH + DONE, False)


async def streamed(prompt_tokens: Ask | None, *, token_ids: bool = True, **settings: Any) -> dict[str, Any]:
    wire = Wire()
    sink = EventStreamSink(wire.send, [])
    with anyio.fail_after(5):
        await running(sink, prompt_tokens=prompt_tokens, token_ids=token_ids, **settings).execute(saying, {})
    return wire.response


async def refused(prompt_tokens: Ask | None) -> ShimError:
    """The error of a response that is not streamed: nothing has been sent, so it is an HTTP error."""
    wire = Wire()
    with pytest.raises(ShimError) as caught:
        await running(JSONSink(wire.send, []), prompt_tokens=prompt_tokens, token_ids=True).execute(saying, {})
    assert wire.body == b""
    return caught.value


async def told() -> list[int] | None:
    return [1, 2]


async def none() -> list[int] | None:
    return None


async def broken() -> list[int] | None:
    raise RuntimeError("a secret")


async def silent() -> list[int] | None:
    await anyio.sleep_forever()
    return None


async def unwilling() -> list[int] | None:
    raise InvalidRequest("no")


async def test_the_tokens_of_the_prompt_are_asked_for_where_the_stream_does_not_tell_them() -> None:
    (item,) = (await streamed(told))["output"]
    assert item["prompt_token_ids"] == [1, 2]
    assert item["generation_token_ids"] == [3]


async def test_they_are_not_asked_for_where_they_are_not_wanted() -> None:
    response = await streamed(broken, token_ids=False)
    assert response["status"] == "completed"
    assert "prompt_token_ids" not in response["output"][0]


@pytest.mark.parametrize("failing", [none, broken, silent, unwilling, None])
async def test_without_them_the_response_has_failed(
    failing: Ask | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runs, "GRACE", 0.05)
    with caplog.at_level(logging.WARNING):
        response = await streamed(failing)
        error = await refused(failing)
    assert (response["status"], response["error"]["code"]) == ("failed", "server_error")
    assert "prompt" in response["error"]["message"]
    assert (error.status, error.code) == (502, "token_ids_inconsistent")
    assert ("RuntimeError" in caplog.text) == (failing is broken)
    assert "a secret" not in caplog.text


async def test_a_short_write_timeout_does_not_cut_the_end_off_while_they_are_asked_for() -> None:
    """Where the clock itself ends the run, everything that it writes has that time."""
    wire = Wire()

    async def upstream(chat: dict[str, Any], listener: Listener) -> None:
        await listener.data(HELLO + FINISH, True)

    run = running(EventStreamSink(wire.send, []), prompt_tokens=silent, token_ids=True, write_timeout=0.1)
    with anyio.fail_after(5):
        await run.execute(upstream, {})
    assert wire.response["status"] == "failed"


async def test_a_failure_that_came_first_is_told_and_nobody_is_asked() -> None:
    wire = Wire()

    async def upstream(chat: dict[str, Any], listener: Listener) -> ShimError | None:
        await listener.data(HELLO, True)
        return UpstreamError("the host's own reason")

    with anyio.fail_after(5):
        run = running(EventStreamSink(wire.send, []), prompt_tokens=broken, token_ids=True)
        await run.execute(upstream, {})
    assert wire.response["error"]["message"] == "the host's own reason"


@pytest.mark.parametrize("stream", [True, False])
async def test_tokens_that_contradict_themselves_are_a_502_or_a_failed_response(stream: bool) -> None:
    first, second = (frame({"choices": [], "prompt_token_ids": [id]}) for id in (1, 2))
    app = ResponsesShim(ScriptedHost([first, chunk("Hello"), second, FINISH, DONE]))
    reply = await post(app, "/v1/responses", {**REQUEST, "stream": stream, "return_token_ids": True})
    if stream:
        check_stream(payloads(reply.events))
        assert payloads(reply.events)[-1]["response"]["status"] == "failed"
    else:
        check_error(reply.json)
        assert (reply.status, reply.json["error"]["code"]) == (502, "token_ids_inconsistent")
