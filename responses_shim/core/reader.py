"""The host's bytes as chunks: what `sse` and `chat` do one after the other, with a short way for the common case."""

from __future__ import annotations

import msgspec

from responses_shim.core.chat import Chunk, ChunkDecoder
from responses_shim.core.sse import SSEDecoder
from responses_shim.errors import UpstreamError

DONE = Chunk()
"""What `[DONE]` is read as: told from other chunks by identity."""

_strict = msgspec.json.Decoder(Chunk).decode


class ChunkReader:
    """Bytes of an event stream in, chunks out, however the bytes are cut. A frame that is no chunk is an error in one.

    Most body messages are one frame, `data: {…}` and a blank line. Such a message need not be searched for line ends:
    the JSON decoder itself says whether there is one object and nothing but white space behind it. If it finds
    anything else (several frames, half of one, `[DONE]`, JSON that is not strict) the long way is taken.
    """

    def __init__(self) -> None:
        self._frames = SSEDecoder()
        self._chunks = ChunkDecoder()
        self.between = True
        """No frame has begun, and no half of a surrogate pair is held."""

    def read(self, data: bytes) -> list[Chunk]:
        if self.between and data[:6] == b"data: ":
            try:
                chunk = _strict(data[6:])
                if chunk.choices is not None:
                    return [chunk]
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass
        chunks = self._chunks_of(self._frames.feed(data))
        self.between = not self._frames.pending and not self._chunks.halves
        return chunks

    def close(self) -> list[Chunk]:
        """What is left when the bytes end: a frame without its blank line."""
        return self._chunks_of(self._frames.close())

    def whole(self, body: bytes) -> list[Chunk]:
        """The JSON answer of a host that was asked to stream and did not."""
        return [*self._chunks_of([body]), DONE]

    def _chunks_of(self, payloads: list[bytes]) -> list[Chunk]:
        return [DONE if payload == b"[DONE]" else self._chunk(payload) for payload in payloads]

    def _chunk(self, payload: bytes) -> Chunk:
        try:
            return self._chunks.decode(payload)
        except UpstreamError as error:
            return Chunk(error={"message": error.message, "code": error.status})
