"""The calls of one round, told apart by what the host gives: an index, an id, a name, or nothing but their order."""

from __future__ import annotations

from responses_shim.core.tools.base import CallBuilder
from responses_shim.core.wire.chat import ToolCallDelta


class HostCall:
    """One call, as far as the host has told of it. `output` is what it has become, once its name has come.

    `id` is None until the host gives one, `pieces` are arguments that came before the name. A call that is not
    `wanted` becomes nothing.
    """

    def __init__(self, *, wanted: bool) -> None:
        self.id: str | None = None
        self.pieces: list[str] = []
        self.output: CallBuilder | None = None
        self.wanted = wanted


class HostCalls:
    """`single`: only the first call of the round is wanted."""

    def __init__(self, *, single: bool) -> None:
        self._single = single
        self._calls: list[HostCall] = []
        self._at: dict[int, HostCall] = {}
        self._latest: HostCall | None = None

    def of(self, delta: ToolCallDelta, name: str | None) -> HostCall:
        """The call that a delta belongs to, `name` being what it says of that; a new one if it begins one."""
        call = self._known(delta, name)
        if call is None:
            call = HostCall(wanted=not (self._single and self._calls))
            self._calls.append(call)
        if delta.index is not None:
            self._at[delta.index] = call
        call.id = call.id or delta.id
        self._latest = call
        return call

    def _known(self, delta: ToolCallDelta, name: str | None) -> HostCall | None:
        """By the index; without one by the id; without either it is the latest, unless a name begins another."""
        if delta.index is not None:
            call = self._at.get(delta.index)
            if call is None or not (name and delta.id) or call.id in (None, delta.id):
                return call
            # Another name with another id: hosts exist that give all their calls one index.
        if delta.id:
            return next((call for call in self._calls if call.id == delta.id), None)
        return None if name else self._latest

    def forget(self, call: HostCall) -> None:
        self._calls.remove(call)

    def nameless(self) -> list[HostCall]:
        """Calls of which something has come, and no name."""
        return [call for call in self._calls if call.output is None and call.wanted and (call.id or call.pieces)]

    def ignored(self) -> int:
        return sum(not call.wanted for call in self._calls)
