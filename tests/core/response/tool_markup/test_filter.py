"""The filter: calls in a host's text become chat tool calls, and everything else passes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from responses_shim.core.response.filters import FilterChain
from responses_shim.core.response.think_tags import ThinkTagFilter
from responses_shim.core.response.tool_markup import Functions, ToolMarkupFilter, blocks_of
from responses_shim.core.wire.chat import ChatLogprob, Choice, Chunk, Delta, FunctionDelta, Logprobs, ToolCallDelta
from tests.core.driver import play
from tests.core.response.tool_markup.reading import SCHEMAS
from tests.scripted import DONE, chunk, usage

CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
FINISH = [chunk(finish_reason="stop"), chunk(usage=usage(7, 3)), DONE]


def new_filter() -> ToolMarkupFilter:
    return ToolMarkupFilter(blocks_of("hermes", required=False), Functions(SCHEMAS))


def content(text: str, **fields: Any) -> Chunk:
    return Chunk(choices=[Choice(delta=Delta(content=text), **fields)])


def deltas(chunks: Any) -> list[tuple[str, str]]:
    """What the chunks carry: text, reasoning, the names and the arguments of calls."""
    found = []
    for made in chunks:
        for choice in made.choices or ():
            delta = choice.delta or choice.message
            for call in (delta.tool_calls if delta else None) or ():
                found.append(("call", call.function.name) if call.function.name else ("args", call.function.arguments))
            if delta and delta.content:
                found.append(("text", delta.content))
            if delta and delta.reasoning:
                found.append(("reasoning", delta.reasoning))
    return found


def passed(*chunks: Chunk) -> list[tuple[str, str]]:
    own = new_filter()
    return deltas([made for taken in chunks for made in own.feed(taken)] + [*own.close()])


@pytest.mark.parametrize("stream", [True, False])
def test_a_call_in_the_text_becomes_an_item_of_the_response(stream: bool) -> None:
    for pieces in (["Let me see.\n" + CALL], ["Let me see.\n", *CALL]):
        played = play([*[chunk(piece) for piece in pieces], *FINISH], filters=lambda: [new_filter()])
        message, call = played.output
        assert message["content"][0]["text"] == "Let me see.\n"
        assert (call["name"], json.loads(call["arguments"])) == ("get_weather", {"city": "Paris"})
        assert call["status"] == "completed"
        assert played.response["status"] == "completed"


def test_arguments_are_streamed_as_they_come() -> None:
    own = new_filter()
    pieces = ['<tool_call>{"name": "get_weather", ', '"arguments": {"ci', 'ty": "Pa', 'ris"}', "}</tool_call>"]
    assert [deltas(own.feed(content(piece))) for piece in pieces] == [
        [],
        [("call", "get_weather"), ("args", '{"ci')],
        [("args", 'ty": "Pa')],
        [("args", 'ris"}')],
        [],
    ]
    assert own.close() == []


def test_calls_are_numbered() -> None:
    choices = [choice for made in new_filter().feed(content(CALL + CALL)) for choice in made.choices or ()]
    assert [call.index for choice in choices if choice.delta for call in choice.delta.tool_calls or ()] == [0, 0, 1, 1]


def test_an_id_that_the_model_gives_is_kept() -> None:
    (first, *_) = new_filter().feed(content("[TOOL_CALLS]get_time[CALL_ID]abc[ARGS]{}"))
    begun = ToolCallDelta(0, "abc", FunctionDelta("get_time"))
    assert first == Chunk(choices=[Choice(delta=Delta(tool_calls=[begun]))])


def test_what_a_chunk_has_besides_follows_its_text() -> None:
    last = content(CALL, finish_reason="stop")
    assert deltas(new_filter().feed(last)) == [("call", "get_weather"), ("args", '{"city": "Paris"}')]
    assert last == Chunk(choices=[Choice(delta=Delta(), finish_reason="stop")])


@pytest.mark.parametrize(
    "other",
    [
        Chunk(choices=[]),
        Chunk(choices=[Choice(index=1, delta=Delta(content="<tool_call>"))]),
        Chunk(choices=[Choice(finish_reason="stop")]),
        Chunk(choices=[Choice(delta=Delta())]),
        Chunk(usage={"prompt_tokens": 1}),
    ],
)
def test_chunks_without_text_pass(other: Chunk) -> None:
    own = new_filter()
    assert own.feed(other) == [other]
    assert own.close() == []


def test_an_answer_that_is_not_streamed_is_read_too() -> None:
    assert passed(Chunk(choices=[Choice(message=Delta(content=CALL))])) == [
        ("call", "get_weather"),
        ("args", '{"city": "Paris"}'),
    ]


def test_a_host_that_sends_calls_is_left_alone() -> None:
    own = new_filter()
    assert deltas(own.feed(content("Hm. <tool"))) == [("text", "Hm. ")]
    called = Chunk(choices=[Choice(delta=Delta(tool_calls=[ToolCallDelta(0, "a", FunctionDelta("f", "{}"))]))])
    assert deltas(own.feed(called)) == [("text", "<tool"), ("call", "f")]
    assert own.done
    assert deltas(own.feed(content(CALL))) == [("text", CALL)]
    assert own.close() == []
    assert own.passes_as("content") == "content"


def test_what_was_held_back_comes_before_an_error() -> None:
    own = new_filter()
    own.feed(content("<tool"))
    error = Chunk(error={"message": "out of memory"})
    text, last = own.feed(error)
    assert deltas([text]) == [("text", "<tool")]
    assert last is error


@pytest.mark.parametrize(
    ("text", "reported"), [("<tool_call>\n{", 0), ('<tool_call>\n{"name": "get_weather", "a', 1), (CALL, 0), ("Hm.", 0)]
)
def test_an_answer_that_ends_within_a_call_is_reported(text: str, reported: int) -> None:
    reports: list[str] = []
    blocks = blocks_of("hermes", required=False)
    own = ToolMarkupFilter(blocks, Functions(SCHEMAS), on_unclosed=lambda: reports.append("unclosed"))
    chunks = [*own.feed(content(text)), *own.close()]
    assert len(reports) == reported
    if text is not CALL:
        assert "".join(carried for _, carried in deltas(chunks)) == text


@pytest.mark.parametrize(("finish", "status"), [("stop", "completed"), ("length", "incomplete")])
def test_a_call_whose_arguments_are_cut_is_incomplete(finish: str, status: str) -> None:
    steps = [chunk(CALL[: CALL.index("}}")]), chunk(finish_reason=finish), DONE]
    played = play(steps, filters=lambda: [new_filter()])
    (call,) = played.output
    assert call["arguments"] == '{"city": "Paris"'
    assert (call["status"], played.response["status"]) == (status, status)


@pytest.mark.parametrize(("finish", "arguments"), [("stop", '{"city": "Paris"}'), ("length", '{"city": "Paris"')])
def test_more_parameters_may_have_followed_where_the_answer_was_cut(finish: str, arguments: str) -> None:
    steps = [
        chunk("<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n"),
        chunk(finish_reason=finish),
        DONE,
    ]
    played = play(steps, filters=lambda: [new_filter()])
    assert [call["arguments"] for call in played.output] == [arguments]


def test_text_takes_the_fast_path_until_something_may_be_an_opener() -> None:
    own = new_filter()
    assert own.passes_as("content") is None  # nothing has come yet: a call may need no opener there
    own.feed(content("Hello"))
    assert own.passes_as("content") == "content"
    assert own.passes_as("arguments") == "arguments"
    own.feed(content(" <"))
    assert own.passes_as("content") is None
    own.feed(content("b>"))
    assert own.passes_as("content") == "content"
    own.feed(content("<tool_call>"))
    assert own.passes_as("content") is None


# Calls in the model's thinking ---------------------------------------------------------------------------------------


def thought(text: str) -> Chunk:
    return Chunk(choices=[Choice(delta=Delta(reasoning=text))])


CALLED = [("call", "get_weather"), ("args", '{"city": "Paris"}')]


def test_calls_with_which_the_thinking_ends_are_made_if_nothing_follows() -> None:
    assert passed(thought("Hm. "), thought(CALL[:20]), thought(CALL[20:] + "\n")) == [
        ("reasoning", "Hm. "),
        ("reasoning", CALL[:20]),
        ("reasoning", CALL[20:] + "\n"),
        *CALLED,
    ]
    assert passed(thought(CALL), content("\n"))[-2:] == CALLED
    assert passed(thought(" "), thought(CALL[:-1]), thought(CALL[-1:]))[-2:] == CALLED


@pytest.mark.parametrize(
    ("after", "calls"),
    [(content("Done."), 0), (content(CALL), 1), (thought(" Or not?"), 0)],
    ids=["text", "a call", "more"],
)
def test_calls_that_the_model_only_thinks_of_are_not_made(after: Chunk, calls: int) -> None:
    assert passed(thought(CALL), after).count(("call", "get_weather")) == calls


def test_a_call_in_the_thinking_that_is_not_complete_is_not_made() -> None:
    assert passed(thought(CALL[:-20])) == [("reasoning", CALL[:-20])]


def test_reasoning_takes_the_fast_path_until_something_may_be_an_opener() -> None:
    own = new_filter()
    own.feed(thought("Hm."))
    assert own.passes_as("reasoning") == "reasoning"
    own.feed(thought("<tool"))
    assert own.passes_as("reasoning") is None
    own.feed(content("So."))
    assert own.passes_as("reasoning") == "reasoning"


@pytest.mark.parametrize("pieces", [[f"<think>Hm.\n{CALL}\n</think>"], list(f"<think>Hm.\n{CALL}\n</think>")])
def test_a_call_in_a_think_span_with_nothing_behind_it_is_made(pieces: list[str]) -> None:
    played = play(
        [*[chunk(piece) for piece in pieces], *FINISH], filters=lambda: [ThinkTagFilter("leading"), new_filter()]
    )
    assert [item["type"] for item in played.output] == ["reasoning", "function_call"]


# Log-probabilities ---------------------------------------------------------------------------------------------------


def test_text_keeps_the_log_probabilities_of_its_own_tokens() -> None:
    chain = FilterChain([new_filter()])
    tokens = ["See", " ", "<", "tool_call", ">", '{"name": "get_time"}', "</tool_call>", " Done", "."]
    made: list[Chunk] = []
    for group in (tokens[:1], tokens[1:3], tokens[3:4], tokens[4:8], tokens[8:]):
        entries = [ChatLogprob(token, -1.0) for token in group]
        made += chain.feed(content("".join(group), logprobs=Logprobs(entries)))
    shown = [
        (choice.delta.content, [entry.token for entry in choice.logprobs.content or ()] if choice.logprobs else None)
        for part in made
        for choice in part.choices or ()
        if choice.delta and choice.delta.content
    ]
    assert shown == [("See", ["See"]), (" ", [" "]), ("Done", None), (".", ["."])]


def test_the_text_of_an_answer_is_the_same_on_the_fast_path() -> None:
    words = ["a ", "b `c` ", "[d] ", "<e> ", "f\n", "```\n", "g\n", "```\n", *CALL]
    steps = [*[chunk(word) for word in words], *FINISH]
    fast, slow = (play(steps, filters=lambda: [new_filter()], slow=slow) for slow in (False, True))
    assert fast.payloads == slow.payloads


def test_the_end_of_the_thinking_comes_before_the_text_in_its_chunk() -> None:
    """As vLLM sends it to a client that reads slowly: both in one chunk."""
    text = CALL + CALL.replace("Paris", "Rome")
    merged = Chunk(choices=[Choice(delta=Delta(reasoning="Two.", content=text))])
    found = passed(merged)
    assert found[0] == ("reasoning", "Two.")
    assert [kind for kind, _ in found[1:]] == ["call", "args"] * 2
