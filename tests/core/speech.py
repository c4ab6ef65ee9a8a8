"""What a host says: as a value that a test can reason about, and as the bytes in which some host would say it.

A `Round` is one chat call: statements in order, how it finished, what it cost. `expected_output` tells what a
response must make of it, item by item. `encode` writes the round down the way some host might: cut into tokens,
several things in one chunk, keys null or missing or repeated, empty deltas, comments between. Whatever the dice
decide there must not change what was said.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, NamedTuple, TypeAlias

from hypothesis import strategies as st

from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """Text on one of the channels `text`, `reasoning`, `refusal`."""

    channel: str
    text: str


@dataclass(frozen=True)
class Argued:
    """A piece of what one of the round's calls says. The first piece opens the call.

    Of a function it is a piece of the arguments as they stand, of any other form of the text or list inside them.
    """

    call: int
    text: str


@dataclass(frozen=True)
class Call:
    """A call of a tool, by what the client calls that. `id` is None with a host that gives none."""

    id: str | None
    name: str
    form: str = "function"
    namespace: str | None = None

    @property
    def spellings(self) -> list[str]:
        """What a model may call it."""
        if self.namespace is None:
            return [self.name]
        return [f"{self.namespace}__{self.name}", f"{self.namespace}.{self.name}", self.name]


Statement: TypeAlias = Said | Argued


@dataclass(frozen=True)
class Round:
    statements: Sequence[Statement]
    calls: Sequence[Call] = ()
    indexed: bool = True
    """The host numbers its calls. One that does not tells them apart by id, or makes one after the other."""
    finish: str | None = "stop"
    usage: Json | None = None
    error: Any = None
    """An error frame after the statements; what the host says after that must not count."""

    @property
    def whole(self) -> bool:
        return self.error is None and self.finish in ("stop", "tool_calls")

    def tells_apart(self, call: Call) -> bool:
        """A later piece of the call's arguments can be known to belong to it."""
        return self.indexed or call.id is not None


class Form(NamedTuple):
    """How calls of one form say something, and where it stands in the item."""

    item: str
    said: Callable[[Json], Any]
    head: str = ""
    tail: str = ""
    listed: bool = False
    """What is said is a list of texts, not one text."""
    streams: bool = False
    """What has been said of a call that is cut is kept. Of the others nothing is."""
    nothing: Any = ""


FORMS = {
    "function": Form("function_call", lambda item: item["arguments"], streams=True),
    "custom": Form("custom_tool_call", lambda item: item["input"], '{"input": "', '"}', streams=True),
    "tool_search": Form(
        "tool_search_call", lambda item: item["arguments"].get("query"), '{"query": "', '"}', nothing=None
    ),
    "apply_patch": Form(
        "apply_patch_call",
        lambda item: item["operation"]["diff"],
        '{"type": "update_file", "path": "a", "diff": "',
        '"}',
    ),
    "shell": Form("shell_call", lambda item: item["action"]["commands"], '{"commands": [', "]}", True, nothing=[]),
    "local_shell": Form(
        "local_shell_call", lambda item: item["action"]["command"], '{"command": [', "]}", True, nothing=[]
    ),
}


# What must become of it ------------------------------------------------------------------------------------------

PARTS = {"text": "output_text", "refusal": "refusal", "reasoning": "reasoning_text"}


@dataclass
class Item:
    """An output item as far as the host decides it."""

    type: str
    parts: list[tuple[str, str]] = field(default_factory=list)
    """Type and text of each content part."""
    call: Call | None = None
    said: Any = ""
    status: str = "completed"


def expected_items(round: Round) -> list[Item]:
    """Reasoning, message and the opening of a call close what is being written; calls stay open to the end."""
    items: list[Item] = []
    writing: Item | None = None
    opened: list[int] = []
    for statement in round.statements:
        if isinstance(statement, Argued):
            if statement.call not in opened:
                opened.append(statement.call)
                call = round.calls[statement.call]
                items.append(Item(FORMS[call.form].item, call=call, said=said_by(round, statement.call)))
                writing = None
            continue
        kind = "reasoning" if statement.channel == "reasoning" else "message"
        if writing is None or writing.type != kind:
            writing = Item(kind)
            items.append(writing)
        part = PARTS[statement.channel]
        if writing.parts and writing.parts[-1][0] == part:
            writing.parts[-1] = (part, writing.parts[-1][1] + statement.text)
        else:
            writing.parts.append((part, statement.text))
    if items and not round.whole:
        items[-1].status = "incomplete"
    return items


def said_by(round: Round, number: int) -> Any:
    """What a call says, as far as its item can tell."""
    form = FORMS[round.calls[number].form]
    texts = texts_of(round, number)
    if not (round.whole or form.streams):
        return form.nothing
    return texts if form.listed else "".join(texts)


def texts_of(round: Round, number: int) -> list[str]:
    return [said.text for said in round.statements if isinstance(said, Argued) and said.call == number]


def expected_output(rounds: Sequence[Round]) -> list[Item]:
    return [item for round in rounds for item in expected_items(round)]


def as_item(item: Json) -> Item:
    """An item of a response, brought down to what the host decides."""
    for name, form in FORMS.items():
        if item["type"] == form.item:
            id = None if item["call_id"].startswith("call_") else item["call_id"]
            call = Call(id, item.get("name", name), name, item.get("namespace"))
            return Item(item["type"], call=call, said=form.said(item), status=item["status"])
    parts = [(part["type"], part["refusal"] if part["type"] == "refusal" else part["text"]) for part in item["content"]]
    return Item(item["type"], parts, status=item["status"])


def expected_terminal(rounds: Sequence[Round]) -> str:
    last = rounds[-1]
    if last.error is None and last.finish in ("length", "content_filter"):
        return "response.incomplete"
    return "response.completed" if last.whole else "response.failed"


def expected_usage(rounds: Sequence[Round]) -> Json | None:
    """The sum of the rounds' counts, unknown if one round tells none: what comes behind an error does not count."""
    told = [round.usage for round in rounds if round.usage is not None and round.error is None]
    if len(told) < len(rounds):
        return None

    def total(name: str, details: str | None = None) -> int:
        return sum((usage.get(details, {}) if details else usage).get(name, 0) for usage in told)

    return {
        "input_tokens": total("prompt_tokens"),
        "input_tokens_details": {
            "cached_tokens": total("cached_tokens", "prompt_tokens_details"),
            "cache_write_tokens": total("created_cache_tokens", "prompt_tokens_details"),
        },
        "output_tokens": total("completion_tokens"),
        "output_tokens_details": {"reasoning_tokens": total("reasoning_tokens", "completion_tokens_details")},
        "total_tokens": total("total_tokens"),
    }


# How a host might say it -------------------------------------------------------------------------------------------


def encode(round: Round, dice: Random) -> list[bytes]:
    """The round as server-sent events, each element one or more whole lines."""
    newline = dice.choice([b"\n", b"\n", b"\r\n"])
    frames: list[bytes] = []
    for chunk in chunks(round, dice):
        while dice.random() < 0.1:
            frames.append(dice.choice(KEEP_ALIVES))
        frames.append(frame(chunk, dice))
    if dice.random() < 0.8:
        frames.append(b"data: [DONE]\n\n")
    elif frames and dice.random() < 0.5:
        frames[-1] = frames[-1].removesuffix(b"\n")  # hosts exist that leave out the last blank line
    return [frame.replace(b"\n", newline) for frame in frames]


KEEP_ALIVES = [b": ping - now\n\n", b":\n\n", b"retry: 3000\n\n", b"event: ping\n\n", b"data:\n\n"]


def frame(chunk: Json, dice: Random) -> bytes:
    indent = 1 if dice.random() < 0.05 else None
    text = json.dumps(chunk, ensure_ascii=dice.random() < 0.3, indent=indent)
    try:
        payload = text.encode()
    except UnicodeEncodeError:  # half a surrogate pair: JSON can say it, UTF-8 cannot
        payload = json.dumps(chunk, indent=indent).encode()
    data = b"data: " if dice.random() < 0.9 else b"data:"
    head = b"event: message\nid: 7\n" if dice.random() < 0.05 else b""
    return head + b"".join(data + line + b"\n" for line in payload.split(b"\n")) + b"\n"


def chunks(round: Round, dice: Random) -> Iterator[Json]:
    """The round's chunks, the error frame and what stands around it included."""
    deltas = list(_deltas(round, dice))
    finish_apart = round.finish is None or not deltas or round.error is not None or dice.random() < 0.6
    usage_on_finish = round.usage is not None and round.finish is not None and dice.random() < 0.5
    usage_alone = round.usage is not None and (not usage_on_finish or dice.random() < 0.3)
    if dice.random() < 0.7:
        yield _chunk({"role": "assistant", **_empty(dice)}, dice)
    for place, delta in enumerate(deltas):
        while dice.random() < 0.05:
            yield _nothing(dice)
        finish = round.finish if place == len(deltas) - 1 and not finish_apart else None
        usage = round.usage if finish is not None and usage_on_finish else None
        yield _chunk(delta, dice, finish, usage)
    if round.error is not None:
        yield round.error
        yield _chunk({"content": "not to be heard"}, dice)
    if round.finish is not None and finish_apart:
        yield _chunk(_empty(dice), dice, round.finish, round.usage if usage_on_finish else None)
    if usage_alone:
        yield {"id": "chatcmpl-1", "choices": [], "usage": round.usage}


def _chunk(delta: Json, dice: Random, finish: str | None = None, usage: Json | None = None) -> Json:
    choice: Json = {"index": 0, "delta": delta}
    if dice.random() < 0.2:
        choice["index"] = None
    if dice.random() < 0.2:
        del choice["index"]
    if finish is not None or dice.random() < 0.5:
        choice["finish_reason"] = finish or dice.choice([None, None, ""])
    if dice.random() < 0.3:
        choice["logprobs"] = dice.choice([None, {"content": None}, _logprobs(delta.get("content"))])
    chunk: Json = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }
    if usage is not None or dice.random() < 0.2:
        chunk["usage"] = usage
    return chunk


def _logprobs(text: str | None) -> Json:
    entries = [{"token": text, "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "", "logprob": -9}]}]
    return {"content": entries if text else []}


def _nothing(dice: Random) -> Json:
    """A chunk that says nothing."""
    return dice.choice(
        [
            _chunk(_empty(dice), dice),
            {"choices": [], "usage": None},
            {"choices": None},
            {"choices": [{"index": 0, "delta": None, "finish_reason": None}]},
            {"choices": [{"index": 1, "delta": {"content": "of another choice"}}]},
            {"object": "keep-alive"},
        ]
    )


def _empty(dice: Random) -> Json:
    """Keys that are there and say nothing."""
    keys = ("content", "reasoning", "reasoning_content", "refusal", "tool_calls", "function_call")
    return {key: dice.choice([None, NOTHINGS.get(key, "")]) for key in keys if dice.random() < 0.2}


NOTHINGS: Json = {"tool_calls": [], "function_call": None}


def _deltas(round: Round, dice: Random) -> Iterator[Json]:
    """The statements in pieces, as many to a chunk as their order allows: a delta is read in the order of RANKS."""
    delta: Json = {}
    rank = -1
    for bit in _bits(round, dice):
        key = next(iter(bit))
        next_rank = RANKS[key]
        goes_along = next_rank > rank or key == "tool_calls"
        if delta and not (goes_along and dice.random() < 0.3):
            yield {**_empty(dice), **delta}
            delta = {}
        if key == "tool_calls":
            delta[key] = [*delta.get(key, []), *bit[key]]
        else:
            delta.update(bit)
        rank = next_rank
    if delta:
        yield {**_empty(dice), **delta}


RANKS = {"reasoning": 0, "reasoning_content": 0, "content": 1, "refusal": 2, "tool_calls": 3}


def _bits(round: Round, dice: Random) -> Iterator[Json]:
    """The smallest deltas that the statements can be cut into here."""
    opened: list[int] = []
    arguments = [iter(_arguments(round, number, dice)) for number in range(len(round.calls))]
    keys = {
        "text": ["content"],
        "refusal": ["refusal"],
        "reasoning": dice.choice([["reasoning"], ["reasoning_content"], ["reasoning", "reasoning_content"]]),
    }
    for statement in round.statements:
        if isinstance(statement, Said):
            for piece in cut(statement.text, dice):
                yield dict.fromkeys(keys[statement.channel], piece)
            continue
        call = round.calls[statement.call]
        text = next(arguments[statement.call])
        for piece in cut(text, dice, halves=False) if round.tells_apart(call) else [text]:
            if round.indexed and statement.call not in opened and dice.random() < 0.1:
                yield {"tool_calls": [{"index": statement.call, "id": call.id}]}  # its name comes later
            yield {"tool_calls": [_argued(round, statement.call, piece, opened, dice)]}
            opened.append(statement.call)


def _arguments(round: Round, number: int, dice: Random) -> list[str]:
    """What the host sends for each text of a call: JSON in pieces, which is not closed if the host breaks off."""
    call, texts = round.calls[number], texts_of(round, number)
    form = FORMS[call.form]
    bare = call.form == "custom" and "".join(texts)[:1] not in ("", *' \t\r\n{"') and dice.random() < 0.3
    if call.form == "function" or bare or not texts:
        return texts
    ascii = dice.random() < 0.5
    quoted = [json.dumps(text, ensure_ascii=ascii) for text in texts]
    pieces = [", " + text for text in quoted] if form.listed else [text[1:-1] for text in quoted]
    pieces[0] = dice.choice(HEADS)(form.head) + pieces[0].removeprefix(", ")
    if round.whole:
        pieces[-1] += dice.choice(["", " ", "\n"]).join(form.tail)
    return pieces


HEADS: list[Callable[[str], str]] = [
    str,
    lambda head: head.replace(": ", ":"),
    lambda head: head.replace("{", "\n{ \t").replace(":", " : "),
]
"""Where a model puts white space."""


def _argued(round: Round, number: int, piece: str, opened: Sequence[int], dice: Random) -> Json:
    call = round.calls[number]
    first = number not in opened
    goes_on = bool(opened) and opened[-1] == number
    entry: Json = {"function": {"arguments": piece}}
    if round.indexed and (first or not goes_on or dice.random() < 0.8):
        entry["index"] = number
    told_apart = "index" in entry or goes_on
    if call.id is not None and (first or not told_apart or dice.random() < 0.3):
        entry["id"] = call.id
    if first or ("index" in entry and dice.random() < 0.3):
        entry["function"]["name"] = dice.choice(call.spellings)
    if dice.random() < 0.5:
        entry["type"] = "function"
    return entry


def cut(text: str, dice: Random, *, halves: bool = True) -> list[str]:
    """`text` in pieces, cut anywhere, with `halves` between the halves of a surrogate pair too: some hosts do that."""
    codec, width = ("utf-16-le", 2) if halves else ("utf-32-le", 4)
    data = text.encode(codec)
    length = len(data) // width
    places = sorted(dice.randrange(length + 1) for _ in range(dice.choice([0, 1, 1, 3, 6])))
    return [
        data[width * start : width * end].decode(codec, "surrogatepass")
        for start, end in zip([0, *places], [*places, length], strict=True)
    ]


# Which things are said ----------------------------------------------------------------------------------------------

TEXTS = st.one_of(
    st.sampled_from(["Hello", " world", "é", "日本語", "😀", "👩‍👩‍👧", "\n\n", '"\\', "\u2028", "\x00\r\x85", "{}"]),
    st.text(min_size=1, max_size=8),
)
ARGUMENTS = st.one_of(st.just(""), st.sampled_from(["{}", '{"city": "Paris"}', '{"a": "😀']), st.text(max_size=8))


def counts(prompt: int, completion: int, details: Json) -> Json:
    total = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return total | details


def details(**names: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({}, optional=names)


USAGES = st.builds(
    counts,
    st.integers(0, 9999),
    st.integers(0, 9999),
    details(
        prompt_tokens_details=details(cached_tokens=st.integers(0, 99), created_cache_tokens=st.integers(0, 99)),
        completion_tokens_details=details(reasoning_tokens=st.integers(0, 99)),
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
ENDS = st.sampled_from([None, "stop", "tool_calls", "length", "content_filter", "abort", "error"])


FUNCTIONS = [Call(None, name) for name in ("get_weather", "f", "naïve")]
TOOLS = [
    *FUNCTIONS,
    Call(None, "find", "function", "crm"),
    *[Call(None, "note", "custom", "crm"), Call(None, "python", "custom")] * 2,
    *[Call(None, form, form) for form in FORMS if form not in ("function", "custom")],
]


def tool_map(*, parallel: bool | None = None) -> ToolMap:
    """What a request offers in which all `TOOLS` but a function can be called."""
    tools: list[Json] = [
        {"type": "function", "name": "f"},
        {"type": "custom", "name": "python"},
        {"type": "shell"},
        {"type": "local_shell"},
        {"type": "apply_patch"},
        {"type": "tool_search", "execution": "client"},
    ]
    space = {"tools": [{"type": "function", "name": "find"}, {"type": "custom", "name": "note"}]}
    return ToolMap([*tools, {"type": "namespace", "name": "crm", **space}], None, parallel, Report())


@st.composite
def rounds(
    draw: st.DrawFn,
    ends: st.SearchStrategy[str | None] = ENDS,
    may_fail: bool = True,
    tools: Sequence[Call] = FUNCTIONS,
) -> Round:
    indexed = draw(st.booleans())
    count = draw(st.integers(0, 3))
    calls = [
        replace(draw(st.sampled_from(tools)), id=draw(st.sampled_from([f"host-{number}", None])))
        for number in range(count)
    ]
    said = st.builds(Said, st.sampled_from(["text", "text", "reasoning", "refusal"]), TEXTS)
    argued = [st.builds(Argued, st.just(number), ARGUMENTS) for number in range(count)]
    round = Round(
        draw(st.lists(st.one_of(said, *argued), max_size=7)),
        calls,
        indexed,
        draw(ends),
        draw(st.none() | USAGES),
        draw(st.none() | ERRORS) if may_fail and draw(st.booleans()) else None,
    )
    return replace(round, statements=list(_sayable(round)))


def _sayable(round: Round) -> Iterator[Statement]:
    """A call that nothing tells apart is said in one go."""
    seen: set[int] = set()
    for statement in round.statements:
        if isinstance(statement, Argued):
            if statement.call in seen and not round.tells_apart(round.calls[statement.call]):
                continue
            seen.add(statement.call)
        yield statement


GOING_ON = st.sampled_from(["stop", "tool_calls"])


def _conversations(tools: Sequence[Call]) -> st.SearchStrategy[Sequence[Round]]:
    return st.one_of(
        st.tuples(rounds(tools=tools)),
        st.tuples(rounds(GOING_ON, False, tools), rounds(tools=tools)),
    )


CONVERSATIONS = _conversations(FUNCTIONS)
"""The rounds of one response, in which functions are called."""
CALLING = _conversations(TOOLS)
"""Rounds in which every form of tool is called, of those that `tool_map` offers."""

DICE = st.builds(Random, st.integers(0, 2**32))
