"""A request body must be JSON within the size limit, and a valid request; else a 4xx says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from responses_shim import Interceptor, RequestView, ResponsesShim
from responses_shim.runtime.offload import INLINE_LIMIT
from tests.caller import Reply, post, request
from tests.offloading import watch_offloaded
from tests.oracle import check_error, check_response
from tests.scripted import ScriptedHost

pytestmark = pytest.mark.anyio

REQUEST = {"model": "scripted", "input": "Hi"}
JSON = {"content-type": "application/json"}


async def send(body: bytes | list[bytes], *, host: ScriptedHost | None = None, **options: Any) -> Reply:
    app = ResponsesShim(host or ScriptedHost(), **options.pop("settings", {}))
    return await request(app, "POST", "/v1/responses", body=body, **{"headers": JSON, **options})


async def refusal(body: bytes | list[bytes], status: int, **options: Any) -> dict[str, Any]:
    """The error that the body gets; the host has not been called."""
    host = ScriptedHost()
    reply = await send(body, host=host, **options)
    check_error(reply.json)
    assert reply.status == status
    assert not host.requests
    error: dict[str, Any] = reply.json["error"]
    assert error["type"] == "invalid_request_error"
    return error


def body_of(**fields: Any) -> bytes:
    return json.dumps({**REQUEST, **fields}).encode()


# Media type ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json"],
)
async def test_json_media_types_are_accepted(content_type: str) -> None:
    check_response((await send(body_of(), headers={"content-type": content_type})).json)


@pytest.mark.parametrize("content_type", ["text/plain", "application/jsonp", "multipart/form-data; boundary=x", ""])
async def test_another_media_type_is_415(content_type: str) -> None:
    error = await refusal(body_of(), 415, headers={"content-type": content_type})
    assert error["code"] == "unsupported_content_type"
    assert content_type.split(";")[0] in error["message"]


async def test_a_missing_media_type_is_415() -> None:
    assert "none was sent" in (await refusal(body_of(), 415, headers={}))["message"]


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
async def test_content_encoding_may_be_identity_or_empty(coding: str) -> None:
    check_response((await send(body_of(), headers={**JSON, "content-encoding": coding})).json)


# Size ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", ["101", "9" * 30, "9" * 5000])
async def test_a_content_length_over_the_limit_is_413_before_the_body_is_read(length: str) -> None:
    body = [b"not read"]
    error = await refusal(body, 413, headers={**JSON, "content-length": length}, settings={"max_body": 100})
    assert error["code"] == "request_too_large"
    assert "100 bytes" in error["message"]


@pytest.mark.parametrize("body", [[b" " * 101], [b" " * 60, b" " * 41], [b" "] * 101], ids=["one", "two", "many"])
@pytest.mark.parametrize("headers", [JSON, {**JSON, "content-length": "5"}], ids=["undeclared", "understated"])
async def test_a_body_over_the_limit_is_413(body: list[bytes], headers: dict[str, str]) -> None:
    assert (await refusal(body, 413, headers=headers, settings={"max_body": 100}))["code"] == "request_too_large"


async def test_a_body_of_exactly_the_limit_is_accepted_however_it_is_cut() -> None:
    body = body_of()
    for pieces in ([body], [body[:5], body[5:]], [body[:5], b"", body[5:], b""]):
        check_response((await send(pieces, settings={"max_body": len(body)})).json)


# JSON ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"{'a': 1}", "malformed"),
        (b'{"model": "m", "input": "x"} {}', "trailing"),
        (b'{"model": "m", "input": NaN}', ""),
        (b'{"model": "m", "input": "\\ud800", "x": NaN}', ""),
        (b'{"model": "m", "input": "\\ud800"', ""),
        (b'{"model": "m", "input": "\xff"}', "UTF-8"),
        (b'{"model": "m", "input": "\\x"}', ""),
        (b"\x00", ""),
    ],
)
async def test_a_body_that_is_no_json_is_400(body: bytes, why: str) -> None:
    error = await refusal(body, 400)
    assert error["code"] == "invalid_json"
    assert error["param"] is None
    assert why in error["message"]


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", ['{"model": "m", "input": "Hi"}', "{}", '"日"', "1"])
async def test_a_body_in_another_unicode_encoding_is_refused_as_such(coding: str, text: str) -> None:
    error = await refusal(text.encode(coding), 400)
    assert (error["code"], error["message"]) == (
        "invalid_json",
        f"The request body is not valid JSON: it is {coding[:6].upper()}, not UTF-8.",
    )


@pytest.mark.parametrize("body", [b"\0\0\0\0", b'{"\0"}', b"\xff", b"\xfe\xfd", b"\0", b"1"])
async def test_other_bodies_are_not_taken_for_another_encoding(body: bytes) -> None:
    assert "UTF-16" not in (error := await refusal(body, 400))["message"]
    assert "UTF-32" not in error["message"]


@pytest.mark.parametrize("depth", [10_000, 100_000])
@pytest.mark.parametrize("start", [b'{"model": "m", "input": ', b'{"x": ', b"", b'{"x": "\\ud800", "y": '])
@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}")])
async def test_nesting_that_no_parser_reads_is_400(depth: int, start: bytes, brackets: tuple[bytes, bytes]) -> None:
    opening, closing = brackets
    end = b"1" + closing * depth + (b"}" if start else b"")
    for body in (start + opening * depth + end, start + opening * depth):
        error = await refusal(body, 400)
        assert error["code"] == "invalid_value"
        assert "nested more than 100 levels deep" in error["message"]


def nest(depth: int) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for _ in range(depth):
        data = {"a": data}
    return data


@pytest.mark.parametrize("depth", [100, 480, 900])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "field",
    [
        lambda deep: {"tools": [{"type": "function", "name": "f", "parameters": deep}]},
        lambda deep: {"tools": [{"type": "unheard_of", "x": deep}]},
        lambda deep: {"text": {"format": {"type": "json_schema", "name": "n", "schema": deep}}},
        lambda deep: {"input": [{"role": "user", "content": "Hi", "x": deep}]},
        lambda deep: {"input": [{"role": "user", "content": [deep]}]},
        lambda deep: {"metadata": deep},
        lambda deep: {"tool_choice": deep},
        lambda deep: {"unknown": deep},
    ],
    ids=["tool", "unknown tool", "schema", "item", "part", "metadata", "tool_choice", "unknown"],
)
async def test_deep_nesting_in_any_field_is_answered_or_a_400(field: Any, depth: int, stream: bool) -> None:
    reply = await send(msgspec.json.encode({**REQUEST, "stream": stream, **field(nest(depth))}))
    assert reply.status in (200, 400)
    if reply.status == 400:
        check_error(reply.json)


@pytest.mark.parametrize("body", [b"[]", b"null", b"5", b'"text"', b"[{}]", b"true"])
async def test_json_other_than_an_object_is_400(body: bytes) -> None:
    error = await refusal(body, 400)
    assert (error["code"], error["param"]) == ("invalid_type", None)
    assert "expected an object" in error["message"]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (rb"a\ud83d", "a\ufffd"),
        (rb"\udE00b", "\ufffdb"),
        (rb"\uD83Db", "\ufffdb"),
        (rb"\uD83D\uDE00", "😀"),
        (rb"\\ud83d", r"\ud83d"),
        (rb"\ud83d\ud83d\ude00", "\ufffd😀"),
    ],
)
async def test_half_a_surrogate_pair_is_replaced_and_not_refused(text: bytes, read: str) -> None:
    host = ScriptedHost()
    reply = await send(b'{"model": "m", "instructions": "%b", "input": "%b"}' % (text, text), host=host)
    check_response(reply.json)
    assert reply.json["instructions"] == read
    assert [message["content"] for message in host.requests[0]["messages"]] == [read, read]


# The request ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model", "input"])
async def test_a_missing_field_is_named(name: str) -> None:
    without = {key: value for key, value in REQUEST.items() if key != name}
    error = await refusal(json.dumps(without).encode(), 400)
    assert (error["code"], error["param"]) == ("missing_required_parameter", name)
    assert error["message"] == f"Missing required parameter: '{name}'."


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": 5}, "model"),
        ({"model": None}, "model"),
        ({"input": 5}, "input"),
        ({"input": None}, "input"),
        ({"input": {}}, "input"),
        ({"input": ["Hi"]}, "input[0]"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
        ({"stream": "yes"}, "stream"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_output_tokens": 1.5}, "max_output_tokens"),
        ({"tools": {}}, "tools"),
        ({"tools": ["f"]}, "tools[0]"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"text": {"format": "json"}}, "text.format"),
        ({"reasoning": "high"}, "reasoning"),
        ({"include": "everything"}, "include"),
        ({"instructions": ["a"]}, "instructions"),
    ],
    ids=str,
)
async def test_a_wrong_type_is_named(fields: dict[str, Any], param: str) -> None:
    error = await refusal(body_of(**fields), 400)
    assert (error["code"], error["param"]) == ("invalid_type", param)
    assert param in error["message"]


@pytest.mark.parametrize(
    ("fields", "param", "hint"),
    [
        ({"truncation": "some"}, "truncation", "'auto' and 'disabled'"),
        ({"reasoning": {"effort": "heroic"}}, "reasoning.effort", "'low'"),
        ({"include": ["everything"]}, "include[0]", "'reasoning.encrypted_content'"),
        ({"text": {"format": {"type": "yaml"}}}, "text.format.type", "'json_schema'"),
        ({"text": {"verbosity": "chatty"}}, "text.verbosity", "'medium'"),
        ({"service_tier": "first"}, "service_tier", "'flex'"),
        ({"input": [{"role": "user", "content": [{"type": 7}]}]}, "input[0].content[0].type", "'input_image'"),
        ({"input": [{"role": "narrator", "content": "Hi"}]}, "input[0].role", "narrator"),
        ({"tool_choice": "sometimes"}, "tool_choice", "'required'"),
        ({"temperature": 2.5}, "temperature", "2"),
        ({"top_p": -1}, "top_p", "0"),
        ({"top_logprobs": 21}, "top_logprobs", "20"),
        ({"max_output_tokens": 0}, "max_output_tokens", "1"),
        ({"metadata": {str(number): "" for number in range(17)}}, "metadata", "16"),
    ],
    ids=str,
)
async def test_a_wrong_value_is_named_with_the_valid_ones(fields: dict[str, Any], param: str, hint: str) -> None:
    error = await refusal(body_of(**fields), 400)
    assert error["param"] == param
    assert hint in error["message"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("previous_response_id", "resp_1"),
        ("conversation", "conv_1"),
        ("conversation", {"id": "conv_1"}),
        ("background", True),
        ("prompt", {"id": "pmpt_1"}),
        ("context_management", [{"type": "compaction"}]),
        ("moderation", {"model": "m"}),
    ],
)
async def test_a_feature_that_is_not_supported_is_refused_by_name(name: str, value: Any) -> None:
    error = await refusal(body_of(**{name: value}), 400, settings={"store": "off"})
    assert (error["code"], error["param"]) == ("unsupported_parameter", name)
    assert f"'{name}'" in error["message"]


@pytest.mark.parametrize(
    "fields",
    [
        {"unknown": 1, "input": [{"type": "message", "role": "user", "content": "Hi", "unknown": {"a": [1]}}]},
        dict.fromkeys(
            ["previous_response_id", "conversation", "background", "prompt", "tools", "text", "reasoning", "metadata"]
        ),
        {"background": False, "context_management": [], "store": True},
    ],
    ids=["unknown", "null", "off"],
)
async def test_unknown_null_and_disabled_fields_are_accepted(fields: dict[str, Any]) -> None:
    check_response((await post(ResponsesShim(ScriptedHost()), "/v1/responses", {**REQUEST, **fields})).json)


# Large bodies --------------------------------------------------------------------------------------------------------


async def unchanged(view: RequestView, headers: Mapping[str, str]) -> None:
    """An interceptor that changes nothing."""


@pytest.mark.parametrize(
    ("size", "interceptors", "threads"),
    [(INLINE_LIMIT // 2, [], 0), (2 * INLINE_LIMIT, [], 3), (2 * INLINE_LIMIT, [unchanged], 5)],
)
async def test_a_large_body_is_counted_decoded_checked_translated_and_written_in_a_thread(
    size: int, interceptors: list[Interceptor], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small one is not: handing it to a thread would take longer than the work."""
    offloaded = watch_offloaded(monkeypatch)
    host = ScriptedHost()
    app = ResponsesShim(host, interceptors=interceptors)
    check_response((await post(app, "/v1/responses", {**REQUEST, "input": "x" * size})).json)
    assert len(offloaded) == threads
    assert host.requests[0]["messages"] == [{"role": "user", "content": "x" * size}]


async def test_errors_in_a_large_body_are_those_of_any_other() -> None:
    long = "x" * 2 * INLINE_LIMIT
    assert (await refusal(body_of(input=long, truncation="maybe"), 400))["param"] == "truncation"
    assert (await refusal(body_of(input=[{"role": "critic", "content": long}]), 400))["param"] == "input[0].role"
    assert (await refusal(body_of(input=long)[:-1], 400))["code"] == "invalid_json"
