"""The fast path makes the same bytes as the slow one, and takes no frames but those that carry one field."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.response.call_space import CallSpaceFilter
from responses_shim.core.response.fast_path import MAX_LEARNED, MAX_REFUSED, FastPath
from responses_shim.core.response.filters import Filter
from responses_shim.core.response.logprobs import LogprobFilter
from responses_shim.core.response.options import ResponseOptions
from responses_shim.core.response.think_tags import ThinkTagFilter
from responses_shim.core.response.translator import Translator
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from tests.core.driver import Json, Played, new_stream, new_translator, play, read_frame
from tests.core.host_streams import encode
from tests.core.rounds import RNGS, TOOL_ROUNDS, Round, tool_map
from tests.cuts import POSITIONS, cut
from tests.oracle import check_stream
from tests.scripted import DONE, call, chunk, frame, usage

STOP = chunk(finish_reason="stop")
Make = Callable[[str], bytes]


def reasoning(text: str) -> bytes:
    return chunk(reasoning=text)


def older_reasoning(text: str) -> bytes:
    return chunk(reasoning_content=text)


def both_reasonings(text: str) -> bytes:
    return chunk(reasoning=text, reasoning_content=text)


def arguments(text: str) -> bytes:
    return chunk(tool_calls=[call(0, arguments=text)])


def with_logprobs(text: str) -> bytes:
    top = [{"token": token, "logprob": -0.25, "bytes": list(token.encode())} for token in (text, "x")]
    return chunk(text, logprobs={"content": [{**top[0], "top_logprobs": top}]})


KINDS: dict[str, Make] = {
    "text": chunk,
    "reasoning": reasoning,
    "reasoning_content": older_reasoning,
    "both reasonings": both_reasonings,
}


# Both paths make the same bytes --------------------------------------------------------------------------------------


@given(TOOL_ROUNDS, RNGS, POSITIONS, st.booleans(), st.booleans())
def test_both_paths_make_the_same_bytes_of_any_stream(
    rounds: Sequence[Round], rng: Random, positions: Sequence[int], logprobs: bool, filtered: bool
) -> None:
    def filters() -> list[Filter]:
        return [LogprobFilter(), ThinkTagFilter("anywhere")] if filtered else []

    def comparable_frames(*messages: list[bytes], slow: bool = False) -> list[Any]:
        return comparable(play(*messages, tools=tool_map(), logprobs=logprobs, filters=filters, slow=slow), logprobs)

    messages = [encode(round, rng) for round in rounds]
    slow = comparable_frames(*messages, slow=True)
    assert comparable_frames(*messages) == slow
    assert comparable_frames(cut(b"".join(messages[0]), positions), *messages[1:]) == slow


def comparable(played: Played, logprobs: bool) -> list[Any]:
    """The frames; with log-probabilities, whose JSON may differ in white space, the events in them."""
    return list(played.payloads if logprobs else played.frames)


TOKENS = st.lists(st.text(min_size=1, max_size=4) | st.sampled_from(['"', "\\", "<", "</think>", "\n", "é😀"]))


@pytest.mark.parametrize("make", [*KINDS.values(), arguments, with_logprobs])
@given(tokens=TOKENS, where=st.sampled_from([None, "leading", "anywhere", "prefilled", "line ends"]))
def test_both_paths_make_the_same_bytes_of_any_text(make: Make, tokens: list[str], where: Any) -> None:
    def filters() -> list[Filter]:
        if where == "line ends":
            return [CallSpaceFilter("\n"), LogprobFilter()]
        return [ThinkTagFilter(where)] if where is not None else []

    opening = [chunk(tool_calls=[call(0, "a", "f")])] if make is arguments else []
    messages = [*opening, *map(make, tokens), STOP, DONE]
    options: Json = {"logprobs": make is with_logprobs, "filters": filters}
    logprobs = options["logprobs"]
    assert comparable(play(messages, **options), logprobs) == comparable(play(messages, slow=True, **options), logprobs)


# Which frames take the fast path -------------------------------------------------------------------------------------


def answer(*messages: bytes, **options: Any) -> Played:
    """The response to these messages and a stop, once it has been compared with that of the slow path."""
    played = play([*messages, STOP, DONE], **options)
    check_stream(played.payloads)
    slow = play([*messages, STOP, DONE], **options, slow=True)
    assert comparable(played, "logprobs" in options) == comparable(slow, "logprobs" in options)
    return played


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_text_and_reasoning_take_the_fast_path_after_their_first_chunk(make: Make) -> None:
    assert answer(chunk("", role="assistant"), *map(make, "Hello")).fast == 4


def test_arguments_take_the_fast_path() -> None:
    opening = chunk(tool_calls=[call(0, "a", "f", "{")])
    assert answer(opening, *map(arguments, ['"a"', ": ", "1}"])).fast == 3
    unnumbered = [chunk(tool_calls=[{"function": {"arguments": piece}}]) for piece in ('"a"', ": ", "1}")]
    assert answer(chunk(tool_calls=[{"id": "a", "function": {"name": "f", "arguments": "{"}}]), *unnumbered).fast == 3


def test_arguments_take_the_fast_path_if_the_host_repeats_the_id_of_the_call() -> None:
    pieces = [chunk(tool_calls=[call(0, "a", None, piece)]) for piece in ("1", "}")]
    assert answer(chunk(tool_calls=[call(0, "a", "f", "{")]), *pieces).fast == 2


def test_arguments_of_another_call_than_the_latest_take_the_slow_path() -> None:
    opened = [chunk(tool_calls=[call(index, f"c{index}", "f", "{")]) for index in (0, 1)]
    played = answer(*opened, *[chunk(tool_calls=[call(index, arguments="}")]) for index in (1, 0)])
    assert played.fast == 0
    assert [item["arguments"] for item in played.output] == ["{}", "{}"]


def test_arguments_with_an_id_and_no_index_take_the_slow_path() -> None:
    deltas = [
        {"id": id, "function": function}
        for id in ("a", "b")
        for function in ({"name": "f", "arguments": "{"}, {"arguments": "}"})
    ]
    played = answer(*[chunk(tool_calls=[delta]) for delta in deltas])
    assert played.fast == 0
    assert [item["arguments"] for item in played.output] == ["{}", "{}"]


def test_the_input_of_a_custom_tool_takes_the_fast_path_where_nothing_is_escaped() -> None:
    tools = ToolMap([{"type": "custom", "name": "patch"}], None, None, Report())
    opening = chunk(tool_calls=[call(0, "a", "patch", '{"input": "*** ')])
    pieces = ["Begin", " Patch", "\\", "n+", "a\\n", " b", '"}']
    played = answer(opening, *map(arguments, pieces), tools=tools)
    assert played.output[0]["input"] == "*** Begin Patch\n+a\n b"
    assert played.fast == 3


def test_a_call_whose_arguments_are_parsed_at_its_end_takes_the_slow_path() -> None:
    tools = ToolMap([{"type": "shell"}], None, None, Report())
    opening = chunk(tool_calls=[call(0, "a", "shell", '{"commands":')])
    assert answer(opening, *map(arguments, ['["ls"', "]}"]), tools=tools).fast == 0


def test_a_summary_takes_the_fast_path() -> None:
    options = ResponseOptions(reasoning="summary", seal=lambda text: f"sealed {text}")
    assert answer(*map(reasoning, "Hmm."), options=options).fast == 3


def test_text_between_think_tags_takes_the_fast_path() -> None:
    pieces = ["<think>", "Hm", ",", " so", "</think>", "Hello", " ", "you"]
    played = answer(*map(chunk, pieces), filters=lambda: [ThinkTagFilter("leading")])
    assert [item["type"] for item in played.output] == ["reasoning", "message"]
    assert played.fast == 4


def test_text_that_may_begin_a_think_tag_takes_the_slow_path() -> None:
    pieces = ["Hello", " you", " <", "b", "> ", "there", " again"]
    played = answer(*map(chunk, pieces), filters=lambda: [ThinkTagFilter("anywhere")])
    assert played.output[0]["content"][0]["text"] == "".join(pieces)
    assert played.fast == 4


def test_log_probabilities_take_the_fast_path() -> None:
    played = answer(*map(with_logprobs, ["Hel", "lo", "!"]), logprobs=True, filters=lambda: [LogprobFilter()])
    assert played.fast == 2
    entries = played.output[0]["content"][0]["logprobs"]
    assert [(entry["token"], len(entry["top_logprobs"])) for entry in entries] == [("Hel", 2), ("lo", 2), ("!", 2)]


def test_log_probabilities_take_the_fast_path_however_many_and_whatever_changes_around_them() -> None:
    def numbered(created: int) -> bytes:
        entry = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
        choice = {"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [entry]}}
        return frame({"created": created, "choices": [choice]})

    played = answer(*[numbered(created) for created in range(3 * MAX_LEARNED)] * 10, logprobs=True)
    assert played.fast == 30 * MAX_LEARNED - 1
    assert played.response["output"][0]["content"][0]["text"] == "a" * 30 * MAX_LEARNED


ENTRY: Json = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [ENTRY, ENTRY],
        [{**ENTRY, "token": "b"}],
        [{**ENTRY, "logprob": 0.5}],
        [{**ENTRY, "logprob": -1e9}],
        [{**ENTRY, "bytes": None}],
        [{name: ENTRY[name] for name in ("token", "logprob", "bytes")}],
        [{**ENTRY, "id": 7}],
        [{**ENTRY, "top_logprobs": [{"token": "a", "logprob": -0.5, "bytes": None}]}],
    ],
)
def test_log_probabilities_that_must_be_changed_take_the_slow_path(entries: list[Json]) -> None:
    odd = chunk("a", logprobs={"content": entries})
    assert answer(with_logprobs("a"), odd, odd, logprobs=True).fast == 0
    assert answer(*[with_logprobs("a")] * 2, odd, odd, with_logprobs("a"), logprobs=True).fast == 2


def test_log_probabilities_with_a_line_end_between_the_keys_take_the_slow_path() -> None:
    odd = b'data: {"choices":[{"delta":{"content":"a"},"logprobs":{"content":[%b]}}]}\n\n'
    entry = json.dumps(ENTRY).encode().replace(b", ", b",\r")
    assert answer(odd % entry, odd % entry, logprobs=True).fast == 0


# How long a fast path lasts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "odd",
    [
        b": keepalive\n\n",
        frame({"choices": [{"index": 0, "delta": {}}]}),
        chunk(""),
        frame({"choices": []}),
        chunk("x") + chunk("y"),
        chunk("x", usage=usage(1, 1)),
        chunk("x")[:20],
    ],
    ids=["comment", "empty delta", "empty text", "no choice", "merged", "usage", "half"],
)
@pytest.mark.parametrize("make", [chunk, reasoning])
def test_an_odd_frame_in_between_does_not_end_the_fast_path(odd: bytes, make: Make) -> None:
    rest = chunk("x")[20:] if odd == chunk("x")[:20] else b""
    between = [odd, rest] if rest else [odd]
    if make is reasoning and b"x" in b"".join(between):
        return  # that ends the reasoning
    assert answer(make("a"), make("b"), *between, make("c"), *between, make("d")).fast == 3


def test_each_part_has_a_fast_path_of_its_own() -> None:
    pieces = [chunk("a"), chunk("b"), chunk(refusal="No."), chunk("c"), chunk("d"), reasoning("Hm."), chunk("e")]
    assert answer(*pieces, chunk("f")).fast == 3


def test_the_fast_path_is_given_up_if_most_frames_are_refused() -> None:
    """A host whose frames all carry something more costs a few tries for each part, not one for each token."""
    translator = new_translator()
    for _ in range(MAX_REFUSED + 5):
        translator.feed(chunk("a", usage=usage(1, 1)))
    assert translator.fast_path is None
    translator.feed(chunk(refusal="No."))
    translator.feed(chunk("a"))
    assert translator.fast_path is not None


def test_the_bytes_around_the_text_are_learned_only_a_few_times() -> None:
    frames = [
        frame({"created": n, "choices": [{"index": 0, "delta": {"content": "a"}}]}) for n in range(MAX_LEARNED * 3)
    ]
    assert answer(*frames).fast == len(frames) - 1
    assert answer(*[data for data in frames for _ in range(2)]).fast == 2 * len(frames) - 1


def test_nothing_is_learned_from_a_frame_that_has_its_text_twice() -> None:
    frames = [frame({"model": "a", "choices": [{"index": 0, "delta": {"content": text}}]}) for text in "aabab"]
    played = answer(*frames)
    assert played.fast == 4
    assert played.output[0]["content"][0]["text"] == "aabab"


def test_nothing_is_learned_from_a_frame_with_log_probabilities_that_has_its_text_twice() -> None:
    def named(text: str) -> bytes:
        choice = {"index": 0, "delta": {"content": text}, "logprobs": {"content": [{**ENTRY, "token": text}]}}
        return frame({"model": "a", "choices": [choice]})

    played = answer(*map(named, "aabab"), logprobs=True)
    assert played.fast == 4
    assert played.output[0]["content"][0]["text"] == "aabab"


@pytest.mark.parametrize("key", ["choices", "delta", "content"])
def test_nothing_is_learned_from_a_frame_whose_text_is_the_name_of_a_key(key: str) -> None:
    """With another text in the place of the key it would be no frame of an answer any more."""
    for make, options in ((chunk, {}), (with_logprobs, {"logprobs": True})):
        played = answer(*map(make, ["a", key, key, "b"]), **options)
        assert played.fast == 3
        assert played.output[0]["content"][0]["text"] == f"a{key}{key}b"


def test_pings_are_numbered_with_the_frames_of_the_fast_path() -> None:
    pinged = play([*map(chunk, "abc"), STOP], after_each=Translator.ping).payloads
    check_stream(pinged)
    assert [event["sequence_number"] for event in pinged] == list(range(len(pinged)))


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [chunk(reasoning="Hm.")],
        [chunk(refusal="No.")],
        [chunk(tool_calls=[call(0, "a", "f", "{")])],
        [chunk("a"), chunk(tool_calls=[call(0, "a", "f", "{")])],
        [chunk("a"), chunk("b", reasoning="Hm.")],
    ],
)
def test_text_has_no_fast_path_while_no_text_is_open(messages: list[bytes]) -> None:
    assert answer(*messages, chunk("b")).fast == 0


def test_there_is_no_fast_path_after_an_error() -> None:
    translator = new_translator()
    for data in (chunk("a"), frame({"error": "gone"})):
        translator.feed(data)
    assert translator.fast_path is None


def test_there_is_no_fast_path_while_a_frame_is_incomplete() -> None:
    translator = new_translator()
    for data in (chunk("a"), chunk("b")[:20]):
        translator.feed(data)
    assert translator.fast_path is None
    translator.feed(chunk("b")[20:])
    assert translator.fast_path is not None


def test_there_is_no_fast_path_before_the_first_delta() -> None:
    translator = new_translator()
    translator.start()
    assert translator.fast_path is None


def test_there_is_no_fast_path_for_a_response_that_is_not_streamed() -> None:
    translator = Translator(new_stream(), framing=None)
    assert translator.feed(chunk("a")) == []
    assert translator.fast_path is None


# Which bytes a fast path takes ---------------------------------------------------------------------------------------


def paths() -> list[FastPath]:
    """A fast path that has learned nothing yet, and one that has learned the bytes around the text of a frame."""
    found = []
    for lesson in (None, chunk("a")):
        translator = new_translator()
        translator.feed(chunk("x"))
        path = translator.fast_path
        assert path is not None
        if lesson is not None:
            path(lesson)
        found.append(path)
    return found


def of(delta: Any, choice: Json | None = None, **keys: Any) -> bytes:
    return frame({"choices": [{"delta": delta, **(choice or {})}], **keys})


@pytest.mark.parametrize(
    "data",
    [
        chunk("é😀\n"),
        of({"content": "é😀\n"}),
        of({"content": "é😀\n", "role": "assistant"}, {"index": 0, "finish_reason": None, "logprobs": None}),
        of({"content": "é😀\n", "role": None, "refusal": None, "tool_calls": None, "reasoning": None}),
        of(
            {"content": "é😀\n"}, {"stop_reason": None}, id="chatcmpl-1", usage=None, error=None, system_fingerprint="x"
        ),
        b'data: {"choices":[{"delta":{"content":"\\u00e9\\ud83d\\ude00\\n"}}]}\n\n',
    ],
)
def test_a_frame_with_text_and_nothing_else_is_taken(data: bytes) -> None:
    for path in paths():
        made = path(data)
        assert made is not None
        number, event = made
        assert read_frame(event)["sequence_number"] == number
        assert read_frame(event)["delta"] == "é😀\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"data: [DONE]\n\n",
        b": ping\n\n",
        b"\n",
        b"\nping",
        b"data: {}\n\n",
        b'data: {"choices":[]}\n\n',
        b'data: {"choices":[{"delta":{"content":"a"}}]}\r\n\r\n',
        b'data: {"choices":[{"delta":{"content":"a"}}]}\n',
        b'data:{"choices":[{"delta":{"content":"a"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":NaN}}]}\n\n',
        b'data: {"choices":' + b"[" * 100_000 + b"}\n\n",
        chunk("a") * 2,
        chunk("a")[:-4],
        chunk("a", finish_reason="stop"),
        chunk("a", usage=usage(1, 1)),
        chunk("a", reasoning="b"),
        chunk("a", refusal="b"),
        chunk("a", tool_calls=[]),
        chunk("a").replace(b'"a"', b'"a","refusal":"b"'),
        chunk("a").replace(b'"a"', b'"\\ud83d"'),
        chunk("a").replace(b'"a"', b'"\xff"'),
        of({"content": ""}),
        of({"content": None}),
        of({"content": [{"type": "text", "text": "a"}]}),
        of({"content": "a", "audio": {}}),
        of({"content": "a", "reasoning": ""}),
        of({}),
        of(None),
        of({"content": "a"}, {"finish_reason": ""}),
        of({"content": "a"}, {"index": 1}),
        of({"content": "a"}, {"index": None}),
        of({"content": "a"}, {"message": {}}),
        of({"content": "a"}, usage={}),
        of({"content": "a"}, error="gone"),
        frame({"choices": [{"delta": {"content": "a"}}] * 2}),
        frame({"choices": {"delta": {"content": "a"}}}),
    ],
)
def test_any_other_bytes_are_refused_without_a_trace(data: bytes) -> None:
    for path in paths():
        assert path(data) is None
        before = path(chunk("b"))
        assert path(data) is None
        after = path(chunk("b"))
        assert before is not None
        assert after is not None
        assert after[0] == before[0] + 1


def test_text_that_is_held_back_for_a_moment_does_not_end_the_fast_path() -> None:
    """As at the end of each line, where a call may follow: only that delta and the next take the slow path."""
    lines = [chunk(piece) for line in range(20) for piece in (f"line {line}", ":", "\n")]
    played = answer(*lines, filters=lambda: [CallSpaceFilter("\n")])
    assert played.fast == len(lines) - 1 - 20 - 19
