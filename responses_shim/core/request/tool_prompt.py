"""Function tools for a host that has no tool parser: how the model gets to know them, and is held to a choice.

What such a host makes of `tools` and of past calls depends on the model's chat template, and some know neither. Then
the functions are described in the leading message, and past calls and their outputs become text, in the form of the
Hermes models, which most models know and all understand:

    {"role": "system", "content": "Be brief."}                  "Be brief.\\n\\n# Tools\\n\\n… {"name": "f", …"
    {"role": "assistant", "content": null,                      "<tool_call>\\n{"name": "f", "arguments": {"a": 1}}\\n
     "tool_calls": [{"function": {"name": "f", …}}]}             </tool_call>"
    {"role": "tool", "tool_call_id": "a", "content": "4"}       {"role": "user", "content": "<tool_response>\\n4\\n…"}

The description depends on the functions alone, and each message on itself and the outputs next to it. So with every
turn the prompt only grows at its end, as without this.

A forced call is enforced by the host's constraint for JSON: `response_format` with the schema of a call, or of any of
several. What the model writes is then such an object, and read as a call. For a host without that constraint a sentence
behind the description asks for the call.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from responses_shim.core.request.turn import Message
from responses_shim.core.wire.large_json import joined, plain
from responses_shim.core.wire.report import Report

_DESCRIPTION = """\
# Tools

You can call functions. Each line between the <tools> tags describes one, with the JSON schema of its arguments:
<tools>
{functions}
</tools>

To call a function, write a JSON object with its name and its arguments between <tool_call> tags:
<tool_call>
{{"name": "function_name", "arguments": {{"argument": "value"}}}}
</tool_call>

Several calls follow one another. Write nothing behind them: their results come next, in <tool_response> tags. When you
need no function, answer without these tags."""

_FORCED = "\n\nNow you have to call {function}: write nothing but the call."

_DEFINITIONS = ("$defs", "definitions")
_ABOUT_TOOLS = ("tools", "tool_choice", "parallel_tool_calls")


def force_call(chat: dict[str, Any], report: Report) -> dict[str, Any]:
    """The chat request with a `response_format` in place of a `tool_choice` that forces a call; else the same."""
    choice, tools = chat.get("tool_choice"), chat.get("tools")
    if not tools or choice in (None, "auto", "none"):
        return chat
    functions = [tool["function"] for tool in tools]
    if isinstance(choice, dict):
        functions = [function for function in functions if function["name"] == choice["function"]["name"]]
    forced = {name: value for name, value in chat.items() if name != "tool_choice"}
    definitions: dict[str, Any] = {}
    if len(functions) == 1:
        schema = _call_schema(functions[0], "#", definitions)
    else:
        calls = [_call_schema(each, f"#/anyOf/{index}", definitions) for index, each in enumerate(functions)]
        schema = {"anyOf": calls}
    if definitions:
        schema["$defs"] = definitions
    forced["response_format"] = {"type": "json_schema", "json_schema": {"name": "tool_call", "schema": schema}}
    report.mapped("tool_choice")
    return forced


def _call_schema(function: dict[str, Any], path: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a call of one function, which is at `path` in the complete schema.

    The definitions in the function's own schema are moved to those of the complete one, since many hosts look for
    them nowhere else.
    """
    parameters = dict(function.get("parameters") or {"type": "object"})
    own = [parameters.pop(key, None) for key in _DEFINITIONS]
    move = _Move(f"{path}/properties/arguments", f"#/$defs/{function['name']}-")
    for named in own:
        for name, schema in (named if isinstance(named, dict) else {}).items():
            definitions[f"{function['name']}-{name}"] = move(schema)
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string", "enum": [function["name"]]},
            "arguments": move(parameters),
        },
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


class _Move(NamedTuple):
    """Makes the references of a schema into itself what they have to be in another one.

    - `path`: where the schema is in that
    - `definitions`: what the path of a definition begins with
    """

    path: str
    definitions: str

    def __call__(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return [self(inner) for inner in schema]
        if not isinstance(schema, dict):
            return schema
        return {
            key: self._reference(value) if key == "$ref" and isinstance(value, str) else self(value)
            for key, value in schema.items()
        }

    def _reference(self, reference: str) -> str:
        for key in _DEFINITIONS:
            if reference.startswith(f"#/{key}/"):
                return self.definitions + reference.removeprefix(f"#/{key}/")
        return self.path + reference[1:] if reference.startswith("#") else reference


def describe_tools(chat: dict[str, Any], report: Report, *, keep_tools: bool) -> dict[str, Any]:
    """The chat request with its functions in words and its past calls as text.

    `keep_tools`: it has `tools` and the choice among them all the same, for the host to enforce. Else a choice that
    still forces a call is put in words, too.
    """
    described = {name: value for name, value in chat.items() if keep_tools or name not in _ABOUT_TOOLS}
    described["messages"] = _as_text(chat["messages"])
    if chat.get("tools"):
        functions = [
            {name: value for name, value in tool["function"].items() if name != "strict"} for tool in chat["tools"]
        ]
        text = _DESCRIPTION.format(functions="\n".join(msgspec.json.encode(each).decode() for each in functions))
        report.described("tools")
        choice = chat.get("tool_choice")
        if not keep_tools and choice not in (None, "auto", "none"):
            text += _FORCED.format(
                function=choice["function"]["name"] if isinstance(choice, dict) else "one of these functions"
            )
            report.described("tool_choice")
        described["messages"] = _with_description(described["messages"], text)
    return described


def _with_description(messages: list[Message], text: str) -> list[Message]:
    first = messages[0]
    if first["role"] in ("system", "developer"):
        return [{**first, "content": joined([first["content"], text], "\n\n")}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _as_text(messages: list[Message]) -> list[Message]:
    """The messages with calls and their outputs as text. Outputs that follow one another are one message."""
    texts: list[Message] = []
    outputs: list[Message] = []  # that follow one another
    for message in messages:
        if message["role"] == "tool":
            outputs.append(message)
            continue
        if outputs:
            texts.append(_outputs_message(outputs))
            outputs = []
        texts.append(_with_calls(message) if message.get("tool_calls") else message)
    return [*texts, _outputs_message(outputs)] if outputs else texts


def _with_calls(message: Message) -> Message:
    """The assistant message with its calls at the end of its content."""
    calls = []
    for call in message["tool_calls"]:
        name = msgspec.json.encode(call["function"]["name"]).decode()
        arguments = plain(call["function"]["arguments"])
        calls.append(f'<tool_call>\n{{"name": {name}, "arguments": {arguments}}}\n</tool_call>')
    content = plain(message.get("content") or "")
    if content and not content[-1].isspace():
        content += "\n"  # else the model has written its own white space
    others = {key: value for key, value in message.items() if key != "tool_calls"}
    return {**others, "content": content + "\n".join(calls)}


def _outputs_message(outputs: list[Message]) -> Message:
    """One user message with the outputs of calls, in parts if one of them has images."""
    if not any(isinstance(output["content"], list) for output in outputs):
        texts = [joined(["<tool_response>\n", output["content"], "\n</tool_response>"]) for output in outputs]
        return {"role": "user", "content": joined(texts, "\n")}
    parts: list[dict[str, Any]] = []
    for output in outputs:
        content = output["content"]
        own = content if isinstance(content, list) else [{"type": "text", "text": content}]
        parts += [{"type": "text", "text": "<tool_response>"}, *own, {"type": "text", "text": "</tool_response>"}]
    return {"role": "user", "content": parts}
