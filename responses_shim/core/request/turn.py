"""One turn of the model as chat messages: the assistant message, then the outputs of its calls, then their images.

Chat completions wants every output directly behind the message with its call. Clients put other items between (a
message of the user's while a tool runs, reasoning between two outputs), so a turn keeps the outputs of its own calls,
wherever they come in the input:

    turn.add_call("a", "f", "{}")          {"role": "assistant", "tool_calls": [{"id": "a", …}, {"id": "b", …}]}
    turn.add_call("b", "g", "{}")          {"role": "tool", "tool_call_id": "b", "content": "5"}
    turn.outputs.append(output_of_b)       {"role": "tool", "tool_call_id": "a", "content": "4"}
    turn.outputs.append(output_of_a)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from responses_shim.core.request.content import Part
from responses_shim.core.request.options import TranslationOptions
from responses_shim.core.wire.large_json import Text, compact, joined

Message = dict[str, Any]


class AssistantTurn:
    """What the model wrote between two messages of others.

    - `fields`: more fields of the assistant message
    - `outputs`: the tool messages that answer its calls, which may come when it has ended
    """

    # There may be thousands, which are kept to the end of the conversation.
    __slots__ = ("_calls", "_images", "_message", "_text_is_last", "_texts", "fields", "outputs")

    def __init__(self) -> None:
        self.fields: Message = {}
        self.outputs: list[Message] = []
        self._images: list[Part] | None = None
        self._message: Message | None = None
        self._texts: list[tuple[bool, str]] = []  # each with whether it is reasoning
        self._calls: list[dict[str, Any]] = []
        self._text_is_last = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to make an assistant message of."""
        return not (self._texts or self._calls or self.fields)

    def add_text(self, text: str) -> None:
        """Add the text of one message. Two messages with nothing of the model's between are set apart by a line."""
        if self._text_is_last:
            self._texts.append((False, "\n\n"))
        self._texts.append((False, text))
        self._text_is_last = True

    def add_reasoning(self, text: str) -> None:
        """Add a reasoning text."""
        self._texts.append((True, text))
        self._text_is_last = False

    def add_call(self, call_id: str, name: str, arguments: Text) -> None:
        """Add a call of the function `name`."""
        self._calls.append({"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}})
        self._text_is_last = False

    def add_images(self, parts: list[Part]) -> None:
        """Add chat parts of a user message behind the outputs, for what a tool message cannot hold."""
        if self._images is None:
            self._images = []
        self._images += parts

    def end(self, options: TranslationOptions) -> None:
        """Make the assistant message: only outputs and images are added from now on."""
        self._message = self._assistant_message(options)
        del self._calls, self._texts, self.fields

    def messages(self) -> Iterator[Message]:
        """The messages of a turn that has ended, in the order that chat completions wants."""
        assert self._message is not None
        yield self._message
        yield from self.outputs
        if self._images is not None:
            yield {"role": "user", "content": self._images}

    def _assistant_message(self, options: TranslationOptions) -> Message:
        message: Message = {"role": "assistant", "content": None}
        if self._texts and options.reasoning_replay == "think":
            texts = [
                part
                for is_reasoning, text in self._texts
                for part in ((options.think_opening, text, "</think>") if is_reasoning else (text,))
            ]
            message["content"] = joined(texts) or None
        elif self._texts:
            message["content"] = joined([text for is_reasoning, text in self._texts if not is_reasoning]) or None
            if reasoning := joined([text for is_reasoning, text in self._texts if is_reasoning], "\n"):
                message["reasoning"] = compact(reasoning)  # some hosts get it under a second name too
        if self._calls:
            message["tool_calls"] = self._calls
        message.update(self.fields)
        return message
