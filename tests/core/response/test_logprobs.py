"""Log-probabilities: each text has the entries of its own tokens, whichever chunks the host puts them in."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from responses_shim.core.response.logprobs import LogprobFilter
from responses_shim.core.response.think_tags import ThinkTagFilter
from tests.core.driver import Json, answer, play
from tests.scripted import chunk

STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def with_entries(delta: Json, *tokens: str) -> bytes:
    """A chunk with a log-probability for each of the tokens."""
    entries = [{"token": token, "logprob": -0.5, "top_logprobs": []} for token in tokens]
    choice = {"index": 0, "delta": delta, "logprobs": {"content": entries} if tokens else None}
    return f"data: {json.dumps({'choices': [choice]})}\n\n".encode()


def texts_and_tokens(*chunks: bytes, think_tags: bool = False) -> list[tuple[str, list[str]]]:
    """The text of each part of each message, and the tokens of its log-probabilities."""
    played = play(
        [*chunks, STOP],
        filters=lambda: [LogprobFilter(), *([ThinkTagFilter("leading")] if think_tags else [])],
        logprobs=True,
    )
    parts = [part for item in played.response["output"] if item["type"] == "message" for part in item["content"]]
    return [(part["text"], [entry["token"] for entry in part["logprobs"]]) for part in parts]


def test_the_tokens_of_reasoning_in_the_same_chunk_are_not_those_of_the_text() -> None:
    chunk = with_entries({"reasoning": "Hm\n", "content": "\n Hi"}, "<think>", "Hm", "\n", "</think>", "\n", " Hi")
    assert texts_and_tokens(chunk) == [("\n Hi", ["\n", " Hi"])]


def test_the_tokens_of_a_calls_markup_are_not_those_of_the_text_before_it() -> None:
    calls = [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]
    chunk = with_entries({"content": "Hi\n", "tool_calls": calls}, "Hi", "\n", "<tool_call>", "\n", "{}")
    assert texts_and_tokens(chunk) == [("Hi\n", ["Hi", "\n"])]


def test_the_tokens_that_make_up_one_character_stay_together() -> None:
    """vLLM's bytes: the last token of a character reads as all of it, those before as nothing."""
    chunks = [
        with_entries({}, ""),
        with_entries({"content": ""}, ""),
        with_entries({"content": "😀"}, "😀"),
        with_entries({"content": "a"}, "a", ""),
    ]
    assert texts_and_tokens(*chunks, with_entries({"content": "é"}, "é")) == [("😀aé", ["", "", "😀", "a", "", "é"])]


def test_tokens_of_text_that_the_hosts_parser_held_back_go_with_that_text() -> None:
    chunks = [
        with_entries({"content": "a "}, "a", " "),
        with_entries({}, "<"),
        with_entries({}, "b"),
        with_entries({"content": "<b>"}, ">"),
    ]
    assert texts_and_tokens(*chunks) == [("a <b>", ["a", " ", "<", "b", ">"])]


def test_control_tokens_belong_to_no_text() -> None:
    chunks = [
        with_entries({}, "<think>"),
        with_entries({"reasoning": "Hm"}, "Hm"),
        with_entries({}, "</think>"),
        with_entries({"content": "Hi"}, "Hi"),
    ]
    assert texts_and_tokens(*chunks, with_entries({}, "<|im_end|>")) == [("Hi", ["Hi"])]


def test_a_token_without_text_before_reasoning_does_not_count_for_the_text_after_it() -> None:
    chunks = [
        with_entries({}, "Hi"),
        with_entries({"reasoning_content": "Hm"}, "Hm"),
        with_entries({"content": "Hi"}, "Hi"),
    ]
    assert texts_and_tokens(*chunks) == [("Hi", ["Hi"])]


@pytest.mark.parametrize("tokens", [["token_id:7", "token_id:8"], ["ha"], []])
def test_tokens_that_do_not_read_like_the_text_stay_with_their_chunk(tokens: list[str]) -> None:
    assert texts_and_tokens(
        with_entries({}, "x"), with_entries({"content": "Hi"}, *tokens), with_entries({"content": "!"}, "!")
    ) == [("Hi!", [*tokens, "!"])]


def test_tokens_that_come_before_their_text_go_with_that_text() -> None:
    """One chunk early, or all of them with the first piece of the text."""
    one = [
        with_entries({}, "a"),
        with_entries({"content": "a"}, "b"),
        with_entries({"content": "b"}, "b"),
        with_entries({"content": "b"}),
    ]
    assert texts_and_tokens(*one) == [("abb", ["a", "b", "b"])]
    all_of_them = [with_entries({"content": "a"}, *"abcd"), *(with_entries({"content": text}) for text in "bcd")]
    assert texts_and_tokens(*all_of_them) == [("abcd", ["a", "b", "c", "d"])]


def test_text_beside_a_thought_that_no_token_reads_has_its_own_tokens() -> None:
    chunks = [with_entries({}, "</think>"), with_entries({"reasoning": "Hm", "content": "Hi"}, "Hi", "!")]
    assert texts_and_tokens(*chunks, with_entries({"content": "!"}, "!")) == [("Hi!", ["Hi", "!"])]


def test_chunks_without_a_delta_of_the_first_choice_are_passed_over() -> None:
    nothing = [b'data: {"choices":[]}\n\n', b'data: {"choices":[{"index":1,"delta":{"content":"x"}}]}\n\n']
    assert texts_and_tokens(
        *nothing, b'data: {"choices":[{"index":0}]}\n\n', with_entries({"content": "Hi"}, "Hi")
    ) == [("Hi", ["Hi"])]


TOKENS = st.lists(st.sampled_from(["a", "b ", "\n", "cd", ".", "e"]), min_size=1, max_size=12)


@given(TOKENS, TOKENS, st.lists(st.integers(1, 5), min_size=30, max_size=30), st.booleans())
def test_the_tokens_of_a_text_joined_are_the_text_however_many_a_chunk_holds(
    thought: list[str], text: list[str], sizes: list[int], think_tags: bool
) -> None:
    """With a parser in the host, which takes the tags out, and without one: then the tags are in its text."""
    assume(not think_tags or "".join(text).strip())  # white space between a tag and the end belongs to the markup
    reasoning = [("content", "<think>"), *(("reasoning", token) for token in thought), ("content", "</think>")]
    tokens = [*reasoning, *(("content", token) for token in text), ("", "<end>")]
    chunks: list[bytes] = []
    while tokens:
        size = sizes[len(chunks)]
        group, tokens = tokens[:size], tokens[size:]
        delta: Json = {}
        for kind, token in group:
            without_text = not kind or (not think_tags and token in ("<think>", "</think>"))
            if not without_text:
                field = "content" if think_tags else kind
                delta[field] = delta.get(field, "") + token
        chunks.append(with_entries(delta, *(token for _, token in group)))
    assert [(text, "".join(entries)) for text, entries in texts_and_tokens(*chunks, think_tags=think_tags)] == [
        ("".join(text), "".join(text))
    ]


# In the events -------------------------------------------------------------------------------------------------------


def test_log_probabilities_are_the_same_in_delta_done_part_item_and_snapshot() -> None:
    def entry(token: str) -> Json:
        return {"token": token, "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "x", "logprob": -9e9}]}

    frames = [chunk(token, logprobs={"content": [entry(token)]}) for token in ("Hel", "lo")]
    played = answer(*frames, STOP, logprobs=True)
    expected = [
        {
            "token": token,
            "logprob": -0.5,
            "bytes": list(token.encode()),
            "top_logprobs": [{"token": "x", "logprob": -9999.0, "bytes": [120]}],
        }
        for token in ("Hel", "lo")
    ]
    assert [event["logprobs"] for event in played.of_type("output_text.delta")] == [[entry] for entry in expected]
    assert played.of_type("output_text.done")[0]["logprobs"] == expected
    assert played.of_type("content_part.done")[0]["part"]["logprobs"] == expected
    assert played.of_type("output_item.done")[0]["item"]["content"][0]["logprobs"] == expected
    assert played.output[0]["content"][0]["logprobs"] == expected
