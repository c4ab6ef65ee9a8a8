"""The view of a response: what it shows, also of responses that other servers have sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.views.items import ToolCall
from responses_shim.views.response import ResponseView, TokenCounts
from tests.views.test_request import items, json_values, mostly, objects

FULL: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1.0,
    "model": "m",
    "status": "completed",
    "output": [
        {"id": "rs_1", "type": "reasoning", "summary": [], "status": None, "encrypted_content": "c"},
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hello!", "annotations": []}],
        },
        {"id": "fc_1", "type": "function_call", "name": "look_up", "call_id": "call_1", "arguments": '{"city":"Rome"}'},
    ],
    "usage": {
        "input_tokens": 75,
        "output_tokens": 1186,
        "total_tokens": 1261,
        "input_tokens_details": {"cached_tokens": 10},
        "output_tokens_details": {"reasoning_tokens": 1024},
    },
    "future_field": {"a": 1},
}


def message(*texts: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": t} for t in texts]}


def view(*output: Any, **fields: Any) -> ResponseView:
    return ResponseView.of({"output": list(output), **fields})


def test_a_full_response() -> None:
    assert ResponseView.of(FULL) == ResponseView(
        id="resp_1",
        model="m",
        status="completed",
        text="Hello!",
        tool_calls=[ToolCall("call_1", "look_up", {"city": "Rome"})],
        finish_reason="tool_calls",
        error=None,
        usage=TokenCounts(75, 1186, 1261, 10, 1024),
        output=FULL["output"],
        extra={"object": "response", "created_at": 1.0, "future_field": {"a": 1}},
    )


def test_an_empty_response() -> None:
    assert ResponseView.of({}) == ResponseView()


@given(
    objects(
        id=json_values,
        status=mostly("completed", "incomplete"),
        incomplete_details=json_values | objects(reason=json_values),
        output=st.lists(items | json_values, max_size=3) | json_values,
        output_text=json_values,
        usage=json_values | objects(input_tokens=json_values, input_tokens_details=json_values),
    )
)
def test_any_object_can_be_viewed_and_unknown_fields_are_in_extra(response: dict[str, Any]) -> None:
    shown = ResponseView.of(response)
    assert shown.extra.items() <= response.items()
    assert shown.output == (response["output"] if isinstance(response.get("output"), list) else [])


# Text --------------------------------------------------------------------------------------------------------------


def test_the_text_is_every_output_text_of_the_messages_joined_by_newlines() -> None:
    refusal = {"type": "message", "content": [{"type": "refusal", "refusal": "no"}, "invalid", {"type": "output_text"}]}
    assert view(message("First.", "Second."), refusal, message("Third.")).text == "First.\nSecond.\nThird."


def test_without_messages_the_text_is_read_from_output_text_items() -> None:
    assert view({"type": "output_text", "text": "a"}, {"type": "output_text", "text": "b"}).text == "a\nb"


def test_without_items_the_text_is_read_from_the_field_output_text() -> None:
    assert view(output_text="field").text == "field"


def test_the_text_of_messages_wins_over_items_and_field() -> None:
    assert view({"type": "output_text", "text": "item"}, message("message"), output_text="field").text == "message"


def test_a_response_with_reasoning_only_has_no_text() -> None:
    shown = view({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c"}, status="completed")
    assert (shown.text, shown.tool_calls, shown.finish_reason) == (None, [], "stop")
    assert shown.output[0]["type"] == "reasoning"


def test_an_empty_text_is_not_none() -> None:
    assert view(message("")).text == ""


# Calls -------------------------------------------------------------------------------------------------------------


def test_the_id_of_a_call_is_its_call_id_and_never_its_item_id() -> None:
    (call,) = view({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f"}).tool_calls
    assert call.call_id == "call_1"
    (call,) = view({"type": "function_call", "id": "fc_1", "name": "f"}).tool_calls
    assert call.call_id == ""


@pytest.mark.parametrize(
    ("fields", "arguments"),
    [
        ({"arguments": '{"limit":5}'}, {"limit": 5}),
        ({"arguments": "{not json"}, "{not json"),
        ({"arguments": ""}, ""),
        ({}, {}),
    ],
    ids=["json", "not json", "empty", "absent"],
)
def test_arguments_are_decoded_if_they_are_json(fields: dict[str, Any], arguments: Any) -> None:
    (call,) = view({"type": "function_call", "call_id": "c", "name": "f", **fields}).tool_calls
    assert call.arguments == arguments


def test_the_input_of_a_custom_tool_stays_text_even_if_it_is_json() -> None:
    (call,) = view({"type": "custom_tool_call", "call_id": "c", "name": "p", "input": '{"a":1}'}).tool_calls
    assert call == ToolCall("c", "p", '{"a":1}')


def test_a_call_that_the_server_carried_out_is_not_shown() -> None:
    assert view({"type": "web_search_call", "id": "ws_1"}).tool_calls == []


# Finish reason -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"status": "completed"}, "stop"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"status": "incomplete", "incomplete_details": {"reason": "steered"}}, "steered"),
        ({"status": "incomplete", "incomplete_details": None}, "incomplete"),
        ({"status": "failed"}, "error"),
        ({"status": "cancelled"}, "cancelled"),
        ({"status": None}, None),
        ({}, None),
    ],
    ids=str,
)
def test_the_finish_reason_follows_from_the_status_and_its_details(fields: dict[str, Any], reason: str | None) -> None:
    assert view(**fields).finish_reason == reason


def test_the_finish_reason_is_tool_calls_only_if_the_response_is_completed() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"}
    assert view(call, status="completed").finish_reason == "tool_calls"
    details = {"reason": "max_output_tokens"}
    assert view(call, status="incomplete", incomplete_details=details).finish_reason == "length"


def test_a_failed_response_shows_its_error() -> None:
    assert view(status="failed", error={"code": "server_error", "message": "m"}).error == {
        "code": "server_error",
        "message": "m",
    }


# Usage -------------------------------------------------------------------------------------------------------------


def test_usage_counts_cached_tokens() -> None:
    usage = {"input_tokens": 75, "input_tokens_details": {"cached_tokens": 42}}
    assert view(usage=usage).usage == TokenCounts(input_tokens=75, cached_tokens=42)


def test_a_count_that_usage_lacks_is_none_and_not_0() -> None:
    assert view(usage={}).usage == TokenCounts(None, None, None, None, None)
    wrong_types = {"input_tokens": "many", "output_tokens": True, "input_tokens_details": None}
    assert view(usage=wrong_types).usage == TokenCounts()


def test_without_usage_it_is_none() -> None:
    assert view(usage=None).usage is None


# Streams -----------------------------------------------------------------------------------------------------------

CREATED = {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "output": []}}


def delta(text: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": text}


def done(index: Any, item: Any) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def ended(kind: str = "completed", **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "response": {"id": "resp_1", "status": kind, **fields}}


def test_the_response_of_the_terminal_event_is_shown() -> None:
    stream = [CREATED, done(0, message("streamed")), ended(output=[message("final")], usage={"output_tokens": 4})]
    shown = ResponseView.of_stream([*stream, CREATED])
    assert (shown.text, shown.finish_reason, shown.usage) == ("final", "stop", TokenCounts(output_tokens=4))


@pytest.mark.parametrize("fields", [{}, {"output": []}, {"output": None}], ids=str)
def test_if_the_terminal_event_lacks_the_output_it_is_made_of_the_done_items(fields: dict[str, Any]) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    shown = ResponseView.of_stream([CREATED, done(1, call), done(0, message("first")), ended(**fields)])
    assert shown.output == [message("first"), call]
    assert (shown.text, shown.finish_reason) == ("first", "tool_calls")
    shown = ResponseView.of_stream([done(None, message("a")), done(None, message("b")), ended(**fields)])
    assert shown.text == "a\nb"


@pytest.mark.parametrize(("kind", "reason"), [("incomplete", "length"), ("failed", "error")])
def test_the_response_of_the_other_terminal_events_is_shown(kind: str, reason: str) -> None:
    details = {"reason": "max_output_tokens"}
    shown = ResponseView.of_stream([CREATED, ended(kind, output=[message("partial")], incomplete_details=details)])
    assert (shown.status, shown.finish_reason, shown.text) == (kind, reason, "partial")


def test_deltas_are_ignored() -> None:
    deltas = [CREATED, delta("Hel"), delta("lo")]
    assert ResponseView.of_stream([*deltas, done(0, message("Hello")), ended()]).text == "Hello"
    assert ResponseView.of_stream(deltas).text is None


def test_a_stream_that_was_cut_shows_the_items_that_were_done() -> None:
    shown = ResponseView.of_stream([CREATED, done(0, message("half"))])
    assert (shown.id, shown.text, shown.finish_reason) == ("resp_1", "half", "in_progress")
    assert ResponseView.of_stream([]) == ResponseView()
