"""What Codex CLI needs of a server: eleven points, in the form in which it sends and reads them, without Codex itself.

It uses no other API any more, and local servers lack the same things again and again. The real Codex is run in
`integrations/codex`; here each point is tested by itself, together with the request that the host gets.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import anyio
import httpx
import pytest

from responses_shim import ResponsesShim
from responses_shim.extensions.codex import Model, catalog
from tests.caller import Reply, call, payloads, post, request
from tests.conformance.asking import Json, events_of, items_of, refusal_of, response_of, result_of, text_of
from tests.oracle import check_error, check_stream
from tests.scripted import DONE, ScriptedHost, Step, Wait, call_answer, chunk, text_answer, usage
from tests.serving import serving

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.anyio


def function(name: str, **more: Any) -> Json:
    parameters = {"type": "object", "properties": {"cmd": {"type": "string"}}, "additionalProperties": False}
    return {"type": "function", "name": name, "description": "…", "strict": False, "parameters": parameters, **more}


GRAMMAR = 'start: begin hunk+ end\nbegin: "*** Begin Patch" LF\nend: "*** End Patch" LF?'
APPLY_PATCH: Json = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Use it to edit files. This is a FREEFORM tool, so do not wrap the patch in JSON.",
    "format": {"type": "grammar", "syntax": "lark", "definition": GRAMMAR},
}
AGENTS: Json = {
    "type": "namespace",
    "name": "multi_agent_v1",
    "description": "Other agents.",
    "tools": [function("spawn_agent"), function("wait_agent")],
}
WEB_SEARCH: Json = {"type": "web_search", "external_web_access": True}
DEVELOPER: Json = {
    "type": "message",
    "id": "msg_a",
    "role": "developer",
    "content": [{"type": "input_text", "text": "You are a coding agent."}],
}
TASK: Json = {
    "type": "message",
    "id": "msg_b",
    "role": "user",
    "content": [{"type": "input_text", "text": "Fix the tests."}],
}
TURN: Json = {
    "model": "scripted",
    "input": [DEVELOPER, TASK],
    "tools": [function("exec_command"), AGENTS, APPLY_PATCH, WEB_SEARCH],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"summary": "auto"},
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "a-session",
    "client_metadata": {"installation": "x"},
}
"""The first request of a turn. Codex always streams."""


async def turn_of(shim: ResponsesShim, **fields: Any) -> list[Json]:
    """The events of a turn, whose request has these fields changed."""
    return await events_of(shim, **{**TURN, **fields})


async def test_codex_01_pings_are_events_that_it_counts() -> None:
    """Codex gives up on a stream when no event has come for a while, and does not count comments. Before `created` no
    event may be sent, so that one must not wait for the model either."""
    read = anyio.Event()
    shim = ResponsesShim(ScriptedHost([Wait(read), *text_answer("Done.")]), commit_after=0, ping_interval=0.02)
    async with call(shim, "POST", "/v1/responses", json={**TURN, "stream": True}) as exchange:
        seen = [await exchange.next_event() for _ in range(6)]
        assert [event.name for event in seen if event] == ["response.created", *["response.in_progress"] * 5]
        assert exchange.comments == []
        read.set()
        check_stream(payloads([event for event in seen if event] + await exchange.events()))


async def test_codex_02_it_may_send_its_request_in_zstd() -> None:
    """When it is logged in, it compresses every request; a server that reads the bytes as JSON answers 400 to all."""
    host = ScriptedHost()
    body = zstd.compress(json.dumps({**TURN, "stream": True}).encode())
    headers = {"content-type": "application/json", "content-encoding": "zstd"}
    reply = await request(ResponsesShim(host), "POST", "/v1/responses", body=body, headers=headers)
    assert reply.status == 200
    check_stream(payloads(reply.events))
    assert host.requests[0]["messages"][-1] == {"role": "user", "content": "Fix the tests."}


PATCH = "*** Begin Patch\n*** Add File: a.txt\n+one\n*** End Patch"


async def test_codex_03_its_patch_tool_is_offered_and_called_and_its_output_sent_back() -> None:
    """The patch tool takes free text in a grammar; chat completions has nothing like it."""
    host = ScriptedHost(call_answer(("call_1", "apply_patch", json.dumps({"input": PATCH}))), text_answer("Done."))
    shim = ResponsesShim(host)
    events = await turn_of(shim)
    [offered] = [tool["function"] for tool in host.requests[0]["tools"] if tool["function"]["name"] == "apply_patch"]
    assert offered["parameters"]["required"] == ["input"]
    assert offered["parameters"]["properties"]["input"]["type"] == "string"
    assert GRAMMAR in offered["description"]
    deltas = [event["delta"] for event in events if event["type"] == "response.custom_tool_call_input.delta"]
    [done] = [event for event in events if event["type"] == "response.custom_tool_call_input.done"]
    [called] = events[-1]["response"]["output"]
    assert len(deltas) > 1
    assert "".join(deltas) == done["input"] == called["input"] == PATCH
    assert (called["type"], called["name"]) == ("custom_tool_call", "apply_patch")

    output = {"type": "custom_tool_call_output", "call_id": called["call_id"], "output": "Success."}
    await turn_of(shim, input=[DEVELOPER, TASK, called, output])
    _, _, call, result = host.requests[1]["messages"]
    assert json.loads(call["tool_calls"][0]["function"]["arguments"]) == {"input": PATCH}
    assert (result["tool_call_id"], result["content"]) == ("call_1", "Success.")


async def test_codex_04_calls_of_tools_in_a_namespace_have_namespace_and_name() -> None:
    """Chat completions has no namespaces, and a call by a flattened name is an "unsupported call" to Codex."""
    long = {**AGENTS, "name": "mcp__" + "a_very_long_name_of_a_server" * 2}

    def spawns_twice(chat: Json) -> list[Step]:
        names = [tool["function"]["name"] for tool in chat["tools"]]
        assert all(len(name) <= 64 for name in names)
        assert len(set(names)) == len(names)
        return call_answer(*[(f"call_{index}", names[index], "{}") for index in (1, 3)])

    events = await turn_of(ResponsesShim(ScriptedHost(spawns_twice)), tools=[function("exec_command"), AGENTS, long])
    called = items_of(events[-1]["response"], "function_call")
    assert [(call["namespace"], call["name"]) for call in called] == [
        ("multi_agent_v1", "spawn_agent"),
        (long["name"], "spawn_agent"),
    ]
    added = [event["item"] for event in events if event["type"] == "response.output_item.added"]
    assert [(item["namespace"], item["name"]) for item in added] == [
        (call["namespace"], call["name"]) for call in called
    ]


async def test_codex_05_its_tools_may_come_in_the_input() -> None:
    """In its shorter requests `tools` is null, and an item of the input has them."""
    host = ScriptedHost(call_answer(("call_1", "exec_command", '{"cmd": "ls"}')))
    tools = {"type": "additional_tools", "role": "developer", "tools": [function("exec_command"), APPLY_PATCH]}
    events = await turn_of(ResponsesShim(host), tools=None, input=[tools, DEVELOPER, TASK])
    [called] = events[-1]["response"]["output"]
    assert (called["type"], called["name"]) == ("function_call", "exec_command")
    assert [tool["function"]["name"] for tool in host.requests[0]["tools"]] == ["exec_command", "apply_patch"]


async def test_codex_05_it_searches_for_tools_that_are_not_loaded() -> None:
    """Tools may be deferred: the model knows of them, searches for them, and can call them from then on."""
    search = {"type": "tool_search", "execution": "client", "description": "Finds tools.", "parameters": None}
    deferred = {**AGENTS, "tools": [function("spawn_agent", defer_loading=True)]}
    tools = [function("exec_command"), search, deferred]
    host = ScriptedHost(
        call_answer(("call_1", "tool_search", '{"query": "agents"}')),
        call_answer(("call_2", "multi_agent_v1__spawn_agent", "{}")),
    )
    shim = ResponsesShim(host)
    first = (await turn_of(shim, tools=tools))[-1]["response"]
    [searched] = first["output"]
    assert (searched["type"], searched["execution"]) == ("tool_search_call", "client")
    assert searched["arguments"] == {"query": "agents"}
    assert [tool["function"]["name"] for tool in host.requests[0]["tools"]] == ["exec_command", "tool_search"]
    assert "multi_agent_v1" in host.requests[0]["tools"][1]["function"]["description"]

    found = {
        "type": "tool_search_output",
        "call_id": searched["call_id"],
        "status": "completed",
        "execution": "client",
        "tools": [{**AGENTS, "tools": [function("spawn_agent")]}],
    }
    second = (await turn_of(shim, tools=tools, input=[DEVELOPER, TASK, searched, found]))[-1]["response"]
    [called] = second["output"]
    assert (called["namespace"], called["name"]) == ("multi_agent_v1", "spawn_agent")
    assert "multi_agent_v1__spawn_agent" in host.requests[1]["messages"][-1]["content"]


async def test_codex_06_its_instructions_and_developer_messages_are_one_system_message() -> None:
    """Older versions send `instructions`, newer ones developer messages; many templates allow one system message."""
    host = ScriptedHost()
    later = {**DEVELOPER, "content": [{"type": "input_text", "text": "Approvals are off."}]}
    await turn_of(ResponsesShim(host), instructions="Be brief.", input=[DEVELOPER, TASK, later])
    assert [message["role"] for message in host.requests[0]["messages"]] == ["system", "user"]
    assert host.requests[0]["messages"][0]["content"] == ("Be brief.\n\nYou are a coding agent.\n\nApprovals are off.")


async def test_codex_07_its_history_has_no_ids_and_items_of_other_services() -> None:
    """It removes ids, keeps reasoning that another service sealed, sends lists of parts and images as outputs, and
    keeps the searches of a hosted tool."""
    host = ScriptedHost()
    pixel = "data:image/png;base64,iVBORw0KGgo="
    history = [
        DEVELOPER,
        TASK,
        {"type": "reasoning", "summary": [], "content": None, "encrypted_content": "gAAAAABnot-ours"},
        {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "tests"}},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "name": "view_image", "arguments": '{"path": "a.png"}', "call_id": "call_1"},
        {
            "type": "function_call_output",
            "call_id": "call_1",
            "output": [
                {"type": "input_text", "text": "Here it is."},
                {"type": "input_image", "image_url": pixel, "detail": "high"},
            ],
        },
    ]
    tools = [function("view_image"), WEB_SEARCH, {"type": "image_generation", "output_format": "png"}]
    reply = await post(ResponsesShim(host), "/v1/responses", {**TURN, "tools": tools, "input": history, "stream": True})
    assert reply.status == 200
    check_stream(payloads(reply.events))
    report = reply.headers["responses-shim-report"]
    for dropped in ("input[2].encrypted_content", "input[3]", "tools[1]", "tools[2]"):
        assert f'"{dropped}"' in report
    _, _, assistant, output, image = host.requests[0]["messages"]
    assert (assistant["role"], assistant["content"], len(assistant["tool_calls"])) == ("assistant", "I look.", 1)
    assert (output["role"], output["content"]) == ("tool", "Here it is.")
    assert image["role"] == "user"
    assert image["content"][-1] == {"type": "image_url", "image_url": {"url": pixel, "detail": "high"}}


async def test_codex_08_a_call_is_the_same_in_every_event_and_the_last_has_the_usage() -> None:
    """It reads a call from its `done` event, and the usage from the last event."""
    events = await turn_of(ResponsesShim(ScriptedHost(call_answer(("call_1", "exec_command", '{"cmd": "ls"}')))))
    by_type = {event["type"]: event for event in events}
    added, done = (by_type[f"response.output_item.{verb}"]["item"] for verb in ("added", "done"))
    final = by_type["response.completed"]["response"]
    assert added["call_id"] == done["call_id"] == final["output"][0]["call_id"] == "call_1"
    assert by_type["response.function_call_arguments.done"]["arguments"] == done["arguments"] == '{"cmd": "ls"}'
    assert {name: final["usage"][name] for name in ("input_tokens", "output_tokens", "total_tokens")} == {
        "input_tokens": 20,
        "output_tokens": 9,
        "total_tokens": 29,
    }


@pytest.mark.parametrize("effort", ["none", "xhigh", "max"])
async def test_codex_08_any_reasoning_effort_goes_to_the_host(effort: str) -> None:
    """It knows more of them than many servers do."""
    host = ScriptedHost()
    await turn_of(ResponsesShim(host), reasoning={"effort": effort, "summary": "auto"})
    assert host.requests[0]["reasoning_effort"] == effort


async def test_codex_08_reasoning_comes_as_a_summary_with_a_sealed_copy() -> None:
    """It asks for summaries, shows them, and sends them back with the sealed copy."""
    script = [chunk(reasoning="I think "), chunk(reasoning="so."), chunk("Yes."), chunk(finish_reason="stop")]
    host = ScriptedHost([*script, chunk(usage=usage(7, 3)), DONE])
    shim = ResponsesShim(host)
    events = await turn_of(shim)
    deltas = [event["delta"] for event in events if event["type"] == "response.reasoning_summary_text.delta"]
    assert deltas == ["I think ", "so."]
    reasoning, message = events[-1]["response"]["output"]
    assert reasoning["encrypted_content"]
    await turn_of(shim, input=[DEVELOPER, TASK, reasoning, message, {**TASK, "id": "msg_c"}])
    assert host.requests[1]["messages"][2]["reasoning"] == "I think so."


async def test_codex_09_it_gets_a_catalogue_of_models_and_other_clients_the_hosts_list() -> None:
    """Without a catalogue in its own form it warns, guesses the length of the context, and hides its patch tool."""
    listed = {"object": "list", "data": [{"id": "tiny", "object": "model", "max_model_len": 32768}]}

    async def host(scope: Any, receive: Any, send: Any) -> None:
        assert (scope["method"], scope["path"]) == ("GET", "/v1/models")
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(listed).encode()})

    async def models(query: str) -> Reply:
        return await request(ResponsesShim(host), "GET", "/v1/models", query=query)

    codex_models = (await models("client_version=0.169.0")).json
    assert codex_models == catalog([Model("tiny", 32768)])
    [model] = codex_models["models"]
    assert (model["slug"], model["context_window"], model["apply_patch_tool_type"]) == ("tiny", 32768, "freeform")
    assert model["input_modalities"] == ["text"]
    for query in ("", "version=0.169.0"):
        assert (await models(query)).json == listed


async def test_codex_10_its_own_compaction_works_and_the_servers_is_refused_by_name() -> None:
    """With any other server than OpenAI's it compacts by an ordinary turn. Compaction by the server is not there yet,
    and a request for it must be an error, not an answer that is no compaction."""
    host = ScriptedHost(text_answer("Summary: nothing is done yet."))
    shim = ResponsesShim(host)
    summarise = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Sum up."}]}
    events = await turn_of(shim, input=[DEVELOPER, TASK, summarise], tools=[], parallel_tool_calls=False)
    assert text_of(events[-1]["response"]) == "Summary: nothing is done yet."

    trigger = {"type": "compaction_trigger"}
    error = await refusal_of(shim, **{**TURN, "input": [DEVELOPER, TASK, trigger], "stream": True})
    assert (error["param"], error["code"]) == ("input[2].type", "unsupported_parameter")
    reply = await post(shim, "/v1/responses/compact", {"model": "scripted", "input": [TASK]})
    assert (reply.status, reply.json["error"]["code"]) == (404, "not_found")
    check_error(reply.json)
    assert len(host.requests) == 1


def test_codex_11_its_websocket_gets_a_426_so_that_it_continues_over_http() -> None:
    """After any other refusal it tries the WebSocket again and again before it uses HTTP."""
    upgrade = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    host = ScriptedHost()
    with serving(ResponsesShim(host)) as url, httpx.Client(timeout=20, trust_env=False) as client:
        reply = client.get(f"{url}/v1/responses", headers=upgrade)
        assert reply.status_code == 426
        check_error(reply.json())
        assert not host.requests
        assert client.post(f"{url}/v1/responses", json={**TURN, "stream": True}).status_code == 200
    assert len(host.requests) == 1


async def test_codex_11_a_turn_continues_by_its_complete_history() -> None:
    """Over HTTP it sends everything in every turn, and no `previous_response_id`."""
    host = ScriptedHost(call_answer(("call_1", "exec_command", '{"cmd": "ls"}')), text_answer("Done."))
    shim = ResponsesShim(host)
    first = await response_of(shim, stream=True, **TURN)
    history = [DEVELOPER, TASK, *first["output"], *[result_of(call, "a.txt") for call in first["output"]]]
    second = await response_of(shim, stream=True, **{**TURN, "input": history})
    assert text_of(second) == "Done."
    assert host.requests[1]["messages"][:2] == host.requests[0]["messages"]
