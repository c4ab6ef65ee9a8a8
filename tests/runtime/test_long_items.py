"""An item may be of megabytes: when it ends, the event loop is not held until all of it has been sent."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.types import Message, Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.runtime.writer import LARGE
from tests.caller import Reply, payloads, post
from tests.oracle import check_stream
from tests.scripted import DONE, ScriptedHost, Step, call, chunk

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_task_left")]

SIZE = 3 * LARGE
PIECES = SIZE // 1000
SHELL = {"type": "shell"}
FUNCTION = {"type": "function", "name": "f"}


def piece(arguments: str, name: str | None = None) -> bytes:
    """A chunk with some of a call's arguments."""
    return chunk(tool_calls=[call(name=name, arguments=arguments)])


ANSWERS: dict[str, list[Step]] = {
    "text": [chunk("x" * 1000) for _ in range(PIECES)],
    "function": [piece('{"a":"', "f"), *[piece("x" * 1000)] * PIECES, piece('"}')],
    "shell": [piece('{"commands":["', "shell"), *[piece("x" * 1000)] * PIECES, piece('"]}')],
}


class Ticking:
    """An app that notes each body message, with how often other tasks had run by then."""

    def __init__(self, app: Any) -> None:
        self.sent: list[tuple[int, int]] = []
        self._app = app
        self._ticks = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Message) -> None:
            if message["type"] == "http.response.body":
                self.sent.append((len(message.get("body", b"")), self._ticks))
            await send(message)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._tick)
            await self._app(scope, receive, noting)
            tasks.cancel_scope.cancel()

    async def _tick(self) -> None:
        while True:
            self._ticks += 1
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("kind", ANSWERS)
async def test_other_tasks_run_between_the_last_events_of_a_long_item(kind: str) -> None:
    finish = chunk(finish_reason="stop" if kind == "text" else "tool_calls")
    app = Ticking(ResponsesShim(ScriptedHost([*ANSWERS[kind], finish, DONE])))
    body = {"model": "m", "input": "Hi", "stream": True, "tools": [SHELL, FUNCTION]}
    reply: Reply = await post(app, "/v1/responses", body)
    check_stream(payloads(reply.events))
    large = [ticks for size, ticks in app.sent if size > LARGE]
    assert len(large) >= 3  # the value, the item, the response
    assert large == sorted(set(large)), "two were sent in one go"
