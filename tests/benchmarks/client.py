"""A load client that costs little: raw HTTP/1.1 on kept-alive connections.

Times are `time.perf_counter()` seconds. Bytes are only collected as they come; tokens are counted after the
clock was stopped, so that reading one stream never delays another.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from .host import Script

LAST_CHUNK = b"\r\n0\r\n\r\n"

PATIENCE = 60.0
"""Seconds that an answer may take: a server that hangs fails the run instead of holding it."""

PROMPT = "Tell me about the fox and the dog, in a few plain sentences. "


@dataclass(frozen=True)
class Dialect:
    """One of the two APIs: where a request goes, what it looks like, and what marks a token in the answer."""

    path: str
    body: dict[str, object]
    """A streamed request for a short prompt; only the model is missing."""
    deltas: dict[str, bytes]
    """Kind of script → bytes that stand once in each event that carries a token, and nowhere else."""

    def request(self, script: Script, **fields: object) -> bytes:
        """A complete HTTP request for the answer that the script describes; `fields` go into its body."""
        body = json.dumps({"model": str(script), **self.body, **fields}).encode()
        head = f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


CHAT = Dialect(
    "/v1/chat/completions",
    {
        "messages": [{"role": "user", "content": PROMPT}],
        "stream": True,
        "stream_options": {"include_usage": True},
    },
    {
        "text": b'"delta":{"content":',
        "odd": b'"delta":{"content":',
        "think": b'"delta":{"content":',
        "logprobs": b'"delta":{"content":',
        "reasoning": b'"delta":{"reasoning":',
        "call": b'"function":{"arguments":',
    },
)
RESPONSES = Dialect(
    "/v1/responses",
    {"input": PROMPT, "stream": True},
    {
        "text": b'"type":"response.output_text.delta"',
        "odd": b'"type":"response.output_text.delta"',
        "think": b'"type":"response.reasoning_text.delta"',
        "logprobs": b'"type":"response.output_text.delta"',
        "reasoning": b'"type":"response.reasoning_text.delta"',
        "call": b'"type":"response.function_call_arguments.delta"',
    },
)


@dataclass
class Answer:
    """One streamed answer, as it came."""

    blocks: list[bytes] = field(default_factory=list)
    """The body, still chunked, in the pieces that the socket gave."""
    asked: float = 0.0
    times: list[float] = field(default_factory=list)
    """When each of these came."""
    chunked: bool = True

    @property
    def first(self) -> float:
        """When the first byte of the body came: a chat's role chunk, a response's `response.created`."""
        return self.times[0]

    @property
    def body(self) -> bytes:
        body = b"".join(self.blocks)
        return unchunk(body) if self.chunked else body

    def events(self) -> Iterator[dict[str, Any]]:
        """Every `data:` line that holds JSON."""
        for line in self.body.splitlines():
            if line.startswith(b"data: {"):
                yield json.loads(line[6:])


def unchunk(data: bytes) -> bytes:
    """The payload of an HTTP/1.1 chunked body, as far as its chunks are complete."""
    parts = []
    at = 0
    while (end := data.find(b"\r\n", at)) != -1 and (size := int(data[at:end], 16)):
        at = end + 2 + size + 2
        if at > len(data):
            break
        parts.append(data[end + 2 : at - 2])
    return b"".join(parts)


class Connection(asyncio.Protocol):
    """One connection that asks one thing at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer = Answer()
        self._head = b""
        self._tail = b""
        self._length = 0
        self._mark = b""
        self._marks = 0
        self._done: asyncio.Future[None] | None = None
        self._lost = asyncio.get_running_loop().create_future()

    async def ask(self, request: bytes, mark: bytes = b"", marks: int = 0, patience: float = PATIENCE) -> Answer:
        """Send a request and return its complete answer; given a mark, return once it was seen `marks` times."""
        assert self._transport is not None, "not connected"
        self._answer, self._head, self._tail = Answer(), b"", b""
        self._mark, self._marks = mark, marks
        self._done = asyncio.get_running_loop().create_future()
        self._answer.asked = time.perf_counter()
        self._transport.write(request)
        await asyncio.wait_for(self._done, patience)
        return self._answer

    @property
    def answer(self) -> Answer:
        """The answer to what was asked last, as far as it has come."""
        return self._answer

    async def close(self) -> None:
        """Hang up, and wait until the socket is gone."""
        if self._transport is not None:
            self._transport.abort()
            await self._lost

    async def hang_up(self) -> None:
        """Half-close, and wait until the server has closed as well: it knows then that the client is gone."""
        if self._transport is not None:
            self._transport.write_eof()
            await asyncio.wait_for(self._lost, PATIENCE)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by behaviour, not by class.

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost.set_result(None)
        self._finish(ConnectionError(f"the server hung up ({exc}) after {self._head + self._tail!r}"))

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if not answer.blocks:
            self._head += data
            head, _, data = self._head.partition(b"\r\n\r\n")
            if not data:
                return
            self._read_head(head.lower())
        answer.blocks.append(data)
        answer.times.append(time.perf_counter())
        if not answer.chunked:
            self._length -= len(data)
            if self._length == 0:
                self._finish(None)
            return
        self._tail = (self._tail + data)[-len(LAST_CHUNK) :]
        if self._tail == LAST_CHUNK or (self._mark and answer.body.count(self._mark) >= self._marks):
            self._finish(None)

    def _read_head(self, head: bytes) -> None:
        status, _, fields = head.partition(b"\r\n")
        length = re.search(rb"content-length: (\d+)", fields)
        self._answer.chunked = b"transfer-encoding: chunked" in fields
        self._length = int(length[1]) if length is not None else 0
        if b" 200 " not in status or not (self._answer.chunked or self._length):
            self._finish(ConnectionError(f"no answer: {self._head.decode()}"))

    def _finish(self, error: Exception | None) -> None:
        """Wake whoever asked, unless that happened already."""
        if self._done is None or self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)


async def connect(port: int) -> Connection:
    """Connect to a server on this machine."""
    loop = asyncio.get_running_loop()
    return (await loop.create_connection(Connection, "127.0.0.1", port))[1]


@contextlib.asynccontextmanager
async def connected(port: int, number: int) -> AsyncIterator[list[Connection]]:
    """So many connections, closed at the end."""
    connections = [await connect(port) for _ in range(number)]
    try:
        yield connections
    finally:
        for connection in connections:
            await connection.close()
