r"""Where a JSON value ends that comes in pieces, without parsing it again with every piece.

A call is complete when its arguments are: only then may the next item begin. Of `{"a": "}"}`, for example,

    feed('{"a": "')   open        the brace inside the string closes nothing
    feed('}"')        open
    feed('}')         complete
"""

from __future__ import annotations

import re

_OUTSIDE = re.compile(r'["{}\[\]]')
_INSIDE = re.compile(r'["\\]')


class JSONEnd:
    """Finds the end of one object, array or string. It is `complete` from there on, whatever follows.

    Text that begins with anything else (a number, a word) is never complete: more might always belong to it.
    """

    def __init__(self) -> None:
        self.complete = False
        self._depth = 0  # of open objects and arrays
        self.in_string = False
        """Whether a string has begun and not ended."""
        self._escaped = False  # the last character was a backslash
        self._begun = False
        self._endless = False  # it is no object, array or string

    def feed(self, text: str) -> None:
        """Take the next piece. The cost is that of looking at the piece once."""
        position = 0
        if not self._begun:
            position = len(text) - len(text.lstrip())
            if position == len(text):
                return
            self._begun = True
            self._endless = text[position] not in '"{['
        while position < len(text) and not (self.complete or self._endless):
            position = self._string(text, position) if self.in_string else self._outside(text, position)

    def _string(self, text: str, position: int) -> int:
        """Look at a string, from `position` to its end or to that of the piece; returns the position after it."""
        if self._escaped:
            self._escaped = False
            return position + 1
        found = _INSIDE.search(text, position)
        if found is None:
            return len(text)
        if found[0] == "\\":
            self._escaped = True
        else:
            self.in_string = False
            self.complete = self._depth == 0
        return found.end()

    def _outside(self, text: str, position: int) -> int:
        """Look at what is outside strings, up to the next quote or bracket; returns the position after it."""
        found = _OUTSIDE.search(text, position)
        if found is None:
            return len(text)
        if found[0] == '"':
            self.in_string = True
        elif found[0] in "{[":
            self._depth += 1
        else:
            self._depth -= 1
            self.complete = self._depth <= 0
        return found.end()
