"""The tokens of a call: three ways to tell them, which of them counts, and what is an error rather than a guess."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from responses_shim.core.response.token_ids import TokenCollector
from responses_shim.core.wire.chat import Chunk
from responses_shim.core.wire.tokens import Tokens
from responses_shim.errors import UpstreamError

BUNDLE = {"prompt_token_ids": [1, 2], "generation_token_ids": [3, 4], "generation_log_probs": [-0.5, -0.25]}


def chunk(*, ids: list[int] | None = None, tokens: Sequence[Any] = (), message: Any = None, **fields: Any) -> Chunk:
    """A chunk; `tokens` are those of its log-probabilities, each as unlikely as its number is large."""
    entries = [{"token": str(token), "logprob": -float(str(token).removeprefix("token_id:"))} for token in tokens]
    choice = {"index": 0, "delta": message or {}, "logprobs": {"content": entries}, "token_ids": ids}
    return msgspec.convert({"choices": [choice], **fields}, Chunk)


def counted(*chunks: Chunk) -> Tokens:
    count = TokenCollector()
    for one in chunks:
        count.feed(one)
    return count.close()


def contradiction(*chunks: Chunk) -> str:
    with pytest.raises(UpstreamError) as caught:
        counted(*chunks)
    assert caught.value.code == "token_ids_inconsistent"
    assert caught.value.status == 502
    return caught.value.message.removeprefix("The host was asked for token ids and gave ").removesuffix(".")


# Where they come from -----------------------------------------------------------------------------------------------


def test_a_bundle_on_the_message_is_the_first_source() -> None:
    bundle = chunk(message=BUNDLE | {"routed_experts": [[0]]}, tokens=[7])
    assert counted(bundle) == Tokens([1, 2], [3, 4], [-0.5, -0.25], [[0]])


def test_ids_of_the_choice_are_the_second_with_the_prompt_of_the_chunk() -> None:
    chunks = [chunk(prompt_token_ids=[1, 2]), chunk(ids=[3], tokens=[3]), chunk(ids=[4, 5], tokens=[4, 5])]
    assert counted(*chunks) == Tokens([1, 2], [3, 4, 5], [-3.0, -4.0, -5.0])


def test_log_probabilities_with_ids_for_tokens_are_the_third() -> None:
    chunks = [chunk(tokens=["token_id:3"]), chunk(tokens=["token_id:4"])]
    count = TokenCollector()
    for one in chunks:
        count.feed(one)
    assert count.lacks_prompt
    count.prompt = [1, 2]
    assert count.close() == Tokens([1, 2], [3, 4], [-3.0, -4.0])


@pytest.mark.parametrize("told", [chunk(message=BUNDLE), chunk(prompt_token_ids=[1, 2])])
def test_who_has_told_the_prompt_need_not_be_asked_for_it(told: Chunk) -> None:
    count = TokenCollector()
    count.feed(told)
    assert not count.lacks_prompt


def test_routed_experts_go_with_any_source() -> None:
    chunks = [chunk(prompt_token_ids=[1]), chunk(ids=[3], tokens=[3], message={"routed_experts": [[7]]})]
    assert counted(*chunks).routed_experts == [[7]]


def test_sources_that_agree_are_one() -> None:
    chunks = [
        chunk(prompt_token_ids=[1, 2], ids=[3, 4], tokens=["token_id:3", "token_id:4"]),
        chunk(message=BUNDLE, prompt_token_ids=[1, 2]),
    ]
    assert counted(*chunks) == Tokens([1, 2], [3, 4], [-0.5, -0.25])


def test_an_answer_without_a_token_has_none() -> None:
    assert counted(chunk(prompt_token_ids=[1])) == Tokens([1], [], [])


# What is an error ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUNDLE)
def test_a_bundle_with_a_part_missing_is_an_error(name: str) -> None:
    partial = {key: value for key, value in BUNDLE.items() if key != name}
    assert contradiction(chunk(message=partial, prompt_token_ids=[1, 2])) == f"a message without {name}"


def test_two_different_prompts_are_an_error() -> None:
    assert contradiction(chunk(prompt_token_ids=[1]), chunk(prompt_token_ids=[2])) == "two different prompts"
    assert contradiction(chunk(prompt_token_ids=[1]), chunk(message=BUNDLE)) == "two different prompts"


def test_two_different_answers_are_an_error() -> None:
    prompt = chunk(prompt_token_ids=[1, 2])
    assert contradiction(prompt, chunk(ids=[3, 5]), chunk(message=BUNDLE)) == "two sets of tokens"
    assert contradiction(prompt, chunk(ids=[3], tokens=["token_id:4"])) == "two sets of tokens"


def test_another_number_of_log_probabilities_is_an_error() -> None:
    unequal = BUNDLE | {"generation_log_probs": [-0.5]}
    assert contradiction(chunk(message=unequal)) == "2 tokens with 1 log-probabilities"
    assert contradiction(chunk(prompt_token_ids=[1]), chunk(ids=[3, 4], tokens=[3])) == (
        "2 tokens with 1 log-probabilities"
    )
    assert contradiction(chunk(prompt_token_ids=[1]), chunk(tokens=["17"])) == "0 tokens with 1 log-probabilities"


def test_a_prompt_that_nobody_tells_is_an_error() -> None:
    assert contradiction(chunk(ids=[3], tokens=[3])) == "no prompt tokens"
