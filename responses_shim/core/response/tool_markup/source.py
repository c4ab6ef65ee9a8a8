"""The text of an answer while it is read: what has come of it, how far it was read, and what was found in it."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import NamedTuple, TypeAlias, TypeVar

Found = TypeVar("Found")

Steps: TypeAlias = "Generator[frozenset[str] | None, None, Found]"
"""A function that reads as far as it can, and yields where it needs more text.

What it yields are the characters one of which it needs to get on; None if any text may do. It is resumed when such text
has come, or when the answer has ended (`Source.final`), and then yields no more.
"""

MAX_HELD = 64
"""How many characters of what may be a call without markup are held until the name of its function is known."""

NOT_SPACE = re.compile(r"\S")


class Text(NamedTuple):
    """Text that belongs to no call; `start` is its position in the answer."""

    text: str
    start: int


class Call(NamedTuple):
    """A call begins, of the function `name`. `id` is the model's own name for the call, if it gave one."""

    name: str
    id: str | None = None


class Arguments(NamedTuple):
    """More of the JSON text of the arguments of the call that began last."""

    json: str


Piece: TypeAlias = "Text | Call | Arguments"


class Source:
    """What has come of an answer and is not done with.

    - `text`, `position`: that text, and up to where it has been read. What was read may be needed again, until `forget`
    - `final`: the answer has ended: nothing comes behind `text`
    - `cut`: it ended before the model was done
    - `pieces`: what was found
    - `named`: what may be a call without markup has turned out to have the name of a known function
    - `begins_line`: nothing is before `position` in its line
    - `unclosed`: a call of a known function began, and the answer ended before it was complete
    """

    def __init__(self) -> None:
        self.text = ""
        self.position = 0
        self.final = False
        self.cut = False
        self.pieces: list[Piece] = []
        self.named = True
        self._begin: int | None = None  # of what may be a call without markup
        self.begins_line = True
        self.unclosed = False
        self._offset = 0  # of `text` in the answer

    def expect_name(self) -> None:
        """What comes may be a call without markup: then the name of its function comes soon, or it counts as none."""
        self.named, self._begin = False, self.position

    def found_name(self, end: int) -> bool:
        """The name of a known function ends at `end`; False if that is too late."""
        self.named = self.named or (self._begin is not None and end - self._begin <= MAX_HELD + 1)
        return self.named

    @property
    def waits_too_long(self) -> bool:
        """Whether it still may be a call or not, and too much is held for that."""
        return not self.named and self._begin is not None and len(self.text) - self._begin > MAX_HELD

    def comes(self, *literals: str) -> bool:
        """Whether one of `literals` comes next."""
        return self.text.startswith(literals, self.position)

    @property
    def at_end(self) -> bool:
        """Whether all that has come has been read."""
        return self.position >= len(self.text)

    def give_text(self, end: int) -> None:
        """Everything from `position` to `end` is text that belongs to no call."""
        if end > self.position:
            self.pieces.append(Text(self.text[self.position : end], self._offset + self.position))
            self.position = end
            self.begins_line = self.text[end - 1] == "\n"
        self.forget()

    def skip(self, text: str) -> None:
        """A piece of the answer without line ends goes past this reader: it is text, and nothing waits to be read."""
        self._offset += len(text)
        self.begins_line = self.begins_line and not text

    def forget(self) -> None:
        """Drop what was read: nobody goes back before `position`.

        It is kept until it is half of the text: to drop it piece by piece would copy a long text again and again.
        """
        if self.position * 2 >= len(self.text):
            self._offset += self.position
            self.text, self.position = self.text[self.position :], 0


def skip_space(source: Source) -> Steps[None]:
    """Read white space, up to the next character that is none or to the end."""
    while True:
        found = NOT_SPACE.search(source.text, source.position)
        source.position = found.start() if found is not None else len(source.text)
        if found is not None or source.final:
            return
        yield None


def skip_to(source: Source, pattern: re.Pattern[str], longest: int) -> Steps[bool]:
    """Skip what comes, up to the next match of `pattern` behind it, which has up to `longest` characters.

    False, and nothing is skipped, if the answer ends before that.
    """
    scan = source.position + 1
    while True:
        found = pattern.search(source.text, scan)
        if found is not None:
            source.position = found.start()
            return True
        if source.final:
            return False
        scan = max(scan, len(source.text) - longest + 1)
        yield None


def take_closer(source: Source, closers: tuple[str, ...]) -> Steps[bool]:
    """Read the one of `closers` that comes next, or the beginning of one with which the answer ends; False if none."""
    if (yield from take_literal(source, closers)) is not None:
        return True
    rest = source.text[source.position : source.position + 64]
    if source.final and rest and any(closer.startswith(rest) for closer in closers):
        source.position = len(source.text)
        return True
    return False


def take_literal(source: Source, literals: tuple[str, ...]) -> Steps[str | None]:
    """Read the one of `literals` that comes next; None, and nothing is read, if none does."""
    while True:
        rest = source.text[source.position : source.position + 64]
        for literal in literals:
            if rest.startswith(literal):
                source.position += len(literal)
                return literal
        if source.final or not any(literal.startswith(rest) for literal in literals):
            return None
        yield None
