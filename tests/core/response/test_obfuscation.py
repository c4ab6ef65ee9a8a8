"""Obfuscation: random text that makes all deltas of an encrypted stream look alike from outside."""

from __future__ import annotations

from responses_shim.core.response.options import ResponseOptions
from responses_shim.core.response.stream import OBFUSCATED_SIZE
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from tests.core.driver import answer
from tests.core.response.extras import obfuscation, padded_size
from tests.scripted import DONE, call, chunk

STOP = chunk(finish_reason="stop")
OBFUSCATED = ResponseOptions(obfuscate=obfuscation)
EVERY_KIND = [
    chunk(reasoning="Let me see."),
    chunk("Hello"),
    chunk(' "world"\n\x01é😀'),
    chunk(refusal="No."),
    chunk(tool_calls=[call(0, "a", "f", '{"x":')]),
    chunk(tool_calls=[call(0, arguments="1}")]),
    chunk(tool_calls=[call(1, "b", "patch", '{"input": "*** Begin')]),
    chunk(tool_calls=[call(1, arguments=' Patch"}')]),
    chunk(tool_calls=[call(2, "c", "shell", '{"commands": ["ls"]}')]),
    STOP,
    DONE,
]
TOOLS = ToolMap(
    [{"type": "function", "name": "f"}, {"type": "custom", "name": "patch"}, {"type": "shell"}], None, None, Report()
)
DELTA_TYPES = {
    "response.reasoning_text.delta",
    "response.output_text.delta",
    "response.refusal.delta",
    "response.function_call_arguments.delta",
    "response.custom_tool_call_input.delta",
    "response.shell_call_command.delta",
}


def test_every_delta_is_padded_to_a_multiple_of_the_same_size() -> None:
    played = answer(*EVERY_KIND, tools=TOOLS, options=OBFUSCATED)
    assert {event["type"] for event in played.deltas} == DELTA_TYPES
    for event in played.deltas:
        assert 1 <= len(event["obfuscation"]) <= OBFUSCATED_SIZE
        assert padded_size(event) % OBFUSCATED_SIZE == 0


def test_the_deltas_of_a_summary_are_padded_too() -> None:
    frames = [chunk(reasoning="Let me "), chunk(reasoning="see."), chunk("Hello"), STOP, DONE]
    played = answer(*frames, options=ResponseOptions(reasoning="summary", obfuscate=obfuscation))
    assert [padded_size(event) % OBFUSCATED_SIZE for event in played.of_type("reasoning_summary_text.delta")] == [0, 0]


def test_short_deltas_are_all_of_one_size_on_the_wire() -> None:
    """A line end is two bytes there, so it must count as two."""
    frames = [chunk(text) for text in ("a", "\n", '"', "ab\n", "\\\\", "é")]
    sizes = {padded_size(event) for event in answer(*frames, STOP, options=OBFUSCATED).deltas}
    assert sizes == {OBFUSCATED_SIZE}


def test_deltas_that_come_only_when_a_call_closes_are_padded_too() -> None:
    """Input that is held back till the end, and a call that never got a name."""
    frames = [
        chunk(tool_calls=[call(0, "b", "patch", '{"patch": "*** Begin"}')]),
        chunk(tool_calls=[call(1, "c", None, "{}")]),
        STOP,
    ]
    played = answer(*frames, tools=TOOLS, options=OBFUSCATED)
    assert [event["delta"] for event in played.deltas] == ["*** Begin", "{}"]
    assert [padded_size(event) % OBFUSCATED_SIZE for event in played.deltas] == [0, 0]


def test_events_other_than_deltas_have_no_obfuscation() -> None:
    played = answer(*EVERY_KIND, tools=TOOLS, options=OBFUSCATED)
    others = [event for event in played.payloads if not event["type"].endswith(".delta")]
    assert not any("obfuscation" in event for event in others)


def test_without_the_option_no_delta_has_obfuscation() -> None:
    played = answer(*EVERY_KIND, tools=TOOLS)
    assert {event["type"] for event in played.deltas} == DELTA_TYPES
    assert not any("obfuscation" in event for event in played.payloads)


def test_an_obfuscated_stream_is_otherwise_the_same() -> None:
    obfuscated = answer(*EVERY_KIND, tools=TOOLS, options=OBFUSCATED).payloads
    without = [{key: value for key, value in event.items() if key != "obfuscation"} for event in obfuscated]
    assert without == answer(*EVERY_KIND, tools=TOOLS).payloads


def test_with_obfuscation_no_delta_takes_the_fast_path() -> None:
    frames = [*map(chunk, "Hello"), STOP]
    played = answer(*frames, options=OBFUSCATED)
    assert played.fast == 0
    assert [padded_size(event) % OBFUSCATED_SIZE for event in played.deltas] == [0] * 5
