"""White space between a text and a call: that of the chat template is dropped, all other text stays as it was."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.response.call_space import CallSpaceFilter
from responses_shim.core.wire.chat import (
    ChatLogprob,
    Choice,
    Chunk,
    Delta,
    FunctionDelta,
    Logprobs,
    ToolCallDelta,
)

CALL = [ToolCallDelta(index=0, function=FunctionDelta(name="look", arguments="{}"))]


def entries(*tokens: str) -> Logprobs:
    return Logprobs([ChatLogprob(token, -1.0) for token in tokens])


def text(content: str, *tokens: str) -> Chunk:
    return Chunk(choices=[Choice(delta=Delta(content=content), logprobs=entries(*tokens) if tokens else None)])


def call() -> Chunk:
    return Chunk(choices=[Choice(delta=Delta(tool_calls=CALL))])


def filtered(chunks: Sequence[Chunk], space: str = "\n") -> list[Chunk]:
    call_space = CallSpaceFilter(space)
    return [*(passed for chunk in chunks for passed in call_space.feed(chunk)), *call_space.close()]


def said(chunks: Sequence[Chunk]) -> list[str]:
    """The texts, each up to the next call, which is `CALL`."""
    texts = [""]
    for chunk in chunks:
        for choice in chunk.choices or ():
            if choice.delta is not None and choice.delta.content:
                texts[-1] += choice.delta.content
            if choice.delta is not None and choice.delta.tool_calls:
                texts += ["CALL", ""]
    return [text for text in texts if text]


@pytest.mark.parametrize(
    ("pieces", "before_call", "space"),
    [
        (["Look.", "\n"], "Look.", "\n"),
        (["Look.\n"], "Look.", "\n"),
        (["Look.", "\n", "\n"], "Look.\n", "\n"),  # the template puts one there, so the other one is the model's
        (["Look.\n\n"], "Look.", "\n\n"),
        (["Look.\n"], "Look.\n", "\n\n"),
        (["Look. "], "Look. ", "\n"),
        (["Look.", "\n", "There", "\n"], "Look.\nThere", "\n"),
    ],
)
def test_the_white_space_of_the_template_is_dropped_before_a_call(
    pieces: list[str], before_call: str, space: str
) -> None:
    assert said(filtered([*map(text, pieces), call()], space)) == [before_call, "CALL"]


def test_it_is_dropped_where_text_and_call_come_in_one_chunk() -> None:
    """As in an answer that is not streamed, and in the chunks of a reader that is slow."""
    message = Chunk(choices=[Choice(message=Delta(content="Look.\n", tool_calls=CALL))])
    [passed] = filtered([message])
    assert passed.choices is not None
    assert passed.choices[0].message is not None
    assert passed.choices[0].message.content == "Look."
    both = Chunk(choices=[Choice(delta=Delta(content=" there\n\n", tool_calls=CALL))])
    assert said(filtered([text("Look\n"), both])) == ["Look\n there\n", "CALL"]


@given(st.lists(st.text("a\n ", min_size=1)))
def test_text_without_a_call_is_not_changed(pieces: list[str]) -> None:
    assert "".join(said(filtered([text(piece) for piece in pieces]))) == "".join(pieces)


@given(st.lists(st.text("a\n ", min_size=1)), st.sampled_from(["\n", "\n\n"]))
def test_where_the_text_is_cut_makes_no_difference(pieces: list[str], space: str) -> None:
    joined = "".join(pieces)
    expected = [part for part in (joined.removesuffix(space), "CALL") if part]
    assert said(filtered([*map(text, pieces), call()], space)) == expected


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content", "refusal"])
def test_what_was_held_back_comes_before_anything_else_that_follows(field: str) -> None:
    after = Delta()
    setattr(after, field, "Hm.")
    chunks = filtered([text("Look.\n"), Chunk(choices=[Choice(delta=after)])])
    assert said(chunks) == ["Look.\n"]
    delta = chunks[-1].choices[0].delta if chunks[-1].choices else None
    assert delta is not None
    assert getattr(delta, field) == "Hm."


def test_what_was_held_back_comes_before_an_error() -> None:
    chunks = filtered([text("Look.\n"), Chunk(error="dead")])
    assert said(chunks) == ["Look.\n"]
    assert chunks[-1].error == "dead"


def test_chunks_without_an_answer_pass() -> None:
    others = [Chunk(choices=[]), Chunk(usage={"prompt_tokens": 1}), Chunk(choices=[Choice(index=1, delta=Delta())])]
    assert filtered([text("Look.\n"), *others, call()])[1:-1] == others


def test_each_token_keeps_its_log_probability() -> None:
    """Those of the white space that is dropped stay with the call, where nobody reads them."""
    chunks = filtered([text("Look", "Lo", "ok"), text(".\n", ".", "\n"), text("\n", "\n"), text("There", "There")])
    shown = [
        (choice.delta.content, [entry.token for entry in (choice.logprobs and choice.logprobs.content) or ()])
        for chunk in chunks
        for choice in chunk.choices or ()
        if choice.delta is not None and choice.delta.content
    ]
    assert shown == [("Look", ["Lo", "ok"]), (".", ["."]), ("\n\nThere", ["\n", "\n", "There"])]
    [*_, held] = filtered([text("Look.\n", "Look", ".", "\n")])
    assert held.choices is not None
    assert held.choices[0].logprobs == entries("\n")
    [*_, called] = filtered([text("Look\n", "Look", "\n"), call()])
    assert called.choices is not None
    assert called.choices[0].logprobs == entries("\n")


def test_text_passes_the_filter_unless_something_is_held_back() -> None:
    call_space = CallSpaceFilter("\n")
    answers = []
    for chunk in (text("Look."), text("\n"), text("There")):
        call_space.feed(chunk)
        answers.append((call_space.passes_as("content"), call_space.passes_as("arguments")))
    assert answers == [("content", "arguments"), (None, None), ("content", "arguments")]


def test_very_many_line_ends_are_joined_once() -> None:
    chunks = filtered([*(text("\n") for _ in range(10_000)), text("a")])
    contents = [choice.delta.content for chunk in chunks for choice in chunk.choices or () if choice.delta is not None]
    assert [len(content) for content in contents if content] == [10_001]
    assert all(first is not second for first, second in pairwise(chunks))
