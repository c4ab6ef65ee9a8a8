"""What must hold of the events of a response, each rule as a function that says what is wrong, or nothing.

They hold on any server of the API (OpenAI's reference and Open Responses), and say nothing of what the model has
written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from responses_shim.cli.doctor.lookup import Json, at, integer_at, object_at, objects_at, quoted, text_at
from responses_shim.cli.doctor.turns import TERMINAL, terminal_response

Events = Sequence[Json]

_DONE_FIELDS = {
    "response.output_text": "text",
    "response.refusal": "refusal",
    "response.reasoning_text": "text",
    "response.reasoning_summary_text": "text",
    "response.function_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
}
"""The events that bring a text piece by piece, without `.delta` or `.done`, and the field of `.done` with all of it."""


class Rule(NamedTuple):
    """A rule: its name in the report, what holds, and what finds where it does not."""

    name: str
    title: str
    problem: Callable[[Events], str]


def types(events: Events) -> list[str]:
    """The type of each event; empty where it has none."""
    return [text_at(event, "type") for event in events]


def beginning(events: Events) -> str:
    """`response.created` is first and `response.in_progress` second, each with the response."""
    first = [kind for kind in types(events) if kind != "response.queued"][:2]
    if first != ["response.created", "response.in_progress"]:
        return f"the first events are {quoted(types(events)[:3])}"
    if not all(text_at(event, "response", "id") for event in events[:2]):
        return "the first events have no response with an id"
    return ""


def numbers(events: Events) -> str:
    """`sequence_number` ascends from event to event."""
    last = -1
    for event in events:
        number = integer_at(event, "sequence_number")
        if number is None:
            return f"a {text_at(event, 'type')} has no sequence_number"
        if number <= last:
            return f"a {text_at(event, 'type')} has the sequence_number {number}, after {last}"
        last = number
    return ""


def items(events: Events) -> str:
    """Each item is added once and done once, in this order, one after the other by `output_index`."""
    added: list[int] = []
    done: list[int] = []
    for event in events:
        kind, index = text_at(event, "type"), integer_at(event, "output_index")
        if kind == "response.output_item.added":
            if index != len(added):
                return f"item {len(added)} is added with output_index {quoted(at(event, 'output_index'))}"
            if len(done) < len(added):  # clients that go by the order of events mix up items that overlap
                return f"item {len(added)} is added before item {len(added) - 1} is done"
            added.append(index)
        elif kind == "response.output_item.done":
            if index is None or index not in added or index in done:
                return f"an item is done that is not open: output_index {quoted(at(event, 'output_index'))}"
            done.append(index)
        elif "output_index" in event and (index not in added or index in done):
            return f"a {kind} belongs to no open item: output_index {quoted(at(event, 'output_index'))}"
    if len(done) < len(added):
        return f"{len(added) - len(done)} of {len(added)} items have no response.output_item.done"
    return ""


def done_events(events: Events) -> str:
    """What began has its end: a part that was added is done, and a text that came in deltas has its `.done`."""
    opened: dict[tuple[object, ...], str] = {}
    for event in events:
        name, _, verb = text_at(event, "type").rpartition(".")
        position = quoted(at(event, "content_index"), 20) + quoted(at(event, "summary_index"), 20)
        part = (name, quoted(at(event, "output_index"), 20), position)
        if (name.endswith("_part") and verb == "added") or (name in _DONE_FIELDS and verb == "delta"):
            opened[part] = name
        elif verb == "done":
            opened.pop(part, None)
    return f"there is no {next(iter(opened.values()))}.done" if opened else ""


def deltas(events: Events) -> str:
    """The deltas of a text, joined, are the text of its `.done` event."""
    pieces: dict[tuple[str, ...], list[str]] = {}
    for event in events:
        name, _, verb = text_at(event, "type").rpartition(".")
        if name not in _DONE_FIELDS:
            continue
        part = (name, *(quoted(at(event, key), 40) for key in ("item_id", "content_index", "summary_index")))
        if verb == "delta":
            pieces.setdefault(part, []).append(text_at(event, "delta"))
        elif verb == "done":
            text, joined = text_at(event, _DONE_FIELDS[name]), "".join(pieces.pop(part, []))
            if text != joined:
                return f"the deltas of a {name} are {quoted(joined, 40)}, its .done has {quoted(text, 40)}"
    return ""


def snapshot(events: Events) -> str:
    """The `output` of the terminal event has the items that were done, with the same ids and types."""
    done = [object_at(event, "item") for event in events if event.get("type") == "response.output_item.done"]
    output = objects_at(terminal_response(events), "output")
    for name in ("type", "id", "call_id", "arguments", "content"):
        ours, theirs = ([quoted(item.get(name), 100_000) for item in group] for group in (done, output))
        if ours != theirs:
            return f"the items of the terminal event differ from those of the stream in their {name}"
    return ""


def item_ids(events: Events) -> str:
    """An item has one id, from its beginning to its end, and no other item has it."""
    added: dict[str, str] = {}
    for event in events:
        index = quoted(at(event, "output_index"), 20)
        kind = text_at(event, "type")
        id = text_at(event, "item", "id") if kind.startswith("response.output_item.") else text_at(event, "item_id")
        if kind == "response.output_item.added":
            if not id:
                return f"item {index} has no id"
            if id in added.values():
                return f"two items have the id {quoted(id, 40)}"
            added[index] = id
        elif id and index in added and added[index] != id:
            return f"item {index} has the ids {quoted(added[index], 40)} and {quoted(id, 40)}"
    return ""


def response_id(events: Events) -> str:
    """The response has one id from the first event to the last."""
    ids = dict.fromkeys(text_at(event, "response", "id") for event in events if "response" in event)
    return "" if len(ids) == 1 else f"the response has the ids {quoted(list(ids), 100)}"


def terminal(events: Events) -> str:
    """There is one terminal event, it is the last, and its response has the status that its type says."""
    ends = [event for event in events if event.get("type") in TERMINAL]
    if not ends:
        return f"there is no {', '.join(TERMINAL[:-1])} or {TERMINAL[-1]}"
    if len(ends) > 1:
        return f"there are {len(ends)} terminal events"
    if events[-1] is not ends[0]:
        return f"a {text_at(events[-1], 'type')} follows the terminal event"
    status = text_at(ends[0], "response", "status")
    if text_at(ends[0], "type") != f"response.{status}" and status != "cancelled":
        return f"a {text_at(ends[0], 'type')} has a response with the status {quoted(status)}"
    return ""


RULES = (
    Rule("responses.beginning", "a stream begins with created and in_progress", beginning),
    Rule("responses.numbers", "the events are numbered in order", numbers),
    Rule("responses.items", "items are added and done one after the other", items),
    Rule("responses.done_events", "what began has its .done event", done_events),
    Rule("responses.deltas", "the deltas add up to the text", deltas),
    Rule("responses.snapshot", "the terminal event has the items of the stream", snapshot),
    Rule("responses.item_ids", "items keep their ids", item_ids),
    Rule("responses.response_id", "the response keeps its id", response_id),
    Rule("responses.terminal", "there is one terminal event, at the end", terminal),
)
"""The rules, in the order of the report."""
