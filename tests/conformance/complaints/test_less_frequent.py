"""Complaints that come less often than the twenty-five that have numbers."""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim import ResponsesShim
from tests.conformance.asking import (
    QUESTION,
    WEATHER,
    Json,
    response_of,
    streaming,
    text_of,
)
from tests.scripted import DONE, ScriptedHost, call, chunk, text_answer, usage

pytestmark = pytest.mark.anyio

THANKS: Json = {"role": "user", "content": "Thanks."}


@pytest.mark.parametrize("content", ["", [], [{"type": "output_text", "text": ""}], None])
async def test_an_empty_assistant_message_is_left_out(content: Any) -> None:
    """An answer without text came back to the host as an empty message, on which templates fail."""
    host = ScriptedHost()
    empty = {"type": "message", "role": "assistant", "content": content}
    await response_of(ResponsesShim(host), input=[QUESTION, empty, THANKS])
    assert host.requests[0]["messages"] == [QUESTION, THANKS]


@streaming
async def test_tool_markup_in_the_text_is_shown_as_text(stream: bool) -> None:
    """A model wrote its call as markup that the host did not parse; a filter removed it, and the answer was empty."""
    markup = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
    script = text_answer(*(markup[start : start + 7] for start in range(0, len(markup), 7)))
    response = await response_of(ResponsesShim(ScriptedHost(script)), tools=[WEATHER], stream=stream)
    assert text_of(response) == markup


@streaming
async def test_pieces_of_arguments_without_an_index_belong_to_the_latest_call(stream: bool) -> None:
    """Each piece without an id and an index became a call of its own."""
    script = [
        chunk(tool_calls=[call(None, "call_1", "get_weather", '{"city"')]),
        chunk(tool_calls=[call(None, arguments=": ")]),
        chunk(tool_calls=[call(None, arguments='"Paris"}')]),
        chunk(tool_calls=[call(None, "call_2", "get_weather", '{"city": "Rome"}')]),
        chunk(finish_reason="tool_calls"),
        DONE,
    ]
    response = await response_of(ResponsesShim(ScriptedHost(script)), tools=[WEATHER], stream=stream)
    assert [(item["call_id"], item["arguments"]) for item in response["output"]] == [
        ("call_1", '{"city": "Paris"}'),
        ("call_2", '{"city": "Rome"}'),
    ]


@streaming
async def test_text_after_a_call_is_kept(stream: bool) -> None:
    """What the model wrote after it had called a tool was lost."""
    called = chunk(tool_calls=[call(0, "call_1", "get_weather", '{"city": "Paris"}')])
    script = [chunk("I look."), called, *text_answer("One moment.", finish_reason="tool_calls")]
    response = await response_of(ResponsesShim(ScriptedHost(script)), tools=[WEATHER], stream=stream)
    assert [item["type"] for item in response["output"]] == ["message", "function_call", "message"]
    assert text_of(response) == "I look.One moment."


@streaming
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (None, None),
        (usage(7, 3), (7, 0, 3, 0, 10)),
        (usage(7, 3, cached=5, reasoning=2), (7, 5, 3, 2, 10)),
        ({"total_tokens": 10}, None),
    ],
    ids=["none", "counts", "details", "half"],
)
async def test_unknown_usage_is_null_and_not_zero(sent: Json | None, expected: Any, stream: bool) -> None:
    """Without counts from the host the usage was 0, or the details that it gave were lost. Details that it leaves out
    are 0, because the API allows no null there."""
    script = [chunk("Hello"), chunk(finish_reason="stop"), *([chunk(usage=sent)] if sent else []), DONE]
    response = await response_of(ResponsesShim(ScriptedHost(script)), stream=stream)
    counts = response["usage"] and (
        response["usage"]["input_tokens"],
        response["usage"]["input_tokens_details"]["cached_tokens"],
        response["usage"]["output_tokens"],
        response["usage"]["output_tokens_details"]["reasoning_tokens"],
        response["usage"]["total_tokens"],
    )
    assert counts == expected


async def test_the_messages_of_a_turn_begin_with_those_of_the_turn_before() -> None:
    """After an answer of plain text the engine read the complete prompt again, since earlier messages had changed."""
    host = ScriptedHost(text_answer("Sunny", ", I think."), text_answer("Gladly."))
    shim = ResponsesShim(host)
    history: list[Any] = [{"role": "developer", "content": "Be brief."}, QUESTION]
    for question in (THANKS, {"role": "user", "content": [{"type": "input_text", "text": "And Rome?"}]}, None):
        response = await response_of(shim, input=history, tools=[WEATHER])
        history = [*history, *response["output"], question]
    first, second, third = (request["messages"] for request in host.requests)
    assert second == [*first, {"role": "assistant", "content": "Sunny, I think."}, THANKS]
    assert third[: len(second)] == second
    assert host.requests[0]["tools"] == host.requests[2]["tools"]


@pytest.mark.parametrize("reasoning", [None, {}, {"effort": None}, {"effort": None, "summary": "auto"}])
async def test_no_reasoning_effort_is_sent_unless_the_client_asks_for_one(reasoning: Json | None) -> None:
    """An effort was sent for clients that asked for none, in place of the host's own default."""
    host = ScriptedHost()
    await response_of(ResponsesShim(host), reasoning=reasoning)
    assert "reasoning_effort" not in host.requests[0]


@streaming
async def test_a_call_without_text_gets_no_empty_message(stream: bool) -> None:
    """Before a call without text came an empty message, which agents took for the answer."""
    script = [chunk("", role="assistant"), chunk("", tool_calls=[call(0, "call_1", "get_weather", "{}")])]
    host = ScriptedHost([*script, chunk("", finish_reason="tool_calls"), DONE])
    response = await response_of(ResponsesShim(host), tools=[WEATHER], stream=stream)
    assert [item["type"] for item in response["output"]] == ["function_call"]


@streaming
async def test_also_items_that_a_client_sorts_by_their_ids(stream: bool) -> None:
    """Calls were answered in another order than they were made in: Haystack sorts them by their ids, which were random.

    There are enough calls for numbers of more than one digit; their pieces come in turns, and some have no id of the
    host's.
    """
    calls = range(20)
    ids = [f"call_{index}" if index % 3 else None for index in calls]
    script = [
        *[chunk(reasoning="Well"), chunk(reasoning=", then."), chunk("I look "), chunk("it up.")],
        *[chunk(tool_calls=[call(index, ids[index], "get_weather", '{"city":')]) for index in calls],
        *[chunk(tool_calls=[call(index, arguments=f' "{index}"}}')]) for index in calls],
        *[chunk(finish_reason="tool_calls"), DONE],
    ]
    response = await response_of(ResponsesShim(ScriptedHost(script)), tools=[WEATHER], stream=stream)
    output = response["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", *["function_call"] * 20]
    numbers = [item["id"].partition("_")[2] for item in output]
    assert numbers == sorted(set(numbers)), "of whatever type they are"
    made = [item for item in output if item["type"] == "function_call"]
    assert made == sorted(made, key=lambda item: str(item["id"]))
    assert [item["arguments"] for item in made] == [f'{{"city": "{index}"}}' for index in calls]
