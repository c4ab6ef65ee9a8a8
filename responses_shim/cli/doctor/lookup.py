"""Reads JSON that may be anything: what is not there, or of another type, is None or empty. Nothing here raises."""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]


def decode(text: bytes | str) -> Any:
    """The JSON value of a text; None if it is none that Python can read."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # bad UTF-8 and numbers of thousands of digits are ValueErrors
        return None


def at(value: Any, *path: str | int) -> Any:
    """What is at a path of keys and indices, such as `("choices", 0, "delta")`; None if there is nothing."""
    for step in path:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            value = value[step] if isinstance(value, list) and -len(value) <= step < len(value) else None
    return value


def text_at(value: Any, *path: str | int) -> str:
    """The string at a path; empty if there is none."""
    found = at(value, *path)
    return found if isinstance(found, str) else ""


def object_at(value: Any, *path: str | int) -> Json:
    """The object at a path; empty if there is none."""
    found = at(value, *path)
    return found if isinstance(found, dict) else {}


def objects_at(value: Any, *path: str | int) -> list[Json]:
    """The objects in the list at a path; what else is in it is left out."""
    found = at(value, *path)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def integer_at(value: Any, *path: str | int) -> int | None:
    """The integer at a path; None if there is none."""
    found = at(value, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def quoted(value: Any, limit: int = 80) -> str:
    """The beginning of a value as JSON, for a reason."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = repr(type(value))
    return text if len(text) <= limit else f"{text[:limit]}…"
