"""One writer at a time over a sink, which also knows whether the answer has begun.

The host's path and the timer may both want to write, and an odd host sends several messages at once. Frames are queued
in the moment in which they are numbered, without an await between; whoever writes next takes all that is queued. So
they go out in the order of their numbers, whichever caller is awaited first, and none is lost with a caller that is
cancelled while it waits for its turn. The timer never waits: a ping beside a write that is going out anyway is not
needed, so it asks `busy` first.

A caller that is cancelled in the middle of its own write leaves an answer of which nobody knows how much was sent.
Nothing may follow that, so the client counts as gone: its stream breaks off, which it notices, instead of going on with
a gap.

What is large is written in parts, between which other tasks run: to hand megabytes to a server takes it milliseconds.

The answer begins with the first write. Until then nothing has been sent, and a failure can still be an HTTP error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import anyio
import anyio.lowlevel

from responses_shim.core.response.encoder import Frame
from responses_shim.core.wire.responses import Response
from responses_shim.runtime.interfaces import RawHeaders, Sink

LARGE = 64 * 1024
"""How many bytes of frames are written in one go, if they are not one frame."""


def _nobody() -> None:
    """The `client_gone` of a closed writer: does nothing."""


class Writer:
    """Writes to `sink`. `client_gone` is called when a write raises OSError, or is cancelled before it has ended."""

    def __init__(self, sink: Sink, client_gone: Callable[[], None]) -> None:
        self.headers: RawHeaders = []
        """The headers of the host's answer, once they have come: the answer begins with them."""
        self.begun = False
        """Whether something has been written, so the status of the answer is decided."""
        self.queued: list[Frame] = []
        """The frames of the next write, always in this list: a token appends its frame without a call of ours."""
        self._sink = sink
        self._client_gone = client_gone
        self._writing = False
        self._waiting = 0  # how many wait for the end of the write that is under way
        self._idle: anyio.Event | None = None  # set at that end
        self._comment = False  # whether the next write is to write something even if nothing is queued
        self._response: Response | None = None  # the response, once its last frame is queued
        self._in_middle = False  # the next write is neither the first nor the last

    @property
    def busy(self) -> bool:
        """Whether a write is under way or waits for its turn."""
        return self._writing or self._waiting > 0

    @property
    def pending(self) -> bool:
        """Whether frames are queued, or the end of the answer is."""
        return bool(self.queued) or self._response is not None

    def queue(self, frames: Iterable[Frame], response: Response | None = None) -> None:
        """Queue frames for the next write; with `response` they are the last, and end the answer."""
        self.queued += frames
        if response is not None:
            self._response, self._in_middle = response, False

    @property
    def is_full(self) -> bool:
        """Whether so much is queued that it will be written in parts."""
        return _count_of_part(self.queued) < len(self.queued)

    def discard(self) -> None:
        """Forget what is queued."""
        self.queued.clear()

    async def write(self) -> None:
        """Write what is queued, after the write that is under way, unless another write takes it along.

        Raises OSError if the client is gone.
        """
        if self._writing:
            await self.wait_until_free()
        self._writing = True
        queued = self.queued
        try:
            if self._in_middle and len(queued) == 1:  # a token
                await self._sink.write(queued.pop())
            elif self.pending or self._comment:
                await self._write_any()
        except BaseException as error:
            if isinstance(error, OSError) or not isinstance(error, Exception):
                self._client_gone()
            raise
        finally:
            self._writing = False
            if self._idle is not None:
                self._idle.set()
                self._idle = None

    async def keep_alive(self) -> None:
        """As `write`, but if nothing is queued, something is written that is no event."""
        self._comment = True
        try:
            await self.write()
        finally:
            self._comment = False

    async def _write_any(self) -> None:
        """Write what is queued, be it the beginning of the answer, its end, or much."""
        if not self.begun:
            self.begun = True
            await self._sink.begin(self.headers)
        await self._write_parts()
        response, self._response = self._response, None
        frames = [*self.queued]
        self.queued.clear()
        if response is not None:
            await self._sink.finish(frames, response)
        else:
            self._in_middle = True
            await self._sink.write_all(frames)

    async def _write_parts(self) -> None:
        """Write what is queued in parts, if it is large, and leave the last part in the queue.

        A caller that is cancelled meanwhile leaves the rest there too, for whoever writes next.
        """
        queued = self.queued
        while (count := _count_of_part(queued)) < len(queued):
            part = queued[:count]
            del queued[:count]
            await self._sink.write_all(part)
            await anyio.lowlevel.checkpoint()

    def close(self) -> None:
        """Nothing is written any more, and nobody is to be called."""
        self._client_gone = _nobody

    async def wait_until_free(self) -> None:
        """Wait until no write is under way."""
        while self._writing:
            if self._idle is None:
                self._idle = anyio.Event()
            self._waiting += 1
            try:
                await self._idle.wait()
            finally:
                self._waiting -= 1


def _count_of_part(frames: Sequence[Frame]) -> int:
    """How many of the first frames are written in one go: as many as have no more than `LARGE` bytes, or one."""
    size = 0
    for count, (_, data) in enumerate(frames):
        size += len(data)
        if count and size > LARGE:
            return count
    return len(frames)
