"""A client's mistakes as errors in OpenAI's words: one sentence for a person, and the path of the field in `param`.

`convert` checks JSON data against a msgspec type; `missing`, `wrong_type`, `bad_value` and `unsupported` make the
errors that code of our own raises. A path reads as in OpenAI's errors: `input[2].content[0].text`.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from responses_shim.errors import InvalidRequest

MAX_DEPTH = 100
"""How deep arrays and objects may be nested: no real schema or call comes near, and hosts fail on what is deeper."""

_SHORT = reprlib.Repr()  # cuts long values and deep ones
_SHORT.maxstring = 100

_TYPE_NAMES = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}

_json_lines = msgspec.json.Encoder().encode_lines
_NO_OPENING_BRACKETS = bytes(set(range(256)) - set(b"{[\n"))


def convert(value: Any, kind: Any, path: str = "") -> Any:
    """Check `value` (JSON data) against the msgspec type `kind`, and return it as that type.

    Raises InvalidRequest that names the first wrong field, as a path that begins with `path`.
    """
    try:
        return _convert(value, kind)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), kind, path) from None


def _convert(value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except SystemError:  # msgspec before 0.22, at an integer beyond any float; its JSON reader names the field
        return msgspec.json.decode(json.dumps(value), type=kind)


def missing(param: str) -> InvalidRequest:
    """The error for a field that is required and is absent or null."""
    return InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def unsupported(param: str, explanation: str) -> InvalidRequest:
    """The error for what the API has and this server does not; the explanation says what to do instead."""
    return InvalidRequest(f"Unsupported parameter: {explanation}", param=param, code="unsupported_parameter")


def bad_value(param: str, got: object, supported: list[str]) -> InvalidRequest:
    """The error for a value that is not one of those supported."""
    return InvalidRequest(
        f"Invalid value: {quoted(got)}. Supported values are: {_listed(supported)}.",
        param=param,
        code="invalid_value",
    )


def wrong_type(param: str, expected: str) -> InvalidRequest:
    """The error for a value of another JSON type than the expected one (`a string`, `an array of objects`)."""
    return InvalidRequest(f"Invalid type for '{param}': expected {expected}.", param=param, code="invalid_type")


def quoted(got: object) -> str:
    """A client's value as an error message quotes it: in at most 80 characters, however long it is."""
    text = _SHORT.repr(got)
    return text if len(text) <= 80 else text[:77] + "…"


def required_string(fields: dict[str, Any], key: str, path: str) -> str:
    """The string at `key`. Raises InvalidRequest that names `path.key` if it is missing or of another type."""
    value = fields.get(key)
    if isinstance(value, str):
        return value
    raise missing(f"{path}.{key}") if value is None else wrong_type(f"{path}.{key}", "a string")


def check_depth(value: Any, path: str) -> None:
    """Raise InvalidRequest if more than `MAX_DEPTH` arrays and objects are nested in one another in `value`."""
    if too_deep(value):
        raise nested_too_deep(path)


def nested_too_deep(path: str) -> InvalidRequest:
    """The error for JSON that is nested deeper than `MAX_DEPTH`: hosts answer it with a 500, or not at all."""
    return InvalidRequest(
        f"Invalid '{path}': nested more than {MAX_DEPTH} levels deep.", param=path, code="invalid_value"
    )


def too_deep(value: Any) -> bool:
    """Whether more than `MAX_DEPTH` arrays and objects are nested in one another in `value`."""
    return first_too_deep([value]) is not None


def first_too_deep(values: Sequence[Any]) -> int | None:
    """The index of the first value that is nested deeper than `MAX_DEPTH`; None if there is none.

    To walk JSON data in Python takes several times as long as to write it with msgspec. So all values are written,
    one to a line, and of each line only the opening brackets are kept: `{"a": [1, {}]}` leaves `{[{`. A line with no
    more than `MAX_DEPTH` of them cannot be nested deeper than that, and only the others are walked.
    """
    if not values:
        return None
    try:
        brackets = _json_lines(values).translate(None, _NO_OPENING_BRACKETS).split(b"\n")
    except (RecursionError, ValueError, TypeError, OverflowError):  # too deep for msgspec too; or not JSON after all
        brackets = [b"[" * (MAX_DEPTH + 1)] * len(values)
    if len(max(brackets, key=len)) <= MAX_DEPTH:
        return None
    suspects = (index for index, line in enumerate(brackets) if len(line) > MAX_DEPTH)
    return next((index for index in suspects if _is_too_deep(values[index])), None)


def _is_too_deep(value: Any) -> bool:
    """Peel one layer of arrays and objects off after the other, without recursion, until nothing is left."""
    layer = [value]
    for _ in range(MAX_DEPTH + 1):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return False
    return True


def _invalid(message: str, kind: Any, base: str) -> InvalidRequest:
    """Reword a message of msgspec's, such as "Expected `int`, got `str` - at `$.a[0].b`"."""
    parsed = re.fullmatch(r"(?P<problem>.*)(?: - at (?P<key>`key` in )?`\$(?P<path>.*?)`)", message, re.DOTALL)
    msgspec_path = (parsed["path"] or "").replace("[...]", "") if parsed else ""
    path = base + (msgspec_path if base else msgspec_path.removeprefix("."))
    problem = parsed["problem"] if parsed else message
    if field := re.fullmatch(r"Object missing required field `(.*)`", problem):
        return missing(f"{path}.{field[1]}" if path else field[1])
    if value := re.fullmatch(r"Invalid (?:enum )?value (.*)", problem):
        supported = _supported(kind, msgspec_path)
        got = value[1].strip("'")
        if supported:
            return bad_value(path, got, supported)
        return InvalidRequest(f"Invalid value: '{got}'.", param=path or None, code="invalid_value")
    if types := re.fullmatch(r"Expected `([^`<>]*)`, got `([^`]*)`", problem):
        expected = [_TYPE_NAMES.get(name, name) for name in types[1].split(" | ") if name != "null"]
        return InvalidRequest(
            f"Invalid type for '{path or 'body'}': expected {' or '.join(expected)}, "
            f"but got {_TYPE_NAMES.get(types[2], types[2])} instead.",
            param=path or None,
            code="invalid_type",
        )
    problem = re.sub(r"`(\w+)`", lambda name: _TYPE_NAMES.get(name[1], name[1]), problem)
    if parsed and parsed["key"]:
        problem = f"of a key, {problem[:1].lower()}{problem[1:]}"
    return InvalidRequest(
        f"Invalid '{path or 'body'}': {problem[:1].lower()}{problem[1:]}.",
        param=path or None,
        code="invalid_value",
    )


def _supported(kind: Any, msgspec_path: str) -> list[str]:
    """The values that a Literal, or the tags that a tagged union, allows at `msgspec_path` below `kind`."""
    for step in re.findall(r"\.(\w+)|\[[^\]]*\]", msgspec_path):
        options = [kind, *get_args(kind)]
        if step == "type":
            tags = [option.__struct_config__.tag for option in options if hasattr(option, "__struct_config__")]
            if any(tags):
                return [str(tag) for tag in tags]
        structs = [option for option in options if hasattr(option, "__struct_fields__")]
        kind = (
            next((hints[step] for struct in structs if step in (hints := get_type_hints(struct))), None)
            if step
            else next((get_args(option)[-1] for option in options if get_origin(option) is list), None)
        )
    return [
        str(value) for option in (kind, *get_args(kind)) if get_origin(option) is Literal for value in get_args(option)
    ]


def _listed(values: list[str]) -> str:
    """`'a', 'b' and 'c'`."""
    marked = [f"'{value}'" for value in values]
    return marked[0] if len(marked) == 1 else ", ".join(marked[:-1]) + f" and {marked[-1]}"
