"""The promises at the head of `core/stream.py`, held over random streams of hosts of every kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.response.encoder import Frame
from responses_shim.core.response.translator import Translator
from responses_shim.core.wire.events import (
    ALLOWED_AFTER,
    TERMINAL,
    Created,
    Error,
    Event,
    Failed,
    InProgress,
    OutputItemAdded,
    OutputItemDone,
    Ping,
)
from tests.core.driver import Json, Played, plainly, play
from tests.core.speech import (
    CALLING,
    DICE,
    Argued,
    Call,
    Round,
    as_item,
    encode,
    expected_items,
    expected_output,
    expected_terminal,
    expected_usage,
    tool_map,
)
from tests.oracle import check_stream


def say(rounds: Sequence[Round], dice: Random, **options: Any) -> Played:
    return play(*[encode(round, dice) for round in rounds], tools=tool_map(), **options)


def recut(messages: Sequence[bytes], places: Sequence[int]) -> list[bytes]:
    """The same bytes in other messages."""
    data = b"".join(messages)
    edges = sorted(place % (len(data) + 1) for place in places)
    return [data[start:end] for start, end in zip([0, *edges], [*edges, len(data)], strict=True)]


@given(CALLING, DICE)
def test_what_the_host_said_is_what_the_response_says(rounds: Sequence[Round], dice: Random) -> None:
    played = say(rounds, dice, logprobs=True)
    check_stream(played.payloads)
    assert [as_item(item) for item in played.response["output"]] == expected_output(rounds)
    assert played.response["usage"] == expected_usage(rounds)
    assert played.payloads[-1]["type"] == expected_terminal(rounds)


@given(CALLING, DICE)
def test_each_round_tells_its_calls_and_its_finish(rounds: Sequence[Round], dice: Random) -> None:
    played = say(rounds, dice)
    output = {item["id"]: as_item(item) for item in played.response["output"]}
    for round, ended in zip(rounds, played.rounds, strict=True):
        calls = [item for item in expected_items(round) if isinstance(item.call, Call)]
        assert [output[call.id] for call in ended.calls] == calls
        assert ended.finish == (round.finish if round.error is None else None)


@given(CALLING, DICE, st.lists(st.integers(0, 10_000), max_size=30))
def test_where_the_bytes_are_cut_changes_nothing(rounds: Sequence[Round], dice: Random, places: Sequence[int]) -> None:
    messages = [encode(round, dice) for round in rounds]
    cut = [recut(message, places) for message in messages]
    assert play(*cut, tools=tool_map()).frames == play(*messages, tools=tool_map()).frames


@given(CALLING, DICE, DICE)
def test_how_the_host_cuts_its_chunks_changes_no_value(rounds: Sequence[Round], one: Random, other: Random) -> None:
    first, second = say(rounds, one).response, say(rounds, other).response
    assert first["usage"] == second["usage"]
    assert first["status"] == second["status"]
    assert [as_item(item) for item in first["output"]] == [as_item(item) for item in second["output"]]


@given(CALLING, DICE)
def test_without_parallel_calls_only_the_first_of_each_round_is_there(rounds: Sequence[Round], dice: Random) -> None:
    played = play(*[encode(round, dice) for round in rounds], tools=tool_map(parallel=False))
    check_stream(played.payloads)
    assert [as_item(item) for item in played.response["output"]] == expected_output([*map(one_call, rounds)])


def one_call(round: Round) -> Round:
    """The round as if it had said nothing of any call but its first."""
    first = next((said.call for said in round.statements if isinstance(said, Argued)), None)
    return replace(round, statements=[said for said in round.statements if getattr(said, "call", first) == first])


@given(CALLING, DICE, DICE)
def test_pings_are_numbered_with_the_rest_and_change_nothing_else(
    rounds: Sequence[Round], dice: Random, timer: Random
) -> None:
    def ping(translator: Translator) -> list[Frame]:
        return timer.choice([translator.ping, translator.repeat_in_progress, list, list])()

    messages = [encode(round, dice) for round in rounds]
    pinged, plain = (
        play(*messages, tools=tool_map(), between=between).payloads for between in (ping, lambda translator: [])
    )
    check_stream(pinged)
    assert [event["sequence_number"] for event in pinged] == list(range(len(pinged)))
    assert unnumbered(without_pings(pinged)) == unnumbered(plain)


def without_pings(events: Sequence[Json]) -> list[Json]:
    pings = ("response.ping", "response.in_progress")
    return [event for place, event in enumerate(events) if place < 2 or event["type"] not in pings]


def unnumbered(events: Sequence[Json]) -> list[Json]:
    return [{key: value for key, value in event.items() if key != "sequence_number"} for event in events]


@given(CALLING, DICE)
def test_an_event_is_never_changed_once_it_is_made(rounds: Sequence[Round], dice: Random) -> None:
    played = say(rounds, dice, logprobs=True)
    assert [plainly(event) for event in played.events] == played.payloads


@given(CALLING, DICE)
def test_events_come_in_the_order_of_the_table(rounds: Sequence[Round], dice: Random) -> None:
    events = say(rounds, dice).events
    latest: dict[int, Event] = {}
    for event in events:
        index = getattr(event, "output_index", None)
        if index is None:
            continue
        if index in latest:
            assert type(event) in ALLOWED_AFTER[type(latest[index])]
        else:
            assert type(event) is OutputItemAdded
            assert index == len(latest)
        latest[index] = event
    assert {type(event) for event in latest.values()} <= {OutputItemDone}


@given(CALLING, DICE)
def test_the_response_is_opened_once_and_ended_once(rounds: Sequence[Round], dice: Random) -> None:
    kinds = [type(event) for event in say(rounds, dice).events]
    assert kinds[:2] == [Created, InProgress]
    assert kinds[-1] in TERMINAL
    around = [kind for kind in kinds if kind in (Created, InProgress, Ping, Error, *TERMINAL)]
    assert around[2:-1] == ([Error] if kinds[-1] is Failed else [])
    assert kinds[-2] is Error or kinds[-1] is not Failed


@given(CALLING, DICE)
def test_the_snapshot_is_the_response_that_is_not_streamed(rounds: Sequence[Round], dice: Random) -> None:
    played = say(rounds, dice)
    terminal = played.events[-1]
    assert isinstance(terminal, TERMINAL)
    assert terminal.response == played.stream.response
    done = {event.output_index: event.item for event in played.events if isinstance(event, OutputItemDone)}
    assert played.stream.response.output == [done[index] for index in range(len(done))]
