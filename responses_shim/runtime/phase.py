"""Where a run is between its first call and its end."""

from __future__ import annotations

from enum import Enum, auto


class Phase(Enum):
    """Where a run stands."""

    CALLING = auto()
    """A chat call is being made, and its answer is awaited or comes in."""
    BETWEEN = auto()
    """A round has ended, and another follows."""
    ENDING = auto()
    """A round has ended, and what is to be known before it, or the response, can be closed is awaited."""
    ENDED = auto()
    """The terminal event has been made."""
    ABANDONED = auto()
    """The client is gone: nothing more is made."""
