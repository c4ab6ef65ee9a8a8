"""Arguments in markup, a parameter at a time: `<parameter=city>Paris</parameter>`.

A value is text and may be anything, markup included: a model that writes a page about tool calls puts `</parameter>`
into it. So a closing marker ends a value only if what follows is what may follow a value: another parameter, the end of
the call, or that of the block. Markup that opens within a value (a complete call, say) is counted, and what closes it
ends nothing. If by the end of the answer no end was found that way, the first marker counts that may be one.

Models forget closing markers, too: a value also ends where a parameter of this function begins that was not given yet,
and where the call or the block ends.
"""

from __future__ import annotations

import re
from typing import Literal

from responses_shim.core.response.tool_markup.functions import Function
from responses_shim.core.response.tool_markup.grammar import PENDING, Block, CallForm, Maybe, ParameterForm, match
from responses_shim.core.response.tool_markup.json_body import arguments
from responses_shim.core.response.tool_markup.source import (
    NOT_SPACE,
    Arguments,
    Call,
    Source,
    Steps,
    skip_space,
    take_literal,
)
from responses_shim.core.response.tool_markup.values import parameter_json, to_json


class Parameters:
    """Reads the parameters of one call, from the first one's opener on, and gives the call out with the first value."""

    def __init__(self, source: Source, call: CallForm, block: Block, function: Function, call_id: str | None) -> None:
        assert call.parameters is not None
        self._source = source
        self._form: ParameterForm = call.parameters
        self._call = call
        self._block = block
        self._function = function
        self._call_id = call_id
        self._given: set[str] = set()  # the names of the parameters that have been given out
        self._ends = _Ends(call, block)

    def read(self) -> Steps[bool]:
        """Read everything up to what closes the call; False if it is no call."""
        source, closers, ends = self._source, self._call.closers, self._ends
        while True:
            yield from skip_space(source)
            rest = source.text[source.position : source.position + 64]
            if rest.startswith((*closers, *ends.outer)):
                yield from take_literal(source, closers)
                self._close()
                return True
            found = match(self._form.opener, source.text, source.position)
            if found is PENDING or any(literal.startswith(rest) for literal in (*closers, *ends.outer)):
                if not source.final:
                    yield None
                    continue
                if rest and self._given:
                    return self._break_off()
                found = None
            if found is not None:
                source.position = found.end
                key = found.values["key"].strip()
                value = yield from ends.value(source, self._function, self._given | {key})
                if value is None:
                    return self._break_off()
                self._give(key, value, found.values.get("attributes", ""))
            elif not self._given:
                if not rest.startswith("{"):
                    return False
                return (yield from arguments(source, self._function, self._call_id))  # Llama 3.1
            elif not (yield from self._skip_garbage()):
                return True

    def _give(self, key: str, value: str, attributes: str) -> None:
        """Give out a parameter. Of two with one name the first counts: what was given out cannot be taken back."""
        source, function = self._source, self._function
        if not self._given:
            source.pieces.append(Call(function.name, self._call_id))
        if key not in self._given:
            if self._form.trims:
                value = value.removeprefix("\n").removesuffix("\n")
            if 'string="true"' in attributes:
                text = to_json(value)
            elif 'string="false"' in attributes:
                text = parameter_json(value, {"type": ["object", "array", "number", "boolean", "null"]}, {})
            else:
                text = parameter_json(value, function.properties.get(key), function.schema)
            source.pieces.append(Arguments(f"{', ' if self._given else '{'}{to_json(key)}: {text}"))
            self._given.add(key)
        source.forget()

    def _close(self) -> None:
        """The call is complete."""
        if not self._given:
            self._source.pieces.append(Call(self._function.name, self._call_id))
        self._source.pieces.append(Arguments("}" if self._given else "{}"))
        self._source.forget()

    def _break_off(self) -> bool:
        """The answer has ended within a parameter: the call stays as it is, or is none if nothing was given out."""
        self._source.unclosed = True
        if self._given:
            self._source.position = len(self._source.text)
        return bool(self._given)

    def _skip_garbage(self) -> Steps[bool]:
        """Drop what is neither a parameter nor the end, up to where the call goes on; False if it does not.

        What the model wrote instead is then text behind the call, which is complete unless the answer was cut.
        """
        source = self._source
        while True:
            found = self._ends.resume.search(source.text, source.position + 1)
            if found is not None:
                source.position = found.start()
                return True
            if source.final:
                source.unclosed = source.cut
                if not source.cut:
                    self._close()
                return False
            yield None


class _Ends:
    """Finds the end of a value."""

    def __init__(self, call: CallForm, block: Block) -> None:
        assert call.parameters is not None
        self._form = call.parameters
        self._closers = call.closers
        head, opener = call.head[0], self._form.opener[0]
        self._opener = opener.literal if isinstance(opener, Maybe) else str(opener)
        self._pairs: list[tuple[str, tuple[str, ...]]] = []  # what opens and closes calls and blocks
        if isinstance(head, str):
            self._pairs.append((head, call.closers))
        if not block.bare:
            self._pairs.append((block.opener, block.closers))
        self._block_closers, self._begins = block.closers, tuple(begin for begin, _ in self._pairs)
        self.outer = (*block.closers, *self._begins)
        """What may come behind a call that was not closed: the end of the block, or another call or block."""
        markers = tuple(dict.fromkeys((self._form.closer, self._opener, *call.closers, *self.outer)))
        self._markers = re.compile("|".join(re.escape(marker) for marker in markers))
        self._longest = max(map(len, markers))
        self._needed = frozenset(marker[-1] for marker in markers)
        resuming = (*call.closers, *self.outer, self._opener)
        self.resume = re.compile("|".join(re.escape(marker) for marker in resuming))
        """What a call goes on with, or ends with."""

    def value(self, source: Source, function: Function, known: set[str]) -> Steps[str | None]:
        """The text of a value, which is read with its closer; None if it does not end.

        `known` are the names of the parameters so far.
        """
        start = scan = source.position
        nested: dict[str, int] = {}  # how many of each opener began within the value, and have not ended
        counting = True
        while True:
            found = self._markers.search(source.text, scan)
            if found is None:
                if not source.final:
                    scan = max(scan, len(source.text) - self._longest + 1)
                    yield self._needed
                elif counting:
                    counting, scan, nested = False, start, {}
                else:
                    return self._loose_end(source, start)
                continue
            marker, at, scan = found[0], found.start(), found.end()
            opened = self._opened_by(marker, nested)
            if opened is not None:
                nested[opened] -= 1
                if not nested[opened]:
                    del nested[opened]
            elif marker == self._opener:
                if not nested and (yield from self._is_known(source, at, function, known)):
                    return self._end(source, start, at, at)
            elif marker in self._begins:
                if counting:
                    nested[marker] = nested.get(marker, 0) + 1
            elif not nested:
                own = marker == self._form.closer
                if (yield from self._follows(source, scan, marker)):
                    return self._end(source, start, at, scan if own else at)

    def _opened_by(self, closer: str, nested: dict[str, int]) -> str | None:
        """The opener within the value that a closer belongs to; None if it belongs to none."""
        return next((begin for begin, closers in self._pairs if closer in closers and begin in nested), None)

    @staticmethod
    def _end(source: Source, start: int, end: int, position: int) -> str:
        source.position = position
        return source.text[start:end]

    def _loose_end(self, source: Source, start: int) -> str | None:
        """The value up to the first closer of its own, or else to the end of the call or the block."""
        for closer in (self._form.closer, *self._closers, *self._block_closers):
            at = source.text.find(closer, start)
            if at >= 0:
                return self._end(source, start, at, at + len(closer) if closer == self._form.closer else at)
        return None

    def _is_known(self, source: Source, at: int, function: Function, known: set[str]) -> Steps[bool]:
        """Whether a parameter of the function begins here that has not been given."""
        while True:
            found = match(self._form.opener, source.text, at)
            if found is not PENDING or source.final:
                key = found.values.get("key", "").strip() if found is not None else ""
                return key in function.properties and key not in known
            yield None

    def _follows(self, source: Source, position: int, closer: str) -> Steps[bool]:
        """Whether what comes behind a closer may come there."""
        while True:
            verdict = self._may_follow(source, position, closer)
            if verdict != "unknown":
                return verdict == "yes"
            yield None

    def _may_follow(self, source: Source, position: int, closer: str) -> Literal["yes", "no", "unknown"]:
        found = NOT_SPACE.search(source.text, position)
        if found is None:
            return "yes" if source.final else "unknown"
        rest = source.text[found.start() : found.start() + 200]
        is_parameter = closer == self._form.closer
        following = self._begins
        if is_parameter or closer in self._closers:
            following += self._block_closers
        if is_parameter:
            following += (*self._closers, self._opener)
        opened = match(self._form.opener, rest, 0) if is_parameter else None
        if rest.startswith(following) or (opened is not None and opened is not PENDING):
            return "yes"
        if not source.final and (opened is PENDING or any(literal.startswith(rest) for literal in following)):
            return "unknown"
        return "no"
