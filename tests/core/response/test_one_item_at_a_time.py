"""One item at a time: when an item ends, what waits for it, and which call a piece belongs to.

That each item is done before the next is added, the oracle demands of every stream of every test. Here is what else
follows from it, by the ways in which hosts write their calls.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.driver import Json, Played, play
from tests.core.response.test_stream_calls import STOP, answer, arguments_of, calls
from tests.scripted import call, chunk, frame

LENGTH = chunk(finish_reason="length")


def made(played: Played) -> list[tuple[str, Any]]:
    """Each item: the name of a call and its arguments, or the type and the text of another."""
    return [
        (item["name"], arguments_of(item))
        if "name" in item
        else (item["type"], "".join(part["text"] for part in item["content"]))
        for item in played.output
    ]


def statuses(played: Played) -> list[str]:
    return [item["status"] for item in played.output]


def order(played: Played) -> list[str]:
    """Which items were added, written to and done, in order: `+0`, `0`, `-0`."""
    signs = {"response.output_item.added": "+", "response.output_item.done": "-"}
    marks: list[str] = []
    for event in played.payloads:
        mark = signs.get(event["type"], "" if event["type"].endswith(".delta") else None)
        if mark is not None:
            marks.append(f"{mark}{event['output_index']}")
    return marks


# When an item ends ---------------------------------------------------------------------------------------------------


def test_a_call_is_done_as_soon_as_the_next_begins() -> None:
    """Codex starts a command at its `output_item.done`: the second call may take minutes to write."""
    first, second = calls(call(0, "a", "f", '{"x": 1}')), calls(call(1, "b", "f", "{"))
    played = play([first, second])
    assert order(played) == ["+0", "0", "-0", "+1", "1", "-1"]


@pytest.mark.parametrize("next_item", [chunk("Well."), chunk(reasoning="Hm."), calls(call(1, "b", "f", "{}"))])
def test_a_call_that_is_complete_ends_where_anything_else_begins(next_item: bytes) -> None:
    played = answer(calls(call(0, "a", "f", '{"x": [')), calls(call(0, arguments='"]"]}')), next_item, STOP)
    assert order(played)[:5] == ["+0", "0", "0", "-0", "+1"]


def test_what_comes_while_a_call_is_being_written_waits_in_order() -> None:
    played = answer(
        chunk("One."),
        calls(call(0, "a", "f", '{"a":')),
        chunk(" Two."),
        calls(call(1, "b", "g", '{"b":')),
        chunk(reasoning="Hm."),
        calls(call(0, arguments=" 1}"), call(1, arguments=" 2}")),
        STOP,
    )
    assert made(played) == [
        ("message", "One."),
        ("f", '{"a": 1}'),
        ("message", " Two."),
        ("g", '{"b": 2}'),
        ("reasoning", "Hm."),
    ]
    assert order(played) == [
        "+0",
        "0",
        "-0",
        "+1",
        "1",
        "1",
        "-1",
        "+2",
        "2",
        "-2",
        "+3",
        "3",
        "3",
        "-3",
        "+4",
        "4",
        "-4",
    ]


def test_refusals_and_annotations_wait_as_well() -> None:
    citation = {"type": "url_citation", "start_index": 0, "end_index": 1, "url": "http://a", "title": "A"}
    delta: Json = {"content": "See.", "annotations": [{"type": "url_citation", "url_citation": citation}]}
    played = answer(
        calls(call(0, "a", "f", "{")),
        frame({"choices": [{"index": 0, "delta": delta}]}),
        chunk(refusal="No."),
        calls(call(0, arguments="}")),
        STOP,
    )
    assert [item["type"] for item in played.output] == ["function_call", "message"]
    text, refusal = played.output[1]["content"]
    assert (text["text"], refusal["refusal"]) == ("See.", "No.")
    assert len(text["annotations"]) == 1


def test_what_waits_for_a_call_that_is_never_complete_is_written_at_the_end() -> None:
    played = answer(calls(call(0, "a", "f", "{")), chunk("Well."), calls(call(1, "b", "g", "{}")), STOP)
    assert made(played) == [("f", "{"), ("message", "Well."), ("g", "{}")]
    assert statuses(played) == ["completed"] * 3


def test_at_a_cut_each_call_whose_arguments_are_cut_is_incomplete_and_so_is_the_last_item() -> None:
    entries = [call(0, "a", "f", "{"), call(1, "b", "f", "{}"), call(2, "c", "shell", '{"commands": ["rm')]
    played = answer(calls(*entries), chunk("Well."), LENGTH)
    assert statuses(played) == ["incomplete", "completed", "incomplete", "incomplete"]
    assert [item["type"] for item in played.output[2:]] == ["shell_call", "message"]
    assert played.output[2]["action"]["commands"] == []


def test_a_custom_call_ends_with_its_input_even_if_the_model_forgot_to_escape_a_quote() -> None:
    pieces = ['{"input": "say "', 'hi} now"', '"}']
    played = answer(
        calls(call(0, "a", "c")), *[calls(call(0, arguments=piece)) for piece in pieces], chunk("Well."), STOP
    )
    assert made(played) == [("c", 'say "hi} now"'), ("message", "Well.")]
    assert order(played)[-3:] == ["+1", "1", "-1"]


def test_input_without_json_around_it_ends_with_the_round() -> None:
    played = answer(calls(call(0, "a", "c", "*** Begin")), chunk("Well."), calls(call(0, arguments=" Patch")), STOP)
    assert made(played) == [("c", "*** Begin Patch"), ("message", "Well.")]


# Which call a piece belongs to ---------------------------------------------------------------------------------------

PARIS, ROME = '{"city": "Paris"}', '{"city": "Rome"}'
TWO = [("f", PARIS), ("f", ROME)]

# How a host may write two calls of f: of all of these a client gets the same two.
TWO_CALLS: dict[str, list[Json]] = {
    "one index, no ids": [
        call(0, None, "f", '{"city": '),
        call(0, arguments='"Paris"}'),
        call(0, None, "f", ROME),
    ],
    "one index, one id": [call(0, "a", "f", PARIS), call(0, "a", "f", ROME)],
    "one index, one id, in pieces": [
        call(0, "a", "f", '{"city": '),
        call(0, "a", arguments='"Paris"}'),
        call(0, "a", "f", '{"city": '),
        call(0, "a", arguments='"Rome"}'),
    ],
    "two indices, one id": [call(0, "a", "f", PARIS), call(1, "a", "f", ROME)],
    "two indices, one id, in turns": [
        call(0, "a", "f", '{"city": '),
        call(1, "a", "f", '{"city": '),
        call(0, arguments='"Paris"}'),
        call(1, arguments='"Rome"}'),
    ],
    "no index, one id": [call(None, "a", "f", PARIS), call(None, "a", "f", ROME)],
    "no index, no ids": [call(None, None, "f", PARIS), call(None, None, "f", ROME)],
    "another id with every piece, and the name": [
        call(0, "a", "f", '{"city": '),
        call(0, "b", "f", '"Paris"}'),
        call(1, "c", "f", '{"city": '),
        call(1, "d", "f", '"Rome"}'),
    ],
    "another id with every piece": [
        call(0, "a", "f", '{"city": '),
        call(0, "b", arguments='"Paris"}'),
        call(1, "c", "f", '{"city": '),
        call(1, "d", arguments='"Rome"}'),
    ],
    "the arguments once more at the end": [
        call(0, "a", "f", '{"city": '),
        call(0, arguments='"Paris"}'),
        call(0, arguments=PARIS),
        call(1, "b", "f", ROME),
        call(1, "b", "f", ROME),
    ],
    "all of both once more at the end": [
        call(0, "a", "f", PARIS),
        call(1, "b", "f", ROME),
        call(0, "a", "f", PARIS),
        call(1, "b", "f", ROME),
    ],
    "the name with every piece": [
        call(0, "a", "f", '{"city": '),
        call(0, "a", "f", '"Paris"}'),
        call(1, "b", "f", '{"city": '),
        call(1, "b", "f", '"Rome"}'),
    ],
}


@pytest.mark.parametrize("written", TWO_CALLS)
@pytest.mark.parametrize("slow", [False, True], ids=["", "slow"])
def test_two_calls_are_two_however_a_host_writes_them(written: str, slow: bool) -> None:
    entries = TWO_CALLS[written]
    for chunks in ([calls(*entries)], [calls(entry) for entry in entries]):
        played = answer(*chunks, STOP, slow=slow)
        assert made(played) == TWO
        ids = [item["call_id"] for item in played.output]
        assert len(set(ids)) == 2
        assert ids[0] == (entries[0].get("id") or ids[0])


def test_a_call_that_waits_and_is_written_once_more_is_one_call() -> None:
    entries = [call(0, "a", "f", "{"), call(1, "b", "g", "["), call(1, arguments="]"), call(1, "b", "g", "[]")]
    played = answer(calls(*entries), calls(call(0, arguments="}")), STOP)
    assert made(played) == [("f", "{}"), ("g", "[]")]


def test_another_offered_name_after_complete_arguments_is_another_call() -> None:
    played = answer(calls(call(0, "a", "f", "{}")), calls(call(0, "a", "g", "{}")), STOP)
    assert made(played) == [("f", "{}"), ("g", "{}")]


@pytest.mark.parametrize("kind", ["c", "crm__note"])
def test_the_input_of_a_custom_tool_once_more_adds_nothing(kind: str) -> None:
    json_of_input = r'{"input": "a\nb"}'
    pieces = [r'{"inp', r'ut": "a\n', 'b"}', json_of_input]
    played = answer(calls(call(0, "a", kind)), *[calls(call(0, arguments=piece)) for piece in pieces[:3]], STOP)
    repeated = answer(
        calls(call(0, "a", kind)),
        *[calls(call(0, arguments=piece)) for piece in pieces],
        calls(call(0, "a", kind, json_of_input)),
        STOP,
    )
    assert made(repeated) == made(played) == [(kind.removeprefix("crm__"), "a\nb")]


def test_input_in_another_shape_once_more_adds_nothing() -> None:
    other = '{"patch": "x"}'
    played = answer(
        calls(call(0, "a", "c", other[:5])), calls(call(0, arguments=other[5:])), calls(call(0, "a", "c", other)), STOP
    )
    assert made(played) == [("c", "x")]


@pytest.mark.parametrize("ids", [["a", None, None], ["a", "a", "a"], [None, None, None]])
def test_a_name_in_pieces_is_one_name(ids: list[str | None]) -> None:
    names = ["crm", "__", "find"]
    pieces = [calls(call(0, id, name)) for id, name in zip(ids, names, strict=True)]
    played = answer(*pieces, calls(call(0, arguments="{}")), STOP)
    assert [(item["namespace"], item["name"], item["arguments"]) for item in played.output] == [("crm", "find", "{}")]


@pytest.mark.parametrize("follows", [chunk("Well."), calls(call(1, "b", "f", "{}")), STOP], ids=["text", "call", "end"])
def test_a_name_that_only_begins_a_longer_one_ends_where_anything_else_comes(follows: bytes) -> None:
    tools: list[Json] = [{"type": "function", "name": name} for name in ("get", "get_weather", "f")]
    played = answer(calls(call(0, "a", "get")), follows, STOP, tools=tools)
    assert made(played)[0] == ("get", "{}")


def test_a_name_that_is_held_back_while_another_call_begins_keeps_its_position() -> None:
    tools: list[Json] = [{"type": "function", "name": name} for name in ("get", "get_weather", "f")]
    played = answer(
        calls(call(0, "a", "get"), call(1, "b", "f", "{}"), call(0, arguments='{"x": 1}')), STOP, tools=tools
    )
    assert made(played) == [("get", '{"x": 1}'), ("f", "{}")]


# Arguments that are none ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", ["", None, " "])
def test_a_call_without_arguments_has_an_empty_object_in_its_events_and_in_its_item(arguments: str | None) -> None:
    played = answer(calls(call(0, "a", "f", arguments)), calls(call(1, "b", "g", arguments)), STOP)
    written = (arguments or "") + "{}"
    assert made(played) == [("f", written), ("g", written)]
    assert [event["arguments"] for event in played.of_type("function_call_arguments.done")] == [written, written]


def test_a_call_that_was_cut_before_its_arguments_has_none() -> None:
    played = answer(calls(call(0, "a", "f", "")), LENGTH)
    assert (made(played), statuses(played)) == ([("f", "")], ["incomplete"])


# White space round calls ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["\n", " \n\n", "\t"])
def test_white_space_round_calls_is_no_message(space: str) -> None:
    played = answer(
        chunk(space),
        calls(call(0, "a", "f", "{}")),
        chunk(space),
        calls(call(1, "b", "g", "{}")),
        chunk(space),
        STOP,
    )
    assert made(played) == [("f", "{}"), ("g", "{}")]


def test_white_space_after_reasoning_and_before_a_call_is_no_message() -> None:
    played = answer(chunk(reasoning="Hm."), chunk("\n\n"), calls(call(0, "a", "f", "{}")), STOP)
    assert made(played) == [("reasoning", "Hm."), ("f", "{}")]


def test_white_space_before_text_belongs_to_the_text() -> None:
    played = answer(
        chunk("\n"), chunk(" "), chunk("Well.\n"), calls(call(0, "a", "f", "{}")), chunk("\n"), chunk("So."), STOP
    )
    assert made(played) == [("message", "\n Well.\n"), ("f", "{}"), ("message", "\nSo.")]


def test_an_answer_of_white_space_alone_is_a_message() -> None:
    assert made(answer(chunk("\n"), chunk(" "), chunk(finish_reason="stop"))) == [("message", "\n ")]


def test_white_space_that_came_while_a_call_was_being_written_is_dropped_too() -> None:
    played = answer(calls(call(0, "a", "f", "{")), chunk("\n"), calls(call(0, arguments="}")), STOP)
    assert made(played) == [("f", "{}")]
