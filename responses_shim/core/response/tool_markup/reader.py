"""The reader: the text of one answer in, its text and its calls out.

It is written as functions that read on as far as they can and wait where they need more text (`source.Steps`). Text is
looked at for one thing only: a character with which an opener may begin. From there on it is held, until the opener is
there or cannot be any more; behind the opener, until the call is known to be one. Then its arguments are given out as
they come. If it turns out to be no call, the opener was text, and reading goes on behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import groupby

from responses_shim.core.response.filters import MARKUP_CHARACTERS
from responses_shim.core.response.tool_markup.elements import Elements
from responses_shim.core.response.tool_markup.forms import STRAY
from responses_shim.core.response.tool_markup.functions import Function, Functions
from responses_shim.core.response.tool_markup.grammar import PENDING, TRIGGERS, Block, CallForm, Match, match
from responses_shim.core.response.tool_markup.json_body import SHORT, CallObject, arguments, literal
from responses_shim.core.response.tool_markup.literals import read_calls
from responses_shim.core.response.tool_markup.parameters import Parameters
from responses_shim.core.response.tool_markup.source import (
    NOT_SPACE,
    Arguments,
    Call,
    Piece,
    Source,
    Steps,
    Text,
    skip_space,
    take_closer,
    take_literal,
)
from responses_shim.core.response.tool_markup.values import to_json

_TRIGGER = re.compile(f"[{re.escape(TRIGGERS)}]")
_BACKTICKS = re.compile(r"`{1,3}")
_BEFORE_OBJECTS = re.compile(r"[\s\[]*")
_BETWEEN_OBJECTS = re.compile(r"[\s\],;}]*")  # with a bracket too many, which models write
_SPACES = re.compile(r"\s*")

MAX_REREAD = 1_000_000
"""How many characters may be read in vain once the answer has ended, by openers whose call does not end, all together.

A model that is caught in a loop writes thousands of them. What is left after that is text.
"""
MAX_INNER = 3
"""How many openers may follow one another before a call."""


class MarkupReader:
    """Reads one answer. `feed` and `close` return what is known of it now.

    `blocks` are the forms that calls may have, and `functions` those that may be called: a call of any other function
    is text.
    """

    def __init__(self, blocks: tuple[Block, ...], functions: Functions) -> None:
        self._source = Source()
        self._steps = _read(self._source, _Openers(blocks), functions)
        self._needed: frozenset[str] | None = frozenset()
        self._pending: list[str] = []  # text that does not get the reader on
        self.position = 0
        """The length of what has come of the answer."""
        self._advance()

    @property
    def idle(self) -> bool:
        """Whether text without any of `MARKUP_CHARACTERS` is text, and nothing is held back."""
        return self._needed is MARKUP_CHARACTERS

    @property
    def unclosed(self) -> bool:
        """Whether the answer has ended within a call of a known function."""
        return self._source.unclosed

    def passes(self, text: str) -> bool:
        """Whether `text` is text, without looking further; then it counts as read."""
        if self._needed is not MARKUP_CHARACTERS or not MARKUP_CHARACTERS.isdisjoint(text):
            return False
        self.position += len(text)
        self._source.skip(text)
        return True

    def feed(self, text: str) -> list[Piece]:
        """The pieces that `text` completes."""
        start = self.position
        if self.passes(text):
            return [Text(text, start)]
        self.position += len(text)
        self._pending.append(text)
        if self._needed is not None and self._needed.isdisjoint(text):
            return []
        return self._advance()

    def close(self, *, cut: bool = False) -> list[Piece]:
        """The pieces of what was held back: the answer has ended. `cut`: before the model was done."""
        self._source.final, self._source.cut = True, cut
        return self._advance()

    def _advance(self) -> list[Piece]:
        source = self._source
        # A string to which a local variable is the only reference is extended where it is. Extended as an attribute, a
        # long text would be copied for each delta.
        text, source.text = source.text, ""
        text += "".join(self._pending)
        source.text = text
        del text
        self._pending = []
        try:
            self._needed = next(self._steps)
        except StopIteration:
            self._needed = None
        pieces, source.pieces = source.pieces, []
        return _joined(pieces) if len(pieces) > 1 else pieces


def _joined(pieces: list[Piece]) -> list[Piece]:
    """The pieces with texts that follow one another as one, and so with arguments."""
    joined: list[Piece] = []
    for kind, run in groupby(pieces, key=type):
        if kind is Call:
            joined += run
            continue
        if kind is Arguments:
            joined.append(Arguments("".join([piece.json for piece in run if isinstance(piece, Arguments)])))
            continue
        texts = [piece for piece in run if isinstance(piece, Text)]
        # What is left out between two of them is the white space round markup: they are not one text.
        positions = [index for index, text in enumerate(texts) if not index or _end(texts[index - 1]) != text.start]
        for first, after in zip(positions, [*positions[1:], len(texts)], strict=True):
            joined.append(Text("".join([text.text for text in texts[first:after]]), texts[first].start))
    return joined


def _end(text: Text) -> int:
    return text.start + len(text.text)


class _Openers:
    """The blocks by the first characters of their openers: two, or the only one."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks = sorted(blocks, key=lambda block: -len(block.opener))
        self._by_start: dict[str, list[Block]] = {}
        for block in self._blocks:
            self._by_start.setdefault(block.opener[:2], []).append(block)

    def find(self, text: str, *, leading: bool, final: bool) -> tuple[list[Block], bool]:
        """The blocks whose opener `text` begins with, and whether more text may make it another."""
        blocks = self._blocks
        if len(text) > 1:
            blocks = [*self._by_start.get(text[:2], ()), *self._by_start.get(text[0], ())]
        found: list[Block] = []
        pending = False
        for block in blocks:
            if block.leading and not leading:
                continue
            if text.startswith(block.opener):
                found.append(block)
            elif not final and block.opener.startswith(text):
                pending = True
        return found, pending


def _read(source: Source, openers: _Openers, functions: Functions) -> Steps[None]:
    """Read an answer from its beginning to its end."""
    leading, fenced, reread = True, False, 0
    while not (source.final and source.at_end):
        found = (NOT_SPACE if leading else _TRIGGER).search(source.text, source.position)
        source.give_text(found.start() if found is not None else len(source.text))
        if found is None:
            if not source.final:
                yield None if leading else MARKUP_CHARACTERS
            continue
        rest = source.text[source.position : source.position + 64]
        blocks, pending = ([], False) if fenced else openers.find(rest, leading=leading, final=source.final)
        if pending:
            yield None
            continue
        called = False
        for block in blocks:
            steps = _block(source, block, functions)
            called = yield from (_soon(source, steps) if block.leading else steps)
            if called:
                break
        if blocks and not called and source.final:
            reread += len(source.text) - source.position
            if reread > MAX_REREAD:
                source.give_text(len(source.text))
                return
        if called:
            yield from _after_call(source)
        elif source.comes("`"):
            fenced ^= yield from _backticks(source)
        else:
            source.give_text(source.position + 1)
        leading = False


def _soon(source: Source, steps: Steps[bool]) -> Steps[bool]:
    """Take the steps of reading a block that text may begin like; give up if it is not soon known to be one."""
    begin = source.position
    source.expect_name()
    while True:
        try:
            needed = next(steps)
        except StopIteration as end:
            source.named = True
            return bool(end.value)
        if source.waits_too_long:
            source.named = True
            source.position = begin
            return False
        yield needed


def _backticks(source: Source) -> Steps[bool]:
    """Read up to three backticks as text; True if they open or close a code fence. What is in a fence is no call.

    Three at a time, whatever follows: where a fence ends and the next one begins at once there are six.
    """
    while True:
        found = _BACKTICKS.match(source.text, source.position)
        size = found.end() - source.position if found is not None else 0
        if size == 3 or source.position + size < len(source.text) or source.final:
            source.give_text(source.position + size)
            return size == 3
        yield None


def _after_call(source: Source) -> Steps[None]:
    """Drop what is round markup: white space, and closers that have no opener."""
    yield from skip_space(source)
    while (yield from take_closer(source, STRAY)):
        yield from skip_space(source)
    source.begins_line = True  # as good as
    source.forget()


def _block(source: Source, block: Block, functions: Functions) -> Steps[bool]:
    """Read a block, from its opener on, and give out its calls; False, and nothing is read, if there is none in it."""
    before = source.position
    between = _SPACES if block.opener.startswith("]") else _BETWEEN_OBJECTS
    if not block.bare:
        source.position += len(block.opener)
    called = False
    while True:
        for _ in range(MAX_INNER):
            yield from skip_space(source)
            if (yield from take_literal(source, block.inner)) is None:
                break
        if called or not block.bare:
            yield from _skip(source, between if called else _BEFORE_OBJECTS)
        if called and (yield from take_closer(source, block.closers)):
            return True
        start = source.position
        if (yield from _call(source, block, functions)):
            called = True
            source.forget()
        else:
            source.position = start if called else before
            return called


def _skip(source: Source, pattern: re.Pattern[str]) -> Steps[None]:
    while True:
        found = pattern.match(source.text, source.position)
        source.position = found.end() if found is not None else source.position
        if not source.at_end or source.final:
            return
        yield None


def _call(source: Source, block: Block, functions: Functions) -> Steps[bool]:
    """Read one call, in the first of the block's forms that fits; False if none does."""
    begin = source.position
    form, head = yield from _head(source, block.calls, functions.begins if block.leading else None)
    if form is None or head is None:
        return False
    if form.body == "object":
        return (yield from CallObject(functions, bare=block.leading).read(source))
    if form.body == "python":
        find = functions.exactly if block.leading else functions.find
        if find(head.values["name"]) is None or not source.found_name(head.end):
            return False
        return (yield from _python_calls(source, find))
    source.position = head.end
    function = functions.find(head.values["name"])
    if function is None and form.glues_names and (yield from take_literal(source, ("</arg_key>",))) is not None:
        function = functions.beginning(head.values["name"])
        source.position = begin + len(function.name) if function is not None else begin
    if function is None:
        return False
    call_id = head.values.get("id")
    if form.body == "parameters":
        complete = yield from Parameters(source, form, block, function, call_id).read()
    elif form.body == "elements":
        complete = yield from Elements(source, form, block, function).read()
    elif form.body == "json":
        yield from skip_space(source)
        complete = (yield from take_literal(source, form.closers)) is not None  # there are no arguments
        if complete:
            source.pieces += [Call(function.name, call_id), Arguments("{}")]
        else:
            complete = yield from arguments(source, function, call_id)
    else:
        complete = yield from _braces(source, form, block, function)
    if complete:
        yield from skip_space(source)
        while (yield from take_closer(source, form.closers)):
            yield from skip_space(source)
    elif source.final:
        source.unclosed = True
    return complete


def _head(
    source: Source, forms: tuple[CallForm, ...], plausible: Callable[[str], bool] | None
) -> Steps[tuple[CallForm, Match] | tuple[None, None]]:
    """The first form whose head comes next, and the head; none if none does."""
    while True:
        pending = False
        for form in forms:
            found = match(form.head, source.text, source.position, plausible)
            if found is PENDING and not source.final:
                pending = True
                break
            if found is not None and found is not PENDING:
                return form, found
        if not pending:
            return None, None
        yield None


def _braces(source: Source, form: CallForm, block: Block, function: Function) -> Steps[bool]:
    """Read the arguments of Gemma: `{a:<|"|>x<|"|>}`."""
    value = yield from literal(source, form.quote, block.closers)
    if not isinstance(value, dict):
        return False
    source.pieces += [Call(function.name), Arguments(to_json(value))]
    return True


def _python_calls(source: Source, find: Callable[[str], Function | None]) -> Steps[bool]:
    """Read a call of Python's, or a list of them, and give them out; False if one is of no known function."""
    enough = 0
    while True:
        size = len(source.text)
        if size >= enough or source.final:
            enough = size if size < SHORT else size * 9 // 8  # as in `json_body.literal`
            try:
                calls, end = read_calls(source.text, source.position)
            except ValueError:
                pass
            else:
                break
        if source.final:
            return False
        yield frozenset(")]")
    found = [(find(call.name), call) for call in calls]
    if not found or any(function is None for function, _ in found):
        return False
    for function, call in found:
        assert function is not None
        named = {**dict(zip(function.properties, call.values, strict=False)), **call.named}
        source.pieces += [Call(function.name), Arguments(to_json(named))]
    source.position = end
    return True
