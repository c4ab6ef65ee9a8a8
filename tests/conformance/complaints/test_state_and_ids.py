"""Complaints about lost state and about ids that change (1 to 8)."""

from __future__ import annotations

import gc
import json
import tracemalloc

import pytest

from responses_shim import ResponsesShim
from tests.conformance.asking import (
    QUESTION,
    WEATHER,
    Json,
    ask,
    events_of,
    items_of,
    refusal_of,
    response_of,
    result_of,
    streaming,
    text_of,
)
from tests.conformance.complaints.answers import calling
from tests.oracle import check_error
from tests.scripted import ScriptedHost, call_answer, chunk, text_answer
from tests.scripted import call as tool_call

pytestmark = pytest.mark.anyio


# State -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", [None, True])
@pytest.mark.parametrize("kept", [False, True], ids=["nothing is stored", "the store is bounded"])
async def test_01_no_more_memory_is_left_behind_by_responses_than_the_store_may_take(
    kept: bool, store: bool | None
) -> None:
    """A server kept every response for ever, until its memory was full. Here the store has bounds."""
    size = 100_000
    host = ScriptedHost(text_answer("x" * size))
    shim = ResponsesShim(host, store_size=250_000) if kept else ResponsesShim(host, store="off")

    async def ask_often(times: int) -> None:
        for _ in range(times):
            reply = await ask(shim, input="y" * size, store=store)
            assert reply.json["store"] is kept
            for remembered in (host.requests, host.headers, host.scopes):  # the scripted host keeps its requests
                remembered.clear()
        del reply
        gc.collect()

    await ask_often(3)
    tracemalloc.start()
    try:
        await ask_often(20)
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    allowed = 4 * size if kept else size
    assert left < allowed, "more is left of twenty requests, of which each has twice that size, than should be"


async def test_02_calls_and_their_outputs_are_not_lost_between_turns() -> None:
    """A server that continued from a stored response left its tool calls out, so that the next turn began with the
    output of no call. Here the model sees the same, whether the client sends an id or all items."""
    host = ScriptedHost(call_answer(("call_1", "get_weather", '{"city": "Paris"}')), text_answer("It is sunny."))
    shim = ResponsesShim(host)
    first = await response_of(shim, input=[QUESTION], tools=[WEATHER])
    [called] = first["output"]

    second = await response_of(shim, input=[QUESTION, called, result_of(called)], tools=[WEATHER])
    assert text_of(second) == "It is sunny."
    continued = await response_of(shim, input=[result_of(called)], tools=[WEATHER], previous_response_id=first["id"])
    assert text_of(continued) == "It is sunny."
    assert host.requests[1] == host.requests[2]
    question, call, output = host.requests[1]["messages"]
    assert question == QUESTION
    assert call["tool_calls"][0]["function"] == {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    assert call["tool_calls"][0]["id"] == output["tool_call_id"] == "call_1"
    assert output["content"] == "sunny"


STATE_FIELDS: list[tuple[str, str, Json]] = [
    ("previous_response_id", "previous_response_id", {"previous_response_id": "resp_1"}),
    ("previous_response_id", "previous_response_id", {"previous_response_id": "no such thing"}),
    ("conversation", "conversation", {"conversation": "conv_1"}),
    ("conversation", "conversation", {"conversation": {"id": "conv_1"}}),
    ("input[0].type", "input[0].id", {"input": [{"type": "item_reference", "id": "msg_1"}, QUESTION]}),
    ("input[0]", "input[0].id", {"input": [{"id": "msg_1"}, QUESTION]}),
]
"""What is named without a store, what is named if the store has no such id, and the fields."""


@streaming
@pytest.mark.parametrize(
    ("param", "fields"),
    [
        *[(param, fields) for param, _, fields in STATE_FIELDS],
        ("background", {"background": True}),
        ("prompt", {"prompt": {"id": "pmpt_1"}}),
        ("context_management", {"context_management": [{"type": "compaction"}]}),
    ],
)
async def test_03_without_a_store_a_field_that_needs_state_is_refused_by_name(
    param: str, fields: Json, stream: bool
) -> None:
    """A server accepted `previous_response_id`, ignored it and answered 200: the model knew nothing of before."""
    host = ScriptedHost()
    error = await refusal_of(ResponsesShim(host, store="off"), **fields, stream=stream)
    assert error["param"] == param
    assert not host.requests, "the host was called"


@streaming
@pytest.mark.parametrize(("param", "fields"), [(param, fields) for _, param, fields in STATE_FIELDS])
async def test_03_what_is_not_in_the_store_is_missed_by_name(param: str, fields: Json, stream: bool) -> None:
    """Nor does the model answer to a part of what it is asked."""
    host = ScriptedHost()
    reply = await ask(ResponsesShim(host), **fields, stream=stream)
    check_error(reply.json)
    assert (reply.status, reply.json["error"]["param"]) == (404, param)
    assert not host.requests, "the host was called"


# Ids ---------------------------------------------------------------------------------------------------------------

NOTE: Json = {"type": "custom", "name": "note", "description": "Writes a note."}


async def test_04_an_id_is_the_same_in_all_events_of_a_response() -> None:
    """The response had one id in the first event and another in the last, or the engine's `chatcmpl-` id; or every
    piece of reasoning had an id of its own."""
    script = [
        *[
            chunk("", role="assistant"),
            chunk(reasoning="First "),
            chunk(reasoning="this."),
            chunk("So"),
            chunk(" be it"),
        ],
        *calling(
            [tool_call(0, "call_1", "get_weather", '{"city":')],
            [tool_call(1, "call_2", "note", '{"input": "Rain"}')],
            [tool_call(0, arguments=' "Paris"}')],
        ),
    ]
    events = await events_of(ResponsesShim(ScriptedHost(script)), tools=[WEATHER, NOTE])
    assert "chatcmpl" not in json.dumps(events)

    [response_id] = {event["response"]["id"] for event in events if "response" in event}
    assert response_id.startswith("resp_")
    ids: dict[int, set[str]] = {}
    for event in events:
        if "output_index" in event:
            ids.setdefault(event["output_index"], set()).add(event.get("item_id") or event["item"]["id"])
    final = events[-1]["response"]["output"]
    assert [ids[index] for index in sorted(ids)] == [{item["id"]} for item in final]
    assert [item["id"].split("_")[0] for item in final] == ["rs", "msg", "fc", "ctc"]


HEAD, TAIL = '{"city":', ' "Paris"}'


@pytest.mark.parametrize(
    "deltas",
    [
        [[tool_call(0, "call_a", "get_weather", HEAD)], [tool_call(0, arguments=TAIL)]],
        [[tool_call(0, "call_a", "get_weather", HEAD)], [tool_call(0, "call_a", arguments=TAIL)]],
        [[tool_call(0, "call_a", "get_weather", HEAD)], [tool_call(0, "call_b", arguments=TAIL)]],
        [[tool_call(0, name="get_weather", arguments=HEAD)], [tool_call(0, arguments=TAIL)]],
        [[tool_call(0, name="get_weather", arguments=HEAD)], [tool_call(0, "call_late", arguments=TAIL)]],
    ],
    ids=["once", "in each delta", "another in each delta", "never", "late"],
)
async def test_05_a_call_has_one_call_id_from_its_first_event_to_the_last(deltas: list[list[Json]]) -> None:
    """The finished response was parsed again from the complete text, so its calls had other ids than in the stream, and
    the agent's outputs belonged to no call."""
    events = await events_of(ResponsesShim(ScriptedHost(calling(*deltas))), tools=[WEATHER])
    items = [event["item"] for event in events if event["type"].startswith("response.output_item.")]
    items += events[-1]["response"]["output"]
    assert len(items) == 3
    assert len({item["call_id"] for item in items}) == 1
    assert json.loads(items[-1]["arguments"]) == {"city": "Paris"}


@streaming
@pytest.mark.parametrize(
    "deltas",
    [
        [[tool_call(n, f"call_{n}", "get_weather", f'{{"city": "{n}"}}') for n in range(3)]],
        [
            [tool_call(n, f"call_{n}", "get_weather", '{"city"') for n in range(3)],
            [tool_call(n, arguments=f': "{n}"') for n in (2, 0, 1)],
            [tool_call(n, arguments="}") for n in (1, 2, 0)],
        ],
    ],
    ids=["at once", "in turns"],
)
async def test_06_several_calls_in_one_chunk_are_all_items(deltas: list[list[Json]], stream: bool) -> None:
    """At a chunk with several calls a server crashed, or took the first alone."""
    response = await response_of(ResponsesShim(ScriptedHost(calling(*deltas))), tools=[WEATHER], stream=stream)
    calls = items_of(response, "function_call")
    assert [call["call_id"] for call in calls] == ["call_0", "call_1", "call_2"]
    assert [json.loads(call["arguments"]) for call in calls] == [{"city": "0"}, {"city": "1"}, {"city": "2"}]


@streaming
@pytest.mark.parametrize("id", [None, ""])
@pytest.mark.parametrize("indexed", [True, False])
async def test_07_a_call_without_an_id_is_an_item_with_one(id: str | None, indexed: bool, stream: bool) -> None:
    """Some engines give their calls no id, or an empty one: such a call became no event, and no tool was run."""
    calls = [tool_call(n if indexed else None, id, "get_weather", f'{{"city": "{n}"}}') for n in range(2)]
    script = calling(*[[call] for call in calls])
    response = await response_of(ResponsesShim(ScriptedHost(script)), tools=[WEATHER], stream=stream)
    function_calls = items_of(response, "function_call")
    assert [json.loads(call["arguments"]) for call in function_calls] == [{"city": "0"}, {"city": "1"}]
    assert all(call["call_id"].startswith("call_") for call in function_calls)
    assert function_calls[0]["call_id"] != function_calls[1]["call_id"]


@streaming
@pytest.mark.parametrize(
    ("tool", "name", "arguments", "kind"),
    [
        (WEATHER, "get_weather", '{"city": "Paris"}', "function_call"),
        (NOTE, "note", '{"input": "Rain"}', "custom_tool_call"),
        ({"type": "local_shell"}, "local_shell", '{"command": ["ls"]}', "local_shell_call"),
        ({"type": "shell"}, "shell", '{"commands": ["ls"]}', "shell_call"),
        ({"type": "apply_patch"}, "apply_patch", '{"type": "delete_file", "path": "a"}', "apply_patch_call"),
        ({"type": "tool_search", "execution": "client"}, "tool_search", '{"query": "a"}', "tool_search_call"),
    ],
)
async def test_08_every_item_has_an_id(tool: Json, name: str, arguments: str, kind: str, stream: bool) -> None:
    """Calls came without an `id`, or with null, and typed clients refused the response."""
    script = [chunk(reasoning="Hm."), chunk("Well."), *calling([tool_call(0, name=name, arguments=arguments)])]
    response = await response_of(ResponsesShim(ScriptedHost(script)), tools=[tool], stream=stream)
    assert [item["type"] for item in response["output"]] == ["reasoning", "message", kind]
    ids = [item["id"] for item in response["output"]]
    assert all(isinstance(id, str) and id for id in [*ids, response["output"][-1]["call_id"]])
    assert len(set(ids)) == 3
