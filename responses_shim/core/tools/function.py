"""Function tools."""

from __future__ import annotations

from responses_shim.core.tools.base import Form, Function, Item, NamedCallOutput
from responses_shim.core.wire.events import (
    Event,
    FunctionCallArgumentsDelta,
    FunctionCallArgumentsDone,
)
from responses_shim.core.wire.requests import FunctionTool
from responses_shim.core.wire.responses import (
    FunctionCallItem,
    ItemStatus,
)
from responses_shim.core.wire.validation import required_string


class FunctionCallOutput(NamedCallOutput):
    """A call of a function tool. The arguments are passed on as they come; nobody here parses them."""

    def item(self, status: ItemStatus) -> FunctionCallItem:
        return FunctionCallItem(
            id=self.id,
            call_id=self.call_id,
            name=self._name,
            namespace=self._namespace,
            arguments="".join(self._pieces),
            status=status,
        )

    def arguments(self, delta: str, events: list[Event]) -> None:
        self._pieces.append(delta)
        events.append(FunctionCallArgumentsDelta(self.number(), self.id, self.index, delta))

    def finish(self, status: ItemStatus, events: list[Event]) -> None:
        value = "".join(self._pieces)
        events.append(FunctionCallArgumentsDone(self.number(), self.id, self.index, value, self._name))


class FunctionForm(Form):
    kind = "function"
    call = "function_call"
    output = FunctionCallOutput

    def offer(self, tool: FunctionTool) -> Function:
        fields = {name: getattr(tool, name) for name in ("name", "description", "parameters", "strict")}
        return {name: value for name, value in fields.items() if value is not None}

    def arguments(self, item: Item, path: str) -> str:
        """As they stand: what a model wrote is shown to it again, whole JSON or not."""
        return required_string(item, "arguments", path)
