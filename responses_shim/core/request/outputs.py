"""The calls of a conversation, and which of them each output answers.

An output names its call by `call_id`, and may come anywhere in the input: behind messages of others, or even before its
call. It becomes a tool message of the turn that the call is in.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from responses_shim.core.request.content import Part, content_of
from responses_shim.core.request.options import TranslationOptions
from responses_shim.core.request.turn import AssistantTurn
from responses_shim.core.tools.base import Item, NamedToolKind, ToolKind
from responses_shim.core.wire.large_json import Text, joined
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.validation import quoted, required_string
from responses_shim.errors import InvalidRequest


class Output(Struct):
    """The output of a call.

    - `content`: a text or content parts, which are at `content_path`
    - `path`: the path of its item, which names the call in its field `key`
    - `optional`: the item only looks like an output, so there need be no call
    """

    content: Any
    content_path: str
    path: str
    key: str = "call_id"
    optional: bool = False


class Calls:
    """The calls so far, and the outputs whose call has not come yet."""

    def __init__(self, options: TranslationOptions, report: Report) -> None:
        self._options = options
        self._report = report
        self._turns: dict[str, AssistantTurn] = {}  # by the ids of their calls; of two with one id the later
        self._ids_of_items: dict[str, str] = {}  # the ids of calls by those of their items
        self._unanswered: dict[str, None] = {}
        self._early: dict[str, list[Output]] = {}

    def add(self, call_id: str, turn: AssistantTurn) -> None:
        """Add a call of `turn`, which gets the outputs that came before it."""
        self._turns[call_id] = turn
        early = self._early.pop(call_id, ())
        for output in early:
            try:
                self._add_output(output, call_id, turn)
            except InvalidRequest:
                if not output.optional:
                    raise
                self._report.dropped(output.path)
        if not early:
            self._unanswered[call_id] = None

    def add_item_id(self, item_id: str, call_id: str) -> None:
        """Remember the id of a call's item, by which an output may name the call. The first one of an id counts."""
        self._ids_of_items.setdefault(item_id, call_id)

    def __len__(self) -> int:
        return len(self._turns)

    def turn_of(self, call_id: str) -> AssistantTurn | None:
        """The turn of a call; None if it has not come yet."""
        return self._turns.get(call_id)

    def answered_by(self, item: Item, output: Output, kind: ToolKind) -> str | None:
        """The id of the call that an output of a tool of `kind` answers; None if it names its tool and no call.

        An output that names neither belongs to the call whose item has the same `id` (as a local shell's has), or to
        the only one that still waits for an output. Raises InvalidRequest if it names no call in any way.
        """
        if item.get(output.key) is None:
            own = item.get("id")
            if isinstance(own, str) and (own in self._turns or own in self._ids_of_items):
                return own if own in self._turns else self._ids_of_items[own]
            if isinstance(kind, NamedToolKind) and item.get("name"):
                return None
            if len(self._unanswered) == 1:
                return next(iter(self._unanswered))
        return required_string(item, output.key, output.path)

    def put(self, output: Output, call_id: str) -> None:
        """Put an output behind its call, or keep it until that comes. Raises InvalidRequest that names a wrong part."""
        turn = self._turns.get(call_id)
        if turn is None:
            self._early.setdefault(call_id, []).append(output)
        else:
            self._unanswered.pop(call_id, None)
            self._add_output(output, call_id, turn)

    def close(self) -> None:
        """End the conversation: no more calls come. Raises InvalidRequest for an output whose call is nowhere in it."""
        for call_id, outputs in self._early.items():
            for output in outputs:
                if not output.optional:
                    raise InvalidRequest(
                        f"No tool call found for the output with call_id {quoted(call_id)}.",
                        param=f"{output.path}.{output.key}",
                        code="invalid_value",
                    )
                self._report.dropped(output.path)
        self._turns.clear()

    def _add_output(self, output: Output, call_id: str, turn: AssistantTurn) -> None:
        """Make the tool message. What it cannot hold goes into a user message behind all tool messages of the turn."""
        content = content_of(output.content, output.content_path, self._options, self._report)
        if isinstance(content, list) and self._options.tool_images != "tool":
            heading = {"type": "text", "text": f"Output of the tool call {call_id}:"}
            turn.add_images([heading, *(part for part in content if part["type"] != "text")])
            self._report.mapped(output.content_path)
            content = _text_beside_media(content)
        turn.outputs.append({"role": "tool", "tool_call_id": call_id, "content": content})


def _text_beside_media(parts: list[Part]) -> Text:
    texts = [part["text"] for part in parts if part["type"] == "text"]
    return joined(texts, "\n") or "The output follows in the next message."
