"""The complete shim over random hosts, their bytes cut anywhere: what a client gets is always valid.

It gets an HTTP error with its four keys, or a response that is valid to the last event, and the same response whether
it is streamed or not. The model calls tools by names that were offered to it and by others, with valid arguments and
with others; what comes out can always be sent back in the next turn.
"""

from __future__ import annotations

import json
import re
from typing import Any

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from responses_shim import ResponsesShim
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from tests import caller
from tests.caller import Reply
from tests.cuts import POSITIONS, cut
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import (
    DONE,
    End,
    Json,
    Raise,
    Return,
    Script,
    ScriptedHost,
    Step,
    call,
    chunk,
    frame,
    usage,
)

TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": "f", "parameters": {"type": "object"}},
    {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}},
    {
        "type": "namespace",
        "name": "my server",
        "description": "What is there",
        "tools": [{"type": "function", "name": "find"}, {"type": "custom", "name": "note"}],
    },
    {"type": "shell"},
    {"type": "local_shell"},
    {"type": "apply_patch"},
    {"type": "tool_search", "execution": "client"},
    {"type": "function", "name": "later", "defer_loading": True},
    {"type": "web_search"},
]
REQUEST: dict[str, Any] = {
    "model": "scripted",
    "input": "Hi",
    "tools": TOOLS,
    "include": ["message.output_text.logprobs"],
}
NAMES = ToolMap(TOOLS, None, None, Report()).names()
LOGPROBS = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]}

text = st.sampled_from(["", "a", "é", "😀", "\n\n", "data: x\n\n", "</think>", "{}"])
index = st.integers(0, 2)
name = st.sampled_from([*NAMES, "find", "my server.note", "nobody", ""])
arguments = st.sampled_from(
    [
        "",
        "{}",
        "x y",
        '"x"',
        "[1]",
        "null",
        '{"input": "*** Begin\\n\\ud83d\\ude00"}',
        '{"input": "half \\ud8',
        '{"patch": "x"}',
        '{"commands": ["ls", "pwd"], "timeout_ms": 1}',
        '{"command": ["ls"], "env": {"A": 1}}',
        '{"type": "delete_file", "path": "a"}',
        '{"query": ' + "[" * 970 + "]" * 970 + "}",
        '{"query": NaN}',
    ]
)

frames = st.one_of(
    st.builds(chunk, text),
    st.builds(lambda t: chunk(t, logprobs=LOGPROBS), text),
    st.builds(lambda t: chunk(reasoning=t), text),
    st.builds(lambda t: chunk(reasoning=t, reasoning_content=t), text),
    st.builds(lambda t: chunk(refusal=t), text),
    st.builds(lambda i, n, t: chunk(tool_calls=[call(i, f"call_{i}", n, t)]), index, name, arguments),
    st.builds(lambda i, n, t: chunk(tool_calls=[call(i, None, n, t)]), st.none() | index, name, arguments),
    st.builds(lambda i, t: chunk(tool_calls=[call(i, arguments=t)]), st.none() | index, arguments | text),
    st.builds(lambda i, t: chunk(t, reasoning=t, tool_calls=[call(i, f"call_{i}", "f", t)]), index, text),
    st.just(chunk("", role="assistant")),
    st.just(frame({"choices": [{"index": 0, "delta": {"content": None, "tool_calls": None}}], "usage": None})),
    st.just(b": a comment\n\n"),
)
finish = st.builds(
    lambda t, reason, counts: chunk(t, finish_reason=reason, usage=counts),
    st.none() | text,
    st.sampled_from(["stop", "length", "content_filter", "tool_calls", "something_else"]),
    st.sampled_from([None, usage(3, 4), usage(3, 4, cached=1, reasoning=2)]),
)
failure = st.sampled_from(
    [
        frame({"error": {"message": "boom", "type": "server_error", "code": None}}),
        frame({"error": {"message": "boom", "code": 400}}),
        frame({"error": "boom"}),
        b"data: {not json\n\n",
        b"data: 5\n\n",
        b'data: {"choices":[',
    ]
)
ending: st.SearchStrategy[list[Step]] = st.one_of(
    st.builds(lambda f: [f, DONE], finish),
    st.builds(lambda f: [f, chunk(usage=usage(3, 4)), DONE], finish),
    st.builds(lambda f: [f], finish),
    st.builds(lambda f: [f, DONE, End(), Raise(RuntimeError("late"))], finish),
    st.builds(lambda f: [f], failure),
    st.builds(lambda f, g: [f, g, DONE], failure, finish),
    st.sampled_from(
        [
            [],
            [DONE],
            [Return()],
            [Raise(RuntimeError("boom"))],
            [End(), Raise(RuntimeError("late"))],
        ]
    ),
)


@st.composite
def streams(draw: st.DrawFn) -> list[Step]:
    """The steps of a host that sends any frames, cut and merged anywhere."""
    steps = [*draw(st.lists(frames, max_size=8)), *draw(ending)]
    body = b"".join(step for step in steps if isinstance(step, bytes))
    pieces = cut(body, draw(POSITIONS))
    return [*filter(None, pieces), *[step for step in steps if not isinstance(step, bytes)]]


refusals = st.builds(
    lambda status, body: [Json(status, body)],
    st.sampled_from([400, 401, 404, 422, 429, 500, 503]),
    st.sampled_from(
        [
            {"error": {"message": "no", "type": "x", "param": None, "code": None}},
            {"error": "no"},
            {"detail": "no"},
            {"detail": [{"loc": ["body"], "msg": "no", "type": "missing"}]},
            {"object": "error", "message": "no", "code": 400},
            [],
            "no",
        ]
    ),
)
scripts: st.SearchStrategy[Script] = streams() | refusals


def ask(script: Script, *, listens: bool = True, stream: bool, **fields: Any) -> Reply:
    app = ResponsesShim(ScriptedHost(script, listens=listens))

    async def post() -> Reply:
        return await caller.post(app, "/v1/responses", {**REQUEST, "stream": stream, **fields})

    return anyio.run(post)


def comparable(reply: Reply) -> Any:
    """The response of a reply without what differs in each: ids and times."""
    data = caller.payloads(reply.events)[-1]["response"] if is_stream(reply) else reply.json
    text = re.sub(r'"([a-z]+)_[0-9a-f]{32}"', r'"\1"', json.dumps(data))
    return json.loads(re.sub(r'("(?:created|completed)_at": )\d+', r"\g<1>0", text))


def is_stream(reply: Reply) -> bool:
    return reply.headers["content-type"].startswith("text/event-stream")


@settings(max_examples=150, deadline=None)
@given(script=scripts, listens=st.booleans())
def test_any_host_gives_a_valid_stream_or_a_valid_error(script: Script, listens: bool) -> None:
    reply = ask(script, listens=listens, stream=True)
    if is_stream(reply):
        assert reply.status == 200
        check_stream(caller.payloads(reply.events))
    else:
        assert reply.status >= 400
        check_error(reply.json)


@settings(max_examples=150, deadline=None)
@given(script=scripts, listens=st.booleans())
def test_the_response_is_the_same_whether_it_is_streamed_or_not(script: Script, listens: bool) -> None:
    streamed = ask(script, listens=listens, stream=True)
    unstreamed = ask(script, listens=listens, stream=False)
    if unstreamed.status == 200:
        check_response(unstreamed.json)
        assert comparable(unstreamed) == comparable(streamed)
    elif is_stream(streamed):
        failed = comparable(streamed)
        assert failed["status"] == "failed"
        assert failed["error"]["message"] == unstreamed.json["error"]["message"]
    else:
        assert (unstreamed.status, unstreamed.json) == (streamed.status, streamed.json)


CHOICES = st.sampled_from(
    [
        {},
        {"parallel_tool_calls": False},
        {"tool_choice": {"type": "allowed_tools", "tools": [{"type": "function", "name": "f"}, {"type": "shell"}]}},
        {"tool_choice": {"type": "custom", "name": "c"}, "parallel_tool_calls": False},
    ]
)


@settings(max_examples=150, deadline=None)
@given(script=streams(), choice=CHOICES)
def test_only_tools_that_tool_choice_allows_are_called(script: Script, choice: dict[str, Any]) -> None:
    reply = ask(script, stream=True, **choice)
    if not is_stream(reply):
        return
    events = caller.payloads(reply.events)
    check_stream(events)
    calls = [item for item in events[-1]["response"]["output"] if item["type"].endswith("_call")]
    if "parallel_tool_calls" in choice:
        assert len(calls) <= 1
    if choice.get("tool_choice", {}).get("type") == "allowed_tools":
        allowed = ("f", "nobody", "", None)
        assert all(item.get("name") in allowed and item["type"] in ("function_call", "shell_call") for item in calls)


@settings(max_examples=150, deadline=None)
@given(script=streams())
def test_any_output_can_be_sent_back(script: Script) -> None:
    """Complete or cut: with an output for every call it makes the next request, in the names that the host knows."""
    first = ask(script, stream=False)
    if first.status != 200:
        return
    output = first.json["output"]
    results = [output_of(item) for item in output if item["type"].endswith("_call")]
    host = ScriptedHost()

    async def post() -> Reply:
        body = {**REQUEST, "input": [{"role": "user", "content": "Hi"}, *output, *results]}
        return await caller.post(ResponsesShim(host), "/v1/responses", body)

    assert anyio.run(post).status == 200
    (request,) = host.requests
    offered = [tool["function"]["name"] for tool in request["tools"]]
    called = [call["function"] for message in request["messages"] for call in message.get("tool_calls", ())]
    assert len(called) == len(results) == sum(message["role"] == "tool" for message in request["messages"])
    assert {function["name"] for function in called} <= {*offered, "nobody", ""}


def output_of(item: dict[str, Any]) -> dict[str, Any]:
    """The output of a call, as its client would send it."""
    outputs: dict[str, Any] = {
        "shell_call": [{"stdout": "x", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
        "tool_search_call": None,
    }
    output = {"type": f"{item['type']}_output", "call_id": item["call_id"], "output": outputs.get(item["type"], "x")}
    if item["type"] == "tool_search_call":
        return {"type": "tool_search_output", "call_id": item["call_id"], "tools": [{**TOOLS[7], "name": "found"}]}
    return {**output, "status": "completed"}
