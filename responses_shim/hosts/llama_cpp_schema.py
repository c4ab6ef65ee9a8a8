"""JSON schemas that llama-cpp-python survives.

The server turns a schema into a grammar and uses it without a look at whether it parsed: a grammar that did not is a
null pointer, and the process ends (SIGSEGV); some schemas send the conversion itself round for ever. What does so was
found by running schemas, a fuzzer's among them, through the converter and the grammar parser of 0.3.36:

- strings (property names, `enum`, `const`) with a quote, a backslash, a backspace or a form feed
- a `pattern` not anchored at both ends, or that repeats anything but one literal or set
- counts that are negative or over 1,000; an empty `enum`, `anyOf`, `oneOf` or `type`
- a `$ref` to what is not there, to a name that a grammar rule cannot have, or back to itself

Each is taken out, so what is left as a rule allows more than the schema did. To the converter `{}` means any
object, so what becomes empty is made to say anything.
"""

from __future__ import annotations

import re
from typing import Any

_ANYTHING = {"type": ["object", "array", "string", "number", "boolean", "null"]}
_REFERENCE = re.compile(r"#/(\$defs|definitions)/[A-Za-z0-9_-]+")
_PATTERN = re.compile(r"\^(?:[(|)]|(?:\[[^\[\]\\]+\]|[^\[\]{}\\*+?|()])(?:[*+?]|\{\d{0,3}(?:,\d{0,3})?\})?)*\$")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems")
_MAX_COUNT = 1000
_VALUES = ("enum", "const", "default", "examples", "description", "title")  # what holds no schema


def safe_schema(schema: Any) -> Any:
    """`schema` without what ends the server; itself, if there is nothing of the kind in it."""
    return _safe(schema, _resolvable(schema))


def _safe(schema: Any, resolvable: set[str]) -> Any:
    if isinstance(schema, list):
        return [_safe(entry, resolvable) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref", "")
    if "$ref" in schema and not (isinstance(reference, str) and reference in resolvable):
        schema = {**{key: value for key, value in schema.items() if key != "$ref"}, **_ANYTHING}
    safe: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs", "definitions") and isinstance(value, dict):
            safe[key] = {name: _safe(inner, resolvable) for name, inner in value.items() if _speakable(name)}
        elif key == "required" and isinstance(value, list):
            safe[key] = [name for name in value if _speakable(name)]
        elif not _kills(key, value):
            safe[key] = value if key in _VALUES else _safe(value, resolvable)
    return safe if safe or not schema else dict(_ANYTHING)


def _kills(key: str, value: Any) -> bool:
    if key == "pattern":
        return not (isinstance(value, str) and _PATTERN.fullmatch(value))
    if key in ("enum", "const"):
        return (not value and isinstance(value, list)) or not _speakable(value)
    if key in ("anyOf", "oneOf", "type"):
        return isinstance(value, list) and not value
    if key in _COUNTS:
        return not (isinstance(value, int) and 0 <= value <= _MAX_COUNT)
    return False


def _speakable(value: Any) -> bool:
    """Whether every string in `value` can be written into a grammar as it stands."""
    if isinstance(value, str):
        return not any(mark in value for mark in '"\\\b\f')
    if isinstance(value, list):
        return all(_speakable(entry) for entry in value)
    if isinstance(value, dict):
        return all(_speakable(key) and _speakable(entry) for key, entry in value.items())
    return True


def _references(schema: Any) -> set[str]:
    """Every `$ref` anywhere in `schema`."""
    found: set[str] = set()
    layer = [schema]
    while layer:
        inner = layer.pop()
        if isinstance(inner, dict):
            if isinstance(inner.get("$ref"), str):
                found.add(inner["$ref"])
            layer += inner.values()
        elif isinstance(inner, list):
            layer += inner
    return found


def _resolvable(schema: Any) -> set[str]:
    """The references that name a definition from which no chain of references leads to nothing, or round.

    From the leaves up: a definition resolves once all that it refers to does. What waits for ever is the rest.
    """
    inner: dict[str, set[str]] = {}
    for home in ("$defs", "definitions"):
        definitions = schema.get(home) if isinstance(schema, dict) else None
        for name, definition in (definitions if isinstance(definitions, dict) else {}).items():
            if _REFERENCE.fullmatch(reference := f"#/{home}/{name}"):
                inner[reference] = _references(definition)
    users: dict[str, list[str]] = {}
    for reference, needed in inner.items():
        for name in needed:
            users.setdefault(name, []).append(reference)
    waiting = {reference: len(needed) for reference, needed in inner.items()}
    ready = [reference for reference, count in waiting.items() if count == 0]
    resolved = set()
    while ready:
        reference = ready.pop()
        resolved.add(reference)
        for user in users.get(reference, ()):
            waiting[user] -= 1
            if waiting[user] == 0:
                ready.append(user)
    return resolved
