"""Format the events of a response for a person to read. Events go in, text comes out; nothing is printed here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

Event = dict[str, Any]
"""An event of a response, as JSON data with a `type`."""
_Part = tuple[str, object]
"""What a delta is a part of: its event type without `.delta`, and the id of its item."""

INDENT = " " * 15
"""The indentation of text, which puts it below the event types."""


class Transcript:
    """Formats the events of one response: print what `feed` returns for each event, and at last what `end` returns.

         10.0 ms   response.created                       resp_1 tiny
         50.0 ms   response.output_text.delta
                   The sea is blue.

    Each event is a line with its time, its type and a note. The deltas of one part share a line, below which their text
    is shown.
    """

    def __init__(self, *, colour: bool) -> None:
        self.status = ""
        """The response's status, such as `completed`; empty before its terminal event."""
        self.problem: str | None = None
        """Why the response failed; None if it did not."""
        self._colour = colour
        self._open_part: _Part | None = None  # the part whose text is being shown
        self._deltas: Counter[_Part] = Counter()
        self._delta_times: list[float] = []

    def feed(self, ms: float, event: Event) -> str:
        """The text to print for an event that came `ms` milliseconds after the request."""
        kind = event["type"]
        part = (kind.rpartition(".")[0], event.get("item_id"))
        delta = event.get("delta")
        if kind.endswith(".delta") and isinstance(delta, str):
            return self._show_delta(ms, kind, part, delta)
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            self.status = kind.removeprefix("response.")
            self.problem = self.problem or _error_message(_inner(_inner(event, "response"), "error"))
        elif kind == "error":
            self.problem = _error_message(event)
        count = self._deltas.pop(part, 0) if kind.endswith(".done") else 0
        note = f"{count} deltas" if count else _NOTES.get(kind, _no_note)(event)
        return self._close_text() + self._line(ms, kind, note)

    def end(self) -> str:
        """The last line: when the first delta came, and how many followed a second; empty if there were none."""
        line_end = self._close_text()
        times = self._delta_times
        if not times:
            return line_end
        speed = ""
        if len(times) > 1 and times[-1] > times[0]:
            per_second = (len(times) - 1) / (times[-1] - times[0]) * 1000
            speed = f", then {len(times) - 1} more at {per_second:.0f} a second"
        return f"{line_end}{INDENT}first delta after {times[0]:.0f} ms{speed}\n"

    def _show_delta(self, ms: float, kind: str, part: _Part, delta: str) -> str:
        heading = ""
        if self._open_part != part:
            heading = self._close_text() + self._line(ms, kind, "") + INDENT
            self._open_part = part
        self._deltas[part] += 1
        self._delta_times.append(ms)
        return heading + printable(delta).replace("\n", "\n" + INDENT)

    def _close_text(self) -> str:
        """The end of the line of text that is being shown, if there is one."""
        part, self._open_part = self._open_part, None
        return "\n" if part else ""

    def _line(self, ms: float, kind: str, note: str) -> str:
        time, name, note = f"{ms:9.1f} ms", f"{_one_line(kind):<38}", _one_line(note)
        if self._colour:
            return f"\033[2m{time}\033[0m   \033[36m{name}\033[0m \033[2m{note}\033[0m\n"
        return f"{time}   {name} {note}".rstrip() + "\n"


# The note on an event's line, by its type.


def _item_note(event: Event) -> str:
    item = _inner(event, "item")
    return _words(item.get("type"), item.get("name"), item.get("status"))


def _part_note(event: Event) -> str:
    return _words(_inner(event, "part").get("type"))


def _created_note(event: Event) -> str:
    response = _inner(event, "response")
    return _words(response.get("id"), response.get("model"))


def _outcome_note(event: Event) -> str:
    response = _inner(event, "response")
    usage = _inner(response, "usage")
    tokens = f"{usage.get('input_tokens')} tokens in, {usage.get('output_tokens')} out" if usage else None
    reason = _inner(response, "incomplete_details").get("reason")
    return _words(tokens, reason, _error_message(_inner(response, "error")))


def _error_note(event: Event) -> str:
    return _error_message(event) or ""


def _no_note(event: Event) -> str:
    return ""


_NOTES: dict[str, Callable[[Event], str]] = {
    "response.created": _created_note,
    "response.output_item.added": _item_note,
    "response.output_item.done": _item_note,
    "response.content_part.added": _part_note,
    "response.content_part.done": _part_note,
    "response.completed": _outcome_note,
    "response.incomplete": _outcome_note,
    "response.failed": _outcome_note,
    "error": _error_note,
}


def _error_message(error: Event) -> str | None:
    if not error:
        return None
    code = error.get("code")
    return _words(f"{code}:" if code else None, error.get("message") or "no message")


def _inner(event: Event, key: str) -> Event:
    """The object at `key`; an empty one if the server sent something else."""
    value = event.get(key)
    return value if isinstance(value, dict) else {}


def _words(*words: object) -> str:
    return " ".join(str(word) for word in words if word is not None)


def _one_line(text: str) -> str:
    return " ".join(printable(text).split())


def printable(text: str) -> str:
    """The text with each control character replaced: a model may write escape sequences for the terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)
