r"""JSON in the markup: arguments that are passed on as they come, and objects that hold a name beside them.

Arguments are never parsed: they are passed on piece by piece, up to the bracket that closes them. What models are known
to write and no JSON reader takes is put right on the way, character by character:

    {"a": "line⏎line"}     a line end in a string            \n
    {"a": "\d+"}           an escape that JSON does not have  \\d
    {"a": 1,}              a comma before the end             dropped
    {"a": True}            a word of Python's                 true
    {"a": [1, 2}           a bracket that was not closed      ]
"""

from __future__ import annotations

import json
import re
from typing import Any

from responses_shim.core.response.tool_markup.functions import Function, Functions
from responses_shim.core.response.tool_markup.literals import read_literal
from responses_shim.core.response.tool_markup.source import NOT_SPACE, Arguments, Call, Source, Steps, skip_space
from responses_shim.core.response.tool_markup.values import to_json

NAME_KEYS = frozenset({"name", "tool_name", "tool", "function_name", "function"})
ARGUMENTS_KEYS = frozenset({"arguments", "parameters", "args", "input"})
SHORT = 1000
"""Up to this length, in characters, whatever may be the end of a literal is tried."""
OTHER_KEYS = frozenset({"type", "id", "index", "call_id"})

_BARE_KEYS = NAME_KEYS | ARGUMENTS_KEYS | OTHER_KEYS

_OUTSIDE = re.compile(r'["{}\[\],<TFN]')
_INSIDE = re.compile(r'["\\\x00-\x1f]')
_SPACE_OR_COMMA = re.compile(r"[\s,]*")
_WORDS = {"True": "true", "False": "false", "None": "null", "NaN": "null"}
_CLOSERS = {"{": "}", "[": "]"}
_SCALAR = re.compile(r"[^\s,}\]\"'<{\[]+")
_SCALARS = {**_WORDS, "null": "{}", "None": "{}"}


class JSONScan:
    """Passes on a JSON value that comes in pieces: `feed` reads `source` as far as it can and appends to `out`."""

    def __init__(self) -> None:
        self.complete = False
        self.out: list[str] = []
        self._open: list[str] = []  # the closers of the open brackets
        self._in_string = False

    def take(self) -> str:
        """What has been passed on since the last call."""
        text, self.out = "".join(self.out), []
        return text

    def feed(self, source: Source) -> None:
        """Read on, up to the end of the value or to where more text is needed."""
        while not self.complete:
            found = (_INSIDE if self._in_string else _OUTSIDE).search(source.text, source.position)
            end = found.start() if found is not None else len(source.text)
            self.out.append(source.text[source.position : end])
            source.position = end
            if found is None or not (self._string if self._in_string else self._outside)(source, found[0]):
                return

    def _string(self, source: Source, char: str) -> bool:
        """Read one special character of a string; False if the character behind it is needed, too."""
        if char == '"':
            self._in_string = False
            self.complete = not self._open
        elif char == "\\":
            following = source.text[source.position + 1 : source.position + 2]
            if not following:
                return False
            if following in '"\\/bfnrtu':
                self.out.append(char + following)
                source.position += 2
            elif following == "'":
                self.out.append(following)
                source.position += 2
            else:
                self.out.append("\\\\")
                source.position += 1
            return True
        else:
            char = json.dumps(char)[1:-1]
        self.out.append(char)
        source.position += 1
        return True

    def _outside(self, source: Source, char: str) -> bool:
        """Read one special character outside strings; False if more text is needed to know what it means."""
        if char == '"':
            self._in_string = True
        elif char in _CLOSERS:
            self._open.append(_CLOSERS[char])
        elif char in "}]":
            if char not in self._open:
                self.close()
                return True
            while self._open.pop() != char:
                self.out.append("]" if char == "}" else "}")
            self.complete = not self._open
        elif char == "<":
            self.close()
            return True
        elif char == ",":
            following = NOT_SPACE.search(source.text, source.position + 1)
            if following is None:
                return False
            if following[0] in "}]<":
                char = ""
        else:
            word = source.text[source.position : source.position + 5]
            known = next((known for known in _WORDS if known.startswith(word[: len(known)])), None)
            if known is not None and len(word) < len(known):
                return False
            if known is not None:
                self.out.append(_WORDS[known])
                source.position += len(known)
                return True
        self.out.append(char)
        source.position += 1
        return True

    def close(self) -> None:
        """Close what is open: a marker of the form follows outside a string, so nothing more will come."""
        self.out += reversed(self._open)
        self._open, self.complete = [], True


def pass_on_value(source: Source) -> Steps[bool]:
    """Pass a JSON object or array on as arguments, piece by piece; False if the answer ends before it does."""
    scan = JSONScan()
    while True:
        scan.feed(source)
        text = scan.take()
        if text:
            source.pieces.append(Arguments(text))
        source.forget()
        if scan.complete or source.final:
            return scan.complete
        yield None


def arguments(source: Source, function: Function, call_id: str | None) -> Steps[bool]:
    """Read the arguments of a call in one JSON value, and give out the call; False if there are none.

    They are an object, as a rule, or the text of one in a string.
    """
    yield from skip_space(source)
    opening = yield from _opening(source)
    if opening == "json":
        source.pieces.append(Call(function.name, call_id))
        source.unclosed = True
        source.unclosed = not (yield from pass_on_value(source))
        return True
    text = yield from (literal_text(source) if opening == "literal" else whole_value(source))
    if text is None or text.startswith("["):
        return False
    source.pieces += [Call(function.name, call_id), Arguments(text)]
    source.forget()
    return True


def _opening(source: Source) -> Steps[str]:
    """What kind of value comes: `json`, `literal` (Python's dict) or `scalar`. White space has been read."""
    while True:
        if not source.comes("{"):
            return "scalar"
        following = NOT_SPACE.search(source.text, source.position + 1)
        if following is not None or source.final:
            return "json" if following is None or following[0] in '"}' else "literal"
        yield None


def whole_value(source: Source) -> Steps[str | None]:
    """A JSON value as one text, or the JSON that a string contains; None if there is no value, or it does not end.

    What stands for no arguments (`null`, `[]`, an empty string) is an empty object.
    """
    yield from skip_space(source)
    if source.comes('"'):
        text = yield from string(source)
        if text is None:
            return None
        return text if text.lstrip().startswith(("{", "[")) else to_json(text) if text.strip() else "{}"
    if source.comes("{", "["):
        text = yield from _scanned(source)
        return text if text != "[]" else "{}"
    while True:
        found = _SCALAR.match(source.text, source.position)
        end = found.end() if found is not None else source.position
        if end < len(source.text) or source.final:
            break
        yield None
    if found is None:
        return None
    source.position = end
    return _SCALARS.get(found[0], found[0])


def _scanned(source: Source) -> Steps[str | None]:
    """The text of the object, array or string that comes next; None if it does not end."""
    scan = JSONScan()
    while True:
        scan.feed(source)
        if scan.complete or source.final:
            return scan.take() if scan.complete else None
        yield None


def string(source: Source) -> Steps[str | None]:
    """The string that comes next; None if none does, or it does not end."""
    yield from skip_space(source)
    if not source.comes('"'):
        return None
    text = yield from _scanned(source)
    try:
        return str(json.loads(text)) if text is not None else None
    except ValueError:
        return None


def literal_text(source: Source) -> Steps[str | None]:
    """The JSON text of a Python dict; None if it cannot be read or does not end."""
    value: Any = yield from literal(source)
    return None if value is None else to_json(value)


def literal(source: Source, quote: str | None = None, closers: tuple[str, ...] = ()) -> Steps[Any]:
    """The value of something in brackets that is nearly JSON; None if it cannot be read or does not end.

    With `closers` one of them has to follow, or the end of the answer, and it is tried whenever one has come. Without,
    it is tried whenever a bracket has closed; of a long text only once there is an eighth more of it, so that all that
    costs no more than a few times the length.
    """
    start, enough, searched = source.position, 0, source.position
    needed = frozenset(closer[-1] for closer in closers or ("}", "]"))
    while True:
        size = len(source.text)
        if closers:
            due = any(source.text.find(closer, searched) >= 0 for closer in closers)
            searched = max(start, size - len(max(closers, key=len)))
        else:
            due = size >= enough
        if due or source.final:
            enough = size if size < SHORT else size * 9 // 8
            try:
                value, end = read_literal(source.text, start, quote)
            except ValueError:
                end = start
            after = source.text[end:].lstrip()
            if end > start and (not closers or after.startswith(closers) or (source.final and not after)):
                source.position = end
                return value
        if source.final:
            return None
        yield needed


class CallObject:
    """Reads one call in a JSON object, from its `{` on: `{"name": "f", "arguments": {…}}`, keys in any order.

    `bare`: nothing but the object shows that it is a call, so it has to have a known name, arguments behind it, and no
    key that calls do not have.
    """

    def __init__(self, functions: Functions, *, bare: bool) -> None:
        self._functions = functions
        self._bare = bare
        self._function: Function | None = None
        self._call_id: str | None = None
        self._arguments: str | None = None  # that came before the name
        self._given = False  # the call has been given out

    def read(self, source: Source) -> Steps[bool]:
        """Read the object, and give out its call; False if it is none."""
        if (yield from _opening(source)) == "literal":
            complete = not self._bare and self._read_value((yield from literal(source)))
        else:
            complete = yield from self._members(source)
        if self._given:
            return True
        if self._function is None:
            return False
        if not complete or (self._bare and self._arguments is None):
            source.unclosed = source.final and not complete
            return False
        text = self._arguments if self._arguments is not None else "{}"
        source.pieces += [Call(self._function.name, self._call_id), Arguments(text)]
        source.forget()
        return True

    def _read_value(self, value: Any) -> bool:
        """Read a call from a Python dict: its name and its arguments; False if it has none."""
        members = value if isinstance(value, dict) else {}
        names = [members[key] for key in NAME_KEYS if isinstance(members.get(key), str)]
        given = [members[key] for key in ARGUMENTS_KEYS if isinstance(members.get(key), (dict, str))]
        self._function = self._functions.find(names[0]) if names else None
        if given:
            self._arguments = given[0] if isinstance(given[0], str) else to_json(given[0])
        return self._function is not None

    def _members(self, source: Source) -> Steps[bool]:
        """Read the members up to the end of the object; False if they are not those of a call."""
        source.position += 1
        while True:
            yield from _skip_commas(source)
            if source.comes("}"):
                source.position += 1
                return True
            key = yield from string(source)
            if key is None:
                return self._given
            yield from skip_space(source)
            if not source.comes(":"):
                return self._given
            source.position += 1
            yield from skip_space(source)
            if not (yield from self._member(source, key)):
                return self._given

    def _member(self, source: Source, key: str) -> Steps[bool]:
        """Read the value of a key; False if a call cannot have it."""
        if self._given:
            return (yield from whole_value(source)) is not None
        if self._bare and (key not in _BARE_KEYS or (self._function is None and key not in NAME_KEYS)):
            return False
        if key == "function" and source.comes("{"):
            return (yield from self._members(source))
        if key in NAME_KEYS:
            return (yield from self._name(source))
        if key in ARGUMENTS_KEYS:
            return (yield from self._read_arguments(source))
        value = yield from whole_value(source)
        if key in ("id", "call_id") and value is not None and value.startswith('"'):
            self._call_id = json.loads(value)
        return value is not None

    def _name(self, source: Source) -> Steps[bool]:
        while self._bare:
            # An answer in JSON must not be held back: its first string shows that it is none of the functions.
            begun = source.text[source.position + 1 : source.position + 65]
            if '"' in begun or source.final:
                break
            if not self._functions.begins(begun) or len(begun) == 64:
                return False
            yield None
        name = yield from string(source)
        find = self._functions.exactly if self._bare else self._functions.find
        self._function = find(name) if name is not None else None
        return self._function is not None and source.found_name(source.position)

    def _read_arguments(self, source: Source) -> Steps[bool]:
        if self._function is not None:
            self._given = yield from arguments(source, self._function, self._call_id)
            return self._given and not source.unclosed
        opening = yield from _opening(source)
        self._arguments = yield from (literal_text(source) if opening == "literal" else whole_value(source))
        return self._arguments is not None


def _skip_commas(source: Source) -> Steps[None]:
    while True:
        found = _SPACE_OR_COMMA.match(source.text, source.position)
        source.position = found.end() if found is not None else source.position
        if not source.at_end or source.final:
            return
        yield None
