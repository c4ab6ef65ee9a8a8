"""Which call a delta belongs to: the calls of one round, by what the host gives to tell them apart.

Hosts number their calls, or repeat their ids, or give neither and write one call after the other. For example these
three deltas are two calls, the second of which has no index:

    {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}
    {"index": 0, "function": {"arguments": "}"}}
    {"function": {"name": "g", "arguments": "{}"}}
"""

from __future__ import annotations

from responses_shim.core.tools.base import CallBuilder
from responses_shim.core.wire.chat import ToolCallDelta


class PendingCall:
    """One call, as far as the host has written it.

    - `id`: the host's id of the call; None until it gives one
    - `pieces`: arguments that came before the name
    - `builder`: builds the call's item, once the name is known
    - `allowed`: false for a call beyond the one that `parallel_tool_calls: false` allows; it becomes no item
    """

    def __init__(self, *, allowed: bool) -> None:
        self.id: str | None = None
        self.pieces: list[str] = []
        self.builder: CallBuilder | None = None
        self.allowed = allowed


class CallIndex:
    """The calls of one round, in the order in which they began. With `single` only the first is allowed."""

    def __init__(self, *, single: bool) -> None:
        self.latest: PendingCall | None = None
        """The call that the last delta belonged to."""
        self.latest_index: int | None = None
        """The index that the last delta gave."""
        self._single = single
        self._calls: list[PendingCall] = []
        self._by_index: dict[int, PendingCall] = {}

    def find(self, delta: ToolCallDelta, name: str | None) -> PendingCall:
        """The call that a delta belongs to; a new one if it begins one. `name` is the name that the delta gives."""
        call = self._known(delta, name)
        if call is None:
            call = PendingCall(allowed=not (self._single and self._calls))
            self._calls.append(call)
        if delta.index is not None:
            self._by_index[delta.index] = call
        call.id = call.id or delta.id
        self.latest, self.latest_index = call, delta.index
        return call

    def _known(self, delta: ToolCallDelta, name: str | None) -> PendingCall | None:
        """By the index; without one by the id; without either it is the latest, unless a name begins another."""
        if delta.index is not None:
            call = self._by_index.get(delta.index)
            if call is None or not (name and delta.id) or call.id in (None, delta.id):
                return call
            # Another name with another id: hosts exist that give all their calls one index.
        if delta.id:
            return next((call for call in self._calls if call.id == delta.id), None)
        return None if name else self.latest

    def discard(self, call: PendingCall) -> None:
        """Forget a call that becomes no item."""
        self._calls.remove(call)
        self.latest = None

    def nameless(self) -> list[PendingCall]:
        """Calls of which an id or arguments have come, but no name."""
        return [call for call in self._calls if call.builder is None and call.allowed and (call.id or call.pieces)]

    def count_ignored(self) -> int:
        """How many calls were ignored, because only one is allowed."""
        return sum(not call.allowed for call in self._calls)
