"""Log-probabilities and the text they are of, however a host's chunks hold them."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from responses_shim.core.response.logprobs import LogprobFilter
from responses_shim.core.response.think_tags import ThinkTagFilter
from tests.core.driver import Json, play

STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def said(delta: Json, *tokens: str) -> bytes:
    """A chunk with an entry for each of the tokens."""
    entries = [{"token": token, "logprob": -0.5, "top_logprobs": []} for token in tokens]
    choice = {"index": 0, "delta": delta, "logprobs": {"content": entries} if tokens else None}
    return f"data: {json.dumps({'choices': [choice]})}\n\n".encode()


def messages(*chunks: bytes, tags: bool = False) -> list[tuple[str, list[str]]]:
    """The text of each message, and the tokens of its log-probabilities."""
    played = play(
        [*chunks, STOP],
        filters=lambda: [LogprobFilter(), *([ThinkTagFilter("leading")] if tags else [])],
        logprobs=True,
    )
    parts = [part for item in played.response["output"] if item["type"] == "message" for part in item["content"]]
    return [(part["text"], [entry["token"] for entry in part["logprobs"]]) for part in parts]


def test_a_thought_in_the_same_chunk_keeps_its_tokens_to_itself() -> None:
    chunk = said({"reasoning": "Hm\n", "content": "\n Hi"}, "<think>", "Hm", "\n", "</think>", "\n", " Hi")
    assert messages(chunk) == [("\n Hi", ["\n", " Hi"])]


def test_the_markup_of_a_call_behind_the_text_is_no_part_of_it() -> None:
    calls = [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]
    chunk = said({"content": "Hi\n", "tool_calls": calls}, "Hi", "\n", "<tool_call>", "\n", "{}")
    assert messages(chunk) == [("Hi\n", ["Hi", "\n"])]


def test_the_tokens_of_half_a_character_belong_to_it() -> None:
    """vLLM's bytes: the last token of a character reads as all of it, those before as nothing."""
    chunks = [said({}, ""), said({"content": ""}, ""), said({"content": "😀"}, "😀"), said({"content": "a"}, "a", "")]
    assert messages(*chunks, said({"content": "é"}, "é")) == [("😀aé", ["", "", "😀", "a", "", "é"])]


def test_what_a_parser_held_back_is_told_with_the_text_it_became() -> None:
    chunks = [said({"content": "a "}, "a", " "), said({}, "<"), said({}, "b"), said({"content": "<b>"}, ">")]
    assert messages(*chunks) == [("a <b>", ["a", " ", "<", "b", ">"])]


def test_control_tokens_belong_to_no_text() -> None:
    chunks = [said({}, "<think>"), said({"reasoning": "Hm"}, "Hm"), said({}, "</think>"), said({"content": "Hi"}, "Hi")]
    assert messages(*chunks, said({}, "<|im_end|>")) == [("Hi", ["Hi"])]


def test_what_was_silent_before_a_thought_is_no_beginning_of_the_text_behind_it() -> None:
    chunks = [said({}, "Hi"), said({"reasoning_content": "Hm"}, "Hm"), said({"content": "Hi"}, "Hi")]
    assert messages(*chunks) == [("Hi", ["Hi"])]


@pytest.mark.parametrize("tokens", [["token_id:7", "token_id:8"], ["ha"], []])
def test_tokens_that_read_otherwise_stay_with_their_chunk(tokens: list[str]) -> None:
    assert messages(said({}, "x"), said({"content": "Hi"}, *tokens), said({"content": "!"}, "!")) == [
        ("Hi!", [*tokens, "!"])
    ]


def test_a_chunk_without_an_answer_says_nothing() -> None:
    nothing = [b'data: {"choices":[]}\n\n', b'data: {"choices":[{"index":1,"delta":{"content":"x"}}]}\n\n']
    assert messages(*nothing, b'data: {"choices":[{"index":0}]}\n\n', said({"content": "Hi"}, "Hi")) == [("Hi", ["Hi"])]


TOKENS = st.lists(st.sampled_from(["a", "b ", "\n", "cd", ".", "e"]), min_size=1, max_size=12)


@given(TOKENS, TOKENS, st.lists(st.integers(1, 5), min_size=30, max_size=30), st.booleans())
def test_however_many_tokens_a_chunk_holds_the_entries_read_as_the_text(
    thought: list[str], answer: list[str], sizes: list[int], tags: bool
) -> None:
    """Once with a parser in the host, which takes the tags out, once with the tags in its text."""
    assume(not tags or "".join(answer).strip())  # white space between a tag and the end belongs to the markup
    spoken = [("content", "<think>"), *(("reasoning", token) for token in thought), ("content", "</think>")]
    tokens = [*spoken, *(("content", token) for token in answer), ("", "<end>")]
    chunks = []
    while tokens:
        size = sizes[len(chunks)]
        group, tokens = tokens[:size], tokens[size:]
        delta: Json = {}
        for kind, token in group:
            silent = not kind or (not tags and token in ("<think>", "</think>"))
            if not silent:
                field = "content" if tags else kind
                delta[field] = delta.get(field, "") + token
        chunks.append(said(delta, *(token for _, token in group)))
    assert [(text, "".join(entries)) for text, entries in messages(*chunks, tags=tags)] == [
        ("".join(answer), "".join(answer))
    ]
