"""What a response must contain, given the rounds that the host sent: worked out without the code that is tested."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.core.rounds import KINDS, ArgumentsPiece, Call, Json, Piece, Round

PART_TYPES = {"text": "output_text", "refusal": "refusal", "reasoning": "reasoning_text"}


@dataclass
class ExpectedItem:
    """An output item, reduced to what the host decides: no ids of ours, no log-probabilities."""

    type: str
    parts: list[tuple[str, str]] = field(default_factory=list)
    """The type and the text of each content part."""
    call: Call | None = None
    value: Any = ""
    """Of a call: its arguments, input, commands or diff."""
    status: str = "completed"


def expected_items(round: Round) -> list[ExpectedItem]:
    """The items of a round, in the order in which they began.

    A message ends where reasoning or a call begins, reasoning likewise. What is cut is `incomplete`: the last item, and
    calls whose arguments are.
    """
    items: list[ExpectedItem] = []
    writing: ExpectedItem | None = None
    opened: list[int] = []
    for piece in without_markup(round.pieces):
        if isinstance(piece, ArgumentsPiece):
            if piece.call not in opened:
                opened.append(piece.call)
                call = round.calls[piece.call]
                status = "completed" if round.complete or arguments_are_complete(round, piece.call) else "incomplete"
                item_type = KINDS[call.kind].item_type
                items.append(ExpectedItem(item_type, call=call, value=call_value(round, piece.call), status=status))
                writing = None
            continue
        item_type = "reasoning" if piece.field == "reasoning" else "message"
        if writing is None or writing.type != item_type:
            writing = ExpectedItem(item_type)
            items.append(writing)
        part_type = PART_TYPES[piece.field]
        if writing.parts and writing.parts[-1][0] == part_type:
            writing.parts[-1] = (part_type, writing.parts[-1][1] + piece.text)
        else:
            writing.parts.append((part_type, piece.text))
    if items and not round.complete:
        items[-1].status = "incomplete"
    return items


def call_value(round: Round, call: int) -> Any:
    """The arguments, input, commands or diff that the item of a call must have."""
    kind = KINDS[round.calls[call].kind]
    texts = round.texts_of(call)
    if round.complete and kind.item_type == "function_call" and not "".join(texts).strip():
        return "".join(texts) + "{}"  # no arguments
    if not (round.closes_calls or kind.kept_when_cut):
        return kind.empty
    return texts if kind.is_list else "".join(texts)


def without_markup(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces without the white space round calls, which is no text: it opens no message of its own."""
    kept: list[Piece] = []
    blank: list[Piece] = []
    opened: set[int] = set()
    in_message = False
    for piece in pieces:
        if isinstance(piece, ArgumentsPiece):
            if piece.call not in opened:
                opened.add(piece.call)
                blank, in_message = [], False
            kept.append(piece)
        elif piece.field == "text" and not in_message and not piece.text.strip():
            blank.append(piece)
        else:
            kept += [*blank, piece]
            blank, in_message = [], piece.field != "reasoning"
    return kept if opened else kept + blank


def arguments_are_complete(round: Round, call: int) -> bool:
    """Whether the arguments of a call in a round that was cut are a JSON value, which no more can belong to."""
    if round.calls[call].kind != "function":
        return round.closes_calls
    text = "".join(round.texts_of(call)).lstrip()
    try:
        json.JSONDecoder().raw_decode(text)
    except ValueError:
        return False
    return text[0] in '{["'


def expected_output(rounds: Sequence[Round]) -> list[ExpectedItem]:
    """The items of all rounds of a response. A call whose id an earlier one has gets an id of ours."""
    items = [item for round in rounds for item in expected_items(round)]
    ids: set[str | None] = set()
    for item in items:
        if item.call is not None and item.call.id in ids:
            item.call = replace(item.call, id=None)
        elif item.call is not None:
            ids.add(item.call.id)
    return items


def comparable(item: Json) -> ExpectedItem:
    """An item of a response, reduced so that it can be compared with an expected one."""
    for name, kind in KINDS.items():
        if item["type"] == kind.item_type:
            id = None if item["call_id"].startswith("call_") else item["call_id"]
            call = Call(id, item.get("name", name), name, item.get("namespace"))
            return ExpectedItem(item["type"], call=call, value=kind.value(item), status=item["status"])
    parts = [(part["type"], part["refusal"] if part["type"] == "refusal" else part["text"]) for part in item["content"]]
    return ExpectedItem(item["type"], parts, status=item["status"])


def expected_terminal(rounds: Sequence[Round]) -> str:
    """The type of the terminal event."""
    last = rounds[-1]
    if last.error is None and last.finish in ("length", "content_filter"):
        return "response.incomplete"
    return "response.completed" if last.complete else "response.failed"


def expected_usage(rounds: Sequence[Round]) -> Json | None:
    """The sum of the rounds' counts; None if one round has none. A count that comes after an error is none."""
    usages = [round.usage for round in rounds if round.usage is not None and round.error is None]
    if len(usages) < len(rounds):
        return None

    def total(name: str, details: str | None = None) -> int:
        return sum((usage.get(details, {}) if details else usage).get(name, 0) for usage in usages)

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
