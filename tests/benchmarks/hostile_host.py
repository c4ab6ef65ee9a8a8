"""A host that any body may be sent to, under the shim, with a heartbeat that shows how long its loop was held.

It throws the body of a chat request away and answers at once: with a word, or, where the header `x-calls` names a tool,
with a call of it that has 2 MB of arguments. If it has a key, whoever has not gets a 401. `GET /heartbeat` answers with
the longest hold of the loop since it was asked last, in milliseconds: the time between two beats in which this process
was busy. That is its CPU time, which is what the time would be on a machine where nothing else runs. Before it begins
to count, garbage is collected: a process that has just begun has its first full collection due, which holds the loop by
itself, whoever comes next.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections import Counter
from collections.abc import MutableMapping
from typing import Any

from .host import App, Receive, Send

BEAT = 0.001
"""Seconds between two beats, if nothing holds the loop."""
ARGUMENTS = 2_000_000
_PIECE = 1000


KEY = "Bearer right"
"""The `authorization` of a client that is let in by a host with a key."""


class HostileHost:
    """The host: its app is `__call__`. With a key, it is only for clients that have it."""

    def __init__(self, key: str | None = None) -> None:
        self._key = key
        self._longest = 0.0
        self._heart: asyncio.Task[None] | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        while (await receive()).get("more_body"):
            pass
        if scope["path"] == "/heartbeat":
            self._heart = self._heart or asyncio.create_task(self._beat())
            longest = self._longest
            gc.collect()
            await asyncio.sleep(2 * BEAT)  # so that the beat that this has held is not counted
            self._longest = 0.0
            await _answer(send, b"application/json", json.dumps(longest * 1000).encode())
            return
        if self._key is not None and (b"authorization", self._key.encode()) not in scope["headers"]:
            await _answer(send, b"application/json", b'{"error": "Unauthorized"}', 401)
            return
        tool = next((value.decode() for name, value in scope["headers"] if name == b"x-calls"), "")
        if not tool:
            await _answer(send, b"text/event-stream", _frame({"content": "Hello."}, "stop") + b"data: [DONE]\n\n")
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await _send(send, _call({"id": "call_1", "function": {"name": tool, "arguments": '{"commands":["'}}))
        for _ in range(ARGUMENTS // _PIECE):
            await _send(send, _call({"function": {"arguments": "a" * _PIECE}}))
        await _send(send, _call({"function": {"arguments": '"]}'}}) + _frame({}, "tool_calls") + b"data: [DONE]\n\n")
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _beat(self) -> None:
        while True:
            start, busy = time.perf_counter(), time.process_time()
            await asyncio.sleep(BEAT)
            hold = min(time.perf_counter() - start - BEAT, time.process_time() - busy)
            self._longest = max(self._longest, hold)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _answer(send: Send, content_type: bytes, body: bytes, status: int = 200) -> None:
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _send(send: Send, frames: bytes) -> None:
    await send({"type": "http.response.body", "body": frames, "more_body": True})
    await asyncio.sleep(0)  # an engine's pieces do not come all at once


def _call(call: dict[str, Any]) -> bytes:
    return _frame({"tool_calls": [{"index": 0, "type": "function", **call}]}, None)


def _frame(delta: dict[str, Any], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def hostile_host() -> App:
    """The host under the shim, which is configured from the environment."""
    from responses_shim import ResponsesShim

    return ResponsesShim(HostileHost())


def guarded_host() -> App:
    """The same with a key. `GET /files` answers how many requests have had files read, and how many were fetched."""
    from responses_shim import ResponsesShim
    from responses_shim.runtime import files

    shim = ResponsesShim(HostileHost(KEY))
    counts = Counter[str]()

    def counted(name: str) -> None:
        original = getattr(files, name)

        def call(*arguments: Any, **keywords: Any) -> Any:
            counts[name] += 1
            return original(*arguments, **keywords)

        setattr(files, name, call)

    counted("_FileReader")
    counted("fetch")

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope.get("path") == "/files":
            await _answer(send, b"application/json", json.dumps([counts["_FileReader"], counts["fetch"]]).encode())
        else:
            await shim(scope, receive, send)

    return app
