"""Custom tools: called with free text, which a chat host is offered as a function of one string."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from responses_shim.core.items.base import Numbers, encode_text
from responses_shim.core.tools.arguments import write_arguments
from responses_shim.core.tools.base import (
    Declaration,
    Function,
    Item,
    NamedCallBuilder,
    NamedToolKind,
    Tool,
    for_programs_only,
)
from responses_shim.core.tools.free_text import FreeText
from responses_shim.core.wire.events import CustomToolCallInputDelta, CustomToolCallInputDone, Event
from responses_shim.core.wire.large_json import Text, joined
from responses_shim.core.wire.requests import CustomTool, GrammarInput
from responses_shim.core.wire.responses import CustomToolCallItem, ItemStatus
from responses_shim.core.wire.validation import convert, missing, required_string

MAX_PATTERN = 64 * 1024
"""The longest regular expression that a host is given to enforce, in characters. A longer one is only described."""


class CustomCallBuilder(NamedCallBuilder):
    """A call of a custom tool: its text, without the JSON that the host wraps it in."""

    prefix = "ctc"
    unwraps = True

    def __init__(
        self, id: str, index: int, numbers: Numbers, call_id: str, name: str, namespace: str | UnsetType = UNSET
    ) -> None:
        super().__init__(id, index, numbers, call_id, name, namespace)
        self._text = FreeText()

    def item(self, status: ItemStatus) -> CustomToolCallItem:
        return CustomToolCallItem(
            id=self.id,
            call_id=self.call_id,
            name=self._name,
            namespace=self._namespace,
            input=self.value,
            status=status,
        )

    def add_arguments(self, delta: str, events: list[Event]) -> None:
        self._add(self._text.feed(delta), events)

    def finish(self, status: ItemStatus, events: list[Event]) -> None:
        self._add(self._text.close(cut=status == "incomplete"), events)
        events.append(CustomToolCallInputDone(next(self.numbers), self.id, self.index, self.value))

    @property
    def complete(self) -> bool:
        return self._text.complete

    def follow(self) -> None:
        """Do nothing: the text is not the arguments, of which `FreeText` knows where they end."""

    def repeated_by(self, arguments: str) -> bool:
        if self._text.of_another_shape:
            return self._text.held_equals(arguments)
        other = FreeText()
        return encode_text(other.feed(arguments) + other.close(cut=False)) == self.text

    def next_delta(self) -> CustomToolCallInputDelta | None:
        return CustomToolCallInputDelta(0, self.id, self.index, "") if self._text.in_string else None

    def _add(self, text: str, events: list[Event]) -> None:
        if text:
            self.add(text)
            events.append(CustomToolCallInputDelta(next(self.numbers), self.id, self.index, text))


class CustomKind(NamedToolKind):
    """A tool that takes free text, which a grammar may limit. Chat completions has no grammars.

    So a grammar is described to the model in words, and one that is a regular expression is also the `pattern` of the
    string. Without a pattern the function is `strict`, so that vLLM holds the model to the object around the text;
    with one it is not, for a host that cannot read the pattern of a strict function refuses the request.
    """

    tool_type = "custom"
    call_type = "custom_tool_call"
    output_type = "custom_tool_call_output"
    builder = CustomCallBuilder

    def read_declaration(self, tool: Tool, path: str) -> Declaration:
        declared: CustomTool = convert(tool, CustomTool, path)
        if not declared.name:
            raise missing(f"{path}.name")
        return Declaration(_function(declared), not for_programs_only(tool), bool(declared.defer_loading))

    def past_arguments(self, item: Item, path: str) -> Text:
        return write_arguments({"input": required_string(item, "input", path)})


def _function(tool: CustomTool) -> Function:
    text: dict[str, Any] = {"type": "string", "description": "The input of the tool, as plain text."}
    description: list[Text] = [tool.description] if tool.description else []
    if isinstance(tool.format, GrammarInput):
        grammar = tool.format
        language = "Lark grammar" if grammar.syntax == "lark" else "regular expression"
        description.append(joined([f"The input must match this {language}:\n", grammar.definition]))
        if grammar.syntax == "regex" and len(grammar.definition) <= MAX_PATTERN:
            text["pattern"] = _anchored(grammar.definition)
    parameters = {"type": "object", "properties": {"input": text}, "required": ["input"], "additionalProperties": False}
    function: Function = {"name": tool.name}
    if description:
        function["description"] = joined(description, "\n\n")
    function["parameters"] = parameters
    if "pattern" not in text:
        function["strict"] = True
    return function


def _anchored(expression: str) -> str:
    """An expression that matches the entire string: JSON Schema's `pattern` is content with a part of it."""
    bare = expression.removeprefix("^")
    bare = bare if bare.endswith("\\$") else bare.removesuffix("$")
    return f"^({bare})$"  # a plain group: not every host knows another
