"""What hosts put elsewhere than OpenAI: usage, reasoning, calls in the older form, a message beside deltas."""

from __future__ import annotations

import json
from typing import Any

import pytest

from responses_shim.core.wire.chat import Chunk, Delta, usage_of
from responses_shim.core.wire.chunks import ChunkReader
from responses_shim.core.wire.responses import Usage
from tests.core.driver import Json, answer
from tests.scripted import DONE, call, chunk, frame, usage

STOP = chunk(finish_reason="stop")
COUNTS = usage(7, 3)


def read(*payloads: Json) -> list[Chunk]:
    """The chunks of these payloads, each in a body message of its own."""
    reader = ChunkReader()
    return [found for payload in payloads for found in reader.read(frame(payload))]


def of(delta: Json, **choice: Any) -> Json:
    """A chunk with this delta."""
    return {"choices": [{"index": 0, "delta": delta, **choice}]}


def delta_of(delta: Json) -> Delta:
    """What is read of a delta."""
    [found] = read(of(delta))
    assert found.choices
    assert found.choices[0].delta is not None
    return found.choices[0].delta


# Usage ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "chunk",
    [
        of({}, usage=COUNTS),
        of({}, usage=COUNTS) | {"usage": None},
        of({}, usage=COUNTS) | {"usage": {}},
        of({}) | {"x_groq": {"id": "r", "usage": COUNTS}},
        {"choices": [], "x_groq": {"usage": COUNTS}},
        {"x_groq": {"usage": COUNTS}},
    ],
    ids=str,
)
def test_usage_is_found_on_the_choice_and_in_a_key_of_groqs(chunk: Json) -> None:
    [found] = read(chunk)
    assert found.usage == COUNTS


def test_usage_in_its_usual_place_comes_first() -> None:
    [found] = read(of({}, usage=usage(1, 1)) | {"usage": COUNTS, "x_groq": {"usage": usage(2, 2)}})
    assert found.usage == COUNTS


@pytest.mark.parametrize("odd", [7, "x", [], {"usage": 7}, {"usage": []}])
def test_other_things_in_these_places_are_passed_over(odd: Any) -> None:
    chunk = {"choices": [{"delta": {"content": "a"}, "usage": odd}], "x_groq": odd}
    [found] = read(chunk)
    assert found.choices
    assert found.choices[0].delta == Delta(content="a")
    assert found.usage is None or usage_of(found.usage) is None


def counted(**counts: Any) -> Usage:
    """The usage that these counts make, beside ten tokens in and five out."""
    found = usage_of({"prompt_tokens": 10, "completion_tokens": 5, **counts})
    assert found is not None
    return found


@pytest.mark.parametrize(
    "counts",
    [
        {"prompt_tokens_details": {"cached_tokens": 4}},
        {"input_tokens_details": {"cached_tokens": 4}},
        {"cached_tokens": 4},
        {"prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6},
        {"cache_read_input_tokens": 4},
        {"cached_input_tokens": 4},
        {"prompt_tokens_details": {"cached_tokens": 0}, "prompt_cache_hit_tokens": 4},
        {"prompt_tokens_details": {"cached_tokens": 4}, "cached_tokens": 3},
        {"prompt_tokens_details": None, "cached_tokens": 4.0},
    ],
    ids=str,
)
def test_cached_tokens_are_known_by_all_their_names(counts: Json) -> None:
    assert counted(**counts).input_tokens_details.cached_tokens == 4


@pytest.mark.parametrize(
    "counts",
    [
        {"prompt_tokens_details": {"created_cache_tokens": 4}},
        {"prompt_tokens_details": {"cache_write_tokens": 4}},
        {"prompt_tokens_details": {"cache_creation_tokens": 4}},
        {"cache_write_tokens": 4},
        {"cache_creation_input_tokens": 4},
        {"created_cache_tokens": 4},
    ],
    ids=str,
)
def test_tokens_written_to_the_cache_are_known_by_all_their_names(counts: Json) -> None:
    assert counted(**counts).input_tokens_details.cache_write_tokens == 4


@pytest.mark.parametrize(
    "counts",
    [
        {"completion_tokens_details": {"reasoning_tokens": 4}},
        {"output_tokens_details": {"reasoning_tokens": 4}},
        {"reasoning_tokens": 4},
    ],
    ids=str,
)
def test_reasoning_tokens_are_known_by_all_their_names(counts: Json) -> None:
    assert counted(**counts).output_tokens_details.reasoning_tokens == 4


def test_usage_in_the_words_of_this_api_is_read() -> None:
    found = usage_of({"input_tokens": 10, "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 1}})
    assert found is not None
    assert (found.input_tokens, found.output_tokens, found.total_tokens) == (10, 5, 15)
    assert found.output_tokens_details.reasoning_tokens == 1


@pytest.mark.parametrize(("count", "read"), [(3, 3), (3.0, 3), (0.0, 0), (2**53 - 1, 2**53 - 1)])
def test_a_count_may_be_a_float(count: float, read: int) -> None:
    found = usage_of({"prompt_tokens": count, "completion_tokens": 5})
    assert found is not None
    assert found.input_tokens == read
    assert type(found.input_tokens) is int


@pytest.mark.parametrize("count", [3.5, float("nan"), float("inf"), -1, -1.0, "3", True, 1e300, 10**30, [3], None])
def test_a_count_that_is_none_is_unknown(count: Any) -> None:
    assert usage_of({"prompt_tokens": count, "completion_tokens": 5}) is None
    assert counted(reasoning_tokens=count).output_tokens_details.reasoning_tokens == 0


def test_not_a_number_in_a_stream_leaves_the_usage_unknown() -> None:
    counts = json.dumps(
        of({}, finish_reason="stop") | {"usage": {"prompt_tokens": float("nan"), "completion_tokens": 1}}
    )
    played = answer(chunk("a"), b"data: " + counts.encode() + b"\n\n", DONE)
    assert played.response["status"] == "completed"
    assert played.response["usage"] is None


# Reasoning -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning": {"content": "Hm."}},
        {"reasoning": {"text": "Hm.", "signature": "x"}},
        {"reasoning": [{"type": "text", "text": "H"}, {"type": "text", "text": "m."}]},
        {"reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "signature": None}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "Hm."}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}, {"text": "Hm."}]},
        {"thinking": "Hm."},
        {"reasoning_text": "Hm."},
        {"content": [{"type": "thinking", "thinking": "Hm."}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]},
        {"content": [{"type": "reasoning", "text": "Hm."}]},
        {"reasoning": "Hm.", "reasoning_details": [{"text": "Hm."}], "thinking": "Hm."},
        {"reasoning": "", "reasoning_details": [{"text": "Hm."}]},
    ],
    ids=str,
)
def test_reasoning_is_found_in_all_its_places(fields: Json) -> None:
    delta = delta_of(fields)
    assert (delta.reasoning, delta.content or None) == ("Hm.", None)


def test_reasoning_in_the_place_of_deepseek_stays_there() -> None:
    delta = delta_of({"reasoning_content": "Hm.", "reasoning_details": [{"text": "Hm."}]})
    assert (delta.reasoning, delta.reasoning_content) == (None, "Hm.")


def test_thoughts_among_the_parts_of_the_content_do_not_become_text() -> None:
    parts = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    delta = delta_of({"content": parts})
    assert (delta.reasoning, delta.content) == ("Hm.", "Hello")


@pytest.mark.parametrize("odd", [7, True, {}, [], [7], {"content": 7}, {"x": "y"}, [[[[["deep"]]]]]])
@pytest.mark.parametrize("name", ["reasoning", "reasoning_details", "thinking"])
def test_reasoning_of_another_shape_is_passed_over(name: str, odd: Any) -> None:
    delta = delta_of({"content": "a", name: odd})
    assert (delta.content, delta.reasoning or None) == ("a", None)


def test_a_pair_of_surrogates_may_be_cut_in_any_of_these_places() -> None:
    reader, found = ChunkReader(), []
    for delta in ({"thinking": "a\ud83d"}, {"reasoning_details": [{"text": "\ude00"}]}):
        found += reader.read(b"data: " + json.dumps(of(delta)).encode() + b"\n\n")
    assert [choice.delta and choice.delta.reasoning for chunk in found for choice in chunk.choices or ()] == ["a", "😀"]


# Calls in chat's older form ------------------------------------------------------------------------------------------


def older(name: str | None = None, arguments: Any = None, **choice: Any) -> bytes:
    """A chunk with a `function_call`."""
    fields = {"name": name, "arguments": arguments}
    function_call = {key: value for key, value in fields.items() if value is not None}
    return frame(of({"role": "assistant", "content": None, "function_call": function_call}, **choice))


FINISH = frame(of({}, finish_reason="function_call"))


def calls(*messages: bytes) -> list[tuple[str, str]]:
    """Name and arguments of each call of the answer, which must be complete."""
    played = answer(*messages)
    assert played.response["status"] == "completed"
    found = [item for item in played.output if item["type"] == "function_call"]
    assert all(item["call_id"].startswith("call_") for item in found)
    return [(item["name"], item["arguments"]) for item in found]


def test_a_call_in_the_older_form_is_a_call() -> None:
    assert calls(older("f", '{"a"'), older(arguments=":1}"), FINISH, DONE) == [("f", '{"a":1}')]


def test_a_name_that_comes_again_with_each_piece_is_the_same_call() -> None:
    assert calls(older("f", '{"a"'), older("f", ":1}"), FINISH, DONE) == [("f", '{"a":1}')]


def test_arguments_in_the_older_form_may_be_an_object() -> None:
    assert calls(older("f", {"a": 1}, finish_reason="function_call"), DONE) == [("f", '{"a": 1}')]


@pytest.mark.parametrize("nothing", [None, {}, {"name": None}, {"name": "", "arguments": ""}, "auto", 7])
def test_an_empty_function_call_is_none(nothing: Any) -> None:
    assert calls(frame(of({"content": "a", "function_call": nothing})), STOP, DONE) == []


def test_a_call_in_both_forms_is_one_call() -> None:
    """llama-cpp-python sends both for a named tool."""

    def both(arguments: str) -> bytes:
        function = {"name": "f", "arguments": arguments}
        return frame(of({"function_call": function, "tool_calls": [call(0, "a", "f", arguments)]}))

    played = answer(both('{"a"'), both(":1}"), chunk(finish_reason="tool_calls"), DONE)
    assert [(item["call_id"], item["arguments"]) for item in played.output] == [("a", '{"a":1}')]


def test_a_call_in_the_older_form_beside_an_empty_list_of_calls_is_a_call() -> None:
    beside = frame(of({"tool_calls": [], "function_call": {"name": "f", "arguments": "{}"}}))
    assert calls(beside, FINISH, DONE) == [("f", "{}")]


def test_the_older_form_in_a_json_answer_is_a_call() -> None:
    body = {"choices": [{"message": {"content": None, "function_call": {"name": "f", "arguments": "{}"}}}]}
    [found, _] = ChunkReader().read_json(json.dumps(body).encode())
    assert found.choices
    delta = found.choices[0].delta
    assert delta is not None
    assert delta.tool_calls is not None
    assert [(item.index, item.id, item.function and item.function.name) for item in delta.tool_calls] == [
        (0, None, "f")
    ]


# A message beside deltas ---------------------------------------------------------------------------------------------


def last(message: Json, **choice: Any) -> bytes:
    """The last chunk of an answer, which has the message of the answer too."""
    return frame({"choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}]})


MESSAGE = {
    "role": "assistant",
    "content": "Hello",
    "reasoning_content": "Hm.",
    "tool_calls": [call(0, "a", "f", "{}")],
}


@pytest.mark.parametrize("delta", [{}, {"delta": {}}, {"delta": {"content": ""}}, {"delta": None}], ids=str)
@pytest.mark.parametrize("lenient", [{}, {"index": None}])
def test_a_message_at_the_end_repeats_nothing_that_deltas_gave(delta: Json, lenient: Json) -> None:
    deltas = [chunk(reasoning="Hm."), chunk("Hel"), chunk("lo"), chunk(tool_calls=[call(0, "a", "f", "{}")])]
    assert answer(*deltas, last(MESSAGE, **delta, **lenient), DONE).frames == answer(*deltas, STOP, DONE).frames


@pytest.mark.parametrize("delta", [{"delta": {}}, {"delta": {"content": ""}}])
def test_what_no_delta_gave_is_taken_from_the_message(delta: Json) -> None:
    played = answer(chunk(role="assistant"), last(MESSAGE, **delta), DONE)
    assert [item["type"] for item in played.output] == ["reasoning", "message", "function_call"]
    calls_only_at_the_end = answer(chunk(reasoning="Hm."), chunk("Hello"), last(MESSAGE, **delta), DONE)
    assert [item["type"] for item in calls_only_at_the_end.output] == ["reasoning", "message", "function_call"]
    assert calls_only_at_the_end.output[1]["content"][0]["text"] == "Hello"


def test_a_message_beside_the_only_delta_repeats_nothing() -> None:
    played = answer(last({"content": "Hello"}, delta={"content": "Hello"}), DONE)
    assert [part["text"] for item in played.output for part in item["content"]] == ["Hello"]


def test_reasoning_in_a_message_beside_the_only_delta_is_not_repeated_under_its_other_name() -> None:
    message = {"content": "Hello", "reasoning_content": "Hm."}
    played = answer(last(message, delta={"reasoning": "Hm."}), DONE)
    assert [part["text"] for item in played.output for part in item["content"]] == ["Hm.", "Hello"]


# Errors that are none, and frames that are no chunks -----------------------------------------------------------------

NO_ERRORS: list[Any] = [{}, "", None, [], False, "null", {"message": "", "code": None}, {"code": 0, "details": {}}]


@pytest.mark.parametrize("error", NO_ERRORS, ids=str)
def test_an_empty_error_beside_an_answer_is_none(error: Any) -> None:
    frames = [
        frame(of({"content": "Hello"}) | {"error": error}),
        frame({"choices": [], "usage": COUNTS, "error": error}),
    ]
    played = answer(frames[0], frame(of({}, finish_reason="stop") | {"error": error}), frames[1], DONE)
    assert played.response["status"] == "completed"
    assert played.response["usage"]["input_tokens"] == 7


@pytest.mark.parametrize("error", ["gone", {"message": "gone"}, {"code": 500}])
def test_an_error_beside_an_answer_that_says_something_counts(error: Any) -> None:
    assert answer(frame(of({"content": "Hello"}) | {"error": error}), STOP).response["status"] == "failed"


@pytest.mark.parametrize("error", [{}, {"message": ""}])
def test_an_empty_error_alone_is_one(error: Any) -> None:
    assert answer(chunk("a"), frame({"error": error}), STOP).response["status"] == "failed"


def test_an_empty_error_beside_a_message_leaves_the_message() -> None:
    played = answer(frame({"error": "", "message": "gone"}))
    assert played.response["error"]["message"] == "gone"


@pytest.mark.parametrize("character", ["\n", "\t", "\r", "\x00", "\x1f"])
def test_control_characters_in_a_string_of_json_are_read(character: str) -> None:
    body = b'{"choices": [{"message": {"content": "a%bb"}}]}' % character.encode()
    [found, _] = ChunkReader().read_json(body)
    assert found.choices
    assert found.choices[0].delta == Delta(content=f"a{character}b")


@pytest.mark.parametrize("text", ["a\nb", "a\n\nb", "\n", "a\n: b\n", "a\nevent: b\n"])
def test_raw_line_ends_in_a_string_are_read(text: str) -> None:
    raw = b'data: {"choices": [{"delta": {"content": "%b"}}]}\n\n' % text.encode()
    messages = [chunk("<"), raw, chunk(">"), STOP, DONE]
    for sent in (messages, [b"".join(messages)]):
        assert answer(*sent).output[0]["content"][0]["text"] == f"<{text}>"


def test_frames_that_come_in_one_message_are_not_taken_for_broken_lines() -> None:
    frames = [chunk("a") + b": {}\n\n", chunk("b") + b"x: {}\n\n", chunk("c") + chunk("d"), STOP, DONE]
    assert answer(*frames).output[0]["content"][0]["text"] == "abcd"


@pytest.mark.parametrize("broken", [b"data: oops\n\n", b"data: {\n\n", b"data: []\n\n"])
def test_a_frame_that_is_no_json_does_not_fail_an_answer_that_has_finished(broken: bytes) -> None:
    played = answer(chunk("Hello"), STOP, broken, chunk(usage=COUNTS), DONE)
    assert played.response["status"] == "completed"
    assert played.response["usage"]["input_tokens"] == 7
    assert answer(chunk("Hello"), broken, STOP, DONE).response["status"] == "failed"


@pytest.mark.parametrize("finished", [[], [STOP]])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"engine is gone", "engine is gone"),
        (b'"engine is gone"', "engine is gone"),
        (b'{"error": {"message": "engine is gone"}}', "engine is gone"),
        (b'{"detail": "engine is gone"}', "engine is gone"),
        (b'{"reason": "x"}', '{"reason": "x"}'),
        (b"{broken", "{broken"),
    ],
)
def test_an_error_event_is_an_error_whatever_its_data(data: bytes, message: str, finished: list[bytes]) -> None:
    response = answer(chunk("a"), *finished, b"event: error\ndata: " + data + b"\n\n").response
    assert (response["status"], response["error"]["message"]) == ("failed", message)


def test_an_event_of_another_name_is_read_as_any_frame() -> None:
    assert answer(b"event: message\n" + chunk("a"), b"event: x\n" + STOP, DONE).response["status"] == "completed"


@pytest.mark.parametrize("done", [b"[DONE] ", b" [DONE]", b"\t[DONE]\t", b"[ DONE ]", b'"[DONE]"', b"[DONE]\ndata: "])
def test_done_may_have_white_space_around_or_in_it(done: bytes) -> None:
    played = answer(chunk("a"), STOP, b"data: " + done + b"\n\n", chunk("b"))
    assert played.response["status"] == "completed"
    assert played.output[0]["content"][0]["text"] == "a"
