"""Arguments in elements, as MiniMax M3 writes them: each in tags of its own name, arrays and objects included.

    <city>Paris</city><days><item>1</item><item>2</item></days><options><unit>C</unit></options>

with a mark before each tag, which is one token and in no text. So a tag is a tag, wherever it is. What an element is
of the kind of its schema: the text in it, or the elements in it as an array or an object.
"""

from __future__ import annotations

import re
from typing import Any

from responses_shim.core.response.tool_markup.functions import Function
from responses_shim.core.response.tool_markup.grammar import Block, CallForm
from responses_shim.core.response.tool_markup.members import Members
from responses_shim.core.response.tool_markup.source import Source, Steps, skip_space, skip_to, take_literal
from responses_shim.core.response.tool_markup.values import Schema, kinds_of, parameter_value, part_schema, to_json

MAX_DEPTH = 64
"""How many elements may be one in another."""
_NAME = r"[^<>/\s][^<>\n]{0,63}"
_TAG_END = frozenset(">")


class _Element:
    """An element: its name, the text in it, and the elements in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text: list[str] = []
        self.children: list[_Element] = []


class Elements:
    """Reads the arguments of one call, and gives the call out with the first of them."""

    def __init__(self, source: Source, call: CallForm, block: Block, function: Function) -> None:
        assert isinstance(call.head[0], str)
        self._source = source
        self._closers = call.closers
        self._outer = (*block.closers, call.head[0], block.opener)  # what may come behind a call that was not closed
        self._tag = re.compile(f"{re.escape(call.mark)}<(/?)({_NAME})>")
        self._mark, self._marks = call.mark, re.compile(re.escape(call.mark))
        self._longest = len(call.mark) + 70
        self._members = Members(source, function, None)

    def read(self) -> Steps[bool]:
        """Read everything up to what closes the call; False if it is no call."""
        source, members = self._source, self._members
        while True:
            yield from skip_space(source)
            closed = (yield from take_literal(source, self._closers)) is not None
            if closed or source.comes(*self._outer):
                members.close()
                return True
            tag = self._tag.match(source.text, source.position)
            if tag is None and self._begins_tag():
                if not source.final:
                    yield None
                    continue
                if not source.at_end or not members.names:
                    return members.break_off()
            if tag is None or tag[1]:
                if not members.names:
                    return False
                if not (yield from skip_to(source, self._marks, len(self._mark))):
                    members.end_open()
                    return True
                continue
            source.position = tag.end()
            element = yield from self._element(tag[2])
            if element is None:
                return members.break_off()
            schema = members.function.properties.get(element.name)
            members.add(element.name, to_json(_value(element, schema, members.function.schema)))

    def _begins_tag(self) -> bool:
        """Whether more text may make a tag of what comes next."""
        rest = self._source.text[self._source.position : self._source.position + self._longest]
        if len(rest) == self._longest:
            return False
        return self._mark.startswith(rest) or (rest.startswith(self._mark) and ">" not in rest[len(self._mark) :])

    def _element(self, name: str) -> Steps[_Element | None]:
        """The element of that name, read up to its end or that of the call; None if the answer ends before that."""
        source = self._source
        root = _Element(name)
        opened = [root]
        scan = start = source.position
        while True:
            found = self._tag.search(source.text, scan)
            if found is None:
                if source.final:
                    return None
                scan = max(scan, len(source.text) - self._longest)
                yield _TAG_END
                continue
            opened[-1].text.append(source.text[start : found.start()])
            if source.text.startswith((*self._closers, *self._outer), found.start()):
                source.position = found.start()
                return root
            start = scan = found.end()
            names = [element.name for element in opened]
            if not found[1] and len(opened) < MAX_DEPTH:
                child = _Element(found[2])
                opened[-1].children.append(child)
                opened.append(child)
            elif found[1] and found[2] in names:
                del opened[len(names) - 1 - names[::-1].index(found[2]) :]  # those within it were not closed
            if not opened:
                source.position = found.end()
                return root


def _value(element: _Element, schema: Any, root: Schema) -> Any:
    """The value of an element: of the kind of its schema in the schema `root`, else of what is in it."""
    kinds = kinds_of(schema, root)
    text = "".join(element.text)
    if not element.children:
        empty = not text.strip() and "string" not in kinds
        if empty and kinds & {"array", "object"}:
            return [] if "array" in kinds else {}
        return parameter_value(text, schema, root)
    if "array" in kinds or (not kinds and all(child.name == "item" for child in element.children)):
        items = part_schema(schema, None, root)
        return [_value(child, items, root) for child in element.children]
    members: dict[str, Any] = {}
    lists: dict[str, list[Any]] = {}  # of those that come more than once
    for child in element.children:
        value = _value(child, part_schema(schema, child.name, root), root)
        if child.name in members:
            members[child.name] = lists.setdefault(child.name, [members[child.name]])
            lists[child.name].append(value)
        else:
            members[child.name] = value
    return members
