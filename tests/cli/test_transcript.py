"""The lines that are printed for the events of a response."""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim.cli.transcript import Transcript
from tests.cli.canned import EVENTS


def transcript_of(*events: dict[str, Any], colour: bool = False) -> str:
    """The text that is printed for these events, ten milliseconds apart."""
    transcript = Transcript(colour=colour)
    text = "".join(transcript.feed(10.0 * n, event) for n, event in enumerate(events, start=1))
    return text + transcript.end()


def test_a_plain_answer() -> None:
    assert transcript_of(*EVENTS) == (
        "     10.0 ms   response.created                       resp_1 tiny\n"
        "     20.0 ms   response.in_progress\n"
        "     30.0 ms   response.output_item.added             message in_progress\n"
        "     40.0 ms   response.content_part.added            output_text\n"
        "     50.0 ms   response.output_text.delta\n"
        "               The sea is blue.\n"
        "     70.0 ms   response.output_text.done              2 deltas\n"
        "     80.0 ms   response.content_part.done             output_text\n"
        "     90.0 ms   response.output_item.done              message completed\n"
        "    100.0 ms   response.completed                     9 tokens in, 2 out\n"
        "               first delta after 50 ms, then 1 more at 100 a second\n"
    )


def test_text_is_returned_delta_by_delta() -> None:
    transcript = Transcript(colour=False)
    transcript.feed(1.0, {"type": "response.output_text.delta", "item_id": "m", "delta": "a"})
    assert transcript.feed(2.0, {"type": "response.output_text.delta", "item_id": "m", "delta": "b"}) == "b"


def test_interleaved_calls_are_shown_on_lines_of_their_own_and_counted_each() -> None:
    kind = "response.function_call_arguments"
    one, two = {"type": f"{kind}.delta", "item_id": "1"}, {"type": f"{kind}.delta", "item_id": "2"}
    lines = transcript_of(
        {**one, "delta": "{"},
        {**two, "delta": "["},
        {**one, "delta": "}"},
        {"type": f"{kind}.done", "item_id": "1"},
        {"type": f"{kind}.done", "item_id": "2"},
    ).splitlines()
    assert [line.split()[-1] for line in lines[1:6:2]] == ["{", "[", "}"]
    assert lines[6].endswith("response.function_call_arguments.done  2 deltas")
    assert lines[7].endswith("response.function_call_arguments.done  1 deltas")


def test_every_line_of_the_text_is_indented() -> None:
    text = transcript_of({"type": "response.output_text.delta", "item_id": "m", "delta": "a\nb"})
    assert "               a\n               b\n" in text


def test_colour_is_optional() -> None:
    event = {"type": "response.in_progress"}
    assert "\033[" in transcript_of(event, colour=True)
    assert "\033[" not in transcript_of(event)


@pytest.mark.parametrize("colour", [True, False])
def test_control_characters_are_replaced(colour: bool) -> None:
    """A model must not be able to send escape sequences to the terminal."""
    text = transcript_of(
        {"type": "response.output_text.delta", "item_id": "m", "delta": "\033]0;owned\a"},
        {"type": "response.created\033[2J", "response": {}},
        {"type": "response.created", "response": {"id": "\033[2J\nx"}},
        colour=colour,
    )
    assert "\033]0" not in text
    assert "\033[2J" not in text
    assert "\a" not in text


@pytest.mark.parametrize(
    ("events", "status", "problem"),
    [
        ([{"type": "response.completed", "response": {"usage": None}}], "completed", None),
        ([{"type": "response.incomplete", "response": {"incomplete_details": {"reason": "x"}}}], "incomplete", None),
        (
            [{"type": "response.failed", "response": {"error": {"code": "server_error", "message": "no"}}}],
            "failed",
            "server_error: no",
        ),
        (
            [{"type": "error", "code": None, "message": "first"}, {"type": "response.failed", "response": {}}],
            "failed",
            "first",
        ),
        ([{"type": "error", "code": "c"}], "", "c: no message"),
        ([{"type": "response.created", "response": "not an object"}], "", None),
    ],
)
def test_the_status_and_the_problem_of_the_response(
    events: list[dict[str, Any]], status: str, problem: str | None
) -> None:
    transcript = Transcript(colour=False)
    for event in events:
        transcript.feed(1.0, event)
    assert (transcript.status, transcript.problem) == (status, problem)
    assert transcript.end() == ""


def test_the_line_of_an_incomplete_response_has_the_reason() -> None:
    incomplete = {"type": "response.incomplete", "response": {"incomplete_details": {"reason": "max_output_tokens"}}}
    assert transcript_of(incomplete).endswith("response.incomplete                    max_output_tokens\n")


def test_a_single_delta_has_no_speed() -> None:
    text = transcript_of({"type": "response.output_text.delta", "item_id": "m", "delta": "a"})
    assert text.endswith("first delta after 10 ms\n")


def test_an_unknown_event_is_shown_by_its_type() -> None:
    assert transcript_of({"type": "response.ping"}) == "     10.0 ms   response.ping\n"
