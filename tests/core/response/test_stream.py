"""What `core/response/stream.py` promises in its docstring, tested over random streams of hosts of every kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from random import Random
from typing import Any

from hypothesis import given

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
from tests.core.driver import Json, Played, event_json, no_frames, play
from tests.core.expected import comparable, expected_items, expected_output, expected_terminal, expected_usage
from tests.core.host_streams import encode
from tests.core.rounds import RNGS, TOOL_ROUNDS, ArgumentsPiece, Round, tool_map
from tests.cuts import POSITIONS, cut
from tests.oracle import check_stream


def play_rounds(rounds: Sequence[Round], rng: Random, **options: Any) -> Played:
    """The response to these rounds, as some host might send them."""
    return play(*[encode(round, rng) for round in rounds], tools=tool_map(), **options)


@given(TOOL_ROUNDS, RNGS)
def test_the_response_has_the_output_usage_and_end_that_the_host_sent(rounds: Sequence[Round], rng: Random) -> None:
    played = play_rounds(rounds, rng, logprobs=True)
    check_stream(played.payloads)
    assert [comparable(item) for item in played.output] == expected_output(rounds)
    assert played.response["usage"] == expected_usage(rounds)
    assert played.payloads[-1]["type"] == expected_terminal(rounds)


@given(TOOL_ROUNDS, RNGS)
def test_the_result_of_each_round_has_its_calls_and_its_finish_reason(rounds: Sequence[Round], rng: Random) -> None:
    played = play_rounds(rounds, rng)
    output = {item["id"]: comparable(item) for item in played.output}
    calls = iter([item for item in expected_output(rounds) if item.call is not None])
    for round, ended in zip(rounds, played.rounds, strict=True):
        count = sum(item.call is not None for item in expected_items(round))
        assert [output[call.id] for call in ended.calls] == list(islice(calls, count))
        assert ended.finish_reason == (round.finish if round.error is None else None)


@given(TOOL_ROUNDS, RNGS, POSITIONS)
def test_where_the_bytes_are_cut_changes_nothing(
    rounds: Sequence[Round], rng: Random, positions: Sequence[int]
) -> None:
    messages = [encode(round, rng) for round in rounds]
    pieces = [cut(b"".join(data), positions) for data in messages]
    assert play(*pieces, tools=tool_map()).frames == play(*messages, tools=tool_map()).frames


@given(TOOL_ROUNDS, RNGS, RNGS)
def test_how_the_host_cuts_its_chunks_changes_no_value(rounds: Sequence[Round], one: Random, other: Random) -> None:
    first, second = play_rounds(rounds, one).response, play_rounds(rounds, other).response
    assert first["usage"] == second["usage"]
    assert first["status"] == second["status"]
    assert [comparable(item) for item in first["output"]] == [comparable(item) for item in second["output"]]


@given(TOOL_ROUNDS, RNGS)
def test_without_parallel_calls_only_the_first_call_of_each_round_is_an_item(
    rounds: Sequence[Round], rng: Random
) -> None:
    played = play(*[encode(round, rng) for round in rounds], tools=tool_map(parallel=False))
    check_stream(played.payloads)
    assert [comparable(item) for item in played.output] == expected_output([one_call(round) for round in rounds])


def one_call(round: Round) -> Round:
    """The round without any call but its first."""
    first = next((piece.call for piece in round.pieces if isinstance(piece, ArgumentsPiece)), None)
    return replace(round, pieces=[piece for piece in round.pieces if getattr(piece, "call", first) == first])


@given(TOOL_ROUNDS, RNGS, RNGS)
def test_pings_are_numbered_like_other_events_and_change_nothing_else(
    rounds: Sequence[Round], rng: Random, timer: Random
) -> None:
    def perhaps_ping(translator: Translator) -> list[Frame]:
        return timer.choice([Translator.ping, Translator.repeat_in_progress, no_frames, no_frames])(translator)

    messages = [encode(round, rng) for round in rounds]
    pinged, plain = (
        play(*messages, tools=tool_map(), after_each=after_each).payloads for after_each in (perhaps_ping, no_frames)
    )
    check_stream(pinged)
    assert [event["sequence_number"] for event in pinged] == list(range(len(pinged)))
    assert unnumbered(without_pings(pinged)) == unnumbered(plain)


def without_pings(events: Sequence[Json]) -> list[Json]:
    pings = ("response.ping", "response.in_progress")
    return [event for index, event in enumerate(events) if index < 2 or event["type"] not in pings]


def unnumbered(events: Sequence[Json]) -> list[Json]:
    return [{key: value for key, value in event.items() if key != "sequence_number"} for event in events]


@given(TOOL_ROUNDS, RNGS)
def test_an_event_is_never_changed_once_it_is_made(rounds: Sequence[Round], rng: Random) -> None:
    played = play_rounds(rounds, rng, logprobs=True)
    assert [event_json(event) for event in played.events] == played.payloads


@given(TOOL_ROUNDS, RNGS)
def test_events_of_an_item_come_in_the_order_of_the_table(rounds: Sequence[Round], rng: Random) -> None:
    events = play_rounds(rounds, rng).events
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


@given(TOOL_ROUNDS, RNGS)
def test_the_response_begins_once_and_ends_once(rounds: Sequence[Round], rng: Random) -> None:
    kinds = [type(event) for event in play_rounds(rounds, rng).events]
    assert kinds[:2] == [Created, InProgress]
    assert kinds[-1] in TERMINAL
    around = [kind for kind in kinds if kind in (Created, InProgress, Ping, Error, *TERMINAL)]
    assert around[2:-1] == ([Error] if kinds[-1] is Failed else [])
    assert kinds[-2] is Error or kinds[-1] is not Failed


@given(TOOL_ROUNDS, RNGS)
def test_the_terminal_event_has_the_response_and_its_output_the_finished_items(
    rounds: Sequence[Round], rng: Random
) -> None:
    played = play_rounds(rounds, rng)
    terminal = played.events[-1]
    assert isinstance(terminal, TERMINAL)
    assert terminal.response == played.stream.response
    done = {event.output_index: event.item for event in played.events if isinstance(event, OutputItemDone)}
    assert played.stream.response.output == [done[index] for index in range(len(done))]
