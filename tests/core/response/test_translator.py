"""The translator: bytes of a host in, frames of ours out; how a round ends, and what may follow its end."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from msgspec import to_builtins

from responses_shim.core.response.encoder import Frame
from responses_shim.core.response.filters import Filter
from responses_shim.core.response.options import ResponseOptions
from responses_shim.core.response.think_tags import ThinkTagFilter
from responses_shim.core.response.translator import RoundState, Translator
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from responses_shim.errors import UpstreamError
from tests.core.driver import Json, new_stream, new_translator, play, read_frame
from tests.oracle import check_response, check_stream
from tests.scripted import DONE, call, chunk, frame, usage

STOP = chunk(finish_reason="stop")


def payloads(frames: Iterable[Frame]) -> list[Json]:
    return [read_frame(data) for _, data in frames]


def types(frames: Iterable[Frame]) -> list[str]:
    return [payload["type"].removeprefix("response.") for payload in payloads(frames)]


@pytest.mark.parametrize(
    "nothing",
    [
        chunk("", role="assistant"),
        chunk(role="assistant"),
        frame({"choices": []}),
        frame({}),
        chunk(usage=usage(7, 0)),
        frame({"choices": [{"index": 1, "delta": {"content": "another choice"}}]}),
        frame({"choices": [{"delta": {"content": "", "reasoning": "", "tool_calls": [], "refusal": None}}]}),
    ],
    ids=str,
)
def test_the_first_chunk_with_any_of_the_answer_starts_the_response(nothing: bytes) -> None:
    translator = new_translator()
    assert translator.feed(b": a comment\n\n") == []
    assert translator.feed(nothing) == []
    assert not translator.started
    frames = translator.feed(chunk("a"))
    assert types(frames)[:3] == ["created", "in_progress", "output_item.added"]
    assert translator.start() == []


def test_a_response_knows_that_it_has_started() -> None:
    translator = new_translator()
    translator.feed(chunk("a"))
    assert translator.started


@pytest.mark.parametrize(
    "first",
    [
        chunk(reasoning="a"),
        chunk(reasoning_content="a"),
        chunk(refusal="a"),
        chunk(tool_calls=[call(0, "a", "f")]),
        chunk("<"),
        frame({"choices": [{"delta": {"annotations": [{"type": "x"}]}}]}),
        frame({"choices": [{"message": {"content": "a"}}]}),
        frame({"choices": [{"delta": {"function_call": {"name": "f"}}}]}),
    ],
    ids=str,
)
def test_any_part_of_an_answer_starts_the_response(first: bytes) -> None:
    translator = new_translator(filters=lambda: [ThinkTagFilter("leading")])
    assert types(translator.feed(first))[:2] == ["created", "in_progress"]


def test_an_empty_answer_starts_when_the_stream_has_ended() -> None:
    translator = new_translator()
    assert translator.feed(chunk("", role="assistant") + chunk(finish_reason="stop") + DONE) == []
    assert types(translator.flush()) == ["created", "in_progress"]
    assert types(translator.flush()) == []


def test_a_response_may_be_started_before_the_first_chunk() -> None:
    translator = new_translator()
    assert types(translator.start()) == ["created", "in_progress"]
    assert types(translator.feed(chunk("a"))) == ["output_item.added", "content_part.added", "output_text.delta"]


@pytest.mark.parametrize(
    ("messages", "state"),
    [
        ([chunk("a")], RoundState.OPEN),
        ([chunk("a"), STOP], RoundState.OPEN),
        ([chunk("a"), STOP, DONE], RoundState.COMPLETE),
        ([chunk("a") + STOP + DONE], RoundState.COMPLETE),
        ([chunk("a"), DONE], RoundState.CUT),
        ([chunk("a"), frame({"error": "gone"})], RoundState.FAILED),
        ([chunk("a"), b"data: {\n\n"], RoundState.FAILED),
        ([DONE], RoundState.CUT),
    ],
)
def test_the_state_of_a_round_after_its_messages(messages: list[bytes], state: RoundState) -> None:
    translator = new_translator()
    for data in messages:
        translator.feed(data)
    assert translator.state is state


@pytest.mark.parametrize("end", [[STOP, DONE], [frame({"error": "gone"})]])
def test_what_comes_after_the_end_of_the_stream_is_ignored(end: list[bytes]) -> None:
    translator = new_translator()
    for data in [chunk("a"), *end]:
        translator.feed(data)
    assert translator.feed(chunk("b")) == []
    translator.end_round()
    assert payloads(translator.close())[-1]["response"]["output"][0]["content"][0]["text"] == "a"


def test_an_error_after_a_done_without_a_finish_reason_counts() -> None:
    """Hosts say why they broke off after a clean end (llama-cpp-python raises, others send an error)."""
    translator = new_translator()
    for data in (chunk("a"), DONE, frame({"error": {"message": "why"}})):
        translator.feed(data)
    translator.end_round()
    assert payloads(translator.close())[-1]["response"]["error"]["message"] == "why"


def test_a_last_frame_without_a_blank_line_is_read_at_the_end_of_the_bytes() -> None:
    translator = new_translator()
    assert translator.feed(b"event: message\n" + chunk("a")[:-2]) == []
    assert types(translator.end_stream())[-1] == "output_text.delta"
    assert translator.state is RoundState.CUT


def test_a_json_answer_is_a_complete_round() -> None:
    translator = new_translator()
    body = b'{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}'
    assert types(translator.feed_json(body))[-1] == "output_text.delta"
    assert translator.state is RoundState.COMPLETE


def test_without_framing_the_only_frame_is_the_response_which_is_the_same() -> None:
    messages = [chunk("Hel"), chunk("lo"), chunk(tool_calls=[call(0, "a", "f", "{}")]), STOP, DONE]
    translator = Translator(new_stream(), framing=None)
    assert [translator.feed(data) for data in messages] == [[]] * len(messages)
    assert translator.flush() == []
    result, frames = translator.end_round()
    assert [item.call_id for item in result.calls] == ["a"]
    assert frames == translator.ping() == []
    ((_, data),) = translator.close()
    assert json.loads(data) == play(messages).response


def test_too_long_a_prompt_that_makes_the_response_incomplete_is_no_failure() -> None:
    translator = new_translator(options=ResponseOptions(incomplete_on_overflow=True))
    translator.fail(UpstreamError("too long", code="context_length_exceeded"))
    assert translator.state is RoundState.OPEN
    translator.flush()
    translator.end_round()
    assert types(translator.close()) == ["incomplete"]


def sealed_as(sealed: str) -> ResponseOptions:
    """Reasoning is sealed as this text."""
    return ResponseOptions(seal=lambda text: sealed)


def test_an_item_that_cannot_be_encoded_fails_the_response_and_is_left_out_of_it() -> None:
    played = play([chunk("Hello"), chunk(reasoning="Hm"), chunk("bye"), STOP, DONE], options=sealed_as("\ud800"))
    *_, error, failed = played.payloads
    assert (error["type"], failed["type"]) == ("error", "response.failed")
    assert failed["response"]["error"]["message"] == "The host sent something that cannot be passed on."
    assert [item["content"][0]["text"] for item in failed["response"]["output"]] == ["Hello", "bye"]
    assert failed["response"]["completed_at"] is None


def test_a_response_that_is_not_streamed_and_cannot_be_encoded_fails_too() -> None:
    translator = Translator(new_stream(options=sealed_as("\ud800")), framing=None)
    translator.feed(chunk(reasoning="Hm") + STOP + DONE)
    translator.end_round()
    ((_, data),) = translator.close()
    response = json.loads(data)
    assert (response["status"], response["output"], response["completed_at"]) == ("failed", [], None)
    assert translator.error is not None


def test_a_response_of_which_nothing_can_be_encoded_has_no_frames_and_an_error() -> None:
    stream = new_stream()
    stream.response.model = "\ud800"
    translator = Translator(stream)
    assert translator.feed(chunk("a")) == []
    assert translator.state is RoundState.FAILED
    translator.end_round()
    assert translator.close() == []
    assert translator.error is not None


@pytest.mark.parametrize(
    "unreadable",
    [
        {"choices": [{"delta": {"tool_calls": [{"index": 5000 * "9", "function": {"name": "f"}}]}}]},
        {"choices": [{"delta": {"content": ["a"], "routed_experts": 10**400}}], "usage": {"prompt_tokens": 10**400}},
    ],
    ids=["an index of 5,000 digits", "a count of 400 digits"],
)
def test_absurd_numbers_are_no_exception(unreadable: Json) -> None:
    played = play([chunk("Hello"), frame(unreadable), STOP, DONE])
    check_stream(played.payloads)


def test_the_first_failure_from_outside_ends_the_response() -> None:
    translator = new_translator()
    translator.feed(chunk("a"))
    translator.fail(UpstreamError("too slow"))
    translator.fail(UpstreamError("later"))
    translator.end_round()
    assert types(frames := translator.close()) == ["error", "failed"]
    assert payloads(frames)[0]["message"] == "too slow"
    assert translator.error is not None


def test_the_result_of_a_round_has_the_items_of_that_round() -> None:
    calling = [chunk("Hm."), chunk(tool_calls=[call(0, "a", "f", "{}")]), chunk(finish_reason="tool_calls"), DONE]
    played = play(calling, [chunk("So."), STOP, DONE])
    types_by_round = [[item.__struct_config__.tag for item in result.items] for result in played.rounds]
    assert types_by_round == [["message", "function_call"], ["message"]]
    assert [item for result in played.rounds for item in result.items] == played.stream.response.output


def test_a_call_whose_host_repeats_an_id_in_a_later_round_gets_one_of_its_own() -> None:
    calling = [chunk(tool_calls=[call(0, "call_0", "f", "{}")]), chunk(finish_reason="tool_calls"), DONE]
    first, second = (result.calls[0].call_id for result in play(calling, calling).rounds)
    assert first == "call_0"
    assert second.startswith("call_")
    assert second != first


def test_tools_that_are_found_between_two_rounds_can_be_called_in_the_next() -> None:
    search = {"type": "tool_search", "execution": "client"}
    found = {"type": "namespace", "name": "files", "description": "", "tools": [{"type": "custom", "name": "write"}]}
    translator = new_translator(tools=ToolMap([search], None, None, Report()))

    def called(name: str, arguments: str) -> Json:
        translator.feed(chunk(tool_calls=[call(0, "a", name, arguments)]) + STOP + DONE)
        translator.flush()
        result, _ = translator.end_round()
        made: Json = to_builtins(result.calls[0])
        return made

    assert called("tool_search", '{"query": "files"}')["type"] == "tool_search_call"
    translator.set_tools(ToolMap([search, found], None, None, Report()))
    translator.begin_round()
    made = called("files__write", '{"input": "x"}')
    assert (made["type"], made["namespace"], made["name"]) == ("custom_tool_call", "files", "write")


def test_the_filters_of_a_round_can_be_made_for_its_tools() -> None:
    stream = new_stream(tools=ToolMap(None, None, None, Report()))
    seen: list[list[str]] = []

    def filters() -> list[Filter]:
        seen.append(stream.tools.names() if stream.tools is not None else [])
        return []

    translator = Translator(stream, filters=filters)
    translator.set_tools(ToolMap([{"type": "function", "name": "f"}], None, None, Report()))
    translator.end_round()
    translator.begin_round()
    assert seen == [[], ["f"]]


def test_several_rounds_make_one_response_and_each_has_filters_of_its_own() -> None:
    made: list[Filter] = []

    def filters() -> list[Filter]:
        made.append(ThinkTagFilter("leading"))
        return made[-1:]

    rounds = [
        [chunk("<think>"), chunk("Hm."), chunk("</think>"), chunk(tool_calls=[call(0, "a", "f", "{}")]), STOP, DONE],
        [chunk("<think>"), chunk("So."), chunk("</think>"), chunk("Hel"), chunk("lo"), STOP, chunk(usage=usage(1, 1))],
        [chunk("<thi"), STOP, DONE],
    ]
    played = play(*rounds, filters=filters)
    check_stream(played.payloads)
    check_response(played.response)
    assert len(made) == 3
    output = [(item["type"], "".join(p["text"] for p in item.get("content", []))) for item in played.output]
    assert output == [
        ("reasoning", "Hm."),
        ("function_call", ""),
        ("reasoning", "So."),
        ("message", "Hello"),
        ("message", "<thi"),
    ]
    assert [len(result.calls) for result in played.rounds] == [1, 0, 0]
    assert played.fast > 0


def test_half_a_frame_of_one_round_is_not_continued_by_the_next() -> None:
    played = play([chunk("a"), STOP, b": half a comment"], [chunk("b"), STOP, DONE])
    assert [item["content"][0]["text"] for item in played.output] == ["a", "b"]
    assert played.response["status"] == "completed"
