"""`<think>` spans off the content, however the text is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.response.think_tags import ThinkTagFilter, Where
from responses_shim.core.wire.chat import ChatLogprob, Choice, Chunk, Delta, FunctionDelta, Logprobs, ToolCallDelta
from responses_shim.core.wire.chunks import ChunkReader
from tests.core.driver import play
from tests.scripted import call, chunk, frame, usage

STOP = chunk(finish_reason="stop")
WHERE: list[Where] = ["leading", "anywhere", "prefilled"]


def split(where: Where, *texts: str) -> tuple[str, str]:
    """What was thought, and what was said."""
    splitter = ThinkTagFilter(where)
    chunks = [c for text in texts for c in splitter.feed(Chunk(choices=[Choice(delta=Delta(content=text))]))]
    deltas = [choice.delta for c in [*chunks, *splitter.close()] for choice in c.choices or ()]
    thought = "".join(delta.reasoning or "" for delta in deltas if delta)
    return thought, "".join(delta.content or "" for delta in deltas if delta)


@pytest.mark.parametrize(
    ("text", "leading", "anywhere"),
    [
        ("Hello", ("", "Hello"), ("", "Hello")),
        ("", ("", ""), ("", "")),
        (" \n", ("", " \n"), ("", " \n")),
        (" Hello", ("", " Hello"), ("", " Hello")),
        ("<think>Hm.</think>Hello", ("Hm.", "Hello"), ("Hm.", "Hello")),
        ("\n<think>\nHm.\n</think>\n\nHello", ("\nHm.\n", "\n\nHello"), ("\nHm.\n", "\n\nHello")),
        ("<think>a</think> <think>b</think>c", ("ab", "c"), ("ab", "c")),
        ("<think>\n\n</think>\n\nHello", ("", "\n\nHello"), ("", "\n\nHello")),
        ("<think>Hm.</think>\n\n", ("Hm.", ""), ("Hm.", "")),
        ("<think>never ended", ("never ended", ""), ("never ended", "")),
        ("<think>1 < 2 </thin", ("1 < 2 </thin", ""), ("1 < 2 </thin", "")),
        ("<think> ", ("", ""), ("", "")),
        ("<thin", ("", "<thin"), ("", "<thin")),
        ("<thought>x", ("", "<thought>x"), ("", "<thought>x")),
        ("Use <think>a</think> b", ("", "Use <think>a</think> b"), ("a", "Use  b")),
        ("a < b <thi", ("", "a < b <thi"), ("", "a < b <thi")),
        ("</think>Hello", ("", "</think>Hello"), ("", "</think>Hello")),
    ],
)
def test_what_is_thought_and_what_is_said(text: str, leading: tuple[str, str], anywhere: tuple[str, str]) -> None:
    for texts in ([text], list(text)):
        assert split("leading", *texts) == leading
        assert split("anywhere", *texts) == anywhere


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hm.</think>Hello", ("Hm.", "Hello")),
        ("Hm.", ("Hm.", "")),
        ("\n</think>Hello", ("", "Hello")),
        ("a</think><think>b</think>c</think>", ("ab", "c</think>")),
    ],
)
def test_an_answer_may_begin_inside_a_span(text: str, expected: tuple[str, str]) -> None:
    assert split("prefilled", text) == split("prefilled", *text) == expected


@given(
    where=st.sampled_from(WHERE),
    words=st.lists(
        st.sampled_from(["<think>", "</think>", " ", "\n", "a", "<", "<thi", "nk>", "</", "é"]), max_size=12
    ),
    places=st.lists(st.integers(0, 60), max_size=8),
)
def test_how_the_text_is_cut_changes_nothing(where: Where, words: list[str], places: list[int]) -> None:
    text = "".join(words)
    ends = sorted({min(place, len(text)) for place in places} | {len(text)})
    cut = [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    assert split(where, *cut) == split(where, text)


@given(where=st.sampled_from(WHERE), text=st.text(max_size=30))
def test_nothing_but_markup_and_blanks_is_lost(where: Where, text: str) -> None:
    thought, said = split(where, text)
    kept = "".join((thought + said).split())
    assert "".join(text.replace("<think>", "").replace("</think>", "").split()) in (kept, kept.replace("</think>", ""))


# In a stream ------------------------------------------------------------------------------------------------------


def items(*frames: bytes, where: Where = "leading", logprobs: bool = False) -> list[tuple[str, str]]:
    played = play(frames, filters=lambda: [ThinkTagFilter(where)], logprobs=logprobs)
    return [
        (item["type"], item.get("arguments") or "".join(part.get("text", "") for part in item.get("content", [])))
        for item in played.response["output"]
    ]


def test_a_span_becomes_a_reasoning_item() -> None:
    frames = [chunk(piece) for piece in ("<th", "ink>", "Hm", ".</think>", "\n\n", "Hel", "lo")]
    assert items(*frames, STOP) == [("reasoning", "Hm."), ("message", "\n\nHello")]


def test_blanks_between_a_span_and_a_call_open_no_message() -> None:
    called = chunk("\n", tool_calls=[call(0, "a", "f", "{}")])
    assert items(chunk("<think>Hm.</think>\n"), called, STOP) == [("reasoning", "Hm."), ("function_call", "{}")]
    assert items(chunk("<think>Hm."), chunk(tool_calls=[call(0, "a", "f", "{}")]), chunk("Hi"), STOP) == [
        ("reasoning", "Hm."),
        ("function_call", "{}"),
        ("message", "Hi"),
    ]


def test_a_host_that_shows_reasoning_is_left_alone() -> None:
    frames = [chunk(reasoning="Hm."), chunk("<think>"), chunk("x")]
    assert items(*frames, STOP) == [("reasoning", "Hm."), ("message", "<think>x")]
    assert items(chunk("<th"), chunk(reasoning="Hm."), STOP) == [("message", "<th"), ("reasoning", "Hm.")]


def test_the_rest_of_a_chunk_stays() -> None:
    last = chunk("<think>Hm.</think>Hi", finish_reason="length", usage=usage(7, 3))
    played = play([chunk(usage=usage(1, 1)), last], filters=lambda: [ThinkTagFilter("leading")])
    assert [item["type"] for item in played.response["output"]] == ["reasoning", "message"]
    assert played.response["status"] == "incomplete"
    assert played.response["usage"]["output_tokens"] == 3


def test_a_refusal_ends_what_is_held_back() -> None:
    assert items(chunk("<thi"), chunk(refusal="No."), STOP)[0] == ("message", "<thi")


def test_a_chunk_without_a_delta_is_passed_on() -> None:
    splitter = ThinkTagFilter("leading")
    nothing = Chunk(choices=[Choice()])
    assert splitter.feed(nothing) == [nothing]


def test_the_logprobs_of_the_answer_stay_with_it() -> None:
    splitter = ThinkTagFilter("leading")

    def said(*tokens: str) -> list[list[str]]:
        entries = [ChatLogprob(token=token, logprob=-1.0) for token in tokens]
        chunks = splitter.feed(
            Chunk(choices=[Choice(delta=Delta(content="".join(tokens)), logprobs=Logprobs(entries))])
        )
        told = [choice.logprobs.content or [] for c in chunks for choice in c.choices or () if choice.logprobs]
        return [[entry.token for entry in entries] for entries in told]

    assert said("<think>", "Hm", ".") == []
    assert said("</think>", "\n") == []
    assert said("Hel", "lo") == [["\n", "Hel", "lo"]]
    splitter = ThinkTagFilter("anywhere")
    assert said("a", "<think>", "b", "</think>", "c") == [["a"], ["c"]]


def test_a_call_without_text_changes_nothing() -> None:
    splitter = ThinkTagFilter("leading")
    delta = Delta(tool_calls=[ToolCallDelta(0, "a", FunctionDelta("f", "{}"))])
    called = Chunk(choices=[Choice(delta=delta)])
    assert splitter.feed(called) == [called]


def test_the_text_of_another_choice_is_left_alone() -> None:
    other = Chunk(choices=[Choice(index=1, delta=Delta(content="<think>x"))])
    splitter = ThinkTagFilter("leading")
    assert splitter.feed(other) == [other]
    both = Chunk(choices=[Choice(index=1, delta=Delta(content="x")), Choice(delta=Delta(content="<think>Hm."))])
    thought, rest = splitter.feed(both)
    assert thought.choices == [Choice(delta=Delta(reasoning="Hm."))]
    assert rest.choices == [Choice(index=1, delta=Delta(content="x")), Choice(delta=Delta())]


def test_what_was_held_back_before_an_error_was_said() -> None:
    assert items(chunk("<thi"), frame({"error": "gone"})) == [("message", "<thi")]


def test_tokens_that_are_not_spelt_as_their_text_keep_their_logprobs() -> None:
    """A host that tells the bytes of half a character as `bytes:\\xc3` counts more of them than the text has."""
    entries = [ChatLogprob(token=token, logprob=-1.0) for token in ("\n", "bytes:\\xc3", "bytes:\\xa9")]
    splitter = ThinkTagFilter("leading")
    for text, told in (("\n", entries[:1]), ("é", entries[1:])):
        chunks = splitter.feed(Chunk(choices=[Choice(delta=Delta(content=text), logprobs=Logprobs(told))]))
    assert chunks[0].choices == [Choice(delta=Delta(content="\né"), logprobs=Logprobs(entries))]


def test_a_chunk_that_is_an_answer_as_it_stands_is_passed_on_as_it_is() -> None:
    for where in ("leading", "anywhere"):
        entries = Logprobs([ChatLogprob(token="Hello", logprob=-1.0)])
        said = Chunk(choices=[Choice(delta=Delta(content="Hello"), logprobs=entries)])
        (passed,) = ThinkTagFilter(where).feed(said)
        assert passed is said
        assert said == Chunk(choices=[Choice(delta=Delta(content="Hello"), logprobs=entries)])


@pytest.mark.parametrize("begins", [chunk(tool_calls=[call(0, "a", "f", "{}")]), chunk(refusal="No.")])
def test_a_call_or_a_refusal_begins_the_answer(begins: bytes) -> None:
    """So its many chunks are not looked at one by one."""
    splitters = {where: ThinkTagFilter(where) for where in WHERE}
    for splitter in splitters.values():
        (said,) = ChunkReader().read(begins)
        assert splitter.feed(said) == [said]
    assert {where: splitter.done for where, splitter in splitters.items()} == {
        "leading": True,
        "anywhere": False,
        "prefilled": True,
    }
    played = play([begins, chunk("<think>"), chunk("x"), STOP], filters=lambda: [ThinkTagFilter("leading")])
    assert played.response["output"][-1]["content"][-1]["text"] == "<think>x"
    assert played.fast == 1
