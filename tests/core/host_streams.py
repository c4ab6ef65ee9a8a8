"""Rounds as the bytes that some host might send for them.

`encode` cuts a round into chunks and frames at random, as real hosts do: several fields in one chunk, keys that are
null, missing or repeated, empty deltas, comments in between, halves of surrogate pairs. None of it may change the
response.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from random import Random

from tests.core.rounds import KINDS, Json, Round, TextPiece


def encode(round: Round, rng: Random) -> list[bytes]:
    """The round as server-sent events, each element one or more complete lines."""
    newline = rng.choice([b"\n", b"\n", b"\r\n"])
    frames: list[bytes] = []
    for chunk in encode_chunks(round, rng):
        while rng.random() < 0.1:
            frames.append(rng.choice(KEEP_ALIVES))
        frames.append(encode_frame(chunk, rng))
    if rng.random() < 0.8:
        frames.append(b"data: [DONE]\n\n")
    elif frames and rng.random() < 0.5:
        frames[-1] = frames[-1].removesuffix(b"\n")  # hosts exist that leave out the last blank line
    return [frame.replace(b"\n", newline) for frame in frames]


KEEP_ALIVES = [b": ping - now\n\n", b":\n\n", b"retry: 3000\n\n", b"event: ping\n\n", b"data:\n\n"]


def encode_frame(chunk: Json, rng: Random) -> bytes:
    """A chunk as one frame, which may have several `data:` lines and other fields."""
    indent = 1 if rng.random() < 0.05 else None
    text = json.dumps(chunk, ensure_ascii=rng.random() < 0.3, indent=indent)
    try:
        payload = text.encode()
    except UnicodeEncodeError:  # half a surrogate pair: JSON can hold it, UTF-8 cannot
        payload = json.dumps(chunk, indent=indent).encode()
    data = b"data: " if rng.random() < 0.9 else b"data:"
    head = b"event: message\nid: 7\n" if rng.random() < 0.05 else b""
    return head + b"".join(data + line + b"\n" for line in payload.split(b"\n")) + b"\n"


def encode_chunks(round: Round, rng: Random) -> Iterator[Json]:
    """The round's chunks, the error frame and chunks without any effect included."""
    deltas = list(_deltas(round, rng))
    finish_apart = round.finish is None or not deltas or round.error is not None or rng.random() < 0.6
    usage_on_finish = round.usage is not None and round.finish is not None and rng.random() < 0.5
    usage_alone = round.usage is not None and (not usage_on_finish or rng.random() < 0.3)
    if rng.random() < 0.7:
        yield _chunk({"role": "assistant", **_empty_fields(rng)}, rng)
    for index, delta in enumerate(deltas):
        while rng.random() < 0.05:
            yield _empty_chunk(rng)
        finish = round.finish if index == len(deltas) - 1 and not finish_apart else None
        usage = round.usage if finish is not None and usage_on_finish else None
        yield _chunk(delta, rng, finish, usage)
    if round.error is not None:
        yield round.error
        yield _chunk({"content": "after an error"}, rng)
    if round.finish is not None and finish_apart:
        yield _chunk(_empty_fields(rng), rng, round.finish, round.usage if usage_on_finish else None)
    if usage_alone:
        yield {"id": "chatcmpl-1", "choices": [], "usage": round.usage}


def _chunk(delta: Json, rng: Random, finish: str | None = None, usage: Json | None = None) -> Json:
    choice: Json = {"index": 0, "delta": delta}
    if rng.random() < 0.2:
        choice["index"] = None
    if rng.random() < 0.2:
        del choice["index"]
    if finish is not None or rng.random() < 0.5:
        choice["finish_reason"] = finish or rng.choice([None, None, ""])
    if rng.random() < 0.3:
        choice["logprobs"] = rng.choice([None, {"content": None}, _logprobs(delta.get("content"))])
    chunk: Json = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }
    if usage is not None or rng.random() < 0.2:
        chunk["usage"] = usage
    return chunk


def _logprobs(text: str | None) -> Json:
    entries = [{"token": text, "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "", "logprob": -9}]}]
    return {"content": entries if text else []}


def _empty_chunk(rng: Random) -> Json:
    """A chunk without any effect."""
    return rng.choice(
        [
            _chunk(_empty_fields(rng), rng),
            {"choices": [], "usage": None},
            {"choices": None},
            {"choices": [{"index": 0, "delta": None, "finish_reason": None}]},
            {"choices": [{"index": 1, "delta": {"content": "of another choice"}}]},
            {"object": "keep-alive"},
        ]
    )


def _empty_fields(rng: Random) -> Json:
    """Some fields of a delta, each null or empty."""
    keys = ("content", "reasoning", "reasoning_content", "refusal", "tool_calls", "function_call")
    return {key: rng.choice([None, EMPTY_VALUES.get(key, "")]) for key in keys if rng.random() < 0.2}


EMPTY_VALUES: Json = {"tool_calls": [], "function_call": None}


def _deltas(round: Round, rng: Random) -> Iterator[Json]:
    """The pieces of the round as deltas; several go into one as long as the fields are in the order of `RANKS`.

    That is the order in which the fields of a delta are read: any other order would be another answer.
    """
    delta: Json = {}
    rank = -1
    for smallest in _smallest_deltas(round, rng):
        key = next(iter(smallest))
        next_rank = RANKS[key]
        may_join = next_rank > rank or key == "tool_calls"
        if delta and not (may_join and rng.random() < 0.3):
            yield {**_empty_fields(rng), **delta}
            delta = {}
        if key == "tool_calls":
            delta[key] = [*delta.get(key, []), *smallest[key]]
        else:
            delta.update(smallest)
        rank = next_rank
    if delta:
        yield {**_empty_fields(rng), **delta}


RANKS = {"reasoning": 0, "reasoning_content": 0, "content": 1, "refusal": 2, "tool_calls": 3}


def _smallest_deltas(round: Round, rng: Random) -> Iterator[Json]:
    """The pieces of the round, cut further, each as a delta of its own."""
    opened: list[int] = []
    arguments = [iter(_arguments(round, number, rng)) for number in range(len(round.calls))]
    keys = {
        "text": ["content"],
        "refusal": ["refusal"],
        "reasoning": rng.choice([["reasoning"], ["reasoning_content"], ["reasoning", "reasoning_content"]]),
    }
    for piece in round.pieces:
        if isinstance(piece, TextPiece):
            for text in cut_text(piece.text, rng):
                yield dict.fromkeys(keys[piece.field], text)
            continue
        call = round.calls[piece.call]
        all_text = next(arguments[piece.call])
        for text in cut_text(all_text, rng, between_surrogates=False) if round.identifies(call) else [all_text]:
            if round.indexed and piece.call not in opened and rng.random() < 0.1:
                yield {"tool_calls": [{"index": piece.call, "id": call.id}]}  # its name comes later
            yield {"tool_calls": [_tool_call(round, piece.call, text, opened, rng)]}
            opened.append(piece.call)


def _arguments(round: Round, number: int, rng: Random) -> list[str]:
    """What the host sends for each piece of a call: JSON in pieces, which is not closed if the host breaks off."""
    call, texts = round.calls[number], round.texts_of(number)
    kind = KINDS[call.kind]
    bare = (
        round.indexed and call.kind == "custom" and "".join(texts)[:1] not in ("", *' \t\r\n{"') and rng.random() < 0.3
    )
    if call.kind == "function" or bare or not texts:
        return texts
    ascii_only = rng.random() < 0.5
    quoted = [json.dumps(text, ensure_ascii=ascii_only) for text in texts]
    pieces = [", " + text for text in quoted] if kind.is_list else [text[1:-1] for text in quoted]
    pieces[0] = rng.choice(SPACINGS)(kind.head) + pieces[0].removeprefix(", ")
    if round.closes_calls:
        pieces[-1] += rng.choice(["", " ", "\n"]).join(kind.tail)
    return pieces


SPACINGS: list[Callable[[str], str]] = [
    str,
    lambda head: head.replace(": ", ":"),
    lambda head: head.replace("{", "\n{ \t").replace(":", " : "),
]
"""The beginning of a JSON object with the white space that some model puts there."""


def _tool_call(round: Round, number: int, arguments: str, opened: Sequence[int], rng: Random) -> Json:
    """An entry of `tool_calls`, with an index, an id and a name where the host cannot do without, or likes to."""
    call = round.calls[number]
    first = number not in opened
    goes_on = bool(opened) and opened[-1] == number
    entry: Json = {"function": {"arguments": arguments}}
    if round.indexed and (first or not goes_on or rng.random() < 0.8):
        entry["index"] = number
    identified = "index" in entry or goes_on
    if call.id is not None and (first or not identified or rng.random() < 0.3):
        entry["id"] = call.id
    if first or ("index" in entry and rng.random() < 0.3):
        entry["function"]["name"] = call.spellings[len(round.pieces) % len(call.spellings)]
    if rng.random() < 0.5:
        entry["type"] = "function"
    return entry


def cut_text(text: str, rng: Random, *, between_surrogates: bool = True) -> list[str]:
    """`text` in pieces, cut anywhere; `between_surrogates`: inside a surrogate pair too, as some hosts do."""
    codec, width = ("utf-16-le", 2) if between_surrogates else ("utf-32-le", 4)
    data = text.encode(codec)
    length = len(data) // width
    positions = sorted(rng.randrange(length + 1) for _ in range(rng.choice([0, 1, 1, 3, 6])))
    return [
        data[width * start : width * end].decode(codec, "surrogatepass")
        for start, end in zip([0, *positions], [*positions, length], strict=True)
    ]
