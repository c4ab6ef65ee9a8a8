"""The events of a response as lines for a person to read. Pure: events in, text out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

Event = dict[str, Any]
_Part = tuple[str, object]
"""What deltas belong to: their type without `.delta`, and their item's id."""

INDENT = " " * 15


class Transcript:
    """Feed it each event with its time, write what it returns.

    An event is a line: milliseconds, name, and what tells it from its like. Deltas of one part share a line
    and are shown as the text they make. `status` is the response's, empty until a terminal event has come;
    `problem` says why it failed, if it did.
    """

    def __init__(self, *, colour: bool) -> None:
        self.status = ""
        self.problem: str | None = None
        self._colour = colour
        self._shown: _Part | None = None  # whose text is being shown
        self._deltas: Counter[_Part] = Counter()
        self._text_times: list[float] = []

    def feed(self, ms: float, event: Event) -> str:
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
        """The last line: how soon the text came and how fast, or an empty string if there was none."""
        shown = self._close_text()
        times = self._text_times
        if not times:
            return shown
        speed = ""
        if len(times) > 1 and times[-1] > times[0]:
            per_second = (len(times) - 1) / (times[-1] - times[0]) * 1000
            speed = f", then {len(times) - 1} more at {per_second:.0f} a second"
        return f"{shown}{INDENT}first delta after {times[0]:.0f} ms{speed}\n"

    def _show_delta(self, ms: float, kind: str, part: _Part, delta: str) -> str:
        shown = ""
        if self._shown != part:
            shown = self._close_text() + self._line(ms, kind, "") + INDENT
            self._shown = part
        self._deltas[part] += 1
        self._text_times.append(ms)
        return shown + _printable(delta).replace("\n", "\n" + INDENT)

    def _close_text(self) -> str:
        was_shown, self._shown = self._shown, None
        return "\n" if was_shown else ""

    def _line(self, ms: float, kind: str, note: str) -> str:
        time, name, note = f"{ms:9.1f} ms", f"{_one_line(kind):<38}", _one_line(note)
        if self._colour:
            return f"\033[2m{time}\033[0m   \033[36m{name}\033[0m \033[2m{note}\033[0m\n"
        return f"{time}   {name} {note}".rstrip() + "\n"


def _item(event: Event) -> str:
    item = _inner(event, "item")
    return _words(item.get("type"), item.get("name"), item.get("status"))


def _part(event: Event) -> str:
    return _words(_inner(event, "part").get("type"))


def _beginning(event: Event) -> str:
    response = _inner(event, "response")
    return _words(response.get("id"), response.get("model"))


def _outcome(event: Event) -> str:
    response = _inner(event, "response")
    usage = _inner(response, "usage")
    tokens = f"{usage.get('input_tokens')} tokens in, {usage.get('output_tokens')} out" if usage else None
    reason = _inner(response, "incomplete_details").get("reason")
    return _words(tokens, reason, _error_message(_inner(response, "error")))


def _error(event: Event) -> str:
    return _error_message(event) or ""


def _no_note(event: Event) -> str:
    return ""


_NOTES: dict[str, Callable[[Event], str]] = {
    "response.created": _beginning,
    "response.output_item.added": _item,
    "response.output_item.done": _item,
    "response.content_part.added": _part,
    "response.content_part.done": _part,
    "response.completed": _outcome,
    "response.incomplete": _outcome,
    "response.failed": _outcome,
    "error": _error,
}


def _error_message(error: Event) -> str | None:
    if not error:
        return None
    code = error.get("code")
    return _words(f"{code}:" if code else None, error.get("message") or "no message")


def _inner(event: Event, key: str) -> Event:
    """The object under `key`; an empty one where a server sends something else."""
    value = event.get(key)
    return value if isinstance(value, dict) else {}


def _words(*words: object) -> str:
    return " ".join(str(word) for word in words if word is not None)


def _one_line(text: str) -> str:
    return " ".join(_printable(text).split())


def _printable(text: str) -> str:
    """`text` without what would steer a terminal: a model may write escape sequences."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)
