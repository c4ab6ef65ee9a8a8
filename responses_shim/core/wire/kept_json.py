"""JSON that is kept for as long as a stream is open, or a response is stored."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

_encode = msgspec.json.Encoder().encode
_COPIED = 64 * 1024  # bytes


def encode_kept(value: object, encode: Callable[[object], bytes] = _encode) -> bytes:
    """The JSON of a value, in no more memory than it has bytes.

    `msgspec` leaves up to half as much memory again behind them. Small ones are copied to be without it; of large ones
    the system has not given that memory yet, and the copy would take more. `encode` writes it.
    """
    data = encode(value)
    return data if len(data) > _COPIED else memoryview(data).tobytes()
