"""Rewrites JSON schemas so that llama-cpp-python makes a grammar of them, and does not crash.

The server converts a schema into a grammar and uses that without checking whether it could be parsed: an invalid
grammar is a null pointer, and the process ends (SIGSEGV). With some schemas the conversion never ends; with others it
fails, and the server goes on with a grammar for any JSON object, without a word; and some grammars are valid and let
through what is not JSON, or nothing at all. Which do so was found by reading the converter of 0.3.36, and by running
schemas, a fuzzer's among them, through it and through the grammar parser (`integrations/llama_cpp/test_grammars.py`).

What is rewritten, because it has another form that the converter takes:

- patterns (see `llama_cpp_pattern`)
- the names of definitions, which become those of grammar rules, and are taken for other rules of the same name
- `type` as a list beside keywords that are about one of the types, of which the converter forgets the keywords
- `allOf` with one schema, of which it would make an object without properties
- `true` and `{}`, which it takes for an error and for "any object"; `additionalProperties: true`, for "any object" too

What is removed, so that the schema allows more than the original:

- strings (property names, `enum`, `const`) that a grammar cannot have: with a quote, a backslash, a control character,
  or a character beyond U+FFFF; the name of a property that is empty, `*` or `$ref`
- patterns that cannot be rewritten
- counts (`maxLength`, …) that are negative or over 1,000; an empty `enum`, `anyOf` or `oneOf`; an unknown `type`
- a `$ref` to anything but a definition at the root; and to one that is, before anything else, itself
- keywords with schemas in them that the converter does not know (`not`, `if`, …); `anyOf` beside `properties`, of which
  it would forget the properties; `allOf` with anything but objects in it
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from responses_shim.hosts.llama_cpp_pattern import rewrite

Schema = dict[str, Any]

_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_ANY_TYPE = ["object", "array", "string", "number", "boolean", "null"]
_DEFINITIONS = ("$defs", "definitions")
_UNIONS = ("anyOf", "oneOf")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems")
_MAX_COUNT = 1000
_ANNOTATIONS = ("default", "examples", "description", "title")
_STRING_FORMATS = ("uuid", "uuid1", "uuid2", "uuid3", "uuid4", "uuid5", "date", "time", "date-time")
"""The values of `format` that the converter knows."""

_KEYWORDS_OF = {
    "object": ("properties", "required", "additionalProperties", "allOf"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("pattern", "format", "minLength", "maxLength"),
}
"""The keywords that are about one type, by that type."""
_DECIDING = ("$ref", *_UNIONS, "enum", "const", "properties", "allOf", "items", "prefixItems", "pattern")
"""The keywords with which the converter needs no `type`."""

_OMITTED: Any = object()
"""Stands for the value of a keyword that is removed."""


def safe_schema(schema: Any) -> Any:
    """A JSON schema that the server takes; equal to `schema` if it would take that. Nothing is changed in place.

    `true` and `{}` stay as they are at the root.
    """
    return _Rewriter(schema).root() if isinstance(schema, dict) and schema else schema


class _Rewriter:
    """Rewrites one schema with its definitions."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._definitions = {
            _reference(key, name): definition
            for key in _DEFINITIONS
            for name, definition in _mapping(schema.get(key)).items()
        }
        self._names = {reference: f"definition-{index}-schema" for index, reference in enumerate(self._definitions)}
        """The new name of each definition, by the reference to it."""
        self._objects = {
            self._renamed(reference)
            for reference, definition in self._definitions.items()
            if isinstance(_mapping(definition).get("properties"), dict)
        }
        """The new references to definitions with properties."""
        self._endless = _endless(self._definitions)

    def root(self) -> Schema:
        """The schema, rewritten."""
        safe = self._rewritten(self._schema)
        for key in _DEFINITIONS:
            if isinstance(self._schema.get(key), dict):
                safe[key] = {
                    self._names[_reference(key, name)]: self._inner(definition)
                    for name, definition in self._schema[key].items()
                }
        return safe

    def _renamed(self, reference: str) -> str:
        """The new reference to a definition."""
        return f"{reference[: reference.rindex('/')]}/{self._names[reference]}"

    def _inner(self, schema: Any) -> Schema:
        """A schema within the schema, rewritten. What is none, `false` too, becomes one that allows anything."""
        return self._rewritten(schema if isinstance(schema, dict) else {})

    def _rewritten(self, schema: Schema) -> Schema:
        """One schema, rewritten, without definitions."""
        safe = {key: kept for key, value in schema.items() if (kept := self._keyword(key, value)) is not _OMITTED}
        if "$ref" in schema and "$ref" not in safe:
            safe = {key: value for key, value in safe.items() if key in _ANNOTATIONS}
        safe = self._with_all_of(safe)
        if "properties" in safe:
            safe = _without(safe, _UNIONS)
            lacks_some = len(safe["properties"]) < len(_mapping(schema.get("properties")))
            if lacks_some or safe.get("additionalProperties") is True:
                safe["additionalProperties"] = {"type": [*_ANY_TYPE]}
        if "enum" in safe or "const" in safe:
            return _without(safe, ["type"]) if isinstance(safe.get("type"), list) else safe
        for key in safe.keys() & _UNIONS:
            safe[key] = [_narrowed(branch, safe.get("type")) for branch in safe[key]]
        return _with_type(_with_branches(safe))

    def _keyword(self, key: str, value: Any) -> Any:
        """The value of a keyword, rewritten, or `_OMITTED`."""
        if key == "properties" and isinstance(value, dict):
            return {name: self._inner(inner) for name, inner in value.items() if _is_name(name)}
        if key == "required" and isinstance(value, list):
            return [name for name in value if isinstance(name, str) and _is_name(name)]
        if key in (*_UNIONS, "allOf", "items", "prefixItems") and isinstance(value, list):
            return [self._inner(inner) for inner in value] or _OMITTED
        if key == "items" and isinstance(value, (dict, bool)):
            return self._inner(value) if value is not False else _OMITTED
        if key == "additionalProperties":
            return self._inner(value) if isinstance(value, dict) else _if(isinstance(value, bool), value)
        if key == "$ref" and isinstance(value, str) and value in self._names and value not in self._endless:
            return self._renamed(value)
        if key == "pattern" and isinstance(value, str):
            return rewrite(value) or _OMITTED
        if key == "type":
            return _known_types(value)
        return _if(_is_plain(key, value), value)

    def _with_all_of(self, safe: Schema) -> Schema:
        """The schema with the only one of `allOf` in its place; without `allOf`, if that has anything but objects."""
        parts = safe.get("allOf")
        if parts is None:
            return safe
        others = _without(safe, ["allOf"])
        if len(parts) == 1 and not any(key in others for key in _DECIDING):
            return {**others, **parts[0]}
        return safe if all(self._has_properties(part) for part in parts) else others

    def _has_properties(self, part: Schema) -> bool:
        return "properties" in part if "$ref" not in part else part["$ref"] in self._objects


def _if(condition: bool, value: Any) -> Any:
    return value if condition else _OMITTED


def _without(schema: Schema, keys: Sequence[str]) -> Schema:
    return {key: value for key, value in schema.items() if key not in keys}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _reference(key: str, name: str) -> str:
    """The reference to a definition at the root, a JSON pointer."""
    return f"#/{key}/{name.replace('~', '~0').replace('/', '~1')}"


def _known_types(value: Any) -> Any:
    if isinstance(value, list):
        return [name for name in value if name in _TYPES] or _OMITTED
    return _if(value in _TYPES, value)


def _is_plain(key: str, value: Any) -> bool:
    """Whether the value of a keyword has no schemas in it, and is one that the converter takes."""
    if key in ("enum", "const"):
        return _fits_grammar(value) and (key == "const" or (isinstance(value, list) and bool(value)))
    if key in _COUNTS:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT
    if key in _ANNOTATIONS:
        return not _has_reference(value)
    if key == "format":
        return isinstance(value, str)
    return not isinstance(value, (dict, list)) and key not in _ABOUT_SCHEMAS


_ABOUT_SCHEMAS = frozenset(
    {"$ref", "pattern", *_UNIONS, *_DEFINITIONS, *(key for keys in _KEYWORDS_OF.values() for key in keys)}
)
"""The keywords that are removed if their value is none of those that they may have."""


def _is_name(name: str) -> bool:
    """Whether a property may have that name.

    An empty one becomes the root of the grammar, and `*` stands for additional properties there.
    """
    return name not in ("", "*", "$ref") and _fits_grammar(name)


def _fits_grammar(value: Any) -> bool:
    """Whether the converter writes every string in `value` into the grammar correctly.

    It takes a string as JSON writes it, and the grammar reads JSON's escapes as escapes of its own, if it knows them.
    """
    if isinstance(value, str):
        return all(" " <= character <= "\uffff" and character not in '"\\' for character in value)
    if isinstance(value, list):
        return all(_fits_grammar(entry) for entry in value)
    if isinstance(value, dict):
        return all(_fits_grammar(key) and _fits_grammar(entry) for key, entry in value.items()) and "$ref" not in value
    return True


def _has_reference(value: Any) -> bool:
    """Whether there is a key `$ref` in a value, which the converter takes for a reference wherever it is."""
    if isinstance(value, dict):
        return "$ref" in value or any(_has_reference(inner) for inner in value.values())
    return isinstance(value, list) and any(_has_reference(inner) for inner in value)


def _narrowed(branch: Schema, type_of_union: Any) -> Schema:
    """A branch of a union that has a type itself: where the branch has none, that."""
    is_open = branch.get("type") == _ANY_TYPE and not any(key in branch for key in _DECIDING)
    return {**branch, "type": type_of_union} if is_open and isinstance(type_of_union, str) else branch


def _with_branches(safe: Schema) -> Schema:
    """The schema with a branch of `anyOf` for each of several types, beside which are keywords about one of them."""
    types = safe.get("type")
    if not isinstance(types, list) or any(key in safe for key in _UNIONS):
        return safe
    apart = {key for name in types for key in _KEYWORDS_OF.get(name, ()) if key in safe}
    if not apart:
        return safe
    branches = [
        {"type": name, **{key: safe[key] for key in _KEYWORDS_OF.get(name, ()) if key in safe}} for name in types
    ]
    others = _without(safe, ["type", *apart])
    return {**others, **branches[0]} if len(branches) == 1 else {**others, "anyOf": branches}


def _with_type(safe: Schema) -> Schema:
    """The schema with a type, if the converter needs one: that of its strings' lengths, or any, and then no more."""
    allows_more = safe.get("additionalProperties", True)
    if "type" in safe or any(key in safe for key in _DECIDING) or allows_more is not True:
        return safe
    if safe.get("format") in _STRING_FORMATS or "minLength" in safe or "maxLength" in safe:
        return {**safe, "type": "string"}
    return {**_without(safe, [key for keys in _KEYWORDS_OF.values() for key in keys]), "type": [*_ANY_TYPE]}


def _endless(definitions: dict[str, Any]) -> set[str]:
    """The references to definitions that are, before anything else, themselves; and to those that are such a one.

    A definition may contain itself, as that of a tree does. But as a grammar rule it must not begin with itself. This
    is a topological sort of the definitions, beginning with those that are no other one.
    """
    needs = {reference: {*_is_first(definition)} & definitions.keys() for reference, definition in definitions.items()}
    users: dict[str, list[str]] = {}  # reference → the definitions that are that one
    for reference, needed in needs.items():
        for name in needed:
            users.setdefault(name, []).append(reference)
    left = {reference: len(needed) for reference, needed in needs.items()}
    ready = [reference for reference, count in left.items() if count == 0]
    while ready:
        for user in users.get(ready.pop(), ()):
            left[user] -= 1
            if left[user] == 0:
                ready.append(user)
    return {reference for reference, count in left.items() if count}


def _is_first(schema: Any) -> Iterator[str]:
    """The references that a schema is, or is one of."""
    schemas = [schema]
    while schemas:
        schema = schemas.pop()
        if isinstance(schema, dict):
            if isinstance(schema.get("$ref"), str):
                yield schema["$ref"]
            for key in (*_UNIONS, "allOf"):
                if isinstance(schema.get(key), list):
                    schemas += schema[key]
