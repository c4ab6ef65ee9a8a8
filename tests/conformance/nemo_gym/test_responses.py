"""Responses: what NeMo Gym's converter makes of an answer, and what the shim makes of it."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim import ResponsesShim
from responses_shim.core.request.options import TranslationOptions
from responses_shim.core.response.think_tags import ThinkTagFilter
from tests.caller import call, payloads
from tests.conformance.asking import Json, ask, items_of, streaming, text_of
from tests.conformance.nemo_gym.gym import FUNCTION, GYM, answer, messages_for, text_of_item
from tests.core.driver import play
from tests.cuts import POSITIONS, cut
from tests.scripted import DONE, Raise, ScriptedHost, Step, Wait, call_answer, chunk, text_answer, usage
from tests.scripted import call as tool_call

pytestmark = pytest.mark.anyio


# Reasoning, text and calls -------------------------------------------------------------------------------------------


@streaming
async def test_text_between_think_tags_is_reasoning_wherever_it_comes(stream: bool) -> None:
    """Gym puts all of it into one item before the text; here each piece is an item in its order."""
    steps = [chunk(piece) for piece in ("Before<thi", "nk>one</think>mid", "dle<think>two\nlines</think>after")]
    response = await answer(*steps, chunk(finish_reason="stop"), DONE, stream=stream)
    texts = [
        ("reasoning", item["summary"][0]["text"]) if item["type"] == "reasoning" else ("message", text_of_item(item))
        for item in response["output"]
    ]
    assert texts == [
        ("message", "Before"),
        ("reasoning", "one"),
        ("message", "middle"),
        ("reasoning", "two\nlines"),
        ("message", "after"),
    ]


@streaming
async def test_reasoning_is_in_the_summary(stream: bool) -> None:
    """Programs that use Gym read it there. Other clients get `reasoning_text` unless they ask for a summary."""
    steps = [chunk(reasoning="So."), chunk("Yes."), chunk(finish_reason="stop"), DONE]
    response = await answer(*steps, stream=stream)
    reasoning, message = response["output"]
    assert reasoning["id"].startswith("rs_")
    assert reasoning["summary"] == [{"type": "summary_text", "text": "So."}]
    assert text_of_item(message) == "Yes."
    without = await answer(*steps, settings={}, stream=stream)
    assert without["output"][0]["summary"] == []


async def test_the_setting_think_tags_overrides_that_of_nemo_gym() -> None:
    steps = text_answer("Say <think>a</think>.")
    assert text_of(await answer(*steps)) == "Say ."
    for settings in ({"think_tags": "leading"}, {"think_tags": "off"}):
        assert text_of(await answer(*steps, settings=GYM | settings)) == "Say <think>a</think>."
    assert text_of(await answer(*steps, settings={})) == "Say <think>a</think>."


async def test_text_after_a_tag_that_is_never_closed_is_reasoning() -> None:
    """To Gym it is text, with its tag; but it is what the model thought when it was cut."""
    response = await answer(*text_answer("<think>Hm, ", "so", finish_reason="length"))
    assert [item["type"] for item in response["output"]] == ["reasoning"]
    assert response["output"][0]["summary"][0]["text"] == "Hm, so"


@streaming
async def test_reasoning_message_and_calls_come_in_this_order(stream: bool) -> None:
    steps = [
        chunk("<think>So.</think>Let me see."),
        chunk(tool_calls=[tool_call(0, "call_1", "f", "{}")]),
        chunk(finish_reason="tool_calls"),
        DONE,
    ]
    response = await answer(*steps, stream=stream, tools=[FUNCTION])
    assert [item["type"] for item in response["output"]] == ["reasoning", "message", "function_call"]


async def test_a_call_has_the_hosts_call_id() -> None:
    """In Gym the item's own id is the same; here it has one of the API's."""
    (call,) = (await answer(*call_answer(("call_9", "f", '{"a": 1}')), tools=[FUNCTION]))["output"]
    assert (call["call_id"], call["name"], call["arguments"]) == ("call_9", "f", '{"a": 1}')
    assert call["id"].startswith("fc_")


@streaming
async def test_an_empty_answer_has_one_empty_message(stream: bool) -> None:
    steps = [chunk("", role="assistant"), chunk(finish_reason="stop"), DONE]
    (message,) = (await answer(*steps, stream=stream))["output"]
    assert (message["type"], message["status"]) == ("message", "completed")
    assert message["content"] == [{"type": "output_text", "text": "", "annotations": [], "logprobs": []}]
    assert (await answer(*steps, settings={}, stream=stream))["output"] == []


@pytest.mark.parametrize(
    "steps",
    [[chunk(reasoning="So."), chunk(finish_reason="stop"), DONE], call_answer(("call_1", "f", "{}"))],
    ids=["reasoning", "call"],
)
async def test_reasoning_or_a_call_alone_gets_no_message(steps: list[Step]) -> None:
    assert not items_of(await answer(*steps, tools=[FUNCTION]), "message")


async def test_a_failed_answer_gets_no_message() -> None:
    reply = await ask(ResponsesShim(ScriptedHost([chunk("", role="assistant"), Raise(OSError())]), **GYM))
    assert reply.status == 500
    go = anyio.Event()
    app = ResponsesShim(ScriptedHost([chunk("", role="assistant"), Wait(go), Raise(OSError())]), commit_after=0, **GYM)
    body = {"model": "scripted", "input": "Hi", "stream": True}
    async with call(app, "POST", "/v1/responses", json=body) as exchange:
        await exchange.next_event()  # the stream has begun before the failure
        go.set()
        events = payloads(await exchange.events())
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["output"] == []


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
    ],
)
async def test_the_finish_reason_decides_the_status(finish: str, status: str, reason: str | None) -> None:
    response = await answer(*text_answer("Yes", finish_reason=finish))
    assert response["status"] == status
    assert (response["incomplete_details"] or {}).get("reason") == reason


# Usage --------------------------------------------------------------------------------------------------------------


async def usage_from(counts: Json | None) -> Any:
    """The usage of a response whose host sends these counts."""
    steps = [chunk("Yes"), chunk(finish_reason="stop"), *([chunk(usage=counts)] if counts is not None else []), DONE]
    return (await answer(*steps))["usage"]


@pytest.mark.parametrize(
    ("names", "cached"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 5}, "cached_input_tokens": 7}, 5),
        ({"cached_input_tokens": 7, "cache_read_input_tokens": 8}, 7),
        ({"cache_read_input_tokens": 8}, 8),
        ({"prompt_tokens_details": None, "cached_tokens": 9}, 9),
    ],
)
async def test_cached_tokens_are_read_from_any_of_their_names(names: Json, cached: int) -> None:
    counts = await usage_from({**usage(10, 2), **names})
    assert counts["input_tokens_details"]["cached_tokens"] == cached


@pytest.mark.parametrize("counts", [None, {}, {"prompt_tokens": 3}, {"prompt_tokens": None, "completion_tokens": None}])
async def test_usage_without_both_counts_is_null_and_not_zero(counts: Json | None) -> None:
    assert await usage_from(counts) is None


async def test_a_detail_that_the_host_leaves_out_is_zero_because_the_type_has_no_null() -> None:
    """In Gym's own types it stays null."""
    counts = await usage_from(usage(3, 2))
    assert counts["input_tokens_details"]["cached_tokens"] == 0
    assert counts["output_tokens_details"]["reasoning_tokens"] == 0


async def test_the_hosts_total_is_kept() -> None:
    assert (await usage_from({**usage(3, 2), "total_tokens": 9}))["total_tokens"] == 9


# Round trips --------------------------------------------------------------------------------------------------------

SPACE = st.text(" \n\t\r ", max_size=4)
WORD = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="<>"), min_size=1, max_size=8)
SPACED = st.builds(lambda *parts: "".join(parts), SPACE, WORD.filter(str.strip), SPACE)


@given(thinking=SPACED, text=SPACED, positions=POSITIONS)
def test_reasoning_and_text_come_back_to_the_host_byte_for_byte(thinking: str, text: str, positions: list[int]) -> None:
    """With white space anywhere, for a template that renders its messages as they are."""
    written = f"<think>{thinking}</think>{text}"
    pieces = filter(None, cut(written, positions))
    steps = [*map(chunk, pieces), chunk(finish_reason="stop"), DONE]
    response = play(steps, filters=lambda: [ThinkTagFilter("anywhere")]).response
    (message,) = messages_for(*response["output"], options=TranslationOptions(reasoning_replay="think"))
    assert message["content"] == written
    (message,) = messages_for(*response["output"])
    assert (message["reasoning"], message["content"]) == (thinking, text)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("\n<think>a</think>b", "<think>a</think>b"),
        ("<think>\n\n</think>\n\nb", "\n\nb"),
        ("<think>a</think><think>b</think>c", "<think>ab</think>c"),
        ("<think>a</think>\n", "<think>a</think>"),
        ("<think>a", "<think>a</think>"),
    ],
    ids=["space before a span", "an empty span", "two spans in a row", "space at the end", "a span without an end"],
)
def test_some_white_space_and_tags_do_not_come_back(written: str, kept: str) -> None:
    """Gym, which does not stream, splits the complete text with one regular expression and keeps them.

    For training it makes no difference: the host gets the token ids of the turn.
    """
    response = play(
        [chunk(written), chunk(finish_reason="stop"), DONE], filters=lambda: [ThinkTagFilter("anywhere")]
    ).response
    (message,) = messages_for(*response["output"], options=TranslationOptions(reasoning_replay="think"))
    assert message["content"] == kept
