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
        self._sink = sink
        self._client_gone = client_gone
        self._writing = False
        self._waiting = 0  # how many wait for the end of the write that is under way
        self._idle: anyio.Event | None = None  # set at that end
        self._queue: list[Frame] = []
        self.queue_frame = self._queue.append
        """Queues one frame for the next write. An attribute, since each token passes here."""
        self._response: Response | None = None  # the response, once its last frame is queued
        self._in_middle = False  # the next write is neither the first nor the last

    @property
    def busy(self) -> bool:
        """Whether a write is under way or waits for its turn."""
        return self._writing or self._waiting > 0

    @property
    def pending(self) -> bool:
        """Whether frames are queued, or the end of the answer is."""
        return bool(self._queue) or self._response is not None

    def queue(self, frames: Iterable[Frame], response: Response | None = None) -> None:
        """Queue frames for the next write; with `response` they are the last, and end the answer."""
        self._queue += frames
        if response is not None:
            self._response, self._in_middle = response, False

    @property
    def is_full(self) -> bool:
        """Whether so much is queued that it will be written in parts."""
        return _count_of_part(self._queue) < len(self._queue)

    def discard(self) -> None:
        """Forget what is queued."""
        self._queue.clear()

    async def write(self, *, comment: bool = False) -> None:
        """Write what is queued, after the write that is under way, unless another write takes it along.

        With `comment` and nothing queued, something is written that is no event and keeps the connection alive. Raises
        OSError if the client is gone.
        """
        if self._writing:
            await self.wait_until_free()
        self._writing = True
        queue = self._queue
        try:
            if not self._in_middle:
                await self._begin_or_finish(comment)
            elif queue or comment:
                if len(queue) > 1:
                    await self._write_parts()
                sending = self._sink.write(queue)
                queue.clear()
                await sending
        except BaseException as error:
            if isinstance(error, OSError) or not isinstance(error, Exception):
                self._client_gone()
            raise
        finally:
            self._writing = False
            if self._idle is not None:
                self._idle.set()
                self._idle = None

    async def _begin_or_finish(self, comment: bool) -> None:
        """Write what is queued where that begins the answer, ends it, or both."""
        if not (self.pending or comment):
            return
        if not self.begun:
            self.begun = True
            await self._sink.begin(self.headers)
        await self._write_parts()
        response, self._response = self._response, None
        frames = [*self._queue]
        self._queue.clear()
        if response is not None:
            await self._sink.finish(frames, response)
        else:
            self._in_middle = True
            await self._sink.write(frames)

    async def _write_parts(self) -> None:
        """Write what is queued in parts, if it is large, and leave the last part in the queue.

        A caller that is cancelled meanwhile leaves the rest there too, for whoever writes next.
        """
        queue = self._queue
        while (count := _count_of_part(queue)) < len(queue):
            part = queue[:count]
            del queue[:count]
            await self._sink.write(part)
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
