"""The short way of a plain text token: from the host's frame to ours without a chunk or an event between.

Almost every frame of an answer says one thing: more text for the part that is open. `PlainText` takes such a frame,
keeps its text for the part, and makes the bytes of its `output_text.delta`, the very bytes that the long way (reader,
state machine, encoder) would make. Whether a frame is plain is left to the JSON decoder, which looks at every key
anyway: the types below fit a plain frame and nothing else. What does not fit goes the long way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct


class _Delta(Struct, gc=False, forbid_unknown_fields=True):
    content: Annotated[str, Meta(min_length=1)]
    role: Any = None
    name: None = None
    refusal: None = None
    reasoning: None = None
    reasoning_content: None = None
    tool_calls: None = None
    tool_call_id: None = None
    function_call: None = None
    annotations: None = None


class _Choice(Struct, gc=False):
    delta: _Delta
    index: Literal[0] = 0
    message: None = None
    finish_reason: None = None


class _Chunk(Struct, gc=False):
    choices: tuple[_Choice]
    usage: None = None
    error: None = None


_decode = msgspec.json.Decoder(_Chunk).decode
_json = msgspec.json.Encoder().encode


PACK_EVERY = 64
"""After so many events the pieces that were kept are joined: a string of its own takes a token ten times its text."""


class PlainText:
    """The short way into one open text part.

    `prefix` are the bytes of its delta frames up to the number; `keep` takes the text, `pack` joins what was kept.
    """

    def __init__(
        self, prefix: bytes, number: Callable[[], int], keep: Callable[[str], None], pack: Callable[[], None]
    ) -> None:
        self._prefix = prefix
        self._number = number
        self._keep = keep
        self._pack = pack

    def frame(self, data: bytes) -> bytes | None:
        """Our frame for one body message of the host; None, and nothing done, if it is not plain."""
        if data[:7] != b"data: {" or data[-3:] != b"}\n\n":
            return None
        try:
            text = _decode(data[6:-2]).choices[0].delta.content
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        self._keep(text)
        number = self._number()
        if not number % PACK_EVERY:
            self._pack()
        return b'%b%d,"delta":%b}\n\n' % (self._prefix, number, _json(text))
