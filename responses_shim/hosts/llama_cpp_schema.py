"""JSON schemas that llama-cpp-python survives.

The server turns a schema into a grammar and uses it without a look at whether it parsed: a grammar that did not is a
null pointer, and the process ends (SIGSEGV); some schemas send the conversion itself round for ever. What does so was
found by running schemas, a fuzzer's among them, through the converter and the grammar parser of 0.3.36:

- strings (property names, `enum`, `const`) with a quote, a backslash, a backspace or a form feed
- a `pattern` of more than literals, sets and single repetitions, or not anchored at both ends
- counts that are negative or over 1,000; an empty `enum`, `anyOf`, `oneOf` or `type`
- a `$ref` to what is not there, to a name that a grammar rule cannot have, or back to itself

Each is taken out, so what is left allows more than the schema did, and never less. To the converter `{}` means any
object, so what becomes empty is made to say anything.
"""

from __future__ import annotations

import re
from typing import Any

_ANYTHING = {"type": ["object", "array", "string", "number", "boolean", "null"]}
_REFERENCE = re.compile(r"#/(?P<home>\$defs|definitions)/(?P<name>[A-Za-z0-9_-]+)")
_PATTERN = re.compile(r"\^(?:(?:\[[^\[\]\\]+\]|[^\[\]{}\\*+?])(?:[*+?]|\{\d{0,3}(?:,\d{0,3})?\})?)*\$")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems")
_MAX_COUNT = 1000
_VALUES = ("enum", "const", "default", "examples", "description", "title")  # what holds no schema


def safe_schema(schema: Any) -> Any:
    """`schema` without what ends the server; itself, if there is nothing of the kind in it."""
    return _safe(schema, {name for name in _references(schema) if _resolves(schema, name)})


def _safe(schema: Any, resolvable: set[str]) -> Any:
    if isinstance(schema, list):
        return [_safe(entry, resolvable) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema and schema["$ref"] not in resolvable:
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


def _resolves(schema: dict[str, Any], reference: str) -> bool:
    """Whether `reference` names a definition, and all that it refers to are there and none of them is `reference`."""
    path: set[str] = set()
    layer = [reference]
    while layer:
        name = layer.pop()
        found = _REFERENCE.fullmatch(name)
        homes = schema.get(found["home"]) if found else None
        definition = homes.get(found["name"]) if found and isinstance(homes, dict) else None
        if definition is None:
            return False
        path.add(name)
        inner = _references(definition)
        if reference in inner:
            return False
        layer += inner - path
    return True
