"""JSON text that is not quite JSON: lone surrogates, NaN."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

_NOT_JSON = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN')


def whole(text: str) -> str:
    """`text` with the halves of surrogate pairs joined, and U+FFFD for a half that is alone: UTF-8 can hold it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clean(value: Any) -> Any:
    """JSON data that can be written again: strings that UTF-8 can hold, and no NaN."""
    text = json.dumps(value, ensure_ascii=False)
    numbers = _NOT_JSON.sub(lambda found: found[0] if found[0][0] == '"' else "null", text)
    return msgspec.json.decode(whole(numbers).encode())
