"""Input items as chat messages.

The Responses API has an item for every message, reasoning and call; chat completions has messages. Chat templates agree
on one order of them: a system message first, then user, assistant and tool messages. So

- all system text (`instructions`, system and developer messages, wherever they are) goes into the leading message
- what the model wrote in one turn (reasoning, text, calls) goes into one assistant message

    instructions: "Be brief."                             {"role": "system", "content": "Be brief.\\n\\nUse metres."}
    {"role": "user", "content": "How high is it?"}        {"role": "user", "content": "How high is it?"}
    {"type": "reasoning", "content": "Look it up."}       {"role": "assistant", "content": "One moment.",
    {"role": "assistant", "content": "One moment."}        "reasoning": "Look it up.",
    {"type": "function_call", "call_id": "a", …}           "tool_calls": [{"id": "a", …}]}
    {"type": "function_call_output", "call_id": "a",      {"role": "tool", "tool_call_id": "a", "content": "8,849 m"}
     "output": "8,849 m"}
    {"role": "developer", "content": "Use metres."}

The same items always give the same messages, and more items only add messages at the end; so from turn to turn the
host finds the beginning of its prompt in its cache. (A developer message changes the leading one, unless
`TranslationOptions.system_messages` keeps it where it is.)

Each type of item is in one of four tables. A type in `READ_ITEMS` or of a call (`ToolKinds.by_call_type`) becomes part
of a message, or declares tools; one in `SKIPPED_ITEMS` is left out and reported; one in `REFUSED_ITEMS` is a 400 that
says what to do instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from responses_shim.core.request.content import Part, joined_text, parts_of, text_of, texts_of, user_content
from responses_shim.core.request.options import TranslationOptions
from responses_shim.core.tools import hosted
from responses_shim.core.tools.base import Tool, ToolIdentity, ToolKind
from responses_shim.core.tools.kinds import FUNCTION, KINDS
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.tokens import Tokens
from responses_shim.core.wire.validation import (
    bad_value,
    check_depth,
    convert,
    missing,
    quoted,
    required_string,
    unsupported,
    wrong_type,
)
from responses_shim.errors import InvalidRequest

Item = dict[str, Any]
Message = dict[str, Any]
Located = tuple[Item, str]
"""An item and its path in the request."""

READ_ITEMS = frozenset({"message", "reasoning", "additional_tools", *KINDS.by_output_type})
"""Types of items that become part of a message, or declare tools. The types of calls are in `KINDS.by_call_type`."""
SKIPPED_ITEMS = hosted.SKIPPED_ITEMS | {"compaction"}
"""Types of items that are left out and reported."""
REFUSED_ITEMS = {
    **hosted.REFUSED_ITEMS,
    "compaction_trigger": "there is no compaction here; summarise in a message.",
    "configuration_update": "the configuration cannot change between items; use 'reasoning' and 'text'.",
    "item_reference": "items are not stored here; send the item itself.",
}
"""Types of items that this server cannot honour, and why. Skipping them would change the answer."""

_DECLARE_TOOLS = ("additional_tools", "tool_search_output")
_ROLES = ["user", "assistant", "system", "developer", "tool"]


def located(items: str | Sequence[Item], history: Sequence[Item] = ()) -> list[Located]:
    """The history and the input as one list of items with their paths: `history[0]` and so on, `input[0]` and so on.

    An input that is a string is a user message. The history is for stored conversations.
    """
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    before = [(item, f"history[{index}]") for index, item in enumerate(history)]
    return before + [(item, f"input[{index}]") for index, item in enumerate(items)]


def declared_tools(items: Iterable[Located]) -> list[tuple[Tool, str]]:
    """The tools that items declare, with their paths: Codex's `additional_tools`, and what a tool search has found.

    Raises InvalidRequest that names `tools` of an item, or an entry, if it is not an array of objects.
    """
    found = []
    for item, path in items:
        if item.get("type") in _DECLARE_TOOLS:
            tools = item.get("tools")
            if not isinstance(tools, list):
                raise missing(f"{path}.tools") if tools is None else wrong_type(f"{path}.tools", "an array of tools")
            for index, tool in enumerate(tools):
                if not isinstance(tool, dict):
                    raise wrong_type(f"{path}.tools[{index}]", "an object")
                found.append((tool, f"{path}.tools[{index}]"))
    return found


def current_turn(items: Sequence[Located]) -> int:
    """The index of the last user message, with which the current turn begins; 0 if there is none."""
    users = (index for index in reversed(range(len(items))) if items[index][0].get("role") == "user")
    return next(users, 0)


def to_messages(
    instructions: str | None,
    items: Sequence[Located],
    tools: ToolMap,
    report: Report,
    options: TranslationOptions,
    *,
    last_instruction: str | None = None,
    reasoning_from: int = 0,
) -> list[Message]:
    """The chat messages for `instructions` and items. Raises InvalidRequest that names the item's field that is wrong.

    `last_instruction` goes to the end of the leading message. Reasoning before the item of index `reasoning_from` is
    left out.
    """
    conversation = _Conversation(tools, report, options)
    if instructions:
        conversation.system.append(instructions)
    for index, (item, path) in enumerate(items):
        if index >= reasoning_from or item.get("type") != "reasoning":
            conversation.read(item, path)
    messages = conversation.finish(last_instruction)
    if not messages:  # hosts answer with an error, or with an answer to nothing
        raise missing("input")
    return messages


class _Conversation:
    """The messages so far, and the assistant message that is being put together."""

    def __init__(self, tools: ToolMap, report: Report, options: TranslationOptions) -> None:
        self.system: list[str] = []
        self.messages: list[Message] = []
        self._tools = tools
        self._report = report
        self._options = options
        # The assistant message: its texts, each with whether it is reasoning; its calls; any other fields.
        self._texts: list[tuple[bool, str]] = []
        self._calls: list[dict[str, Any]] = []
        self._fields: Message = {}
        # The call id of each call so far, by the call id itself and by its item's id.
        self._call_ids: dict[str, str] = {}
        self._unanswered: set[str] = set()  # the ids of calls without an output
        self._images: list[Part] = []  # of tool outputs, which go into a user message after them

    def read(self, item: Item, path: str) -> None:
        """Add one item."""
        kind = item.get("type")
        if kind is None:
            if "role" not in item:
                raise unsupported(path, REFUSED_ITEMS["item_reference"]) if "id" in item else missing(f"{path}.type")
            kind = "message"
        if not isinstance(kind, str):
            raise wrong_type(f"{path}.type", "a string")
        kinds = self._tools.kinds
        if kind == "message":
            self._message(item, path)
        elif kind in kinds.by_call_type:
            self._call(kinds.by_call_type[kind], item, path)
        elif kind in kinds.by_output_type:
            content = kinds.by_output_type[kind].read_output(item, path, self._tools)
            self._output(item, path, content, f"{path}.output")
        elif kind == "reasoning":
            self._reasoning(item, path)
        elif kind == "additional_tools":
            return  # declares tools: see `declared_tools`
        elif kind in SKIPPED_ITEMS:
            self._report.dropped(path)
        elif kind in REFUSED_ITEMS:
            raise unsupported(f"{path}.type", f"items of type '{kind}': {REFUSED_ITEMS[kind]}")
        else:
            known = {"message", "reasoning", "additional_tools", *kinds.by_call_type, *kinds.by_output_type}
            raise bad_value(f"{path}.type", kind, sorted(known))

    def finish(self, last_instruction: str | None) -> list[Message]:
        """All messages; none if no item and no instruction says anything."""
        self._end_turn()
        if not (self.system or self.messages):
            return []
        if last_instruction is not None:
            self.system.append(last_instruction)
        leading = [{"role": "system", "content": "\n\n".join(self.system)}] if self.system else []
        return leading + self.messages

    def _end_turn(self, *, before_output: bool = False) -> None:
        """Finish the assistant message, if there is one. `before_output`: a tool message comes next.

        Images of tool outputs go before it, but never between two tool messages.
        """
        turn = bool(self._texts or self._calls or self._fields)
        if self._images and (turn or not before_output):
            self.messages.append({"role": "user", "content": self._images})
            self._images = []
        if not turn:
            return
        message: Message = {"role": "assistant"}
        if self._options.reasoning_replay == "think":
            opening = self._options.think_opening
            texts = [f"{opening}{text}</think>" if is_reasoning else text for is_reasoning, text in self._texts]
            message["content"] = "".join(texts) or None
        else:
            message["content"] = "".join([text for is_reasoning, text in self._texts if not is_reasoning]) or None
            if reasoning := "\n".join([text for is_reasoning, text in self._texts if is_reasoning]):
                message["reasoning"] = reasoning
        if self._calls:
            message["tool_calls"] = self._calls
        message.update(self._fields)
        self.messages.append(message)
        self._texts, self._calls, self._fields = [], [], {}

    # Messages and reasoning ------------------------------------------------------------------------------------------

    def _message(self, item: Item, path: str) -> None:
        role = item.get("role")
        content = item.get("content")
        if role == "user":
            self._end_turn()
            content = user_content(content, f"{path}.content", self._options)
            self.messages.append({"role": "user", "content": content})
        elif role == "assistant":
            self._assistant(item, path)
        elif role in ("system", "developer"):
            text = text_of(content, f"{path}.content", "\n")
            if self._options.system_messages == "fold":
                self.system.append(text)
            else:
                self._end_turn()
                self.messages.append({"role": role, "content": text})
        elif role == "tool":  # as in chat completions
            self._output(item, path, content, f"{path}.content", key="tool_call_id")
        elif role is None:
            raise missing(f"{path}.role")
        else:
            raise bad_value(f"{path}.role", role, _ROLES)

    def _assistant(self, item: Item, path: str) -> None:
        """Append its text to the assistant message that is being put together."""
        content = item.get("content")
        if content is not None and (text := text_of(content, f"{path}.content", "")):
            self._texts.append((False, text))
            if isinstance(item.get("phase"), str):
                self._fields["phase"] = item["phase"]
        if item.get("tool_calls") is not None:
            self._chat_calls(item["tool_calls"], f"{path}.tool_calls")
        self._keep_tokens(item, path)

    def _reasoning(self, item: Item, path: str) -> None:
        """Add its text, else the text in its `encrypted_content`, else its summary."""
        sealed = item.get("encrypted_content")
        unsealed = self._options.unseal(sealed) if isinstance(sealed, str) and sealed else None
        if sealed and unsealed is None:
            self._report.dropped(f"{path}.encrypted_content")
        texts = texts_of(item.get("content") or [], f"{path}.content")
        if not any(texts):
            texts = [unsealed] if unsealed else texts_of(item.get("summary") or [], f"{path}.summary")
        self._texts += [(True, text) for text in texts if text]
        self._keep_tokens(item, path)

    # Calls and their outputs -----------------------------------------------------------------------------------------

    def _call(self, kind: ToolKind, item: Item, path: str) -> None:
        name = self._tools.function_name(kind.identify(item, path))
        call_id = kind.past_call_id(item, path)
        self._add_call(call_id, name, kind.past_arguments(item, path))
        if isinstance(item.get("id"), str):
            self._call_ids.setdefault(item["id"], call_id)
        self._keep_tokens(item, path)

    def _chat_calls(self, calls: Any, path: str) -> None:
        """Calls on an assistant message, as agents that were written for chat completions leave them there."""
        if not isinstance(calls, list):
            raise wrong_type(path, "an array")
        for index, call in enumerate(calls):
            call_path = f"{path}[{index}]"
            function = call.get("function") if isinstance(call, dict) else None
            if not isinstance(function, dict):
                raise missing(f"{call_path}.function")
            name, arguments = (required_string(function, key, f"{call_path}.function") for key in ("name", "arguments"))
            name = self._tools.function_name(ToolIdentity(FUNCTION, name))
            self._add_call(required_string(call, "id", call_path), name, arguments)

    def _add_call(self, call_id: str, name: str, arguments: str) -> None:
        self._call_ids[call_id] = call_id
        self._unanswered.add(call_id)
        self._calls.append({"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}})

    def _output(self, item: Item, path: str, content: Any, content_path: str, key: str = "call_id") -> None:
        """Add a tool message. `content` is a text or content parts; `key` is the field that names the call."""
        call_id = self._answered_call(item, path, key)
        self._unanswered.discard(call_id)
        self._end_turn(before_output=True)
        message: Message = {"role": "tool", "tool_call_id": call_id, "content": content}
        if not isinstance(content, str):
            parts = parts_of(content, content_path, self._options)
            text = joined_text(parts)
            if text is not None:
                message["content"] = text
            elif self._options.tool_images == "tool":
                message["content"] = parts
            else:
                message["content"] = self._defer_images(call_id, parts)
                self._report.mapped(content_path)
        self.messages.append(message)

    def _defer_images(self, call_id: str, parts: list[Part]) -> str:
        """Keep the parts that are not text for a user message after the outputs. Returns the text."""
        self._images.append({"type": "text", "text": f"Output of the tool call {call_id}:"})
        self._images += [part for part in parts if part["type"] != "text"]
        texts = [part["text"] for part in parts if part["type"] == "text"]
        return "\n".join(texts) or "The output follows in the next message."

    def _answered_call(self, item: Item, path: str, key: str) -> str:
        """The id of the call that an output belongs to. Raises InvalidRequest if there was no such call before it.

        An output that does not say so belongs to the call whose item has the same `id` (as a local shell's has), or
        to the only one that still waits for an output.
        """
        if item.get(key) is None:
            if isinstance(item.get("id"), str) and item["id"] in self._call_ids:
                return self._call_ids[item["id"]]
            if len(self._unanswered) == 1:
                return next(iter(self._unanswered))
        call_id = required_string(item, key, path)
        if self._call_ids.get(call_id) != call_id:
            raise InvalidRequest(
                f"No tool call found for the output with call_id {quoted(call_id)}.",
                param=f"{path}.{key}",
                code="invalid_value",
            )
        return call_id

    def _keep_tokens(self, item: Item, path: str) -> None:
        """Put the token ids of a turn, which are on its last item, on its message: NeMo Gym's host wants them back."""
        if not self._options.replay_tokens:
            return
        given = {name: item[name] for name in Tokens.__struct_fields__ if item.get(name) is not None}
        if not given.keys() - {"routed_experts"}:
            return
        tokens: Tokens = convert(given, Tokens, path)
        check_depth(given.get("routed_experts"), f"{path}.routed_experts")
        if len(tokens.generation_token_ids) != len(tokens.generation_log_probs):
            raise InvalidRequest(
                "Each generated token needs its log-probability.",
                param=f"{path}.generation_log_probs",
                code="invalid_value",
            )
        self._fields |= given
