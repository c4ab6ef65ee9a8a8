"""Long answers of a host without calls: text, reasoning, log-probabilities, and how frames and chunks are written.

There is an entry for each dimension in which such an answer can be long (see `linear`). A generator takes n and gives
the body messages of one chat call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from responses_shim.core.response.filters import Filter
from responses_shim.core.response.logprobs import LogprobFilter
from responses_shim.core.response.options import ResponseOptions
from responses_shim.core.response.think_tags import ThinkTagFilter, Where

from .answers import Filters, call, chunk, delta, dimension, end, repeated, translation
from .dimension import Dimension, Work

LOGPROBS = ResponseOptions(logprobs=True)
TOKEN_IDS = ResponseOptions(token_ids=True)
OBFUSCATION = ResponseOptions(obfuscate=lambda size: "x" * size)
SHOWN_TWICE = ResponseOptions(reasoning="both")


def tags(where: Where, *before: Callable[[], Filter]) -> Filters:
    """The filters of `think_tags`, behind others."""
    return lambda: [*(make() for make in before), ThinkTagFilter(where)]


def logprob_filter() -> Sequence[Filter]:
    """The filters of a client that wants log-probabilities."""
    return [LogprobFilter()]


# Answers ------------------------------------------------------------------------------------------------------


def merged(frame: bytes, n: int) -> Iterator[bytes]:
    """n frames in one body message."""
    yield frame * n + end()


def in_pieces(n: int) -> Iterator[bytes]:
    """A frame with n characters, in pieces of 64 bytes."""
    data = delta(content="x" * n)
    for start in range(0, len(data), 64):
        yield data[start : start + 64]
    yield end()


def lines(line: bytes, n: int) -> Iterator[bytes]:
    """One frame with n lines that mean nothing, each a body message."""
    for _ in range(n):
        yield line
    yield delta(content="x")
    yield end()


def data_lines(n: int) -> Iterator[bytes]:
    """One frame whose JSON is spread over n `data:` lines, each a body message."""
    yield b'data: {"choices":[{"delta":{"content":"x"}}]\n'
    for _ in range(n):
        yield b"data: \n"
    yield b"data: }\n\n"
    yield end()


def spans_in_one_message(n: int) -> Iterator[bytes]:
    """n `<think>` spans in one delta, with an entry of log-probabilities for each of their pieces."""
    yield delta(["<think>", "x", "</think>"] * n + ["y"], content="<think>x</think>" * n + "y")
    yield end()


def alternating_spans(n: int) -> Iterator[bytes]:
    """Text and `<think>` spans in turns, in one delta."""
    yield delta(content="a<think>x</think>b" * n)
    yield end()


def blanks_with_logprobs(n: int) -> Iterator[bytes]:
    """White space before the answer, token by token, with log-probabilities."""
    for _ in range(n):
        yield delta([" "], content=" ")
    yield delta(["x"], content="x")
    yield end()


def silent_logprobs(n: int, text: str) -> Iterator[bytes]:
    """Entries of log-probabilities in chunks without text, then all their text (or another) at once."""
    for _ in range(n):
        yield delta(["x"], content="")
    yield delta(["x"], content=text or "x" * (n + 1))
    for _ in range(n):
        yield delta(["x"], content="x")
    yield end()


def early_logprobs(n: int, later: int = 0) -> Iterator[bytes]:
    """n entries in a chunk whose text has only begun. The rest comes token by token, with `later` entries each."""
    yield delta(["x"] * n, content="x")
    for _ in range(n - 1):
        yield delta(["x"] * later, content="x")
    yield end()


def refusals(n: int) -> Iterator[bytes]:
    """Text and refusals in turns: n parts."""
    for _ in range(n):
        yield delta(content="x")
        yield delta(refusal="x")
    yield end()


def finish_reasons(n: int) -> Iterator[bytes]:
    """A finish_reason of n characters, then n others."""
    yield delta(content="x")
    yield chunk(choices=[{"delta": {}, "finish_reason": "stop" + " " * n}])
    for _ in range(n):
        yield chunk(choices=[{"delta": {}, "finish_reason": "stop"}])
    yield b"data: [DONE]\n\n"


def reasoning_and_text(n: int) -> Iterator[bytes]:
    """Reasoning and text in turns: 2n items."""
    for _ in range(n):
        yield delta(reasoning="x")
        yield delta(content="x")
    yield end()


def token_ids(n: int) -> Iterator[bytes]:
    """Token ids with log-probabilities, one token a chunk."""
    yield chunk(choices=[], prompt_token_ids=[1, 2, 3])
    for _ in range(n):
        choice = {"delta": {"content": "x"}, "token_ids": [7]}
        yield chunk(choices=[{**choice, "logprobs": {"content": [{"token": "x", "logprob": -0.5}]}}])
    yield end()


def surrogate_halves(n: int) -> Iterator[bytes]:
    """Chunks with halves of surrogate pairs, which the strict decoder refuses."""
    for _ in range(n):
        yield b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n'
        yield b'data: {"choices":[{"delta":{"content":"\\ude00"}}]}\n\n'
    yield end()


def thoughts_without_logprobs(n: int) -> Iterator[bytes]:
    """n entries of the text, which comes token by token, each beside a thought that no entry reads."""
    yield delta(["x"] * n, content="x")
    for _ in range(n - 1):
        yield delta(["x"], content="x", reasoning="y")
    yield end()


def rounds(n: int) -> Work:
    """n rounds, of a call and some text each."""
    return translation([call("{}", name="f0", index=0), delta(content="x"), end()], rounds=n)


TEXT, BLANK, THOUGHT = delta(content="x"), delta(content=" "), delta(reasoning="x")

DIMENSIONS = [
    # text and reasoning
    dimension("tokens of text", 20_000, partial(repeated, TEXT)),
    dimension("tokens of reasoning", 20_000, partial(repeated, THOUGHT)),
    dimension("tokens of reasoning, shown twice", 5_000, partial(repeated, THOUGHT), options=SHOWN_TWICE),
    dimension("tokens of text, with obfuscation", 5_000, partial(repeated, TEXT), options=OBFUSCATION),
    dimension(
        "parts of reasoning_details in a chunk each",
        2_000,
        partial(repeated, delta(reasoning_details=[{"type": "reasoning.text", "text": "x"}])),
    ),
    dimension(
        "parts of reasoning_details in one chunk",
        20_000,
        lambda n: [delta(reasoning_details=[{"type": "reasoning.text", "text": "x"}] * n), end()],
    ),
    dimension("parts of content in one chunk", 20_000, lambda n: [delta(content=[{"text": "x"}] * n), end()]),
    dimension("reasoning and text in turns", 1_000, reasoning_and_text),
    dimension("white space before the text", 5_000, partial(repeated, BLANK, last=[TEXT])),
    dimension("halves of surrogate pairs", 2_000, surrogate_halves),
    dimension("text and refusals in turns", 2_000, refusals),
    dimension(
        "annotations",
        2_000,
        partial(repeated, delta(annotations=[{"type": "url_citation", "url_citation": {"url": "u"}}]), first=[TEXT]),
    ),
    # <think> tags
    dimension(
        "tokens in a <think> span",
        20_000,
        partial(repeated, TEXT, first=[delta(content="<think>")]),
        filters=tags("leading"),
    ),
    dimension(
        "white space in a <think> span",
        10_000,
        partial(repeated, BLANK, first=[delta(content="<think>")]),
        filters=tags("leading"),
    ),
    dimension(
        "white space in a prefilled span",
        10_000,
        partial(repeated, BLANK, last=[delta(content="x</think>y")]),
        filters=tags("prefilled"),
    ),
    dimension(
        "white space before <think>",
        10_000,
        partial(repeated, BLANK, last=[delta(content="<think>x</think>y")]),
        filters=tags("leading"),
    ),
    dimension(
        "white space before the text, with tags anywhere",
        5_000,
        partial(repeated, BLANK, last=[TEXT]),
        filters=tags("anywhere"),
    ),
    dimension("< in text", 5_000, partial(repeated, delta(content="<"), first=[TEXT]), filters=tags("anywhere")),
    dimension(
        "beginnings of tags in text",
        5_000,
        partial(repeated, delta(content="<thin"), first=[TEXT]),
        filters=tags("anywhere"),
    ),
    dimension(
        "beginnings of tags in one delta",
        20_000,
        lambda n: [delta(content="<thin" * n), end()],
        filters=tags("anywhere"),
    ),
    dimension("spans before the text, in one delta", 1_000, spans_in_one_message, filters=tags("leading")),
    dimension("spans within the text, in one delta", 1_000, alternating_spans, filters=tags("anywhere")),
    dimension(
        "spans, a delta each",
        1_000,
        partial(repeated, delta(content="a<think>x</think>b")),
        filters=tags("anywhere"),
    ),
    # log-probabilities
    dimension(
        "tokens with log-probabilities",
        5_000,
        partial(repeated, delta(["x"], content="x")),
        options=LOGPROBS,
        filters=logprob_filter,
    ),
    dimension(
        "log-probabilities of white space before the answer",
        2_000,
        blanks_with_logprobs,
        options=LOGPROBS,
        filters=tags("leading", LogprobFilter),
    ),
    dimension(
        "log-probabilities of white space in a span",
        2_000,
        partial(repeated, delta([" "], content=" "), first=[delta(["<think>"], content="<think>")]),
        options=LOGPROBS,
        filters=tags("leading", LogprobFilter),
    ),
    dimension(
        "log-probabilities of spans in one delta",
        500,
        spans_in_one_message,
        options=LOGPROBS,
        filters=tags("leading", LogprobFilter),
    ),
    dimension(
        "log-probabilities in chunks without text",
        2_000,
        partial(silent_logprobs, text=""),
        options=LOGPROBS,
        filters=logprob_filter,
    ),
    dimension(
        "log-probabilities of another text",
        2_000,
        partial(silent_logprobs, text="y"),
        options=LOGPROBS,
        filters=logprob_filter,
    ),
    dimension(
        "log-probabilities ahead of their text",
        2_000,
        early_logprobs,
        options=LOGPROBS,
        filters=logprob_filter,
    ),
    dimension(
        "log-probabilities that stay ahead of their text",
        2_000,
        partial(early_logprobs, later=1),
        options=LOGPROBS,
        filters=logprob_filter,
    ),
    dimension(
        "log-probabilities of text beside thoughts",
        2_000,
        thoughts_without_logprobs,
        options=LOGPROBS,
        filters=logprob_filter,
    ),
    # frames
    dimension("frames of text in one message", 5_000, partial(merged, TEXT)),
    dimension("frames of arguments in one message", 5_000, lambda n: merged(call("1", name="f", index=0), n)),
    dimension("bytes of one frame in many messages", 500_000, in_pieces),
    dimension("comments", 10_000, partial(lines, b": comment\n")),
    dimension("lines that end in CR", 10_000, partial(lines, b": comment\r")),
    dimension("bytes of a comment in many messages", 10_000, lambda n: [*([b":" + b" " * 64] * n), b"\n", TEXT, end()]),
    dimension("lines of one frame", 10_000, data_lines),
    dimension("line ends", 10_000, partial(lines, b"\n")),
    dimension("chunks without a choice", 5_000, partial(repeated, chunk(choices=[]), last=[TEXT])),
    dimension(
        "choices of one chunk", 20_000, lambda n: [chunk(choices=[{"index": 0, "delta": {"content": "x"}}] * n), end()]
    ),
    dimension(
        "choices of another index",
        20_000,
        lambda n: [chunk(choices=[{"index": 1, "delta": {"content": "x"}}] * n), TEXT, end()],
    ),
    dimension(
        "choices that only the lenient decoder reads",
        5_000,
        lambda n: [chunk(choices=[{"index": 0, "delta": {"content": [{"text": "x"}]}}] * n), TEXT, end()],
    ),
    dimension("finish_reasons", 5_000, finish_reasons),
    dimension(
        "usage in every chunk",
        5_000,
        partial(repeated, chunk(choices=[], usage={"prompt_tokens": 1, "completion_tokens": 1}), first=[TEXT]),
    ),
    dimension("token ids", 2_000, token_ids, options=TOKEN_IDS),
    Dimension("rounds", 300, rounds),
]
