"""Values that are nearly JSON: Python literals and calls, and what Gemma writes.

Models that were trained on Python write `{'a': True, 'b': None,}`, Gemma writes `{a:<|"|>x<|"|>,b:[1,2]}`. One reader
takes all of it: keys and strings with any quotes or, up to the next separator, none.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

MAX_DEPTH = 64
"""How many lists and objects may be one in another."""

_SPACE = re.compile(r"\s*")
_BARE = re.compile(r"[^,:=\[\]{}()]+")
_BARE_KEY = re.compile(r"\s*[\w$.-]+\s*[:=]")
_FUNCTION = re.compile(r"\s*([\w.-]+)\s*\(")
_ARGUMENT = re.compile(r"(\w+)\s*=(?!=)")
_BRACKETS = re.compile(r"\s*[}\])][}\])\s]*")
_ENTRY = re.compile(r"[\w.+-]+\s*[,\]}]")
_STRING_PART = re.compile(r"[^\\\"']+")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0", "\n": ""}
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_CLOSERS = {"[": "]", "(": ")", "{": "}"}


def read_literal(text: str, position: int, quote: str | None = None) -> tuple[Any, int]:
    """The value at a position, and where the text goes on behind it. ValueError if there is none, or it does not end.

    `quote` is what the form puts round strings besides `"` and `'`, without escapes in between.
    """
    return _Reader(text, quote).value(position, 0)


class PythonCall(NamedTuple):
    """A call as Python writes it: the function's name, arguments by position, and those by name."""

    name: str
    values: list[Any]
    named: dict[str, Any]


def read_calls(text: str, position: int) -> tuple[list[PythonCall], int]:
    """The call of Python's at a position, or the list of them, and where the text goes on behind.

    ValueError if there is none, or it does not end.
    """
    reader = _Reader(text, None)
    if not text.startswith("[", position):
        call, position = reader.call(position)
        return [call], position
    calls: list[PythonCall] = []
    position = reader.space(position + 1)
    while not text.startswith("]", position):
        call, position = reader.call(position)
        calls.append(call)
        position = reader.separator(position, "]")
    return calls, position + 1


class _Reader:
    def __init__(self, text: str, quote: str | None) -> None:
        self._text = text
        self._quote = quote

    def space(self, position: int) -> int:
        found = _SPACE.match(self._text, position)
        return found.end() if found is not None else position

    def separator(self, position: int, closer: str) -> int:
        """The position behind a comma, or that of the closer. Gemma leaves commas out, too."""
        position = self.space(position)
        if self._text.startswith(",", position):
            return self.space(position + 1)
        if not self._text.startswith(closer, position) and not self._begins_key(position):
            raise ValueError("neither a separator nor the end")
        return position

    def _begins_key(self, position: int) -> bool:
        return self._quote is not None and _BARE_KEY.match(self._text, position) is not None

    def call(self, position: int) -> tuple[PythonCall, int]:
        """The call of Python's at a position, and where the text goes on behind it."""
        found = _FUNCTION.match(self._text, position)
        if found is None:
            raise ValueError("no call")
        call = PythonCall(found[1], [], {})
        position = self.space(found.end())
        while not self._text.startswith(")", position):
            key = _ARGUMENT.match(self._text, position)
            value, position = self.value(key.end() if key is not None else position, 0)
            if key is not None:
                call.named.setdefault(key[1], value)
            else:
                call.values.append(value)
            position = self.separator(position, ")")
        return call, position + 1

    def value(self, position: int, depth: int) -> tuple[Any, int]:
        if depth > MAX_DEPTH:
            raise ValueError("nested too deep")
        position = self.space(position)
        if self._text.startswith("{", position):
            return self._object(position, depth)
        if self._text.startswith(("[", "("), position):
            return self._list(position, depth)
        text = self._string(position)
        if text is not None:
            return text
        found = _BARE.match(self._text, position)
        if found is None:
            raise ValueError("no value")
        value = _bare(found[0].strip())
        if self._quote is None and isinstance(value, str):
            raise ValueError("a name, which Python would look up")
        return value, found.end()

    def _object(self, position: int, depth: int) -> tuple[dict[str, Any], int]:
        members: dict[str, Any] = {}
        position = self.space(position + 1)
        while not self._text.startswith("}", position):
            quoted = self._string(position, is_key=True)
            if quoted is not None:
                key, end = quoted
            else:
                found = _BARE.match(self._text, position)
                if found is None:
                    raise ValueError("no key")
                key, end = found[0].strip(), found.end()
            end = self.space(end)
            if not self._text.startswith((":", "="), end):
                raise ValueError("no value for a key")
            value, end = self.value(end + 1, depth + 1)
            members.setdefault(key, value)
            position = self.separator(end, "}")
        return members, position + 1

    def _list(self, position: int, depth: int) -> tuple[list[Any], int]:
        closer = _CLOSERS[self._text[position]]
        entries: list[Any] = []
        position = self.space(position + 1)
        while not self._text.startswith(closer, position):
            entry, end = self.value(position, depth + 1)
            entries.append(entry)
            position = self.separator(end, closer)
        return entries, position + 1

    def _string(self, position: int, *, is_key: bool = False) -> tuple[str, int] | None:
        """The string in quotes at a position, and where the text goes on; None if there are no quotes."""
        text = self._text
        if self._quote is not None and text.startswith(self._quote, position):
            start = position + len(self._quote)
            end = self._end_of_quoted(start, is_key=is_key)
            return text[start:end].replace(self._quote, '"'), end + len(self._quote)
        mark = text[position : position + 1]
        if mark not in ('"', "'") or not mark:
            return None
        if text.startswith(mark * 3, position):
            mark *= 3
        position += len(mark)
        parts: list[str] = []
        while not text.startswith(mark, position):
            if found := _STRING_PART.match(text, position):
                parts.append(found[0])
            elif found := _ESCAPE.match(text, position):
                code = found[1] or found[2]
                parts.append(chr(int(code, 16)) if code else _ESCAPED.get(found[3], found[3]))
            elif position < len(text) and text[position] != "\\":
                parts.append(text[position])
                position += 1
                continue
            else:
                raise ValueError("a string without an end")
            position = found.end()
        return "".join(parts), position + len(mark)

    def _end_of_quoted(self, start: int, *, is_key: bool) -> int:
        """Where the quotes of the form end a string that begins at `start`.

        Gemma writes a `"` in a string as the same token. So a string ends where a separator follows, or a key.
        """
        assert self._quote is not None
        text, end = self._text, self._text.index(self._quote, start)
        while True:
            after = self.space(end + len(self._quote))
            following = text[after : after + 1]
            if is_key:
                ends = following in (":", "=")
            elif following == ",":
                ends = self._goes_on(after + 1)
            else:
                ends = self._begins_key(after) or self._closes(after)
            if ends:
                return end
            end = text.index(self._quote, end + len(self._quote))

    def _closes(self, position: int) -> bool:
        """Whether what follows closes a list or an object, and not a bracket within the string."""
        found = _BRACKETS.match(self._text, position)
        if found is None:
            return False
        after = found.end()
        return self._text[after : after + 1] in (",", "<", "") and not self._text.startswith(str(self._quote), after)

    def _goes_on(self, position: int) -> bool:
        """Whether a key or a value follows a comma, rather than the middle of a sentence."""
        position = self.space(position)
        starts = (str(self._quote), '"', "'", "{", "[", "}", "]")
        return self._text.startswith(starts, position) or bool(
            _BARE_KEY.match(self._text, position) or _ENTRY.match(self._text, position)
        )


def _bare(text: str) -> Any:
    """A value without quotes: a word of Python's or JSON's, a number, or text."""
    if text in _WORDS:
        return _WORDS[text]
    for number in (int, float):
        try:
            value = number(text)
        except ValueError:
            continue
        return value if value == value and value not in (float("inf"), float("-inf")) else text
    return text
