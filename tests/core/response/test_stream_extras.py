"""What a client can ask for besides the answer: each rule on a small stream, then all of them over random ones."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.response.options import ResponseOptions
from responses_shim.core.response.stream import OBFUSCATED_SIZE
from responses_shim.core.response.think_tags import ThinkTagFilter, Where
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.chat import Choice, Chunk, Delta, FunctionDelta, ToolCallDelta
from responses_shim.core.wire.chunks import ChunkReader
from responses_shim.core.wire.report import Report
from tests.core.driver import Json, Played, new_stream, new_translator, plainly, play
from tests.core.speech import (
    CONVERSATIONS,
    DICE,
    Argued,
    Call,
    Item,
    Round,
    Said,
    as_item,
    chunks,
    encode,
    expected_output,
    expected_terminal,
    frame,
)
from tests.oracle import check_stream
from tests.scripted import DONE, call, chunk, usage
from tests.scripted import frame as plain_frame
from tests.shapes import TOKENS

STOP = chunk(finish_reason="stop")


def seal(text: str) -> str:
    return f"sealed {text}"


def obfuscation(size: int) -> str:
    return "x" * size


def answer(*frames: bytes, **options: Any) -> Played:
    """One round of these frames, checked like every stream."""
    played = play(frames, **options)
    check_stream(played.payloads)
    return played


def types(played: Played) -> list[str]:
    """The events between the opening ones and the terminal one, without `response.`."""
    return [event["type"].removeprefix("response.") for event in played.payloads[2:-1]]


def deltas(played: Played) -> list[Json]:
    return [event for event in played.payloads if event["type"].endswith(".delta")]


def of_type(played: Played, kind: str) -> list[Json]:
    return [event for event in played.payloads if event["type"] == f"response.{kind}"]


def tools(*listed: Json, parallel: bool | None = None) -> ToolMap:
    return ToolMap(list(listed), None, parallel, Report())


# Reasoning -------------------------------------------------------------------------------------------------------

THOUGHT = [chunk(reasoning="Let me "), chunk(reasoning="see."), chunk("Hello"), STOP, DONE]


def test_reasoning_is_raw_text_in_a_content_part() -> None:
    played = answer(*THOUGHT)
    assert types(played)[:6] == [
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
    ]
    item = played.response["output"][0]
    assert item["content"] == [{"type": "reasoning_text", "text": "Let me see."}]
    assert item["summary"] == []


def test_for_a_client_that_asked_for_a_summary_it_is_a_summary() -> None:
    played = answer(*THOUGHT, options=ResponseOptions(summary=True))
    assert types(played)[:7] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    item = played.response["output"][0]
    assert item["summary"] == [{"type": "summary_text", "text": "Let me see."}]
    assert item["content"] == []
    assert {event["summary_index"] for event in played.payloads if "summary_index" in event} == {0}


@pytest.mark.parametrize("summary", [False, True])
def test_sealed_reasoning_stands_in_the_finished_item_and_the_snapshot_and_nowhere_before(summary: bool) -> None:
    sealed: list[str] = []

    def seal_once(text: str) -> str:
        sealed.append(f"{len(sealed)}: {text}")  # no two are the same
        return sealed[-1]

    played = answer(*THOUGHT, options=ResponseOptions(summary=summary, seal=seal_once))
    assert sealed == ["0: Let me see."]
    added, done = of_type(played, "output_item.added")[0], of_type(played, "output_item.done")[0]
    assert "encrypted_content" not in added["item"]
    assert done["item"]["encrypted_content"] == sealed[0]
    assert played.response["output"][0] == done["item"]
    assert "encrypted_content" not in played.response["output"][1]


def test_reasoning_that_is_cut_is_sealed_as_far_as_it_came() -> None:
    played = answer(chunk(reasoning="Let"), chunk(finish_reason="length"), options=ResponseOptions(seal=seal))
    (item,) = played.response["output"]
    assert (item["status"], item["encrypted_content"]) == ("incomplete", "sealed Let")


def test_each_reasoning_item_has_a_seal_of_its_own() -> None:
    frames = [chunk(reasoning="One."), chunk("a"), chunk(reasoning="Two."), chunk("b"), STOP]
    output = answer(*frames, options=ResponseOptions(seal=seal)).response["output"]
    assert [item.get("encrypted_content") for item in output] == ["sealed One.", None, "sealed Two.", None]


def test_a_seal_without_reasoning_changes_nothing() -> None:
    frames = [chunk("Hello"), STOP]
    assert answer(*frames, options=ResponseOptions(seal=seal)).frames == answer(*frames).frames


def test_a_summary_and_a_seal_leave_text_the_short_way() -> None:
    frames = [*THOUGHT[:3], chunk("!"), STOP]
    played = answer(*frames, options=ResponseOptions(summary=True, seal=seal))
    assert played.fast == 2


# Obfuscation -----------------------------------------------------------------------------------------------------

EVERY_KIND = [
    chunk(reasoning="Let me see."),
    chunk("Hello"),
    chunk(' "world"\n\x01é😀'),
    chunk(refusal="No."),
    chunk(tool_calls=[call(0, "a", "f", '{"x":')]),
    chunk(tool_calls=[call(0, arguments="1}")]),
    chunk(tool_calls=[call(1, "b", "patch", '{"input": "*** Begin')]),
    chunk(tool_calls=[call(1, arguments=' Patch"}')]),
    chunk(tool_calls=[call(2, "c", "shell", '{"commands": ["ls"]}')]),
    STOP,
    DONE,
]
EVERY_TOOL = tools({"type": "function", "name": "f"}, {"type": "custom", "name": "patch"}, {"type": "shell"})
KINDS = {
    "response.reasoning_text.delta",
    "response.output_text.delta",
    "response.refusal.delta",
    "response.function_call_arguments.delta",
    "response.custom_tool_call_input.delta",
    "response.shell_call_command.delta",
}


def padded(event: Json) -> int:
    """The bytes on the wire of a delta and its obfuscation."""
    return len(json.dumps(event["delta"], ensure_ascii=False).encode()) + len(event["obfuscation"])


def test_obfuscation_fills_every_delta_up() -> None:
    played = answer(*EVERY_KIND, tools=EVERY_TOOL, options=ResponseOptions(obfuscate=obfuscation))
    assert {event["type"] for event in deltas(played)} == KINDS
    for event in deltas(played):
        assert 1 <= len(event["obfuscation"]) <= OBFUSCATED_SIZE
        assert padded(event) % OBFUSCATED_SIZE == 0


def test_a_summary_is_obfuscated_too() -> None:
    played = answer(*THOUGHT, options=ResponseOptions(summary=True, obfuscate=obfuscation))
    assert [padded(event) % OBFUSCATED_SIZE for event in of_type(played, "reasoning_summary_text.delta")] == [0, 0]


def test_tokens_of_one_length_class_look_alike() -> None:
    """A line end is two bytes on the wire, so it must count as two."""
    frames = [chunk(text) for text in ("a", "\n", '"', "ab\n", "\\\\", "é")]
    sizes = {padded(event) for event in deltas(answer(*frames, STOP, options=ResponseOptions(obfuscate=obfuscation)))}
    assert sizes == {OBFUSCATED_SIZE}


def test_what_comes_only_when_the_call_closes_is_obfuscated_too() -> None:
    """Input that is held back till the end, and a call that never got a name."""
    frames = [
        chunk(tool_calls=[call(0, "b", "patch", '{"patch": "*** Begin"}')]),
        chunk(tool_calls=[call(1, "c", None, "{}")]),
        STOP,
    ]
    played = answer(*frames, tools=EVERY_TOOL, options=ResponseOptions(obfuscate=obfuscation))
    assert [event["delta"] for event in deltas(played)] == ["{}", "*** Begin"]
    assert [padded(event) % OBFUSCATED_SIZE for event in deltas(played)] == [0, 0]


def test_nothing_else_is_obfuscated() -> None:
    played = answer(*EVERY_KIND, tools=EVERY_TOOL, options=ResponseOptions(obfuscate=obfuscation))
    others = [event for event in played.payloads if not event["type"].endswith(".delta")]
    assert not any("obfuscation" in event for event in others)


def test_without_asking_there_is_none() -> None:
    played = answer(*EVERY_KIND, tools=EVERY_TOOL)
    assert {event["type"] for event in deltas(played)} == KINDS
    assert not any("obfuscation" in event for event in played.payloads)


def test_an_obfuscated_stream_says_what_the_other_says() -> None:
    noisy, plain = (
        answer(*EVERY_KIND, tools=EVERY_TOOL, options=wanted)
        for wanted in (ResponseOptions(obfuscate=obfuscation), ResponseOptions())
    )
    bare = [{key: value for key, value in event.items() if key != "obfuscation"} for event in noisy.payloads]
    assert bare == plain.payloads


def test_no_delta_goes_out_without_its_obfuscation_by_the_short_way() -> None:
    frames = [*map(chunk, "Hello"), STOP]
    played = answer(*frames, options=ResponseOptions(obfuscate=obfuscation))
    assert played.fast == 0
    assert [padded(event) % OBFUSCATED_SIZE for event in deltas(played)] == [0] * 5


# Token ids -------------------------------------------------------------------------------------------------------

PROMPT = plain_frame({"choices": [{"index": 0, "delta": {"role": "assistant"}}], "prompt_token_ids": [1, 2]})
WITH_TOKENS = ResponseOptions(token_ids=True)


def tokens(delta: Json | None, *ids: int, finish: str | None = None, told: bool = True) -> bytes:
    """A chunk with its tokens, as vLLM sends it: the ids, and how likely each was (its number, negative)."""
    entries = [{"token": f"<{id}>", "logprob": -float(id)} for id in ids]
    choice: Json = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    if told:
        choice |= {"token_ids": list(ids), "logprobs": {"content": entries}}
    return plain_frame({"choices": [choice]})


def shown(played: Played) -> list[list[int]]:
    """The tokens on each delta, none where there are none."""
    for event in deltas(played):
        ids, logprobs = event.get("generation_token_ids", []), event.get("generation_log_probs", [])
        assert logprobs == [-float(id) for id in ids]
    return [event.get("generation_token_ids", []) for event in deltas(played)]


def bundles(played: Played) -> list[Json]:
    """What of the tokens each item of the snapshot carries."""
    output = played.response["output"]
    return [{key: item[key] for key in TOKENS if key in item} for item in output]


def bundle(*ids: int) -> Json:
    return {
        "prompt_token_ids": [1, 2],
        "generation_token_ids": list(ids),
        "generation_log_probs": [-float(id) for id in ids],
    }


def test_tokens_go_with_their_delta_and_stand_on_the_last_item() -> None:
    frames = [tokens({"reasoning": "Hm."}, 3), tokens({"content": "Hello"}, 4, 5), tokens({"content": "!"}, 6)]
    played = answer(PROMPT, *frames, tokens({}, 7, finish="stop"), DONE, options=WITH_TOKENS)
    assert shown(played) == [[3], [4, 5], [6]]
    assert bundles(played) == [{}, bundle(3, 4, 5, 6, 7)]


def test_the_finished_item_carries_them_as_the_snapshot_does() -> None:
    played = answer(PROMPT, tokens({"content": "Hello"}, 3, finish="stop"), options=WITH_TOKENS)
    (done,) = of_type(played, "output_item.done")
    assert done["item"] == played.response["output"][0]
    (added,) = of_type(played, "output_item.added")
    assert not TOKENS & set(added["item"])


def test_tokens_of_a_chunk_without_text_go_with_the_next_delta() -> None:
    """Control tokens have chunks of their own, as `<think>` on vLLM."""
    frames = [tokens({}, 3), tokens({"content": ""}, 4), tokens({"content": "Hi"}, 5), tokens({}, 6, finish="stop")]
    played = answer(PROMPT, *frames, options=WITH_TOKENS)
    assert shown(played) == [[3, 4, 5]]
    assert bundles(played) == [bundle(3, 4, 5, 6)]


def test_of_a_chunk_with_several_deltas_the_first_has_the_tokens() -> None:
    both = tokens({"reasoning": "Hm.", "content": "Hello"}, 3, 4, finish="stop")
    assert shown(answer(PROMPT, both, options=WITH_TOKENS)) == [[3, 4], []]


def test_the_last_item_is_the_one_that_opened_last() -> None:
    frames = [
        tokens({"content": "Let me see."}, 3),
        tokens({"tool_calls": [call(0, "a", "f", "{")]}, 4),
        tokens({"tool_calls": [call(1, "b", "g", "{}")]}, 5),
        tokens({"tool_calls": [call(0, arguments="}")]}, 6, finish="tool_calls"),
    ]
    played = answer(PROMPT, *frames, options=WITH_TOKENS)
    assert [item["type"] for item in played.response["output"]] == ["message", "function_call", "function_call"]
    assert bundles(played) == [{}, {}, bundle(3, 4, 5, 6)]
    assert shown(played) == [[3], [4], [5], [6]]


def test_input_that_is_held_back_till_the_call_ends_has_its_tokens_too() -> None:
    frames = [tokens({"tool_calls": [call(0, "a", "patch", '{"patch": "x"}')]}, 3, 4), tokens({}, 5, finish="stop")]
    played = answer(PROMPT, *frames, options=WITH_TOKENS, tools=tools({"type": "custom", "name": "patch"}))
    assert shown(played) == [[3, 4, 5]]


@pytest.mark.parametrize("finish", ["stop", "length"])
def test_an_answer_of_nothing_gives_an_empty_message_that_carries_them(finish: str) -> None:
    played = answer(PROMPT, tokens({}, 3, finish=finish), options=WITH_TOKENS)
    (item,) = played.response["output"]
    assert (item["type"], item["content"]) == ("message", [])
    assert bundles(played) == [bundle(3)]


def test_an_answer_without_a_single_token_has_an_empty_list() -> None:
    assert bundles(answer(PROMPT, STOP, options=WITH_TOKENS)) == [bundle()]


def test_each_round_has_tokens_of_its_own() -> None:
    first = [PROMPT, tokens({"tool_calls": [call(0, "a", "f", "{}")]}, 3, finish="tool_calls")]
    again = plain_frame({"choices": [], "prompt_token_ids": [1, 2, 3, 9]})
    played = play(first, [again, tokens({"content": "Done"}, 4, finish="stop")], options=WITH_TOKENS)
    check_stream(played.payloads)
    assert bundles(played) == [bundle(3), bundle(4) | {"prompt_token_ids": [1, 2, 3, 9]}]


def test_an_answer_that_is_cut_has_its_tokens() -> None:
    played = answer(PROMPT, tokens({"content": "Hel"}, 3, finish="length"), options=WITH_TOKENS)
    assert played.response["status"] == "incomplete"
    assert bundles(played) == [bundle(3)]


def test_tokens_told_as_text_are_read_from_the_log_probabilities() -> None:
    def as_text(content: str, id: int) -> bytes:
        entry = {"token": f"token_id:{id}", "logprob": -float(id), "top_logprobs": [{"token": "x", "logprob": 0}]}
        return chunk(content, logprobs={"content": [entry]})

    played = answer(PROMPT, as_text("Hel", 3), as_text("lo", 4), STOP, options=WITH_TOKENS)
    assert shown(played) == [[3], [4]]
    assert bundles(played) == [bundle(3, 4)]
    assert [event["logprobs"] for event in of_type(played, "output_text.delta")] == [[], []]


def test_tokens_on_the_message_are_read_from_there() -> None:
    """NeMo Gym's servers answer whole, with everything on the message."""
    message = {"role": "assistant", "content": "Hello", **bundle(3, 4), "routed_experts": [[0, 1]]}
    played = answer(plain_frame({"choices": [{"message": message, "finish_reason": "stop"}]}), options=WITH_TOKENS)
    assert bundles(played) == [{**bundle(3, 4), "routed_experts": [[0, 1]]}]


@pytest.mark.parametrize(
    "frames",
    [
        [tokens({"content": "Hello"}, 3, finish="stop")],
        [PROMPT, plain_frame({"choices": [], "prompt_token_ids": [9]}), tokens({"content": "Hello"}, 3, finish="stop")],
        [PROMPT, chunk("Hello"), STOP],
        [PROMPT, chunk(tool_calls=[call(0, "a", "f", "{}")]), STOP],
        [PROMPT, tokens({"content": "Hel"}, 3), plain_frame({"choices": [{"delta": {}, "token_ids": [4]}]}), STOP],
        [PROMPT, plain_frame({"choices": [{"delta": bundle(3)}]}), tokens({"content": "Hello"}, 4), STOP],
        [PROMPT, *[plain_frame({"choices": [{"delta": {"content": "a", **bundle(id)}}]}) for id in (3, 4)], STOP],
        [PROMPT, tokens({"content": "Hello"}, 3, finish="stop").replace(b"-3.0", b"NaN")],
    ],
    ids=["no prompt", "two prompts", "none", "none of a call", "half", "two sets", "two messages", "no number"],
)
def test_what_is_missing_or_contradicts_itself_is_a_failure(frames: list[bytes]) -> None:
    """A wrong token would spoil a training run, and nobody would see it."""
    played = answer(*frames, options=WITH_TOKENS)
    assert played.stream.error is not None
    assert (played.stream.error.code, played.stream.error.status) == ("token_ids_inconsistent", 502)
    assert played.response["status"] == "failed"
    assert all("prompt_token_ids" not in item for item in played.response["output"])


def test_what_the_other_choices_say_is_not_counted() -> None:
    other = plain_frame({"choices": [{"index": 1, "delta": {"content": "x"}, "token_ids": [9], **bundle(9)}]})
    played = answer(PROMPT, other, tokens({"content": "Hi"}, 3, finish="stop"), options=WITH_TOKENS)
    assert bundles(played) == [bundle(3)]


def test_what_failed_for_another_reason_tells_that_reason() -> None:
    played = answer(tokens({"content": "Hel"}, 3), plain_frame({"error": "gone"}), options=WITH_TOKENS)
    assert played.response["error"]["message"] == "gone"


def test_what_nobody_asked_for_does_not_leak() -> None:
    frames = [tokens({"content": text}, 3) for text in ("Hel", "lo")]
    frames += [tokens({"content": "!", **bundle(3)}, 3), tokens({"reasoning": "Hm."}, 4, finish="stop")]
    for slow in (True, False):
        played = answer(PROMPT, *frames, slow=slow)
        assert played.fast == (not slow)
        assert not any(key.encode() in frame for key in TOKENS for frame in played.frames)


def test_a_span_of_thought_keeps_its_tokens() -> None:
    frames = [
        tokens({"content": text}, id) for id, text in enumerate(("<think>", "Hm", ".</th", "ink>", "Hi"), start=3)
    ]
    played = answer(PROMPT, *frames, STOP, options=WITH_TOKENS, filters=lambda: [ThinkTagFilter("leading")])
    assert [item["type"] for item in played.response["output"]] == ["reasoning", "message"]
    assert shown(played) == [[3, 4], [5], [6, 7]]
    assert bundles(played) == [{}, bundle(3, 4, 5, 6, 7)]


def test_with_tokens_text_does_not_take_the_short_way() -> None:
    frames = [tokens({"content": text}, id) for id, text in enumerate("Hello", start=3)]
    played = answer(PROMPT, *frames, STOP, options=WITH_TOKENS)
    assert played.fast == 0
    assert shown(played) == [[3], [4], [5], [6], [7]]


def test_the_tokens_of_the_prompt_may_come_from_elsewhere() -> None:
    without, given, unasked = new_stream(options=WITH_TOKENS), new_stream(options=WITH_TOKENS), new_stream()
    given.set_prompt_tokens([1, 2])
    unasked.set_prompt_tokens([1, 2])
    assert [stream.lacks_prompt_tokens for stream in (without, given, unasked)] == [True, False, False]


def test_a_prompt_of_another_length_than_the_usage_says_is_a_failure() -> None:
    counted = chunk(usage=usage(prompt=3, completion=1))
    for prompt, status in (([1, 2, 3], "completed"), ([1, 2], "failed")):
        stream = new_stream(options=WITH_TOKENS)
        for said in ChunkReader().read(tokens({"content": "Hello"}, 3, finish="stop") + counted):
            stream.collect_tokens(said)
            stream.feed(said)
        stream.set_prompt_tokens(prompt)
        stream.end_round()
        stream.close()
        assert stream.response.status == status


# What an operator wants: NeMo Gym ------------------------------------------------------------------------------------

EMPTY = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}


@pytest.mark.parametrize("token_ids", [False, True])
def test_an_answer_of_nothing_is_an_empty_text_where_the_operator_wants_one(token_ids: bool) -> None:
    played = answer(PROMPT, STOP, options=ResponseOptions(empty_message=True, token_ids=token_ids))
    (item,) = played.response["output"]
    assert item["content"] == [EMPTY]
    assert bundles(played) == [bundle() if token_ids else {}]


@pytest.mark.parametrize("frames", [[], [plain_frame({"error": "gone"})], [chunk(finish_reason="abort")]])
def test_a_failure_of_nothing_has_no_message(frames: list[bytes]) -> None:
    assert answer(*frames, options=ResponseOptions(empty_message=True)).response["output"] == []


def test_an_answer_of_something_is_left_alone() -> None:
    frames = [chunk(reasoning="Hm."), STOP]
    assert answer(*frames, options=ResponseOptions(empty_message=True)).frames == answer(*frames).frames


TOO_LONG = plain_frame({"error": {"message": "too long", "code": "context_length_exceeded"}})


@pytest.mark.parametrize(
    "wanted",
    [ResponseOptions(incomplete_on_overflow=True), ResponseOptions(incomplete_on_overflow=True, token_ids=True)],
)
def test_a_request_that_is_too_long_is_an_incomplete_response_where_the_operator_wants_one(
    wanted: ResponseOptions,
) -> None:
    response = answer(TOO_LONG, options=wanted).response
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert (response["output"], response["error"]) == ([], None)


def test_one_that_became_too_long_and_any_other_failure_stay_failures() -> None:
    for frames in (
        [chunk("Hel"), TOO_LONG],
        [plain_frame({"error": "gone"})],
        [plain_frame({"error": "gone"}), TOO_LONG],
    ):
        assert answer(*frames, options=ResponseOptions(incomplete_on_overflow=True)).response["status"] == "failed"
    assert answer(TOO_LONG).response["status"] == "failed"


# Log-probabilities and annotations --------------------------------------------------------------------------------


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
    assert [event["logprobs"] for event in of_type(played, "output_text.delta")] == [[entry] for entry in expected]
    assert of_type(played, "output_text.done")[0]["logprobs"] == expected
    assert of_type(played, "content_part.done")[0]["part"]["logprobs"] == expected
    assert of_type(played, "output_item.done")[0]["item"]["content"][0]["logprobs"] == expected
    assert played.response["output"][0]["content"][0]["logprobs"] == expected


def cited(*annotations: Json, content: str | None = None) -> bytes:
    delta: Json = {"annotations": list(annotations)} | ({"content": content} if content else {})
    return plain_frame({"choices": [{"index": 0, "delta": delta}]})


NESTED = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 1, "end_index": 2}}
FLAT = {"type": "url_citation", "url": "u", "title": "t", "start_index": 1, "end_index": 2}
FILE = {"type": "file_citation", "file_id": "file-1", "filename": "a.pdf", "index": 3}
UNKNOWN = {"type": "video_citation", "at": 7}


def citations(played: Played) -> list[Json]:
    """Those of the only part, which are the same in part, item and snapshot, and were told one by one."""
    told = of_type(played, "output_text.annotation.added")
    assert [event["annotation_index"] for event in told] == list(range(len(told)))
    found: list[Json] = [event["annotation"] for event in told]
    (part,) = of_type(played, "content_part.done")
    assert part["part"]["annotations"] == found
    assert played.response["output"][0]["content"][0]["annotations"] == found
    return found


def test_a_citation_of_a_url_is_flat_here() -> None:
    played = answer(chunk("Hello"), cited(NESTED), chunk("!"), STOP)
    assert citations(played) == [FLAT]
    assert types(played)[2:5] == ["output_text.delta", "output_text.annotation.added", "output_text.delta"]
    assert played.response["output"][0]["content"][0]["text"] == "Hello!"


def test_several_at_once_keep_their_order() -> None:
    assert citations(answer(cited(NESTED, FILE, content="Hello"), cited(FLAT), STOP)) == [FLAT, FILE, FLAT]


def test_before_any_text_it_opens_the_part_of_the_text() -> None:
    played = answer(chunk(reasoning="Hm."), cited(FILE), chunk("Hello"), STOP)
    assert played.response["output"][1]["content"] == [
        {"type": "output_text", "text": "Hello", "annotations": [FILE], "logprobs": []}
    ]


def test_without_any_text_the_text_is_empty() -> None:
    assert citations(answer(cited(FILE), STOP)) == [FILE]


def test_each_text_part_has_annotations_of_its_own() -> None:
    played = answer(cited(FILE, content="a"), chunk(refusal="No."), cited(FLAT, content="b"), STOP)
    parts = played.response["output"][0]["content"]
    assert [part.get("annotations") for part in parts] == [[FILE], None, [FLAT]]
    assert [event["annotation_index"] for event in of_type(played, "output_text.annotation.added")] == [0, 0]


def test_an_annotation_after_the_short_way_was_taken_ends_it() -> None:
    frames = [chunk("a"), chunk("b"), cited(FLAT), chunk("c"), STOP]
    played = answer(*frames)
    assert played.fast == 1
    assert played.frames == answer(*frames).frames


def test_a_kind_that_nobody_knows_is_passed_on() -> None:
    played = play([chunk("Hello"), cited(UNKNOWN), STOP])
    assert citations(played) == [UNKNOWN]


# Parallel calls --------------------------------------------------------------------------------------------------


def test_where_one_call_is_allowed_the_others_are_ignored_and_their_tokens_are_not() -> None:
    frames = [
        tokens({"tool_calls": [call(0, "a", "f", "{"), call(1, "b", "f", "[")]}, 3),
        tokens({"tool_calls": [call(1, arguments="]")]}, 4),
        tokens({"tool_calls": [call(0, arguments="}")]}, 5, finish="tool_calls"),
    ]
    played = answer(
        PROMPT, *frames, options=WITH_TOKENS, tools=tools({"type": "function", "name": "f"}, parallel=False)
    )
    (item,) = played.response["output"]
    assert (item["call_id"], item["arguments"]) == ("a", "{}")
    assert shown(played) == [[3], [4, 5]]
    assert bundles(played) == [bundle(3, 4, 5)]


# Spans of thought ------------------------------------------------------------------------------------------------


def said(played: Played) -> list[tuple[str, str]]:
    """What was thought and what was said, item by item."""
    return [
        (item["type"], "".join(part["text"] for part in item.get("content", []) + item.get("summary", [])))
        for item in played.response["output"]
    ]


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
def test_spans_are_reasoning_items_like_any_other(
    where: Where | None, text: str, expected: list[tuple[str, str]], summary: bool
) -> None:
    for pieces in ([text], list(text)):
        played = answer(
            *map(chunk, pieces),
            STOP,
            filters=lambda: filters(where),
            options=ResponseOptions(summary=summary, seal=seal),
        )
        assert said(played) == expected
        thoughts = [item for item in played.response["output"] if item["type"] == "reasoning"]
        assert [item["encrypted_content"] for item in thoughts] == ["sealed a"] * len(thoughts)
        assert all(bool(item["summary"]) == summary for item in thoughts)


@pytest.mark.parametrize(
    ("where", "frames", "fast"),
    [
        ("leading", ["Hello", " ", "world", "!"], 3),
        ("leading", ["<think>", "Hm.", "</think>", "\n\n", "Hello", " ", "world"], 2),
        ("leading", ["\n", "<thi", "s", "> ", "is"], 2),
        ("prefilled", ["Hm.", "</think>", "Hello", "!"], 1),
        ("anywhere", ["Hello", " ", "world", "!"], 3),
    ],
)
def test_text_takes_the_short_way_as_soon_as_no_span_can_begin(where: Where, frames: list[str], fast: int) -> None:
    played = answer(*map(chunk, frames), STOP, filters=lambda: [ThinkTagFilter(where)])
    assert played.fast == fast
    assert played.frames == answer(*map(chunk, frames), STOP, filters=lambda: [ThinkTagFilter(where)]).frames


# All of it, over random streams ----------------------------------------------------------------------------------

WANTED = st.builds(
    ResponseOptions,
    logprobs=st.booleans(),
    summary=st.booleans(),
    seal=st.sampled_from([None, seal]),
    obfuscate=st.sampled_from([None, obfuscation]),
)
MENDS = st.sampled_from([None, "leading", "anywhere"])


def filters(where: Where | None) -> list[ThinkTagFilter]:
    return [] if where is None else [ThinkTagFilter(where)]


def plain_item(item: Json, wanted: ResponseOptions) -> Item:
    """An item without its extras, which are as they should be."""
    if item["type"] == "reasoning":
        shown, empty = ("summary", "content") if wanted.summary else ("content", "summary")
        assert item[empty] == []
        (part,) = item[shown]
        assert part["type"] == ("summary_text" if wanted.summary else "reasoning_text")
        assert item.get("encrypted_content") == (seal(part["text"]) if wanted.seal is not None else None)
        item = item | {"content": [part | {"type": "reasoning_text"}]}
    return as_item(item)


@given(CONVERSATIONS, DICE, WANTED, MENDS)
def test_whatever_is_asked_for_the_answer_is_the_same(
    rounds: Sequence[Round], dice: Random, wanted: ResponseOptions, where: Where | None
) -> None:
    """None of the random texts has a tag, so it is the same whether spans are looked for or not."""
    rounds = rounds[:1] if where is not None else rounds
    rounds = [round for round in rounds if not any("<" in getattr(said, "text", "") for said in round.statements)]
    if not rounds or (where is not None and blank(rounds[0])):
        return
    played = play(*[encode(round, dice) for round in rounds], options=wanted, filters=lambda: filters(where))
    check_stream(played.payloads)
    assert [plain_item(item, wanted) for item in played.response["output"]] == expected_output(rounds)
    assert played.payloads[-1]["type"] == expected_terminal(rounds)
    assert [plainly(event) for event in played.events] == played.payloads
    assert all(("obfuscation" in event) == (wanted.obfuscate is not None) for event in deltas(played))
    assert all(padded(event) % OBFUSCATED_SIZE == 0 for event in deltas(played) if wanted.obfuscate is not None)


def blank(round: Round) -> bool:
    """White space that no word follows belongs to the markup where spans are looked for, and is not kept."""
    texts = [said for said in round.statements if isinstance(said, Said) and said.channel == "text"]
    return any(not said.text.strip() for said in texts)


@given(CONVERSATIONS, DICE, WANTED, MENDS, st.lists(st.integers(0, 10_000), max_size=20), st.booleans())
def test_where_the_bytes_are_cut_changes_no_byte_of_it(
    rounds: Sequence[Round],
    dice: Random,
    wanted: ResponseOptions,
    where: Where | None,
    places: Sequence[int],
    slow: bool,
) -> None:
    whole = encode(rounds[0], dice)
    data = b"".join(whole)
    edges = sorted(place % (len(data) + 1) for place in places)
    pieces = [data[start:end] for start, end in zip([0, *edges], [*edges, len(data)], strict=True)]
    one = play(whole, options=wanted, filters=lambda: filters(where)).frames
    assert play(pieces, options=wanted, filters=lambda: filters(where), slow=slow).frames == one


TAGGED = st.lists(
    st.sampled_from(["<think>", "</think>", "<", "think>", "Hm.", " ", "\n", "é😀", "</", "a"]), min_size=1, max_size=8
)
STATEMENTS = st.lists(
    st.one_of(
        st.builds(lambda words: Said("text", "".join(words)), TAGGED),
        st.builds(Said, st.sampled_from(["refusal", "reasoning"]), st.sampled_from(["No.", "<think>"])),
        st.just(Argued(0, "{}")),
    ),
    min_size=1,
    max_size=4,
)
TAGGED_ROUNDS = st.builds(
    lambda statements, finish, error: Round(statements, [Call("host-0", "f")], finish=finish, error=error),
    STATEMENTS,
    st.sampled_from(["stop", "length", None]),
    st.sampled_from([None, None, {"error": "gone"}]),
)


@given(TAGGED_ROUNDS, DICE, DICE, st.sampled_from(["leading", "anywhere", "prefilled"]), st.booleans())
def test_how_the_host_cuts_its_spans_changes_no_value(
    round: Round, one: Random, other: Random, where: Where, slow: bool
) -> None:
    first, second = (play(encode(round, dice), filters=lambda: filters(where), slow=slow) for dice in (one, other))
    check_stream(first.payloads)
    check_stream(second.payloads)
    assert [as_item(item) for item in first.response["output"]] == [as_item(item) for item in second.response["output"]]
    assert first.payloads[-1]["type"] == second.payloads[-1]["type"]


def tokenised(round: Round, dice: Random, numbers: Iterator[int]) -> tuple[list[bytes], list[int]]:
    """The round as a host tells it that tells its tokens too: the frames, and the ids of all tokens that count."""
    frames, told = [], list[int]()
    for place, said in enumerate(chunks(round, dice)):
        for choice in said.get("choices") or ():
            choice["logprobs"] = None
            if choice.get("index"):
                continue
            delta = {key: value for key, value in (choice.get("delta") or {}).items() if key != "role" and value}
            ids = [next(numbers) for _ in range(dice.choice([1, 1, 2]) if delta or dice.random() < 0.2 else 0)]
            choice["token_ids"] = ids if ids or dice.random() < 0.5 else None
            choice["logprobs"] = {"content": [{"token": f"<{id}>", "logprob": -float(id)} for id in ids]}
            told += ids
        frames.append(frame(said if place else {**said, "prompt_token_ids": [1, 2]}, dice))
    return frames, told


@given(CONVERSATIONS, DICE, WANTED, MENDS)
def test_the_tokens_of_a_round_stand_on_its_last_item_and_those_of_the_deltas_lead_there(
    rounds: Sequence[Round], dice: Random, wanted: ResponseOptions, where: Where | None
) -> None:
    rounds = [round for round in (rounds[:1] if where is not None else rounds) if round.finish is not None]
    numbers = iter(range(3, 10_000))
    said = [tokenised(round, dice, numbers) for round in rounds]
    wanted = ResponseOptions(token_ids=True, obfuscate=wanted.obfuscate, summary=wanted.summary, seal=wanted.seal)
    played = play(*[frames for frames, _ in said], options=wanted, filters=lambda: filters(where))
    check_stream(played.payloads)
    carried = [found for found in bundles(played) if found]
    assert carried == [bundle(*ids) for round, (_, ids) in zip(rounds, said, strict=True) if round.error is None]
    if rounds and rounds[-1].error is None:
        assert "prompt_token_ids" in played.response["output"][-1]
    streamed = [id for ids in shown(played) for id in ids]
    assert streamed == [id for _, ids in said for id in ids if id in streamed]


# Memory ----------------------------------------------------------------------------------------------------------


def argued(word: str) -> Delta:
    return Delta(tool_calls=[ToolCallDelta(0, "a", FunctionDelta("f", word))])


@pytest.mark.parametrize(
    "delta",
    [lambda word: Delta(content=word), lambda word: Delta(reasoning=word), lambda word: Delta(refusal=word), argued],
    ids=["text", "reasoning", "refusal", "arguments"],
)
def test_text_that_grows_takes_little_more_room_than_it_is_long(delta: Callable[[str], Delta]) -> None:
    stream = new_stream()
    stream.start()
    assert room_of(lambda word: stream.feed(Chunk(choices=[Choice(delta=delta(word))]))) < 3


def test_so_does_text_that_takes_the_short_way() -> None:
    translator = new_translator()
    translator.feed(chunk("Hello"))
    path = translator.fast_path
    assert path is not None
    assert room_of(lambda word: path(chunk(word))) < 3


def room_of(say: Callable[[str], object]) -> float:
    """Bytes of memory for each byte of text, said in 2,000 pieces."""
    say("0000")
    tracemalloc.start()
    for number in range(2000):
        say(f"{number:4}")
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / 8000
