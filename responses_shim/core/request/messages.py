"""Input items as chat messages.

The shape that every chat template accepts: one leading system message, then user, assistant and tool messages.
So all system-level text (instructions, system and developer messages, wherever they stand) folds into the leading
message, and what the model said in one turn (reasoning, text, calls, which Responses keeps as separate items) folds
into one assistant message. Both are stable: the same items give the same messages, so that a host's prefix cache
holds from turn to turn.

Of the 33 forms of item each is in one of four lists: `_READERS` and `forms.CALLS` become messages, `SKIPPED` are
passed over and reported, `REFUSED` are a 400 that says what to do instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from responses_shim.core.request.content import parts_of, text_of, texts_of, user_content
from responses_shim.core.request.options import Policy
from responses_shim.core.tools.base import Form
from responses_shim.core.tools.kinds import CALLS, CUSTOM, FUNCTION, TOOL_SEARCH, result_text
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

# Items of tools that a server runs, and others that hold nothing which a model here could use.
SKIPPED = frozenset(
    {
        "additional_tools",  # its tools are offered (`tools_in`); as an item it says nothing
        "code_interpreter_call",
        "compaction",
        "computer_call",
        "computer_call_output",
        "file_search_call",
        "image_generation_call",
        "program",
        "program_output",
        "web_search_call",
    }
)
# Items that ask for what does not exist here yet: to pass them over would change what is answered.
REFUSED = {
    "compaction_trigger": "there is no compaction here; summarise in a message.",
    "configuration_update": "the configuration cannot change between items; use 'reasoning' and 'text'.",
    "item_reference": "items are not stored here; send the item itself.",
    "mcp_approval_request": "MCP tools are not run here.",
    "mcp_approval_response": "MCP tools are not run here.",
    "mcp_call": "MCP tools are not run here.",
    "mcp_list_tools": "MCP tools are not run here.",
}


def tools_in(items: str | list[Item]) -> list[tuple[dict[str, Any], str]]:
    """The tools that stand in the input, with their paths: Codex's `additional_tools`, and what a search found."""
    found = []
    for place, item in enumerate(items if isinstance(items, list) else ()):
        if item.get("type") in ("additional_tools", "tool_search_output"):
            path = f"input[{place}].tools"
            if not isinstance(item.get("tools"), list):
                raise missing(path) if item.get("tools") is None else wrong_type(path, "an array of tools")
            for number, tool in enumerate(item["tools"]):
                if not isinstance(tool, dict):
                    raise wrong_type(f"{path}[{number}]", "an object")
                found.append((tool, f"{path}[{number}]"))
    return found


def to_messages(
    instructions: str | None,
    items: str | list[Item],
    tools: ToolMap,
    report: Report,
    policy: Policy,
    *,
    told: str | None = None,
    reasoning_from: int = 0,
) -> list[Message]:
    """The messages for `instructions` and `items`. InvalidRequest names the item and field it cannot take.

    `told` stands at the end of the leading system message. Reasoning before item `reasoning_from` is left out.
    """
    transcript = _Transcript(tools, report, policy)
    if instructions:
        transcript.system.append(instructions)
    if isinstance(items, str):
        transcript.messages.append({"role": "user", "content": items})
    else:
        for place, item in enumerate(items):
            if place < reasoning_from and item.get("type") == "reasoning":
                continue
            transcript.read(item, f"input[{place}]")
    messages = transcript.finish(told)
    if not messages:
        raise missing("input")
    return messages


def last_question(items: str | list[Item]) -> int:
    """The place of the last user message: what stands behind it is the current turn."""
    places = [place for place, item in enumerate(items) if isinstance(item, dict) and item.get("role") == "user"]
    return places[-1] if places else 0


class _Transcript:
    """Collects messages; holds the assistant message that is being put together."""

    def __init__(self, tools: ToolMap, report: Report, policy: Policy) -> None:
        self.system: list[str] = []
        self.messages: list[Message] = []
        self._tools = tools
        self._report = report
        self._policy = policy
        self._said: list[tuple[bool, str]] = []  # text of the assistant message, and whether it is reasoning
        self._calls: list[dict[str, Any]] = []
        self._besides: Message = {}  # what else goes with it: its phase, its tokens
        self._called: dict[str, str] = {}  # what a past call or its item is called, and the call's id
        self._unanswered: dict[str, None] = {}  # the ids of calls whose output is still to come
        self._images: list[dict[str, Any]] = []  # of tool outputs, on their way to a user message

    def read(self, item: Item, path: str) -> None:
        kind = item.get("type")
        if kind is None:
            if "role" not in item:
                raise unsupported(path, REFUSED["item_reference"]) if "id" in item else missing(f"{path}.type")
            kind = "message"
        if not isinstance(kind, str):
            raise wrong_type(f"{path}.type", "a string")
        if kind in _READERS:
            _READERS[kind](self, item, path)
        elif kind in CALLS:
            self._call(CALLS[kind], item, path)
        elif kind in SKIPPED:
            if kind != "additional_tools":
                self._report.dropped(path)
        elif kind in REFUSED:
            raise unsupported(f"{path}.type", f"items of type '{kind}': {REFUSED[kind]}")
        else:
            raise bad_value(f"{path}.type", kind, sorted([*_READERS, *CALLS]))

    def finish(self, told: str | None) -> list[Message]:
        self._flush()
        if not (self.system or self.messages):
            return []
        system = [*self.system, told] if told is not None else self.system
        leading = [{"role": "system", "content": "\n\n".join(system)}] if system else []
        return leading + self.messages

    def _flush(self, *, answers: bool = False) -> None:
        """End the assistant message that is being put together. `answers`: a tool message comes next."""
        saying = bool(self._said or self._calls or self._besides)
        if self._images and (saying or not answers):
            self.messages.append({"role": "user", "content": self._images})
            self._images = []
        if not saying:
            return
        think = self._policy.reasoning == "think"
        opening = self._policy.opening
        spoken = [f"{opening}{text}</think>" if inner else text for inner, text in self._said if think or not inner]
        message: Message = {"role": "assistant", "content": "".join(spoken) or None}
        if not think and (reasoning := "\n".join(text for inner, text in self._said if inner)):
            message["reasoning"] = reasoning
        if self._calls:
            message["tool_calls"] = self._calls
        self.messages.append(message | self._besides)
        self._said, self._calls, self._besides = [], [], {}

    # Readers: one method per kind of item ------------------------------------------------------------------------

    def message(self, item: Item, path: str) -> None:
        role = item.get("role")
        content = item.get("content")
        if role in ("system", "developer"):
            text = text_of(content, f"{path}.content", "\n")
            if self._policy.system == "fold":
                self.system.append(text)
            else:
                self._flush()
                self.messages.append({"role": role, "content": text})
        elif role == "user":
            self._flush()
            self.messages.append({"role": "user", "content": user_content(content, f"{path}.content", self._policy)})
        elif role == "assistant":
            # A second message of the same turn goes on where the first ended: nothing was between them.
            if content is not None and (text := text_of(content, f"{path}.content", "")):
                self._said.append((False, text))
                if isinstance(item.get("phase"), str):
                    self._besides["phase"] = item["phase"]
            self._chat_calls(item.get("tool_calls"), f"{path}.tool_calls")
            self._keep_tokens(item, path)
        elif role == "tool":
            self._output(item, path, content, f"{path}.content", key="tool_call_id")
        elif role is None:
            raise missing(f"{path}.role")
        else:
            raise bad_value(f"{path}.role", role, ["user", "assistant", "system", "developer", "tool"])

    def reasoning(self, item: Item, path: str) -> None:
        sealed = item.get("encrypted_content")
        unsealed = self._policy.unseal(sealed) if isinstance(sealed, str) and sealed else None
        if sealed and unsealed is None:
            self._report.dropped(f"{path}.encrypted_content")
        texts = texts_of(item.get("content") or [], f"{path}.content")
        if not any(texts):
            texts = [unsealed] if unsealed else texts_of(item.get("summary") or [], f"{path}.summary")
        self._said += [(True, text) for text in texts if text]
        self._keep_tokens(item, path)

    def output(self, item: Item, path: str) -> None:
        if item.get("output") is None:
            raise missing(f"{path}.output")
        self._output(item, path, item["output"], f"{path}.output")

    def own_output(self, item: Item, path: str) -> None:
        """What a tool of the API's own put out, as text."""
        self._output(item, path, result_text(item, path), f"{path}.output")

    def tool_search_output(self, item: Item, path: str) -> None:
        """What was found is offered (`tools_in`); the model is told under which names."""
        found = [named for tool in item["tools"] for named in self._tools.told(tool)]
        self._output(item, path, msgspec.json.encode({"tools": found}).decode(), f"{path}.tools")

    # Calls and their outputs ---------------------------------------------------------------------------------------

    def _call(self, form: Form, item: Item, path: str) -> None:
        name, namespace = form.kind, None
        if form in (FUNCTION, CUSTOM):
            name = required_string(item, "name", path)
            namespace = required_string(item, "namespace", path) if item.get("namespace") is not None else None
        alone = form is TOOL_SEARCH and item.get("call_id") is None  # then its own id does
        call_id = required_string(item, "id" if alone else "call_id", path)
        self._say_call(call_id, self._tools.name_of(form, name, namespace), form.arguments(item, path))
        if isinstance(item.get("id"), str):
            self._called.setdefault(item["id"], call_id)
        self._keep_tokens(item, path)

    def _chat_calls(self, calls: Any, path: str) -> None:
        """Calls in chat's form on an assistant message, which agents built on chat leave there."""
        if calls is not None and not isinstance(calls, list):
            raise wrong_type(path, "an array")
        for place, call in enumerate(calls or ()):
            function = call.get("function") if isinstance(call, dict) else None
            if not isinstance(function, dict):
                raise missing(f"{path}[{place}].function")
            at = f"{path}[{place}]"
            name, arguments = (required_string(function, key, f"{at}.function") for key in ("name", "arguments"))
            self._say_call(required_string(call, "id", at), self._tools.name_of(FUNCTION, name), arguments)

    def _say_call(self, call_id: str, name: str, arguments: str) -> None:
        self._called[call_id] = call_id
        self._unanswered[call_id] = None
        self._calls.append({"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}})

    def _output(self, item: Item, path: str, content: Any, content_path: str, key: str = "call_id") -> None:
        call_id = self._answered(item, path, key)
        self._unanswered.pop(call_id, None)
        self._flush(answers=True)
        parts = parts_of(content, content_path, self._policy)
        message: Message = {"role": "tool", "tool_call_id": call_id}
        if all(part["type"] == "text" for part in parts):
            message["content"] = "\n".join(part["text"] for part in parts)
        elif self._policy.tool_images == "tool":
            message["content"] = parts
        else:
            texts = [part["text"] for part in parts if part["type"] == "text"]
            message["content"] = "\n".join(texts) or "The output follows in the next message."
            self._images.append({"type": "text", "text": f"Output of the tool call {call_id}:"})
            self._images += [part for part in parts if part["type"] != "text"]
            self._report.mapped(content_path)
        self.messages.append(message)

    def _answered(self, item: Item, path: str, key: str) -> str:
        """The call that an output belongs to; without a word about it, the only one that waits for one."""
        if item.get(key) is None:
            if isinstance(item.get("id"), str) and item["id"] in self._called:
                return self._called[item["id"]]  # a local shell's output has the id of its call's item
            if len(self._unanswered) == 1:
                return next(iter(self._unanswered))
        call_id = required_string(item, key, path)
        if self._called.get(call_id) != call_id:
            raise InvalidRequest(
                f"No tool call found for the output with call_id {quoted(call_id)}.",
                param=f"{path}.{key}",
                code="invalid_value",
            )
        return call_id

    def _keep_tokens(self, item: Item, path: str) -> None:
        """The tokens of a turn stand on its last item; the host gets them back on the message (NeMo Gym)."""
        if not self._policy.replay_tokens:
            return
        told = {name: item[name] for name in Tokens.__struct_fields__ if item.get(name) is not None}
        if not told.keys() - {"routed_experts"}:
            return
        tokens: Tokens = convert(told, Tokens, path)
        check_depth(told.get("routed_experts"), f"{path}.routed_experts")
        if len(tokens.generation_token_ids) != len(tokens.generation_log_probs):
            raise InvalidRequest(
                "Each generated token needs its log-probability.",
                param=f"{path}.generation_log_probs",
                code="invalid_value",
            )
        self._besides |= told


_READERS: dict[str, Callable[[_Transcript, Item, str], None]] = {
    "message": _Transcript.message,
    "reasoning": _Transcript.reasoning,
    "function_call_output": _Transcript.output,
    "custom_tool_call_output": _Transcript.output,
    "local_shell_call_output": _Transcript.own_output,
    "shell_call_output": _Transcript.own_output,
    "apply_patch_call_output": _Transcript.own_output,
    "tool_search_output": _Transcript.tool_search_output,
}
READ = frozenset(_READERS)
