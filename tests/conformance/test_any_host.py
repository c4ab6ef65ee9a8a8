"""The complete shim over random hosts, their bytes cut anywhere: what a client gets is always valid.

It gets an HTTP error with its four keys, or a response that is valid to the last event, and the same response whether
it is streamed or not. The model calls tools by names that were offered to it and by others, with valid arguments and
with others; what comes out can always be sent back in the next turn.
"""

from __future__ import annotations

from typing import Any

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from responses_shim import ResponsesShim
from tests import caller
from tests.caller import Reply
from tests.fuzz.host_answers import REQUEST, TOOLS, comparable, is_stream, scripts, streams
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import Script, ScriptedHost


def ask(script: Script, *, listens: bool = True, stream: bool, **fields: Any) -> Reply:
    app = ResponsesShim(ScriptedHost(script, listens=listens))

    async def post() -> Reply:
        return await caller.post(app, "/v1/responses", {**REQUEST, "stream": stream, **fields})

    return anyio.run(post)


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
