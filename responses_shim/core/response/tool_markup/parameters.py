"""Arguments in markup, a parameter at a time: `<parameter=city>Paris</parameter>`.

A value is text and may be anything, markup included: a model that writes a page about tool calls puts `</parameter>`
into it. So a closing marker ends a value only if what follows is what may follow a value: another parameter, the end of
the call, or that of the block. Markup that opens within a value (a complete call, say) is counted, and what closes it
ends nothing. If by the end of the answer no end was found that way, the first marker counts that may be one.

Models forget closing markers, too: a value also ends where a parameter of this function begins that was not given yet,
and where the call or the block ends.

The text of a string is given out as it comes, up to the first marker of which all this is to be found out. That of any
other value is complete before it is known what it is.
"""

from __future__ import annotations

import re
from typing import Literal

from responses_shim.core.response.tool_markup.functions import Function
from responses_shim.core.response.tool_markup.grammar import PENDING, Block, CallForm, Maybe, ParameterForm, match
from responses_shim.core.response.tool_markup.json_body import arguments
from responses_shim.core.response.tool_markup.members import Members
from responses_shim.core.response.tool_markup.source import NOT_SPACE, Source, Steps, skip_space, skip_to, take_literal
from responses_shim.core.response.tool_markup.values import kinds_of, parameter_json

_TYPE = re.compile(r'(?:string|type)="(\w+)"')
"""The attribute that says of what type a value is: DeepSeek writes `string="true"`, Kimi K3 `type="string"`."""
_NO_STRING = {"type": ["object", "array", "number", "boolean", "null"]}


class Parameters:
    """Reads the parameters of one call, from the first one's opener on, and gives the call out with the first value."""

    def __init__(self, source: Source, call: CallForm, block: Block, function: Function, call_id: str | None) -> None:
        assert call.parameters is not None
        self._source = source
        self._form: ParameterForm = call.parameters
        self._closers = call.closers
        self._call_id = call_id
        self._members = Members(source, function, call_id)
        self._ends = _Ends(call, block)

    def read(self) -> Steps[bool]:
        """Read everything up to what closes the call; False if it is no call."""
        source, closers, ends, members = self._source, self._closers, self._ends, self._members
        while True:
            yield from skip_space(source)
            rest = source.text[source.position : source.position + 64]
            if rest.startswith((*closers, *ends.outer)):
                yield from take_literal(source, closers)
                members.close()
                return True
            found = match(self._form.opener, source.text, source.position)
            if found is PENDING or any(literal.startswith(rest) for literal in (*closers, *ends.outer)):
                if not source.final:
                    yield None
                    continue
                if rest and members.names:
                    return members.break_off()
                found = None
            if found is not None:
                source.position = found.end
                if not (yield from self._parameter(found.values["key"].strip(), found.values.get("attributes", ""))):
                    return members.break_off()
            elif not members.names:
                if not rest.startswith("{"):
                    return False
                return (yield from arguments(source, members.function, self._call_id))  # Llama 3.1
            elif not (yield from skip_to(source, ends.resume, ends.longest)):
                # What is neither a parameter nor the end is dropped where the call goes on behind it; else it is text.
                members.end_open()
                return True

    def _parameter(self, key: str, attributes: str) -> Steps[bool]:
        """Read the value of a parameter, and give it out; False if the answer ends within it."""
        members, form = self._members, self._form
        function = members.function
        schema, root = function.properties.get(key), function.schema
        if (marked := _TYPE.search(attributes)) is not None:
            schema, root = ({} if marked[1] in ("true", "string") else _NO_STRING), {}
        text = None
        # Who talks about calls in the middle of a line may write no more than how one begins: that is no call.
        certain = bool(members.names) or self._source.begins_line
        if certain and kinds_of(schema, root) <= {"string"} and key not in members.names and not form.cdata:
            text = _StringValue(members, key, trims=form.trims)
        value = yield from self._ends.value(self._source, function, members.names | {key}, text)
        if value is None:
            return False
        if text is not None and text.begun:
            text.end(value)
            return True
        if form.trims:
            value = value.removeprefix("\n").removesuffix("\n")
        if form.cdata and value.startswith("<![CDATA[") and value.endswith("]]>"):
            value = value[9:-3]
        members.add(key, parameter_json(value, schema, root))
        return True


class _StringValue:
    """The value of a parameter that is a string, given out as it comes."""

    def __init__(self, members: Members, key: str, *, trims: bool) -> None:
        self.begun = False
        """Whether some of it has been given out."""
        self._members = members
        self._key = key
        self._trims = trims

    def give(self, source: Source, start: int, end: int) -> int:
        """Give out text of the value, and read it; the result is by how much the positions behind it have moved."""
        text = source.text[start:end]
        if self._trims and text.endswith("\n"):
            text = text[:-1]  # it belongs to the markup if the value ends there
            end -= 1
        if self._trims and not self.begun:
            text = text.removeprefix("\n")
        if not text:
            return 0
        if not self.begun:
            self._members.begin_string(self._key)
            self.begun = True
        self._members.add_text(text)
        source.position = end
        source.forget()
        return source.position - end

    def end(self, text: str) -> None:
        """Give out the rest of the value."""
        self._members.add_text(text.removesuffix("\n") if self._trims else text)
        self._members.end_string()


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
        self._literals = markers
        self._markers = re.compile("|".join(re.escape(marker) for marker in markers))
        self._first = re.compile("|".join(sorted({re.escape(marker[0]) for marker in markers})))
        self.longest = max(map(len, markers))
        self._needed = frozenset(marker[-1] for marker in markers)
        resuming = (*call.closers, *self.outer, self._opener)
        self.resume = re.compile("|".join(re.escape(marker) for marker in resuming))
        """What a call goes on with, or ends with."""

    def value(
        self, source: Source, function: Function, known: set[str], text: _StringValue | None
    ) -> Steps[str | None]:
        """The text of a value, which is read with its closer; None if it does not end.

        `known` are the names of the parameters so far. `text` gets what comes up to the first marker that may turn out
        to end the value, and what is returned is the rest.
        """
        start = scan = source.position
        nested: dict[str, int] = {}  # how many of each opener began within the value, and have not ended
        counting = True
        while True:
            found = self._markers.search(source.text, scan)
            if found is None:
                if text is not None and not source.final:
                    moved = text.give(source, start, self._undecided(source.text, scan))
                    start = source.position
                    scan = max(start, scan + moved)
                    yield None
                elif not source.final:
                    scan = max(scan, len(source.text) - self.longest + 1)
                    yield self._needed
                elif counting:
                    counting, scan, nested, text = False, start, {}, None
                else:
                    return self._loose_end(source, start)
                continue
            marker, at, scan = found[0], found.start(), found.end()
            del found  # it holds the text, which would be copied to be extended (`MarkupReader._advance`)
            opened = self._opened_by(marker, nested)
            if opened is not None:
                nested[opened] -= 1
                if not nested[opened]:
                    del nested[opened]
            elif marker == self._opener:
                if not nested and (yield from self._is_known(source, at, function, known)):
                    return self._end(source, start, at, at)
            else:
                if marker not in self._begins:
                    own = marker == self._form.closer
                    ends = (own and self._form.first) or (
                        not nested and (yield from self._follows(source, scan, marker))
                    )
                    if ends:
                        return self._end(source, start, at, scan if own else at)
                elif counting:
                    nested[marker] = nested.get(marker, 0) + 1
                if text is not None:
                    # From here on it is held: if no end is found, the value may end at a closer that did not count.
                    scan += text.give(source, start, at)
                    start, text = source.position, None

    def _undecided(self, text: str, scan: int) -> int:
        """Where a marker may begin of which not all has come; the end of the text if that is nowhere."""
        position = max(scan, len(text) - self.longest + 1)
        while (found := self._first.search(text, position)) is not None:
            tail = text[found.start() :]
            if any(marker.startswith(tail) for marker in self._literals):
                return found.start()
            position = found.end()
        return len(text)

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
            found = NOT_SPACE.search(source.text, position)
            if found is None and source.final:
                return True
            position = found.start() if found is not None else len(source.text)
            if found is not None and (verdict := self._may_follow(source, position, closer)) != "unknown":
                return verdict == "yes"
            del found
            yield None

    def _may_follow(self, source: Source, position: int, closer: str) -> Literal["yes", "no", "unknown"]:
        rest = source.text[position : position + 200]
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
