"""Hostile hosts, whose bytes are cut anywhere: the client gets one valid stream, the same however it is cut."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal
from unittest.mock import patch

import msgspec
from hypothesis import strategies as st
from msgspec.structs import replace

from responses_shim import ResponsesShim
from responses_shim.core.wire.chat import ANNOTATIONS
from responses_shim.runtime import run
from tests import caller
from tests.caller import Reply
from tests.core.host_streams import encode
from tests.core.rounds import RNGS, TOOLS, rounds
from tests.cuts import POSITIONS, cut
from tests.fuzz.fuzzer import Fuzzer
from tests.fuzz.host_answers import REQUEST, comparable, failure, finish, frames, is_stream
from tests.fuzz.mutations import ODD_VALUES, as_json, mutated, mutated_bytes
from tests.fuzz.odd_hosts import ERRORS, MANNERS, Error, Manners, OddHost
from tests.oracle import TERMINAL, check_error, check_response, check_stream
from tests.scripted import EVENT_STREAM, End, Raise, Return, Start, Step, call, usage

CUTS = 5
"""In how many ways each answer is cut."""

EndOfAnswer = Literal["end", "return", "end, then raise", Error]
"""With a last message, without one, with an exception behind it, or with one of this name instead of it."""
CONTENT_TYPES = ["text/event-stream", "text/event-stream; charset=utf-8", "application/json", "text/html", "", "x"]


class HostAnswer(msgspec.Struct, frozen=True):
    """The answer of a host to the chat call."""

    body: str
    """Its bytes, read as Latin-1, so that each is one character."""
    cuts: list[list[int]]
    """Positions at which the body is cut, for each of the ways."""
    end: EndOfAnswer = "end"
    status: int = 200
    content_type: str = "text/event-stream"
    manners: Manners = Manners()
    request: dict[str, Any] = {}
    """Fields of the client's request."""


# What is sent --------------------------------------------------------------------------------------------------------

DELTA = {
    "role": "assistant",
    "content": "Hi",
    "reasoning_content": "Hm",
    "refusal": None,
    "tool_calls": [call(0, "call_0", "f", '{"a": 1}'), call(1, "call_1", "c", '{"input": "x"}')],
}
LOGPROBS = {"content": [{"token": "Hi", "logprob": -0.5, "bytes": [72], "top_logprobs": []}], "refusal": None}
CHUNK = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "scripted",
    "choices": [{"index": 0, "delta": DELTA, "finish_reason": None, "logprobs": LOGPROBS, "token_ids": [1]}],
    "usage": usage(3, 4, cached=1, reasoning=2),
    "prompt_token_ids": [1, 2],
}
COMPLETION = {
    **CHUNK,
    "object": "chat.completion",
    "choices": [{"index": 0, "message": DELTA, "finish_reason": "stop", "logprobs": LOGPROBS}],
}

odd_frames = mutated(st.just(CHUNK)).map(lambda chunk: b"data: " + as_json(chunk) + b"\n\n")


@st.composite
def odd_annotations(draw: st.DrawFn) -> dict[str, Any]:
    """An annotation of a known type or another, flat or nested, any of whose keys is missing or odd."""
    kind = draw(st.sampled_from([*ANNOTATIONS, "video_citation"]))
    value = ODD_VALUES | st.sampled_from(["f", 1])
    values = draw(st.fixed_dictionaries({}, optional=dict.fromkeys(ANNOTATIONS.get(kind, ["url"]), value)))
    return {"type": kind, kind: values} if draw(st.booleans()) else {"type": kind, **values}


cited_frames = (
    odd_annotations()
    .map(lambda annotation: {"content": "Hi", "annotations": [annotation]})
    .map(lambda delta: b"data: " + as_json({"choices": [{"index": 0, "delta": delta}]}) + b"\n\n")
)
random_frames = st.lists(frames | cited_frames | odd_frames | finish | failure, max_size=8).map(b"".join)
frames_that_end = st.builds(lambda frames, end: frames + end + b"data: [DONE]\n\n", random_frames, finish)
encoded_rounds = st.builds(lambda round, rng: b"".join(encode(round, rng)), rounds(tools=TOOLS), RNGS)
completions = mutated(st.just(COMPLETION)).map(as_json)
bodies = st.one_of(
    random_frames,
    frames_that_end,
    frames_that_end,
    encoded_rounds,
    encoded_rounds,
    mutated_bytes(encoded_rounds | frames_that_end, most=4),
    completions,
    mutated_bytes(completions),
    st.sampled_from([b"", b"<html><title>502</title>", gzip.compress(b"data: [DONE]\n\n"), b"[]", b"5", b"\xff\xfe"]),
)


def orderly(manners: Manners) -> Manners:
    """The manners without those of which the outcome depends on how the answer is cut.

    Nothing is sent once the host has returned, and no `send` is given up for the failure of another.
    """
    late: Literal["", "before it returns"] = "before it returns" if manners.late else ""
    return replace(manners, late=late, bound=False)


examples = st.builds(
    HostAnswer,
    bodies.map(lambda body: body.decode("latin-1")),
    st.lists(POSITIONS, min_size=CUTS, max_size=CUTS),
    st.sampled_from([*["end"] * 9, "return", "end, then raise", *ERRORS]),
    st.sampled_from([200] * 50 + [201, 204, 302, 400, 401, 429, 500, 503]),
    st.sampled_from(CONTENT_TYPES[:2] * 12 + CONTENT_TYPES),
    MANNERS.map(orderly),
    st.sampled_from(
        [
            {},
            {"parallel_tool_calls": False},
            {"stream_options": {"include_obfuscation": True}},
            {"reasoning": {"summary": "auto"}, "return_token_ids": True},
            {"text": {"format": {"type": "json_object"}}},
            {"tools": [], "include": []},
        ]
    ),
)


# What must hold ------------------------------------------------------------------------------------------------------


async def ask(answer: HostAnswer, pieces: Sequence[bytes], *, stream: bool) -> Reply:
    """Ask a shim on a host whose answer comes in these pieces."""
    headers = [(b"content-type", answer.content_type.encode())] if answer.content_type else []
    start = Start(answer.status, EVENT_STREAM if answer.content_type == "text/event-stream" else headers)
    host = OddHost([start, *filter(None, pieces), *last_steps(answer.end)], answer.manners)
    reply = await caller.post(ResponsesShim(host), "/v1/responses", {**REQUEST, **answer.request, "stream": stream})
    assert host.working == 0, "the engine goes on"
    assert not host.cancelled, "the host is cancelled, though nobody has left"
    assert host.violations == []
    return reply


def last_steps(end: EndOfAnswer) -> list[Step]:
    """What a host does behind the bytes of its answer."""
    match end:
        case "end":
            return [End()]
        case "return":
            return [Return()]
        case "end, then raise":
            return [End(), Raise(RuntimeError("late"))]
        case _:
            return [Raise(ERRORS[end]())]


def outcome(reply: Reply) -> Any:
    """The response, or the message of the error: before a stream has begun that is an HTTP error, then an event."""
    if is_stream(reply):
        assert reply.status == 200
        events = caller.payloads(reply.events)
        check_stream(events)
        assert sum(event["type"] in TERMINAL for event in events) == 1
    elif reply.status == 200:
        check_response(reply.json)
    else:
        assert reply.status >= 400
        check_error(reply.json)
        return reply.json["error"]["message"]
    response = comparable(reply)
    return response["error"]["message"] if response["status"] == "failed" else response


async def check(answer: HostAnswer) -> str:
    """Ask for the answer as a stream, in each way in which it is cut, and not as a stream."""
    body = answer.body.encode("latin-1")
    ways = [partial(ask, answer, cut(body, positions), stream=True) for positions in answer.cuts]
    with patch.object(run, "RETURN_SECONDS", 60):  # on a busy machine
        expected = outcome(await ask(answer, [body], stream=False))
        for way in ways:
            assert outcome(await way()) == expected
    return expected["status"] if isinstance(expected, dict) else "failed"


HOSTS = Fuzzer("hosts", HostAnswer, examples, check, short=40)
