"""Each rule of the state machine, on the smallest stream that shows it."""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim.core.wire.chat import Choice, Chunk, Delta, FunctionDelta, ToolCallDelta
from responses_shim.core.wire.events import OutputItemAdded
from responses_shim.errors import InvalidRequest, UpstreamError
from tests.core.driver import Json, Played, answer, event_json, new_stream, play
from tests.oracle import check_stream
from tests.scripted import DONE, call, chunk, frame, usage

STOP = chunk(finish_reason="stop")


def texts(played: Played) -> list[Any]:
    """The texts of the parts of each item; of a call its arguments."""
    return [
        item["arguments"]
        if "arguments" in item
        else [part.get("text", part.get("refusal")) for part in item["content"]]
        for item in played.output
    ]


# When items and parts open and close ---------------------------------------------------------------------------------


def test_a_text_answer_is_one_message_with_one_part() -> None:
    played = answer(chunk("", role="assistant"), chunk("Hel"), chunk("lo"), STOP, DONE)
    assert played.types == [
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
    ]
    assert texts(played) == [["Hello"]]


def test_reasoning_closes_when_text_begins() -> None:
    played = answer(chunk(reasoning="Hm."), chunk("Hello"), STOP)
    assert [item["type"] for item in played.output] == ["reasoning", "message"]
    assert played.types.index("reasoning_text.done") < played.types.index("output_text.delta")


def test_reasoning_after_text_is_another_item() -> None:
    played = answer(chunk(reasoning="Hm."), chunk("One."), chunk(reasoning="Wait."), chunk("Two."), STOP)
    assert texts(played) == [["Hm."], ["One."], ["Wait."], ["Two."]]


@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
def test_reasoning_is_read_from_either_of_its_two_fields(key: str) -> None:
    fields: dict[str, Any] = {key: "Hm."}
    assert texts(answer(chunk(**fields), STOP)) == [["Hm."]]


def test_reasoning_in_both_fields_is_read_once() -> None:
    assert texts(answer(chunk(reasoning="Hm.", reasoning_content="Hm."), STOP)) == [["Hm."]]


def test_a_refusal_is_a_part_of_the_message() -> None:
    played = answer(chunk("Well."), chunk(refusal="No."), STOP)
    (message,) = played.output
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]
    assert texts(played) == [["Well.", "No."]]


def test_a_chunk_with_every_field_gives_reasoning_then_message_then_calls() -> None:
    every_field = chunk("Well.", reasoning="Hm.", refusal="No.", tool_calls=[call(0, "call_1", "f", "{}")])
    played = answer(every_field, STOP)
    assert [item["type"] for item in played.output] == ["reasoning", "message", "function_call"]


def test_empty_deltas_open_nothing() -> None:
    played = answer(chunk("", role="assistant", reasoning="", refusal="", tool_calls=[]), chunk(), STOP)
    assert played.types == []
    assert played.output == []
    assert played.response["status"] == "completed"


def test_text_in_the_finish_chunk_counts() -> None:
    assert texts(answer(chunk("Hello"), chunk(" world", finish_reason="stop"))) == [["Hello world"]]


def test_text_after_the_finish_chunk_counts() -> None:
    assert texts(answer(chunk("Hello"), STOP, chunk("!"))) == [["Hello!"]]


def test_only_the_first_choice_is_read() -> None:
    other = frame({"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "length"}]})
    played = answer(chunk("Hello"), other, STOP)
    assert texts(played) == [["Hello"]]
    assert played.response["status"] == "completed"


def test_a_chat_completion_is_read_like_one_chunk() -> None:
    """Hosts exist that answer with `chat.completion` although they were asked to stream."""
    completion = frame(
        {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
            "usage": usage(7, 1),
        }
    )
    played = answer(completion)
    assert texts(played) == [["Hello"]]
    assert played.response["usage"]["total_tokens"] == 8


# Calls ---------------------------------------------------------------------------------------------------------------


def calls(played: Played) -> list[tuple[str, str, str]]:
    items = played.output
    return [(item["call_id"], item["name"], item["arguments"]) for item in items if item["type"] == "function_call"]


def test_calls_stay_open_side_by_side_until_the_round_ends() -> None:
    played = answer(
        chunk(tool_calls=[call(0, "a", "f", '{"x":'), call(1, "b", "g", '{"y":')]),
        chunk(tool_calls=[call(1, arguments="2}")]),
        chunk(tool_calls=[call(0, arguments="1}")]),
        chunk(finish_reason="tool_calls"),
    )
    assert calls(played) == [("a", "f", '{"x":1}'), ("b", "g", '{"y":2}')]
    assert "output_item.done" not in played.types[: played.types.index("function_call_arguments.done")]


def test_a_call_closes_the_message_and_text_after_it_opens_another() -> None:
    played = answer(
        chunk("Let me see."),
        chunk(tool_calls=[call(0, "a", "f", "{")]),
        chunk("So."),
        chunk(tool_calls=[call(0, arguments="}")]),
        STOP,
    )
    assert texts(played) == [["Let me see."], "{}", ["So."]]


def test_arguments_without_an_index_belong_to_the_latest_call() -> None:
    played = answer(
        chunk(tool_calls=[call(0, "a", "f", "{")]),
        chunk(tool_calls=[call(None, arguments="}")]),
        chunk(tool_calls=[call(1, "b", "g", "[")]),
        chunk(tool_calls=[call(None, arguments="]")]),
        STOP,
    )
    assert calls(played) == [("a", "f", "{}"), ("b", "g", "[]")]


def test_arguments_with_an_id_and_no_index_belong_to_the_call_with_that_id() -> None:
    played = answer(
        chunk(tool_calls=[call(0, "a", "f", "{"), call(1, "b", "g", "[")]),
        chunk(tool_calls=[call(None, "a", arguments="}")]),
        chunk(tool_calls=[call(None, "b", arguments="]")]),
        STOP,
    )
    assert calls(played) == [("a", "f", "{}"), ("b", "g", "[]")]


def test_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    played = answer(
        chunk(tool_calls=[call(None, "a", "f", "{")]),
        chunk(tool_calls=[call(None, "b", "g", "[")]),
        chunk(tool_calls=[call(None, "a", arguments="}")]),
        chunk(tool_calls=[call(None, "b", arguments="]")]),
        STOP,
    )
    assert calls(played) == [("a", "f", "{}"), ("b", "g", "[]")]


def test_without_index_and_id_a_name_begins_a_call() -> None:
    played = answer(
        chunk(tool_calls=[call(None, None, "f", "{")]),
        chunk(tool_calls=[call(None, None, None, "}")]),
        chunk(tool_calls=[call(None, None, "f", "[]")]),
        STOP,
    )
    assert [(name, arguments) for _, name, arguments in calls(played)] == [("f", "{}"), ("f", "[]")]


def test_a_call_without_an_id_is_given_one() -> None:
    played = answer(chunk(tool_calls=[call(0, None, "f", "{}"), call(1, None, "f", "{}")]), STOP)
    first, second = (call_id for call_id, _, _ in calls(played))
    assert first.startswith("call_")
    assert second.startswith("call_")
    assert first != second


def test_an_id_and_a_name_that_are_repeated_begin_no_other_call() -> None:
    again = [chunk(tool_calls=[call(0, "a", "f", piece)]) for piece in ("{", '"x":', "1}")]
    assert calls(answer(*again, STOP)) == [("a", "f", '{"x":1}')]


def test_arguments_that_come_before_the_name_are_kept() -> None:
    played = answer(chunk(tool_calls=[call(0, "a", None, "{")]), chunk(tool_calls=[call(0, None, "f", "}")]), STOP)
    assert calls(played) == [("a", "f", "{}")]
    (added,) = (event_json(event) for event in played.events if isinstance(event, OutputItemAdded))
    assert added["item"]["name"] == "f"


def test_a_call_whose_name_never_comes_is_an_item_with_an_empty_name() -> None:
    assert calls(answer(chunk(tool_calls=[call(0, "a", None, "{}")]), STOP)) == [("a", "", "{}")]


def test_a_call_of_which_nothing_but_an_index_comes_is_no_item() -> None:
    assert calls(answer(chunk(tool_calls=[call(0)]), STOP)) == []


def test_deltas_and_not_the_finish_reason_decide_whether_there_are_calls() -> None:
    with_call = answer(chunk(tool_calls=[call(0, "a", "f", "{}")]), STOP)
    assert len(calls(with_call)) == 1
    assert with_call.response["status"] == "completed"
    without_call = answer(chunk("Hello"), chunk(finish_reason="tool_calls"))
    assert calls(without_call) == []
    assert without_call.response["status"] == "completed"


def test_the_arguments_of_a_function_need_not_be_json() -> None:
    assert calls(answer(chunk(tool_calls=[call(0, "a", "f", "not json")]), STOP)) == [("a", "f", "not json")]


# The end -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_is_cut_is_incomplete_with_the_reason(finish: str, reason: str) -> None:
    played = answer(chunk(reasoning="Hm."), chunk("Hel", finish_reason=finish))
    response = played.response
    assert played.payloads[-1]["type"] == "response.incomplete"
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": reason}
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]


def test_every_call_that_is_cut_is_incomplete() -> None:
    three = chunk(tool_calls=[call(0, "a", "f", "{"), call(1, "b", "g", "{}"), call(2, "c", "g", "{")])
    played = answer(three, chunk(finish_reason="length"))
    assert [item["status"] for item in played.output] == ["incomplete", "completed", "incomplete"]


def test_an_end_without_a_finish_reason_is_a_failure() -> None:
    played = answer(chunk("Hel"), DONE)
    assert [event["type"] for event in played.payloads[-2:]] == ["error", "response.failed"]
    assert played.response["status"] == "failed"
    assert played.response["error"]["code"] == "server_error"
    assert played.output[0]["status"] == "incomplete"


def test_an_empty_stream_is_a_failure() -> None:
    assert answer().response["status"] == "failed"


@pytest.mark.parametrize(
    "finish", ["abort", "error", "insufficient_system_resource", "malformed_function_call", "why?"]
)
def test_an_end_that_is_not_known_to_be_good_is_a_failure_that_quotes_it(finish: str) -> None:
    played = answer(chunk("Hel"), chunk(finish_reason=finish))
    assert played.response["status"] == "failed"
    assert played.response["error"]["code"] == "server_error"
    assert played.output[0]["status"] == "incomplete"
    assert repr(finish) in played.response["error"]["message"]


def test_of_a_long_finish_reason_the_beginning_is_quoted() -> None:
    message = answer(chunk("Hel"), chunk(finish_reason="x" * 500)).response["error"]["message"]
    assert message.count("x") == 80 + "finish_reason".count("x")


@pytest.mark.parametrize(
    "finish", ["eos", "eos_token", "end_turn", "stop_sequence", "function_call", "STOP", "end-turn"]
)
def test_every_good_end_completes_the_response(finish: str) -> None:
    assert answer(chunk("Hello"), chunk(finish_reason=finish)).response["status"] == "completed"


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("max_tokens", "max_output_tokens"),
        ("MAX_TOKENS", "max_output_tokens"),
        ("model_length", "max_output_tokens"),
        ("max_output_tokens", "max_output_tokens"),
        ("model_context_window_exceeded", "max_output_tokens"),
        ("SAFETY", "content_filter"),
        ("guardrail_intervened", "content_filter"),
    ],
)
def test_the_words_of_other_hosts_for_a_cut_are_known(finish: str, reason: str) -> None:
    response = answer(chunk("Hel", finish_reason=finish)).response
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": reason})


@pytest.mark.parametrize(
    ("reasons", "status"),
    [
        (["length", "stop"], "incomplete"),
        (["stop", "length"], "incomplete"),
        (["content_filter", "stop"], "incomplete"),
        (["abort", "stop"], "failed"),
        (["length", "abort"], "failed"),
        (["stop", "tool_calls"], "completed"),
        (["stop" + 1000 * " ", "stop"], "completed"),
        (["stop" + 1000 * "x", "stop"], "failed"),
    ],
)
def test_a_later_finish_reason_does_not_undo_a_worse_one(reasons: list[str], status: str) -> None:
    played = answer(chunk("Hel"), *(chunk(finish_reason=reason) for reason in reasons))
    assert played.response["status"] == status


@pytest.mark.parametrize("finish", ["", "null", "None"])
def test_a_finish_reason_that_says_nothing_is_none(finish: str) -> None:
    assert answer(chunk("Hel", finish_reason=finish), STOP).response["status"] == "completed"
    unfinished = answer(chunk("Hel", finish_reason=finish), DONE).response
    assert unfinished["status"] == "failed"
    assert "before the answer was complete" in unfinished["error"]["message"]


def test_the_error_event_is_flat_and_has_the_error_of_the_response() -> None:
    failure = frame({"error": {"message": "too long", "param": "messages", "code": "context_length_exceeded"}})
    played = answer(chunk("Hel"), failure)
    error, failed = played.payloads[-2:]
    assert (error["code"], error["message"], error["param"]) == ("context_length_exceeded", "too long", "input")
    assert failed["response"]["error"] == {"code": "context_length_exceeded", "message": "too long"}


def test_what_follows_an_error_frame_does_not_count() -> None:
    played = answer(chunk("Hel"), frame({"error": "the engine is gone"}), chunk("lo"), STOP, DONE)
    assert texts(played) == [["Hel"]]
    assert played.response["status"] == "failed"
    assert played.response["error"]["message"] == "the engine is gone"


def test_the_first_error_wins() -> None:
    played = answer(frame({"error": "first"}), frame({"error": "second"}))
    assert played.response["error"]["message"] == "first"
    assert len(played.payloads) == 4


def test_a_failure_from_outside_counts_like_one_from_the_host() -> None:
    stream = new_stream()
    stream.start()
    stream.fail(InvalidRequest("first", param="input"))
    stream.fail(UpstreamError("second"))
    stream.end_round()
    stream.close()
    assert stream.response.error is not None
    assert (stream.response.error.code, stream.response.error.message) == ("invalid_prompt", "first")


def test_only_a_completed_response_has_an_end_time() -> None:
    assert answer(STOP).response["completed_at"] == 1_700_000_001
    assert answer(chunk(finish_reason="length")).response["completed_at"] is None
    assert answer(DONE).response["completed_at"] is None


# Usage ---------------------------------------------------------------------------------------------------------------


def test_the_last_usage_counts() -> None:
    """Some hosts send it with the finish and once more by itself, some with every chunk."""
    played = answer(
        chunk("Hello", usage=usage(7, 1)), chunk(finish_reason="stop", usage=usage(7, 2)), chunk(usage=usage(7, 3))
    )
    assert played.response["usage"]["output_tokens"] == 3


@pytest.mark.parametrize("empty", [None, {}])
def test_an_empty_usage_does_not_replace_an_earlier_one(empty: Any) -> None:
    last = frame({"choices": [], "usage": empty})
    assert answer(STOP, chunk(usage=usage(7, 3)), last).response["usage"]["output_tokens"] == 3


def test_the_usage_is_null_if_the_host_sends_none() -> None:
    assert answer(chunk("Hello"), STOP).response["usage"] is None


def test_a_failed_response_keeps_its_usage() -> None:
    assert answer(chunk("Hel"), chunk(usage=usage(7, 1))).response["usage"]["total_tokens"] == 8


# Rounds --------------------------------------------------------------------------------------------------------------


def two_rounds(first: Json | None, second: Json | None) -> Played:
    """A response of two chat calls with these usages."""
    usages = [[chunk(usage=counts)] if counts else [] for counts in (first, second)]
    played = play(
        [chunk("One."), chunk(tool_calls=[call(0, "a", "f", "{}")]), chunk(finish_reason="tool_calls"), *usages[0]],
        [chunk("Two."), chunk(tool_calls=[call(0, "b", "f", "[]")]), STOP, *usages[1]],
    )
    check_stream(played.payloads)
    return played


def test_the_indices_of_a_second_round_continue_those_of_the_first() -> None:
    played = two_rounds(None, None)
    assert texts(played) == [["One."], "{}", ["Two."], "[]"]
    assert [call.call_id for ended in played.rounds for call in ended.calls] == ["a", "b"]
    assert [ended.finish_reason for ended in played.rounds] == ["tool_calls", "stop"]


def test_the_usage_of_rounds_adds_up() -> None:
    played = two_rounds(usage(7, 3, cached=2, reasoning=1), usage(12, 5, cached=4, reasoning=2))
    counts = played.response["usage"]
    assert (counts["input_tokens"], counts["output_tokens"], counts["total_tokens"]) == (19, 8, 27)
    assert counts["input_tokens_details"]["cached_tokens"] == 6
    assert counts["output_tokens_details"]["reasoning_tokens"] == 3


@pytest.mark.parametrize(("first", "second"), [(usage(7, 3), None), (None, usage(7, 3))])
def test_the_usage_is_null_if_one_of_the_rounds_has_none(first: Json | None, second: Json | None) -> None:
    assert two_rounds(first, second).response["usage"] is None


def test_a_second_round_without_a_finish_reason_is_a_failure() -> None:
    played = play([chunk("One."), STOP], [])
    check_stream(played.payloads)
    assert played.response["status"] == "failed"
    assert [item["status"] for item in played.output] == ["completed"]


# Log-probabilities and pings -----------------------------------------------------------------------------------------


def test_log_probabilities_are_shown_only_when_asked_for() -> None:
    entry = {"token": "Hi", "logprob": -0.5, "bytes": None, "top_logprobs": []}
    hello = chunk("Hi", logprobs={"content": [entry]})
    expected = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}
    assert answer(hello, STOP, logprobs=True).response["output"][0]["content"][0]["logprobs"] == [expected]
    assert answer(hello, STOP).response["output"][0]["content"][0]["logprobs"] == []


def test_each_part_of_a_message_has_its_own_log_probabilities() -> None:
    def hi(token: str) -> bytes:
        return chunk(token, logprobs={"content": [{"token": token, "logprob": -0.5}]})

    played = answer(chunk(refusal="No."), hi("a"), hi("b"), chunk(refusal="No!"), hi("c"), STOP, logprobs=True)
    parts = played.output[0]["content"]
    assert [[entry["token"] for entry in part.get("logprobs", [])] for part in parts] == [[], ["a", "b"], [], ["c"]]


def test_a_ping_takes_a_number_of_its_own() -> None:
    stream = new_stream()
    opening = stream.start()
    ping = stream.ping()
    delta = stream.feed(Chunk(choices=[Choice(delta=Delta(content="Hello"))]))
    assert [event.sequence_number for event in [*opening, ping, *delta]] == [0, 1, 2, 3, 4, 5]


def test_a_repeated_in_progress_has_no_item_that_comes_after_an_open_one() -> None:
    """Its position in `output` would not be its output_index."""
    stream = new_stream()
    stream.start()
    opened = ToolCallDelta(index=0, id="a", function=FunctionDelta(name="f"))
    stream.feed(Chunk(choices=[Choice(delta=Delta(tool_calls=[opened]))]))
    stream.feed(Chunk(choices=[Choice(delta=Delta(content="Hello"))]))
    stream.feed(Chunk(choices=[Choice(delta=Delta(reasoning="Hm."))]))
    assert event_json(stream.repeat_in_progress())["response"]["output"] == []


def test_a_repeated_in_progress_has_the_items_that_are_done_so_far() -> None:
    stream = new_stream()
    stream.start()
    stream.feed(Chunk(choices=[Choice(delta=Delta(reasoning="Hm."))]))
    stream.feed(Chunk(choices=[Choice(delta=Delta(content="Hello"))]))
    again = stream.repeat_in_progress()
    shown = event_json(again)["response"]
    assert [item["type"] for item in shown["output"]] == ["reasoning"]
    assert shown["status"] == "in_progress"
    stream.feed(Chunk(choices=[Choice(finish_reason="stop")]))
    stream.end_round()
    stream.close()
    assert event_json(again)["response"] == shown
