"""All options of a response at once, over random streams: whatever is asked for, the answer is the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from responses_shim.core.items.reasoning import ReasoningDisplay
from responses_shim.core.response.options import ResponseOptions
from responses_shim.core.response.stream import OBFUSCATED_SIZE
from responses_shim.core.response.think_tags import ThinkTagFilter, Where
from tests.core.driver import Json, event_json, play
from tests.core.expected import ExpectedItem, comparable, expected_output, expected_terminal
from tests.core.host_streams import encode, encode_chunks, encode_frame
from tests.core.response.extras import obfuscation, padded_size, seal, tokens, tokens_of_deltas, tokens_of_items
from tests.core.rounds import FUNCTION_ROUNDS, RNGS, ArgumentsPiece, Call, Piece, Round, TextPiece
from tests.cuts import POSITIONS, cut
from tests.oracle import check_stream

OPTIONS = st.builds(
    ResponseOptions,
    logprobs=st.booleans(),
    reasoning=st.sampled_from(get_args(ReasoningDisplay)),
    seal=st.sampled_from([None, seal]),
    obfuscate=st.sampled_from([None, obfuscation]),
)
THINK_TAGS: st.SearchStrategy[Where | None] = st.sampled_from([None, "leading", "anywhere"])


def filters(where: Where | None) -> list[ThinkTagFilter]:
    return [] if where is None else [ThinkTagFilter(where)]


def without_extras(item: Json, options: ResponseOptions) -> ExpectedItem:
    """The item without what the options add to it, which has been checked."""
    if item["type"] == "reasoning":
        shown = {"text": ["content"], "summary": ["summary"], "both": ["content", "summary"]}[options.reasoning]
        assert [key for key in ("content", "summary") if item[key]] == shown
        text: str = item[shown[0]][0]["text"]
        assert item["content"] in ([], [{"type": "reasoning_text", "text": text}])
        assert item["summary"] in ([], [{"type": "summary_text", "text": text}])
        assert item.get("encrypted_content") == (seal(text) if options.seal is not None else None)
        item = item | {"content": [{"type": "reasoning_text", "text": text}]}
    return comparable(item)


@given(FUNCTION_ROUNDS, RNGS, OPTIONS, THINK_TAGS)
def test_no_option_changes_the_answer(
    rounds: Sequence[Round], rng: Random, options: ResponseOptions, where: Where | None
) -> None:
    """None of the texts has a tag, so it makes no difference whether tags are looked for."""
    rounds = rounds[:1] if where is not None else rounds
    rounds = [round for round in rounds if not any("<" in piece.text for piece in round.pieces)]
    if not rounds or (where is not None and has_blank_text(rounds[0])):
        return
    played = play(*[encode(round, rng) for round in rounds], options=options, filters=lambda: filters(where))
    check_stream(played.payloads)
    assert [without_extras(item, options) for item in played.output] == expected_output(rounds)
    assert played.payloads[-1]["type"] == expected_terminal(rounds)
    assert [event_json(event) for event in played.events] == played.payloads
    assert all(("obfuscation" in event) == (options.obfuscate is not None) for event in played.deltas)
    if options.obfuscate is not None:
        assert all(padded_size(event) % OBFUSCATED_SIZE == 0 for event in played.deltas)


def has_blank_text(round: Round) -> bool:
    """Where tags are looked for, white space that no word follows counts as markup and is dropped."""
    texts = [piece for piece in round.pieces if isinstance(piece, TextPiece) and piece.field == "text"]
    return any(not piece.text.strip() for piece in texts)


@given(FUNCTION_ROUNDS, RNGS, OPTIONS, THINK_TAGS, POSITIONS, st.booleans())
def test_where_the_hosts_bytes_are_cut_changes_no_byte_of_ours(
    rounds: Sequence[Round],
    rng: Random,
    options: ResponseOptions,
    where: Where | None,
    positions: Sequence[int],
    slow: bool,
) -> None:
    messages = encode(rounds[0], rng)
    expected = play(messages, options=options, filters=lambda: filters(where)).frames
    pieces = cut(b"".join(messages), positions)
    assert play(pieces, options=options, filters=lambda: filters(where), slow=slow).frames == expected


# Think tags ----------------------------------------------------------------------------------------------------------

WORDS = st.lists(
    st.sampled_from(["<think>", "</think>", "<", "think>", "Hm.", " ", "\n", "é😀", "</", "a"]), min_size=1, max_size=8
)
TAGGED_PIECES = st.lists(
    st.one_of(
        st.builds(lambda words: TextPiece("text", "".join(words)), WORDS),
        st.builds(TextPiece, st.sampled_from(["refusal", "reasoning"]), st.sampled_from(["No.", "<think>"])),
        st.just(ArgumentsPiece(0, "{}")),
    ),
    min_size=1,
    max_size=4,
)


def with_one_call(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces without any call but the first: each has complete arguments."""
    calls = [index for index, piece in enumerate(pieces) if isinstance(piece, ArgumentsPiece)]
    return [piece for index, piece in enumerate(pieces) if index not in calls[1:]]


TAGGED_ROUNDS = st.builds(
    lambda pieces, finish, error: Round(with_one_call(pieces), [Call("host-0", "f")], finish=finish, error=error),
    TAGGED_PIECES,
    st.sampled_from(["stop", "length", None]),
    st.sampled_from([None, None, {"error": "gone"}]),
)


@given(TAGGED_ROUNDS, RNGS, RNGS, st.sampled_from(["leading", "anywhere", "prefilled"]), st.booleans())
def test_how_the_host_cuts_a_text_with_think_tags_changes_no_value(
    round: Round, one: Random, other: Random, where: Where, slow: bool
) -> None:
    first, second = (play(encode(round, rng), filters=lambda: filters(where), slow=slow) for rng in (one, other))
    check_stream(first.payloads)
    check_stream(second.payloads)
    assert [comparable(item) for item in first.output] == [comparable(item) for item in second.output]
    assert first.payloads[-1]["type"] == second.payloads[-1]["type"]


# Token ids -----------------------------------------------------------------------------------------------------------


def encode_with_tokens(round: Round, rng: Random, ids: Iterator[int]) -> tuple[list[bytes], list[int]]:
    """The frames of a host that gives the tokens of the round, and the ids of all tokens that count."""
    frames, given_ids = [], list[int]()
    for index, chunk in enumerate(encode_chunks(round, rng)):
        for choice in chunk.get("choices") or ():
            choice["logprobs"] = None
            if choice.get("index"):
                continue
            delta = {key: value for key, value in (choice.get("delta") or {}).items() if key != "role" and value}
            new = [next(ids) for _ in range(rng.choice([1, 1, 2]) if delta or rng.random() < 0.2 else 0)]
            choice["token_ids"] = new if new or rng.random() < 0.5 else None
            choice["logprobs"] = {"content": [{"token": f"<{id}>", "logprob": -float(id)} for id in new]}
            given_ids += new
        frames.append(encode_frame(chunk if index else {**chunk, "prompt_token_ids": [1, 2]}, rng))
    return frames, given_ids


@given(FUNCTION_ROUNDS, RNGS, OPTIONS, THINK_TAGS)
def test_the_last_item_of_a_round_has_its_tokens_and_the_deltas_have_them_in_order(
    rounds: Sequence[Round], rng: Random, options: ResponseOptions, where: Where | None
) -> None:
    rounds = [round for round in (rounds[:1] if where is not None else rounds) if round.finish is not None]
    ids = iter(range(3, 10_000))
    encoded = [encode_with_tokens(round, rng, ids) for round in rounds]
    options = replace(options, token_ids=True, logprobs=False)
    played = play(*[frames for frames, _ in encoded], options=options, filters=lambda: filters(where))
    check_stream(played.payloads)
    on_items = [found for found in tokens_of_items(played) if found]
    assert on_items == [tokens(*ids) for round, (_, ids) in zip(rounds, encoded, strict=True) if round.error is None]
    if rounds and rounds[-1].error is None:
        assert "prompt_token_ids" in played.output[-1]
    on_deltas = [id for ids in tokens_of_deltas(played) for id in ids]
    assert on_deltas == [id for _, ids in encoded for id in ids if id in on_deltas]
