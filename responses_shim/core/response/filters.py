"""What puts a host's chunks right before the state machine sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from responses_shim.core.wire.chat import Chunk


class Mend(Protocol):
    """Puts the chunks of one chat call right. `done` once it will change no more of them."""

    done: bool

    def feed(self, chunk: Chunk) -> Sequence[Chunk]: ...

    def close(self) -> Sequence[Chunk]:
        """What was held back, when the call is over."""
        ...
