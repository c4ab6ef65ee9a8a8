"""Count what a JSON text is made of, before it is decoded: what a parser builds may take many times its bytes.

    {"a": [1, {"b": "[["}]}      2 objects, 1 array, 2 keys: 5 nodes; 1 comma; 3 levels of nesting

A text of 30 MB that is nothing but `[],[],…` decodes to ten million arrays, which take 900 MB and seconds, in one call
during which no other thread runs, the event loop's included. So the brackets, colons, commas and digits outside of
strings are counted in the bytes. That takes a millisecond per megabyte, and never long in one go: the text is looked at
in pieces, between which other threads may run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate, chain

import msgspec

from responses_shim.core.wire.validation import MAX_DEPTH, nested_too_deep
from responses_shim.errors import InvalidRequest

MAX_DIGITS = 100
"""How many digits a number may have: no JSON reader keeps more than 17 of them, but an integer of 256 bits has 78.

Python reads and writes integers in a time that grows with the square of their digits.
"""

_PLAIN_DIGITS = 20  # what an integer of 64 bits may have: longer ones take far longer to read and to write
_SMALL = 2048  # bytes
_PIECE = 64 * 1024  # bytes; a piece takes a millisecond at most
_STRUCTURE = b'"{}[]:,0123456789'
_OTHER = bytes(set(range(256)) - set(_STRUCTURE))
_DIGITS = b"0123456789"
_NO_DIGITS = bytes(set(range(256)) - set(_DIGITS))
_NUMBERS = bytes(0x30 if code in _DIGITS else 0x20 for code in range(256))  # each digit is 0, anything else a space
_LONG_NUMBER = b"0" * (_PLAIN_DIGITS + 1)
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_RUNS = re.compile(rb"[{\[]+|[}\]]+|[^{}\[\]]+")
_LARGE_NUMBER = re.compile(rb"[eE]\+?[0-9]{3}")
_MAX_EXPONENT = 10  # bytes
_MAX_NAME = 100  # characters of a field that an error names
_LEVELS = 16  # how many levels of brackets are taken off before each bracket is looked at
_STEPS = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}


def check_json_limits(text: bytes | bytearray, max_text: int, max_nodes: int, max_values: int) -> tuple[int, int]:
    """Check what a JSON text is made of, without decoding it, and return how many nodes and values it has.

    - `max_text`: for the bytes of strings that are not plain ASCII (see `size_of_text`)
    - `max_nodes`: for the arrays, objects and keys together; of a number with more than 20 digits each 20 count as one
    - `max_values`: for the values in arrays and objects

    Of a small text those in its strings may be counted as well. A text that is no JSON may pass.

    Raises InvalidRequest: 413 for more than these; 400 for a number of more than `MAX_DIGITS` digits, and for more than
    `MAX_DEPTH` arrays and objects in one another. The last names the field that they are in.
    """
    if len(text) <= min(_SMALL, max_text) and 0 <= (most := _most_nodes(text, max_values)) <= max_nodes:
        return most, text.count(b",") + 1
    if len(text) > max_text and size_of_text(text) > max_text:
        raise _too_many(f"{max_text} bytes of text")
    nodes, values, depth = 0, 1, 0
    digits = b""  # those at the end of a piece: the number may go on in the next
    for piece in chain(_outside_strings(text), (b" ",)):
        lengths, digits = _long_numbers(digits + piece)
        if max(*lengths, len(digits)) > MAX_DIGITS:
            raise InvalidRequest(f"A number in the request has more than {MAX_DIGITS} digits.", code="invalid_value")
        openings = piece.count(b"{") + piece.count(b"[")
        nodes += openings + piece.count(b":") + sum(length // _PLAIN_DIGITS for length in lengths)
        values += piece.count(b",")
        if openings:
            brackets = piece.translate(None, _NO_BRACKETS)
            if depth + openings > MAX_DEPTH and _is_too_deep(brackets, depth):
                raise nested_too_deep(_deep_field(text))
            depth += 2 * openings - len(brackets)
        else:
            depth -= piece.count(b"}") + piece.count(b"]")
        if nodes > max_nodes:
            raise too_many_nodes(max_nodes)
        if values > max_values:
            raise _too_many(f"{max_values} values")
    return nodes, values


def _most_nodes(text: bytes | bytearray, max_values: int) -> int:
    """The nodes of a text with those in its strings, as most small texts keep all limits even so; -1 if it may not."""
    openings = text.count(b"{") + text.count(b"[")
    digits = len(text.translate(None, _NO_DIGITS))
    if openings > MAX_DEPTH or digits > _PLAIN_DIGITS or text.count(b",") >= max_values:
        return -1
    return openings + text.count(b":")


def count_values(array: bytes) -> int:
    """How many values there are in the JSON of an array of strings or numbers; 1 for one of them, or an empty array."""
    return 1 + sum(piece.count(b",") for piece in _outside_strings(array))


def count_nodes(text: bytes) -> int:
    """How many arrays, objects and keys there are in a JSON text."""
    return sum(piece.count(b"{") + piece.count(b"[") + piece.count(b":") for piece in _outside_strings(text))


def count_fields(text: bytes | bytearray, enough: int) -> int:
    """How many keys the outermost object of a JSON text has; it is not counted on once there are more than `enough`."""
    depth = count = 0
    for piece in _outside_strings(text):
        for run in _RUNS.finditer(piece):
            found = run[0]
            if found[:1] in b"{[":
                depth += len(found)
            elif found[:1] in b"}]":
                depth -= len(found)
            elif depth == 1:
                count += found.count(b":")
        if count > enough:
            break
    return count


def has_long_number(text: bytes, max_digits: int) -> bool:
    """Whether a JSON text has a number of more than `max_digits` digits."""
    digits = b""
    for piece in _outside_strings(text):
        lengths, digits = _long_numbers(digits + piece)
        if max(*lengths, len(digits)) > max_digits:
            return True
    return False


def has_large_number(text: bytes) -> bool:
    """Whether a JSON text may have a number beyond any float, such as `1e999`: those that decoders refuse are found.

    Its numbers have at most `MAX_DIGITS` digits, so that one without an exponent is none.
    """
    starts = range(0, len(text), _PIECE)
    return any(_LARGE_NUMBER.search(text, start, start + _PIECE + _MAX_EXPONENT) for start in starts)


def _long_numbers(piece: bytes) -> tuple[list[int], bytes]:
    """How many digits each number in `piece` has that has more than `_PLAIN_DIGITS`; 0 if there are none.

    And the digits at its end, which are not counted: the number may go on.
    """
    digits = piece.translate(_NUMBERS)
    end = digits.rfind(b" ") + 1
    lengths = map(len, digits[:end].split()) if _LONG_NUMBER in digits else ()
    return [0, *(length for length in lengths if length > _PLAIN_DIGITS)], digits[end:]


def _outside_strings(text: bytes | bytearray) -> Iterator[bytes]:
    """The brackets, colons, commas and digits of a JSON text that are outside of its strings, piece by piece."""
    within = False
    for piece in _pieces(text):
        if within and b'"' not in piece:
            continue  # in the middle of a long string
        # Most strings are empty by now, and two quotes side by side are never the end of one and the start of the next.
        strings = piece.translate(None, _OTHER).replace(b'""', b"").split(b'"')
        yield b"".join(strings[1 if within else 0 :: 2])
        within ^= len(strings) % 2 == 0


def _pieces(text: bytes | bytearray) -> Iterator[bytes]:
    """A JSON text piece by piece, with two other bytes in the place of each escaped backslash and escaped quote.

    So each quote that is left begins or ends a string.
    """
    view = memoryview(text)
    start = 0
    while start < len(view):
        piece = bytes(view[start : start + _PIECE])
        start += len(piece)
        if b"\\" in piece:
            # One that ends in an odd number of backslashes ends within an escape.
            if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
                piece += view[start : start + 1]
                start += 1
            piece = piece.replace(b"\\\\", b"\x80\x80").replace(b'\\"', b"\x80\x80")
        yield piece


def size_of_text(text: bytes | bytearray) -> int:
    """How many bytes of a JSON text are in strings with an escape or a character beyond ASCII, so not in base64.

    Such a string is read character by character, and may take four bytes for each. Short strings that are near one
    another count together, with what is between them: what is exact is the count of those longer than 64 kB.
    """
    size = 0
    within = False
    # Of a string that goes on from piece to piece: whether it counts, and how many of its bytes have not been counted.
    is_text, plain = False, 0
    for piece in _pieces(text):
        first, last = piece.find(b'"'), piece.rfind(b'"')
        if within:
            rest = piece if first < 0 else piece[:first]
            is_text = is_text or not _is_plain(rest)
            plain += len(rest)
            if is_text:
                size += plain
                plain = 0
        if first < 0:
            continue
        between = piece[first:last]
        if not _is_plain(between):
            size += len(between)
        within ^= piece.count(b'"') % 2 == 1
        if within:
            rest = piece[last + 1 :]
            is_text, plain = not _is_plain(rest), len(rest)
    return size


def _is_plain(piece: bytes) -> bool:
    return piece.isascii() and b"\\" not in piece


def _is_too_deep(brackets: bytes, depth: int) -> bool:
    """Whether brackets, of which the first is within `depth` others, are nested deeper than `MAX_DEPTH`."""
    # What is taken off here is one level. That is cheap, and most texts have only a few.
    rest = brackets
    for level in range(_LEVELS):
        if depth + level + len(rest) <= MAX_DEPTH:
            return False
        rest = rest.replace(b"[]", b"").replace(b"{}", b"")
    return max(accumulate(map(_STEPS.__getitem__, brackets), initial=depth)) > MAX_DEPTH


def _deep_field(text: bytes | bytearray) -> str:
    """The field of the JSON text that is nested too deep, as `tools[3]`; `""` if no parser reads the text so far."""
    try:
        fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        name, value = next((name, value) for name, value in fields.items() if _is_deep(value, 1))
        name = name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}…"
        if not bytes(value).startswith(b"["):
            return name
        entries = msgspec.json.decode(value, type=list[msgspec.Raw])
        return f"{name}[{next(index for index, entry in enumerate(entries) if _is_deep(entry, 2))}]"
    except (msgspec.DecodeError, RecursionError, UnicodeError, StopIteration):
        return ""


def _is_deep(value: msgspec.Raw, depth: int) -> bool:
    """Whether a part of a value, which is itself within `depth` arrays and objects, is within too many of them."""
    for piece in _outside_strings(bytes(value)):
        brackets = piece.translate(None, _NO_BRACKETS)
        if _is_too_deep(brackets, depth):
            return True
        depth += sum(map(_STEPS.__getitem__, brackets))
    return False


def too_many_nodes(max_nodes: int) -> InvalidRequest:
    """The error for a body of more arrays, objects and keys than these."""
    return _too_many(f"{max_nodes} arrays, objects and keys")


def _too_many(what: str) -> InvalidRequest:
    return InvalidRequest(
        f"The request body has more than the {what} allowed here.", status=413, code="too_many_values"
    )
