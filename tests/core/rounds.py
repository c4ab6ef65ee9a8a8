"""Random rounds: what a host sends in one chat call, as values that a test can reason about.

A `Round` has the pieces of an answer in order, how it finished, and what it cost. `host_streams.encode` writes it as
some host might send it, `expected` says what a response must make of it. For example

    Round([TextPiece("text", "Hi "), ArgumentsPiece(0, "{}")], [Call("call_1", "f")], finish="tool_calls")

is an answer of some text and one call, however many chunks the host takes for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, NamedTuple, TypeAlias

from hypothesis import strategies as st

from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class TextPiece:
    """A piece of the field `text`, `reasoning` or `refusal`."""

    field: str
    text: str


@dataclass(frozen=True)
class ArgumentsPiece:
    """A piece of one of the round's calls, by its position in `calls`. The first piece opens the call.

    `text` is a piece of the arguments of a function, as they are; with any other kind of tool it is a piece of the
    text, or one of the texts, inside the arguments.
    """

    call: int
    text: str


@dataclass(frozen=True)
class Call:
    """A call of a tool, by the client's names for it. `id` is None with a host that gives none."""

    id: str | None
    name: str
    kind: str = "function"
    namespace: str | None = None

    @property
    def spellings(self) -> list[str]:
        """The names by which a model may call it."""
        if self.namespace is None:
            return [self.name]
        return [f"{self.namespace}__{self.name}", f"{self.namespace}.{self.name}", self.name]


Piece: TypeAlias = TextPiece | ArgumentsPiece


@dataclass(frozen=True)
class Round:
    """The answer to one chat call."""

    pieces: Sequence[Piece]
    calls: Sequence[Call] = ()
    indexed: bool = True
    """The host numbers its calls. One that does not tells them apart by id, or sends one after the other."""
    finish: str | None = "stop"
    usage: Json | None = None
    error: Any = None
    """An error frame after the pieces; what the host sends after that must not count."""

    @property
    def complete(self) -> bool:
        """The host did not break off, and no limit cut its answer."""
        return self.error is None and self.finish in ("stop", "tool_calls")

    @property
    def closes_calls(self) -> bool:
        """Whether each call has complete arguments: nothing cuts the answer, or no index shows that another begins."""
        return self.complete or not self.indexed

    def identifies(self, call: Call) -> bool:
        """The host gives enough to know that a later piece belongs to the call."""
        return self.indexed or call.id is not None

    def texts_of(self, call: int) -> list[str]:
        """The texts of the pieces of a call."""
        return [piece.text for piece in self.pieces if isinstance(piece, ArgumentsPiece) and piece.call == call]


class CallKind(NamedTuple):
    """How the arguments of one kind of call contain the texts of its pieces, and where they are in the item."""

    item_type: str
    value: Callable[[Json], Any]
    """Reads the value that the pieces make from an item."""
    head: str = ""
    """The arguments before the texts."""
    tail: str = ""
    """The arguments behind the texts."""
    is_list: bool = False
    """The value is a list with each text, not all of them joined."""
    kept_when_cut: bool = False
    """What has come of a call that is cut stays in its item. Of the other kinds nothing does."""
    empty: Any = ""
    """The value of a call that is cut and keeps nothing."""


KINDS = {
    "function": CallKind("function_call", lambda item: item["arguments"], kept_when_cut=True),
    "custom": CallKind("custom_tool_call", lambda item: item["input"], '{"input": "', '"}', kept_when_cut=True),
    "tool_search": CallKind(
        "tool_search_call", lambda item: item["arguments"].get("query"), '{"query": "', '"}', empty=None
    ),
    "apply_patch": CallKind(
        "apply_patch_call",
        lambda item: item["operation"]["diff"],
        '{"type": "update_file", "path": "a", "diff": "',
        '"}',
    ),
    "shell": CallKind("shell_call", lambda item: item["action"]["commands"], '{"commands": [', "]}", True, empty=[]),
    "local_shell": CallKind(
        "local_shell_call", lambda item: item["action"]["command"], '{"command": [', "]}", True, empty=[]
    ),
}


# Strategies ----------------------------------------------------------------------------------------------------------

TEXTS = st.one_of(
    st.sampled_from(["Hello", " world", "é", "日本語", "😀", "👩‍👩‍👧", "\n\n", '"\\', "\u2028", "\x00\r\x85", "{}"]),
    st.text(min_size=1, max_size=8),
)
DOCUMENTS = st.sampled_from(["{}", '{"city": "Paris"}', '{"a": "😀 }", "b": [{}, "\\\\"]}', "[1]", '"Paris"'])
"""The arguments of a function, complete."""
ODD_DOCUMENTS = st.one_of(st.just(""), st.just('{"a": "😀'), st.text("abc ,:1é", max_size=8))
"""Arguments of which no host can tell that they are complete."""


def counts(prompt: int, completion: int, details: Json) -> Json:
    """The `usage` of a chunk."""
    total = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return total | details


def some_of(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Objects with some of these keys."""
    return st.fixed_dictionaries({}, optional=values)


USAGES = st.builds(
    counts,
    st.integers(0, 9999),
    st.integers(0, 9999),
    some_of(
        prompt_tokens_details=some_of(cached_tokens=st.integers(0, 99), created_cache_tokens=st.integers(0, 99)),
        completion_tokens_details=some_of(reasoning_tokens=st.integers(0, 99)),
    ),
)
ERRORS = st.sampled_from(
    [
        {"error": {"message": "CUDA out of memory", "type": "server_error", "param": None, "code": None}},
        {"error": "the engine is gone"},
        {"error": {"message": "slow down", "code": 429}},
        {"message": "aborted", "code": 500},
        {"detail": "aborted"},
        {"error": {}},
    ]
)
FINISHES = st.sampled_from([None, "stop", "tool_calls", "length", "content_filter", "abort", "error"])
WELL_FINISHED = st.sampled_from(["stop", "tool_calls"])

FUNCTIONS = [Call(None, name) for name in ("get_weather", "f", "naïve")]
TOOLS = [
    *FUNCTIONS,
    Call(None, "find", "function", "crm"),
    *[Call(None, "note", "custom", "crm"), Call(None, "python", "custom")] * 2,
    *[Call(None, kind, kind) for kind in KINDS if kind not in ("function", "custom")],
]


def tool_map(*, parallel: bool | None = None) -> ToolMap:
    """The tools of a request that offers each tool of `TOOLS`, but only one of the functions."""
    tools: list[Json] = [
        {"type": "function", "name": "f"},
        {"type": "custom", "name": "python"},
        {"type": "shell"},
        {"type": "local_shell"},
        {"type": "apply_patch"},
        {"type": "tool_search", "execution": "client"},
    ]
    namespace = {"tools": [{"type": "function", "name": "find"}, {"type": "custom", "name": "note"}]}
    return ToolMap([*tools, {"type": "namespace", "name": "crm", **namespace}], None, parallel, Report())


@st.composite
def rounds(
    draw: st.DrawFn,
    finishes: st.SearchStrategy[str | None] = FINISHES,
    may_fail: bool = True,
    tools: Sequence[Call] = FUNCTIONS,
) -> Round:
    """Rounds with up to three calls of these tools, and up to seven pieces."""
    indexed = draw(st.booleans())
    count = draw(st.integers(0, 3))
    calls = [
        replace(draw(st.sampled_from(tools)), id=draw(st.sampled_from([f"host-{number}", None])))
        for number in range(count)
    ]
    text_pieces = st.builds(TextPiece, st.sampled_from(["text", "text", "reasoning", "refusal"]), TEXTS)
    arguments_pieces = [st.builds(ArgumentsPiece, st.just(number), TEXTS) for number in range(count)]
    round = Round(
        draw(st.lists(st.one_of(text_pieces, *arguments_pieces), max_size=7)),
        calls,
        indexed,
        draw(finishes),
        draw(st.none() | USAGES),
        draw(st.none() | ERRORS) if may_fail and draw(st.booleans()) else None,
    )
    round = replace(round, pieces=list(_possible_pieces(round)))
    for number, call in enumerate(calls):
        if call.kind == "function":
            documents = st.one_of(DOCUMENTS, ODD_DOCUMENTS) if indexed else DOCUMENTS
            pieces = draw(_cut_in(documents, len(round.texts_of(number))))
            round = replace(round, pieces=list(_with_texts(round, number, pieces)))
    return round


@st.composite
def _cut_in(draw: st.DrawFn, documents: st.SearchStrategy[str], count: int) -> Sequence[str]:
    """A document in so many pieces, some of which may be empty."""
    document = draw(documents)
    cuts = (
        sorted(draw(st.lists(st.integers(0, len(document)), min_size=count - 1, max_size=count - 1))) if count else []
    )
    return [document[start:end] for start, end in zip([0, *cuts], [*cuts, len(document)], strict=True)]


def _with_texts(round: Round, call: int, texts: Sequence[str]) -> Iterator[Piece]:
    """The pieces of the round, those of one call with these texts."""
    rest = iter(texts)
    for piece in round.pieces:
        yield replace(piece, text=next(rest)) if isinstance(piece, ArgumentsPiece) and piece.call == call else piece


def _possible_pieces(round: Round) -> Iterator[Piece]:
    """The pieces without those that no host could send.

    A call that it does not identify has one piece only; without indices one call is written after the other.
    """
    seen: set[int] = set()
    latest: int | None = None
    for piece in round.pieces:
        if isinstance(piece, ArgumentsPiece):
            if piece.call in seen and not round.identifies(round.calls[piece.call]):
                continue
            if piece.call in seen and piece.call != latest and not round.indexed:
                continue
            seen.add(piece.call)
            latest = piece.call
        yield piece


def _one_or_two_rounds(tools: Sequence[Call]) -> st.SearchStrategy[Sequence[Round]]:
    return st.one_of(
        st.tuples(rounds(tools=tools)),
        st.tuples(rounds(WELL_FINISHED, False, tools), rounds(tools=tools)),
    )


FUNCTION_ROUNDS = _one_or_two_rounds(FUNCTIONS)
"""The rounds of one response, with calls of functions."""
TOOL_ROUNDS = _one_or_two_rounds(TOOLS)
"""The rounds of one response, with calls of every kind of tool: those that `tool_map` offers."""

RNGS = st.builds(Random, st.integers(0, 2**32))
"""Random number generators, for `host_streams.encode`."""
