"""The engine behind the servers. It runs in the test's process, so the test decides what the model writes, and when."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.scripted import text_answer

Json = dict[str, Any]


class CallLeft(Exception):
    """The caller has given a chat call up, or its process is gone."""


class ChatCall:
    """A chat call: the request, the process that makes it, and its answer.

    `left` is set when the caller is gone before the answer has ended.
    """

    def __init__(self, pid: int, request: Json, stream: SocketStream) -> None:
        self.pid = pid
        self.request = request
        self.left = anyio.Event()
        self._stream = stream
        self._written = self._confirmed = 0
        self._heard = anyio.Event()

    @property
    def messages(self) -> list[str]:
        """The texts of the messages."""
        return [message["content"] for message in self.request["messages"]]

    async def write(self, *pieces: bytes) -> None:
        """Send pieces of the answer, each when the one before has been taken. Raises CallLeft."""
        for piece in pieces:
            self._written += 1
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await self._stream.send(piece)
            while self._confirmed < self._written:
                if self.left.is_set():
                    raise CallLeft
                await self._heard.wait()

    async def answer(self, *texts: str) -> None:
        """Send all of an answer with these pieces of text."""
        await self.write(*(step for step in text_answer(*texts) if isinstance(step, bytes)))

    async def listen(self) -> None:
        """Take what the caller confirms, until it is gone."""
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            while True:
                self._confirmed += len(await self._stream.receive())
                self._notify()
        self.left.set()
        self._notify()

    def _notify(self) -> None:
        self._heard.set()
        self._heard = anyio.Event()


Answer = Callable[[ChatCall], Awaitable[None]]


async def count_messages(call: ChatCall) -> None:
    """The model that says how many messages it was given."""
    await call.answer("Answer ", str(len(call.request["messages"])))


class Engine:
    """Answers chat calls with `answer`, which a test may replace at any time."""

    def __init__(self) -> None:
        self.answer: Answer = count_messages
        self.port = 0

    async def _serve(self, stream: SocketStream) -> None:
        async with stream:
            try:
                line = await BufferedByteReceiveStream(stream).receive_until(b"\n", 64 * 1024 * 1024)
            except (anyio.IncompleteRead, anyio.BrokenResourceError):
                return  # its process has been killed
            call = ChatCall(**json.loads(line), stream=stream)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call.listen)
                with suppress(CallLeft):
                    await self.answer(call)
                tasks.cancel_scope.cancel()


@asynccontextmanager
async def running_engine() -> AsyncIterator[Engine]:
    """An engine that answers as long as this lasts."""
    engine = Engine()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        engine.port = listener.extra(SocketAttribute.local_port)
        tasks.start_soon(listener.serve, engine._serve)
        yield engine
        tasks.cancel_scope.cancel()
