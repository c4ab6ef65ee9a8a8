"""`<think>` tags in a host's text: what is between them becomes reasoning, however the text is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.response.options import ResponseOptions
from responses_shim.core.response.think_tags import ThinkTagFilter, Where
from responses_shim.core.wire.chat import ChatLogprob, Choice, Chunk, Delta, FunctionDelta, Logprobs, ToolCallDelta
from responses_shim.core.wire.chunks import ChunkReader
from tests.core.driver import answer, play
from tests.core.response.extras import seal
from tests.cuts import POSITIONS, cut
from tests.scripted import call, chunk, frame, usage

STOP = chunk(finish_reason="stop")
WHERE: list[Where] = ["leading", "anywhere", "prefilled"]


def content_chunk(text: str) -> Chunk:
    return Chunk(choices=[Choice(delta=Delta(content=text))])


def split(where: Where, *texts: str) -> tuple[str, str]:
    """The reasoning in the texts, and the rest of them."""
    tag_filter = ThinkTagFilter(where)
    chunks = [chunk for text in texts for chunk in tag_filter.feed(content_chunk(text))]
    deltas = [choice.delta for chunk in [*chunks, *tag_filter.close()] for choice in chunk.choices or ()]
    reasoning = "".join(delta.reasoning or "" for delta in deltas if delta)
    return reasoning, "".join(delta.content or "" for delta in deltas if delta)


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
def test_text_between_leading_or_any_tags_is_reasoning(
    text: str, leading: tuple[str, str], anywhere: tuple[str, str]
) -> None:
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
def test_with_a_prefilled_tag_the_answer_begins_with_reasoning(text: str, expected: tuple[str, str]) -> None:
    assert split("prefilled", text) == split("prefilled", *text) == expected


@given(
    where=st.sampled_from(WHERE),
    words=st.lists(
        st.sampled_from(["<think>", "</think>", " ", "\n", "a", "<", "<thi", "nk>", "</", "é"]), max_size=12
    ),
    positions=POSITIONS,
)
def test_where_the_text_is_cut_changes_nothing(where: Where, words: list[str], positions: list[int]) -> None:
    text = "".join(words)
    assert split(where, *cut(text, positions)) == split(where, text)


@given(where=st.sampled_from(WHERE), text=st.text(max_size=30))
def test_nothing_but_tags_and_white_space_is_dropped(where: Where, text: str) -> None:
    kept = "".join("".join(split(where, text)).split())
    assert "".join(text.replace("<think>", "").replace("</think>", "").split()) in (kept, kept.replace("</think>", ""))


# In a stream ---------------------------------------------------------------------------------------------------------


def items(*frames: bytes) -> list[tuple[str, str]]:
    """The type of each item, and its text or arguments."""
    played = play(frames, filters=lambda: [ThinkTagFilter("leading")])
    return [
        (item["type"], item.get("arguments") or "".join(part.get("text", "") for part in item.get("content", [])))
        for item in played.output
    ]


def test_text_between_tags_becomes_a_reasoning_item() -> None:
    frames = [chunk(piece) for piece in ("<th", "ink>", "Hm", ".</think>", "\n\n", "Hel", "lo")]
    assert items(*frames, STOP) == [("reasoning", "Hm."), ("message", "\n\nHello")]


def test_white_space_between_a_closing_tag_and_a_call_opens_no_message() -> None:
    called = chunk("\n", tool_calls=[call(0, "a", "f", "{}")])
    assert items(chunk("<think>Hm.</think>\n"), called, STOP) == [("reasoning", "Hm."), ("function_call", "{}")]
    assert items(chunk("<think>Hm."), chunk(tool_calls=[call(0, "a", "f", "{}")]), chunk("Hi"), STOP) == [
        ("reasoning", "Hm."),
        ("function_call", "{}"),
        ("message", "Hi"),
    ]


def test_once_the_host_sends_reasoning_of_its_own_tags_are_text() -> None:
    frames = [chunk(reasoning="Hm."), chunk("<think>"), chunk("x")]
    assert items(*frames, STOP) == [("reasoning", "Hm."), ("message", "<think>x")]
    assert items(chunk("<th"), chunk(reasoning="Hm."), STOP) == [("message", "<th"), ("reasoning", "Hm.")]


def test_the_finish_and_the_usage_of_a_chunk_with_tags_are_kept() -> None:
    last = chunk("<think>Hm.</think>Hi", finish_reason="length", usage=usage(7, 3))
    played = play([chunk(usage=usage(1, 1)), last], filters=lambda: [ThinkTagFilter("leading")])
    assert [item["type"] for item in played.output] == ["reasoning", "message"]
    assert played.response["status"] == "incomplete"
    assert played.response["usage"]["output_tokens"] == 3


def test_text_that_was_held_back_comes_before_a_refusal() -> None:
    assert items(chunk("<thi"), chunk(refusal="No."), STOP)[0] == ("message", "<thi")


def test_a_chunk_without_a_delta_is_passed_on() -> None:
    without_delta = Chunk(choices=[Choice()])
    assert ThinkTagFilter("leading").feed(without_delta) == [without_delta]


def test_the_text_of_the_answer_keeps_its_log_probabilities() -> None:
    def logprobs_after(tag_filter: ThinkTagFilter, *tokens: str) -> list[list[str]]:
        """The tokens of the log-probabilities on each chunk that the filter makes of one with these tokens."""
        entries = [ChatLogprob(token=token, logprob=-1.0) for token in tokens]
        choice = Choice(delta=Delta(content="".join(tokens)), logprobs=Logprobs(entries))
        choices = [choice for chunk in tag_filter.feed(Chunk(choices=[choice])) for choice in chunk.choices or ()]
        kept = [choice.logprobs.content or [] for choice in choices if choice.logprobs]
        return [[entry.token for entry in entries] for entries in kept]

    leading = ThinkTagFilter("leading")
    assert logprobs_after(leading, "<think>", "Hm", ".") == []
    assert logprobs_after(leading, "</think>", "\n") == []
    assert logprobs_after(leading, "Hel", "lo") == [["\n", "Hel", "lo"]]
    assert logprobs_after(ThinkTagFilter("anywhere"), "a", "<think>", "b", "</think>", "c") == [["a"], ["c"]]


def test_white_space_before_the_answer_keeps_its_log_probabilities() -> None:
    entries = [ChatLogprob(token=token, logprob=-1.0) for token in (" ", "\n", "\t", "<", "b>")]
    tag_filter = ThinkTagFilter("leading")
    chunks: list[Chunk] = []
    for entry in entries:
        chunks += tag_filter.feed(Chunk(choices=[Choice(delta=Delta(content=entry.token), logprobs=Logprobs([entry]))]))
    kept = [choice for chunk in chunks for choice in chunk.choices or () if choice.delta and choice.delta.content]
    assert kept == [Choice(delta=Delta(content=" \n\t<b>"), logprobs=Logprobs(entries))]


def test_a_call_without_text_is_passed_on() -> None:
    delta = Delta(tool_calls=[ToolCallDelta(0, "a", FunctionDelta("f", "{}"))])
    called = Chunk(choices=[Choice(delta=delta)])
    assert ThinkTagFilter("leading").feed(called) == [called]


def test_tags_in_other_choices_are_left_alone() -> None:
    other = Chunk(choices=[Choice(index=1, delta=Delta(content="<think>x"))])
    tag_filter = ThinkTagFilter("leading")
    assert tag_filter.feed(other) == [other]
    both = Chunk(choices=[Choice(index=1, delta=Delta(content="x")), Choice(delta=Delta(content="<think>Hm."))])
    reasoning, rest = tag_filter.feed(both)
    assert reasoning.choices == [Choice(delta=Delta(reasoning="Hm."))]
    assert rest.choices == [Choice(index=1, delta=Delta(content="x")), Choice(delta=Delta())]


def test_text_that_was_held_back_before_an_error_is_kept() -> None:
    assert items(chunk("<thi"), frame({"error": "gone"})) == [("message", "<thi")]


def test_tokens_that_do_not_read_like_the_text_keep_their_log_probabilities() -> None:
    """Some hosts write the bytes of half a character as `bytes:\\xc3`: more characters than the text has."""
    entries = [ChatLogprob(token=token, logprob=-1.0) for token in ("\n", "bytes:\\xc3", "bytes:\\xa9")]
    tag_filter = ThinkTagFilter("leading")
    for text, own in (("\n", entries[:1]), ("é", entries[1:])):
        chunks = tag_filter.feed(Chunk(choices=[Choice(delta=Delta(content=text), logprobs=Logprobs(own))]))
    assert chunks[0].choices == [Choice(delta=Delta(content="\né"), logprobs=Logprobs(entries))]


def test_a_chunk_of_plain_text_is_passed_on_as_the_same_object() -> None:
    wheres: list[Where] = ["leading", "anywhere"]
    for where in wheres:
        entries = Logprobs([ChatLogprob(token="Hello", logprob=-1.0)])
        plain = Chunk(choices=[Choice(delta=Delta(content="Hello"), logprobs=entries)])
        (passed,) = ThinkTagFilter(where).feed(plain)
        assert passed is plain
        assert plain == Chunk(choices=[Choice(delta=Delta(content="Hello"), logprobs=entries)])


@pytest.mark.parametrize("begins", [chunk(tool_calls=[call(0, "a", "f", "{}")]), chunk(refusal="No.")])
def test_after_a_call_or_a_refusal_leading_tags_are_not_looked_for(begins: bytes) -> None:
    """So the many chunks of its arguments are not looked at one by one."""
    tag_filters = {where: ThinkTagFilter(where) for where in WHERE}
    for tag_filter in tag_filters.values():
        (first,) = ChunkReader().read(begins)
        assert tag_filter.feed(first) == [first]
    assert {where: tag_filter.done for where, tag_filter in tag_filters.items()} == {
        "leading": True,
        "anywhere": False,
        "prefilled": True,
    }
    played = play([begins, chunk("<think>"), chunk("x"), STOP], filters=lambda: [ThinkTagFilter("leading")])
    assert played.output[-1]["content"][-1]["text"] == "<think>x"
    assert played.fast == 1


# With the other options of a response --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "text", "expected"),
    [
        ("leading", "<think>a</think>b", [("reasoning", "a"), ("message", "b")]),
        ("leading", "b <think>a</think>", [("message", "b <think>a</think>")]),
        ("anywhere", "b <think>a</think>c", [("message", "b "), ("reasoning", "a"), ("message", "c")]),
        ("prefilled", "a</think>b", [("reasoning", "a"), ("message", "b")]),
        (None, "<think>a</think>b", [("message", "<think>a</think>b")]),
    ],
)
@pytest.mark.parametrize("summary", [False, True])
def test_reasoning_from_tags_is_summarised_and_sealed_like_any_other(
    where: Where | None, text: str, expected: list[tuple[str, str]], summary: bool
) -> None:
    for pieces in ([text], list(text)):
        played = answer(
            *map(chunk, pieces),
            STOP,
            filters=lambda: [ThinkTagFilter(where)] if where is not None else [],
            options=ResponseOptions(reasoning="summary" if summary else "text", seal=seal),
        )
        texts = [
            (item["type"], "".join(part["text"] for part in item.get("content", []) + item.get("summary", [])))
            for item in played.output
        ]
        assert texts == expected
        reasoning = [item for item in played.output if item["type"] == "reasoning"]
        assert [item["encrypted_content"] for item in reasoning] == ["sealed a"] * len(reasoning)
        assert all(bool(item["summary"]) == summary for item in reasoning)


@pytest.mark.parametrize(
    ("where", "texts", "fast"),
    [
        ("leading", ["Hello", " ", "world", "!"], 3),
        ("leading", ["<think>", "Hm.", "</think>", "\n\n", "Hello", " ", "world"], 2),
        ("leading", ["\n", "<thi", "s", "> ", "is"], 2),
        ("prefilled", ["Hm.", "</think>", "Hello", "!"], 1),
        ("anywhere", ["Hello", " ", "world", "!"], 3),
    ],
)
def test_text_takes_the_fast_path_as_soon_as_no_tag_can_begin(where: Where, texts: list[str], fast: int) -> None:
    frames = [*map(chunk, texts), STOP]
    played = answer(*frames, filters=lambda: [ThinkTagFilter(where)])
    assert played.fast == fast
    assert played.frames == answer(*frames, filters=lambda: [ThinkTagFilter(where)], slow=True).frames
