"""The events of runs in the background, read from the store once for all who follow a run in this process.

A run may have hundreds of followers. If each of them read the log, each event would be read hundreds of times. So while
a run is followed, one reader in each process reads the new events of its log, and keeps the newest of them, as many as
a window has room for. A follower keeps its position, the number of the last event that it has, and asks for what is
behind it:

    log             0 1 2 3 4 5 6 7 8 9 10 11
    window                        7 8 9 10 11
    follower at 11    waits, with all others who have everything
    follower at 9     gets the end of the window
    follower at 3     reads the log itself, piece by piece, until it has come to the window

**Nobody waits for a follower.** The reader goes on when it has woken those who wait, not when they have sent what they
got. Who takes long to send finds the reader ahead, and gets at once what has come meanwhile, from the window or, if it
is further behind, from the log. Who does not send anything for too long is cut off (`asgi/follow.py`), and so is who
comes back when the log has dropped what it needs. Those who read the log themselves do so a few at a time, so that
hundreds who come at once leave the store to the runs.

**The pace.** Each piece costs each follower a write, and all writes are made on the event loop that the run needs too.
So there is a pause behind each piece, the longer the more followers there are: one of them gets every event by itself,
and five hundred get at once what has come in a tenth of a second. How many of them waited for it does not matter: who
was still sending gets it right afterwards. They are woken a few at a time, and the run gets its turn in between.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import anyio
from msgspec import Struct

from responses_shim.core.wire.sse import sse_framing
from responses_shim.stores.base import READ_ENTRIES, READ_SIZE, Store, StoreUnavailable

RETRY_SECONDS = 1.0
"""How long to wait before a store that was not available is asked again."""
WINDOW = 256 * 1024
"""How many bytes of events are kept of each log that is followed, at most, beside the last one."""
CATCHING_UP = 4
"""How many followers in a process read from the store at once, beside the readers."""
PAUSE = 0.0002
"""For how many seconds the reader pauses for each follower."""
WOKEN_AT_ONCE = 20
"""How many followers are woken before the event loop does something else."""

_TYPE = b'{"type":"'


class Piece(Struct, frozen=True):
    """Events that come one after the other, as frames of an event stream.

    - `frames`: all of them joined; empty if there are none, because nothing has happened for a while
    - `last`: the number of the last one; where there is none, the position that was asked for
    - `first`: the number of the first event that the log still had then
    """

    frames: bytes
    last: int
    first: int = 0


class LiveLog:
    """The log of one run for those who follow it in this process.

    - `silence`: after how many seconds without an event `read` returns an empty piece
    - `catching_up`: lets those through who read the log themselves
    """

    def __init__(self, store: Store, owner: bytes, id: str, silence: float, catching_up: asyncio.Semaphore) -> None:
        self.followers = 0
        self._store = store
        self._catching_up = catching_up
        self._owner = owner
        self._id = id
        self._silence = silence
        self._silences = 0  # how many there have been
        self._window: _Window | None = None
        self._ended = False
        self._waiting: list[anyio.Event] = []
        self._reader: asyncio.Task[None] | None = None

    async def read(self, after: int) -> Piece | None:
        """The events behind number `after`: those that there are, or the next ones to come.

        Nobody else waits for that, and it can be cancelled at any time. None if there are none and the response has
        ended, or is gone. Raises OSError if the log cannot be read any more.
        """
        while True:
            window = self._window
            if window is None or after < window.after:
                try:
                    async with self._catching_up:
                        read = await self._store.read(self._owner, self._id, "events", after=after, wait=0)
                except StoreUnavailable:
                    await anyio.sleep(RETRY_SECONDS)
                    return Piece(b"", after)
                if read is None:
                    return None
                if read.entries or after + 1 < read.first:
                    frames = b"".join([_framed(data) for _, data in read.entries])
                    last = read.entries[-1][0] if read.entries else after
                    if last == read.last and not read.ended:
                        self._start_reader(last)  # if they are many, each finds something new each time
                    return Piece(frames, last, read.first)
                if read.ended:
                    return None
                self._start_reader(read.last)
            elif after < window.last:
                return window.behind(after)
            elif self._ended:
                return None
            else:
                silences = self._silences
                await self._wait()
                if self._silences > silences:
                    return Piece(b"", after)

    async def _wait(self) -> None:
        """Wait until there is another piece, or a silence."""
        if self._reader is None or self._reader.done():
            raise OSError("the log cannot be read")
        woken = anyio.Event()
        self._waiting.append(woken)
        await woken.wait()

    def stop(self) -> None:
        """End the reader: nobody follows the run any more."""
        if self._reader is not None:
            self._reader.cancel()

    # The reader ------------------------------------------------------------------------------------------------------

    def _start_reader(self, last: int) -> None:
        """Have new events read, if that has not begun: those behind number `last`."""
        if self._reader is None:
            self._window = _Window(last)
            self._reader = asyncio.create_task(self._read_on(self._window))

    async def _read_on(self, window: _Window) -> None:
        """Read the log to its end."""
        try:
            while not self._ended:
                try:
                    read = await self._store.read(
                        self._owner, self._id, "events", after=window.last, wait=self._silence
                    )
                except StoreUnavailable:
                    await anyio.sleep(RETRY_SECONDS)
                    self._silences += 1
                else:
                    if read is not None and read.entries:
                        window.append(read.entries, read.first)
                    elif read is None or read.ended:
                        self._ended = True
                    else:
                        self._silences += 1
                await self._wake()
                await asyncio.sleep(PAUSE * self.followers)
        finally:
            for woken in self._waiting:
                woken.set()

    async def _wake(self) -> None:
        """Wake those who wait."""
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), WOKEN_AT_ONCE):
            for woken in waiting[start : start + WOKEN_AT_ONCE]:
                woken.set()
            await asyncio.sleep(0)


class _Window:
    """The newest events of a log, framed once for all who get them: those behind number `after`, up to `last`."""

    def __init__(self, after: int) -> None:
        self.after = self.last = after
        self._numbers: list[int] = []
        self._frames: list[bytes] = []
        self._size = 0
        self._piece: tuple[int, Piece] | None = None  # what was asked for last: hundreds ask for the same

    def append(self, entries: Sequence[tuple[int, bytes]], first: int) -> None:
        """Append the next entries; the log begins with number `first` now. The oldest ones go if there are too many."""
        if first > self.last + 1:  # what lies between has been dropped, and nobody must go on behind it unawares
            self.after, self._numbers, self._frames, self._size = first - 1, [], [], 0
        for number, data in entries:
            self._numbers.append(number)
            self._frames.append(_framed(data))
            self._size += len(self._frames[-1])
        self.last = self._numbers[-1]
        self._piece = None
        dropped = 0
        while self._size > WINDOW and dropped < len(self._frames) - 1:
            self._size -= len(self._frames[dropped])
            dropped += 1
        if dropped:
            self.after = self._numbers[dropped - 1]
            del self._numbers[:dropped], self._frames[:dropped]

    def behind(self, number: int) -> Piece:
        """The next events behind a number from `after` on and below `last`, as many as `Store.read` returns."""
        if self._piece is not None and self._piece[0] == number:
            return self._piece[1]
        start = end = bisect_right(self._numbers, number)
        size = 0
        while end < min(len(self._frames), start + READ_ENTRIES) and size < READ_SIZE:
            size += len(self._frames[end])
            end += 1
        self._piece = number, Piece(b"".join(self._frames[start:end]), self._numbers[end - 1])
        return self._piece[1]


class LiveLogs:
    """The logs that are followed in this process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._catching_up = asyncio.Semaphore(CATCHING_UP)
        self._logs: dict[tuple[bytes, str], LiveLog] = {}

    @contextmanager
    def following(self, owner: bytes, id: str, silence: float) -> Iterator[LiveLog]:
        """The log of a response for one follower; what is kept for it is given up when the last one has left."""
        key = owner, id
        log = self._logs.get(key)
        if log is None:
            log = self._logs[key] = LiveLog(self._store, owner, id, silence, self._catching_up)
        log.followers += 1
        try:
            yield log
        finally:
            log.followers -= 1
            if not log.followers:
                del self._logs[key]
                log.stop()


def _framed(data: bytes) -> bytes:
    """An event of a log as a frame: its JSON begins with its type."""
    before, after = sse_framing(data[len(_TYPE) : data.index(b'"', len(_TYPE))].decode())
    return before + data + after
