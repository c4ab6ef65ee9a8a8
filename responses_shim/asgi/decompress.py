"""The codings of a request body (Content-Encoding, RFC 9110 §8.4), undone as the body arrives.

Codex sends zstd when it is logged in; gzip and deflate come from proxies and browsers. What a few bytes may grow to
is up to whoever sent them, so the work goes in steps: one takes in and gives out no more than a fixed number of
bytes, and what has come out is counted against the limit after each.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from anyio import to_thread

from responses_shim.errors import InvalidRequest

MAX_CODINGS = 4
# A file may consist of several, one after another; each costs some microseconds even if there is nothing in it.
MAX_MEMBERS = 10_000
# 2^23 = 8 MiB is what a zstd body may ask its reader to hold (RFC 9659), whatever our own limit.
WINDOW_LOG = 23

# Bytes that go into a step and come out of it. The input is short because what a step leaves of it is copied.
STEP_IN = 16 * 1024
STEP_OUT = 64 * 1024
# A step takes up to 0.15 ms (gzip), a worker thread 0.1 ms to reach: beyond half a millisecond it is worth it.
STEPS_INLINE = 4


class Decompressor(Protocol):
    """What `zlib` and `compression.zstd` have in common: one member of a gzip file, one frame of zstd."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


@dataclass(frozen=True)
class Coding:
    """`start` makes a decompressor for data that begins with the given bytes; `error` is what it raises."""

    name: str
    start: Callable[[bytes], Decompressor]
    error: type[Exception]
    members: int = 1


def _deflate(data: bytes) -> Decompressor:
    """Deflate is zlib's format. Some send it without zlib's frame, whose first byte ends in 8; theirs never does."""
    return zlib.decompressobj(zlib.MAX_WBITS if data[0] & 15 == 8 else -zlib.MAX_WBITS)


GZIP = Coding("gzip", lambda _: zlib.decompressobj(16 + zlib.MAX_WBITS), zlib.error, MAX_MEMBERS)
DEFLATE = Coding("deflate", _deflate, zlib.error)


def zstd() -> Coding | None:
    """None where the interpreter is older than 3.14 and the extra `zstd` is not installed."""
    try:
        if sys.version_info >= (3, 14):
            from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
        else:
            from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
    except ImportError:
        return None
    options: dict[int, int] = {DecompressionParameter.window_log_max: WINDOW_LOG}
    return Coding("zstd", lambda _: ZstdDecompressor(options=options), ZstdError, MAX_MEMBERS)


def read_codings(value: str) -> list[Coding]:
    """The codings that a Content-Encoding header names, in the order in which they were applied.

    Raises InvalidRequest: 415 for a coding that is not supported, with the supported ones in Accept-Encoding, as
    RFC 9110 §12.5.3 asks for.
    """
    names = [name for name in (word.strip().lower() for word in value.split(",")) if name not in ("", "identity")]
    if len(names) > MAX_CODINGS:
        raise _unsupported(f"Content-Encoding names {len(names)} codings, at most {MAX_CODINGS} are undone")
    return [_coding(name) for name in names]


def _coding(name: str) -> Coding:
    known = {"gzip": GZIP, "x-gzip": GZIP, "deflate": DEFLATE, "zstd": zstd() if name == "zstd" else None}
    if coding := known.get(name):
        return coding
    why = "needs an extra on this server (pip install 'responses-shim[zstd]')" if name == "zstd" else "is not supported"
    raise _unsupported(f"Content-Encoding {name[:40]!r} {why}")


def _unsupported(what: str) -> InvalidRequest:
    supported = ", ".join(coding.name for coding in (GZIP, DEFLATE, zstd()) if coding)
    return InvalidRequest(
        f"{what}. Supported are: {supported}; or send the body as it is.",
        status=415,
        code="unsupported_content_encoding",
        headers=[("accept-encoding", supported)],
    )


def too_large(limit: int) -> InvalidRequest:
    return InvalidRequest(
        f"The request body is larger than the {limit} bytes allowed here.",
        status=413,
        code="request_too_large",
    )


class Unpacked:
    """A body with its codings undone: `feed` every part, then `end`; it is in `data`.

    Both raise InvalidRequest: 413 for more than `limit` bytes, of the body or of what lies between two codings; 400
    for what is not in the coding it is said to be in.
    """

    def __init__(self, codings: Sequence[Coding], limit: int) -> None:
        self.data = bytearray()
        self._layers = [_Layer(coding, limit) for coding in reversed(codings)]

    async def feed(self, part: bytes) -> None:
        steps: Iterator[bytes] = iter((part,))
        for layer in self._layers:
            steps = layer.undo(steps)
        if self._take(islice(steps, STEPS_INLINE)) == STEPS_INLINE:
            await to_thread.run_sync(self._take, steps)

    def _take(self, steps: Iterable[bytes]) -> int:
        count = 0
        for piece in steps:
            self.data += piece
            count += 1
        return count

    def end(self) -> None:
        for layer in self._layers:
            layer.end()


class _Layer:
    """One coding of one body."""

    def __init__(self, coding: Coding, limit: int) -> None:
        self._coding = coding
        self._limit = limit
        self._size = 0
        self._members = 0
        self._current: Decompressor | None = None

    def undo(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """What the pieces unpack to, a step at a time; a step may give nothing."""
        for piece in pieces:
            if not piece:
                yield piece  # a step of the layer above, and one here
            for at in range(0, len(piece), STEP_IN):
                yield from self._steps(piece[at : at + STEP_IN])

    def _steps(self, data: bytes) -> Iterator[bytes]:
        full = False
        while data or full:
            current = self._current = self._current or self._start(data)
            try:
                piece = current.decompress(data, STEP_OUT)
            except self._coding.error as error:
                raise self._invalid(str(error)) from None
            self._size += len(piece)
            if self._size > self._limit:
                raise too_large(self._limit)
            yield piece
            if current.eof:
                self._current, data, full = None, current.unused_data, False
            else:  # zlib hands back what it did not get to; zstd keeps it
                data, full = getattr(current, "unconsumed_tail", b""), len(piece) == STEP_OUT

    def _start(self, data: bytes) -> Decompressor:
        self._members += 1
        if self._members > self._coding.members:
            raise self._invalid("there is more after its end" if self._members == 2 else "it is in too many pieces")
        return self._coding.start(data)

    def end(self) -> None:
        if self._current is not None or not self._members:
            raise self._invalid("it ends too early")

    def _invalid(self, why: str) -> InvalidRequest:
        where = f", member {self._members}" if 1 < self._members <= self._coding.members else ""
        return InvalidRequest(
            f"The request body is not valid {self._coding.name}{where}: {why}.", code="invalid_content_encoding"
        )
