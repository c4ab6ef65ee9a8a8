"""That the harness works: every token of every server is counted. No time is asserted."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import pytest

from responses_shim import ResponsesShim

if sys.platform != "linux":
    pytest.skip("the CPU clocks of other processes are read the Linux way", allow_module_level=True)
uvloop = pytest.importorskip("uvloop", reason="clients and servers run on it: pip install 'uvicorn[standard]'")

from . import (  # noqa: E402
    first_event,
    followers,
    hostile,
    linear,
    memory,
    options,
    proxy,
    rate,
    report,
    request,
    servers,
    store,
    streams,
    tokens,
    tool_markup,
    translation,
    without_key,
)
from .client import CHAT, LAST_CHUNK, Answer, connect, unchunk  # noqa: E402
from .host import Message, Receive, Script, Send, words  # noqa: E402
from .hostile_host import KEY  # noqa: E402
from .hostile_shapes import SHAPES  # noqa: E402
from .report import Row  # noqa: E402
from .sampling import Plan  # noqa: E402
from .servers import Server  # noqa: E402

TINY = Plan(
    pairs=1,
    slices=1,
    streams=2,
    lengths=(20,),
    tokens=20,
    waves=1,
    requests=2,
    held=2,
    megabytes=(0.01, 0.02),
    turns=100,
    followers=10,
    run_tokens=20,
    runs=1,
    open=2,
    open_seconds=2,
    open_rounds=1,
    rate_seconds=0.02,
    growth=0.001,
)


@pytest.mark.parametrize("start", [servers.raw, servers.shim, servers.relay])
def test_every_token_of_every_server_is_counted(start: Callable[[], AbstractContextManager[Server]]) -> None:
    if start is servers.relay and servers.relay_command() is None:
        pytest.skip("codex-relay is not installed: pip install codex-relay==0.5.8")
    script = Script(tokens=50)

    async def ask(server: Server) -> list[Answer]:
        connection = await connect(server.port)
        try:
            return [await connection.ask(server.dialect.request(script)) for _ in range(2)]
        finally:
            await connection.close()

    with start() as server:
        answers = uvloop.run(ask(server))
        assert server.cpu_seconds() > 0
        assert server.resident_kb() > 0
    for answer in answers:
        tokens.check(answer, server.dialect, script)
        assert text(list(answer.events())) == "".join(words(script))
        assert 0 < answer.asked < answer.first


def text(events: list[dict[str, Any]]) -> str:
    """The text of an answer in either dialect, read the slow way."""
    if "choices" in events[0]:
        return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


def test_a_missing_token_is_an_error() -> None:
    answer = Answer([b"5\r\ndata:" + LAST_CHUNK])
    with pytest.raises(AssertionError, match="0 tokens instead of 3"):
        tokens.check(answer, CHAT, Script(tokens=3))


def test_an_unfinished_body_gives_its_whole_chunks() -> None:
    assert unchunk(b"3\r\nabc\r\n4\r\nde") == b"abc"
    assert unchunk(b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n") == b"abcdefg"
    assert unchunk(b"3\r\nabc\r\na") == b"abc"


ROWS = [tokens, first_event, request, translation, linear, memory, store, proxy, followers, rate, streams, tool_markup]


@pytest.mark.parametrize("rows", ROWS)
def test_every_row_can_be_measured(rows: ModuleType) -> None:
    async def measure() -> list[Row]:
        return [row async for row in rows.measure(TINY)]

    measured = uvloop.run(measure())
    assert measured
    for row in measured:
        assert row.spread is not None or "codex-relay" in row.detail or "redis-server" in row.detail
        assert len(row.cells()) == len(report.HEADINGS)


@pytest.mark.parametrize("name", request.ROWS)
def test_the_requests_in_process_are_answered(name: str) -> None:
    """By a host that was asked for what the pure part makes of them."""
    body = request.ROWS[name][0]()
    asked: list[bytes] = []

    async def host(scope: Message, receive: Receive, send: Send) -> None:
        async def recorded() -> Message:
            message = await receive()
            asked.append(message["body"])
            return message

        await request.host(scope, recorded, send)

    sent = uvloop.run(request.ask(ResponsesShim(host), "/v1/responses", json.dumps(body).encode()))
    assert sent[0]["status"] == 200
    assert b"event: response.completed" in b"".join(message.get("body", b"") for message in sent)
    assert asked == [request.translate(body)]


def test_every_script_can_be_asked_for_by_its_name() -> None:
    for option in options.OPTIONS:
        script = Script(option.kind, 7, "paced")
        assert Script.parse(str(script)) == script


@pytest.mark.parametrize(
    ("shape", "answer"),
    [
        ("input", "200 completed"),
        ("filename", "400 string_above_max_length"),
        ("the model calls the shell", "200 completed"),
    ],
)
def test_a_hostile_request_is_answered_and_measured(shape: str, answer: str) -> None:
    row = hostile.row(next(known for known in SHAPES if known.name == shape), 1_000_000, 1)
    assert row.spread is not None
    assert row.spread.low >= 0
    assert row.detail.startswith(answer)


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("Bearer wrong", ["401 invalid_api_key", "files read: 0, URLs fetched: 0, connections to them: 0"]),
        (KEY, ["200 completed", "files read: 1, URLs fetched: 0"]),
    ],
)
def test_a_file_is_read_for_whoever_has_the_key(key: str, answer: list[str]) -> None:
    with without_key.target() as at:
        pdf, _ = without_key.files(at.url)
        detail = without_key.row(pdf, 0, 1, at, key).detail
    assert all(words in detail for words in answer), detail


@pytest.mark.parametrize(("key", "connected"), [("Bearer wrong", 0), (KEY, 1)])
def test_a_url_is_fetched_for_whoever_has_the_key(key: str, connected: int) -> None:
    with without_key.target() as at:
        _, file = without_key.files(at.url)
        detail = without_key.row(file, 0, 1, at, key).detail
    assert f"connections to them: {connected}" in detail, detail


def test_every_hostile_shape_has_a_name_of_its_own_and_about_its_size() -> None:
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)
    for shape in SHAPES:
        data, unpacked = shape.packed(100_000)
        assert shape.fixed or 70_000 < unpacked < 150_000
        assert len(data) == unpacked or shape.coding
