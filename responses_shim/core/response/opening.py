"""The opening of a host's event stream: its bytes before anything of the answer.

Some hosts answer with the status 200, send a role, and only then find out that they cannot answer. Their call can be
made again if nobody has taken those bytes for an answer yet; so they are held until one of the two is there.
"""

from __future__ import annotations

from typing import Any

from responses_shim.core.wire.chat import has_any_answer
from responses_shim.core.wire.chunks import END_OF_STREAM, ChunkReader, UnreadableChunk

MAX_OPENING = 64 * 1024
"""How many bytes are held at most, whatever is in them."""


class Opening:
    """Holds the first bytes of an event stream, until they show an answer, an error or an end.

        feed(b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n')   still undecided
        feed(b'data: {"error":{"message":"busy"}}\n\n')                   no more: `error` is {"message": "busy"}

    What it takes is bounded: more than `MAX_OPENING` bytes are no opening.
    """

    def __init__(self) -> None:
        self.error: Any = None
        """The error, if that came first, as the host sent it: JSON data."""
        self._held = bytearray()
        self._reader: ChunkReader | None = ChunkReader()  # None once they have shown it

    @property
    def undecided(self) -> bool:
        """Whether they have not shown it yet."""
        return self._reader is not None

    def feed(self, data: bytes) -> None:
        """Take the next bytes, cut anywhere."""
        self._held += data
        if self._reader is None:
            return
        for chunk in self._reader.read(data):
            finished = any(choice.finish_reason for choice in chunk.choices or ())
            if has_any_answer(chunk) or finished or chunk is END_OF_STREAM or isinstance(chunk, UnreadableChunk):
                self._reader = None
                return
            if chunk.error is not None:
                self.error, self._reader = chunk.error, None
                return
        if len(self._held) > MAX_OPENING:
            self._reader = None

    def take(self) -> bytes:
        """The bytes that were held. They are held no longer."""
        held, self._held = bytes(self._held), bytearray()
        return held
