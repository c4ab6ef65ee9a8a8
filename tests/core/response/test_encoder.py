"""The encoder: the number and the bytes of each event, in the framing that the receiver wants."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from responses_shim.core.response.encoder import EventEncoder, Template
from responses_shim.core.wire.events import (
    Created,
    CustomToolCallInputDelta,
    DeltaEvent,
    Event,
    FunctionCallArgumentsDelta,
    FunctionCallArgumentsDone,
    InProgress,
    OutputTextDelta,
    Ping,
    ReasoningSummaryTextDelta,
    ReasoningTextDelta,
    RefusalDelta,
)
from responses_shim.core.wire.responses import NO_LOGPROBS, Response
from responses_shim.core.wire.sse import sse_framing
from tests.core.driver import event_json, read_frame

DELTAS: list[DeltaEvent] = [
    OutputTextDelta(0, "msg_1", 0, "", 1, NO_LOGPROBS),
    RefusalDelta(0, "msg_1", 0, "", 1),
    ReasoningTextDelta(0, "rs_1", 2, "", 0),
    ReasoningSummaryTextDelta(0, "rs_1", 2, "", 0),
    FunctionCallArgumentsDelta(0, "fc_1", 3, ""),
    CustomToolCallInputDelta(0, "ctc_1", 3, ""),
]


def response() -> Response:
    return Response(id="resp_1", created_at=1, model="m")


def encoded(*events: Event) -> list[bytes]:
    return [data for _, data in EventEncoder(sse_framing).encode(events)]


def filled(template: Template, number: int, text_json: str) -> bytes:
    """The frame with this number and this JSON string, whose quotes the template has already."""
    return template % (number, text_json[1:-1].encode())


@pytest.mark.parametrize("delta", DELTAS, ids=lambda delta: delta.wire_type)
@given(number=st.integers(0, 10**6), text=st.text(max_size=8) | st.sampled_from(["%d", "%", '"delta":""', "\n\n"]))
def test_a_template_makes_the_bytes_of_the_encoder(delta: DeltaEvent, number: int, text: str) -> None:
    template = EventEncoder(sse_framing).template(delta)
    event = msgspec.structs.replace(delta, sequence_number=number, delta=text)
    [frame] = encoded(event)
    assert filled(template, number, json.dumps(text, ensure_ascii=False)) == frame or "\x7f" in text
    assert read_frame(frame) == event_json(event)


def test_a_frame_has_the_number_of_its_event() -> None:
    encoder = EventEncoder(sse_framing)
    assert [number for number, _ in encoder.encode([Ping(3), Ping(4)])] == [3, 4]


def test_the_framing_goes_around_the_json_of_each_event() -> None:
    [(_, bare)] = EventEncoder(lambda event_type: (b"", b"")).encode([Ping(3)])
    assert bare == b'{"type":"response.ping","sequence_number":3}'
    [(_, framed)] = EventEncoder(lambda event_type: (f"%{event_type} ".encode(), b"%")).encode([Ping(3)])
    assert framed == b"%response.ping " + bare + b"%"
    template = EventEncoder(lambda event_type: (b"100% ", b" %")).template(DELTAS[1])
    assert filled(template, 1, '"x"').startswith(b'100% {"type":"response.refusal.delta","sequence_number":1,')


def test_a_response_object_in_two_events_is_the_same_in_both() -> None:
    shared, other = response(), response()
    events = [Created(0, shared), InProgress(1, shared), InProgress(2, other)]
    assert [read_frame(frame) for frame in encoded(*events)] == [event_json(event) for event in events]


def test_the_event_line_is_the_type_even_if_the_event_has_a_name() -> None:
    [frame] = encoded(FunctionCallArgumentsDone(1, "fc_1", 0, "{}", "get_weather"))
    assert frame.startswith(b"event: response.function_call_arguments.done\n")


def test_text_that_looks_like_a_frame_stays_inside_its_string() -> None:
    event = OutputTextDelta(1, "msg_1", 0, "\n\ndata: [DONE]\r\n\x00\u2028", 0, NO_LOGPROBS)
    [frame] = encoded(event)
    assert read_frame(frame) == event_json(event)
    assert read_frame(frame)["delta"] == event.delta


def test_the_extras_of_a_delta_are_in_its_frame() -> None:
    event = OutputTextDelta(1, "msg_1", 0, "a", 0, Raw(b'[{"token":"a"}]'))
    event.obfuscation, event.generation_token_ids, event.generation_log_probs = "xx", [7], [-0.5]
    [frame] = encoded(event)
    assert read_frame(frame)["logprobs"] == [{"token": "a"}]
    assert {"obfuscation": "xx", "generation_token_ids": [7]}.items() <= read_frame(frame).items()
