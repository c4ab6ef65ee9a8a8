"""One writer at a time over a sink, which also knows whether the answer has begun.

The host's path and the timer may both want to write. Frames are numbered and encoded before that, without an await;
here only the order of the writes is kept. The timer never waits: a ping beside a write that is going out anyway is not
needed, so it asks `busy` first. The host's path waits while the timer is writing.

The answer begins with the first write. Until then nothing has been sent, and a failure can still be an HTTP error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio

from responses_shim.core.response.encoder import Frame
from responses_shim.core.wire.responses import Response
from responses_shim.runtime.interfaces import RawHeaders, Sink


def _nobody() -> None:
    """The `client_gone` of a closed writer: does nothing."""


class Writer:
    """Writes to `sink`. `client_gone` is called when a write says, by OSError, that there is no client any more."""

    def __init__(self, sink: Sink, client_gone: Callable[[], None]) -> None:
        self.headers: RawHeaders = []
        """The headers of the host's answer, once they have come: the answer begins with them."""
        self.begun = False
        """Whether something has been written, so the status of the answer is decided."""
        self._sink = sink
        self._client_gone = client_gone
        self._writing = False
        # Set at the end of the write that `wait_until_free` waits for. One waiter at most: a second one would replace
        # the event of the first, which would then never wake.
        self._idle: anyio.Event | None = None

    @property
    def busy(self) -> bool:
        """Whether a write is under way or waits for its turn."""
        return self._writing or self._idle is not None

    async def write(self, frames: Sequence[Frame], response: Response | None = None) -> None:
        """Write frames, after the write that is under way; with `response` they are the last, and end the answer.

        Without frames, something is written that is no event and keeps the connection alive. Raises OSError if the
        client is gone.
        """
        if self._writing:
            await self.wait_until_free()
        self._writing = True
        try:
            if not self.begun:
                self.begun = True
                await self._sink.begin(self.headers)
            await (self._sink.write(frames) if response is None else self._sink.finish(frames, response))
        except OSError:
            self._client_gone()
            raise
        finally:
            self._writing = False
            if self._idle is not None:
                self._idle.set()

    def close(self) -> None:
        """Nothing is written any more, and nobody is to be called."""
        self._client_gone = _nobody

    async def wait_until_free(self) -> None:
        """Wait until the write that is under way is over.

        No other write may begin meanwhile, because frames already numbered wait here.
        """
        while self._writing:
            self._idle = anyio.Event()
            await self._idle.wait()
        self._idle = None
