"""The twenty-five complaints that users of other servers of this API make most often, and what happens here instead.

They are about engines, gateways and proxies that serve the Responses API, and come from the people whose agents broke
on them. Each test bears the number of its complaint and says what it is. Where the cure would be stored state, which
is not there yet, the test holds what must be true today: what needs state is refused by name and never ignored.
"""

from __future__ import annotations

import base64
import gc
import gzip
import json
import socket
import sys
import threading
import tracemalloc
import zlib
from collections.abc import Callable
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from starlette.types import Receive, Scope, Send

from responses_shim import ResponsesShim
from responses_shim.runtime import run as runs
from responses_shim.settings import Options
from tests.caller import DEADLINE, call, payloads, post, request
from tests.conformance.asking import (
    QUESTION,
    WEATHER,
    Json,
    ask,
    both_ways,
    events_of,
    items_of,
    refusal_of,
    response_of,
    result_of,
    text_of,
)
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import (
    DONE,
    Hold,
    ScriptedHost,
    Step,
    Wait,
    call_answer,
    call_then_text,
    chunk,
    text_answer,
    usage,
)
from tests.scripted import Json as JsonAnswer
from tests.scripted import call as tool_call
from tests.serving import serving

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.anyio

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
IMAGE: Json = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}


def calling(*deltas: list[Json], finish_reason: str = "tool_calls") -> list[Step]:
    """An answer that consists of chunks with these `tool_calls`."""
    said = [chunk(tool_calls=calls) for calls in deltas]
    return [chunk("", role="assistant"), *said, chunk(finish_reason=finish_reason), chunk(usage=usage(20, 9)), DONE]


# State -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", [None, True])
async def test_01_nothing_is_kept_without_bound(store: bool | None) -> None:
    """A server kept every response for ever, until its memory was full. Nothing is kept here, and that is said."""
    size = 100_000
    host = ScriptedHost(text_answer("x" * size))
    shim = ResponsesShim(host)

    async def ask_often(times: int) -> None:
        for _ in range(times):
            reply = await ask(shim, input="y" * size, store=store)
            assert reply.json["store"] is False
            for kept in (host.requests, host.headers, host.scopes):  # what the test's own host remembers
                kept.clear()
        del reply
        gc.collect()

    await ask_often(3)
    tracemalloc.start()
    try:
        await ask_often(20)
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < size, "more is left of twenty requests than one takes"


async def test_02_calls_and_their_outputs_are_not_lost_between_turns() -> None:
    """A server that continued from a stored response left its tool calls out, so that the next turn began with the
    output of nothing. The id is refused here; the same items, sent whole, arrive in their order."""
    host = ScriptedHost(call_answer(("call_1", "get_weather", '{"city": "Paris"}')), text_answer("It is sunny."))
    shim = ResponsesShim(host)
    first = await response_of(shim, input=[QUESTION], tools=[WEATHER])
    [called] = first["output"]

    error = await refusal_of(shim, input=[result_of(called)], tools=[WEATHER], previous_response_id=first["id"])
    assert error["param"] == "previous_response_id"
    assert "whole conversation" in error["message"]
    assert len(host.requests) == 1

    second = await response_of(shim, input=[QUESTION, called, result_of(called)], tools=[WEATHER])
    assert text_of(second) == "It is sunny."
    question, asked, answered = host.requests[1]["messages"]
    assert question == QUESTION
    assert asked["tool_calls"][0]["function"] == {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    assert asked["tool_calls"][0]["id"] == answered["tool_call_id"] == "call_1"
    assert answered["content"] == "sunny"


@both_ways
@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("previous_response_id", {"previous_response_id": "resp_1"}),
        ("previous_response_id", {"previous_response_id": "no such thing"}),
        ("conversation", {"conversation": "conv_1"}),
        ("conversation", {"conversation": {"id": "conv_1"}}),
        ("background", {"background": True}),
        ("prompt", {"prompt": {"id": "pmpt_1"}}),
        ("context_management", {"context_management": [{"type": "compaction"}]}),
        ("input[0].type", {"input": [{"type": "item_reference", "id": "msg_1"}, QUESTION]}),
        ("input[0]", {"input": [{"id": "msg_1"}, QUESTION]}),
    ],
)
async def test_03_a_field_that_needs_state_is_refused_by_name(param: str, fields: Json, stream: bool) -> None:
    """A server took `previous_response_id`, did nothing with it, and answered 200: the model had forgotten all."""
    host = ScriptedHost()
    error = await refusal_of(ResponsesShim(host), **fields, stream=stream)
    assert error["param"] == param
    assert not host.requests, "the model was asked all the same"


# Ids ---------------------------------------------------------------------------------------------------------------

NOTE: Json = {"type": "custom", "name": "note", "description": "Writes a note."}


async def test_04_an_id_is_the_same_wherever_it_stands() -> None:
    """Streams named their response one way in the first event and another way in the last, handed on the engine's
    `chatcmpl-` ids, or gave every piece of reasoning an id of its own: the client lost track."""
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
    assert [ids[place] for place in sorted(ids)] == [{item["id"]} for item in final]
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
    ids=["told once", "told each time", "another each time", "never told", "told late"],
)
async def test_05_a_call_has_one_call_id_from_its_first_event_to_the_last(deltas: list[list[Json]]) -> None:
    """The finished response was parsed anew from the whole text, so its calls had other ids than those in the stream,
    and the agent's outputs belonged to calls that were not there."""
    events = await events_of(ResponsesShim(ScriptedHost(calling(*deltas))), tools=[WEATHER])
    told = [event["item"] for event in events if event["type"].startswith("response.output_item.")]
    told += events[-1]["response"]["output"]
    assert len(told) == 3
    assert len({item["call_id"] for item in told}) == 1
    assert json.loads(told[-1]["arguments"]) == {"city": "Paris"}


@both_ways
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
    ids=["whole", "in turns"],
)
async def test_06_several_calls_in_one_chunk_are_all_made(deltas: list[list[Json]], stream: bool) -> None:
    """With more than one call in a chunk a server crashed, or only the first was ever seen."""
    response = await response_of(ResponsesShim(ScriptedHost(calling(*deltas))), tools=[WEATHER], stream=stream)
    calls = items_of(response, "function_call")
    assert [call["call_id"] for call in calls] == ["call_0", "call_1", "call_2"]
    assert [json.loads(call["arguments"]) for call in calls] == [{"city": "0"}, {"city": "1"}, {"city": "2"}]


@both_ways
@pytest.mark.parametrize("id", [None, ""])
@pytest.mark.parametrize("indexed", [True, False])
async def test_07_a_call_without_an_id_is_a_call(id: str | None, indexed: bool, stream: bool) -> None:
    """Engines that give their calls no id, or an empty one: the call never became an event, and nothing was run."""
    calls = [tool_call(n if indexed else None, id, "get_weather", f'{{"city": "{n}"}}') for n in range(2)]
    script = calling(*[[call] for call in calls])
    response = await response_of(ResponsesShim(ScriptedHost(script)), tools=[WEATHER], stream=stream)
    made = items_of(response, "function_call")
    assert [json.loads(call["arguments"]) for call in made] == [{"city": "0"}, {"city": "1"}]
    assert all(call["call_id"].startswith("call_") for call in made)
    assert made[0]["call_id"] != made[1]["call_id"]


@both_ways
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
async def test_08_every_item_has_its_id(tool: Json, name: str, arguments: str, kind: str, stream: bool) -> None:
    """Calls came without an `id`, or with null, and typed clients refused the whole response."""
    script = [chunk(reasoning="Hm."), chunk("Well."), *calling([tool_call(0, name=name, arguments=arguments)])]
    response = await response_of(ResponsesShim(ScriptedHost(script)), tools=[tool], stream=stream)
    assert [item["type"] for item in response["output"]] == ["reasoning", "message", kind]
    ids = [item["id"] for item in response["output"]]
    assert all(isinstance(id, str) and id for id in [*ids, response["output"][-1]["call_id"]])
    assert len(set(ids)) == 3


# What is sent in ---------------------------------------------------------------------------------------------------


def strict_template(request: Json) -> list[Step]:
    """A host whose chat template takes one system message, at the beginning, and knows no developer."""
    roles = [message["role"] for message in request["messages"]]
    if "developer" in roles or "system" in roles[1:]:
        return [JsonAnswer(400, {"error": {"message": "System message must be at the beginning.", "code": 400}})]
    return text_answer("Hello")


async def test_09_all_system_text_leads() -> None:
    """Agents send `instructions`, a developer message and more of them later on. Chat templates that know one system
    message, first of all, answered with an error, in every turn."""
    host = ScriptedHost(strict_template)
    await response_of(
        ResponsesShim(host),
        instructions="Be brief.",
        input=[
            {"role": "developer", "content": "You are an agent."},
            QUESTION,
            {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "It is Monday."}]},
            {"role": "developer", "content": "Answer in French."},
        ],
    )
    system = {"role": "system", "content": "Be brief.\n\nYou are an agent.\n\nIt is Monday.\n\nAnswer in French."}
    assert host.requests[0]["messages"] == [system, QUESTION]


async def test_09_where_the_template_knows_developers_they_may_stay() -> None:
    """The same fold, forced on a host that tells developer from system, would take that away."""
    host = ScriptedHost()
    told = {"role": "developer", "content": "Answer in French."}
    await response_of(ResponsesShim(host, system_messages="keep"), instructions="Be brief.", input=[QUESTION, told])
    assert host.requests[0]["messages"] == [{"role": "system", "content": "Be brief."}, QUESTION, told]


@pytest.mark.parametrize(
    "answer",
    [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Sunny."}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Sunny."}]},
        {"role": "assistant", "content": "Sunny."},
        {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Sunny."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "input_text", "text": "Sunny."}]},
        {
            "type": "message",
            "id": None,
            "status": None,
            "phase": None,
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Sunny.", "annotations": None, "logprobs": None}],
        },
        {
            "type": "message",
            "id": "made by the client",
            "status": "completed",
            "role": "assistant",
            "internal_note": {"of": "the client"},
            "content": [{"type": "output_text", "text": "Sunny.", "annotations": [{"type": "of tomorrow"}]}],
        },
    ],
    ids=["no id", "no type", "a string", "text", "input_text", "nulls", "more than known"],
)
async def test_10_an_answer_comes_back_in_whatever_form_the_client_keeps(answer: Json) -> None:
    """Clients replay what the model said without its id, status or annotations, or with null there. Servers that
    validate against the whole union of items answered with hundreds of errors."""
    host = ScriptedHost()
    await response_of(ResponsesShim(host), input=[QUESTION, answer, {"role": "user", "content": "And tomorrow?"}])
    roles = [(message["role"], message["content"]) for message in host.requests[0]["messages"]]
    assert roles[1] == ("assistant", "Sunny.")
    assert len(roles) == 3


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"role": "assistant", "content": [{"type": "output_text", "text": 5}]}, "input[1].content[0].text"),
        ({"role": "assistant", "content": [{"type": "output_hologram"}]}, "input[1].content[0].type"),
        ({"type": "function_call", "call_id": "call_1", "name": "f"}, "input[1].arguments"),
        ({"type": "telepathy"}, "input[1].type"),
    ],
)
async def test_10_what_is_wrong_is_said_in_one_sentence(item: Json, param: str) -> None:
    """The hundreds of errors did not say which of them mattered."""
    error = await refusal_of(ResponsesShim(ScriptedHost()), input=[QUESTION, item])
    assert error["param"] == param
    assert len(error["message"]) < 500
    assert "\n" not in error["message"]


@pytest.mark.parametrize(
    "kind",
    ["web_search", "web_search_preview", "file_search", "code_interpreter", "image_generation", "tool_of_tomorrow"],
)
async def test_11_a_tool_that_is_not_run_here_costs_no_more_than_itself(kind: str) -> None:
    """One tool that was no function, and the whole request was refused: agents offer web search to every model."""
    host = ScriptedHost()
    shim = ResponsesShim(host)
    reply = await ask(shim, tools=[{"type": kind}, WEATHER])
    assert reply.status == 200
    assert 'dropped=("tools[0]")' in reply.headers["responses-shim-report"]
    assert [tool["function"]["name"] for tool in host.requests[0]["tools"]] == ["get_weather"]

    error = await refusal_of(shim, tools=[{"type": kind}, WEATHER], tool_choice={"type": kind})
    assert error["param"] == "tool_choice"
    assert len(host.requests) == 1


def calls_all(request: Json) -> list[Step]:
    """Calls every function that is offered, and when it has their outputs says so."""
    if request["messages"][-1]["role"] == "tool":
        return text_answer("Done.")
    names = [tool["function"]["name"] for tool in request["tools"]]
    return call_answer(*[(f"call_{place}", name, "{}") for place, name in enumerate(names)])


@both_ways
async def test_12_a_tool_of_a_namespace_is_called_by_both_its_names(stream: bool) -> None:
    """Tools in a namespace were left out, or came back under a flattened name that the agent does not know:
    "unsupported call"."""
    long = "a_server_that_somebody_gave_a_name_of_more_than_forty_characters"
    search = {"type": "function", "name": "search", "parameters": {"type": "object", "properties": {}}}
    tools = [
        {"type": "namespace", "name": "files", "description": "Files.", "tools": [search]},
        {"type": "namespace", "name": "mail", "description": "Mail.", "tools": [search]},
        {"type": "namespace", "name": long, "description": "More.", "tools": [search]},
        {**search, "name": "files__search"},
        search,
    ]
    host = ScriptedHost(calls_all)
    shim = ResponsesShim(host)
    first = await response_of(shim, input=[QUESTION], tools=tools, stream=stream)
    called = [(item.get("namespace"), item["name"]) for item in items_of(first, "function_call")]
    assert sorted(called, key=str) == sorted(
        [("files", "search"), ("mail", "search"), (long, "search"), (None, "files__search"), (None, "search")], key=str
    )
    offered = [tool["function"]["name"] for tool in host.requests[0]["tools"]]
    assert len(set(offered)) == 5
    assert all(len(name) <= 64 for name in offered)

    history = [QUESTION, *first["output"], *[result_of(call) for call in first["output"]]]
    assert text_of(await response_of(shim, input=history, tools=tools, stream=stream)) == "Done."
    replayed = host.requests[1]["messages"][1]["tool_calls"]
    assert [call["function"]["name"] for call in replayed] == offered


async def test_12_two_tools_of_one_name_are_a_mistake() -> None:
    """Which of the two was meant would be anybody's guess."""
    other = {**WEATHER, "description": "The weather on a planet."}
    assert (await refusal_of(ResponsesShim(ScriptedHost()), tools=[WEATHER, other]))["param"] == "tools[1].name"


PATCH = '*** Begin Patch\n*** Update File: a "b".txt\n-\\d+ {old}\n+naïve 😀\t{new}\n*** End Patch'
APPLY_PATCH: Json = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "*** Begin Patch" /.+/'},
}


@pytest.mark.parametrize(
    "said", [json.dumps({"input": PATCH}), json.dumps({"input": PATCH}, ensure_ascii=False), PATCH]
)
async def test_13_a_custom_tool_gets_its_bare_text(said: str) -> None:
    """A patch tool of free text was left out, refused, or called with its text still wrapped in JSON, which no patch
    tool can read. Wherever the engine cuts its tokens, the text arrives as it was meant; so does one that the model
    did not wrap at all."""
    for cut in range(1, len(said)):
        script = calling(
            [tool_call(0, "call_1", "apply_patch", said[:cut])],
            [tool_call(0, arguments=said[cut:])],
        )
        events = await events_of(ResponsesShim(ScriptedHost(script)), tools=[APPLY_PATCH])
        [called] = events[-1]["response"]["output"]
        assert (called["type"], called["name"], called["input"]) == ("custom_tool_call", "apply_patch", PATCH)
        assert {event["type"] for event in events} >= {
            "response.custom_tool_call_input.delta",
            "response.custom_tool_call_input.done",
        }


async def test_13_a_call_that_is_cut_off_leaks_no_json() -> None:
    """The token limit came in the middle, and the remains of the wrapping were taken for the patch."""
    said = json.dumps({"input": PATCH})
    for cut in range(len(said)):
        script = calling([tool_call(0, "call_1", "apply_patch", said[:cut])], finish_reason="length")
        response = await response_of(ResponsesShim(ScriptedHost(script)), tools=[APPLY_PATCH])
        [called] = response["output"]
        assert PATCH.startswith(called["input"]), f"cut at {cut}"
        assert (called["status"], response["status"]) == ("incomplete", "incomplete")


@both_ways
async def test_14_tools_may_stand_in_the_input(stream: bool) -> None:
    """An agent that saves tokens puts its tools into the input, as an item. They were dropped without a word: the
    agent ran, and nothing was ever executed."""
    host = ScriptedHost(call_then_text)
    shim = ResponsesShim(host)
    history = [{"type": "additional_tools", "role": "developer", "tools": [WEATHER]}, QUESTION]
    first = await response_of(shim, input=history, tools=None, stream=stream)
    [called] = first["output"]
    assert (called["type"], called["name"]) == ("function_call", "get_weather")
    second = await response_of(shim, input=[*history, called, result_of(called)], tools=None, stream=stream)
    assert text_of(second) == "Hello from the script."
    assert [tool["function"]["name"] for tool in host.requests[1]["tools"]] == ["get_weather"]


# Reasoning ---------------------------------------------------------------------------------------------------------


def generated(reasoning: str, content: str, *calls: Json) -> str:
    """What a model wrote, as it stands in its context."""
    written = [json.dumps(call["function"]) for call in calls]
    return "".join(["<|assistant|>", f"<think>{reasoning}</think>" if reasoning else "", content, *written, "<|end|>"])


def rendered(chat: Json) -> str:
    """A chat request as the prompt that a template would make of it."""
    text = ""
    for message in chat["messages"]:
        if message["role"] == "assistant":
            assert message.get("reasoning") == message.get("reasoning_content"), (
                "the two spellings tell different things"
            )
            calls = message.get("tool_calls", ())
            text += generated(message.get("reasoning", ""), message["content"] or "", *calls)
        else:
            text += f"<|{message['role']}|>{message['content']}<|end|>"
    return text


def as_it_came(item: Json) -> Json:
    return item


def without_ids(item: Json) -> Json:
    return {key: value for key, value in item.items() if key not in ("id", "status")}


def sealed_only(item: Json) -> Json:
    return {**item, "content": None} if item["type"] == "reasoning" else item


@pytest.mark.parametrize("kept", [as_it_came, without_ids, sealed_only])
@pytest.mark.parametrize("summary", [None, "auto"])
async def test_15_what_the_model_thought_comes_back_to_it_unchanged(
    kept: Callable[[Json], Json], summary: str | None
) -> None:
    """Reasoning was lost between turns: agents went round in circles, and since the prompt had changed, the engine
    read all of it again in every turn. Here each prompt begins with the one before and with what was written to it,
    to the byte."""
    arguments = '{"city":"Paris"}'
    thinks = [chunk("", role="assistant"), chunk(reasoning="Paris, "), chunk(reasoning="then."), chunk("I look it up.")]
    host = ScriptedHost(
        [*thinks, *calling([tool_call(0, "call_1", "get_weather", arguments)])],
        [chunk(reasoning="So it is."), *text_answer("Sunny.")],
        text_answer("Gladly."),
    )
    shim = ResponsesShim(host)
    fields: Json = {
        "instructions": "Be brief.",
        "tools": [WEATHER],
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"summary": summary},
    }
    history: list[Json] = [QUESTION]
    for said in (None, {"role": "user", "content": "Thanks."}, None):
        response = await response_of(shim, input=history, **fields)
        history += [kept(item) for item in response["output"]]
        history += [result_of(call) for call in items_of(response, "function_call")]
        history += [said] if said is not None else []

    first, second, third = (rendered(chat) for chat in host.requests)
    call = {"function": {"name": "get_weather", "arguments": arguments}}
    assert second.startswith(first + generated("Paris, then.", "I look it up.", call))
    assert third.startswith(second + generated("So it is.", "Sunny."))


@both_ways
@pytest.mark.parametrize(
    "item",
    [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAABo-of-another-service"},
        {"type": "reasoning", "summary": [], "encrypted_content": "rs1.damaged"},
        {"type": "reasoning", "summary": [], "encrypted_content": ""},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "reasoning", "summary": [], "content": [], "encrypted_content": None},
        {"type": "reasoning", "content": None},
    ],
    ids=["foreign", "damaged", "empty", "no content", "nulls", "no summary"],
)
async def test_16_reasoning_that_cannot_be_read_is_no_error(item: Json, stream: bool) -> None:
    """Reasoning sealed by another service, or reasoning without any text, and the request was refused: a session
    that had once been elsewhere was over."""
    host = ScriptedHost()
    reply = await ask(ResponsesShim(host), input=[QUESTION, item, {"role": "user", "content": "Well?"}], stream=stream)
    assert reply.status == 200
    assert [message["role"] for message in host.requests[0]["messages"]] == ["user", "user"]
    if item.get("encrypted_content"):
        assert 'dropped=("input[1].encrypted_content")' in reply.headers["responses-shim-report"]
        assert item["encrypted_content"] not in json.dumps(host.requests[0])


# On the wire -------------------------------------------------------------------------------------------------------


OFTEN = Options(commit_after=0, ping_interval=0.02)


@pytest.mark.parametrize(
    ("options", "kind"),
    [(OFTEN, "response.in_progress"), (Options(ping="event", **OFTEN), "response.ping")],
    ids=["default", "event"],
)
async def test_17_a_long_silence_is_filled_with_events(options: Options, kind: str) -> None:
    """A long prompt takes minutes to read. Clients that count events gave up although comments flowed, and proxies
    in between gathered what little there was, or hung up."""
    read = anyio.Event()
    host = ScriptedHost([Wait(read), *text_answer("Hello")])
    shim = ResponsesShim(host, **options)
    async with call(shim, "POST", "/v1/responses", json={"model": "m", "input": "Hi", "stream": True}) as exchange:
        begun = [await exchange.next_event() for _ in range(5)]
        assert (exchange.headers["x-accel-buffering"], exchange.headers["cache-control"]) == ("no", "no-store")
        assert [event.name for event in begun if event is not None] == [
            "response.created",
            "response.in_progress",
            *[kind] * 3,
        ]
        read.set()
        events = payloads([event for event in begun if event is not None] + await exchange.events())
    check_stream(events)
    assert text_of(events[-1]["response"]) == "Hello"


@pytest.mark.parametrize(
    ("coding", "pack"), [("zstd", zstd.compress), ("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_18_a_compressed_request_is_read(coding: str, pack: Callable[[bytes], bytes]) -> None:
    """Agents compress what they send, and servers read the packed bytes as JSON."""
    host = ScriptedHost()
    body = json.dumps({"model": "scripted", "input": "Hi" * 20_000}).encode()
    headers = {"content-type": "application/json", "content-encoding": coding}
    with serving(ResponsesShim(host, max_body=100_000)) as url, httpx.Client(timeout=20, trust_env=False) as client:
        good = client.post(f"{url}/v1/responses", content=pack(body), headers=headers)
        plain = client.post(f"{url}/v1/responses", content=body, headers=headers)
        bomb = client.post(f"{url}/v1/responses", content=pack(b" " * 1_000_000), headers=headers)
        unknown = client.post(f"{url}/v1/responses", content=body, headers=headers | {"content-encoding": "snappy"})
    assert good.status_code == 200
    check_response(good.json())
    assert host.requests[0]["messages"] == [{"role": "user", "content": "Hi" * 20_000}]
    assert [reply.status_code for reply in (plain, bomb, unknown)] == [400, 413, 415]
    for refused in (plain, bomb, unknown):
        check_error(refused.json())


@both_ways
@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
@pytest.mark.parametrize(
    "said",
    [[chunk("Hel")], [], [chunk(reasoning="Hm")], [chunk(tool_calls=[tool_call(0, "call_1", "get_weather", '{"ci')])]],
    ids=["text", "nothing", "reasoning", "a call"],
)
async def test_19_an_answer_that_was_cut_is_not_called_complete(
    said: list[Step], finish: str, reason: str, stream: bool
) -> None:
    """The token limit was reached, and the response said `completed`: agents took half an answer, or none at all, for
    the end of their work."""
    script = [*said, chunk(finish_reason=finish), chunk(usage=usage(7, 1)), DONE]
    response = await response_of(ResponsesShim(ScriptedHost(script)), tools=[WEATHER], stream=stream)
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": reason}
    assert response["completed_at"] is None
    assert [item["status"] for item in response["output"]] == ["incomplete"] * bool(said)


async def test_19_an_answer_that_just_stops_has_failed() -> None:
    """An engine that died in the middle left a response that looked whole."""
    shim = ResponsesShim(ScriptedHost([chunk("Hel")]))
    events = await events_of(shim)
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    reply = await ask(shim)
    assert reply.status == 502
    check_error(reply.json)


def text_in_tools_only(request: Json) -> list[Step]:
    """A host that takes images from users, and text alone from tools, right behind the calls."""
    waiting: set[str] = set()
    for message in request["messages"]:
        if message["role"] != "tool" and waiting:
            return [JsonAnswer(400, {"error": {"message": "A tool call was not answered.", "code": 400}})]
        if message["role"] == "tool":
            waiting.discard(message["tool_call_id"])
            if not isinstance(message["content"], str):
                return [JsonAnswer(400, {"error": {"message": "Tool content must be a string.", "code": 400}})]
        waiting |= {made["id"] for made in message.get("tool_calls", ())}
    return text_answer("I see.")


async def test_20_an_image_that_a_tool_puts_out_is_seen() -> None:
    """A screenshot as the output of a tool was refused in this and in every later turn, was dropped, or went to the
    model as a megabyte of base64."""
    host = ScriptedHost(text_in_tools_only)
    shim = ResponsesShim(host)
    calls = [
        {"type": "function_call", "call_id": f"call_{n}", "name": "screenshot", "arguments": "{}"} for n in range(2)
    ]
    history: list[Json] = [
        QUESTION,
        *calls,
        result_of(calls[0], [{"type": "input_text", "text": "The screen:"}, IMAGE]),
        result_of(calls[1], [IMAGE]),
    ]
    first = await response_of(shim, input=history)
    assert text_of(first) == "I see."
    messages = host.requests[0]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool", "user"]
    assert PIXEL not in json.dumps(messages[:4])
    assert "The screen:" in messages[2]["content"]
    images = [part for part in messages[4]["content"] if part["type"] == "image_url"]
    assert [image["image_url"]["url"] for image in images] == [IMAGE["image_url"]] * 2

    later = [*history, *first["output"], {"role": "user", "content": "What else?"}]
    assert text_of(await response_of(shim, input=later)) == "I see."
    assert host.requests[1]["messages"][:5] == messages


@both_ways
@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
async def test_21_every_effort_there_is_goes_to_the_host(effort: str, stream: bool) -> None:
    """An effort that the server's own types did not know broke the stream after it had begun with a 200."""
    host = ScriptedHost()
    response = await response_of(ResponsesShim(host), reasoning={"effort": effort}, stream=stream)
    assert host.requests[0]["reasoning_effort"] == effort
    assert response["reasoning"]["effort"] == effort


async def test_21_an_output_may_be_a_list_of_texts() -> None:
    """The same types took a tool's output as a string only."""
    host = ScriptedHost()
    called = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
    parts = [{"type": "input_text", "text": "One."}, {"type": "output_text", "text": "Two."}]
    await response_of(ResponsesShim(host), input=[QUESTION, called, result_of(called, parts)])
    assert host.requests[0]["messages"][-1]["content"] == "One.\nTwo."


PLACE: Json = {
    "type": "json_schema",
    "name": "place",
    "strict": True,
    "schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


def constrained(request: Json) -> list[Step]:
    """A model under a host's constraint can write nothing but what the schema allows, calls no tool then, and finds
    the form of the answer nowhere else than where it is told."""
    awaits_result = request["messages"][-1]["role"] != "tool"
    if "response_format" not in request and request.get("tools") and awaits_result:
        return call_answer(("call_1", "get_weather", '{"city": "Paris"}'))
    told = "response_format" in request or '"additionalProperties":false' in str(request["messages"][0]["content"])
    return [chunk(reasoning="In braces."), *text_answer('{"city": "Paris"}' if told else "Paris, I think.")]


@both_ways
async def test_22_a_form_of_the_answer_leaves_tools_and_reasoning_alone(stream: bool) -> None:
    """With a schema for the answer the model could call no tools any more, or the schema got into its reasoning."""
    shim = ResponsesShim(host := ScriptedHost(constrained))
    alone = await response_of(shim, input=[QUESTION], text={"format": PLACE}, stream=stream)
    assert json.loads(text_of(alone)) == {"city": "Paris"}
    assert [item["type"] for item in alone["output"]] == ["reasoning", "message"]
    assert host.requests[0]["response_format"]["json_schema"]["schema"] == PLACE["schema"]

    beside: Json = {"tools": [WEATHER], "text": {"format": PLACE}, "stream": stream}
    first = await response_of(shim, input=[QUESTION], **beside)
    [called] = items_of(first, "function_call")
    second = await response_of(shim, input=[QUESTION, called, result_of(called)], **beside)
    assert json.loads(text_of(second)) == {"city": "Paris"}
    assert "response_format" not in host.requests[1] | host.requests[2]
    assert second["text"]["format"]["schema"] == PLACE["schema"]


async def test_22_the_operator_may_choose_the_constraint() -> None:
    """A host that constrains the answer and not the calls loses nothing by it."""
    host = ScriptedHost()
    shim = ResponsesShim(host, format_with_tools="constrain")
    await response_of(shim, tools=[WEATHER], text={"format": PLACE})
    assert host.requests[0]["response_format"]["type"] == "json_schema"
    assert [message["role"] for message in host.requests[0]["messages"]] == ["user"]


# Sessions ----------------------------------------------------------------------------------------------------------


async def test_23_a_request_to_compact_is_refused_by_name_and_items_are_taken_as_they_are() -> None:
    """A long session was over when its agent asked for compaction and got a bare 404; or when the server looked for a
    reasoning item that it had never stored. There is no compaction here yet, and that is said in the API's own form.
    Items are what they hold, whatever their ids, and a summary can always be asked for in words."""
    host = ScriptedHost(text_answer("Summary: it is sunny."))
    shim = ResponsesShim(host)
    reply = await post(shim, "/v1/responses/compact", {"model": "scripted", "input": [QUESTION]})
    assert reply.status == 404
    check_error(reply.json)
    trigger = {"type": "compaction_trigger"}
    assert (await refusal_of(shim, input=[QUESTION, trigger]))["param"] == "input[1].type"
    assert not host.requests

    thought = {"type": "reasoning", "id": "rs_never_stored", "summary": [{"type": "summary_text", "text": "Sun."}]}
    said = {"type": "message", "id": "msg_never_stored", "role": "assistant", "content": "Sunny."}
    summarise = {"role": "user", "content": "Sum up what has been done."}
    fields: Json = {"store": False, "tools": [WEATHER], "parallel_tool_calls": False}
    response = await response_of(shim, input=[QUESTION, thought, said, summarise], **fields)
    assert text_of(response) == "Summary: it is sunny."
    assert host.requests[0]["messages"][1]["reasoning"] == "Sun."


class Engine(ScriptedHost):
    """A host in a server's thread: says to other threads when it has been asked, and when it has stopped."""

    def __init__(self, *before: Step) -> None:
        super().__init__(self.play)
        self.before = before
        self.asked = threading.Event()
        self.stopped = threading.Event()

    def play(self, request: Json) -> list[Step]:
        self.asked.set()
        return [*self.before, Hold()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if scope["type"] == "http":
                self.stopped.set()


@both_ways
@pytest.mark.parametrize("before", [[], [chunk("Hel")]], ids=["while it reads", "while it writes"])
def test_24_who_hangs_up_stops_the_engine(before: list[Step], stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client was gone, and the GPU went on to the end of the answer."""
    monkeypatch.setattr(runs, "GONE_GRACE", 60)  # it is not cut off, it is told
    engine = Engine(*before)
    body = json.dumps({"model": "scripted", "input": "Hi", "stream": stream}).encode()
    head = "POST /v1/responses HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
    with serving(ResponsesShim(engine)) as url:
        with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=DEADLINE) as client:
            client.sendall(head.format(len(body)).encode() + body)
            assert engine.asked.wait(DEADLINE)
            if stream and before:
                got = b""
                while b"response.output_text.delta" not in got:
                    got += client.recv(65536)
            assert not engine.stopped.is_set()
        assert engine.stopped.wait(DEADLINE), "it goes on"
    assert engine.disconnected.is_set()


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "cookie"])
async def test_25_what_is_one_users_is_nobody_elses(header: str) -> None:
    """Whoever had the id of a response could read it and go on from it. There are no ids to go by here; and what the
    client keeps for the server, sealed reasoning, opens for the credentials that it was made for and no other."""
    host = ScriptedHost([chunk(reasoning="The secret is 42."), *text_answer("I know.")], text_answer("Well."))
    shim = ResponsesShim(host)
    alice, bob = {header: "Bearer alice"}, {header: "Bearer bob"}
    made = await response_of(shim, alice, input=[QUESTION], include=["reasoning.encrypted_content"])
    thought, said = made["output"]
    _, sealed = thought["encrypted_content"].split(".")
    assert b"secret" not in base64.urlsafe_b64decode(sealed[8:] + "==")

    kept = {"type": "reasoning", "summary": [], "encrypted_content": thought["encrypted_content"]}
    for who, opens in ((alice, True), (bob, False), ({}, False)):
        reply = await ask(shim, who, input=[QUESTION, kept, said, {"role": "user", "content": "Which?"}])
        assert reply.status == 200
        assert ("The secret is 42." in json.dumps(host.requests[-1])) == opens
        assert ("encrypted_content" in reply.headers.get("responses-shim-report", "")) != opens

    for id in (made["id"], "resp_that_never_was"):
        for method in ("GET", "DELETE"):
            refused = await request(shim, method, f"/v1/responses/{id}", headers=bob)
            assert refused.status == 404
            check_error(refused.json)
        goes_on = await ask(shim, bob, previous_response_id=id)
        assert goes_on.status == 400
        assert goes_on.json["error"]["param"] == "previous_response_id"
