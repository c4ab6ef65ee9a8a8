"""The two ends of a run: where its events go, and where the host's words come from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import anyio

from responses_shim.core.wire.events import Event
from responses_shim.errors import ShimError

Headers = list[tuple[bytes, bytes]]


class Sink(Protocol):
    """Where the events of a run go. `streams` is False for one that writes nothing before the end.

    Each method makes its bytes when it is called; awaiting what it returns sends them. OSError from that says that
    the client is gone.
    """

    streams: bool

    def begin(self, headers: Headers) -> Awaitable[None]:
        """The answer begins; `headers` are those of the host's answer, if it has come."""
        ...

    def write(self, events: list[Event]) -> Awaitable[None]:
        """Some events; none at all stands for something that is no event and keeps the connection alive."""
        ...

    def pass_on(self, frame: bytes) -> Awaitable[None]:
        """One event that is a frame already."""
        ...

    def finish(self, events: list[Event]) -> Awaitable[None]:
        """The last events, the terminal one at their end."""
        ...


class Listener(Protocol):
    """What an upstream tells while it answers: its headers, then the bytes of its stream, or a whole answer."""

    gone: anyio.Event

    def head(self, headers: Headers) -> None: ...

    def data(self, data: bytes, more: bool) -> Awaitable[None]: ...

    def whole(self, body: bytes) -> Awaitable[None]: ...


Upstream = Callable[[dict[str, Any], Listener], Awaitable[ShimError | None]]
"""Make one chat call and tell the listener; return why it failed, if it did. It ends soon once `gone` is set."""
