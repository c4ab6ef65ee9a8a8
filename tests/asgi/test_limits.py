"""Requests beyond a limit are one 4xx each, which names the field; nothing that a client sends is a 500."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from responses_shim import RequestView, ResponsesShim
from responses_shim.asgi.body import allowed_nodes
from responses_shim.asgi.large_request import ITEM_SIZE, MAX_ITEMS
from responses_shim.core.request.content import MAX_MEDIA
from responses_shim.core.request.parse import MAX_FIELDS
from responses_shim.core.tools.declarations import MAX_TOOLS
from responses_shim.core.wire.validation import MAX_DEPTH, MAX_STRING
from responses_shim.runtime.files import MAX_FILENAME
from responses_shim.runtime.offload import INLINE_LIMIT
from tests.benchmarks.hostile_shapes import SHAPES, Shape
from tests.caller import Reply, request
from tests.oracle import check_error, check_response
from tests.scripted import ScriptedHost

REQUEST = {"model": "scripted", "input": "Hi"}
JSON = {"content-type": "application/json"}
CALL = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
FUNCTION = {"type": "function", "name": "f"}


async def send(body: bytes, path: str = "/v1/responses", headers: dict[str, str] = JSON, **options: Any) -> Reply:
    return await request(ResponsesShim(ScriptedHost(), **options), "POST", path, body=body, headers=headers)


async def refusal(body: bytes, **options: Any) -> tuple[int, str, str | None, str]:
    """Status, code, param and message of the error that a body gets."""
    reply = await send(body, **options)
    check_error(reply.json)
    error = reply.json["error"]
    return reply.status, error["code"], error["param"], error["message"]


def body_of(**fields: Any) -> bytes:
    return json.dumps({**REQUEST, **fields}).encode()


def item(**fields: Any) -> bytes:
    return body_of(input=[{"role": "user", "content": "Hi"}, fields])


def file(**fields: Any) -> bytes:
    return body_of(input=[{"role": "user", "content": [{"type": "input_file", **fields}]}])


async def unchanged(view: RequestView, headers: Mapping[str, str]) -> None:
    """An interceptor that changes nothing."""


def nested(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {"a": value}
    return value


# Each limit ----------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "limits", "message"),
    [
        (body_of(instructions="é" * 100), {"max_text": 100}, "100 bytes of text"),
        (body_of(x=[[]] * 100), {"max_nodes": 100}, "100 arrays, objects and keys"),
        (body_of(x={str(number): 1 for number in range(100)}), {"max_nodes": 100}, "100 arrays, objects and keys"),
        (body_of(x=[10**50] * 60), {"max_nodes": 100}, "100 arrays, objects and keys"),
        (body_of(x=[1] * 200), {"max_values": 100}, "100 values"),
    ],
    ids=["text", "arrays", "keys", "integers", "values"],
)
async def test_what_a_body_is_made_of_is_limited_by_settings(body: bytes, limits: dict[str, int], message: str) -> None:
    expected = f"The request body has more than the {message} allowed here."
    assert await refusal(body, **limits) == (413, "too_many_values", None, expected)
    assert (await send(body)).status == 200


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"instructions": "a" * 20_000}, "instructions"),
        ({"tools": [{**FUNCTION, "description": "a" * 20_000}]}, "tools"),
        ({"text": {"format": {"type": "json_schema", "name": "n", "schema": {"a": "a" * 20_000}}}}, "text"),
        ({"user": "a" * 20_000}, "user"),
        ({"instructions": "a" * 5_000, "prompt_cache_key": "a" * 5_000}, "prompt_cache_key"),
    ],
)
async def test_what_a_response_repeats_is_limited(fields: dict[str, Any], param: str) -> None:
    body = body_of(**fields)
    message = f"Invalid '{param}': a response repeats at most 9000 bytes of its request here."
    assert await refusal(body, max_echo=9000) == (413, "request_too_large", param, message)
    reply = await send(body)
    check_response(reply.json)
    for name, value in fields.items():
        assert reply.json[name] == value or name in ("tools", "text")


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [True, False])
async def test_large_fields_are_repeated_as_they_came(stream: bool) -> None:
    fields = {
        "instructions": 'é😀"\n' * 50_000,
        "tools": [{**FUNCTION, "description": "a" * 100_000, "parameters": {"type": "object"}, "strict": None}],
        "metadata": {"a": "b"},
        "tool_choice": "auto",
    }
    reply = await send(body_of(stream=stream, **fields))
    responses = (
        [
            event.data["response"]
            for event in reply.events
            if "response" in (event.data if event.data != "[DONE]" else ())
        ]
        if stream
        else [reply.json]
    )
    assert len(responses) == (3 if stream else 1)
    for response in responses:
        check_response(response)
        assert {name: response[name] for name in fields} == fields


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "param", "most"),
    [
        (lambda text: file(file_data="QQ==", filename=text), "input[0].content[0].filename", MAX_FILENAME),
        (lambda text: item(**{**CALL, "arguments": text}), "input[1].arguments", MAX_STRING),
        (lambda text: item(type="custom_tool_call", call_id="a", name="c", input=text), "input[1].input", MAX_STRING),
        (lambda text: item(type="shell_call", call_id="a", action={"commands": [text]}), "input[1].action", MAX_STRING),
        (lambda text: body_of(truncation=text), "truncation", MAX_STRING),
        (lambda text: body_of(reasoning={"effort": text}), "reasoning", MAX_STRING),
        (lambda text: item(type="additional_tools", tools=[{"type": text}]), "input[1].tools", MAX_STRING),
    ],
)
async def test_a_string_that_is_too_long_is_named(body: Any, param: str, most: int) -> None:
    status, code, named, message = await refusal(body("a" * (most + 1)))
    assert (status, code, named) == (400, "string_above_max_length", param)
    assert f"maximum length {most}" in message


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "function", "name": "a" * 257}]}, "tools[0].name"),
        ({"tools": [{"type": "custom", "name": "a" * 257}]}, "tools[0].name"),
        ({"tools": [{"type": "namespace", "name": "a" * 257, "tools": []}]}, "tools[0].name"),
        ({"model": "a" * 4097}, "model"),
    ],
)
async def test_a_name_that_is_too_long_is_named(fields: dict[str, Any], param: str) -> None:
    assert (await refusal(body_of(**fields)))[:3] == (400, "invalid_value", param)


@pytest.mark.anyio
async def test_the_number_of_tools_is_limited() -> None:
    tools = [{**FUNCTION, "name": f"f{number}"} for number in range(MAX_TOOLS)]
    more = {"type": "namespace", "name": "n", "tools": [FUNCTION]}
    assert (await send(body_of(tools=tools))).status == 200
    for extra in (FUNCTION, more):
        error = await refusal(body_of(tools=[*tools, extra]))
        assert error[:3] == (400, "array_above_max_length", f"tools[{MAX_TOOLS}]")


@pytest.mark.anyio
async def test_a_body_may_have_so_much_in_it_as_its_size_allows() -> None:
    dense = body_of(x=[{}] * 30_000)
    allowed = allowed_nodes(len(dense), 100_000)
    assert (len(dense) > INLINE_LIMIT, allowed) == (True, 20_000 + len(dense) // 45)
    message = f"The request body has more than the {allowed} arrays, objects and keys allowed here."
    assert await refusal(dense) == (413, "too_many_values", None, message)
    assert (await send(body_of(x=[{}] * 30_000, y="a" * 1_000_000))).status == 200
    assert (await send(dense, max_nodes=200_000)).status == 200
    assert allowed_nodes(INLINE_LIMIT, 100_000) == allowed_nodes(3_600_000, 100_000) == 100_000


@pytest.mark.anyio
async def test_the_number_of_fields_is_limited() -> None:
    most = {**REQUEST, **{f"k{number}": 1 for number in range(MAX_FIELDS - len(REQUEST))}}
    assert (await send(json.dumps(most).encode())).status == 200
    for text in ("", "a" * INLINE_LIMIT):
        error = await refusal(json.dumps({**most, "x": text}).encode())
        assert error[:3] == (400, "object_above_max_properties", None)


@pytest.mark.anyio
async def test_the_number_of_items_is_limited_by_the_size_of_the_body() -> None:
    short = [{"role": "user", "content": "a" * 20}] * MAX_ITEMS
    assert (await send(body_of(input=short))).status == 200
    message = f"Invalid 'input': array too long. Expected an array with maximum length {MAX_ITEMS}."
    for interceptors in ([], [unchanged]):
        error = await refusal(body_of(input=[*short, *short]), interceptors=interceptors)
        assert error == (400, "array_above_max_length", "input", message)
    assert (await send(body_of(input=[{"role": "user", "content": "a" * ITEM_SIZE}] * (2 * MAX_ITEMS)))).status == 200


@pytest.mark.anyio
async def test_the_number_of_images_is_limited() -> None:
    image = {"type": "input_image", "image_url": "https://example.com/a.png"}
    most = {"role": "user", "content": [image] * MAX_MEDIA}
    assert (await send(body_of(input=[most]))).status == 200
    output = {"type": "function_call_output", "call_id": "a", "output": [image]}
    for more, param in (({"role": "user", "content": [image]}, "content[0]"), (output, "output[0]")):
        error = await refusal(body_of(input=[CALL, most, more]))
        assert error[:3] == (400, "array_above_max_length", f"input[2].{param}")


@pytest.mark.anyio
@pytest.mark.parametrize("depth", [MAX_DEPTH, 480, 973])
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (lambda deep: {"tools": [FUNCTION, {"type": "web_search", "filters": deep}]}, "tools[1]"),
        (lambda deep: {"tools": [{**FUNCTION, "parameters": deep}]}, "tools[0]"),
        (lambda deep: {"tools": [{"type": "shell", "description": deep}]}, "tools[0]"),
        (lambda deep: {"tools": [FUNCTION], "tool_choice": {**FUNCTION, "x": deep}}, "tool_choice"),
        (lambda deep: {"text": {"format": {"type": "json_schema", "name": "a", "schema": deep}}}, "text"),
        (lambda deep: {"input": [{"type": "shell_call", "call_id": "a", "action": deep}]}, "input[0]"),
        (lambda deep: {"input": [{"type": "tool_search_call", "call_id": "a", "arguments": deep}]}, "input[0]"),
        (lambda deep: {"input": [{"role": "user", "content": "Hi", "routed_experts": deep}]}, "input[0]"),
        (lambda deep: {"metadata": deep}, "metadata"),
        (lambda deep: {"unknown": deep}, "unknown"),
    ],
)
@pytest.mark.parametrize("intercepted", [False, True])
async def test_what_is_nested_too_deep_is_named(fields: Any, param: str, depth: int, intercepted: bool) -> None:
    options = {"interceptors": [unchanged]} if intercepted else {}
    text = json.dumps({**REQUEST, **fields("@")}).replace('"@"', '{"a":' * depth + "1" + "}" * depth)
    status, code, named, message = await refusal(text.encode(), **options)
    assert (status, code) == (400, "invalid_value")
    assert named == param or (named is None and depth > 900)
    assert "nested more than 100 levels deep" in message


@pytest.mark.anyio
async def test_what_an_interceptor_nests_too_deep_is_its_own_fault() -> None:
    async def nest(view: RequestView, headers: Any) -> None:
        view.extra["x"] = nested(MAX_DEPTH)

    reply = await send(body_of(), interceptors=[nest])
    assert (reply.status, reply.json["error"]["type"]) == (500, "server_error")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b'{"model": "m", "input": "\\ud83d\\ude00", "x": 1e999}', "invalid_json", "out of range"),
        (b'{"model": "m", "input": "\\ud83d", "x": -1e999}', "invalid_json", "out of range"),
        (b'{"model": "m", "input": "\\ud83d\x01"}', "invalid_json", ""),
        (b'{"model": "m", "input": "Hi", "x": 1e999}', "invalid_json", "out of range"),
        (b'{"model": "m", "input": "Hi", "seed": %b}' % (b"9" * 5000), "invalid_value", "100 digits"),
        (b'{"model": "m", "input": "Hi", "seed": %b}' % (b"9" * 101), "invalid_value", "100 digits"),
        (b'{"model": "m", "input": "Hi", "x": [0.%b]}' % (b"9" * 5000), "invalid_value", "100 digits"),
    ],
)
async def test_numbers_that_no_reader_takes_are_400(body: bytes, code: str, words: str) -> None:
    status, given_code, param, message = await refusal(body)
    assert (status, given_code, param) == (400, code, None)
    assert words in message


@pytest.mark.anyio
@pytest.mark.parametrize("digits", [20, 21, 100])
async def test_a_long_integer_comes_back_as_it_was(digits: int) -> None:
    tools = [{**FUNCTION, "parameters": {"type": "object", "maximum": int("9" * digits)}}]
    assert (await send(body_of(tools=tools))).json["tools"][0]["parameters"] == tools[0]["parameters"]


@pytest.mark.anyio
@pytest.mark.parametrize("value", [[], {}, [[]], 5, True, 1e300], ids=str)
async def test_a_type_that_is_no_string_is_named(value: Any) -> None:
    assert (await refusal(item(type=value)))[:3] == (400, "invalid_type", "input[1].type")
    assert (await refusal(body_of(tools=[{"type": value}])))[:3] == (400, "invalid_value", "tools[0].type")
    part = [{"type": value, "text": "a"}]
    named = (400, "invalid_value", "input[0].content[0].type")
    assert (await refusal(body_of(input=[{"role": "user", "content": part}])))[:3] == named
    allowed = {"type": "allowed_tools", "tools": [{"type": value, "name": "f"}]}
    assert (await send(body_of(tools=[FUNCTION], tool_choice=allowed))).status == 200
    choice = {"type": value, "name": "f"}
    assert (await refusal(body_of(tools=[FUNCTION], tool_choice=choice)))[0] == 400


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/v1/responses/\udcff", "/v1/responses/" + "a\ud800" * 10_000, "/v1/conversations/é"])
async def test_a_path_may_be_long_and_hold_anything(path: str) -> None:
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def answer(message: Any) -> None:
        sent.append(message)

    await ResponsesShim(ScriptedHost())(scope, receive, answer)
    assert sent[0]["status"] == 404
    assert len(sent[1]["body"]) < 3000
    check_error(json.loads(sent[1]["body"]))


# Whatever comes ------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
async def test_a_hostile_request_is_answered_or_refused_in_few_words(shape: Shape) -> None:
    data, _ = shape.packed(120_000)
    headers = {**JSON, "content-encoding": ", ".join(shape.coding)}
    reply = await send(data, shape.path.split("%")[0], headers, host=shape.host, auth_probe="off")
    assert len(reply.headers.get("responses-shim-report", "")) <= 2048
    if reply.status != 200:
        assert 400 <= reply.status < 500
        check_error(reply.json)
        assert len(json.dumps(reply.json)) < 3000


RICH: list[dict[str, Any]] = [
    {
        **REQUEST,
        "instructions": "Be brief.",
        "tools": [
            {**FUNCTION, "parameters": {"type": "object"}, "strict": True},
            {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "regex", "definition": "a+"}},
            {"type": "namespace", "name": "n", "tools": [{**FUNCTION, "name": "g"}]},
            {"type": "shell", "environment": {"type": "local"}},
            {"type": "tool_search", "execution": "client"},
            {"type": "web_search"},
        ],
        "tool_choice": {
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [FUNCTION, {"type": "namespace", "name": "n"}],
        },
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "metadata": {"a": "b"},
    },
    {
        **REQUEST,
        "input": [
            {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
            {
                "role": "user",
                "content": [{"type": "input_image", "image_url": "data:image/png;base64,QQ==", "detail": "low"}],
            },
            {
                "role": "user",
                "content": [{"type": "input_file", "file_data": "data:text/plain;base64,QQ==", "filename": "a"}],
            },
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}], "encrypted_content": "x"},
            CALL,
            {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "a"}]},
            {"type": "custom_tool_call", "call_id": "b", "name": "c", "input": "a"},
            {"type": "custom_tool_call_output", "call_id": "b", "output": "a"},
            {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"], "timeout_ms": 1}},
            {
                "type": "shell_call_output",
                "call_id": "c",
                "output": [{"stdout": "", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
            },
            {
                "type": "local_shell_call",
                "id": "i",
                "call_id": "d",
                "action": {"type": "exec", "command": ["ls"], "env": {"A": "b"}},
            },
            {"type": "local_shell_call_output", "id": "i", "output": "a"},
            {"type": "apply_patch_call", "call_id": "e", "operation": {"type": "delete_file", "path": "a"}},
            {"type": "apply_patch_call_output", "call_id": "e", "status": "failed", "output": "a"},
            {"type": "tool_search_call", "call_id": "f", "arguments": {"query": "a"}},
            {"type": "tool_search_output", "call_id": "f", "tools": [FUNCTION]},
            {"type": "additional_tools", "role": "developer", "tools": [{**FUNCTION, "name": "h"}]},
            {
                "type": "agent_message",
                "author": "a",
                "recipient": "b",
                "content": [{"type": "input_text", "text": "a"}],
            },
            {
                "role": "assistant",
                "content": "a",
                "reasoning": "b",
                "tool_calls": [{"id": "g", "function": {"name": "f", "arguments": "{"}}],
            },
            {"role": "tool", "tool_call_id": "g", "content": "a"},
            {"type": "newer", "role": "user", "content": "a"},
        ],
    },
]
"""Requests with something of everything, in which a value is replaced by another."""

STRANGE = st.sampled_from(
    [
        *(None, True, 0, -1, 10**30, 1e300, "", "a", "\0", "{", "😀", "\ud83d", "a" * 3000, "[" * 2000, "9" * 5000),
        *("function", "namespace", "shell", "input_file", "message", "newer"),
        *([], {}, [[]], [None], [{}], {"a": 1}, {"": ""}, nested(90), [FUNCTION], [CALL, CALL]),
        *({"role": "user"}, {"type": []}, [{"type": {}}], {"type": "namespace"}, {"type": "function"}),
    ]
)


def places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Each array or object in `data` with each of its indices or keys."""
    for key in list(data if isinstance(data, dict) else range(len(data))):
        yield data, key
        if isinstance(data[key], (dict, list)):
            yield from places(data[key])


@given(
    rich=st.sampled_from(RICH),
    changes=st.lists(
        st.tuples(st.integers(0, 10**6), STRANGE, st.sampled_from(["set", "add"])), min_size=1, max_size=3
    ),
    stream=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_no_value_anywhere_is_more_than_a_400(
    rich: dict[str, Any], changes: list[tuple[int, Any, str]], stream: bool
) -> None:
    body = deepcopy({**rich, "stream": stream})
    for number, value, how in changes:
        found = list(places(body))
        container, key = found[number % len(found)]
        if how == "set":
            container[key] = deepcopy(value)
        elif isinstance(container, dict):
            container[value if isinstance(value, str) else "type"] = deepcopy(value)
        else:
            container.append(deepcopy(value))
    reply = anyio.run(send, json.dumps(body).encode())
    if reply.status != 200:
        assert 400 <= reply.status < 500, reply.json
        check_error(reply.json)
        assert len(reply.body) < 2000
