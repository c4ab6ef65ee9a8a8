"""Rewrites the regular expressions of JSON schemas so that llama-cpp-python makes the right grammar of them.

Its converter copies a pattern into the grammar piece by piece, and is wrong about much of what patterns have:

- an escape (`\\d`, `\\.`) is invalid in a grammar, which ends the server's process; so is a repetition of what may be
  empty
- `.` and `[^a]` take a quote, which ends the JSON string that the pattern is about
- alternatives outside a group (`^a|b$`) take the quotes around the string with them
- a pattern that is not anchored at both ends is refused, and the complete schema is forgotten

So a pattern is parsed here and written again in what the converter gets right:

    ^\\d{3}-\\w+$    ^[0-9]{3}-[0-9A-Z\\x5Fa-z]+$
    ^.a              ^[^\\x00-\\x1F\\x22\\x5C]a[^\\x00-\\x1F\\x22\\x5C]*$

Characters that JSON writes as escapes (quotes, backslashes, control characters) are left out of sets: what is written
allows no more than the original there. Lookarounds, references and properties of characters (`\\p{L}`) cannot be said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

MAX_PATTERN = 1000
"""The longest pattern that is rewritten, in characters."""
MAX_SIZE = 1000
"""How many elements the grammar of a pattern may have, with repetitions written out. More take it long, or too long."""
MAX_VARIABLE = 4
"""How many repetitions of variable length may follow one another directly, as the two in `a*b*` do.

The sampler tries each way in which they can share the characters of a token: `[^b]*` ten times in a row took 14 s for a
token, five times 0.2 s. With something else between them, there may be any number.
"""
_MAX_DEPTH = 20

Range = tuple[int, int]
"""The first and the last of some code points that follow one another."""

_DIGITS: list[Range] = [(0x30, 0x39)]
_WORD: list[Range] = [*_DIGITS, (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
_SPACE: list[Range] = [(0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0)]
_ESCAPED_SETS = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_CONTROL = {"n": 0x0A, "r": 0x0D, "t": 0x09, "f": 0x0C, "v": 0x0B, "0": 0}

_ESCAPED_IN_JSON: list[Range] = [(0x00, 0x1F), (0x22, 0x22), (0x5C, 0x5C)]
_SPECIAL = frozenset('\\^$.|()[]{}*+?"')
"""What stands for something else than itself, in a pattern or in the converter's output."""
_MAX_CODE_POINT = 0x10FFFF


class _UnsupportedError(Exception):
    """The pattern is invalid, or has something that cannot be rewritten."""


class _Piece(NamedTuple):
    """A part of the pattern as it is written again.

    - `text`: a single element, which may be repeated as it is, if `is_element`
    - `may_be_empty`: whether it matches the empty string
    - `size`: how many elements of the grammar it takes
    - `starts`, `ends`, `most`: how many repetitions of variable length follow one another at its start, at its end, and
      where they are most
    - `has_fixed`: whether there is anything else in it
    """

    text: str
    may_be_empty: bool
    size: int
    is_element: bool = False
    starts: int = 0
    ends: int = 0
    most: int = 0
    has_fixed: bool = False

    def as_element(self) -> str:
        return self.text if self.is_element else f"({self.text})"


_EMPTY = _Piece("", True, 0)


@lru_cache(maxsize=256)
def rewrite(pattern: str) -> str | None:
    """The pattern in the form that the converter takes; None if it cannot be rewritten.

    A pattern that has been rewritten is its own rewritten form.
    """
    if len(pattern) > MAX_PATTERN:
        return None
    try:
        piece = _Parser(pattern).parse()
    except _UnsupportedError:
        return None
    return f"^{piece.text}$" if piece.size <= MAX_SIZE and piece.most <= MAX_VARIABLE else None


class _Parser:
    """A recursive-descent parser of ECMAScript's regular expressions, as far as they can be rewritten."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._index = 0

    def parse(self) -> _Piece:
        piece = self._alternatives(0)
        if self._index < len(self._pattern):
            raise _UnsupportedError("a parenthesis that closes nothing")
        return piece

    def _peek(self) -> str:
        return self._pattern[self._index : self._index + 1]

    def _next(self) -> str:
        character = self._peek()
        if not character:
            raise _UnsupportedError("the pattern ends too early")
        self._index += 1
        return character

    def _take(self, text: str) -> bool:
        if not self._pattern.startswith(text, self._index):
            return False
        self._index += len(text)
        return True

    def _alternatives(self, depth: int) -> _Piece:
        if depth > _MAX_DEPTH:
            raise _UnsupportedError("too many groups in one another")
        branches = [self._sequence(depth)]
        while self._take("|"):
            branches.append(self._sequence(depth))
        written = [branch for branch in branches if branch.text]
        if len(written) == 1:
            piece = written[0]
        elif written:
            piece = _either(written)
        else:
            return _EMPTY
        return piece if len(written) == len(branches) else _repeated(piece, 0, 1)

    def _sequence(self, depth: int) -> _Piece:
        """What comes before the next `|` or `)`. Outside all groups it may begin with `^` and end with `$`."""
        pieces = []
        if depth == 0 and not self._take("^"):
            pieces.append(_ANY_TEXT)
        while (character := self._peek()) not in ("", "|", ")"):
            if character == "$" and depth == 0 and self._pattern[self._index + 1 : self._index + 2] in ("", "|"):
                self._next()
                break
            pieces.append(self._term(depth))
        else:
            if depth == 0 and pieces != [_ANY_TEXT]:
                pieces.append(_ANY_TEXT)
        return _joined(pieces)

    def _term(self, depth: int) -> _Piece:
        """An atom and how often it is repeated."""
        piece = self._atom(depth)
        at_least, at_most = self._quantifier()
        return piece if (at_least, at_most) == (1, 1) else _repeated(piece, at_least, at_most)

    def _atom(self, depth: int) -> _Piece:
        character = self._next()
        if character == "(":
            if self._take("?") and not self._take(":"):
                raise _UnsupportedError("a lookaround, or a group with a name")
            piece = self._alternatives(depth + 1)
            if self._next() != ")":
                raise _UnsupportedError("a parenthesis that is not closed")
            return piece
        if character == "[":
            return self._set()
        if character == ".":
            return _ANY
        if character == "\\":
            ranges, negated = self._escape()
            return _set_piece(ranges, negated)
        if character in _SPECIAL:
            raise _UnsupportedError(f"{character} where it stands for nothing")
        return _one(character)

    def _quantifier(self) -> tuple[int, int | None]:
        """How often the atom before it is repeated, at least and at most (None: there is no limit)."""
        bounds: tuple[int, int | None] = (1, 1)
        if self._take("*"):
            bounds = (0, None)
        elif self._take("+"):
            bounds = (1, None)
        elif self._take("?"):
            bounds = (0, 1)
        elif self._take("{"):
            first, comma, last = self._until("}").partition(",")
            at_least = _count(first)
            bounds = at_least, (_count(last) if last else None) if comma else at_least
        else:
            return bounds
        self._take("?")  # how it is matched makes no difference to what is
        return bounds

    def _until(self, end: str) -> str:
        start = self._index
        while self._next() != end:
            pass
        return self._pattern[start : self._index - 1]

    def _set(self) -> _Piece:
        negated = self._take("^")
        ranges: list[Range] = []
        while not self._take("]"):
            members = self._member()
            if self._is_range():
                self._next()
                members = [(_single(members), _single(self._member()))]
                if members[0][0] > members[0][1]:
                    raise _UnsupportedError("a range that ends before it begins")
            ranges += members
        return _set_piece(ranges, negated)

    def _is_range(self) -> bool:
        return self._peek() == "-" and self._pattern[self._index + 1 : self._index + 2] not in ("", "]")

    def _member(self) -> list[Range]:
        character = self._next()
        if character != "\\":
            return [(ord(character), ord(character))]
        if self._take("b"):
            return [(0x08, 0x08)]
        ranges, negated = self._escape()
        if negated:
            raise _UnsupportedError("the opposite of a set in a set")
        return ranges

    def _escape(self) -> tuple[list[Range], bool]:
        """What the escape behind a backslash stands for, and whether for anything else than that."""
        character = self._next()
        if character.lower() in _ESCAPED_SETS:
            return _ESCAPED_SETS[character.lower()], character.isupper()
        if character in _CONTROL:
            code_point = _CONTROL[character]
        elif character in "xu":
            length = 2 if character == "x" else 4
            code_point = _hexadecimal(self._pattern[self._index : self._index + length], length)
            self._index += length
        elif character.isascii() and not character.isalnum():
            code_point = ord(character)
        else:
            raise _UnsupportedError(f"the escape \\{character}")
        return [(code_point, code_point)], False


def _single(ranges: list[Range]) -> int:
    """The one code point that the ranges have; a range must begin and end with such."""
    if len(ranges) != 1 or ranges[0][0] != ranges[0][1]:
        raise _UnsupportedError("a range from or to a set")
    return ranges[0][0]


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise _UnsupportedError("a repetition that is no number")
    return int(text)


def _hexadecimal(text: str, length: int) -> int:
    try:
        value = int(text, 16)
    except ValueError:
        value = -1
    if len(text) != length or value < 0:
        raise _UnsupportedError("an escape that is not hexadecimal")
    return value


def _joined(pieces: Iterable[_Piece]) -> _Piece:
    pieces = [piece for piece in pieces if piece.text]
    if len(pieces) == 1:
        return pieces[0]
    starts = ends = most = 0
    has_fixed = False
    for piece in pieces:
        most = max(most, piece.most, ends + piece.starts)
        starts += 0 if has_fixed else piece.starts
        ends = piece.ends if piece.has_fixed else ends + piece.ends
        has_fixed = has_fixed or piece.has_fixed
    return _Piece(
        "".join(piece.text for piece in pieces),
        all(piece.may_be_empty for piece in pieces),
        sum(piece.size for piece in pieces),
        starts=starts,
        ends=ends,
        most=most,
        has_fixed=has_fixed,
    )


def _either(branches: Sequence[_Piece]) -> _Piece:
    return _Piece(
        f"({'|'.join(branch.text for branch in branches)})",
        any(branch.may_be_empty for branch in branches),
        sum(branch.size for branch in branches) + 1,
        is_element=True,
        starts=max(branch.starts for branch in branches),
        ends=max(branch.ends for branch in branches),
        most=max(branch.most for branch in branches),
        has_fixed=all(branch.has_fixed for branch in branches),
    )


def _repeated(piece: _Piece, at_least: int, at_most: int | None) -> _Piece:
    """The piece so many times. In a grammar, what may be empty cannot be repeated."""
    if at_most is not None and at_most < at_least:
        raise _UnsupportedError("a repetition of at least more than at most")
    if not piece.text or at_most == 0:
        return _EMPTY
    if (at_least, at_most) == (1, 1) or ((at_least, at_most) == (0, 1) and piece.may_be_empty):
        return piece
    if piece.may_be_empty:
        raise _UnsupportedError("a repetition of what may be empty")
    if at_most != 1 and piece.starts and piece.ends:
        raise _UnsupportedError("a repetition in which repetitions of variable length follow one another")
    known = {(0, None): "*", (1, None): "+", (0, 1): "?"}
    exact = f"{{{at_least}}}" if at_most == at_least else f"{{{at_least},{'' if at_most is None else at_most}}}"
    times = at_least + 1 if at_most is None else at_most
    variable = int(at_least != at_most)
    return _Piece(
        piece.as_element() + known.get((at_least, at_most), exact),
        at_least == 0,
        piece.size + times,
        starts=piece.starts + variable,
        ends=piece.ends + variable,
        most=max(piece.most, piece.starts + variable, piece.ends + variable),
        has_fixed=piece.has_fixed and not variable,
    )


@lru_cache(maxsize=256)
def _one(character: str) -> _Piece:
    return _set_piece([(ord(character), ord(character))], False)


def _set_piece(ranges: list[Range], negated: bool) -> _Piece:
    """A set of characters, as they may be in a JSON string without an escape."""
    if negated:
        text = f"[^{_written(_merged([*ranges, *_ESCAPED_IN_JSON]))}]"
        return _Piece(text, False, 1, is_element=True, has_fixed=True)
    allowed = [*_without_escaped(_merged(ranges))]
    if not allowed or any(0xD800 <= bound <= 0xDFFF for pair in allowed for bound in pair):
        raise _UnsupportedError("a set without characters, or with halves of them")
    first, last = allowed[0]
    if len(allowed) == 1 and first == last and chr(first) not in _SPECIAL:
        return _Piece(chr(first), False, 1, is_element=True, has_fixed=True)
    return _Piece(f"[{_written(allowed)}]", False, 1, is_element=True, has_fixed=True)


def _merged(ranges: Iterable[Range]) -> list[Range]:
    """The ranges in order, without overlaps."""
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _without_escaped(ranges: Iterable[Range]) -> Iterator[Range]:
    for first, last in ranges:
        for gap_first, gap_last in _ESCAPED_IN_JSON:
            if first < gap_first and gap_first <= last:
                yield first, gap_first - 1
            if first <= gap_last and gap_first <= last:
                first = gap_last + 1
        if first <= last:
            yield first, last


def _written(ranges: Iterable[Range]) -> str:
    return "".join(
        _character(first) if first == last else f"{_character(first)}-{_character(last)}" for first, last in ranges
    )


def _character(code_point: int) -> str:
    """A character as a member of a set, in the escapes that grammars have."""
    character = chr(code_point)
    if code_point < 0x80:
        return character if character.isalnum() else f"\\x{code_point:02X}"
    return character if character.isprintable() else f"\\u{code_point:04X}" if code_point <= 0xFFFF else character


_ANY = _set_piece([], True)
_ANY_TEXT = _repeated(_ANY, 0, None)
