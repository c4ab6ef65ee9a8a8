"""Long requests, one entry for each dimension in which one can be long (see `linear`).

A generator takes n and gives the fields of a request. The work is all that becomes of it but what waits: from its bytes
to those of the chat request, of the stored items, of what the response repeats, and the report.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

import msgspec

from responses_shim.asgi.body import parse_json
from responses_shim.core.request.content import MAX_MEDIA
from responses_shim.core.request.messages import MAX_CALLS
from responses_shim.core.request.parse import MAX_FIELDS, MAX_STOP, check_strings, parse_request
from responses_shim.core.request.prepare import encode_echo, prepare
from responses_shim.core.request.stored_input import stored_input
from responses_shim.core.request.unread import unread_fields
from responses_shim.core.wire.json_limits import check_json_limits
from responses_shim.core.wire.large_json import encode_large
from responses_shim.errors import InvalidRequest
from responses_shim.hosts import generic, llama_cpp
from responses_shim.hosts.profile import HostProfile
from responses_shim.settings import Settings

from .dimension import Dimension, Work

Json = dict[str, Any]
Fields = Callable[[int], Json]
"""From n to the fields of a request."""

LIMITS = Settings()
"""The default limits, which a request of length 2n keeps at `growth` 5."""


# The work ------------------------------------------------------------------------------------------------------------


def translate(body: bytes, profile: HostProfile, history: Sequence[Json]) -> None:
    """Do all that is done with the body of a request. Raises InvalidRequest."""
    check_json_limits(body, LIMITS.max_text, LIMITS.max_nodes, LIMITS.max_values)
    data = parse_json(body)
    check_strings(data)
    request = parse_request(data)
    prepared = prepare(request, history=history, options=profile.policy, response_id="resp_1", created_at=0)
    encode_echo(prepared.response, prepared.tools, LIMITS.max_body, len(body))
    encode_large(profile.adapt(prepared.chat, prepared.report))
    for path in unread_fields(data):
        prepared.report.dropped(path)
    prepared.report.header()
    number = count().__next__
    for _, item in stored_input(request.input, lambda prefix: f"{prefix}_{number()}"):
        msgspec.json.encode(item)


def translation(
    fields: Json, *, profile: HostProfile = generic.PROFILE, refused: bool = False, history: Sequence[Json] = ()
) -> Work:
    """The translation of a request with these fields. `refused`: it ends in an error of the client's."""
    body = json.dumps({"model": "m", "input": "Hi", **fields}, separators=(",", ":")).encode()

    def work() -> None:
        try:
            translate(body, profile, history)
        except InvalidRequest:
            assert refused
        else:
            assert not refused

    return work


def dimension(name: str, size: int, fields: Fields, **how: Any) -> Dimension:
    """A dimension of requests: `fields(n)` makes one of length n; `how` are arguments of `translation`."""
    return Dimension(f"request, {name}", size, lambda n: translation(fields(n), **how))


def field(name: str, value: Callable[[int], Any]) -> Fields:
    """A request whose field of that name is `value(n)`."""
    return lambda n: {name: value(n)}


def items(*each: Json) -> Fields:
    """A request with n of each of these items, `%d` in a string of theirs being the number; all of the first before."""
    return lambda n: {"input": [*_numbered(each, n)]}


def in_turns(*each: Json) -> Fields:
    """The same, one of each in turns."""
    return lambda n: {"input": [item for number in range(n) for item in _with_number(each, number)]}


def tools(*each: Json, first: Sequence[Json] = ()) -> Fields:
    """A request with n of each of these tools, behind `first`."""
    return lambda n: {"tools": [*first, *_numbered(each, n)]}


def content(part: Json, role: str = "user") -> Fields:
    """A request with a message of n such parts."""
    return lambda n: {"input": [{"role": role, "content": [part] * n}]}


def schema(value: Callable[[int], Json], count: int = 1) -> Fields:
    """A request with so many functions that have the schema `value(n)`."""
    return lambda n: {"tools": [{**function(f"f{number}"), "parameters": value(n)} for number in range(count)]}


def _numbered(each: Iterable[Json], n: int) -> Iterable[Json]:
    for item in each:
        for number in range(n):
            yield from _with_number([item], number)


def _with_number(each: Iterable[Json], number: int) -> list[Json]:
    made: list[Json] = json.loads(json.dumps([*each]).replace("%d", str(number)))
    return made


# What requests are made of -------------------------------------------------------------------------------------------


def message(text: str, role: str = "user") -> Json:
    """A message."""
    return {"role": role, "content": text}


def function(name: str, **fields: Any) -> Json:
    """The declaration of a function."""
    return {"type": "function", "name": name, **fields}


def call(arguments: str = "{}", name: str = "f", **fields: Any) -> Json:
    """A past call of a function."""
    return {"type": "function_call", "call_id": "call_%d", "name": name, "arguments": arguments} | fields


OUTPUT = {"type": "function_call_output", "call_id": "call_%d", "output": "x"}
CUSTOM_CALL = {"type": "custom_tool_call", "call_id": "call_%d", "name": "c", "input": "x"}
REASONING = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "x"}]}
TEXT = {"type": "input_text", "text": "x"}
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,QQ=="}
NAMESPACE = {"type": "namespace", "name": "n%d", "tools": [function("f")]}
SEARCH = {"type": "tool_search", "execution": "client"}
PATCH = {"type": "update_file", "path": "a", "diff": "x"}


def reversed_calls(n: int) -> Json:
    """n outputs, then their calls in the opposite order."""
    outputs, calls = [*_numbered([OUTPUT], n)], [*_numbered([call()], n)]
    return {"input": [*outputs, *reversed(calls)]}


def outputs_of_one_call(n: int) -> Json:
    """A call, and n outputs of it."""
    return {"input": [call(call_id="a"), *[{**OUTPUT, "call_id": "a"}] * n]}


def outputs_by_item(n: int) -> Json:
    """n calls with ids of their items, and n outputs that name these ids instead of the calls'."""
    output = {"type": "function_call_output", "id": "fc_%d", "output": "x"}
    return {"input": [*_numbered([call(id="fc_%d"), output], n)]}


def chat_calls(n: int) -> Json:
    """An assistant message with n calls, as in chat completions, and messages that answer them."""
    calls = [{"id": f"call_{number}", "function": {"name": "f", "arguments": "{}"}} for number in range(n)]
    answers = [{"role": "tool", "tool_call_id": f"call_{number}", "content": "x"} for number in range(n)]
    return {"input": [{"role": "assistant", "content": None, "tool_calls": calls}, *answers]}


def shell_call(n: int) -> Json:
    """A call of the shell with n commands, and an output with what n commands printed."""
    printed = {"stdout": "x", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}
    made = {"type": "shell_call", "call_id": "a", "action": {"commands": ["ls"] * n}}
    return {"input": [made, {"type": "shell_call_output", "call_id": "a", "output": [printed] * n}]}


def allowed(choice: Json) -> Fields:
    """n functions in a namespace, of which n times the same choice is allowed."""
    namespace = {"type": "namespace", "name": "n"}
    return lambda n: {
        "tools": [{**namespace, "tools": [*_numbered([function("f%d")], n)]}],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [*_numbered([choice], n)]},
    }


def calls_of_many_tools(n: int) -> Json:
    """n functions with names that hosts do not take, and n past calls of them."""
    return {"tools": [*_numbered([function("a.f%d")], n)], "input": [*_numbered([call(name="a.f%d")], n)]}


def found_tools(n: int) -> Json:
    """A search for tools that has found n of them."""
    search = {"type": "tool_search_call", "call_id": "a", "execution": "client", "arguments": {}}
    found = {"type": "tool_search_output", "call_id": "a", "execution": "client"}
    declared = [*_numbered([function("f%d")], n)]
    return {"tools": [SEARCH], "input": [message("Hi"), search, {**found, "tools": declared}]}


def properties(n: int) -> Json:
    """A schema with n properties."""
    return {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(n)}}


def nested(n: int) -> Json:
    """A schema of n arrays in one another."""
    inner: Json = {"type": "string"}
    for _ in range(n):
        inner = {"type": "array", "items": inner}
    return inner


def definitions(n: int) -> Json:
    """A schema with n definitions, each of which refers to the next."""
    chain: Json = {f"d{number}": {"$ref": f"#/$defs/d{number + 1}"} for number in range(n)}
    return {"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": {**chain, f"d{n}": {}}}


def answer_format(value: Callable[[int], Json]) -> Fields:
    """A request for an answer in the format of the schema `value(n)`."""
    return lambda n: {"text": {"format": {"type": "json_schema", "name": "n", "schema": value(n)}}}


def functions(n: int) -> list[Json]:
    """n functions."""
    return [*_numbered([function("f%d")], n)]


def additional(n: int) -> Json:
    """An item that declares n functions."""
    return {"type": "additional_tools", "tools": functions(n)}


def history(n: int) -> Work:
    """A request that continues n items."""
    return translation({}, history=[*_numbered([message("x%d"), call(), OUTPUT], n)])


# The dimensions ------------------------------------------------------------------------------------------------------

DIMENSIONS = [
    # text
    dimension("characters of instructions", 1_000_000, field("instructions", lambda n: "x" * n)),
    dimension("characters of input", 1_000_000, field("input", lambda n: "x" * n)),
    dimension("characters of input, with an emoji", 500_000, field("input", lambda n: "x" * n + "😀")),
    dimension("escapes", 200_000, field("input", lambda n: "\n" * n)),
    dimension("halves of surrogate pairs", 50_000, field("input", lambda n: "\ud83d" * n)),
    dimension("characters of a data URL", 1_000_000, lambda n: content({**IMAGE, "image_url": "data:," + "x" * n})(1)),
    dimension("characters of a value that is refused", 500_000, field("truncation", lambda n: "x" * n), refused=True),
    # items and parts
    dimension("messages", 3_000, items(message("x"))),
    dimension("messages of user and assistant", 1_000, in_turns(message("x"), message("y", "assistant"))),
    dimension("messages of the assistant", 3_000, items(message("y", "assistant"))),
    dimension("system messages", 3_000, items(message("x", "system"))),
    dimension("messages without text", 3_000, items(message(""))),
    dimension("reasoning items", 1_000, items(REASONING)),
    dimension("items of a type without effect", 1_500, items({"type": "web_search_call", "id": "ws_%d"}, message("x"))),
    dimension("items of unknown types", 1_500, items({"type": "x%d"}, message("x"))),
    dimension("items without a type", 2_000, items({"call_id": "call_%d", "name": "f", "arguments": "{}"})),
    dimension("items of other agents", 1_200, items({"type": "agent_message", "author": "a", "content": [TEXT]})),
    dimension("items of one id", 2_000, items({**message("x"), "id": "msg_1"})),
    dimension("text parts", 3_000, content(TEXT)),
    dimension("text parts of the assistant", 3_000, content({"type": "output_text", "text": "x"}, "assistant")),
    dimension("images", MAX_MEDIA // 10, content(IMAGE)),
    Dimension("request, items of the history", 1_000, history),
    # calls and outputs
    dimension("calls, each with its output", 1_000, in_turns(call(), OUTPUT)),
    dimension("calls, then their outputs", 1_000, items(call(), OUTPUT)),
    dimension("outputs, then their calls", 1_000, items(OUTPUT, call())),
    dimension("outputs before their calls, reversed", 1_000, reversed_calls),
    dimension("calls, messages between, then outputs", 700, items(call(), message("x"), OUTPUT)),
    dimension("calls of one id", 1_500, items(call(call_id="a"))),
    dimension("outputs of one call", 1_500, outputs_of_one_call),
    dimension("outputs that name the items of their calls", 900, outputs_by_item),
    dimension("calls that broke off", 1_500, items(call('{"a": "'))),
    dimension("characters of arguments", 500_000, lambda n: items(call(json.dumps({"a": "x" * n})))(1)),
    dimension("arrays in arguments", 100_000, lambda n: items(call(json.dumps({"a": [[]] * n})))(1)),
    dimension("characters of arguments that broke off", 500_000, lambda n: items(call('{"a": "' + "x" * n))(1)),
    dimension("calls of a custom tool", 1_500, items(CUSTOM_CALL)),
    dimension(
        "characters of the input of a custom tool", 500_000, lambda n: items({**CUSTOM_CALL, "input": "x" * n})(1)
    ),
    dimension("calls of an assistant message", MAX_CALLS // 10, chat_calls),
    dimension("commands of the shell, and what they printed", 1_200, shell_call),
    dimension("patches", 1_000, items({"type": "apply_patch_call", "call_id": "call_%d", "operation": PATCH})),
    dimension("parts of an output", 3_000, lambda n: items(call(), {**OUTPUT, "output": [TEXT] * n})(1)),
    dimension("images of an output", MAX_MEDIA // 10, lambda n: items(call(), {**OUTPUT, "output": [IMAGE] * n})(1)),
    # tools
    dimension("functions", 400, tools(function("f%d"))),
    dimension("functions of one name", 400, tools(function("f"))),
    dimension("functions whose names hosts do not take", 400, tools(function("a.f%d"))),
    dimension("functions with the names of those in namespaces", 200, tools(NAMESPACE, function("n%d__f"))),
    dimension("too many functions", 4_000, lambda n: tools(function("f%d"))(n + 5_000), refused=True),
    dimension("nested declarations", 400, tools({"type": "function", "function": {"name": "f%d"}})),
    dimension("deferred functions", 400, tools(function("f%d", defer_loading=True), first=[SEARCH])),
    dimension("custom tools", 400, tools({"type": "custom", "name": "c%d"})),
    dimension("namespaces", 400, tools(NAMESPACE)),
    dimension("functions of a namespace", 400, lambda n: {"tools": [{**NAMESPACE, "tools": functions(n)}]}),
    dimension("tools that are not run here", 400, tools({"type": "web_search"})),
    dimension("tools of additional_tools", 400, lambda n: {"input": [message("x"), additional(n)]}),
    dimension("items of additional_tools", 400, lambda n: {"input": [message("x"), *([additional(1)] * n)]}),
    dimension("tools that a search found", 400, found_tools),
    dimension("past calls of as many tools", 400, calls_of_many_tools),
    dimension("functions that are allowed", 400, allowed({"type": "function", "name": "f%d", "namespace": "n"})),
    dimension("functions that are allowed by another name", 400, allowed({"type": "function", "name": "f%d"})),
    dimension("namespaces that are allowed", 400, allowed({"type": "namespace", "name": "n"})),
    dimension("characters of a description", 1_000_000, lambda n: tools(function("f", description="x" * n))(1)),
    # schemas
    dimension("properties of a schema", 3_000, schema(properties)),
    dimension("properties of a schema, llama.cpp", 3_000, schema(properties), profile=llama_cpp.PROFILE),
    dimension("levels of 100 schemas", 8, schema(nested, 100)),
    dimension("levels of 100 schemas, llama.cpp", 8, schema(nested, 100), profile=llama_cpp.PROFILE),
    dimension("entries of an enumeration", 50_000, schema(lambda n: {"enum": ["x"] * n})),
    dimension("schemas of a union", 3_000, schema(lambda n: {"anyOf": [{"type": "string"}] * n})),
    dimension("definitions of a schema", 3_000, schema(definitions)),
    dimension("definitions of a schema, llama.cpp", 3_000, schema(definitions), profile=llama_cpp.PROFILE),
    dimension("properties of an answer's format", 3_000, answer_format(properties)),
    dimension(
        "properties of an answer's format, llama.cpp", 3_000, answer_format(properties), profile=llama_cpp.PROFILE
    ),
    dimension("levels of an answer's format, llama.cpp", 8, answer_format(nested), profile=llama_cpp.PROFILE),
    dimension(
        "characters of a pattern, llama.cpp",
        200_000,
        answer_format(lambda n: {"type": "string", "pattern": f"^({'a|' * n})$"}),
        profile=llama_cpp.PROFILE,
    ),
    # anything else
    dimension("unknown keys", MAX_FIELDS // 11, lambda n: {f"k{number}": 1 for number in range(n)}),
    dimension(
        "unknown keys of an item", 9_000, lambda n: {"input": [{**message("x"), **{f"k{k}": 1 for k in range(n)}}]}
    ),
    dimension("items with an unknown key", 2_000, items({**message("x"), "k%d": 1})),
    dimension("characters of an unknown key", 1_000_000, lambda n: {"x" * n: 1}),
    dimension("metadata", 9_000, lambda n: {"metadata": {f"k{k}": "v" for k in range(n + 16)}}, refused=True),
    dimension("characters of metadata", 500_000, lambda n: {"metadata": {"k": "x" * (n + 512)}}, refused=True),
    dimension("entries of include", 50_000, field("include", lambda n: ["reasoning.encrypted_content"] * n)),
    dimension("entries of stop", 50_000, field("stop", lambda n: ["x"] * (n + MAX_STOP)), refused=True),
    dimension("empty arrays", 9_000, field("x", lambda n: [[]] * n)),
    dimension("numbers", 90_000, field("x", lambda n: [1.5] * n)),
    dimension(
        "arrays of 90 levels", 100, field("x", lambda n: json.loads("[" + ",".join(["[" * 90 + "]" * 90] * n) + "]"))
    ),
    dimension("digits of numbers", 1_000, field("x", lambda n: [10**99] * n)),
]
