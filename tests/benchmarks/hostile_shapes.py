"""Requests that are meant to hurt: each has another part of the body grow."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass

from responses_shim.core.request.content import MAX_MEDIA
from responses_shim.core.request.messages import MAX_CALLS

from .hostile_bodies import (
    FILLING,
    HERE,
    Body,
    allowed_late_calls,
    allowed_namespaces,
    as_many_as_are_allowed,
    item,
    late_calls,
    long,
    many,
    most_items,
    numbered,
    parts,
    request,
    small,
)


@dataclass(frozen=True)
class Shape:
    """One kind of request.

    - `body`: makes the body. `fixed`: it has one size only
    - `coding`: the content codings that are applied to the body, in their order
    - `calls`: the tool that the host's answer is a call of, with 2 MB of arguments; a short text without one
    - `host`: the shim's setting of this name
    """

    name: str
    body: Body
    fixed: bool = False
    path: str = "/v1/responses"
    coding: tuple[str, ...] = ()
    calls: str = ""
    host: str = "auto"

    def packed(self, size: int) -> tuple[bytes, int]:
        """The bytes to send for a body of about `size`, and how many bytes they unpack to."""
        data = self.body(size)
        unpacked = len(data)
        for coding in self.coding:
            data = gzip.compress(data) if coding == "gzip" else zlib.compress(data)
        return data, unpacked


# The shapes ----------------------------------------------------------------------------------------------------------

_FUNCTION = {"type": "function", "name": "f"}
_SCHEMA = {"type": "json_schema", "name": "n", "schema": {"type": "string", "pattern": HERE}}
_REGEX = {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "regex", "definition": HERE}}
_NAMED = {"type": "input_file", "file_data": "data:text/plain;base64,QQ==", "filename": HERE}
_FILE = {"type": "input_file", "file_data": HERE}
_IMAGE = {"type": "input_image", "image_url": HERE}
_SEARCH = {"type": "tool_search", "execution": "client"}
_SHELL_CALL = {"type": "shell_call", "call_id": "a", "action": {"commands": [HERE]}}
_CALL = {"type": "function_call", "call_id": "a", "name": "f", "arguments": HERE}
_PAST_NAME = {"type": "function_call", "call_id": "a", "name": HERE, "arguments": "{}"}
_CUSTOM_CALL = {"type": "custom_tool_call", "call_id": "a", "name": "c", "input": HERE}
_SEALED = {"type": "reasoning", "summary": [], "encrypted_content": HERE}
_REASONING = {"type": "reasoning", "summary": []}
_LIST = [HERE]
_PATCH_CALL = {
    "type": "apply_patch_call",
    "call_id": "a",
    "operation": {"type": "create_file", "path": "a", "diff": HERE},
}
_PAST_CALL = {**_CALL, "arguments": "{}"}
_OUTPUT = {"type": "function_call_output", "call_id": "a"}
_DEEP_SHELL = {"type": "shell", "description": HERE}
_MESSAGE = '{"role":"user","content":""}'
_DEFERRED = '{"type":"function","name":"f%d","defer_loading":true}'
_EMOJI = "😀"

_ANSWER = {"type": "output_text", "text": "a"}
_PROBABILITY = '{"token":"token %d","logprob":-0.51234567,"bytes":[116,111],"top_logprobs":[]}'
_FILLED = {"role": "user", "content": FILLING}
_SHORT_CALL = '{"type":"function_call","call_id":"%d","name":"f","arguments":"{}"}'
_SHORT_OUTPUT = '{"type":"function_call_output","call_id":"%d","output":"o"}'
_SHELL_OUTPUT = {"stdout": HERE, "outcome": {"type": "exit", "exit_code": 0}}
_LARK = {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": HERE}}
_ALLOWED_TOOL = {**_FUNCTION, "x": 1}
_ALLOWED_ITEM = {**_FILLED, "x": 1}

HONEST = [
    Shape("a conversation", numbered(request(input=_LIST), '{"role":"user","content":"%d' + " and so on" * 50 + '"}')),
    Shape("an image", long(parts(_IMAGE), first="data:image/png;base64,")),
    Shape("a text file", long(parts(_FILE), "QUFB", first="data:text/plain;base64,")),
    Shape("an image as a file", long(parts(_FILE), "QUFB", first="data:image/png;base64,")),
]
"""What an agent may send."""

LONG_NAMES = [
    Shape("filename", long(parts(_NAMED))),
    Shape("filename, gzipped four times", long(parts(_NAMED)), coding=("gzip",) * 4),
    Shape(
        "pattern of a schema, llama.cpp", long(request(text={"format": _SCHEMA}), "a|", ")$", "^("), host="llama-cpp"
    ),
    Shape("regular expression of a custom tool", long(request(tools=[_REGEX]), "(a|b)*")),
    Shape("a key that nobody knows", long(request(x=1).replace('"x"', f'"{HERE}"'))),
    Shape("a value that is not in the enumeration", long(request(truncation=HERE))),
    Shape("name of a tool", long(request(tools=[{"type": "function", "name": HERE}]), ". ")),
    Shape("name of a past call", long(item(**_PAST_NAME), ". ")),
    Shape(
        "name in tool_choice", long(request(tools=[_FUNCTION], tool_choice={"type": "function", "name": HERE}), ". ")
    ),
    Shape("model", long(request(model=HERE))),
    Shape("metadata", long(request(metadata={"a": HERE}))),
    Shape("encrypted_content", long(item(**_SEALED))),
    Shape("path", small(request()), fixed=True, path="/v1/responses/" + "a" * 30_000),
    Shape("path that is not UTF-8", small(request()), fixed=True, path="/v1/responses/%ED%A0%80%FF"),
]
"""Strings where none is expected to be long."""

LONG_TEXTS = [
    Shape("instructions", long(request(instructions=HERE))),
    Shape("instructions with an emoji", long(request(instructions=HERE), last=_EMOJI)),
    Shape("instructions, gzipped", long(request(instructions=HERE)), coding=("gzip",)),
    Shape("input", long(request(input=HERE))),
    Shape("input with an emoji", long(request(input=HERE), last=_EMOJI)),
    Shape(
        "developer message with an emoji",
        long(request(instructions="Hi", input=[{"role": "developer", "content": HERE}]), last=_EMOJI),
    ),
    Shape(
        "two answers with an emoji",
        long(request(input=[{"role": "assistant", "content": text} for text in ("Hi", HERE)]), last=_EMOJI),
    ),
    Shape(
        "two text parts with an emoji",
        long(parts(*({"type": "input_text", "text": text} for text in ("Hi", HERE))), last=_EMOJI),
    ),
    Shape("reasoning with an emoji", long(item(**_REASONING, content=HERE), last=_EMOJI)),
    Shape(
        "description of a function, with an emoji",
        long(request(tools=[{**_FUNCTION, "description": HERE}]), last=_EMOJI),
    ),
    Shape(
        "description of a deferred function, with an emoji",
        long(request(tools=[_SEARCH, {**_FUNCTION, "defer_loading": True, "description": HERE}]), last=_EMOJI),
    ),
    Shape("grammar with an emoji", long(request(tools=[_LARK]), last=_EMOJI)),
    Shape("regular expression with an emoji", long(request(tools=[_REGEX]), last=_EMOJI)),
    Shape(
        "schema beside tools, with an emoji",
        long(request(tools=[_FUNCTION], text={"format": {**_SCHEMA, "schema": {"description": HERE}}}), last=_EMOJI),
    ),
    Shape("input of quotes", long(request(input=HERE), '\\"')),
    Shape("input of line ends", long(request(input=HERE), "\\n")),
    Shape("input of Chinese", long(request(input=HERE), "漢")),
    Shape("input of escaped emoji", long(request(input=HERE), "\\ud83d\\ude00")),
    Shape("input of halves of emoji", long(request(input=HERE), "\\ud83d")),
    Shape("1e999 beside escaped emoji", long(request(input=HERE, x=1).replace("1}", "1e999}"), "\\ud83d\\ude00")),
    Shape("input that is not UTF-8", lambda size: long(request(input=HERE), "é")(size).replace(b"\xc3", b"\xff")),
    Shape("white space, deflated", many(request(x=HERE), " ", "1"), coding=("deflate",)),
]
"""Text that takes long to decode, to write or to repeat."""

MANY = [
    Shape("keys that nobody knows", numbered(request(x=1).replace('"x": 1', f'"{HERE}"'), '"k%d":1')),
    Shape("one key again and again", many(request(x=HERE), '"a":1,', '"a":1}', "{")),
    Shape("empty arrays", many(request(x=_LIST), "[],", "1")),
    Shape("objects of one key", many(request(x=_LIST), '{"a":1},', "1")),
    Shape("numbers", many(request(x=_LIST), "1.5,", "1")),
    Shape("empty strings", many(request(x=_LIST), '"",', "1")),
    Shape("entries of stop", many(request(stop=_LIST), '"ab\\n",', '""')),
    Shape(
        "entries of include", many(request(include=_LIST), '"web_search_call.results",', '"file_search_call.results"')
    ),
    Shape("empty messages", many(request(input=_LIST), f"{_MESSAGE},", _MESSAGE)),
    Shape("content parts", many(parts(HERE), '{"type":"text","text":"a"},', '{"type":"text","text":"a"}')),
    Shape("items of an unknown type", many(request(input=_LIST), '{"type":"x"},', _MESSAGE)),
    Shape("outputs before their calls", late_calls),
    Shape("outputs before their calls, as many as are allowed", allowed_late_calls),
    Shape(
        "calls and outputs, as many as are allowed",
        as_many_as_are_allowed(
            request(input=[_FILLED, HERE]), f"{_SHORT_CALL},{_SHORT_OUTPUT}", 9, lambda size: most_items(size) // 2
        ),
    ),
    Shape(
        "messages, as many as are allowed",
        as_many_as_are_allowed(request(input=[_FILLED, HERE]), '{"role":"user","content":"%d"}', 3, most_items),
    ),
    Shape(
        "calls on a message, as many as are allowed",
        as_many_as_are_allowed(
            request(input=[_FILLED, {"role": "assistant", "tool_calls": _LIST}]),
            '{"id":"%d","function":{"name":"f","arguments":"{}"}}',
            6,
            lambda size: MAX_CALLS,
        ),
    ),
    Shape(
        "outputs with an image, as many as are allowed",
        as_many_as_are_allowed(
            request(input=[_FILLED, HERE]),
            _SHORT_CALL + "," + _SHORT_OUTPUT.replace('"o"', '[{"type":"input_image","image_url":"a"}]'),
            17,
            lambda size: MAX_MEDIA,
        ),
    ),
    Shape(
        "images",
        as_many_as_are_allowed(
            request(input=[_FILLED, {"role": "user", "content": _LIST}]), '{"type":"input_image","image_url":"a"}', 3
        ),
    ),
    Shape(
        "text parts, as many as are allowed",
        as_many_as_are_allowed(
            request(input=[_FILLED, {"role": "user", "content": _LIST}]), '{"type":"input_text","text":"a"}', 3
        ),
    ),
    Shape(
        "keys of an item that nobody knows, as many as are allowed",
        as_many_as_are_allowed(request(input=[_ALLOWED_ITEM]).replace('"x": 1', f'"{HERE}"'), '"k%d":1', 1),
    ),
    Shape(
        "keys of a tool that nobody knows, as many as are allowed",
        as_many_as_are_allowed(
            request(input=FILLING, tools=[_ALLOWED_TOOL]).replace('"x": 1', f'"{HERE}"'), '"k%d":1', 1
        ),
    ),
    Shape(
        "log-probabilities that come back",
        numbered(item(role="assistant", content=[{**_ANSWER, "logprobs": _LIST}]), _PROBABILITY),
    ),
    Shape(
        "properties of a schema, as many as are allowed",
        as_many_as_are_allowed(
            request(
                input=FILLING, text={"format": {**_SCHEMA, "schema": {"type": "object", "properties": {"x": 1}}}}
            ).replace('"x": 1', f'"{HERE}"'),
            '"k%d":{}',
            2,
        ),
    ),
    Shape("functions", numbered(request(tools=_LIST), '{"type":"function","name":"f%d"}')),
    Shape(
        "deferred functions",
        numbered(request(tools=[_SEARCH, HERE]), _DEFERRED),
    ),
    Shape("namespaces that are allowed", allowed_namespaces),
]
"""Millions of something small."""

NUMBERS_AND_NESTING = [
    Shape(
        "integers in an echoed tool",
        many(request(tools=[{**_FUNCTION, "parameters": {"enum": _LIST}}]), "9" * 100 + ",", "1"),
    ),
    Shape("one integer", many(request(seed=HERE), "9")),
    Shape("integers of 5,000 digits", many(request(x=_LIST), "9" * 5000 + ",", "1")),
    Shape("100,000 levels", small("[" * 100_000), fixed=True),
    Shape(
        "description of a shell, 973 levels",
        small(request(tools=[_DEEP_SHELL]).replace(f'"{HERE}"', '{"a":' * 973 + "1" + "}" * 973)),
        fixed=True,
    ),
    Shape("arrays of 90 levels", many(request(x=_LIST), "[" * 90 + "]" * 90 + ",", "1")),
    Shape("type that is an array", many(item(type=_LIST), "1,", "1")),
    Shape("a string without end", lambda size: b'{"model":"' + b"A" * size),
    Shape("objects without end", many(request(x=_LIST)[:-2], '{"a":1},')),
]
"""JSON at the limits of readers, and JSON that is none."""

CALLS_AND_FILES = [
    Shape("commands of a shell call", long(item(**_SHELL_CALL), last=_EMOJI)),
    Shape("arguments", long(item(**_CALL), "a\\\\n", '\\"}', '{\\"a\\":\\"')),
    Shape("arguments of empty arrays", long(item(**_CALL), "[],", "1]", "[")),
    Shape("arguments that break off", long(item(**_CALL), "[],", first='{\\"a\\":[')),
    Shape("input of a custom tool", long(item(**_CUSTOM_CALL), last=_EMOJI)),
    Shape("diff of a patch, with an emoji", long(item(**_PATCH_CALL), last=_EMOJI)),
    Shape("arguments with an emoji", long(item(**_CALL), last=_EMOJI + '\\"}', first='{\\"a\\":\\"')),
    Shape(
        "output of a call, with an emoji", long(request(input=[_PAST_CALL, {**_OUTPUT, "output": HERE}]), last=_EMOJI)
    ),
    Shape(
        "output of a shell, with an emoji",
        long(
            request(
                input=[
                    {**_SHELL_CALL, "action": {"commands": ["ls"]}},
                    {"type": "shell_call_output", "call_id": "a", "output": [_SHELL_OUTPUT]},
                ]
            ),
            last=_EMOJI,
        ),
    ),
    Shape("base64 with blanks", long(parts(_FILE), "Q U F B ", first="data:text/plain;base64,")),
    Shape("a file of percent signs", long(parts(_FILE), "%41", first="data:text/plain,")),
    Shape("a data URL of semicolons", long(parts(_FILE), ";", ",QQ==", "data:text/plain")),
    Shape("the model calls a function", small(request(tools=[_FUNCTION])), fixed=True, calls="f"),
    Shape("the model calls the shell", small(request(tools=[{"type": "shell"}])), fixed=True, calls="shell"),
]
"""Calls and files, and what a model writes."""

SHAPES = [*HONEST, *LONG_NAMES, *LONG_TEXTS, *MANY, *NUMBERS_AND_NESTING, *CALLS_AND_FILES]
