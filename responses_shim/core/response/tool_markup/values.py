"""The value of a parameter as JSON: in the markup it is text, and the tool's JSON schema says what of."""

from __future__ import annotations

import json
from typing import Any

from responses_shim.core.response.tool_markup.literals import read_literal

Schema = dict[str, Any]

MAX_DEPTH = 20
"""How many schemas within schemas are looked at to find out the type of a parameter."""

_COMBINATIONS = ("anyOf", "oneOf", "allOf")
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_KINDS: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}


def to_json(value: Any) -> str:
    """The JSON text of a value."""
    return json.dumps(value, ensure_ascii=False)


def parameter_json(text: str, schema: Any, root: Schema) -> str:
    """The JSON text of a parameter's value. See `parameter_value`."""
    return to_json(parameter_value(text, schema, root))


def parameter_value(text: str, schema: Any, root: Schema) -> Any:
    """The value of a parameter.

    `text` is the value as the model wrote it, `schema` that of the parameter within the tool's schema `root`. Where a
    string is all that is allowed, or nothing is known, the value is the text. Else it is read as JSON or, since models
    write that too, as a Python literal; and if it is not of an allowed type, it is the text after all.
    """
    kinds = kinds_of(schema, root)
    if kinds <= {"string"}:
        return text
    found, value = _parse(text.strip())
    return value if found and _is_of(value, kinds) else text


def _parse(text: str) -> tuple[bool, Any]:
    """Whether the text is a value other than a string, and the value."""
    if text in _WORDS:
        return True, _WORDS[text]
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        if not text.startswith(("{", "[")):
            return False, None
        try:
            value, end = read_literal(text, 0)
        except ValueError:
            return False, None
        return end == len(text), value
    return not isinstance(value, str), value


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _is_of(value: Any, kinds: frozenset[str]) -> bool:
    kind = _KINDS[type(value)]
    if kind == "integer" and "number" in kinds:
        return True
    return kind in kinds or (kind == "number" and "integer" in kinds and value == int(value))


def kinds_of(schema: Any, root: Schema) -> frozenset[str]:
    """The JSON types that a schema allows; none if it does not say."""
    return _kinds_of(schema, root, 0, set())


def _kinds_of(schema: Any, root: Schema, depth: int, followed: set[str]) -> frozenset[str]:
    """The same, but for what the references say that have been `followed`, each of which is once."""
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return frozenset()
    kinds: set[str] = set()
    given = schema.get("type")
    kinds.update(kind for kind in (given, *_list(given)) if isinstance(kind, str))
    if not kinds:
        for value in [*_list(schema.get("enum")), *([schema["const"]] if "const" in schema else [])]:
            kinds.add(_KINDS.get(type(value), "string"))
        for combination in _COMBINATIONS:
            for inner in _list(schema.get(combination)):
                kinds |= _kinds_of(inner, root, depth + 1, followed)
        kinds |= _kinds_of(_follow(schema, root, followed), root, depth + 1, followed)
        kinds.update(kind for key, kind in (("properties", "object"), ("items", "array")) if key in schema)
    if schema.get("nullable") is True:
        kinds.add("null")
    return frozenset(kinds)


def part_schema(schema: Any, key: str | None, root: Schema) -> Any:
    """The schema of an object's member `key`, or that of an array's items if it is None; None if `schema` has none."""
    followed: set[str] = set()
    pending = [schema]
    while pending:
        current = pending.pop()
        if not isinstance(current, dict):
            continue
        parts = {None: current["items"]} if key is None and "items" in current else current.get("properties")
        if isinstance(parts, dict) and key in parts:
            return parts[key]
        pending += [inner for combination in _COMBINATIONS for inner in _list(current.get(combination))]
        pending.append(_follow(current, root, followed))
    return None


def _follow(schema: Schema, root: Schema, followed: set[str]) -> Any:
    """The schema that a schema refers to, if that was not `followed` before."""
    reference = schema.get("$ref")
    if not isinstance(reference, str) or reference in followed:
        return None
    followed.add(reference)
    return _resolve(reference, root)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _resolve(reference: str, root: Schema) -> Any:
    """The schema that a reference within the tool's schema points to, such as `#/$defs/Point`."""
    schema: Any = root
    for step in reference.removeprefix("#/").split("/"):
        schema = schema.get(step) if isinstance(schema, dict) else None
    return schema
