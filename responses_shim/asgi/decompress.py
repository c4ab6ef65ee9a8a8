"""Undo the coding of a request body (Content-Encoding, RFC 9110 §8.4) as the body arrives.

Codex sends zstd when it is logged in; gzip and deflate come from proxies and browsers. A few bytes may decompress to
gigabytes, so the work is done in steps: each takes in and gives out no more than a fixed number of bytes, and after
each the size so far is compared with the limit.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Protocol

from responses_shim.errors import InvalidRequest
from responses_shim.runtime.offload import offload

MAX_MEMBERS = 10_000
"""How many compressed parts one body may consist of, one after another: each costs microseconds, even an empty one."""
WINDOW_LOG = 23
"""The largest window that a zstd body may need, as a power of two: 8 MiB (RFC 9659), whatever the limit of the body."""

STEP_IN = 16 * 1024
"""The most bytes that go into one step. Few, because what a step leaves over is copied."""
STEP_OUT = 64 * 1024
"""The most bytes that come out of one step."""
INLINE_STEPS = 4
"""How many steps are done in the event loop; the rest goes to a worker thread.

A step takes up to 0.15 ms (gzip), and a thread 0.1 ms to reach: it is worth it beyond half a millisecond.
"""


class Decompressor(Protocol):
    """The interface that the decompressors of `zlib` and `compression.zstd` share. Each undoes one member.

    A member is one compressed part: a gzip member, a zstd frame, a complete deflate body.
    """

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


@dataclass(frozen=True)
class Coding:
    """One content coding.

    - `start`: makes a decompressor for a member that begins with the given bytes (at least one)
    - `error`: what that raises for invalid data
    - `members`: how many members a body may have
    """

    name: str
    start: Callable[[bytes], Decompressor]
    error: type[Exception]
    members: int = 1


def _deflate(data: bytes) -> Decompressor:
    """A decompressor for `deflate`, which is the zlib format, or for the raw format that some senders take it for.

    The first byte tells them apart: in the zlib format its lower half is 8, in the raw format it never is.
    """
    return zlib.decompressobj(zlib.MAX_WBITS if data[0] & 15 == 8 else -zlib.MAX_WBITS)


GZIP = Coding("gzip", lambda _: zlib.decompressobj(16 + zlib.MAX_WBITS), zlib.error, MAX_MEMBERS)
DEFLATE = Coding("deflate", _deflate, zlib.error)


def zstd() -> Coding | None:
    """The coding zstd; None below Python 3.14 if the extra `zstd` is not installed."""
    try:
        if sys.version_info >= (3, 14):
            from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
        else:
            from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
    except ImportError:
        return None
    options: dict[int, int] = {DecompressionParameter.window_log_max: WINDOW_LOG}
    return Coding("zstd", lambda _: ZstdDecompressor(options=options), ZstdError, MAX_MEMBERS)


def read_coding(value: str) -> Coding | None:
    """The coding in the value of a Content-Encoding header; None if there is none.

    Raises InvalidRequest with status 415 for a coding that is not supported, and for several, one inside the other:
    nobody needs that but who wants 30 MB unpacked from 360 bytes. The error has the supported codings in an
    Accept-Encoding header, as RFC 9110 §12.5.3 asks.
    """
    names = [name for name in (word.strip().lower() for word in value.split(",")) if name not in ("", "identity")]
    if len(names) > 1:
        raise _unsupported(f"Content-Encoding names {len(names)} codings, and one is allowed")
    return _coding(names[0]) if names else None


def _coding(name: str) -> Coding:
    known = {"gzip": GZIP, "x-gzip": GZIP, "deflate": DEFLATE, "zstd": zstd() if name == "zstd" else None}
    if coding := known.get(name):
        return coding
    reason = "is not supported"
    if name == "zstd":
        reason = "needs an extra on this server (pip install 'responses-shim[zstd]')"
    raise _unsupported(f"Content-Encoding {name[:40]!r} {reason}")


def _unsupported(what: str) -> InvalidRequest:
    supported = ", ".join(coding.name for coding in (GZIP, DEFLATE, zstd()) if coding)
    return InvalidRequest(
        f"{what}. Supported are: {supported}; or send the body uncompressed.",
        status=415,
        code="unsupported_content_encoding",
        headers=[("accept-encoding", supported)],
    )


def too_large(limit: int) -> InvalidRequest:
    """The error for a body of more than `limit` bytes."""
    return InvalidRequest(
        f"The request body is larger than the {limit} bytes allowed here.",
        status=413,
        code="request_too_large",
    )


class DecompressedBody:
    """A body with its coding undone: `feed` it every part of the request body, then call `end`; `data` is the result.

    Without a coding the body stays as it is. `feed` and `end` raise InvalidRequest: 413 if there are more than `limit`
    bytes; 400 for bytes that are not in the coding that they should be in.
    """

    def __init__(self, coding: Coding | None, limit: int) -> None:
        self.data = bytearray()
        self._coding = coding
        self._limit = limit
        self._members = 0
        self._current: Decompressor | None = None

    async def feed(self, part: bytes) -> None:
        """Decompress the next part of the body; in a worker thread from the fifth step on."""
        if self._coding is None:
            self._append((part,))
            return
        pieces = self._decompress(part, self._coding)
        if self._append(islice(pieces, INLINE_STEPS)) == INLINE_STEPS:
            await offload(partial(self._append, pieces))

    def _append(self, pieces: Iterable[bytes]) -> int:
        """Append the pieces, which are decompressed as they are asked for, and return how many there were."""
        count = 0
        for piece in pieces:
            if len(self.data) + len(piece) > self._limit:
                raise too_large(self._limit)
            self.data += piece
            count += 1
        return count

    def _decompress(self, part: bytes, coding: Coding) -> Iterator[bytes]:
        """The decompressed bytes of a part, one piece for each step; a piece may be empty."""
        for start in range(0, len(part), STEP_IN):
            yield from self._steps(part[start : start + STEP_IN], coding)

    def _steps(self, data: bytes, coding: Coding) -> Iterator[bytes]:
        more_output = False  # the last step filled its output, so the decompressor may hold more
        while data or more_output:
            current = self._current = self._current or self._start(data, coding)
            try:
                piece = current.decompress(data, STEP_OUT)
            except coding.error as error:
                raise self._invalid(coding, str(error)) from None
            yield piece
            if current.eof:
                self._current, data, more_output = None, current.unused_data, False
            else:  # zlib hands back the input that it has not read yet; zstd keeps it
                data, more_output = getattr(current, "unconsumed_tail", b""), len(piece) == STEP_OUT

    def _start(self, data: bytes, coding: Coding) -> Decompressor:
        """The decompressor for the next member, which begins with `data`."""
        self._members += 1
        if self._members > coding.members:
            reason = "there is more after its end" if self._members == 2 else "it has too many members"
            raise self._invalid(coding, reason)
        return coding.start(data)

    def end(self) -> None:
        """Check that the body is complete."""
        if self._coding is not None and (self._current is not None or not self._members):
            raise self._invalid(self._coding, "it ends too early")

    def _invalid(self, coding: Coding, reason: str) -> InvalidRequest:
        where = f", member {self._members}" if 1 < self._members <= coding.members else ""
        return InvalidRequest(
            f"The request body is not valid {coding.name}{where}: {reason}.", code="invalid_content_encoding"
        )
