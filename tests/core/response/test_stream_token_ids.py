"""Token ids in a stream: which delta and which item carries them, and when a response fails for want of them."""

from __future__ import annotations

import pytest

from responses_shim.core.response.think_tags import ThinkTagFilter
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.chunks import ChunkReader
from responses_shim.core.wire.report import Report
from tests.core.driver import answer, new_stream, play
from tests.core.response.extras import (
    PROMPT,
    WITH_TOKENS,
    token_chunk,
    tokens,
    tokens_of_deltas,
    tokens_of_items,
)
from tests.oracle import check_stream
from tests.scripted import DONE, call, chunk, frame, usage
from tests.shapes import TOKENS

STOP = chunk(finish_reason="stop")


# Which delta and which item ------------------------------------------------------------------------------------------


def test_each_delta_has_its_tokens_and_the_last_item_has_all() -> None:
    frames = [
        token_chunk({"reasoning": "Hm."}, 3),
        token_chunk({"content": "Hello"}, 4, 5),
        token_chunk({"content": "!"}, 6),
    ]
    played = answer(PROMPT, *frames, token_chunk({}, 7, finish="stop"), DONE, options=WITH_TOKENS)
    assert tokens_of_deltas(played) == [[3], [4, 5], [6]]
    assert tokens_of_items(played) == [{}, tokens(3, 4, 5, 6, 7)]


def test_the_finished_item_has_the_tokens_and_the_added_one_has_not() -> None:
    played = answer(PROMPT, token_chunk({"content": "Hello"}, 3, finish="stop"), options=WITH_TOKENS)
    (done,) = played.of_type("output_item.done")
    assert done["item"] == played.output[0]
    (added,) = played.of_type("output_item.added")
    assert not TOKENS & set(added["item"])


def test_tokens_of_a_chunk_without_text_are_on_the_next_delta() -> None:
    """Control tokens have chunks of their own, as `<think>` on vLLM."""
    frames = [
        token_chunk({}, 3),
        token_chunk({"content": ""}, 4),
        token_chunk({"content": "Hi"}, 5),
        token_chunk({}, 6, finish="stop"),
    ]
    played = answer(PROMPT, *frames, options=WITH_TOKENS)
    assert tokens_of_deltas(played) == [[3, 4, 5]]
    assert tokens_of_items(played) == [tokens(3, 4, 5, 6)]


def test_the_tokens_of_a_chunk_that_makes_several_deltas_are_on_the_first() -> None:
    both = token_chunk({"reasoning": "Hm.", "content": "Hello"}, 3, 4, finish="stop")
    assert tokens_of_deltas(answer(PROMPT, both, options=WITH_TOKENS)) == [[3, 4], []]


def test_the_item_that_opened_last_has_the_tokens() -> None:
    frames = [
        token_chunk({"content": "Let me see."}, 3),
        token_chunk({"tool_calls": [call(0, "a", "f", "{")]}, 4),
        token_chunk({"tool_calls": [call(1, "b", "g", "{}")]}, 5),
        token_chunk({"tool_calls": [call(0, arguments="}")]}, 6, finish="tool_calls"),
    ]
    played = answer(PROMPT, *frames, options=WITH_TOKENS)
    assert [item["type"] for item in played.output] == ["message", "function_call", "function_call"]
    assert tokens_of_items(played) == [{}, {}, tokens(3, 4, 5, 6)]
    assert tokens_of_deltas(played) == [[3], [4], [5, 6], []]


def test_input_that_is_held_back_until_the_call_ends_has_its_tokens_too() -> None:
    frames = [
        token_chunk({"tool_calls": [call(0, "a", "patch", '{"patch": "x"}')]}, 3, 4),
        token_chunk({}, 5, finish="stop"),
    ]
    patch = ToolMap([{"type": "custom", "name": "patch"}], None, None, Report())
    assert tokens_of_deltas(answer(PROMPT, *frames, options=WITH_TOKENS, tools=patch)) == [[3, 4, 5]]


def test_the_tokens_of_ignored_calls_are_kept() -> None:
    """They were generated, although `parallel_tool_calls: false` lets their calls become no items."""
    frames = [
        token_chunk({"tool_calls": [call(0, "a", "f", "{"), call(1, "b", "f", "[")]}, 3),
        token_chunk({"tool_calls": [call(1, arguments="]")]}, 4),
        token_chunk({"tool_calls": [call(0, arguments="}")]}, 5, finish="tool_calls"),
    ]
    single = ToolMap([{"type": "function", "name": "f"}], None, False, Report())
    played = answer(PROMPT, *frames, options=WITH_TOKENS, tools=single)
    (item,) = played.output
    assert (item["call_id"], item["arguments"]) == ("a", "{}")
    assert tokens_of_deltas(played) == [[3], [4, 5]]
    assert tokens_of_items(played) == [tokens(3, 4, 5)]


@pytest.mark.parametrize("finish", ["stop", "length"])
def test_an_answer_of_control_tokens_alone_has_an_empty_message_with_the_tokens(finish: str) -> None:
    played = answer(PROMPT, token_chunk({}, 3, finish=finish), options=WITH_TOKENS)
    (item,) = played.output
    assert (item["type"], item["content"]) == ("message", [])
    assert tokens_of_items(played) == [tokens(3)]


def test_an_answer_without_a_single_token_has_an_empty_list_of_tokens() -> None:
    assert tokens_of_items(answer(PROMPT, STOP, options=WITH_TOKENS)) == [tokens()]


def test_the_last_item_of_each_round_has_the_tokens_of_the_round() -> None:
    first = [PROMPT, token_chunk({"tool_calls": [call(0, "a", "f", "{}")]}, 3, finish="tool_calls")]
    second_prompt = frame({"choices": [], "prompt_token_ids": [1, 2, 3, 9]})
    played = play(first, [second_prompt, token_chunk({"content": "Done"}, 4, finish="stop")], options=WITH_TOKENS)
    check_stream(played.payloads)
    assert tokens_of_items(played) == [tokens(3), tokens(4) | {"prompt_token_ids": [1, 2, 3, 9]}]


def test_an_answer_that_is_cut_has_its_tokens() -> None:
    played = answer(PROMPT, token_chunk({"content": "Hel"}, 3, finish="length"), options=WITH_TOKENS)
    assert played.response["status"] == "incomplete"
    assert tokens_of_items(played) == [tokens(3)]


def test_text_in_think_tags_keeps_its_tokens() -> None:
    texts = ("<think>", "Hm", ".</th", "ink>", "Hi")
    frames = [token_chunk({"content": text}, id) for id, text in enumerate(texts, start=3)]
    played = answer(PROMPT, *frames, STOP, options=WITH_TOKENS, filters=lambda: [ThinkTagFilter("leading")])
    assert [item["type"] for item in played.output] == ["reasoning", "message"]
    assert tokens_of_deltas(played) == [[3, 4], [5], [6, 7]]
    assert tokens_of_items(played) == [{}, tokens(3, 4, 5, 6, 7)]


def test_with_token_ids_no_delta_takes_the_fast_path() -> None:
    frames = [token_chunk({"content": text}, id) for id, text in enumerate("Hello", start=3)]
    played = answer(PROMPT, *frames, STOP, options=WITH_TOKENS)
    assert played.fast == 0
    assert tokens_of_deltas(played) == [[3], [4], [5], [6], [7]]


# Where the host gives them -------------------------------------------------------------------------------------------


def test_token_ids_in_the_words_of_log_probabilities_are_read() -> None:
    def as_text(content: str, id: int) -> bytes:
        entry = {"token": f"token_id:{id}", "logprob": -float(id), "top_logprobs": [{"token": "x", "logprob": 0}]}
        return chunk(content, logprobs={"content": [entry]})

    played = answer(PROMPT, as_text("Hel", 3), as_text("lo", 4), STOP, options=WITH_TOKENS)
    assert tokens_of_deltas(played) == [[3], [4]]
    assert tokens_of_items(played) == [tokens(3, 4)]
    assert [event["logprobs"] for event in played.of_type("output_text.delta")] == [[], []]


def test_tokens_on_the_message_of_a_json_answer_are_read() -> None:
    """NeMo Gym's servers do not stream, and put everything on the message."""
    message = {"role": "assistant", "content": "Hello", **tokens(3, 4), "routed_experts": [[0, 1]]}
    played = answer(frame({"choices": [{"message": message, "finish_reason": "stop"}]}), options=WITH_TOKENS)
    assert tokens_of_items(played) == [{**tokens(3, 4), "routed_experts": [[0, 1]]}]


def test_the_tokens_of_other_choices_are_not_counted() -> None:
    other = frame({"choices": [{"index": 1, "delta": {"content": "x"}, "token_ids": [9], **tokens(9)}]})
    played = answer(PROMPT, other, token_chunk({"content": "Hi"}, 3, finish="stop"), options=WITH_TOKENS)
    assert tokens_of_items(played) == [tokens(3)]


def test_without_the_option_no_token_ids_are_shown() -> None:
    frames = [token_chunk({"content": text}, 3) for text in ("Hel", "lo")]
    frames += [token_chunk({"content": "!", **tokens(3)}, 3), token_chunk({"reasoning": "Hm."}, 4, finish="stop")]
    for slow in (True, False):
        played = answer(PROMPT, *frames, slow=slow)
        assert played.fast == (not slow)
        assert not any(key.encode() in frame for key in TOKENS for frame in played.frames)


def test_prompt_tokens_are_missing_until_the_stream_or_the_caller_gives_them() -> None:
    without, given, unasked = new_stream(options=WITH_TOKENS), new_stream(options=WITH_TOKENS), new_stream()
    given.set_prompt_tokens([1, 2])
    unasked.set_prompt_tokens([1, 2])
    assert [stream.lacks_prompt_tokens for stream in (without, given, unasked)] == [True, False, False]


# Failures ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frames",
    [
        [token_chunk({"content": "Hello"}, 3, finish="stop")],
        [PROMPT, frame({"choices": [], "prompt_token_ids": [9]}), token_chunk({"content": "Hello"}, 3, finish="stop")],
        [PROMPT, chunk("Hello"), STOP],
        [PROMPT, chunk(tool_calls=[call(0, "a", "f", "{}")]), STOP],
        [PROMPT, token_chunk({"content": "Hel"}, 3), frame({"choices": [{"delta": {}, "token_ids": [4]}]}), STOP],
        [PROMPT, frame({"choices": [{"delta": tokens(3)}]}), token_chunk({"content": "Hello"}, 4), STOP],
        [PROMPT, *[frame({"choices": [{"delta": {"content": "a", **tokens(id)}}]}) for id in (3, 4)], STOP],
        [PROMPT, token_chunk({"content": "Hello"}, 3, finish="stop").replace(b"-3.0", b"NaN")],
    ],
    ids=[
        "no prompt",
        "two prompts",
        "no tokens of a text",
        "no tokens of a call",
        "an id without a log-probability",
        "two sets of tokens",
        "two messages",
        "a log-probability that is no number",
    ],
)
def test_token_ids_that_are_missing_or_contradictory_fail_the_response(frames: list[bytes]) -> None:
    """A wrong token would spoil a training run, and nobody would see it."""
    played = answer(*frames, options=WITH_TOKENS)
    assert played.stream.error is not None
    assert (played.stream.error.code, played.stream.error.status) == ("token_ids_inconsistent", 502)
    assert played.response["status"] == "failed"
    assert all("prompt_token_ids" not in item for item in played.output)


def test_a_prompt_of_another_length_than_the_usage_fails_the_response() -> None:
    counted = chunk(usage=usage(prompt=3, completion=1))
    for prompt, status in (([1, 2, 3], "completed"), ([1, 2], "failed")):
        stream = new_stream(options=WITH_TOKENS)
        for one in ChunkReader().read(token_chunk({"content": "Hello"}, 3, finish="stop") + counted):
            stream.collect_tokens(one)
            stream.feed(one)
        stream.set_prompt_tokens(prompt)
        stream.end_round()
        stream.close()
        assert stream.response.status == status


def test_a_response_that_failed_for_another_reason_keeps_that_reason() -> None:
    played = answer(token_chunk({"content": "Hel"}, 3), frame({"error": "gone"}), options=WITH_TOKENS)
    assert played.response["error"]["message"] == "gone"
