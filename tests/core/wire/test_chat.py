"""Chat chunks as hosts really send them: which fields are read, which are repaired, and what is an error."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.response.encoder import EventEncoder
from responses_shim.core.response.options import ResponseOptions
from responses_shim.core.response.think_tags import ThinkTagFilter
from responses_shim.core.wire.chat import MIN_LOGPROB, Chunk, Delta, annotations_of, logprobs_of, usage_of
from responses_shim.core.wire.chunks import ChunkDecoder
from responses_shim.core.wire.lenient_json import join_surrogates
from responses_shim.core.wire.responses import NO_LOGPROBS, InputTokensDetails, OutputTokensDetails, Usage
from responses_shim.core.wire.sse import sse_framing
from responses_shim.errors import UpstreamError
from tests.core.driver import Json, new_stream, read_frame


def decode(*payloads: Any) -> list[Chunk]:
    """The chunks of these payloads; one that is not bytes is written as JSON, NaN and half surrogates included."""
    decoder = ChunkDecoder()
    return [
        decoder.decode(payload if isinstance(payload, bytes) else json.dumps(payload).encode()) for payload in payloads
    ]


def of(delta: Json, **choice: Any) -> Json:
    """A chunk with this delta."""
    return {"choices": [{"index": 0, "delta": delta, **choice}]}


def deltas(*payloads: Any) -> list[Delta]:
    """The delta of each payload."""
    found = []
    for chunk in decode(*payloads):
        assert chunk.choices
        assert chunk.choices[0].delta is not None
        found.append(chunk.choices[0].delta)
    return found


# Fields that are passed over, and fields of other types --------------------------------------------------------------


def test_unknown_keys_are_passed_over() -> None:
    (delta,) = deltas(of({"role": "assistant", "content": "Hello", "audio": {"x": [1]}}, stop_reason=None))
    assert delta == Delta(content="Hello")


@pytest.mark.parametrize("index", [0, None])
def test_a_choice_with_a_null_index_is_the_first(index: Any) -> None:
    (chunk,) = decode({"choices": [{"index": index, "delta": {"content": "Hello"}}]})
    assert chunk.choices is not None
    assert chunk.choices[0].index == 0


def test_content_as_a_list_of_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "image_url"}, {"text": 7}, "x", {"type": "text", "text": "lo"}]
    assert deltas(of({"content": parts}))[0].content == "Hello"


@pytest.mark.parametrize("content", [7, True, {"text": "Hello"}])
def test_content_of_another_type_is_passed_over(content: Any) -> None:
    assert deltas(of({"content": content}))[0].content is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"city": "Zürich"}, '{"city": "Zürich"}'), ([1], "[1]"), ({}, "{}"), ("{}", "{}"), (7, None), (None, None)],
)
def test_arguments_as_an_object_become_json(arguments: Any, text: str | None) -> None:
    (delta,) = deltas(of({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": arguments}}]}))
    assert delta.tool_calls is not None
    assert delta.tool_calls[0].function is not None
    assert delta.tool_calls[0].function.arguments == text


@pytest.mark.parametrize(("index", "read"), [(1, 1), ("1", 1), ("one", None), (None, None), (1.5, None)])
def test_the_index_of_a_call_may_be_a_number_in_a_string(index: Any, read: int | None) -> None:
    (delta,) = deltas(of({"tool_calls": [{"index": index, "id": 7, "function": None}, "x"]}))
    assert delta.tool_calls is not None
    assert [(call.index, call.id) for call in delta.tool_calls] == [(read, None)]


@pytest.mark.parametrize("calls", ["x", {"index": 0}, 7])
def test_tool_calls_that_are_no_list_are_passed_over(calls: Any) -> None:
    assert deltas(of({"content": "Hello", "tool_calls": calls}))[0] == Delta(content="Hello")


def test_a_finish_reason_of_another_type_is_passed_over() -> None:
    (chunk,) = decode(of({}, finish_reason=7))
    assert chunk.choices is not None
    assert chunk.choices[0].finish_reason is None


def test_a_choice_without_a_delta_is_read() -> None:
    (strict, lenient, other) = decode(
        {"choices": [{"index": 0}]}, {"choices": [{"index": None, "delta": "x"}]}, {"choices": [7], "usage": 7}
    )
    assert strict.choices is not None
    assert strict.choices[0].delta is None
    assert lenient.choices is not None
    assert lenient.choices[0].delta == Delta()
    assert other == Chunk(choices=[])


def test_the_message_of_a_json_answer_is_repaired_like_a_delta() -> None:
    (chunk,) = decode({"choices": [{"index": None, "message": {"content": "Hello"}}]})
    assert chunk.choices is not None
    assert chunk.choices[0].delta == Delta(content="Hello")


def test_a_chunk_without_choices_is_empty() -> None:
    assert decode({}, {"choices": None}, {"object": "ping"}) == [Chunk()] * 3


def test_the_token_ids_of_the_prompt_may_come_in_a_chunk_of_their_own() -> None:
    expected = [Chunk(prompt_token_ids=[1, 2]), Chunk(prompt_token_ids=[1, 2]), Chunk()]
    assert decode(*({"object": "ping", "prompt_token_ids": ids} for ids in ([1, 2], [1, 2], [1, "x"]))) == expected


# Annotations ---------------------------------------------------------------------------------------------------------

CITATION = {"start_index": 1, "end_index": 2, "title": "t", "url": "u"}


@pytest.mark.parametrize(
    ("chat_annotation", "annotation"),
    [
        ({"type": "url_citation", "url_citation": CITATION}, {"type": "url_citation", **CITATION}),
        ({"type": "url_citation", **CITATION}, {"type": "url_citation", **CITATION}),
        (
            {"type": "url_citation", "url_citation": {"url": "u", "title": None, "start_index": None}},
            {"type": "url_citation", "start_index": 0, "end_index": 0, "title": "", "url": "u"},
        ),
        (
            {"type": "url_citation", "url_citation": {"url": 5, "title": [], "start_index": True, "end_index": 2.5}},
            {"type": "url_citation", "start_index": 0, "end_index": 0, "title": "", "url": ""},
        ),
        (
            {"type": "url_citation", "url_citation": "u"},
            {"type": "url_citation", "url_citation": "u", "start_index": 0, "end_index": 0, "title": "", "url": ""},
        ),
        (
            {"type": "file_path", "file_path": {"file_id": "f", "index": 1}},
            {"type": "file_path", "file_id": "f", "index": 1},
        ),
        (
            {"type": "file_path", "file_id": "f", "index": 1, "by": None},
            {"type": "file_path", "file_id": "f", "index": 1, "by": None},
        ),
    ],
)
def test_an_annotation_becomes_flat_and_a_url_citation_has_all_its_keys(
    chat_annotation: Json, annotation: Json
) -> None:
    assert annotations_of(Delta(annotations=[chat_annotation])) == [annotation]


@pytest.mark.parametrize(
    "chat_annotation",
    [
        *({"url": "u"}, {"type": 7, "7": {}}, {"type": None}),
        *({"type": "video", "at": 7}, {"type": "rl_citation", "url_citation": CITATION}),
        *({"type": "file_path", "file_id": "f"}, {"type": "file_path", "file_path": {"file_id": 1, "index": 1}}),
    ],
)
def test_an_annotation_without_a_type_or_a_required_key_is_left_out(chat_annotation: Json) -> None:
    assert annotations_of(Delta(annotations=[chat_annotation])) == []


def test_a_list_of_annotations_with_another_type_in_it_is_passed_over() -> None:
    assert deltas(of({"content": "Hello", "annotations": ["x", {"type": "video"}]})) == [Delta(content="Hello")]


# Payloads that are no chunks -----------------------------------------------------------------------------------------


def test_usage_may_come_in_a_chunk_of_its_own() -> None:
    counts = {"prompt_tokens": 1}
    assert decode({"usage": counts}, {"choices": [], "usage": counts}) == [Chunk(None, counts), Chunk([], counts)]


@pytest.mark.parametrize("payload", [b"", b"hello", b'{"choices": [', b"{'a': 1}", b"\xff"])
def test_a_payload_that_is_not_json_is_an_error(payload: bytes) -> None:
    with pytest.raises(UpstreamError, match="not JSON"):
        decode(payload)


@pytest.mark.parametrize("payload", [b"[]", b"7", b'"busy"', b"null", b"NaN"])
def test_json_that_is_no_object_is_an_error(payload: bytes) -> None:
    with pytest.raises(UpstreamError, match="not a JSON object"):
        decode(payload)


def test_a_payload_that_is_nested_too_deep_is_an_error() -> None:
    with pytest.raises(UpstreamError, match="not JSON"):
        decode(b'{"choices": ' + b"[" * 100_000)


def test_bytes_that_are_not_utf8_become_replacement_characters() -> None:
    (delta,) = deltas(b'{"choices": [{"delta": {"content": "caf\xe9"}}]}')
    assert delta.content == "caf�"


# Surrogate pairs that come in two chunks -----------------------------------------------------------------------------


def test_the_halves_of_a_surrogate_pair_are_joined_across_chunks() -> None:
    assert [delta.content for delta in deltas(of({"content": "a\ud83d"}), of({"content": "\ude00b"}))] == ["a", "😀b"]


def test_a_half_is_held_back_while_other_fields_come() -> None:
    first, second, third = deltas(
        of({"reasoning": "a\ud83d"}),
        of({"content": "b", "tool_calls": [{"index": 0, "function": {"arguments": "c\ud83d"}}]}),
        of({"reasoning": "\ude00", "content": "", "tool_calls": [{"index": 0, "function": {"arguments": "\ude01"}}]}),
    )
    assert (first.reasoning, second.content, third.reasoning) == ("a", "b", "😀")
    assert second.tool_calls is not None
    assert third.tool_calls is not None
    pieces = [call.function.arguments for call in [*second.tool_calls, *third.tool_calls] if call.function]
    assert pieces == ["c", "😁"]


def test_the_halves_in_the_arguments_of_two_calls_are_kept_apart() -> None:
    def arguments(*pieces: str) -> Json:
        return of({"tool_calls": [{"index": i, "function": {"arguments": piece}} for i, piece in enumerate(pieces)]})

    _, delta = deltas(arguments("\ud83d", "\ud83c"), arguments("\ude00", "\udf0d"))
    assert delta.tool_calls is not None
    assert [call.function.arguments for call in delta.tool_calls if call.function] == ["😀", "🌍"]


def test_a_half_is_not_joined_with_the_text_of_another_choice() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "x"}}]}
    decoder = ChunkDecoder()
    for payload in (of({"content": "\ud83d"}), other):
        decoder.decode(json.dumps(payload).encode())
    chunk = decoder.decode(json.dumps(of({"content": "\ude00"})).encode())
    assert chunk.choices is not None
    assert chunk.choices[0].delta == Delta(content="😀")


@pytest.mark.parametrize("unfinished", [None, ""])
def test_an_empty_finish_reason_does_not_end_the_wait_for_the_other_half(unfinished: str | None) -> None:
    first, second = deltas(of({"content": "\ud83d"}, finish_reason=unfinished), of({"content": "\ude00"}))
    assert (first.content, second.content) == ("", "😀")


@pytest.mark.parametrize("last", [{}, {"content": None}, {"content": ""}])
def test_a_half_whose_partner_never_comes_is_replaced_in_the_last_chunk(last: Json) -> None:
    first, second = deltas(of({"content": "a\ud83d"}), of(last, finish_reason="stop"))
    assert (first.content, second.content) == ("a", "�")


def test_a_half_in_the_last_chunk_is_replaced() -> None:
    assert deltas(of({"content": "a\ud83d"}, finish_reason="stop"))[0].content == "a�"


def test_after_a_pair_is_joined_nothing_is_held_back() -> None:
    decoder = ChunkDecoder()
    for content in ("\ud83d", "\ude00", "plain"):
        chunk = decoder.decode(json.dumps(of({"content": content})).encode())
    assert chunk.choices is not None
    assert chunk.choices[0].delta == Delta(content="plain")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("plain", "plain"),
        ("\ud83d\ude00", "😀"),
        ("a\ud83d", "a�"),
        ("\ude00a", "�a"),
        ("\ufeffa", "\ufeffa"),
        ("", ""),
    ],
)
def test_joined_surrogates_can_be_written_as_utf8(text: str, read: str) -> None:
    assert join_surrogates(text).encode() == read.encode()


@given(st.text(st.characters(), max_size=8))
def test_text_without_surrogates_is_left_as_it_is(text: str) -> None:
    if not any("\ud800" <= mark <= "\udfff" for mark in text):
        assert join_surrogates(text) == text
    join_surrogates(text).encode()


# Log-probabilities ---------------------------------------------------------------------------------------------------


def logprobs(*entries: Any) -> list[Any]:
    """What becomes of the log-probabilities of a chunk."""
    (chunk,) = decode(of({"content": "x"}, logprobs={"content": list(entries)}))
    assert chunk.choices is not None
    entries_sent: list[Any] = msgspec.json.decode(logprobs_of(chunk.choices[0]))
    return entries_sent


def test_a_log_probability_gets_the_bytes_of_its_token_if_the_host_gives_none() -> None:
    top = {"token": "é", "logprob": -0.25, "bytes": None}
    (entry,) = logprobs(
        {"token": "Hi", "logprob": -0.5, "bytes": [1], "top_logprobs": [top, {"token": "", "logprob": -1}]}
    )
    assert entry == {
        "token": "Hi",
        "logprob": -0.5,
        "bytes": [1],
        "top_logprobs": [
            {"token": "é", "logprob": -0.25, "bytes": [0xC3, 0xA9]},
            {"token": "", "logprob": -1, "bytes": []},
        ],
    }


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (-0.5, -0.5),
        (0, 0),
        (0.0001, 0),
        (float("inf"), 0),
        (-1e9, MIN_LOGPROB),
        (-float("inf"), MIN_LOGPROB),
        (float("nan"), MIN_LOGPROB),
    ],
)
def test_a_log_probability_is_always_a_number_that_json_has(theirs: float, ours: float) -> None:
    (entry,) = logprobs({"token": "a", "logprob": theirs, "top_logprobs": None})
    assert entry == {"token": "a", "logprob": ours, "bytes": [97], "top_logprobs": []}


def test_a_token_that_is_half_a_surrogate_pair_is_replaced() -> None:
    half = {"token": "\ud83d", "logprob": -0.5}
    (entry,) = logprobs({**half, "top_logprobs": [half]})
    assert entry["token"] == entry["top_logprobs"][0]["token"] == "�"
    assert bytes(entry["bytes"]).decode() == "�"


@pytest.mark.parametrize(
    "odd",
    [
        7,
        {"content": 7},
        {"content": [{"token": 7}]},
        {"content": [{"token": "x", "logprob": -(10**400)}]},
        {"content": [None]},
        [],
    ],
)
def test_log_probabilities_of_another_type_are_passed_over(odd: Any) -> None:
    (chunk,) = decode(of({"content": "x"}, logprobs=odd))
    assert chunk.choices is not None
    assert chunk.choices[0].delta == Delta(content="x")
    assert logprobs_of(chunk.choices[0]) is NO_LOGPROBS


@pytest.mark.parametrize("none", [None, {}, {"content": None}, {"content": []}])
def test_without_log_probabilities_the_list_is_empty(none: Any) -> None:
    (chunk,) = decode(of({"content": "x"}, logprobs=none))
    assert chunk.choices is not None
    assert logprobs_of(chunk.choices[0]) is NO_LOGPROBS


# Usage ---------------------------------------------------------------------------------------------------------------


def test_usage_keeps_its_details() -> None:
    counts = {
        "prompt_tokens": 20,
        "completion_tokens": 9,
        "total_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 16, "created_cache_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    assert usage_of(counts) == Usage(
        input_tokens=20,
        input_tokens_details=InputTokensDetails(16, 4),
        output_tokens=9,
        output_tokens_details=OutputTokensDetails(5),
        total_tokens=30,
    )


@pytest.mark.parametrize(
    "details", [None, {}, 7, {"cached_tokens": None, "reasoning_tokens": None}, {"cached_tokens": -1}]
)
def test_details_that_the_host_leaves_out_are_zero(details: Any) -> None:
    counts = {
        "prompt_tokens": 20,
        "completion_tokens": 9,
        "prompt_tokens_details": details,
        "completion_tokens_details": details,
    }
    usage = usage_of(counts)
    assert usage is not None
    assert usage.input_tokens_details == InputTokensDetails(0, 0)
    assert usage.output_tokens_details == OutputTokensDetails(0)
    assert usage.total_tokens == 29


@pytest.mark.parametrize(
    "counts",
    [
        None,
        {},
        {"total_tokens": 29},
        {"prompt_tokens": 20},
        {"prompt_tokens": 20, "completion_tokens": None},
        {"prompt_tokens": "20", "completion_tokens": 9},
        {"prompt_tokens": 20, "completion_tokens": -1},
        {"prompt_tokens": 20.5, "completion_tokens": 9},
    ],
)
def test_usage_without_both_counts_is_unknown_not_zero(counts: Any) -> None:
    assert usage_of(counts) is None


# Any JSON ------------------------------------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(), max_size=4),
    st.sampled_from([0, "stop"]),
)
KEYS = st.sampled_from(
    [
        *["content", "reasoning", "refusal", "tool_calls", "function", "name", "arguments", "index", "id"],
        *["finish_reason", "logprobs", "token", "logprob", "bytes", "top_logprobs", "message", "delta"],
        *["error", "detail", "code", "param"],
    ]
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)


def an_object(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects with some of these keys; now and then another value."""
    return st.fixed_dictionaries({}, optional=keys) | VALUES


LOGPROB = an_object(token=SCALARS, logprob=SCALARS, bytes=VALUES, top_logprobs=st.lists(VALUES, max_size=2) | VALUES)
CALL = an_object(index=SCALARS, id=SCALARS, function=an_object(name=SCALARS, arguments=VALUES))
DELTA = an_object(
    content=VALUES,
    reasoning=VALUES,
    reasoning_content=VALUES,
    refusal=VALUES,
    thinking=VALUES,
    reasoning_details=VALUES,
    function_call=an_object(name=SCALARS, arguments=VALUES),
    tool_calls=st.lists(CALL, max_size=2),
    annotations=st.lists(an_object(type=SCALARS, url_citation=VALUES), max_size=2) | VALUES,
    prompt_token_ids=VALUES,
    generation_token_ids=VALUES,
    generation_log_probs=VALUES,
    routed_experts=VALUES,
)
CHOICE = an_object(
    index=SCALARS,
    delta=DELTA,
    message=DELTA,
    usage=VALUES,
    finish_reason=SCALARS,
    logprobs=an_object(content=st.lists(LOGPROB, max_size=2)),
    token_ids=VALUES,
)
CHUNKS = an_object(
    choices=st.lists(CHOICE, max_size=2) | VALUES, usage=VALUES, error=VALUES, message=VALUES, prompt_token_ids=VALUES
)


@given(st.lists(CHUNKS, max_size=4))
def test_any_json_from_a_host_makes_events_that_can_be_encoded(chunks: list[Any]) -> None:
    options = ResponseOptions(logprobs=True, token_ids=True, obfuscate=lambda size: "x" * size)
    stream, decoder, tag_filter = new_stream(options=options), ChunkDecoder(), ThinkTagFilter("anywhere")
    events = stream.start()
    for chunk in chunks:
        try:
            read = decoder.decode(json.dumps(chunk).encode())
        except UpstreamError as error:
            stream.fail(error)
            break
        stream.collect_tokens(read)
        for filtered in tag_filter.feed(read):
            events += stream.feed(filtered)
    for held_back in tag_filter.close():
        events += stream.feed(held_back)
    events += stream.end_round()[1]
    events += stream.close()
    for _, frame in EventEncoder(sse_framing).encode(events):
        read_frame(frame)
