"""Log-probabilities that come back with the text they belong to are no reason to refuse a request, and are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from responses_shim import RequestView, ResponsesShim
from responses_shim.asgi.body import allowed_nodes, parse_json
from responses_shim.asgi.large_request import parse_large_request
from responses_shim.core.wire.json_limits import check_json_limits
from responses_shim.errors import InvalidRequest
from tests.asgi.test_limits import refusal, send
from tests.scripted import ScriptedHost
from tests.state import Client, prompts

TOKENS = 2_000
ALTERNATIVE = {"token": " fox", "logprob": -0.5, "bytes": [32, 102, 111, 120]}
PROBABILITY = {**ALTERNATIVE, "top_logprobs": [ALTERNATIVE, {**ALTERNATIVE, "token": " füchse"}]}
PART = {"type": "output_text", "text": " fox" * TOKENS, "annotations": [], "logprobs": [PROBABILITY] * TOKENS}
ANSWER = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [PART]}
INPUT = [{"role": "user", "content": "Go on."}, ANSWER, {"role": "user", "content": "Go on."}]
READ = {"model", "input"}


def body_of(**fields: Any) -> bytes:
    return json.dumps({"model": "scripted", "input": INPUT, **fields}).encode()


def with_raw(body: bytes) -> Any:
    """The data of a body as a create request is read."""
    nodes, values = check_json_limits(body, 10**9, 10**9, 10**9)
    data = parse_large_request(body, nodes, values, allowed_nodes(len(body), 100_000), READ)
    return json.loads(json.dumps(data, default=lambda raw: json.loads(bytes(raw))))


def test_the_body_has_more_than_others_of_its_size_may_have() -> None:
    body = body_of()
    nodes, _ = check_json_limits(body, 10**9, 10**9, 10**9)
    assert allowed_nodes(len(body), 100_000) < nodes < 100_000


@pytest.mark.anyio
@pytest.mark.parametrize("intercepted", [False, True])
async def test_they_are_stored_with_the_answer_and_sent_to_no_host(intercepted: bool) -> None:
    async def unchanged(view: RequestView, headers: Mapping[str, str]) -> None:
        """An interceptor that changes nothing."""

    host = ScriptedHost()
    client = Client(ResponsesShim(host, interceptors=[unchanged] if intercepted else []))
    first = await client.create(input=INPUT)
    items = (await client.answer("GET", f"/responses/{first['id']}/input_items", query="order=asc"))["data"]
    assert items[1] == ANSWER
    await client.create(input="More.", previous_response_id=first["id"])
    expected = ["user: Go on.", f"assistant: {PART['text']}", "user: Go on."]
    assert prompts(host)[0] == expected
    assert prompts(host)[1] == [*expected, "assistant: Hello world", "user: More."]


@pytest.mark.parametrize(
    "items",
    [
        [*INPUT, "text", 5, None, {"role": "user", "content": '"logprobs"'}, {"content": ["logprobs"]}],
        [*INPUT, {"role": "user", "content": [{"logprobs": None}, {"logprobs": "[]"}, {"logprobs": []}, {}]}],
        [{**ANSWER, "content": [{**PART, "x": [1, 2]}, {"type": "refusal", "refusal": "é"}], "y": {"content": 1}}],
    ],
)
def test_a_body_with_them_is_read_as_any_other(items: list[Any]) -> None:
    body = body_of(input=items)
    assert with_raw(body) == json.loads(body)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "fields",
    [
        {"input": [{**ANSWER, "content": [{**PART, "logprob": PART["logprobs"], "logprobs": []}]}]},
        {"input": [{**ANSWER, "logprobs": PART["logprobs"], "content": "Hi"}]},
        {"input": "Hi", "x": [{"content": [PART]}]},
        {"input": {"content": [PART]}},
    ],
    ids=["another name", "of an item", "another field", "no array"],
)
async def test_anywhere_else_they_count(fields: dict[str, Any]) -> None:
    assert (await refusal(body_of(**fields)))[:2] == (413, "too_many_values")


@pytest.mark.anyio
async def test_there_may_be_no_more_of_them_than_of_anything() -> None:
    assert (await refusal(body_of(), max_nodes=30_000))[:2] == (413, "too_many_values")


@pytest.mark.anyio
@pytest.mark.parametrize("wrong", [b'"\xff"', b'"\\q"', b'"\\ud83d"', b"01", b"tru", b'"', b"1e999", b"[-1E+400]"])
async def test_what_is_no_json_among_them_is_a_400_or_413(wrong: bytes) -> None:
    reply = await send(body_of().replace(b'" fox"', wrong, 1))
    assert reply.status in (400, 413)


def test_what_is_no_json_elsewhere_is_refused() -> None:
    body = body_of().replace(b'"Go on."', b'"\\ud83d"', 1)
    with pytest.raises(InvalidRequest):
        with_raw(body)
    parse_json(body_of())
