"""A custom tool's free text, taken out of the JSON that a chat host wraps it in, piece by piece.

A custom tool takes text, a chat function takes a JSON object. So the tool is offered as a function of one string,
`input`, and what comes back is undone here: `{"input": "*** Begin Patch\\n…"}` arrives in pieces cut anywhere, and the
text inside goes on as it comes, its escapes read.

Models do not always keep to it, so what is accepted is wider than what is offered:

- text that begins neither with `{` nor with `"` is the input itself, as it stands
- an object of another form is held back until the call ends: `{"patch": "…"}`, an object of one string, is that string;
  an object with an `input` further on is that; anything else is the input itself
- an object that stands in a string is read as if it stood there itself
- inside the string a raw line end stands for itself, as does an escape that JSON does not have, or a quote after which
  the object neither ends nor goes on with another key

A call that was cut gives what has come of the string. Of the object around it nothing ever gets out.
"""

from __future__ import annotations

import json
import re
from enum import Enum, auto

_HEAD = ("{", '"input"', ":", '"')
_MAX_HEAD = 256  # white space a model may put into it
_MAX_TAIL = 64  # the same behind the closing quote
_WHITE = " \t\r\n"
_SPECIAL = re.compile(r'["\\]')
_UNICODE = re.compile(r"\\u([0-9a-fA-F]{4})")
_HALF_UNICODE = re.compile(r"\\(u[0-9a-fA-F]{0,3})?")
# What follows the closing quote: the end of the object, or its next key. And what may still become that.
_AFTER = re.compile(r'[ \t\r\n]*(?:\}|,[ \t\r\n]*"[^"\\]*"[ \t\r\n]*:)')
_PERHAPS = re.compile(r'[ \t\r\n]*(?:,[ \t\r\n]*(?:"[^"\\]*(?:"[ \t\r\n]*)?)?)?')
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class _State(Enum):
    HEAD = auto()  # what has come could still be the head of the object
    STRING = auto()  # inside the string
    BARE = auto()  # the text itself
    HELD = auto()  # JSON of another form: only its end tells
    DONE = auto()  # behind the string


class FreeText:
    """`feed` pieces of a call's arguments, `close` at the end; both return what is new of the text."""

    def __init__(self) -> None:
        self._state = _State.HEAD
        self._kept = ""  # of the head, or of an escape or end that is not decided yet
        self._held: list[str] = []

    def feed(self, piece: str) -> str:
        if self._state is _State.BARE:
            return piece
        if self._state is _State.STRING:
            return self._string(piece)
        if self._state is _State.HELD:
            self._held.append(piece)
        elif self._state is _State.HEAD:
            return self._head(piece)
        return ""

    @property
    def in_string(self) -> bool:
        """Inside the string, and nothing held back: a piece without an escape or a quote is text as it is."""
        return self._state is _State.STRING and not self._kept

    def close(self, *, cut: bool) -> str:
        """`cut` says that the host broke off: what is left undecided then is not text."""
        state, self._state = self._state, _State.DONE
        if state is _State.STRING:
            return "" if cut or self._kept.startswith('"') else self._kept
        if state is _State.HELD:
            return _unwrapped("".join(self._held), cut)
        if state is _State.HEAD:
            return _unwrapped(self._kept, cut)
        return ""

    def _head(self, piece: str) -> str:
        self._kept += piece
        place = _head_end(self._kept[:_MAX_HEAD])
        if place is None and len(self._kept) < _MAX_HEAD:
            return ""
        head, self._kept = self._kept, ""
        if place:
            self._state = _State.STRING
            return self._string(head[place:])
        if head.lstrip(_WHITE)[:1] in ("{", '"', ""):
            self._state = _State.HELD
            self._held.append(head)
            return ""
        self._state = _State.BARE
        return head

    def _string(self, piece: str) -> str:
        text = self._kept + piece
        self._kept = ""
        out = []
        place = 0
        while special := _SPECIAL.search(text, place):
            at = special.start()
            out.append(text[place:at])
            read = _escape(text, at) if text[at] == "\\" else _quote(text, at)
            if read is None:
                self._kept = text[at:]
                return "".join(out)
            said, place = read
            out.append(said)
            if place < 0:
                self._state = _State.DONE
                return "".join(out)
        out.append(text[place:])
        return "".join(out)


def _head_end(text: str) -> int | None:
    """Where the string begins; None if more must come to tell; 0 if this is something else."""
    place = 0
    for token in _HEAD:
        while text[place : place + 1] in _WHITE:
            if place >= len(text):
                return None
            place += 1
        found = text[place : place + len(token)]
        if found != token:
            return None if token.startswith(found) else 0
        place += len(token)
    return place


def _escape(text: str, at: int) -> tuple[str, int] | None:
    """What the escape at `at` says and where it ends; None if it has not come whole."""
    if not (unicode := _UNICODE.match(text, at)):
        if _HALF_UNICODE.fullmatch(text, at):
            return None
        letter = text[at + 1]
        return _ESCAPES.get(letter, "\\" + letter), at + 2
    code, end = int(unicode[1], 16), unicode.end()
    if not 0xD800 <= code <= 0xDFFF:
        return chr(code), end
    if code <= 0xDBFF:
        if end == len(text) or _HALF_UNICODE.fullmatch(text, end):
            return None
        low = _UNICODE.match(text, end)
        if low and 0xDC00 <= int(low[1], 16) <= 0xDFFF:
            return chr(0x10000 + ((code - 0xD800) << 10) + int(low[1], 16) - 0xDC00), low.end()
    return "�", end


def _quote(text: str, at: int) -> tuple[str, int] | None:
    """The end of the string (-1), or a quote that the model forgot to escape; None if what follows has not come."""
    following = text[at + 1 : at + 1 + _MAX_TAIL]
    if len(following) < _MAX_TAIL and _PERHAPS.fullmatch(following):
        return None
    return ("", -1) if _AFTER.match(following) or not following.strip(_WHITE) else ('"', at + 1)


def _unwrapped(raw: str, cut: bool) -> str:
    """The input in JSON that is not of the form that was offered: an object or a string, if it is JSON at all."""
    try:
        value = json.loads(raw, strict=False)
    except (ValueError, RecursionError):
        return "" if cut and raw.lstrip(_WHITE)[:1] in ("{", '"') else raw
    if isinstance(value, dict):
        wrapped = value["input"] if "input" in value else next(iter(value.values()), "") if len(value) < 2 else None
        if isinstance(wrapped, str):
            return _utf8(wrapped)
        return raw
    # An object that was written as JSON twice: models learn it from templates that do it to the calls they show.
    text = _utf8(value)
    return _unwrapped(text, cut) if text.lstrip(_WHITE)[:1] == "{" else text


def _utf8(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
