"""Streams that break off anywhere, and the end that `LoggedOutput` gives them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import given

from responses_shim.core.response.encoder import encode_json
from responses_shim.core.response.interrupted import LoggedOutput
from responses_shim.core.response.options import ResponseOptions
from responses_shim.core.wire.events import OutputItemDone
from tests.core.driver import Json, play
from tests.core.host_streams import encode
from tests.core.response.test_options_over_streams import OPTIONS
from tests.core.rounds import RNGS, TOOL_ROUNDS, Round, tool_map
from tests.oracle import check_stream


def ended(logged: Sequence[Json], terminal: Json) -> list[Json]:
    """These events, and those that end the response behind them as cancelled."""
    output = LoggedOutput()
    for event in logged:
        output.feed(encode_json(event))
    numbers = count(logged[-1]["sequence_number"] + 1)
    closing, items = output.close(numbers)
    end = {
        **terminal,
        "type": "response.incomplete",
        "sequence_number": next(numbers),
        "response": {
            **terminal["response"],
            "status": "cancelled",
            "error": None,
            "incomplete_details": None,
            "completed_at": None,
            "output": [json.loads(data) for _, data in items],
        },
    }
    assert [id for id, _ in items] == [item["id"] for item in end["response"]["output"]]
    return [*logged, *(json.loads(encode_json(event)) for event in closing), end]


@given(TOOL_ROUNDS, RNGS, OPTIONS)
def test_wherever_a_log_ends_its_items_are_ended_as_they_were_streamed(
    rounds: Sequence[Round], rng: Random, options: ResponseOptions
) -> None:
    """A log has what was written in one step or nothing of it."""
    played = play(*[encode(round, rng) for round in rounds], tools=tool_map(), options=options)
    events = played.payloads
    end = rng.choice(played.written[:-1])
    stream = ended(events[:end], events[-1])
    check_stream(stream)
    added = [event for event in events[:end] if event["type"] == "response.output_item.added"]
    assert len(stream[-1]["response"]["output"]) == len(added)


def logged(*events: Json) -> LoggedOutput:
    output = LoggedOutput()
    for event in events:
        output.feed(encode_json(event))
    return output


CALL = {"id": "fc_1", "type": "function_call", "status": "in_progress", "call_id": "c", "name": "f", "arguments": ""}
ADDED = {"type": "response.output_item.added", "sequence_number": 0, "output_index": 0, "item": CALL}


def delta(text: str) -> Json:
    kind = "response.function_call_arguments.delta"
    return {"type": kind, "sequence_number": 1, "item_id": "fc_1", "output_index": 0, "delta": text}


def test_a_call_that_was_cut_has_the_arguments_so_far_and_is_incomplete() -> None:
    events, [(id, data)] = logged(ADDED, delta('{"ci'), delta('ty"')).close(count(7))
    assert (id, json.loads(data)) == ("fc_1", {**CALL, "arguments": '{"city"', "status": "incomplete"})
    assert [event.sequence_number for event in events] == [7, 8]
    assert isinstance(events[1], OutputItemDone)


def test_it_can_be_closed_again_when_more_has_come() -> None:
    output = logged(ADDED, delta("{"))
    first = output.close(count())
    assert output.close(count()) == first
    output.feed(encode_json(delta("}")))
    _, [(_, data)] = output.close(count())
    assert json.loads(data)["arguments"] == "{}"


def test_an_item_that_is_done_stays_byte_for_byte() -> None:
    item = b'{"id":"msg_1","type":"message","text":"\\u00e9",  "n":1.50}'
    done = b'{"type":"response.output_item.done","sequence_number":9,"output_index":0,"item":%b}' % item
    output = logged(ADDED)
    output.feed(done)
    assert output.close(count()) == ([], [("msg_1", item)])


@pytest.mark.parametrize(
    "unreadable",
    [
        b"no JSON",
        b'{"type":"response.output_item.added","item":{"type":"of_tomorrow"}}',
        b'{"type":"response.output_item.done","item":{"type":"message"}}',
        encode_json({**ADDED, "type": "response.content_part.done", "part": {"type": "reasoning_text", "text": ""}}),
    ],
)
def test_of_a_log_that_cannot_be_read_nothing_is_known(unreadable: bytes) -> None:
    output = logged(ADDED)
    output.feed(unreadable)
    output.feed(encode_json(delta("{}")))
    assert output.lost
    assert output.close(count()) == ([], [])


def test_events_that_are_about_no_item_are_passed_over() -> None:
    output = logged({"type": "response.in_progress"}, {"type": "response.ping"}, {"type": "error", "code": 1})
    assert output.close(count()) == ([], [])


def test_a_text_that_was_cut_has_its_log_probabilities_and_citations() -> None:
    message = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    about = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    entries: list[Json] = [
        {"token": token, "bytes": [], "logprob": -1, "top_logprobs": []} for token in ("a", "b", "c")
    ]
    citation = {"type": "url_citation", "url": "https://example.com", "title": "t", "start_index": 0, "end_index": 1}
    text = {**about, "type": "response.output_text.delta"}
    output = logged(
        {"type": "response.output_item.added", "sequence_number": 0, "output_index": 0, "item": message},
        {**about, "type": "response.content_part.added", "sequence_number": 1, "part": part},
        {**text, "sequence_number": 2, "delta": "ab", "logprobs": entries[:2]},
        {
            **about,
            "type": "response.output_text.annotation.added",
            "sequence_number": 3,
            "annotation_index": 0,
            "annotation": citation,
        },
        {**text, "sequence_number": 4, "delta": "c", "logprobs": entries[2:]},
    )
    _, [(_, data)] = output.close(count())
    assert json.loads(data)["content"] == [{**part, "text": "abc", "annotations": [citation], "logprobs": entries}]


def test_of_a_log_that_lost_the_beginning_of_an_item_nothing_is_known() -> None:
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    done = {"type": "response.content_part.done", "sequence_number": 1, "item_id": "msg_1", "output_index": 0}
    assert logged({**done, "content_index": 0, "part": part}).lost


def test_the_input_of_a_custom_tool_that_was_cut_is_what_came_of_it() -> None:
    call = {
        "id": "ctc_1",
        "type": "custom_tool_call",
        "status": "in_progress",
        "call_id": "c",
        "name": "f",
        "input": "",
    }
    piece = {**delta("*** Begin"), "type": "response.custom_tool_call_input.delta", "item_id": "ctc_1"}
    events, [(_, data)] = logged({**ADDED, "item": call}, piece).close(count())
    assert json.loads(data) == {**call, "input": "*** Begin", "status": "incomplete"}
    assert [json.loads(encode_json(event))["type"] for event in events] == [
        "response.custom_tool_call_input.done",
        "response.output_item.done",
    ]


def test_a_summary_that_was_cut_is_a_part_with_what_came_of_it() -> None:
    item = {"id": "rs_1", "type": "reasoning", "status": "in_progress", "summary": [], "content": []}
    about = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
    part = {"type": "summary_text", "text": ""}
    events, [(_, data)] = logged(
        {**ADDED, "item": item},
        {**about, "type": "response.reasoning_summary_part.added", "sequence_number": 1, "part": part},
        {**about, "type": "response.reasoning_summary_text.delta", "sequence_number": 2, "delta": "Hm"},
    ).close(count())
    assert json.loads(data)["summary"] == [{**part, "text": "Hm"}]
    assert [json.loads(encode_json(event))["type"] for event in events] == [
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
    ]


@pytest.mark.parametrize(
    ("kind", "part", "delta_type", "field"),
    [
        ("message", {"type": "refusal", "refusal": ""}, "response.refusal.delta", "refusal"),
        ("reasoning", {"type": "reasoning_text", "text": ""}, "response.reasoning_text.delta", "text"),
    ],
)
def test_a_part_of_any_kind_that_was_cut_has_what_came_of_it(
    kind: str, part: Json, delta_type: str, field: str
) -> None:
    item: Json = {"id": "x_1", "type": kind, "status": "in_progress", "content": []}
    item |= {"role": "assistant"} if kind == "message" else dict[str, Any](summary=[])
    about = {"item_id": "x_1", "output_index": 0, "content_index": 0}
    events, [(_, data)] = logged(
        {**ADDED, "item": item},
        {**about, "type": "response.content_part.added", "sequence_number": 1, "part": part},
        {**about, "type": delta_type, "sequence_number": 2, "delta": "No"},
    ).close(count())
    assert json.loads(data)["content"] == [{**part, field: "No"}]
    assert [event.sequence_number for event in events] == [0, 1, 2]
