"""Server-sent events: the decoder, which is compared with `httpx-sse`, and the framing of our own events."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import assume, given
from hypothesis import strategies as st

from responses_shim.core.wire.sse import COMMENT, DONE, SSEDecoder, sse_framing
from tests.cuts import POSITIONS, cut

# Decoding ------------------------------------------------------------------------------------------------------------


def decode(*messages: bytes) -> list[bytes]:
    decoder = SSEDecoder()
    return [*(payload for message in messages for payload in decoder.feed(message)), *decoder.close()]


def decode_by_httpx_sse(data: bytes) -> list[bytes]:
    """The data of each event, without those whose data is empty: to the standard those are no events."""
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
    """Complete lines with every kind of line end, and a blank line at the end."""
    lines = [line + draw(LINE_ENDS) for line in draw(st.lists(LINES, max_size=20))]
    return ("".join(lines).lstrip("\ufeff") + "\n\n").encode()


@given(event_streams(), POSITIONS)
def test_the_payloads_are_those_that_httpx_sse_reads(data: bytes, positions: Sequence[int]) -> None:
    expected = decode_by_httpx_sse(data)
    assume(not any(has_a_string(payload) for payload in expected))
    assert decode(*cut(data, positions)) == expected


def has_a_string(payload: bytes) -> bool:
    """Whether the data is an object with a quote: if it ends within a string, the standard does not read it so."""
    return payload.startswith(b"{") and payload.count(b'"') > 0


RAW_TEXTS = st.lists(st.sampled_from(["a", "\n", "\n\n", ": b", "event: b", "id: 1", " ", "{", "é"]), max_size=8).map(
    "".join
)


@given(st.lists(RAW_TEXTS, min_size=1, max_size=4), POSITIONS)
def test_raw_line_ends_in_a_string_belong_to_it_wherever_the_bytes_are_cut(
    texts: list[str], positions: Sequence[int]
) -> None:
    payloads = [b'{"content": "%b"}' % text.encode() for text in texts]
    frames = b"".join([b"data: %b\n\n" % payload for payload in payloads])
    assert decode(*cut(frames + b"data: [DONE]\n\n", positions)) == [*payloads, b"[DONE]"]


def test_an_object_that_is_never_complete_ends_at_the_next_data() -> None:
    assert decode(b'data: {"a\n\n: ping\n\ndata: {}\n\n') == [b'{"a\n\n: ping', b"{}"]
    assert decode(b'data: {"a\n\n') == [b'{"a']


@pytest.mark.parametrize("payload", [b"{not json", b'{"a": 1', b'{"a": "b"', b"["])
def test_what_is_broken_elsewhere_ends_at_its_blank_line(payload: bytes) -> None:
    """The response fails then, and not when the host goes on."""
    assert SSEDecoder().feed(b"data: %b\n\n" % payload) == [payload]


@given(st.binary(max_size=60) | event_streams(), POSITIONS)
def test_where_the_bytes_are_cut_changes_nothing(data: bytes, positions: Sequence[int]) -> None:
    assert decode(*cut(data, positions)) == decode(data)


def test_a_payload_is_given_as_soon_as_its_blank_line_has_come() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: 1\n\n") == [b"1"]
    assert decoder.feed(b"data: 2\n") == []
    assert decoder.feed(b"\ndata: 3\r\n\r\n") == [b"2", b"3"]
    assert decoder.feed(b"data: 4\n\ndata: 5\n\n") == [b"4", b"5"]


def test_several_data_lines_are_one_payload() -> None:
    assert decode(b"data: {\ndata:  1\ndata: }\n\n") == [b"{\n 1\n}"]
    assert decode(b"data: {\n", b"data: }\n\n") == [b"{\n}"]


@pytest.mark.parametrize(
    "empty", [b"data:\n\n", b"data: \n\n", b"data\n\n", b": ping\n\n", b"event: x\n\n", b"\n\n", b""]
)
def test_a_frame_without_data_has_no_payload(empty: bytes) -> None:
    assert decode(empty, b"data: 1\n\n") == [b"1"]


@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_a_byte_order_mark_at_the_beginning_is_passed_over(position: int) -> None:
    data = b"\xef\xbb\xbfdata: 1\n\n"
    assert decode(data[:position], data[position:]) == [b"1"]


def test_a_byte_order_mark_anywhere_else_is_part_of_its_line() -> None:
    assert decode(b"data: 1\n\n\xef\xbb\xbfdata: 2\n\ndata: \xef\xbb\xbf3\n\n") == [b"1", b"\xef\xbb\xbf3"]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n"])
def test_a_last_frame_without_a_blank_line_is_given_at_the_end(end: bytes) -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: 1\n\ndata: 2" + end) == [b"1"]
    assert decoder.close() == [b"2"]
    assert decoder.close() == []


def test_a_complete_stream_leaves_nothing_for_the_end() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"data: 1\n\n")
    assert decoder.close() == []


# Framing -------------------------------------------------------------------------------------------------------------


def test_a_frame_is_an_event_line_a_data_line_and_a_blank_line() -> None:
    before, after = sse_framing("response.ping")
    assert before + b"{}" + after == b"event: response.ping\ndata: {}\n\n"
    assert decode(before + b"{}" + after) == [b"{}"]


def test_a_comment_has_no_payload_and_done_is_one() -> None:
    assert decode(COMMENT) == []
    assert decode(DONE) == [b"[DONE]"]
