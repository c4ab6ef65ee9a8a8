"""JSON that hosts and clients send although it is invalid: halves of surrogate pairs, NaN, Infinity.

Python's `json.loads` reads them, `msgspec` and every strict reader refuse them. The two functions here make of what
`json.loads` gave something that can be written again.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

JSON_ERRORS = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What msgspec raises for what is not JSON or not of the expected type, not Unicode, or nested too deep."""

_STRING_OR_NOT_A_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN')


def join_surrogates(text: str) -> str:
    r"""Join the halves of surrogate pairs in `text`, and replace a half without its partner by U+FFFD.

    The result can be encoded as UTF-8. A character beyond U+FFFF may come in two escapes: `"\ud83d\ude00"` is one 😀.
    A host that sends each escape in a chunk of its own gives two strings that neither UTF-8 nor a client can hold.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def writable_json(value: Any) -> Any:
    """A copy of JSON data that any JSON writer takes: strings go through `join_surrogates`, NaN and Infinity are null.

    `value` is what `json.loads` gives. RecursionError if it is nested about as deep as Python's recursion limit.
    """
    text = json.dumps(value, ensure_ascii=False)
    numbers = _STRING_OR_NOT_A_NUMBER.sub(lambda found: found[0] if found[0][0] == '"' else "null", text)
    return msgspec.json.decode(join_surrogates(numbers).encode())
