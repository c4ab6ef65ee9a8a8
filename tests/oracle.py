"""The oracle of the tests: it decides whether an event, a response, an error or a complete stream is valid.

`check_stream`, `check_resumed`, `check_response`, `check_event`, `check_item` and `check_error` raise AssertionError
and say what is wrong. Single objects are checked against types in `shapes.py`. What no type can see is checked here:
that the events of a stream belong together. Their numbers ascend, what is opened is closed, the deltas of a text joined
are that text, and the output of the last event is what was streamed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.shapes import TOKENS, Json, check_error, check_event, check_item, check_response, difference

__all__ = ["check_error", "check_event", "check_item", "check_response", "check_resumed", "check_stream"]

TERMINAL = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
}


def check_stream(events: Sequence[Json]) -> None:
    """Check a complete stream, without its `[DONE]`: each event by itself, and whether they belong together."""
    stream = Stream()
    for index, event in enumerate(events):
        try:
            stream.take(event)
        except AssertionError as error:
            raise AssertionError(f"event {index} ({event.get('type')}): {error}") from None
    assert stream.terminal is not None, f"the stream of {len(events)} events has no terminal event"


def check_resumed(events: Sequence[Json], after: int, complete: Sequence[Json]) -> None:
    """Check a stream that was asked for behind number `after`: it is the end of the complete one, unchanged."""
    expected = [event for event in complete if event["sequence_number"] > after]
    numbers = [event["sequence_number"] for event in events]
    assert numbers == [event["sequence_number"] for event in expected], f"behind {after} there are {numbers}"
    for ours, theirs in zip(events, expected, strict=True):
        changed = difference(ours, theirs, ours["type"])
        assert changed is None, f"a resumed event is another one: {changed}"


@dataclass(frozen=True)
class Target:
    """What a pair of `*.delta` and `*.done` events fills: a key of the item, or of one of its parts."""

    key: str
    parts: str | None = None
    part_type: str | None = None


UNCHANGING = ("id", "type", "role", "name", "namespace", "call_id", "execution", "environment")
"""Keys of an item that are the same when it is added and when it is done."""
EMPTY_AT_FIRST = ("content", "summary", "arguments", "input", "commands", "command", "env", "path", "diff")
"""Keys that are empty when an item is added, in its action or operation too."""
ONLY_WHEN_DONE = {"encrypted_content", *TOKENS}
"""Keys that an item may have when it is done and not before."""

TARGETS = {
    "response.output_text": Target("text", "content", "output_text"),
    "response.refusal": Target("refusal", "content", "refusal"),
    "response.reasoning_text": Target("text", "content", "reasoning_text"),
    "response.reasoning_summary_text": Target("text", "summary", "summary_text"),
    "response.function_call_arguments": Target("arguments"),
    "response.custom_tool_call_input": Target("input"),
}
PARTS = {"response.content_part": "content", "response.reasoning_summary_part": "summary"}
INDEX_KEYS = {"content": "content_index", "summary": "summary_index"}


@dataclass
class Text:
    """A text while it grows: that of one part, or of an item without parts."""

    key: str | None = None
    deltas: list[str] = field(default_factory=list)
    logprobs: list[tuple[Any, Any]] = field(default_factory=list)
    done: bool = False
    value: str = ""

    def add(self, target: Target, event: Json) -> None:
        assert not self.done, "a delta after the text was done"
        assert self.key in (None, target.key), f"{target.key} follows {self.key}"
        self.key = target.key
        self.deltas.append(event["delta"])
        self.logprobs += _tokens(event.get("logprobs"))

    def close(self, target: Target, event: Json) -> None:
        assert not self.done, "done twice"
        assert self.key in (None, target.key), f"{target.key} follows {self.key}"
        self.key, self.done, self.value = target.key, True, event[target.key]
        joined = "".join(self.deltas)
        assert joined == self.value, f"deltas join to {joined!r}, done says {self.value!r}"
        logprobs = _tokens(event.get("logprobs"))
        assert self.logprobs == logprobs, f"deltas bring logprobs {self.logprobs}, done has {logprobs}"

    def compare(self, holder: Json, what: str) -> None:
        """The finished part or item, `holder`, has the text and the log-probabilities of its deltas."""
        assert self.done, f"{what} is done before its text"
        assert self.key is not None
        assert holder.get(self.key) == self.value, f"{what} has {holder.get(self.key)!r}, its deltas {self.value!r}"
        if self.logprobs or holder.get("logprobs"):
            logprobs = _tokens(holder.get("logprobs"))
            assert logprobs == self.logprobs, f"{what} has logprobs {logprobs}, its deltas {self.logprobs}"


@dataclass
class Part:
    """A part of an item; `final` is it as its `done` event has it."""

    type: str
    text: Text = field(default_factory=Text)
    final: Json | None = None


@dataclass
class Item:
    """An output item: as it was added, what grows in it, and as it was when it was done."""

    added: Json
    parts: dict[str, list[Part]] = field(default_factory=lambda: {"content": [], "summary": []})
    text: Text = field(default_factory=Text)
    commands: list[Text] = field(default_factory=list)
    final: Json | None = None


class Stream:
    """Follows one stream, event by event."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.response: Json | None = None
        self.last_number = -1
        self.seen = 0
        self.error: Json | None = None
        self.terminal: Json | None = None

    def take(self, event: Json) -> None:
        """Check the next event, by itself and against those before it."""
        check_event(event)
        name, number = event["type"], event["sequence_number"]
        assert self.terminal is None, "an event after the terminal one"
        assert number > self.last_number, f"number {number} follows {self.last_number}"
        assert self.seen or number == 0, f"the first number is {number}"
        expected = self._expected()
        assert name in (expected or [name]), f"should be {' or '.join(expected)}"
        self.last_number = number
        self.seen += 1
        stem, _, verb = name.rpartition(".")
        if "response" in event:
            self._snapshot(event)
        elif name == "error":
            assert self.error is None, "a second error"
            self.error = event
        elif stem == "response.output_item":
            self._open_item(event) if verb == "added" else self._close_item(event)
        elif stem in PARTS:
            parts = self._parts(event, PARTS[stem])
            self._open_part(parts, event) if verb == "added" else self._close_part(parts, event)
        elif stem == "response.shell_call_command":
            self._command(event, verb)
        elif stem in TARGETS:
            target = TARGETS[stem]
            text = self._text(event, target)
            text.add(target, event) if verb == "delta" else text.close(target, event)
        elif "output_index" in event:
            self._item(event)

    def _expected(self) -> tuple[str, ...]:
        """What the next event may be at the beginning of the stream; empty if that is over."""
        queued = self.response is not None and self.response["status"] == "queued"
        if self.seen == 0:
            return ("response.created",)
        if self.seen == 1:
            return ("response.queued",) if queued else ("response.in_progress",)
        if self.seen == 2 and queued:  # or it is ended before it begins
            return ("response.in_progress", "response.incomplete", "error")
        return ()

    # The response object.

    def _snapshot(self, event: Json) -> None:
        name, response = event["type"], event["response"]
        assert (name == "response.created") == (self.response is None), "created twice, or not at all"
        if self.response is None:
            self.response = response
            assert response["output"] == [], "created with output"
        for key in ("id", "created_at"):
            assert response[key] == self.response[key], f"{key} changes to {response[key]!r}"
        status = response["status"]
        if name not in TERMINAL:
            may_be = {"response.created": ("queued", "in_progress"), "response.queued": ("queued",)}
            assert status in may_be.get(name, ("in_progress",)), f"status {status!r}"
            return
        self.terminal = event
        cancelled = name == "response.incomplete" and status == "cancelled"
        assert cancelled or status == TERMINAL[name], f"status {status!r}"
        assert name == "response.failed" or self.error is None, "an error was sent before it"
        if name == "response.failed":
            assert self.error is not None, "no error was sent before it"
            for key in ("code", "message"):
                assert response["error"][key] == self.error[key], f"the {key} of the error changes"
        still_open = [index for index, item in enumerate(self.items) if item.final is None]
        assert not still_open, f"items {still_open} are not done"
        changed = difference(response["output"], [item.final for item in self.items], "output")
        assert changed is None, f"the snapshot is not what was streamed: {changed}"

    # Items.

    def _open_item(self, event: Json) -> None:
        item, index = event["item"], event["output_index"]
        check_item(item)
        assert index == len(self.items), f"output_index {index}, but {len(self.items)} items are there"
        assert not self.items or self.items[-1].final is not None, f"item {index} opens before item {index - 1} is done"
        assert item["id"] not in [other.added["id"] for other in self.items], f"id {item['id']} is taken"
        assert item["status"] == "in_progress", f"added as {item['status']}"
        inner = {**item, **item.get("action", {}), **item.get("operation", {})}
        filled = [key for key in EMPTY_AT_FIRST if inner.get(key)]
        assert not filled, f"{filled} are not empty yet"
        self.items.append(Item(item))

    def _item(self, event: Json) -> Item:
        index = event["output_index"]
        assert 0 <= index < len(self.items), f"no item at {index}"
        item = self.items[index]
        assert item.final is None, f"the item at {index} is done"
        if "item_id" in event:
            assert event["item_id"] == item.added["id"], f"item_id is not that of the item at {index}"
        return item

    def _close_item(self, event: Json) -> None:
        item, final = self._item(event), event["item"]
        check_item(final)
        assert final["status"] != "in_progress", "done, but in progress"
        for key in UNCHANGING:
            assert final.get(key) == item.added.get(key), f"{key} changes to {final.get(key)!r}"
        changing = (final.keys() ^ item.added.keys()) - ONLY_WHEN_DONE
        assert not changing, f"{sorted(changing)} come or go"
        for key, parts in item.parts.items():
            still_open = [index for index, part in enumerate(parts) if part.final is None]
            assert not still_open, f"{key} parts {still_open} are not done"
            streamed = [part.final for part in parts]
            changed = difference(final.get(key) or [], streamed, key)
            assert changed is None, f"the item is not what was streamed: {changed}"
        if isinstance(final.get("arguments"), str) or "input" in final:  # those of a tool search are an object
            item.text.compare(final, "the item")
        if final["type"] == "shell_call":
            assert all(command.done for command in item.commands), "the item is done before its commands"
            values, commands = [command.value for command in item.commands], final["action"]["commands"]
            assert values == commands, f"the item has the commands {commands}, its events {values}"
        item.final = final

    # Parts.

    def _parts(self, event: Json, key: str) -> list[Part]:
        return self._item(event).parts[key]

    def _open_part(self, parts: list[Part], event: Json) -> None:
        index, part = _part_index(event), event["part"]
        assert index == len(parts), f"part {index}, but {len(parts)} are there"
        filled = [key for key in ("text", "refusal") if part.get(key)]
        assert not filled, f"{filled} are not empty yet"
        parts.append(Part(part["type"]))

    def _close_part(self, parts: list[Part], event: Json) -> None:
        index, final = _part_index(event), event["part"]
        part = _open(parts, index)
        assert final["type"] == part.type, f"a {part.type} part ends as {final['type']}"
        part.text.compare(final, "the part")
        part.final = final

    def _command(self, event: Json, verb: str) -> None:
        """A command of a shell call. Its events have no `item_id`."""
        item, index = self._item(event), event["command_index"]
        assert item.added["type"] == "shell_call", f"a {item.added['type']} has no commands"
        if verb == "added":
            assert index == len(item.commands), f"command {index}, but {len(item.commands)} are there"
            assert event["command"] == "", "the command is not empty yet"
            item.commands.append(Text())
            return
        assert 0 <= index < len(item.commands), f"no command at {index}"
        target = Target("command")
        item.commands[index].add(target, event) if verb == "delta" else item.commands[index].close(target, event)

    def _text(self, event: Json, target: Target) -> Text:
        item = self._item(event)
        if target.parts is None:
            if "name" in event:
                assert event["name"] == item.added["name"], f"name is {event['name']!r}"
            assert target.key in item.added, f"a {item.added['type']} has no {target.key}"
            return item.text
        part = _open(item.parts[target.parts], _part_index(event))
        assert part.type == target.part_type, f"the part is {part.type}"
        return part.text


def _part_index(event: Mapping[str, Any]) -> int:
    return next(int(event[key]) for key in INDEX_KEYS.values() if key in event)


def _open(parts: list[Part], index: int) -> Part:
    assert 0 <= index < len(parts), f"no part at {index}"
    assert parts[index].final is None, f"the part at {index} is done"
    return parts[index]


def _tokens(logprobs: Sequence[Json] | None) -> list[tuple[Any, Any]]:
    """Tokens and log-probabilities, without the bytes, which in the SDK's types only those of a part have."""
    return [(entry["token"], entry["logprob"]) for entry in logprobs or ()]
