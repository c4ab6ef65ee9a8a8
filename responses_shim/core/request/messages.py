"""Input items as chat messages.

The Responses API has an item for every message, reasoning and call; chat completions has messages. Chat templates agree
on one order of them: a system message first, then user, assistant and tool messages. So

- all system text (`instructions`, system and developer messages, wherever they are) goes into the leading message
- what the model wrote in one turn (reasoning, text, calls) goes into one assistant message
- the outputs of its calls come directly behind it, wherever they are in the input

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
says what to do instead. An item of any other type is newer than these tables: it is read as what it looks like
(`type_by_shape`), or left out and reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from responses_shim.core.request.content import Part, content_of, joined_text, parts_of, text_of, texts_of
from responses_shim.core.request.options import TranslationOptions
from responses_shim.core.request.outputs import Calls, Output
from responses_shim.core.request.turn import AssistantTurn, Message
from responses_shim.core.tools import hosted
from responses_shim.core.tools.arguments import object_arguments
from responses_shim.core.tools.base import Tool, ToolIdentity, ToolKind
from responses_shim.core.tools.kinds import FUNCTION, KINDS
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.large_json import Text, joined, plain
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.tokens import Tokens
from responses_shim.core.wire.validation import (
    array_too_long,
    bad_value,
    convert,
    missing,
    required_string,
    unsupported,
    wrong_type,
)
from responses_shim.errors import InvalidRequest

Item = dict[str, Any]
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

MAX_CALLS = 4096
"""How many calls a conversation may have where they are on messages, each of which may have any number of them."""

_DECLARE_TOOLS = ("additional_tools", "tool_search_output")
ROLES = ["user", "assistant", "system", "developer", "tool"]


def located(items: str | Sequence[Item], history: Sequence[Item] = ()) -> Iterator[Located]:
    """Each item of the history, then of the input, with its path: `history[0]` and so on, `input[0]` and so on.

    An input that is a string is a user message. The history is for stored conversations.
    """
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    for path, listed in (("history", history), ("input", items)):
        for index, item in enumerate(listed):
            yield item, f"{path}[{index}]"


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


def type_by_shape(item: Item) -> str | None:
    """The type of the item that one without a type, or of a type that is not known, looks like; None if it is none."""

    def has(*keys: str) -> bool:
        return all(isinstance(item.get(key), str) for key in keys)

    if item.get("role") in ROLES and isinstance(item.get("content"), (str, list)):
        return "message"
    if has("call_id", "name", "arguments"):
        return "function_call"
    if has("call_id", "name", "input"):
        return "custom_tool_call"
    if has("call_id") and isinstance(item.get("output"), (str, list)):
        return "function_call_output"
    if isinstance(item.get("summary"), list) or has("encrypted_content"):
        return "reasoning"
    return None


def current_turn(items: Iterable[Located]) -> int:
    """The index of the last user message, with which the current turn begins; 0 if there is none."""
    return max((index for index, (item, _) in enumerate(items) if item.get("role") == "user"), default=0)


def to_messages(
    instructions: str | None,
    items: Iterable[Located],
    tools: ToolMap,
    report: Report,
    options: TranslationOptions,
    *,
    last_instruction: Text | None = None,
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
        conversation.keeps_reasoning = index >= reasoning_from
        conversation.read(item, path)
    messages = conversation.finish(last_instruction)
    if not messages:  # hosts answer with an error, or with an answer to nothing
        raise missing("input")
    return messages


class _Conversation:
    """The messages so far, and the turn of the model that is being put together."""

    def __init__(self, tools: ToolMap, report: Report, options: TranslationOptions) -> None:
        self.system: list[Text] = []
        self.keeps_reasoning = True
        self._messages: list[Message | AssistantTurn] = []
        self._tools = tools
        self._report = report
        self._options = options
        self._turn = AssistantTurn()
        self._calls = Calls(options, report)

    def read(self, item: Item, path: str) -> None:
        """Add one item."""
        kind = item.get("type")
        if kind is None:
            kind = "message" if "role" in item else type_by_shape(item)
            if kind is None:
                raise unsupported(path, REFUSED_ITEMS["item_reference"]) if "id" in item else missing(f"{path}.type")
        if not isinstance(kind, str):
            raise wrong_type(f"{path}.type", "a string")
        if kind in REFUSED_ITEMS:
            raise unsupported(f"{path}.type", f"items of type '{kind}': {REFUSED_ITEMS[kind]}")
        if kind == "additional_tools":
            return  # its tools are offered: see `declared_tools`
        if kind in SKIPPED_ITEMS:
            self._report.dropped(path)
        elif not self._read_as(kind, item, path):
            self._read_newer(item, path)

    def _read_as(self, kind: str, item: Item, path: str, *, optional: bool = False) -> bool:
        """Add an item as one of type `kind`; False if there is no such type. `optional` is that of an `Output`."""
        kinds = self._tools.kinds
        if kind == "message":
            self._message(item, path)
        elif kind in kinds.by_call_type:
            self._call(kinds.by_call_type[kind], item, path)
        elif kind in kinds.by_output_type:
            tool = kinds.by_output_type[kind]
            output = Output(tool.read_output(item, path, self._tools), f"{path}.output", path, "call_id", optional)
            self._output(item, output, tool)
        elif kind == "reasoning":
            self._reasoning(item, path)
        elif kind == "agent_message":
            self._agent_message(item, path)
        else:
            return False
        return True

    def _read_newer(self, item: Item, path: str) -> None:
        """Add an item of a type that is not known as what it looks like, or leave it out."""
        kind = type_by_shape(item)
        try:
            if kind is not None and self._read_as(kind, item, path, optional=True):
                self._report.mapped(path)
                return
        except InvalidRequest:
            pass  # it only looked so
        self._report.dropped(path)

    def finish(self, last_instruction: Text | None) -> list[Message]:
        """All messages; none if no item and no instruction says anything."""
        self._end_turn()
        self._calls.close()
        if not (self.system or self._messages):
            return []
        if last_instruction is not None:
            self.system.append(last_instruction)
        made: list[Message] = [{"role": "system", "content": joined(self.system, "\n\n")}] if self.system else []
        self._messages.reverse()
        while self._messages:  # each is gone once it has been made: together they may be large
            message = self._messages.pop()
            if isinstance(message, AssistantTurn):
                made.extend(message.messages())
            else:
                made.append(message)
        return made

    def _end_turn(self) -> None:
        """Finish the turn of the model, if there is one."""
        if not self._turn.is_empty:
            self._turn.end(self._options)
            self._messages.append(self._turn)
            self._turn = AssistantTurn()

    # Messages and reasoning ------------------------------------------------------------------------------------------

    def _message(self, item: Item, path: str) -> None:
        role = item.get("role")
        content = item.get("content")
        if role == "user":
            content = content_of(content, f"{path}.content", self._options, self._report)
            self._end_turn()
            self._messages.append({"role": "user", "content": content})
        elif role == "assistant":
            self._assistant(item, path)
        elif role in ("system", "developer"):
            text = text_of(content, f"{path}.content", "\n", self._report)
            if self._options.system_messages == "fold":
                self.system.append(text)
            else:
                self._end_turn()
                self._messages.append({"role": role, "content": text})
        elif role == "tool":  # as in chat completions
            self._output(item, Output(content, f"{path}.content", path, "tool_call_id", False), FUNCTION)
        elif role is None:
            raise missing(f"{path}.role")
        else:
            raise bad_value(f"{path}.role", role, ROLES)

    def _assistant(self, item: Item, path: str) -> None:
        """Its text belongs to the turn that is open, if there is one. Chat completions has more fields on a message."""
        content = item.get("content")
        if content is None and isinstance(item.get("refusal"), str):
            content = item["refusal"]
        text = "" if content is None else text_of(content, f"{path}.content", "", self._report)
        key = next((key for key in ("reasoning_content", "reasoning") if item.get(key)), None)
        if key is not None and self.keeps_reasoning:
            self._turn.add_reasoning(required_string(item, key, path))
        if text:
            self._turn.add_text(text)
            if isinstance(item.get("phase"), str):
                self._turn.fields["phase"] = item["phase"]
        if item.get("tool_calls") is not None:
            self._chat_calls(item["tool_calls"], f"{path}.tool_calls")
        self._keep_tokens(item, path)

    def _agent_message(self, item: Item, path: str) -> None:
        """What another agent says to the one that the model is: it has an author and a recipient instead of a role."""
        content = item.get("content")
        if item.get("role") is not None:
            self._message(item, path)
            return
        parts = parts_of(content, f"{path}.content", self._options, self._report)
        if parts:
            to = f" to {item['recipient']}" if isinstance(item.get("recipient"), str) else ""
            author = item["author"] if isinstance(item.get("author"), str) else "another agent"
            self._user_message(f"Message from {author}{to}:", parts)

    def _user_message(self, heading: str, parts: list[Part]) -> None:
        """Add a message that the client did not write itself: `heading` says what it is."""
        self._end_turn()
        text = joined_text(parts)
        content = [{"type": "text", "text": heading}, *parts] if text is None else joined([heading, text], "\n")
        self._messages.append({"role": "user", "content": content})

    def _reasoning(self, item: Item, path: str) -> None:
        """Add its text, else the text in its `encrypted_content`, else its summary."""
        if not self.keeps_reasoning:
            return
        sealed = item.get("encrypted_content")
        unsealed = self._options.unseal(sealed) if isinstance(sealed, str) and sealed else None
        if sealed and unsealed is None:
            self._report.dropped(f"{path}.encrypted_content")
        texts = texts_of(item.get("content") or [], f"{path}.content", self._report)
        if not any(texts):
            summary = item.get("summary") or []
            texts = [unsealed] if unsealed else texts_of(summary, f"{path}.summary", self._report)
        for text in filter(None, texts):
            self._turn.add_reasoning(text)
        self._keep_tokens(item, path)

    # Calls and their outputs -----------------------------------------------------------------------------------------

    def _call(self, kind: ToolKind, item: Item, path: str) -> None:
        name = self._tools.function_name(kind.identify(item, path))
        call_id, arguments = kind.past_call_id(item, path), kind.past_arguments(item, path)
        if not kind.writes_arguments:
            arguments = self._object_arguments(arguments, f"{path}.arguments")
        self._add_call(call_id, name, arguments)
        if isinstance(item.get("id"), str):
            self._calls.add_item_id(item["id"], call_id)
        self._keep_tokens(item, path)

    def _chat_calls(self, calls: Any, path: str) -> None:
        """Calls on an assistant message, as agents that were written for chat completions leave them there."""
        if not isinstance(calls, list):
            raise wrong_type(path, "an array")
        if len(self._calls) + len(calls) > MAX_CALLS:
            raise array_too_long(path, MAX_CALLS)
        for index, call in enumerate(calls):
            call_path = f"{path}[{index}]"
            function = call.get("function") if isinstance(call, dict) else None
            if not isinstance(function, dict):
                raise missing(f"{call_path}.function")
            name, arguments = (required_string(function, key, f"{call_path}.function") for key in ("name", "arguments"))
            name = self._tools.function_name(ToolIdentity(FUNCTION, name))
            given = self._object_arguments(arguments, f"{call_path}.function.arguments")
            self._add_call(required_string(call, "id", call_path), name, given)

    def _object_arguments(self, given: Text, path: str) -> Text:
        """The arguments at `path`, which the model wrote, as a JSON object if the host needs one."""
        if self._options.invalid_arguments != "wrap":
            return given
        arguments = object_arguments(plain(given))
        if arguments != given:
            self._report.mapped(path)
        return arguments

    def _add_call(self, call_id: str, name: str, arguments: Text) -> None:
        self._turn.add_call(call_id, name, arguments)
        self._calls.add(call_id, self._turn)

    def _output(self, item: Item, output: Output, kind: ToolKind) -> None:
        """Put an output behind its call, or keep it until that comes. One that names no call becomes a user message."""
        call_id = self._calls.answered_by(item, output, kind)
        if call_id is None:
            name = self._tools.function_name(kind.identify(item, output.path))
            parts = parts_of(output.content, output.content_path, self._options, self._report)
            self._user_message(f"Output of {name}:", parts)
            self._report.mapped(output.path)
            return
        if self._calls.turn_of(call_id) is self._turn:
            self._end_turn()
        self._calls.put(output, call_id)

    def _keep_tokens(self, item: Item, path: str) -> None:
        """Put the token ids of a turn, which are on its last item, on its message: NeMo Gym's host wants them back."""
        if not self._options.replay_tokens:
            return
        given = {name: item[name] for name in Tokens.__struct_fields__ if item.get(name) is not None}
        if not given.keys() - {"routed_experts"}:
            return
        tokens: Tokens = convert(given, Tokens, path)
        if len(tokens.generation_token_ids) != len(tokens.generation_log_probs):
            raise InvalidRequest(
                "Each generated token needs its log-probability.",
                param=f"{path}.generation_log_probs",
                code="invalid_value",
            )
        self._turn.fields |= given
