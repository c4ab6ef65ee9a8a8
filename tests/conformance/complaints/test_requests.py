"""Complaints about items and tools that servers refuse or lose (9 to 14)."""

from __future__ import annotations

import json

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
from tests.scripted import Json as JsonAnswer
from tests.scripted import ScriptedHost, Step, call_answer, call_then_text, text_answer
from tests.scripted import call as tool_call

pytestmark = pytest.mark.anyio


def strict_template(request: Json) -> list[Step]:
    """A host whose chat template allows one system message, at the beginning, and no developer message."""
    roles = [message["role"] for message in request["messages"]]
    if "developer" in roles or "system" in roles[1:]:
        return [JsonAnswer(400, {"error": {"message": "System message must be at the beginning.", "code": 400}})]
    return text_answer("Hello")


async def test_09_all_system_text_is_one_message_at_the_beginning() -> None:
    """Agents send `instructions`, a developer message and later more of them. Chat templates that allow only one system
    message, at the beginning, raised an error in every turn."""
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


async def test_09_developer_messages_may_stay_where_they_are_with_the_setting() -> None:
    """That is for a host whose template has developer messages."""
    host = ScriptedHost()
    developer = {"role": "developer", "content": "Answer in French."}
    await response_of(
        ResponsesShim(host, system_messages="keep"), instructions="Be brief.", input=[QUESTION, developer]
    )
    assert host.requests[0]["messages"] == [{"role": "system", "content": "Be brief."}, QUESTION, developer]


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
async def test_10_an_assistant_message_is_accepted_in_any_form_that_clients_keep(answer: Json) -> None:
    """Clients send the model's message back without its id, status or annotations, or with null there. Servers that
    validate against the union of all items answered with hundreds of errors."""
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
async def test_10_an_invalid_item_is_an_error_of_one_sentence(item: Json, param: str) -> None:
    """Among hundreds of errors nobody found the one that mattered."""
    error = await refusal_of(ResponsesShim(ScriptedHost()), input=[QUESTION, item])
    assert error["param"] == param
    assert len(error["message"]) < 500
    assert "\n" not in error["message"]


@pytest.mark.parametrize(
    "kind",
    ["web_search", "web_search_preview", "file_search", "code_interpreter", "image_generation", "tool_of_tomorrow"],
)
async def test_11_a_hosted_tool_is_left_out_and_the_request_answered(kind: str) -> None:
    """A server refused the request for one tool that was no function; but agents offer web search to every model."""
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
    """Calls every function that is offered, then answers with text."""
    if request["messages"][-1]["role"] == "tool":
        return text_answer("Done.")
    names = [tool["function"]["name"] for tool in request["tools"]]
    return call_answer(*[(f"call_{index}", name, "{}") for index, name in enumerate(names)])


@streaming
async def test_12_a_call_of_a_tool_in_a_namespace_has_namespace_and_name(stream: bool) -> None:
    """Tools in a namespace were left out, or were called by a flattened name that the agent does not know:
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


async def test_12_two_tools_of_the_same_name_are_an_error() -> None:
    """Nobody could know which of the two a call is for."""
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
    "arguments", [json.dumps({"input": PATCH}), json.dumps({"input": PATCH}, ensure_ascii=False), PATCH]
)
async def test_13_a_custom_tool_gets_text_and_not_json(arguments: str) -> None:
    """A patch tool of free text was left out, refused, or called with its text still inside JSON, which no patch tool
    can read. Here the text is taken out wherever the engine cuts its tokens, and is also accepted if the model wrote it
    without JSON."""
    for cut in range(1, len(arguments)):
        script = calling(
            [tool_call(0, "call_1", "apply_patch", arguments[:cut])],
            [tool_call(0, arguments=arguments[cut:])],
        )
        events = await events_of(ResponsesShim(ScriptedHost(script)), tools=[APPLY_PATCH])
        [called] = events[-1]["response"]["output"]
        assert (called["type"], called["name"], called["input"]) == ("custom_tool_call", "apply_patch", PATCH)
        assert {event["type"] for event in events} >= {
            "response.custom_tool_call_input.delta",
            "response.custom_tool_call_input.done",
        }


async def test_13_a_call_that_is_cut_shows_no_json_of_ours() -> None:
    """The token limit came in the middle, and what was left of the JSON was taken for the patch."""
    arguments = json.dumps({"input": PATCH})
    for cut in range(len(arguments)):
        script = calling([tool_call(0, "call_1", "apply_patch", arguments[:cut])], finish_reason="length")
        response = await response_of(ResponsesShim(ScriptedHost(script)), tools=[APPLY_PATCH])
        [called] = response["output"]
        assert PATCH.startswith(called["input"]), f"cut at {cut}"
        assert (called["status"], response["status"]) == ("incomplete", "incomplete")


@streaming
async def test_14_tools_may_come_in_the_input(stream: bool) -> None:
    """An agent that saves tokens sends its tools as an item of the input. They were dropped without an error: the agent
    ran, and executed nothing."""
    host = ScriptedHost(call_then_text)
    shim = ResponsesShim(host)
    history = [{"type": "additional_tools", "role": "developer", "tools": [WEATHER]}, QUESTION]
    first = await response_of(shim, input=history, tools=None, stream=stream)
    [called] = first["output"]
    assert (called["type"], called["name"]) == ("function_call", "get_weather")
    second = await response_of(shim, input=[*history, called, result_of(called)], tools=None, stream=stream)
    assert text_of(second) == "Hello from the script."
    assert [tool["function"]["name"] for tool in host.requests[1]["tools"]] == ["get_weather"]
