"""The arguments of a call as JSON: parsed as models write them, and written as models were shown them."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from responses_shim.core.wire.json_limits import has_long_number
from responses_shim.core.wire.large_json import Text, encode_large, has_long_text, json_text
from responses_shim.core.wire.lenient_json import JSON_ERRORS, writable_json
from responses_shim.core.wire.validation import MAX_DEPTH, MAX_STRING, missing, too_deep, too_long, wrong_type

MAX_LENIENT = 256 * 1024
"""The longest arguments, in characters, that are read although they are not quite JSON.

It takes many times as long as to read JSON, in steps that cannot be cut. A model's longest answers are about as long.
"""
MAX_INTEGER = 4300
"""How many digits of an integer Python reads (`sys.int_info.default_max_str_digits`)."""

# The beginning of what was meant as JSON. A shell command may begin with `{` or `[` too, with a blank behind it.
_BEGINS_LIKE_JSON = re.compile(r"\s*(?:\{(?:\S|\s*[\"}])|\[+(?:[^\s\[]|\s*\n))")


def parse_arguments(text: str) -> Any:
    """The value of a call's arguments: JSON data, or the text itself where it was not meant as JSON.

    Up to `MAX_LENIENT` characters line ends within strings are taken as models write them, raw. None if the text is
    empty, was meant as JSON and is not, or is nested deeper than `MAX_DEPTH`.
    """
    try:
        value = _parse(text)
    except (ValueError, RecursionError):
        return None if _BEGINS_LIKE_JSON.match(text) or not text.strip() else text
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        return parse_arguments(value)  # encoded twice, as some chat templates do with the calls that they show
    return None if text.count("{") + text.count("[") > MAX_DEPTH and too_deep(value) else value


def _parse(text: str) -> Any:
    """The JSON data in a text, read leniently. Raises ValueError or RecursionError."""
    try:
        return msgspec.json.decode(text)
    except JSON_ERRORS:
        if len(text) > MAX_LENIENT:
            raise ValueError from None
    value = json.loads(text, strict=False)
    return value if too_deep(value) else writable_json(value)


# Fields of parsed arguments. A model may write anything into them: what has the wrong type counts as left out.


def strings(value: Any) -> list[str]:
    """The strings in an array; none if it is not an array."""
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def object_or_empty(value: Any) -> dict[str, Any]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def integer_or_none(value: Any) -> int | None:
    """The integer; None for anything else, a boolean included."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def string_or_none(value: Any) -> str | None:
    """The string; None for anything else."""
    return value if isinstance(value, str) else None


# Past calls ----------------------------------------------------------------------------------------------------------


def required_object(item: dict[str, Any], key: str, path: str) -> dict[str, Any]:
    """The object at `key`.

    Raises InvalidRequest that names `path.key` if it is missing or not an object.
    """
    value = item.get(key)
    if value is None:
        raise missing(f"{path}.{key}")
    if not isinstance(value, dict):
        raise wrong_type(f"{path}.{key}", "an object")
    return value


def object_arguments(text: str) -> Text:
    """The arguments of a past call as a JSON object: unchanged if they are one, to the last character.

    Chat templates that read them (vLLM parses them first) fail on anything else. What can be read leniently is written
    anew, empty text is `{}`, and any other text, such as a call that was cut off, becomes `{"arguments": "<text>"}`.
    """
    if _is_object(text):
        return text
    parsed = parse_arguments(text) if len(text) <= MAX_LENIENT else text
    if not isinstance(parsed, dict):
        parsed = {"arguments": text} if text.strip() else {}
    return write_arguments(parsed)


class _Object(msgspec.Struct):
    """Any JSON object. What is in it is checked when it is decoded, and not built."""


def _is_object(text: str) -> bool:
    """Whether a text is a JSON object, as Python reads it."""
    try:
        # One that is not ASCII would keep the UTF-8 that `msgspec` makes of it.
        msgspec.json.decode(text if text.isascii() else text.encode(), type=_Object)
        return len(text) <= MAX_INTEGER or not has_long_number(text.encode(), MAX_INTEGER)
    except JSON_ERRORS:
        pass
    try:
        return len(text) <= MAX_LENIENT and isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def write_arguments(value: Any) -> Text:
    """JSON as Python writes it, and so chat templates, and so the models that learned from them: `{"a": 1, "b": 2}`.

    With a space behind each colon and comma, a past call is what the model wrote and what the host has in its prefix
    cache, where a template shows the arguments as they are.
    """
    if has_long_text(value):
        return json_text(value, _spaced_json, comma=b", ", colon=b": ")
    return json.dumps(value, ensure_ascii=False)


def _spaced_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def write_given_arguments(fields: dict[str, Any], path: str) -> Text:
    """As `write_arguments`, without the fields that a model leaves out: those that are null or an empty object.

    `path` is where they are in the request. Raises InvalidRequest if they are longer than `MAX_STRING`.
    """
    given = {name: value for name, value in fields.items() if value not in (None, {})}
    # What Python writes in a second, msgspec writes in a tenth of it, so that is what shows how long it would be.
    if (length := len(encode_large(given))) > MAX_STRING:
        raise too_long(path, length, MAX_STRING)
    return write_arguments(given)
