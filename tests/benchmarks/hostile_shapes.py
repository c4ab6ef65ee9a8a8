"""Requests that are meant to hurt: each has another part of the body grow."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Body = Callable[[int], bytes]
"""From a number of bytes to a body of about as many."""

HERE = "@"
"""What a request has in the place of the part that grows."""


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


# Making bodies -------------------------------------------------------------------------------------------------------


def request(**fields: Any) -> str:
    """A request as JSON."""
    return json.dumps({"model": "m", "stream": True, "input": "Hi", **fields})


def item(**fields: Any) -> str:
    """A request with an item behind its message."""
    return request(input=[{"role": "user", "content": "Hi"}, fields])


def parts(*parts: Any) -> str:
    """A request with a message of these parts."""
    return request(input=[{"role": "user", "content": parts}])


def many(text: str, unit: str, last: str = "", first: str = "") -> Body:
    """The request `text` with as many of `unit` as fit in the place of `"@"`, between `first` and `last`."""
    head, tail = text.split(f'"{HERE}"')

    def body(size: int) -> bytes:
        data = unit.encode()
        return (head + first).encode() + data * (size // len(data)) + (last + tail).encode()

    return body


def long(text: str, unit: str = "A", last: str = "", first: str = "") -> Body:
    """The same in a string."""
    return many(text, unit, f'{last}"', f'"{first}')


def numbered(text: str, unit: str) -> Body:
    """The same with units in which `%d` is a number, another one in each, separated by commas."""
    head, tail = text.split(f'"{HERE}"')

    def body(size: int) -> bytes:
        return (head + ",".join(unit % number for number in range(size // (len(unit) + 4))) + tail).encode()

    return body


def small(text: str) -> Body:
    """A request that does not grow."""
    return lambda size: text.encode()


def late_calls(size: int) -> bytes:
    """Outputs of calls that come in the opposite order behind them."""
    pair = range(size // 110)
    outputs = [{"type": "function_call_output", "call_id": f"c{n}", "output": ""} for n in pair]
    calls = [{"type": "function_call", "call_id": f"c{n}", "name": "f", "arguments": "{"} for n in reversed(pair)]
    return request(input=outputs + calls).encode()


def allowed_namespaces(size: int) -> bytes:
    """Tools of one namespace, and a `tool_choice` that allows that namespace again and again."""
    count = size // 80
    tools = [{"type": "function", "name": f"f{number}"} for number in range(count)]
    allowed = [{"type": "namespace", "name": "n"}] * count
    return request(
        tools=[{"type": "namespace", "name": "n", "tools": tools}],
        tool_choice={"type": "allowed_tools", "mode": "auto", "tools": allowed},
    ).encode()


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
_LIST = [HERE]
_DEEP_SHELL = {"type": "shell", "description": HERE}
_MESSAGE = '{"role":"user","content":""}'
_DEFERRED = '{"type":"function","name":"f%d","defer_loading":true}'
_EMOJI = "😀"

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
    Shape("base64 with blanks", long(parts(_FILE), "Q U F B ", first="data:text/plain;base64,")),
    Shape("a file of percent signs", long(parts(_FILE), "%41", first="data:text/plain,")),
    Shape("a data URL of semicolons", long(parts(_FILE), ";", ",QQ==", "data:text/plain")),
    Shape("the model calls a function", small(request(tools=[_FUNCTION])), fixed=True, calls="f"),
    Shape("the model calls the shell", small(request(tools=[{"type": "shell"}])), fixed=True, calls="shell"),
]
"""Calls and files, and what a model writes."""

SHAPES = [*HONEST, *LONG_NAMES, *LONG_TEXTS, *MANY, *NUMBERS_AND_NESTING, *CALLS_AND_FILES]
