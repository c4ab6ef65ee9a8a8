"""Which JSON schemas xgrammar, the grammar engine of vLLM, knows completely.

For a schema that it knows only in part vLLM 0.32 does not compose "calls, or an answer in this format", but enforces
the format alone, so that no tool can be called any more (`has_xgrammar_unsupported_json_features` in its source). What
that function refuses is a list of combinations; here it is the other way round, a list of keywords that are right
together. A schema with any other counts as not known, which costs no more than that the shim checks the answer itself.
"""

from __future__ import annotations

from typing import Any

_NOTES = ("$comment", "$id", "$schema", "default", "deprecated", "description", "examples", "title")
_VALUES = ("additionalItems", "const", "enum", "required", "type", "minItems", "maxItems", "minLength", "maxLength")
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_PLAIN = frozenset((*_NOTES, *_VALUES, *_NUMBERS, "$ref"))
"""Keywords whose values are no schemas."""

_SCHEMAS = frozenset({"additionalProperties", "items"})
_LISTS = frozenset({"anyOf", "prefixItems"})
_MAPS = frozenset({"$defs", "definitions", "properties"})


def is_plain_schema(schema: Any) -> bool:
    """Whether a JSON schema, `true` or `false` included, has nothing but keywords that xgrammar knows."""
    pending = [schema]
    while pending:
        current = pending.pop()
        if isinstance(current, bool):
            continue
        if not isinstance(current, dict):
            return False
        for keyword, value in current.items():
            if keyword in _SCHEMAS:
                pending.append(value)
            elif keyword in _LISTS and isinstance(value, list):
                pending += value
            elif keyword in _MAPS and isinstance(value, dict):
                pending += value.values()
            elif keyword not in _PLAIN:
                return False
    return True
