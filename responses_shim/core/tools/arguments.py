"""The arguments of a call as JSON: parsed as models write them, and written as models were shown them."""

from __future__ import annotations

import json
import re
from typing import Any

from responses_shim.core.wire.lenient_json import writable_json
from responses_shim.core.wire.validation import check_depth, missing, too_deep, wrong_type

# The beginning of what was meant as JSON. A shell command may begin with `{` or `[` too, with a blank behind it.
_BEGINS_LIKE_JSON = re.compile(r"\s*(?:\{(?:\S|\s*[\"}])|\[+(?:[^\s\[]|\s*\n))")


def parse_arguments(text: str) -> Any:
    """The value of a call's arguments: JSON data, or the text itself where it was not meant as JSON.

    Line ends within strings are taken as models write them, raw. None if the text is empty, was meant as JSON and is
    not, or is nested deeper than `MAX_DEPTH`.
    """
    try:
        value = json.loads(text, strict=False)
        if isinstance(value, str) and value.lstrip().startswith("{"):
            return parse_arguments(value)  # encoded twice, as some chat templates do with the calls that they show
        return None if too_deep(value) else writable_json(value)
    except (ValueError, RecursionError):
        return None if _BEGINS_LIKE_JSON.match(text) or not text.strip() else text


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

    Raises InvalidRequest that names `path.key` if it is missing, not an object, or nested too deep.
    """
    value = item.get(key)
    if value is None:
        raise missing(f"{path}.{key}")
    if not isinstance(value, dict):
        raise wrong_type(f"{path}.{key}", "an object")
    check_depth(value, f"{path}.{key}")
    return value


def write_arguments(value: Any) -> str:
    """JSON as Python writes it, and so chat templates, and so the models that learned from them: `{"a": 1, "b": 2}`.

    With a space behind each colon and comma, a past call is what the model wrote and what the host has in its prefix
    cache, where a template shows the arguments as they are.
    """
    return json.dumps(value, ensure_ascii=False)


def write_given_arguments(fields: dict[str, Any]) -> str:
    """As `write_arguments`, without the fields that a model leaves out: those that are null or an empty object."""
    return write_arguments({name: value for name, value in fields.items() if value not in (None, {})})
