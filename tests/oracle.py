"""What is valid: events, responses and errors by their shape, a stream by the story its events tell.

A schema sees one event. That the events of a stream hang together (numbers rise, what is opened is closed,
the deltas are the text, the snapshot is what was streamed) is checked here, for every stream of every test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.shapes import TOKENS, Json, check_error, check_event, check_item, check_response, difference

__all__ = ["check_error", "check_event", "check_item", "check_response", "check_stream"]

TERMINAL = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
}


def check_stream(events: Sequence[Json]) -> None:
    """A whole stream, `[DONE]` left out: each event is valid, and together they tell one story."""
    stream = Stream()
    for place, event in enumerate(events):
        try:
            stream.take(event)
        except AssertionError as error:
            raise AssertionError(f"event {place} ({event.get('type')}): {error}") from None
    assert stream.terminal is not None, f"the stream of {len(events)} events has no terminal event"


@dataclass(frozen=True)
class Channel:
    """Where a family of `*.delta` and `*.done` events writes: a key of the item, or of one of its parts."""

    key: str
    parts: str | None = None
    part_type: str | None = None


KEPT = ("id", "type", "role", "name", "namespace", "call_id", "execution", "environment")
"""What an item is from its beginning to its end."""
FILLED = ("content", "summary", "arguments", "input", "commands", "command", "env", "path", "diff")
"""What is empty when an item is added, inside its action or operation too."""
LATE = {"encrypted_content", *TOKENS}
"""What an item has at its end only."""

CHANNELS = {
    "response.output_text": Channel("text", "content", "output_text"),
    "response.refusal": Channel("refusal", "content", "refusal"),
    "response.reasoning_text": Channel("text", "content", "reasoning_text"),
    "response.reasoning_summary_text": Channel("text", "summary", "summary_text"),
    "response.function_call_arguments": Channel("arguments"),
    "response.custom_tool_call_input": Channel("input"),
}
PARTS = {"response.content_part": "content", "response.reasoning_summary_part": "summary"}
INDEX_KEYS = {"content": "content_index", "summary": "summary_index"}


@dataclass
class Text:
    """A string on its way: what an item without parts or one part is made of."""

    key: str | None = None
    deltas: list[str] = field(default_factory=list)
    logprobs: list[tuple[Any, Any]] = field(default_factory=list)
    done: bool = False
    value: str = ""

    def add(self, channel: Channel, event: Json) -> None:
        assert not self.done, "a delta after the text was done"
        assert self.key in (None, channel.key), f"{channel.key} follows {self.key}"
        self.key = channel.key
        self.deltas.append(event["delta"])
        self.logprobs += _tokens(event.get("logprobs"))

    def close(self, channel: Channel, event: Json) -> None:
        assert not self.done, "done twice"
        assert self.key in (None, channel.key), f"{channel.key} follows {self.key}"
        self.key, self.done, self.value = channel.key, True, event[channel.key]
        joined = "".join(self.deltas)
        assert joined == self.value, f"deltas join to {joined!r}, done says {self.value!r}"
        told = _tokens(event.get("logprobs"))
        assert self.logprobs == told, f"deltas bring logprobs {self.logprobs}, done has {told}"

    def compare(self, holder: Json, what: str) -> None:
        """The finished part, or item, says the same as its deltas."""
        assert self.done, f"{what} is done before its text"
        assert self.key is not None
        assert holder.get(self.key) == self.value, f"{what} has {holder.get(self.key)!r}, its deltas {self.value!r}"
        if self.logprobs or holder.get("logprobs"):
            told = _tokens(holder.get("logprobs"))
            assert told == self.logprobs, f"{what} has logprobs {told}, its deltas {self.logprobs}"


@dataclass
class Part:
    type: str
    text: Text = field(default_factory=Text)
    final: Json | None = None


@dataclass
class Item:
    added: Json
    parts: dict[str, list[Part]] = field(default_factory=lambda: {"content": [], "summary": []})
    text: Text = field(default_factory=Text)
    commands: list[Text] = field(default_factory=list)
    final: Json | None = None


class Stream:
    """Follows one stream, event by event, and holds it to its promises."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.response: Json | None = None
        self.last_number = -1
        self.seen = 0
        self.failing = False
        self.terminal: Json | None = None

    def take(self, event: Json) -> None:
        check_event(event)
        name, number = event["type"], event["sequence_number"]
        assert self.terminal is None, "an event after the terminal one"
        assert number > self.last_number, f"number {number} follows {self.last_number}"
        assert self.seen or number == 0, f"the first number is {number}"
        due = {0: "response.created", 1: "response.in_progress"}.get(self.seen)
        assert due in (None, name), f"should be {due}"
        self.last_number = number
        self.seen += 1
        stem, _, verb = name.rpartition(".")
        if "response" in event:
            self._snapshot(event)
        elif name == "error":
            self.failing = True
        elif stem == "response.output_item":
            self._open_item(event) if verb == "added" else self._close_item(event)
        elif stem in PARTS:
            parts = self._parts(event, PARTS[stem])
            self._open_part(parts, event) if verb == "added" else self._close_part(parts, event)
        elif stem == "response.shell_call_command":
            self._command(event, verb)
        elif stem in CHANNELS:
            channel = CHANNELS[stem]
            text = self._text(event, channel)
            text.add(channel, event) if verb == "delta" else text.close(channel, event)
        elif "output_index" in event:
            self._item(event)

    # The response as a whole.

    def _snapshot(self, event: Json) -> None:
        name, response = event["type"], event["response"]
        assert (name == "response.created") == (self.response is None), "created twice, or not at all"
        if self.response is None:
            self.response = response
            assert response["output"] == [], "created with output"
        for key in ("id", "created_at"):
            assert response[key] == self.response[key], f"{key} changes to {response[key]!r}"
        if name not in TERMINAL:
            assert response["status"] == "in_progress", f"status {response['status']!r}"
            return
        self.terminal = event
        assert response["status"] == TERMINAL[name], f"status {response['status']!r}"
        assert name == "response.failed" or not self.failing, "an error was sent before it"
        still_open = [place for place, item in enumerate(self.items) if item.final is None]
        assert not still_open, f"items {still_open} are not done"
        changed = difference(response["output"], [item.final for item in self.items], "output")
        assert changed is None, f"the snapshot is not what was streamed: {changed}"

    # Items.

    def _open_item(self, event: Json) -> None:
        item, index = event["item"], event["output_index"]
        check_item(item)
        assert index == len(self.items), f"output_index {index}, but {len(self.items)} items are there"
        assert item["id"] not in [other.added["id"] for other in self.items], f"id {item['id']} is taken"
        assert item["status"] == "in_progress", f"added as {item['status']}"
        inner = {**item, **item.get("action", {}), **item.get("operation", {})}
        filled = [key for key in FILLED if inner.get(key)]
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
        for key in KEPT:
            assert final.get(key) == item.added.get(key), f"{key} changes to {final.get(key)!r}"
        changing = (final.keys() ^ item.added.keys()) - LATE
        assert not changing, f"{sorted(changing)} come or go"
        for key, parts in item.parts.items():
            still_open = [place for place, part in enumerate(parts) if part.final is None]
            assert not still_open, f"{key} parts {still_open} are not done"
            told = [part.final for part in parts]
            changed = difference(final.get(key) or [], told, key)
            assert changed is None, f"the item is not what was streamed: {changed}"
        if isinstance(final.get("arguments"), str) or "input" in final:  # those of a tool search are an object
            item.text.compare(final, "the item")
        if final["type"] == "shell_call":
            assert all(command.done for command in item.commands), "the item is done before its commands"
            streamed, commands = [command.value for command in item.commands], final["action"]["commands"]
            assert streamed == commands, f"the item has the commands {commands}, its events {streamed}"
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
        """The commands of a shell, which are told by their place in the item and not by its id."""
        item, index = self._item(event), event["command_index"]
        assert item.added["type"] == "shell_call", f"a {item.added['type']} has no commands"
        if verb == "added":
            assert index == len(item.commands), f"command {index}, but {len(item.commands)} are there"
            assert event["command"] == "", "the command is not empty yet"
            item.commands.append(Text())
            return
        assert 0 <= index < len(item.commands), f"no command at {index}"
        channel = Channel("command")
        item.commands[index].add(channel, event) if verb == "delta" else item.commands[index].close(channel, event)

    def _text(self, event: Json, channel: Channel) -> Text:
        item = self._item(event)
        if channel.parts is None:
            if "name" in event:
                assert event["name"] == item.added["name"], f"name is {event['name']!r}"
            assert channel.key in item.added, f"a {item.added['type']} has no {channel.key}"
            return item.text
        part = _open(item.parts[channel.parts], _part_index(event))
        assert part.type == channel.part_type, f"the part is {part.type}"
        return part.text


def _part_index(event: Mapping[str, Any]) -> int:
    return next(int(event[key]) for key in INDEX_KEYS.values() if key in event)


def _open(parts: list[Part], index: int) -> Part:
    assert 0 <= index < len(parts), f"no part at {index}"
    assert parts[index].final is None, f"the part at {index} is done"
    return parts[index]


def _tokens(logprobs: Sequence[Json] | None) -> list[tuple[Any, Any]]:
    """What deltas, done and part have in common: the SDK gives only the part's entries their bytes."""
    return [(entry["token"], entry["logprob"]) for entry in logprobs or ()]
