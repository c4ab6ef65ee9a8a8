"""Input items as they are stored: each with an id and a type, and to the model the same as those that were sent."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.request.messages import REFUSED_ITEMS
from responses_shim.core.request.stored_input import check_items, stored_input
from responses_shim.core.tools.kinds import KINDS
from responses_shim.errors import InvalidRequest
from tests.core.driver import Json
from tests.core.request.conversations import translated


def numbered() -> Callable[[str], str]:
    number = count(1).__next__
    return lambda prefix: f"{prefix}_{number()}"


def stored(items: Any, taken: Any = ()) -> list[Json]:
    made = list(stored_input(items, numbered(), taken))
    assert [id for id, _ in made] == [item["id"] for _, item in made]
    return [item for _, item in made]


# The form ------------------------------------------------------------------------------------------------------------


def test_a_text_is_a_message_of_the_user() -> None:
    assert stored("Hi") == [
        {
            "type": "message",
            "role": "user",
            "id": "msg_1",
            "status": "completed",
            "content": [{"type": "input_text", "text": "Hi"}],
        }
    ]


@pytest.mark.parametrize("role", ["user", "system", "developer", "assistant", "tool"])
def test_the_text_of_a_message_is_a_part(role: str) -> None:
    part: Json = {"type": "input_text", "text": "Hi"}
    if role == "assistant":
        part = {"type": "output_text", "text": "Hi", "annotations": []}
    assert stored([{"role": role, "content": "Hi"}]) == [
        {"type": "message", "role": role, "content": [part], "id": "msg_1", "status": "completed"}
    ]


def test_what_a_message_has_of_its_own_stays() -> None:
    message = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Hi", "annotations": [{"x": 1}]}],
        "status": "incomplete",
        "phase": "commentary",
        "id": "msg_mine",
        "unknown": {"a": [None]},
    }
    assert stored([message]) == [message]


def test_the_items_that_were_sent_are_not_changed() -> None:
    items: list[Json] = [{"role": "user", "content": "Hi"}]
    stored(items)
    assert items == [{"role": "user", "content": "Hi"}]


PREFIXES = {
    "message": "msg",
    "agent_message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "web_search_call": "item",
    "of a later version": "item",
}


@pytest.mark.parametrize("kind", PREFIXES)
def test_an_item_without_an_id_gets_one_with_the_prefix_of_its_type(kind: str) -> None:
    [item] = stored([{"type": kind}])
    assert (item["id"], item["type"]) == (f"{PREFIXES[kind]}_1", kind)


def test_a_type_that_is_missing_is_that_of_the_items_shape() -> None:
    call: Json = {"call_id": "a", "name": "f", "arguments": "{}"}
    output: Json = {"call_id": "a", "output": "4"}
    assert [item["type"] for item in stored([call, output, {"type": None, **call}, {"what": 1}])] == [
        "function_call",
        "function_call_output",
        "function_call",
        "message",
    ]


@pytest.mark.parametrize("id", [None, "", 7, ["a"], {}])
def test_an_id_that_is_none_is_replaced(id: Any) -> None:
    assert stored([{"role": "user", "content": "Hi", "id": id}])[0]["id"] == "msg_1"


def test_an_id_is_kept_unless_it_is_taken_or_an_earlier_item_has_it() -> None:
    items = [{"role": "user", "content": text, "id": id} for text, id in (("a", "x"), ("b", "x"), ("c", "y"))]
    assert [item["id"] for item in stored(items, {"y"})] == ["x", "msg_1", "msg_2"]


# The meaning ---------------------------------------------------------------------------------------------------------

texts = st.sampled_from(["", " ", "Hi", "é\n😀", "</think>"])
parts = st.one_of(
    st.builds(lambda kind, text: {"type": kind, "text": text}, st.sampled_from(["input_text", "text"]), texts),
    st.just({"type": "input_image", "image_url": "data:image/png;base64,AA=="}),
)
own_parts = st.one_of(
    st.builds(lambda text: {"type": "output_text", "text": text, "annotations": []}, texts),
    st.builds(lambda text: {"type": "refusal", "refusal": text}, texts),
)


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({}, optional=fields)


extras = optional(id=st.sampled_from(["x", "y", None, ""]), status=st.sampled_from(["completed", "incomplete"]))
messages = st.builds(
    lambda extra, typed, role, content: {**extra, **typed, "role": role, "content": content},
    extras,
    st.sampled_from([{"type": "message"}, {"type": None}, {}]),
    st.sampled_from(["user", "system", "developer"]),
    texts | st.lists(parts, max_size=2),
)
answers = st.builds(
    lambda extra, typed, content, phase: {**extra, **typed, **phase, "role": "assistant", "content": content},
    extras,
    st.sampled_from([{"type": "message"}, {}]),
    texts | st.lists(own_parts, max_size=2),
    optional(phase=st.sampled_from(["commentary", "final_answer"])),
)
reasonings = st.builds(
    lambda extra, text: {
        **extra,
        "type": "reasoning",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": text}],
    },
    extras,
    texts,
)


@st.composite
def calls(draw: st.DrawFn) -> list[Json]:
    """A call and what answers it, both with or without a type."""
    typed = draw(st.booleans())
    extra = draw(extras)
    id = draw(st.sampled_from(["call_1", "call_2", "call_3"]))
    call: Json = {"call_id": id, "name": "f", "arguments": draw(st.sampled_from(["", "{}", "no JSON"]))}
    output: Json = {"call_id": id, "output": draw(texts | st.lists(parts, max_size=2))}
    if typed:
        call, output = {"type": "function_call", **call}, {"type": "function_call_output", **output}
    return [{**extra, **call}, {**extra, **output}]


items = st.lists(st.one_of(messages.map(lambda item: [item]), answers.map(lambda item: [item]), calls()), max_size=5)
conversations = st.one_of(
    texts,
    st.builds(
        lambda groups, reasoning: [item for group in groups for item in group] + reasoning,
        items,
        st.lists(reasonings, max_size=1),
    ),
)


def outcome(items: Any) -> tuple[Any, str]:
    """The messages and the report, or the error, which the items become."""
    try:
        return translated(items)
    except InvalidRequest as error:
        return error.message, str(error.param)


@given(conversations)
def test_to_the_model_the_stored_items_are_those_that_were_sent(items: Any) -> None:
    """So that the prompt of a turn begins with the prompt of the turn before."""
    assert outcome(stored(items)) == outcome(items)


@given(conversations)
def test_what_is_stored_is_stored_again_as_it_is(items: Any) -> None:
    once = stored(items)
    assert stored(once) == once
    assert len({item["id"] for item in once}) == len(once)


# The check of items that no request has sent -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": "Hi"},
        {"type": "message", "role": "tool", "content": []},
        {"role": "user", "content": "Hi", "id": "msg-A_1"},
        {"role": "user", "content": "Hi", "id": None},
        {"call_id": "a", "output": "4"},
        {"type": "of a later version"},
        *({"type": kind} for kind in [*KINDS.by_call_type, *KINDS.by_output_type, "reasoning", "compaction"]),
    ],
    ids=str,
)
def test_an_item_that_could_be_sent_is_let_through(item: Json) -> None:
    check_items([item], "items")


@pytest.mark.parametrize("kind", REFUSED_ITEMS)
def test_an_item_that_no_request_may_have_is_refused(kind: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_items([{"role": "user", "content": "Hi"}, {"type": kind}], "items")
    assert (caught.value.param, caught.value.code) == ("items[1].type", "unsupported_parameter")


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({}, "items[0].type"),
        ({"type": 7}, "items[0].type"),
        ({"type": "message"}, "items[0].role"),
        ({"type": "message", "role": None, "content": ""}, "items[0].role"),
        ({"type": "message", "role": "user", "content": None}, "items[0].content"),
        ({"type": "message", "role": "user", "content": "", "id": "a.b"}, "items[0].id"),
        ({"type": "function_call", "id": 7}, "items[0].id"),
    ],
)
def test_what_is_wrong_with_an_item_is_named(item: Json, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_items([item], "items")
    assert caught.value.param == param


@pytest.mark.parametrize(("kind", "prefix"), [("function_call", "fc"), ("reasoning", "rs"), ("unheard_of", "item")])
def test_the_error_of_a_bad_id_says_how_an_id_of_its_type_begins(kind: str, prefix: str) -> None:
    with pytest.raises(InvalidRequest, match=f"begins with '{prefix}'"):
        check_items([{"type": kind, "id": ""}], "items")


def test_an_item_that_is_nested_too_deeply_is_refused() -> None:
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    with pytest.raises(InvalidRequest):
        check_items([{"type": "reasoning", "summary": deep}], "items")
