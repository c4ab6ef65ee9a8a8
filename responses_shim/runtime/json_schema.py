"""Checks JSON against a JSON schema that a client has sent, within bounds.

The validator is the library `jsonschema`, from the extra `schema`. A client chooses the schema, and through the prompt
also what is checked against it, so either may be made to hurt:

- A `$ref` to another document is refused; nothing is ever fetched.
- A check takes at most `MAX_SECONDS`: a schema that branches into itself may take any time. The library is pure Python,
  so that it can be stopped between two keywords, and does not hold the interpreter while it runs in a worker thread.
- A `pattern` may take time that is exponential in the length of the text, and Python's `re`, which the library uses,
  cannot be stopped. So the keywords with patterns are checked with the library `regex`, which takes a timeout.
- A check goes at most `MAX_DEPTH` keywords deep: a reference may lead back to itself.
- A schema larger than `MAX_SCHEMA` is refused.

Whatever breaks a bound counts as not valid.

`format` is checked for dates, times, e-mail and IP addresses and UUIDs: clients that ask for these fail on others.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import Any

import msgspec

from responses_shim.core.wire.large_json import encode_large, size_of_json
from responses_shim.errors import InvalidRequest

logger = logging.getLogger("responses_shim")

Json = Any
Keyword = Callable[[Any, Any, Any, Any], "Iterator[Any] | None"]
"""What the library calls for a keyword: with the validator, the keyword's value, the instance, the schema around it."""

MAX_SCHEMA = 256 * 1024
"""The size of the largest schema, in bytes of JSON. Checking that one is a valid schema takes about 7 µs a byte."""
MAX_SECONDS = 5.0
"""How long one check may take."""
MAX_MESSAGE = 200
"""How many characters of the library's explanation are kept: it quotes the instance."""
KEPT = 32
"""How many schemas are kept ready. Agents send the same one every turn."""
MAX_KEPT = 64 * 1024
"""The size of the largest schema that is kept, in bytes of JSON. It may take twenty times that in memory."""

MAX_DEPTH = 250
"""How many keywords one within another are checked. Each takes three frames of Python's stack of 1,000."""

_bounds: ContextVar[_Bounds] = ContextVar("bounds")
_FRACTION = re.compile(r"\.\d+")
_PATH = "text.format.schema"
_TOO_DEEP = f"it cannot be checked against {_PATH}, which leads back to itself or is nested too deep"


class SchemaCheck:
    """One schema, ready to check JSON data against. Thread-safe."""

    def __init__(self, validator: Any) -> None:
        self._validator = validator

    def problem(self, value: Json) -> str | None:
        """Why `value` is not valid, in one line with the path in it; None if it is."""
        from jsonschema.exceptions import ValidationError
        from referencing.exceptions import Unresolvable

        _bounds.set(_Bounds(time.monotonic() + MAX_SECONDS))
        try:
            found: ValidationError | None = next(self._validator.iter_errors(value), None)
        except TimeoutError:
            return f"it takes more than {MAX_SECONDS:g} s to check it against {_PATH}"
        except RecursionError:
            return _TOO_DEEP
        except Unresolvable as unresolvable:
            return f"{_PATH} has a reference to nothing, {str(unresolvable)[:MAX_MESSAGE]}"
        except Exception as error:  # the library expects well-meant schemas
            return f"it cannot be checked against {_PATH} ({type(error).__name__})"
        except BaseException as error:
            # Below the library is one in Rust, which panics where it meets the recursion limit.
            if type(error).__name__ != "PanicException":
                raise
            return _TOO_DEEP
        return None if found is None else f"{found.json_path[:MAX_MESSAGE]}: {found.message[:MAX_MESSAGE]}"


def schema_check(schema: dict[str, Any]) -> SchemaCheck | None:
    """The check for a schema; None if the extra `schema` is not installed, which is logged once.

    Raises InvalidRequest if it is no valid schema, or none that can be checked here. It may take seconds for a new
    schema, and no time for one of the last `KEPT` that are not large.
    """
    if not _is_installed():
        return None
    if size_of_json(schema) > MAX_SCHEMA:
        raise _invalid(f"it has more than {MAX_SCHEMA} bytes")
    encoded = encode_large(schema)
    return _kept(encoded) if len(encoded) <= MAX_KEPT else _compiled(encoded)


@lru_cache(maxsize=1)
def _is_installed() -> bool:
    if all(find_spec(name) is not None for name in ("jsonschema", "regex")):
        return True
    logger.warning(
        "answers cannot be checked against text.format.schema: beside tools those with strict are asked for twice; "
        "to have them checked, pip install 'responses-shim[schema]'"
    )
    return False


@lru_cache(maxsize=KEPT)
def _kept(encoded: bytes) -> SchemaCheck:
    return _compiled(encoded)


def _compiled(encoded: bytes) -> SchemaCheck:
    from jsonschema import FormatChecker
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for

    schema = msgspec.json.decode(encoded)
    try:
        dialect = validator_for(schema, default=Draft202012Validator)
        dialect.check_schema(schema, format_checker=FormatChecker(()))  # patterns are looked at below
        _check_patterns(schema)
        # The library would go over to its own keywords where a `$schema` is found.
        schema = _without_dialects(schema)
        _check_references(schema, dialect)
        return SchemaCheck(_bounded(dialect)(schema, format_checker=_formats(), registry=_no_documents()))
    except SchemaError as error:
        raise _invalid(f"{error.json_path[:MAX_MESSAGE]}: {error.message[:MAX_MESSAGE]}") from None
    except RecursionError:
        raise _invalid("it is nested too deep") from None
    except (TypeError, ValueError, AttributeError, LookupError) as error:  # the library expects well-meant schemas
        raise _invalid(f"it cannot be read ({type(error).__name__})") from None


def _invalid(reason: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid '{_PATH}': {reason}.", param=_PATH, code="invalid_json_schema")


# What is checked of a schema beforehand ------------------------------------------------------------------------------


def _schemas_in(value: Json) -> Iterator[dict[str, Any]]:
    """Every object anywhere in a schema; most are schemas, and some are values or maps of schemas."""
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            yield value
            stack += value.values()
        elif isinstance(value, list):
            stack += value


def _check_patterns(schema: Json) -> None:
    """Raise InvalidRequest for a pattern that is none, or that cannot be checked."""
    import regex

    has_unevaluated = any("unevaluatedProperties" in inner for inner in _schemas_in(schema))
    for inner in _schemas_in(schema):
        named = inner.get("patternProperties")
        patterns = [*named] if isinstance(named, dict) else []
        if isinstance(pattern := inner.get("pattern"), str):
            patterns.append(pattern)
        for pattern in patterns:
            try:
                regex.compile(pattern)
            except (regex.error, RecursionError, OverflowError) as error:
                raise _invalid(f"the pattern {pattern[:MAX_MESSAGE]!r} cannot be read: {error}") from None
        if named and has_unevaluated:
            raise _invalid("unevaluatedProperties cannot be checked where there are patternProperties")


def _without_dialects(schema: Json) -> Json:
    """A copy of a schema without any `$schema`."""
    if isinstance(schema, list):
        return [_without_dialects(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_dialects(inner) for key, inner in schema.items() if key != "$schema" or not isinstance(inner, str)
    }


def _check_references(schema: Json, dialect: Any) -> None:
    """Raise InvalidRequest for a `$ref` that leads out of the schema, or to no schema in it.

    A schema that gives parts of itself names (`$id`) may refer to these; whether they are there shows later.
    """
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import specification_with

    references = {inner["$ref"] for inner in _schemas_in(schema) if isinstance(inner.get("$ref"), str)}
    if not references or any(isinstance(inner.get("$id"), str) for inner in _schemas_in(schema)):
        return
    resource = specification_with(dialect.ID_OF(dialect.META_SCHEMA)).create_resource(schema)
    resolver = _no_documents().resolver_with_root(resource)
    for reference in references:
        try:
            target = resolver.lookup(reference).contents
        except Unresolvable:
            target = None
        if not isinstance(target, (dict, bool)):
            raise _invalid(f"the reference {reference[:MAX_MESSAGE]!r} leads to no schema in it")


# The bounds of a check -----------------------------------------------------------------------------------------------


def _no_documents() -> Any:
    """A registry of documents in which there is none and that fetches none."""
    from referencing import Registry

    return Registry()


@lru_cache
def _bounded(dialect: Any) -> Any:
    """The library's validator for a dialect, with keywords that keep within the bounds."""
    from jsonschema.validators import extend

    keywords = {name: _within_bounds(keyword) for name, keyword in dialect.VALIDATORS.items()}
    for name, keyword in _OWN_KEYWORDS.items():
        keywords[name] = _within_bounds(partial(keyword, dialect.VALIDATORS[name]))
    return extend(dialect, keywords)


def _within_bounds(keyword: Keyword) -> Keyword:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        bounds = _bounds.get()
        bounds.seconds_left()
        if bounds.depth == MAX_DEPTH:
            raise RecursionError
        bounds.depth += 1
        try:
            yield from keyword(validator, value, instance, schema) or ()
        finally:
            bounds.depth -= 1

    return check


@dataclass
class _Bounds:
    """The time at which a check must end, and how many keywords deep it is."""

    deadline: float
    depth: int = 0

    def seconds_left(self) -> float:
        """How long the check may still take. Raises TimeoutError if its time is over."""
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds


def _matches(pattern: str, text: str) -> bool:
    import regex

    return regex.search(pattern, text, timeout=_bounds.get().seconds_left(), concurrent=True) is not None


def _pattern(original: Keyword, validator: Any, pattern: Any, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if isinstance(instance, str) and not _matches(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(original: Keyword, validator: Any, named: Any, instance: Any, schema: Any) -> Iterator[Any]:
    for pattern, inner in named.items() if isinstance(instance, dict) else ():
        for name, value in instance.items():
            if _matches(pattern, name):
                yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional_properties(original: Keyword, validator: Any, inner: Any, instance: Any, schema: Any) -> Iterator[Any]:
    patterns = schema.get("patternProperties")
    if not patterns:
        yield from original(validator, inner, instance, schema) or ()
        return
    declared = schema.get("properties", {})
    for name, value in instance.items() if isinstance(instance, dict) else ():
        if name not in declared and not any(_matches(pattern, name) for pattern in patterns):
            yield from validator.descend(value, inner, path=name)


def _unique_items(original: Keyword, validator: Any, unique: Any, instance: Any, schema: Any) -> Iterator[Any]:
    """The library compares every two items, which takes hours for some."""
    from jsonschema.exceptions import ValidationError

    if unique and isinstance(instance, list) and len({_hashable(item) for item in instance}) < len(instance):
        yield ValidationError("it has equal items")


def _hashable(value: Json) -> Any:
    """A value that is equal for equal JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, dict):
        return frozenset((name, _hashable(inner)) for name, inner in value.items())
    if isinstance(value, list):
        return ("list", *[_hashable(inner) for inner in value])
    return ("bool", value) if isinstance(value, bool) else value


_OWN_KEYWORDS: dict[str, Callable[..., Iterator[Any]]] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}


@lru_cache(maxsize=1)
def _formats() -> Any:
    """The formats that are checked."""
    from jsonschema import FormatChecker

    formats = FormatChecker(("date", "email", "ipv4", "ipv6", "uuid"))
    formats.checks("date-time", raises=ValueError)(_is_date_time)
    formats.checks("time", raises=ValueError)(_is_time)
    return formats


def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or ("T" in value.upper() and _is_iso(value))


def _is_time(value: object) -> bool:
    return not isinstance(value, str) or _is_iso(f"2000-01-01T{value}")


def _is_iso(text: str) -> bool:
    """True for a date and time in ISO 8601; else ValueError. Python 3.10 knows neither `Z` nor every fraction."""
    datetime.fromisoformat(_FRACTION.sub("", text.upper()).replace("Z", "+00:00"))
    return True
