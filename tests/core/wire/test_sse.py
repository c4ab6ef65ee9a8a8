"""Server-sent events: what the decoder makes of bytes, with `httpx-sse` as its judge, and what the encoder writes."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.wire.events import (
    DELTAS,
    Event,
    FunctionCallArgumentsDelta,
    FunctionCallArgumentsDone,
    OutputTextDelta,
    Ping,
    ReasoningTextDelta,
    RefusalDelta,
)
from responses_shim.core.wire.responses import Logprob
from responses_shim.core.wire.sse import COMMENT, DONE, SSEDecoder, SSEEncoder, encode
from tests.core.pipeline import plainly, read_frame

# Decoding ----------------------------------------------------------------------------------------------------------


def decode(*messages: bytes) -> list[bytes]:
    decoder = SSEDecoder()
    return [*(payload for message in messages for payload in decoder.feed(message)), *decoder.close()]


def by_httpx_sse(data: bytes) -> list[bytes]:
    """The data of each event, empty ones left out: the standard has none, `httpx-sse` hands them out."""
    response = httpx.Response(200, headers={"content-type": "text/event-stream; charset=utf-8"}, content=data)
    return [event.data.encode() for event in EventSource(response).iter_sse() if event.data]


LINES = st.one_of(
    st.sampled_from(["", "", "data: {}", "data:{}", "data:  two", "data", "data:", ": ping", ":", "event: x", "id: 1"]),
    st.sampled_from(["retry: 3", "datax: 1", " data: 1", "data : 1", "data: é\u2028\x85\x0b😀", "data: [DONE]"]),
    st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=6).map("data: {}".format),
    st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=6),
)
LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def event_streams(draw: st.DrawFn) -> bytes:
    """Whole lines, every line end there is, ended by a blank line."""
    lines = [line + draw(LINE_ENDS) for line in draw(st.lists(LINES, max_size=20))]
    return ("".join(lines).lstrip("\ufeff") + "\n\n").encode()


def pieces(data: bytes, places: Sequence[int]) -> list[bytes]:
    edges = sorted(place % (len(data) + 1) for place in places)
    return [data[start:end] for start, end in zip([0, *edges], [*edges, len(data)], strict=True)]


@given(event_streams(), st.lists(st.integers(0, 1000), max_size=20))
def test_the_payloads_are_those_that_httpx_sse_reads(data: bytes, places: Sequence[int]) -> None:
    assert decode(*pieces(data, places)) == by_httpx_sse(data)


@given(st.binary(max_size=60) | event_streams(), st.lists(st.integers(0, 1000), max_size=20))
def test_no_cut_changes_what_any_bytes_mean(data: bytes, places: Sequence[int]) -> None:
    assert decode(*pieces(data, places)) == decode(data)


def test_a_frame_is_handed_out_as_soon_as_its_blank_line_is_there() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: 1\n\n") == [b"1"]
    assert decoder.feed(b"data: 2\n") == []
    assert decoder.feed(b"\ndata: 3\r\n\r\n") == [b"2", b"3"]
    assert decoder.feed(b"data: 4\n\ndata: 5\n\n") == [b"4", b"5"]


def test_several_data_lines_are_one_payload() -> None:
    assert decode(b"data: {\ndata:  1\ndata: }\n\n") == [b"{\n 1\n}"]
    assert decode(b"data: {\n", b"data: }\n\n") == [b"{\n}"]


@pytest.mark.parametrize(
    "nothing", [b"data:\n\n", b"data: \n\n", b"data\n\n", b": ping\n\n", b"event: x\n\n", b"\n\n", b""]
)
def test_a_frame_without_data_is_none(nothing: bytes) -> None:
    assert decode(nothing, b"data: 1\n\n") == [b"1"]


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_a_byte_order_mark_at_the_beginning_is_passed_over(cut: int) -> None:
    data = b"\xef\xbb\xbfdata: 1\n\n"
    assert decode(data[:cut], data[cut:]) == [b"1"]


def test_a_byte_order_mark_anywhere_else_is_a_part_of_its_line() -> None:
    assert decode(b"data: 1\n\n\xef\xbb\xbfdata: 2\n\ndata: \xef\xbb\xbf3\n\n") == [b"1", b"\xef\xbb\xbf3"]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n"])
def test_a_last_frame_without_its_blank_line_counts(end: bytes) -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: 1\n\ndata: 2" + end) == [b"1"]
    assert decoder.close() == [b"2"]
    assert decoder.close() == []


def test_nothing_is_left_after_a_whole_stream() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"data: 1\n\n")
    assert decoder.close() == []


# Encoding ----------------------------------------------------------------------------------------------------------

TEXTS = st.text(max_size=5)
LOGPROBS = st.lists(st.builds(Logprob, TEXTS, st.just(-0.5), st.just([72]), st.just([])), max_size=2)
PLACES = st.sampled_from([("msg_1", 0), ("msg_2", 1), ("fc_1", 2), ("fc_2", 3)])


@st.composite
def delta_events(draw: st.DrawFn) -> list[Event]:
    """Deltas of several items side by side, other events between; a part is always announced before its deltas."""
    events: list[Event] = []
    parts: dict[str, tuple[int, object]] = {}
    for number in range(draw(st.integers(0, 12))):
        item_id, index = draw(PLACES)
        kind = draw(st.sampled_from([OutputTextDelta, RefusalDelta, ReasoningTextDelta]))
        text = draw(TEXTS)
        if item_id.startswith("fc_"):
            events.append(FunctionCallArgumentsDelta(number, item_id, index, text))
            continue
        part, writing = parts.get(item_id, (-1, None))
        if writing is not kind:
            part += 1
            parts[item_id] = (part, kind)
            events.append(Ping(number))
        if kind is OutputTextDelta:
            events.append(OutputTextDelta(number, item_id, index, text, part, draw(LOGPROBS)))
        else:
            events.append(kind(number, item_id, index, text, part))
    return events


@given(delta_events(), st.lists(st.sampled_from(["", "", "obfuscation", "tokens", "both"]), max_size=12))
def test_a_frame_from_the_template_says_what_msgspec_says(events: Sequence[Event], extras: Sequence[str]) -> None:
    for event, extra in zip(events, extras, strict=False):
        if isinstance(event, DELTAS) and extra in ("obfuscation", "both"):
            event.obfuscation = "x"
        if isinstance(event, DELTAS) and extra in ("tokens", "both"):
            event.generation_token_ids, event.generation_log_probs = [1], [-0.5]
    frames = SSEEncoder()
    for event in events:
        assert read_frame(frames.encode(event)) == plainly(event)


def test_what_one_delta_carries_is_not_kept_for_the_next() -> None:
    frames = SSEEncoder()
    events = [RefusalDelta(number, "msg_1", 0, "No", 0) for number in range(6)]
    events[1].obfuscation = "x"
    events[4].generation_token_ids, events[4].generation_log_probs = [7], [-0.5]
    assert [read_frame(frames.encode(event)) for event in events] == [plainly(event) for event in events]


def test_a_frame_is_an_event_line_a_data_line_and_a_blank_line() -> None:
    assert encode(Ping(3)) == b'event: response.ping\ndata: {"type":"response.ping","sequence_number":3}\n\n'
    assert SSEEncoder().encode(Ping(3)) == encode(Ping(3))


def test_a_template_is_not_kept_for_the_next_part_of_the_same_kind() -> None:
    """Text with logprobs is never written from a template; the refusals around it are."""
    entry = Logprob("a", -0.5, [97], [])
    frames = SSEEncoder()
    events = [
        RefusalDelta(1, "msg_1", 0, "No.", 0),
        OutputTextDelta(2, "msg_1", 0, "a", 1, [entry]),
        RefusalDelta(3, "msg_1", 0, "No!", 2),
    ]
    assert [read_frame(frames.encode(event)) for event in events] == [plainly(event) for event in events]


def test_the_event_line_is_the_type_even_where_an_event_has_a_name() -> None:
    frame = encode(FunctionCallArgumentsDone(1, "fc_1", 0, "{}", "get_weather"))
    assert frame.startswith(b"event: response.function_call_arguments.done\n")


def test_text_that_looks_like_a_frame_stays_inside_its_string() -> None:
    event = OutputTextDelta(1, "msg_1", 0, "\n\ndata: [DONE]\r\n\x00\u2028", 0, [])
    frames = SSEEncoder()
    assert read_frame(frames.encode(event)) == plainly(event)
    assert read_frame(frames.encode(event))["delta"] == event.delta


def test_what_is_no_event_can_be_told_from_events() -> None:
    assert decode(COMMENT) == []
    assert decode(DONE) == [b"[DONE]"]
