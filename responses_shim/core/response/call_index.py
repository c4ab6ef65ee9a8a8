"""Which call a delta belongs to: the calls of one round, by what the host gives to tell them apart.

Hosts number their calls, or repeat their ids, or give neither and write one call after the other. Some give all calls
one index, or one id; some repeat the name with every piece, or write it in pieces. What decides then is whether the
arguments of the call so far are complete: a name after complete arguments begins another call, a name before that
belongs to the call that is being written. For example these are two calls, both of index 0 and without an id:

    {"index": 0, "function": {"name": "f", "arguments": "{\\"a\\":"}}
    {"index": 0, "function": {"name": "f", "arguments": " 1}"}}
    {"index": 0, "function": {"name": "f", "arguments": "{}"}}
"""

from __future__ import annotations

from responses_shim.core.tools.base import CallBuilder
from responses_shim.core.wire.chat import ToolCallDelta
from responses_shim.core.wire.json_end import JSONEnd


class PendingCall:
    """One call, as far as the host has written it.

    - `id`: the host's id of the call; None until it gives one
    - `index`: the host's index of the call; None if it gives none
    - `name`: as much of its name as has come
    - `pieces`: arguments that came before its item was opened
    - `builder`: builds the call's item, once that is open
    - `queued`: its item will be opened when its turn comes
    - `allowed`: false for a call beyond the one that `parallel_tool_calls: false` allows; it becomes no item
    """

    def __init__(self, index: int | None, *, allowed: bool) -> None:
        self.id: str | None = None
        self.index = index
        self.name = ""
        self.pieces: list[str] = []
        self.builder: CallBuilder | None = None
        self.queued = False
        self.allowed = allowed
        self._end = JSONEnd()  # of the pieces
        self._size = 0  # of the pieces, in characters

    def keep(self, arguments: str) -> None:
        """Keep a piece of the arguments until the item is open."""
        self.pieces.append(arguments)
        self._size += len(arguments)
        self._end.feed(arguments)

    @property
    def complete(self) -> bool:
        """Whether the arguments are a complete JSON value."""
        return self.builder.complete if self.builder is not None else self._end.complete

    @property
    def has_arguments(self) -> bool:
        """Whether a piece of the arguments has come."""
        return bool(self.pieces or (self.builder is not None and self.builder.text))

    def repeats(self, delta: ToolCallDelta) -> bool:
        """Whether a delta adds nothing to the complete call: some hosts send it once more after its pieces."""
        arguments = (delta.function.arguments if delta.function else None) or ""
        if not arguments.strip():
            return True
        if self.builder is not None:
            return self.builder.repeated_by(arguments)
        return len(arguments) == self._size and "".join(self.pieces) == arguments


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
        self._by_id: dict[str, PendingCall] = {}

    def find(self, delta: ToolCallDelta, name: str | None) -> PendingCall:
        """The call that a delta belongs to; a new one if it begins one. `name` is the name that the delta gives."""
        known = self._known(delta)
        call = known if known is not None and not self._begins_another(known, delta, name) else None
        if call is None:
            call = PendingCall(delta.index, allowed=not (self._single and self._calls))
            self._calls.append(call)
        if call.id is None and delta.id and delta.id not in self._by_id:
            call.id = delta.id
            self._by_id[delta.id] = call
        if delta.index is not None:
            self._by_index[delta.index] = call
        self.latest, self.latest_index = call, delta.index
        return call

    def _known(self, delta: ToolCallDelta) -> PendingCall | None:
        """By the index, and the id where calls share an index; without either, or with a new id only, the latest."""
        by_id = self._by_id.get(delta.id) if delta.id else None
        if delta.index is None:
            return by_id or self.latest
        by_index = self._by_index.get(delta.index)
        if by_id is not None and by_id.index == delta.index and not by_id.complete:
            return by_id
        return by_index

    def _begins_another(self, call: PendingCall, delta: ToolCallDelta, name: str | None) -> bool:
        """Whether a delta begins a call of its own, though by index or id it would belong to `call`."""
        other_id = bool(delta.id) and call.id is not None and delta.id != call.id
        if not name:
            return other_id and delta.index is None
        if not call.name:
            return other_id
        if call.complete:
            identified = delta.index is not None or (bool(delta.id) and delta.id == call.id)
            return other_id or name != call.name or not (identified and call.repeats(delta))
        if not call.has_arguments:
            # Another name with another id is another call. Without one it is more of the name, or the name again.
            return other_id and (delta.index is None or name != call.name)
        return name != call.name

    def discard(self, call: PendingCall) -> None:
        """Forget a call that becomes no item."""
        self._calls.remove(call)
        self.latest = None

    def unopened(self) -> list[PendingCall]:
        """Calls of which something has come, and that have no item and wait for none: their name never came."""
        return [
            call
            for call in self._calls
            if call.builder is None and not call.queued and call.allowed and (call.id or call.name or call.pieces)
        ]

    def count_ignored(self) -> int:
        """How many calls were ignored, because only one is allowed."""
        return sum(not call.allowed for call in self._calls)
