"""Text that the filter for think tags holds back: however a run ends, it is part of the response."""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim import ResponsesShim
from responses_shim.runtime import run as runs
from tests.caller import Reply, call, payloads, post
from tests.oracle import check_response, check_stream
from tests.scripted import DONE, End, Hold, Raise, Return, ScriptedHost, Step, chunk, frame

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

REQUEST = {"model": "scripted", "input": "Hi"}
FINISH = chunk(finish_reason="stop")


async def ask(*steps: Step, stream: bool = True, **settings: Any) -> Reply:
    """The answer to a request when the host takes these steps."""
    return await post(ResponsesShim(ScriptedHost(steps), **settings), "/v1/responses", {**REQUEST, "stream": stream})


def texts(response: dict[str, Any]) -> list[tuple[str, str]]:
    """The type and the text of each item."""
    return [(item["type"], "".join(part["text"] for part in item["content"])) for item in response["output"]]


# What is held back ---------------------------------------------------------------------------------------------------

COMPLETE: dict[str, list[Step]] = {
    "finish and done": [FINISH, DONE],
    "finish and end": [FINISH],
    "finish and return": [FINISH, Return()],
    "finish and exception": [FINISH, Raise(RuntimeError("late"))],
    "finish in a chunk with an empty text": [chunk("", finish_reason="stop"), DONE],
    "silence after the finish": [FINISH, Hold()],
}
FAILING: dict[str, list[Step]] = {
    "done": [DONE],
    "end": [End()],
    "return": [Return()],
    "exception": [Raise(RuntimeError("broken"))],
    "error frame": [frame({"error": "gone"}), DONE],
    "no JSON": [b"data: {\n\n"],
    "silence": [Hold()],
    "half a frame": [b'data: {"choices": [{"delta": {"con'],
}
# Where the text that is held back comes from: the setting, the texts of the chunks, and the items of the response.
HELD_BACK: dict[str, tuple[str, list[str], list[tuple[str, str]]]] = {
    "the beginning of a tag": ("leading", ["<thi"], [("message", "<thi")]),
    "the beginning of a tag after white space": ("leading", [" ", "\n<"], [("message", " \n<")]),
    "the beginning of a closing tag": ("leading", ["<think>", "Hm.</th"], [("reasoning", "Hm.</th")]),
    "the beginning of a tag after reasoning": (
        "leading",
        ["<think>Hm.</think>", "\n<"],
        [("reasoning", "Hm."), ("message", "\n<")],
    ),
    "the beginning of a tag in the middle": ("anywhere", ["Hello", " <th"], [("message", "Hello <th")]),
    "the beginning of a closing tag after a prefilled one": ("prefilled", ["Hm.", "<", "/"], [("reasoning", "Hm.</")]),
}


@pytest.mark.parametrize("ending", COMPLETE.values(), ids=COMPLETE.keys())
@pytest.mark.parametrize(("tags", "pieces", "expected"), HELD_BACK.values(), ids=HELD_BACK.keys())
@pytest.mark.parametrize("stream", [True, False])
async def test_text_that_is_held_back_is_in_the_completed_response(
    tags: str,
    pieces: list[str],
    expected: list[tuple[str, str]],
    ending: list[Step],
    stream: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runs, "CANCEL_SECONDS", 0.05)
    reply = await ask(*map(chunk, pieces), *ending, stream=stream, think_tags=tags, upstream_idle=0.2)
    if stream:
        check_stream(payloads(reply.events))
    response = payloads(reply.events)[-1]["response"] if stream else reply.json
    check_response(response)
    assert texts(response) == expected
    assert response["status"] == "completed"


@pytest.mark.parametrize("ending", FAILING.values(), ids=FAILING.keys())
@pytest.mark.parametrize(("tags", "pieces", "expected"), HELD_BACK.values(), ids=HELD_BACK.keys())
async def test_text_that_is_held_back_when_the_host_fails_is_in_the_failed_response(
    tags: str, pieces: list[str], expected: list[tuple[str, str]], ending: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "RETURN_SECONDS", 0.05)
    monkeypatch.setattr(runs, "CANCEL_SECONDS", 0.05)
    reply = await ask(*map(chunk, pieces), *ending, think_tags=tags, upstream_idle=0.2)
    events = payloads(reply.events)
    check_stream(events)
    response = events[-1]["response"]
    assert texts(response) == expected
    assert (response["status"], response["output"][-1]["status"]) == ("failed", "incomplete")


async def test_white_space_alone_after_reasoning_is_no_item() -> None:
    for steps in ([chunk("<think>"), chunk(" "), FINISH], [chunk("<think></think>"), chunk("\n\n"), FINISH]):
        response = (await ask(*steps, stream=False)).json
        assert (response["status"], response["output"]) == ("completed", [])


async def test_white_space_alone_without_reasoning_is_a_message() -> None:
    """It must come back to the model unchanged in the next turn, or the host's prefix cache is lost."""
    [message] = (await ask(chunk("\n"), chunk("\n"), FINISH, stream=False)).json["output"]
    assert message["content"][0]["text"] == "\n\n"


async def test_a_client_that_has_left_is_not_sent_the_text_that_is_held_back() -> None:
    host = ScriptedHost([chunk("Hello"), chunk("<thi"), Hold()])
    app = ResponsesShim(host, think_tags="anywhere")
    async with call(app, "POST", "/v1/responses", json={**REQUEST, "stream": True}) as exchange:
        while (event := await exchange.next_event()) is not None and event.name != "response.output_text.delta":
            pass
        await exchange.disconnect()
        await exchange.finish()
    assert host.disconnected.is_set()
    assert b"<thi" not in exchange.body


async def test_with_think_tags_off_tags_are_text() -> None:
    reply = await ask(chunk("<think>Hm.</think>Hi"), FINISH, stream=False, think_tags="off")
    assert texts(reply.json) == [("message", "<think>Hm.</think>Hi")]
