"""Custom tools: free text in, as the one string of a function."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from responses_shim.core.items.base import Number
from responses_shim.core.tools.base import Form, Function, Item, NamedCallOutput, spaced_json
from responses_shim.core.tools.free_text import FreeText
from responses_shim.core.wire.events import (
    CustomToolCallInputDelta,
    CustomToolCallInputDone,
    Event,
)
from responses_shim.core.wire.requests import CustomTool, GrammarInput
from responses_shim.core.wire.responses import (
    CustomToolCallItem,
    ItemStatus,
)
from responses_shim.core.wire.validation import required_string


class CustomCallOutput(NamedCallOutput):
    """A call of a custom tool: its text without the JSON around it."""

    prefix = "ctc"

    def __init__(
        self, id: str, index: int, number: Number, call_id: str, name: str, namespace: str | UnsetType = UNSET
    ) -> None:
        super().__init__(id, index, number, call_id, name, namespace)
        self._text = FreeText()

    def item(self, status: ItemStatus) -> CustomToolCallItem:
        return CustomToolCallItem(
            id=self.id,
            call_id=self.call_id,
            name=self._name,
            namespace=self._namespace,
            input="".join(self._pieces),
            status=status,
        )

    def arguments(self, delta: str, events: list[Event]) -> None:
        self._say(self._text.feed(delta), events)

    def finish(self, status: ItemStatus, events: list[Event]) -> None:
        self._say(self._text.close(cut=status == "incomplete"), events)
        events.append(CustomToolCallInputDone(self.number(), self.id, self.index, "".join(self._pieces)))

    def _say(self, text: str, events: list[Event]) -> None:
        if text:
            self._pieces.append(text)
            events.append(CustomToolCallInputDelta(self.number(), self.id, self.index, text))


class CustomForm(Form):
    """Free text, as the one string of a function. A grammar is told in words; a regular one also as a `pattern`.

    `strict` has hosts hold the model to the object around the text (vLLM does so only then). Not beside a pattern:
    a host that cannot read that one refuses the request.
    """

    kind = "custom"
    call = "custom_tool_call"
    output = CustomCallOutput

    def offer(self, tool: CustomTool) -> Function:
        text: dict[str, Any] = {"type": "string", "description": "The input of the tool, as plain text."}
        said = [tool.description] if tool.description else []
        if isinstance(tool.format, GrammarInput):
            grammar = tool.format
            named = "Lark grammar" if grammar.syntax == "lark" else "regular expression"
            said.append(f"The input must match this {named}:\n{grammar.definition}")
            if grammar.syntax == "regex":
                bare = grammar.definition.removeprefix("^")
                bare = bare if bare.endswith("\\$") else bare.removesuffix("$")
                text["pattern"] = f"^({bare})$"  # a plain group: not every host knows another
        parameters = {
            "type": "object",
            "properties": {"input": text},
            "required": ["input"],
            "additionalProperties": False,
        }
        described: Function = {"description": "\n\n".join(said)} if said else {}
        strict = {} if "pattern" in text else {"strict": True}
        return {"name": tool.name, **described, "parameters": parameters, **strict}

    def arguments(self, item: Item, path: str) -> str:
        return spaced_json({"input": required_string(item, "input", path)})
