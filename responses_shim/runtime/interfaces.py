"""The two ends of a run: the upstream that it calls, and the sink that its frames go to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import anyio

from responses_shim.core.response.encoder import Frame, Framing
from responses_shim.core.response.stream import RoundResult
from responses_shim.core.wire.responses import Response
from responses_shim.errors import ShimError
from responses_shim.hosts.profile import Chat
from responses_shim.runtime.signal import Signal

RawHeaders = list[tuple[bytes, bytes]]
"""Headers as ASGI has them: pairs of name and value, in order, one name perhaps several times."""


class Sink(Protocol):
    """Where the frames of a run go: an HTTP event stream, a JSON answer, a WebSocket, an event log.

    A frame is the number of an event and its bytes; how the bytes are framed is the sink's choice. Each method makes
    what it sends when it is called; awaiting the result sends it. OSError from that means that the client is gone.
    """

    framing: Framing | None
    """Maps an event type to the bytes before and after the event's JSON.

    None for a sink that takes only the end: its one frame is the JSON of the response.
    """

    def begin(self, headers: RawHeaders) -> Awaitable[None]:
        """The answer begins. `headers` are those of the host's answer, empty if it has not come yet."""
        ...

    def write(self, frame: Frame) -> Awaitable[None]:
        """One frame: a token, as a rule."""
        ...

    def write_all(self, frames: Sequence[Frame]) -> Awaitable[None]:
        """Several frames; without any, something that is no event and keeps the connection alive."""
        ...

    def finish(self, frames: Sequence[Frame], response: Response) -> Awaitable[None]:
        """The last frames, the terminal event at their end, and the response in it."""
        ...


class Listener(Protocol):
    """What an upstream reports to while it answers: its headers, then the bytes of its stream or its JSON."""

    gone: Signal
    """Set once nobody wants the rest of the answer."""
    call: anyio.CancelScope
    """The scope that the upstream makes its call in: cancelled if the call has to end. It may get a deadline too."""
    retries: int
    """How many times a call has been made again."""

    @property
    def time_to_retry(self) -> float:
        """For how many seconds a call of which nothing has come may still be made again; 0 or less for none."""
        ...

    def renew_call(self) -> None:
        """Forget the call that was made, its headers included: there is another `call` for the next one."""
        ...

    def head(self, headers: RawHeaders) -> None:
        """The answer has begun, with these headers, whose names are in lower case."""
        ...

    def data(self, data: bytes, more: bool) -> Awaitable[None]:
        """Bytes of the event stream, cut anywhere, and whether more will come. Raises OSError if nobody wants them."""
        ...

    def json(self, body: bytes) -> Awaitable[None]:
        """The complete answer of a host that was asked to stream and did not."""
        ...


Upstream = Callable[[dict[str, Any], Listener], Awaitable[ShimError | None]]
"""Makes one chat call and reports its answer to the listener; returns why it failed, if it did.

It ends soon once `gone` is set.
"""


NextRound = Callable[[RoundResult], "Callable[[], Awaitable[Chat]] | None"]
"""What follows a round: None if nothing does, else what makes the chat request of the next one.

That may take its time (tools are run, a client is waited for), and raise ShimError to fail the response.
"""


def last_round(result: RoundResult) -> None:
    """The default `next_round`: no round follows."""
