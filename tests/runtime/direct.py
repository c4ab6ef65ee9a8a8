"""Drives a run without a server: the test is its host, and sees what its client gets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import anyio
from starlette.types import Message

from responses_shim.asgi.sinks import EventStreamSink, JSONSink
from responses_shim.core.response.filters import Filter
from responses_shim.core.response.options import DEFAULT_OPTIONS, ResponseOptions
from responses_shim.core.response.translator import Translator
from responses_shim.core.wire.responses import Response
from responses_shim.hosts.profile import Chat
from responses_shim.runtime.interfaces import NextRound, last_round
from responses_shim.runtime.run import Run
from responses_shim.settings import Settings
from tests.caller import DEADLINE, parse_events, payloads
from tests.core.driver import Json, new_stream
from tests.oracle import check_stream

PromptTokens = Callable[[Chat], Awaitable["list[int] | None"]]


class Client:
    """The client of a run: it keeps what it is sent, can stop taking it, and can leave."""

    def __init__(self) -> None:
        self.body = b""
        self.left = anyio.Event()
        """Set by the test: the client has left."""
        self._changed = anyio.Event()
        self._may_send = anyio.Event()
        self._may_send.set()
        self._blocked = anyio.Event()

    async def send(self, message: Message) -> None:
        """What the sink sends with, as to a server."""
        if not self._may_send.is_set():
            self._blocked.set()
            await self._may_send.wait()
        self.body += message.get("body", b"")
        self._changed.set()
        self._changed = anyio.Event()

    async def wait_for(self, text: bytes) -> None:
        """Wait until this text has been sent."""
        with anyio.fail_after(DEADLINE):
            while text not in self.body:
                await self._changed.wait()

    def stall(self) -> None:
        """Take no more: the next write blocks."""
        self._may_send, self._blocked = anyio.Event(), anyio.Event()

    async def blocked(self) -> None:
        """Wait until a write is blocked."""
        with anyio.fail_after(DEADLINE):
            await self._blocked.wait()

    def resume(self) -> None:
        """Let the blocked write go on."""
        self._may_send.set()

    @property
    def events(self) -> list[Json]:
        """The events of a complete stream, which is valid."""
        events = payloads(parse_events(self.body))
        check_stream(events)
        return events

    @property
    def response(self) -> Json:
        """The response of the terminal event."""
        response: Json = self.events[-1]["response"]
        return response


def new_run(
    client: Client,
    *,
    stream: bool = True,
    options: ResponseOptions = DEFAULT_OPTIONS,
    filters: Callable[[], Iterable[Filter]] = lambda: (),
    prompt_tokens: PromptTokens | None = None,
    next_round: NextRound = last_round,
    save: Callable[[Response], Awaitable[None]] | None = None,
    **settings: Any,
) -> Run:
    """A run whose events, or whose JSON without `stream`, go to this client."""
    sink = EventStreamSink(client.send, []) if stream else JSONSink(client.send, [])
    return Run(
        Translator(new_stream(options=options), filters=filters, framing=sink.framing),
        sink,
        Settings(**settings),
        disconnected=client.left.wait,
        unfinished_message="The host ended its stream too early.",
        prompt_tokens=prompt_tokens,
        next_round=next_round,
        save=save,
    )
