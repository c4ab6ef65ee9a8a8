"""What hosts send, well or badly: any frames in any order, any end, any refusal."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import strategies as st

from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from tests import caller
from tests.caller import Reply
from tests.cuts import POSITIONS, cut
from tests.scripted import DONE, End, Json, Raise, Return, Script, Step, call, chunk, frame, usage

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


def comparable(reply: Reply) -> Any:
    """The response of a reply without what differs in each: ids and times."""
    data = caller.payloads(reply.events)[-1]["response"] if is_stream(reply) else reply.json
    text = re.sub(r'"([a-z]+)_[0-9a-f]{32}"', r'"\1"', json.dumps(data))
    return json.loads(re.sub(r'("(?:created|completed)_at": )\d+', r"\g<1>0", text))


def is_stream(reply: Reply) -> bool:
    return reply.headers["content-type"].startswith("text/event-stream")
