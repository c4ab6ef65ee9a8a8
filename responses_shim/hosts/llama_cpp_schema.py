"""Make JSON schemas safe for llama-cpp-python, whose process some of them crash.

The server converts a schema into a grammar and uses that without checking whether it could be parsed: an invalid
grammar is a null pointer, and the process ends (SIGSEGV). With some schemas the conversion itself never ends. Which
ones do so was found by running schemas, a fuzzer's among them, through the converter and the grammar parser of 0.3.36:

- strings (property names, `enum`, `const`) with a quote, a backslash, a backspace or a form feed
- a `pattern` that is not anchored at both ends, or that repeats anything but one literal or one character set; one of
  more than 1,000 characters is not looked at, which could take gigabytes, and removed too
- counts (`maxLength`, …) that are negative or over 1,000; an empty `enum`, `anyOf`, `oneOf` or `type`
- a `$ref` to nothing, to a name that a grammar rule cannot have, or that leads back to itself

Each of these is removed, so the schema that is left allows more than the original. A schema that becomes empty is
replaced by one that allows anything, since the converter takes `{}` for "any object".
"""

from __future__ import annotations

import re
from typing import Any

_ANYTHING = {"type": ["object", "array", "string", "number", "boolean", "null"]}
_REFERENCE = re.compile(r"#/(\$defs|definitions)/[A-Za-z0-9_-]+")
_PATTERN = re.compile(r"\^(?:[(|)]|(?:\[[^\[\]\\]+\]|[^\[\]{}\\*+?|()])(?:[*+?]|\{\d{0,3}(?:,\d{0,3})?\})?)*\$")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems")
_MAX_COUNT = 1000
_MAX_PATTERN = 1000  # characters
_LITERALS = ("enum", "const", "default", "examples", "description", "title")  # keywords whose value is no schema


def safe_schema(schema: Any) -> Any:
    """A copy of a JSON schema without the parts that crash the server; equal to `schema` if it has none."""
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
            safe[key] = {name: _safe(inner, resolvable) for name, inner in value.items() if _fits_grammar(name)}
        elif key == "required" and isinstance(value, list):
            safe[key] = [name for name in value if _fits_grammar(name)]
        elif not _crashes_server(key, value):
            safe[key] = value if key in _LITERALS else _safe(value, resolvable)
    return safe if safe or not schema else dict(_ANYTHING)


def _crashes_server(key: str, value: Any) -> bool:
    """Whether a keyword with this value crashes the server, whatever is around it."""
    if key == "pattern":
        return not (isinstance(value, str) and len(value) <= _MAX_PATTERN and _PATTERN.fullmatch(value))
    if key in ("enum", "const"):
        return (not value and isinstance(value, list)) or not _fits_grammar(value)
    if key in ("anyOf", "oneOf", "type"):
        return isinstance(value, list) and not value
    if key in _COUNTS:
        return not (isinstance(value, int) and 0 <= value <= _MAX_COUNT)
    return False


def _fits_grammar(value: Any) -> bool:
    """Whether the converter writes every string in `value` into the grammar correctly: it does not escape enough."""
    if isinstance(value, str):
        return not any(character in value for character in '"\\\b\f')
    if isinstance(value, list):
        return all(_fits_grammar(entry) for entry in value)
    if isinstance(value, dict):
        return all(_fits_grammar(key) and _fits_grammar(entry) for key, entry in value.items())
    return True


def _references(schema: Any) -> set[str]:
    """Every `$ref` anywhere in `schema`."""
    found: set[str] = set()
    stack = [schema]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                found.add(value["$ref"])
            stack += value.values()
        elif isinstance(value, list):
            stack += value
    return found


def _resolvable(schema: Any) -> set[str]:
    """The references to definitions of `schema` from which no chain of references leads to nothing or into a loop.

    This is a topological sort of the definitions, beginning with those that contain no references: a definition is
    resolved once all that it refers to is. One in a loop, or with a reference to something that does not exist, never
    is resolved.
    """
    needs: dict[str, set[str]] = {}  # reference of a definition → the references in that definition
    for key in ("$defs", "definitions"):
        definitions = schema.get(key) if isinstance(schema, dict) else None
        for name, definition in (definitions if isinstance(definitions, dict) else {}).items():
            if _REFERENCE.fullmatch(reference := f"#/{key}/{name}"):
                needs[reference] = _references(definition)
    users: dict[str, list[str]] = {}  # reference → the definitions that contain it
    for reference, needed in needs.items():
        for name in needed:
            users.setdefault(name, []).append(reference)
    unresolved = {reference: len(needed) for reference, needed in needs.items()}
    ready = [reference for reference, count in unresolved.items() if count == 0]
    resolved = set()
    while ready:
        reference = ready.pop()
        resolved.add(reference)
        for user in users.get(reference, ()):
            unresolved[user] -= 1
            if unresolved[user] == 0:
                ready.append(user)
    return resolved
