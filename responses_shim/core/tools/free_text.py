r"""The text of a custom tool's call, taken out of the JSON around it while it arrives in pieces.

A custom tool takes text, a chat function takes a JSON object. So the tool is offered as a function of one string,
`input`, and a call of it is unwrapped here:

    the host's pieces      '{"in'   'put": "*** Be'   'gin\'   'n\u00e'   '9"'   '}'
    the text, as it comes           '*** Be'          'gin'    '\n'       'é'

Models do not always write what was offered, so more is accepted:

- Text that begins with neither `{` nor `"` is the input itself.
- JSON of another shape is held back until the call ends. An object of a single string, `{"patch": "…"}`, is that
  string; an object with `input` among its keys is that string; an empty object is an empty text; any other object is,
  as it was written, the input.
- A string is the input, unless it holds an object in turn: then it is read as that object.
- Within the string, a raw line end is a line end; an escape that JSON does not have is kept as it is written; and a
  quote is a quote if what follows it is neither the end of the object nor another key.

Of a call that was cut off there is the text as far as it came, and never a part of the JSON around it.
"""

from __future__ import annotations

import json
import re
from enum import Enum, auto

from responses_shim.core.wire.json_end import JSONEnd
from responses_shim.core.wire.lenient_json import join_surrogates

_HEAD = ("{", '"input"', ":", '"')
_MAX_HEAD = 256  # characters, so that a model may put white space between them
_MAX_TAIL = 64  # characters after the closing quote by which it is known to be one
_WHITE = " \t\r\n"
_SPECIAL = re.compile(r'["\\]')
_UNICODE = re.compile(r"\\u([0-9a-fA-F]{4})")
_PART_OF_UNICODE = re.compile(r"\\(u[0-9a-fA-F]{0,3})?")
# What follows the closing quote: the end of the object, or its next key. And the beginnings of that.
_AFTER_STRING = re.compile(r'[ \t\r\n]*(?:\}|,[ \t\r\n]*"[^"\\]*"[ \t\r\n]*:)')
_PART_OF_AFTER_STRING = re.compile(r'[ \t\r\n]*(?:,[ \t\r\n]*(?:"[^"\\]*(?:"[ \t\r\n]*)?)?)?')
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class _State(Enum):
    HEAD = auto()  # all that has come may be the beginning of `{"input": "`
    STRING = auto()  # within the string
    BARE = auto()  # it is the text itself
    HELD = auto()  # it is JSON of another shape, to be read when it is complete
    DONE = auto()  # after the string


class FreeText:
    """The text of one call: `feed` each piece of its arguments, then `close`; both return what is new of the text."""

    def __init__(self) -> None:
        self._state = _State.HEAD
        # The beginning of the head, of an escape, or of what follows a quote, which needs more text.
        self._undecided = ""
        self._held: list[str] = []
        self._held_size = 0  # in characters
        self._end = JSONEnd()  # of what is held

    @property
    def complete(self) -> bool:
        """Whether the arguments have come to their end: what comes next is no more of them."""
        return self._state is _State.DONE or (self._state is _State.HELD and self._end.complete)

    def feed(self, piece: str) -> str:
        """Take the next piece of the arguments."""
        if self._state is _State.BARE:
            return piece
        if self._state is _State.STRING:
            return self._feed_string(piece)
        if self._state is _State.HELD:
            self._hold(piece)
        elif self._state is _State.HEAD:
            return self._feed_head(piece)
        return ""

    @property
    def in_string(self) -> bool:
        """Inside the string, and nothing held back: a piece without an escape or a quote is text as it is."""
        return self._state is _State.STRING and not self._undecided

    def close(self, *, cut: bool) -> str:
        """Take the end of the arguments. `cut`: the host broke off, and what is undecided is not text."""
        state, self._state = self._state, _State.DONE
        if state is _State.STRING:
            return "" if cut or self._undecided.startswith('"') else self._undecided
        if state is _State.HELD:
            return _unwrapped("".join(self._held), cut)
        if state is _State.HEAD:
            return _unwrapped(self._undecided, cut)
        return ""

    def _feed_head(self, piece: str) -> str:
        self._undecided += piece
        end = _head_end(self._undecided[:_MAX_HEAD])
        if end is None and len(self._undecided) < _MAX_HEAD:
            return ""
        head, self._undecided = self._undecided, ""
        if end:
            self._state = _State.STRING
            return self._feed_string(head[end:])
        if head.lstrip(_WHITE)[:1] in ("{", '"', ""):
            self._state = _State.HELD
            self._hold(head)
            return ""
        self._state = _State.BARE
        return head

    @property
    def of_another_shape(self) -> bool:
        """Whether the arguments are, or were, JSON of another shape than was offered."""
        return bool(self._held)

    def held_equals(self, arguments: str) -> bool:
        """Whether such JSON, as far as it has come, is `arguments`. It is joined only if it could be."""
        return len(arguments) == self._held_size and "".join(self._held) == arguments

    def _hold(self, piece: str) -> None:
        self._held.append(piece)
        self._held_size += len(piece)
        self._end.feed(piece)

    def _feed_string(self, piece: str) -> str:
        source = self._undecided + piece
        self._undecided = ""
        text = []
        position = 0
        while special := _SPECIAL.search(source, position):
            start = special.start()
            text.append(source[position:start])
            read = _read_escape(source, start) if source[start] == "\\" else _read_quote(source, start)
            if read is None:
                self._undecided = source[start:]
                return "".join(text)
            meaning, position = read
            text.append(meaning)
            if position < 0:
                self._state = _State.DONE
                return "".join(text)
        text.append(source[position:])
        return "".join(text)


def _head_end(text: str) -> int | None:
    """The position after `{"input": "`; None if more must come to decide; 0 if this is something else."""
    position = 0
    for token in _HEAD:
        while text[position : position + 1] in _WHITE:
            if position >= len(text):
                return None
            position += 1
        found = text[position : position + len(token)]
        if found != token:
            return None if token.startswith(found) else 0
        position += len(token)
    return position


def _read_escape(text: str, start: int) -> tuple[str, int] | None:
    """The meaning of the escape at `start`, and the position after it; None if it is not complete."""
    if not (unicode := _UNICODE.match(text, start)):
        if _PART_OF_UNICODE.fullmatch(text, start):
            return None
        letter = text[start + 1]
        return _ESCAPES.get(letter, "\\" + letter), start + 2
    code, end = int(unicode[1], 16), unicode.end()
    if not 0xD800 <= code <= 0xDFFF:
        return chr(code), end
    if code <= 0xDBFF:  # the first half of a surrogate pair
        if end == len(text) or _PART_OF_UNICODE.fullmatch(text, end):
            return None
        low = _UNICODE.match(text, end)
        if low and 0xDC00 <= int(low[1], 16) <= 0xDFFF:
            return chr(0x10000 + ((code - 0xD800) << 10) + int(low[1], 16) - 0xDC00), low.end()
    return "�", end


def _read_quote(text: str, start: int) -> tuple[str, int] | None:
    """The end of the string (-1), or a quote that the model did not escape; None if more must come to decide."""
    following = text[start + 1 : start + 1 + _MAX_TAIL]
    if len(following) < _MAX_TAIL and _PART_OF_AFTER_STRING.fullmatch(following):
        return None
    return ("", -1) if _AFTER_STRING.match(following) or not following.strip(_WHITE) else ('"', start + 1)


def _unwrapped(source: str, cut: bool) -> str:
    """The input, out of complete arguments of another shape than was offered."""
    try:
        value = json.loads(source, strict=False)
    except (ValueError, RecursionError):
        return "" if cut and source.lstrip(_WHITE)[:1] in ("{", '"') else source
    if isinstance(value, dict):
        if "input" in value:
            wrapped = value["input"]
        elif len(value) == 1:  # a single string under any key
            (wrapped,) = value.values()
        else:  # an empty object is an empty input
            wrapped = None if value else ""
        if isinstance(wrapped, str):
            return join_surrogates(wrapped)
        return source
    # An object that was encoded twice: models learn it from templates that do it to the calls that they show.
    text = join_surrogates(value)
    return _unwrapped(text, cut) if text.lstrip(_WHITE)[:1] == "{" else text
