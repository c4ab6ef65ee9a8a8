"""Whatever a server answers, doctor comes to its end, says so in its report, and blames none of it on itself."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from responses_shim import ResponsesShim
from responses_shim.cli.doctor.command import CHECKS, examine
from responses_shim.cli.doctor.connection import MAX_BYTES, Connection, Limits
from responses_shim.cli.doctor.findings import Report
from responses_shim.cli.doctor.text import as_json, as_text
from responses_shim.cli.failure import CommandFailed
from tests.cli.doctor import hosts
from tests.cli.doctor.hosts import ChatHost

LIMITS = Limits(answer=0.5, patience=0.2, pause=0.001)
KEY = "the-right-key"

Answering = Callable[[httpx.Request], Awaitable[httpx.Response]]


class Transport(httpx.AsyncBaseTransport):
    """Makes the answers that a function gives."""

    def __init__(self, answering: Answering) -> None:
        self.answering = answering

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.answering(request)


def answer_with(status: int, kind: str, body: bytes) -> httpx.Response:
    """An answer that is still to be read, unlike one that httpx makes of bytes."""

    async def read() -> AsyncIterator[bytes]:
        yield body

    return httpx.Response(status, headers=[(b"content-type", kind.encode("latin-1"))], content=read())


# Near to what a server of either API sends: the keys, and values of any type.
KEYS = (
    *("id", "object", "type", "choices", "delta", "message", "content", "text", "tool_calls", "function", "name"),
    *("arguments", "index", "finish_reason", "usage", "prompt_tokens", "completion_tokens", "logprobs", "token_ids"),
    *("output", "item", "item_id", "output_index", "content_index", "sequence_number", "response", "status", "error"),
    *("code", "param", "detail", "data", "models", "owned_by", "version", "info", "title", "reasoning", "deleted"),
)
WORDS = (
    *("", "response", "message", "function_call", "reasoning", "output_text", "completed", "queued", "stop", "length"),
    *("response.created", "response.in_progress", "response.output_item.added", "response.output_item.done"),
    *("response.output_text.delta", "response.output_text.done", "response.completed", "response.failed", "error"),
    *("resp_1", "../..", "conv_1\r\nx: y", "\x1b[31m", "\ud800", "method_not_allowed", "vllm", "<think>", "[DONE]"),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=25,
)
JSONS = VALUES.map(json.dumps).map(str.encode)
STREAMS = st.lists(JSONS | st.binary(max_size=20) | st.just(b"[DONE]"), max_size=12).map(
    lambda frames: b"".join(b"data: " + frame + b"\n\n" for frame in frames)
)
BODIES = JSONS | STREAMS | st.binary(max_size=50) | st.just(b"<!doctype html><title>502</title>")
TYPES = st.sampled_from(["application/json", "text/event-stream", "text/html", "", "TEXT/EVENT-STREAM; charset=\xff"])
STATUSES = st.sampled_from([200, 200, 200, 200, 400, 401, 404, 405, 422, 429, 500, 503, 301, 204])
ANSWERS = st.tuples(STATUSES, TYPES, BODIES)


def report_on(answering: Answering, limits: Limits = LIMITS) -> Report | None:
    """The report on a server that answers so; None if there is none, because it could not be asked."""
    connection = Connection("http://127.0.0.1:1/v1", KEY, limits, Transport(answering))
    try:
        report: Report = anyio.run(examine, connection, None, CHECKS)
    except CommandFailed:  # nothing answers, or the key is refused
        return None
    assert len(report.results) == len(CHECKS)
    blamed = [result for result in report.results if "fault of doctor" in result.reason]
    assert not blamed
    assert json.loads(as_json(report))["exit_code"] in (0, 1)
    text = as_text(report, colour=False)
    assert text.replace("\n", "").isprintable()
    assert KEY not in text + as_json(report)
    return report


@settings(max_examples=60)
@given(st.lists(ANSWERS, min_size=1, max_size=8))
def test_any_answers(answers: list[tuple[int, str, bytes]]) -> None:
    turn = count()

    async def answer(request: httpx.Request) -> httpx.Response:
        status, kind, body = answers[next(turn) % len(answers)]
        return answer_with(status, kind, body)

    report_on(answer)


@settings(max_examples=12)
@given(st.integers(0, 2**32), st.floats(0.01, 0.5))
def test_answers_of_a_good_server_that_are_changed_somewhere(seed: int, share: float) -> None:
    """So that each check gets beyond its first question."""
    chance = random.Random(seed)
    shim = ResponsesShim(ChatHost())
    inner = httpx.ASGITransport(shim)

    async def answer(request: httpx.Request) -> httpx.Response:
        reply = await inner.handle_async_request(request)
        body = await reply.aread()
        if chance.random() < share:
            body = changed(body, chance)
        status = chance.choice([200, 404, 500]) if chance.random() < share / 10 else reply.status_code
        return answer_with(status, reply.headers["content-type"], body)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hosts, "PACE", 0)
        report_on(answer, Limits(answer=5.0, patience=0.5, pause=0.001))


def changed(body: bytes, chance: random.Random) -> bytes:
    """An answer with one value replaced, one event lost or said twice, or its end cut off."""
    frames = body.split(b"\n\n")
    index = chance.randrange(len(frames))
    match chance.randrange(4):
        case 0:
            return body[: chance.randrange(len(body) + 1)]
        case 1:
            return b"\n\n".join(frames[:index] + frames[index + 1 :])
        case 2:
            return b"\n\n".join([*frames[:index], frames[index], *frames[index:]])
    head, colon, data = frames[index].rpartition(b"data: ")
    try:
        value = json.loads(data)
    except ValueError:
        return body
    places = list(containers(value))
    if not places:
        return body
    container = chance.choice(places)
    key = chance.choice(list(container) if isinstance(container, dict) else range(len(container)))
    container[key] = chance.choice([None, -1, 10**30, 1e300, "", "x" * 99, [], {}, [[]], True, chance.choice(WORDS)])
    frames[index] = head + colon + json.dumps(value).encode()
    return b"\n\n".join(frames)


def containers(value: Any) -> Iterator[Any]:
    """Each object and array that is not empty, at any depth."""
    if isinstance(value, dict | list) and value:
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b"9" * 100_000, id="a long number"),
        pytest.param(b'{"id": "' + b"x" * MAX_BYTES + b'"}', id="huge"),
        pytest.param(b"data: {}\n\n" * 2_000, id="many events"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
def test_an_answer_that_is_hard_to_read(body: bytes, kind: str) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        return answer_with(200, kind, body)

    report = report_on(answer)
    assert report is not None
    assert report.exit_code == 1


def test_a_server_that_never_ends_an_answer_is_asked_no_more() -> None:
    """Nor one that goes on for ever, byte by byte: each answer has its time, and after a few nothing more is asked."""
    asked = []

    async def drip() -> Any:
        while True:
            yield b": \n"
            await anyio.sleep(0.001)

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if request.url.path == "/v1/models":
            return answer_with(200, "application/json", b'{"data": [{"id": "m"}]}')
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=drip())

    report = report_on(answer, Limits(answer=0.05, patience=0.05, pause=0.001))
    assert report is not None
    assert report.exit_code == 1
    assert len(asked) < 12


def test_a_server_that_repeats_the_key_does_not_have_it_printed() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        words = f"No such thing for {request.headers.get('authorization', 'nobody')}."
        return answer_with(404, "application/json", json.dumps({"error": {"message": words}}).encode())

    report = report_on(answer)
    assert report is not None
    assert any("********" in result.reason for result in report.results)
