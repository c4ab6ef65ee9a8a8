"""A request whose tools an earlier one has had gets what it would get if they were new."""

from __future__ import annotations

import json
from typing import Any

import pytest

from responses_shim import RequestView, ResponsesShim
from tests.caller import Reply, request
from tests.core.driver import Json
from tests.scripted import ScriptedHost

pytestmark = pytest.mark.anyio

FIND = {"type": "function", "name": "find", "description": "Füchse", "parameters": {"type": "object"}, "later": 1}
TOOLS = [FIND, {"type": "web_search"}, {"type": "custom", "name": "write"}]
VOLATILE = ("id", "created_at", "completed_at")


async def ask(shim: ResponsesShim, body: bytes | None = None, **fields: Any) -> Reply:
    data = json.dumps({"model": "m", "tools": TOOLS, "input": "Hi", **fields}).encode() if body is None else body
    headers = {"content-type": "application/json", "authorization": "Bearer a"}
    return await request(shim, "POST", "/v1/responses", body=data, headers=headers)


def shown(reply: Reply) -> Json:
    """What a client sees of an answer, but for what is another each time."""
    answer = {name: value for name, value in reply.json.items() if name not in VOLATILE}
    answer["output"] = [{**item, "id": ""} for item in answer.get("output", [])]
    return {"status": reply.status, "report": reply.headers.get("responses-shim-report"), **answer}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"input": "x" * 20_000, "unknown": {"later": 1}},
        {"tool_choice": "none", "parallel_tool_calls": False},
        {"tool_choice": {"type": "custom", "name": "write"}},
        {"tool_choice": {"type": "custom", "name": "nobody"}},
        {"input": [{"type": "additional_tools", "tools": [{"type": "shell"}]}, {"role": "user", "content": "Hi"}]},
        {"input": None},
        {"temperature": 9},
        {"metadata": {"deep": json.loads("[" * 200 + "]" * 200)}},
        {"tools": [{"type": "function"}]},
        {"tools": [1]},
        {"tools": []},
        {"tools": "find"},
        {"tools": None},
    ],
)
async def test_every_request_gets_what_the_first_one_got(fields: Json) -> None:
    host = ScriptedHost()
    shim = ResponsesShim(host)
    first, *others = [await ask(shim, **fields) for _ in range(4)]
    assert [shown(reply) for reply in others] == [shown(first)] * 3
    assert all(sent == host.requests[0] for sent in host.requests)


async def test_tools_among_other_fields() -> None:
    host = ScriptedHost()
    shim = ResponsesShim(host)
    for _ in range(2):
        await ask(shim)
    await ask(shim, input="Ho", temperature=0.5, tool_choice="required")
    first, _, second = host.requests
    assert second["tools"] == first["tools"]
    assert (second["temperature"], second["tool_choice"]) == (0.5, "required")
    assert second["messages"] == [{"role": "user", "content": "Ho"}]


@pytest.mark.parametrize(
    "end",
    [
        *(b"", b"}}", b', "x": "\xff"}', b', "x": "\\q"}', b', "input": "\\ud83d"}', b', "truncation": "maybe"}'),
        b', "x": %b}' % (b"[" * 100 + b"]" * 100),
        b', "x": %b}' % (b"9" * 101),
    ],
)
async def test_what_is_wrong_beside_known_tools(end: bytes) -> None:
    """The message is that for new tools, to the byte: it says where the JSON ends to be JSON."""
    body = b'{"model": "m", "input": "Hi", "tools": ' + json.dumps(TOOLS).encode()
    known, new = ResponsesShim(ScriptedHost()), ResponsesShim(ScriptedHost())
    for _ in range(2):
        await ask(known, body + b"}")
    assert shown(await ask(known, body + end)) == shown(await ask(new, body + end))


async def test_interceptors_change_the_tools_of_their_request_alone() -> None:
    seen = []

    async def rename(view: RequestView, headers: object) -> None:
        seen.append([tool.name for tool in view.tools])
        view.tools[0].name = "renamed"
        assert view.tools[0].parameters is not None
        view.tools[0].parameters["changed"] = True

    host = ScriptedHost()
    shim = ResponsesShim(host, interceptors=[rename])
    for _ in range(3):
        await ask(shim, tools=[FIND])
    assert seen == [["find"]] * 3
    assert host.requests[0]["tools"] == host.requests[1]["tools"] == host.requests[2]["tools"]


async def test_with_lower_limits_the_complete_body_is_looked_at() -> None:
    shim = ResponsesShim(ScriptedHost(), max_nodes=60)
    fields: dict[str, Any] = {"metadata": {str(number): "" for number in range(10)}}
    replies = [await ask(shim), await ask(shim), await ask(shim), await ask(shim, tools=TOOLS * 4, **fields)]
    assert [reply.status for reply in replies] == [200, 200, 200, 413]
