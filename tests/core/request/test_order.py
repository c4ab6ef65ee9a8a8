"""The order that chat completions wants: the outputs of a turn's calls directly behind the message with the calls."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.request.options import DEFAULT_OPTIONS, TranslationOptions
from tests.core.driver import Json
from tests.core.request.conversations import (
    IN_TOOL,
    KEEP,
    THINK,
    answered,
    assistant,
    called,
    chat_call,
    developer,
    messages,
    reasoning,
    result,
    translated,
    user,
)

IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}


def check_order(made: Sequence[Json], answers: set[str]) -> None:
    """Each tool message is behind the assistant message with its call, with nothing but others of it between."""
    calls: set[str] = set()
    outputs: list[str] = []
    for message in made:
        if message["role"] == "tool":
            assert message["tool_call_id"] in calls
            outputs.append(message["tool_call_id"])
        else:
            calls = {call["id"] for call in message.get("tool_calls", [])}
    assert sorted(outputs) == sorted(answers)


def turn_of(*call_ids: str) -> Json:
    return {"role": "assistant", "content": None, "tool_calls": [chat_call(call_id) for call_id in call_ids]}


BETWEEN = [user("Are you there?"), developer("Be brief."), reasoning("Hm."), assistant("One moment.")]


@pytest.mark.parametrize("options", [DEFAULT_OPTIONS, THINK, KEEP, IN_TOOL], ids=["fold", "think", "keep", "tool"])
@pytest.mark.parametrize("between", BETWEEN, ids=["user", "developer", "reasoning", "assistant"])
def test_nothing_comes_between_a_call_and_its_output(between: Json, options: TranslationOptions) -> None:
    items = [user("Hi"), called("a"), called("b"), between, result("a"), between, result("b"), assistant("4.")]
    made = messages(items, options=options)
    check_order(made, {"a", "b"})
    if between["role" if "role" in between else "type"] == "user":
        assert made[1:4] == [turn_of("a", "b"), answered("a"), answered("b")]
        assert made[4:] == [between, between, {"role": "assistant", "content": "4."}]


def test_a_thought_between_two_outputs_begins_the_next_turn() -> None:
    items = [called("a"), called("b"), result("a"), reasoning("Hm."), result("b"), assistant("4.")]
    assert messages(items) == [
        turn_of("a", "b"),
        answered("a"),
        answered("b"),
        {"role": "assistant", "content": "4.", "reasoning": "Hm."},
    ]


def test_an_output_before_its_call_goes_behind_it() -> None:
    """Some clients sort the items of a turn, and an output may come first."""
    assert messages([user("Hi"), result("a"), called("a"), user("?")]) == [
        user("Hi"),
        turn_of("a"),
        answered("a"),
        user("?"),
    ]


def test_an_output_belongs_to_the_last_call_of_its_id_before_it() -> None:
    """Servers exist that number the calls of each turn anew."""
    items = [called("0"), result("0", "1"), user("?"), called("0"), result("0", "2")]
    assert messages(items) == [turn_of("0"), answered("0", "1"), user("?"), turn_of("0"), answered("0", "2")]


def test_an_image_of_an_output_comes_behind_all_outputs_of_its_turn() -> None:
    items = [called("a"), called("b"), result("a", [IMAGE]), user("Well?"), result("b"), called("c"), result("c")]
    roles = [message["role"] for message in messages(items)]
    assert roles == ["assistant", "tool", "tool", "user", "user", "assistant", "tool"]


# An output that names no call ---------------------------------------------------------------------------------------


def named(name: str, output: object = "4", **fields: object) -> Json:
    return {"type": "function_call_output", "name": name, "output": output, **fields}


def test_an_output_of_a_name_without_a_call_is_a_message_in_words() -> None:
    """The call that waits may be of another tool, or of the same one."""
    made, report = translated([user("Hi"), called("a"), named("watch", "Rain."), result("a")])
    assert made == [user("Hi"), turn_of("a"), answered("a"), user("Output of watch:\nRain.")]
    assert report == 'mapped=("input[2]")'
    assert messages([called("a"), named("f")])[-1] == user("Output of f:\n4")
    assert messages([named("f", call_id=None)]) == [user("Output of f:\n4")]


def test_such_an_output_has_the_name_of_its_tool_on_the_host_and_its_images() -> None:
    (made,) = messages([named("find", [{"type": "input_text", "text": "Two:"}, IMAGE], namespace="crm")])
    assert [part["type"] for part in made["content"]] == ["text", "text", "image_url"]
    assert made["content"][0]["text"] == "Output of crm__find:"


# Any order ----------------------------------------------------------------------------------------------------------

CALLS = ["a", "b", "c"]
ITEMS = [
    *(called(call_id) for call_id in CALLS),
    *(result(call_id, [IMAGE] if call_id == "b" else "4") for call_id in CALLS[:2]),
    user("Hi"),
    user("?"),
    developer("Be brief."),
    reasoning("Hm."),
    assistant("One moment."),
    named("watch"),
]


@given(st.permutations(ITEMS), st.sampled_from([DEFAULT_OPTIONS, THINK, KEEP, IN_TOOL]))
def test_in_whatever_order_items_come_the_messages_are_in_that_of_chat(
    items: list[Json], options: TranslationOptions
) -> None:
    made = messages(items, options=options)
    check_order(made, {"a", "b"})
    assert sorted(call["id"] for message in made for call in message.get("tool_calls", [])) == CALLS
    asked = [message["content"] for message in made if message["role"] == "user"]
    assert [content for content in asked if content in ("Hi", "?")] == [
        item["content"] for item in items if item.get("role") == "user"
    ]
