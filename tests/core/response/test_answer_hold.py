"""What is held back of a round, in which order it is released, and what passes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from responses_shim.core.response import answer_hold
from responses_shim.core.response.answer_hold import AnswerHold
from responses_shim.core.response.filters import Field
from responses_shim.core.response.think_tags import ThinkTagFilter
from responses_shim.core.response.translator import Translator
from responses_shim.core.wire.chat import Chunk
from responses_shim.core.wire.chunks import ChunkReader
from responses_shim.errors import UpstreamError
from tests.core.driver import Json, Played, new_stream
from tests.oracle import check_stream
from tests.scripted import DONE, call, chunk, frame, usage

CALL = chunk(tool_calls=[call(0, "call_1", "f", "{}")])
STOP = chunk(finish_reason="stop")


class Driver:
    """A translator that holds answers back, and what it has made so far."""

    def __init__(self, **options: Any) -> None:
        stream = new_stream()
        self.translator = Translator(stream, hold_answers=True, **options)
        self.played = Played(stream)

    def feed(self, *messages: bytes) -> None:
        for data in messages:
            frame = self.translator.fast_path(data) if self.translator.fast_path is not None else None
            self.played.fast += frame is not None
            self.played.write([frame] if frame is not None else self.translator.feed(data))

    def end(self, *, last: bool = True) -> None:
        self.played.write(self.translator.end_round()[1])
        if last:
            self.played.write(self.translator.close())
            check_stream(self.played.payloads)

    def flush(self) -> str | None:
        self.played.write(self.translator.flush())
        return self.translator.held_answer

    def send(self, text: str) -> None:
        self.played.write(self.translator.send_answer(text))

    def drop(self) -> None:
        self.played.write(self.translator.drop_answer())

    @property
    def types(self) -> list[str]:
        return [payload["type"].removeprefix("response.") for payload in self.played.payloads]

    @property
    def output(self) -> list[tuple[str, str]]:
        """The type and the text of each item."""
        return [(item["type"], text_of(item)) for item in self.played.output]


def text_of(item: Json) -> str:
    return "".join(part.get("text", part.get("refusal", "")) for part in item.get("content", ()))


def chunks(*frames: bytes) -> list[Chunk]:
    return [read for data in frames for read in ChunkReader().read(data)]


def test_text_is_held_back_and_sent_as_one_delta() -> None:
    driver = Driver()
    driver.feed(chunk("Hel"), chunk("lo"), STOP, DONE)
    assert driver.types == ["created", "in_progress"]
    assert driver.flush() == "Hello"
    driver.send("Hello")
    driver.end()
    assert [payload["delta"] for payload in driver.played.deltas] == ["Hello"]


def test_reasoning_before_the_text_passes_on_the_fast_path() -> None:
    driver = Driver()
    driver.feed(*[chunk(reasoning="Hm.")] * 5)
    assert driver.types.count("reasoning_text.delta") == 5
    assert driver.played.fast == 4
    driver.feed(chunk("{"), chunk(reasoning="So."), STOP, DONE)
    assert driver.types.count("reasoning_text.delta") == 5


def test_white_space_does_not_keep_reasoning_back() -> None:
    driver = Driver()
    driver.feed(chunk("\n\n"), chunk(reasoning="Hm."))
    assert driver.types[-1] == "reasoning_text.delta"
    driver.feed(chunk("{}"), STOP, DONE)
    assert driver.flush() == "\n\n{}"


def test_what_is_released_by_a_call_keeps_its_order() -> None:
    driver = Driver()
    driver.feed(chunk(reasoning="A"), chunk("b"), chunk(reasoning="C"), chunk(reasoning_content="D"), chunk("e"), CALL)
    driver.feed(chunk(finish_reason="tool_calls"), DONE)
    assert driver.flush() is None
    driver.end()
    assert driver.output == [
        ("reasoning", "A"),
        ("message", "b"),
        ("reasoning", "CD"),
        ("message", "e"),
        ("function_call", ""),
    ]
    assert [item.get("phase") for item in driver.played.output] == [None, "commentary", None, "commentary", None]


def test_an_answer_is_one_message_behind_all_reasoning() -> None:
    driver = Driver()
    driver.feed(chunk(reasoning="A"), chunk('{"a":'), chunk(reasoning="B"), chunk("1}", reasoning="C"), STOP, DONE)
    assert driver.flush() == '{"a":1}'
    driver.send('{"a":1}')
    driver.end()
    assert driver.output == [("reasoning", "ABC"), ("message", '{"a":1}')]


def test_what_is_dropped_leaves_its_reasoning() -> None:
    driver = Driver()
    driver.feed(chunk("x"), chunk(reasoning="A"), chunk("y", reasoning="B"), STOP, DONE)
    driver.flush()
    driver.drop()
    driver.end(last=False)
    driver.translator.begin_round()
    driver.feed(chunk("z"), STOP, DONE)
    assert driver.flush() == "z"
    driver.send("z")
    driver.end()
    assert driver.output == [("reasoning", "AB"), ("message", "z")]


def test_everything_passes_once_there_is_a_call() -> None:
    called: list[str] = []
    hold = AnswerHold(lambda: called.append("a call"))
    first, later = chunks(CALL, chunk("text"))
    assert [passed.choices for passed in hold.feed(first)] == [[], first.choices]
    assert (hold.done, called) == (True, ["a call"])
    assert hold.feed(later) == (later,)


def test_of_reasoning_and_text_in_one_chunk_only_the_text_is_held_back() -> None:
    driver = Driver()
    driver.feed(chunk("{}", reasoning="Hm."), STOP, DONE)
    assert driver.types[-1] == "reasoning_text.delta"
    assert driver.flush() == "{}"


def test_a_call_without_a_name_is_none() -> None:
    driver = Driver()
    driver.feed(chunk("{}"), chunk(tool_calls=[call(0, "call_1")]), chunk(tool_calls=[call(0)]), STOP, DONE)
    assert driver.flush() == "{}"


def test_only_the_first_choice_is_held_back() -> None:
    driver = Driver()
    other = {"index": 1, "delta": {"content": "other"}}
    driver.feed(frame({"choices": [other, {"index": 0, "delta": {"content": "{}"}}, {"index": 0}]}), STOP, DONE)
    assert driver.flush() == "{}"


def test_text_that_another_filter_holds_back_is_held_back_too() -> None:
    driver = Driver(filters=lambda: [ThinkTagFilter("anywhere")])
    driver.feed(chunk("<think>Hm.</think>"), chunk("1 <"), STOP, DONE)
    assert driver.flush() == "1 <"


CITATION = {"type": "url_citation", "url_citation": {"url": "https://example.com", "title": "Example"}}


@pytest.mark.parametrize(("sent", "kept"), [("{}", 1), ("[]", 0)])
def test_citations_go_with_the_text_that_came(sent: str, kept: int) -> None:
    driver = Driver()
    annotated = frame({"choices": [{"index": 0, "delta": {"annotations": [CITATION]}}]})
    driver.feed(annotated, chunk("{}"), STOP, DONE)
    assert driver.types == ["created", "in_progress"]
    assert driver.flush() == "{}"
    driver.send(sent)
    driver.end()
    ((part,),) = [item["content"] for item in driver.played.output]
    assert (part["text"], len(part["annotations"])) == (sent, kept)


@pytest.mark.parametrize("end", [[chunk(finish_reason="length"), DONE], [DONE], []])
def test_what_did_not_end_well_is_no_answer(end: list[bytes]) -> None:
    driver = Driver()
    driver.feed(chunk("{"), *end)
    assert driver.flush() is None
    driver.played.write(driver.translator.pass_on_text())
    driver.end()
    assert driver.output == [("message", "{")]


def test_a_round_that_fails_keeps_its_text() -> None:
    driver = Driver()
    driver.feed(chunk("{"))
    driver.played.write(driver.translator.fail_round(UpstreamError("gone")))
    assert driver.flush() is None
    assert driver.translator.pass_on_text() == []
    driver.end()
    assert driver.output == [("message", "{")]
    assert driver.played.response["error"]["message"] == "gone"


def test_without_a_hold_there_is_no_answer_to_check() -> None:
    translator = Translator(new_stream())
    translator.feed(chunk("{}") + STOP)
    assert translator.held_answer is None
    assert translator.pass_on_text() == []


@pytest.mark.parametrize("field", ["content", "reasoning", "arguments"])
def test_the_fast_path_is_for_what_passes(field: Field) -> None:
    hold = AnswerHold(lambda: None)
    assert hold.passes_as(field) == (None if field == "content" else field)
    hold.feed(chunks(chunk("x"))[0])
    assert hold.passes_as(field) == ("arguments" if field == "arguments" else None)


def test_what_is_held_back_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_hold, "MAX_HELD", 10_000)
    entry = {"token": "x", "logprob": -1.0, "top_logprobs": [{"token": "y", "logprob": -2.0}] * 4}
    for piece, most in [(chunk("x" * 900), 10), (chunk("x", logprobs={"content": [entry]}), 9)]:
        hold = AnswerHold(lambda: None)
        for number, read in enumerate(chunks(*[piece] * (most + 1))):
            (passed,) = hold.feed(read)
            assert (passed.error is None) == (number < most)


def test_usage_and_the_end_of_the_round_pass() -> None:
    driver = Driver()
    driver.feed(frame(json.loads(chunk("{}", finish_reason="stop", usage=usage(3, 4)).removeprefix(b"data: "))), DONE)
    assert driver.flush() == "{}"
    driver.send("{}")
    driver.end()
    assert driver.played.response["usage"]["output_tokens"] == 4
