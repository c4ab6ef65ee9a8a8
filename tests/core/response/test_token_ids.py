"""The token ids of a chat call: three ways in which hosts give them, which counts, and what is an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from responses_shim.core.response.token_ids import TokenCollector
from responses_shim.core.wire.chat import Chunk
from responses_shim.core.wire.tokens import Tokens
from responses_shim.errors import UpstreamError

ON_MESSAGE = {"prompt_token_ids": [1, 2], "generation_token_ids": [3, 4], "generation_log_probs": [-0.5, -0.25]}


def chunk(*, ids: list[int] | None = None, tokens: Sequence[Any] = (), message: Any = None, **fields: Any) -> Chunk:
    """A chunk; `tokens` are those of its log-probabilities, each of which is the token's number with a minus."""
    entries = [{"token": str(token), "logprob": -float(str(token).removeprefix("token_id:"))} for token in tokens]
    choice = {"index": 0, "delta": message or {}, "logprobs": {"content": entries}, "token_ids": ids}
    return msgspec.convert({"choices": [choice], **fields}, Chunk)


def collected(*chunks: Chunk) -> Tokens:
    collector = TokenCollector()
    for one in chunks:
        collector.feed(one)
    return collector.close(answered=False)


def contradiction(*chunks: Chunk) -> str:
    with pytest.raises(UpstreamError) as caught:
        collected(*chunks)
    assert caught.value.code == "token_ids_inconsistent"
    assert caught.value.status == 502
    return caught.value.message.removeprefix("The host was asked for token ids and gave ").removesuffix(".")


# Where the ids come from ---------------------------------------------------------------------------------------------


def test_ids_on_the_message_come_first() -> None:
    with_experts = chunk(message=ON_MESSAGE | {"routed_experts": [[0]]}, tokens=[7])
    assert collected(with_experts) == Tokens([1, 2], [3, 4], [-0.5, -0.25], [[0]])


def test_ids_of_the_choice_come_second_with_the_prompt_of_the_chunk() -> None:
    chunks = [chunk(prompt_token_ids=[1, 2]), chunk(ids=[3], tokens=[3]), chunk(ids=[4, 5], tokens=[4, 5])]
    assert collected(*chunks) == Tokens([1, 2], [3, 4, 5], [-3.0, -4.0, -5.0])


def test_log_probabilities_with_ids_for_tokens_come_third() -> None:
    chunks = [chunk(tokens=["token_id:3"]), chunk(tokens=["token_id:4"])]
    collector = TokenCollector()
    for one in chunks:
        collector.feed(one)
    assert collector.lacks_prompt
    collector.prompt = [1, 2]
    assert collector.close(answered=False) == Tokens([1, 2], [3, 4], [-3.0, -4.0])


@pytest.mark.parametrize("with_prompt", [chunk(message=ON_MESSAGE), chunk(prompt_token_ids=[1, 2])])
def test_the_prompt_is_not_lacking_once_a_chunk_has_had_it(with_prompt: Chunk) -> None:
    collector = TokenCollector()
    collector.feed(with_prompt)
    assert not collector.lacks_prompt


def test_routed_experts_may_come_with_ids_from_elsewhere() -> None:
    chunks = [chunk(prompt_token_ids=[1]), chunk(ids=[3], tokens=[3], message={"routed_experts": [[7]]})]
    assert collected(*chunks).routed_experts == [[7]]


def test_sources_that_agree_are_no_contradiction() -> None:
    chunks = [
        chunk(prompt_token_ids=[1, 2], ids=[3, 4], tokens=["token_id:3", "token_id:4"]),
        chunk(message=ON_MESSAGE, prompt_token_ids=[1, 2]),
    ]
    assert collected(*chunks) == Tokens([1, 2], [3, 4], [-0.5, -0.25])


def test_an_answer_without_a_token_has_an_empty_list() -> None:
    assert collected(chunk(prompt_token_ids=[1])) == Tokens([1], [], [])


# What is an error ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ON_MESSAGE)
def test_a_message_that_lacks_one_of_the_fields_is_an_error(name: str) -> None:
    partial = {key: value for key, value in ON_MESSAGE.items() if key != name}
    assert contradiction(chunk(message=partial, prompt_token_ids=[1, 2])) == f"a message without {name}"


def test_two_different_prompts_are_an_error() -> None:
    assert contradiction(chunk(prompt_token_ids=[1]), chunk(prompt_token_ids=[2])) == "two different prompts"
    assert contradiction(chunk(prompt_token_ids=[1]), chunk(message=ON_MESSAGE)) == "two different prompts"


def test_two_different_lists_of_generated_ids_are_an_error() -> None:
    prompt = chunk(prompt_token_ids=[1, 2])
    assert contradiction(prompt, chunk(ids=[3, 5]), chunk(message=ON_MESSAGE)) == "two sets of tokens"
    assert contradiction(prompt, chunk(ids=[3], tokens=["token_id:4"])) == "two sets of tokens"


def test_more_or_fewer_log_probabilities_than_ids_are_an_error() -> None:
    unequal = ON_MESSAGE | {"generation_log_probs": [-0.5]}
    assert contradiction(chunk(message=unequal)) == "2 tokens with 1 log-probabilities"
    assert contradiction(chunk(prompt_token_ids=[1]), chunk(ids=[3, 4], tokens=[3])) == (
        "2 tokens with 1 log-probabilities"
    )
    assert contradiction(chunk(prompt_token_ids=[1]), chunk(tokens=["17"])) == "0 tokens with 1 log-probabilities"


def test_ids_without_a_prompt_are_an_error() -> None:
    assert contradiction(chunk(ids=[3], tokens=[3])) == "no prompt tokens"
