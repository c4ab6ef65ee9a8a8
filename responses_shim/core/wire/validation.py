"""A client's mistake said as OpenAI says it: one sentence for a person, and the path of the field in `param`."""

from __future__ import annotations

import json
import re
import reprlib
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from responses_shim.errors import InvalidRequest

MAX_DEPTH = 100
"""No schema nests deeper, and no call's arguments do; what does, hosts and JSON writers fail on."""

_SHORT = reprlib.Repr()  # of whatever stands there, however deep
_SHORT.maxstring = 100

_NAMES = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}


def convert(value: Any, kind: Any, path: str = "") -> Any:
    """`value` (plain JSON data) as the msgspec type `kind`; InvalidRequest names the field below `path`."""
    try:
        return _converted(value, kind)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), kind, path) from None


def _converted(value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except SystemError:  # of msgspec before 0.22, for an integer beyond any float; its JSON reader says which it is
        return msgspec.json.decode(json.dumps(value), type=kind)


def missing(param: str) -> InvalidRequest:
    return InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def unsupported(param: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"Unsupported parameter: {what}", param=param, code="unsupported_parameter")


def bad_value(param: str, got: object, supported: list[str]) -> InvalidRequest:
    return InvalidRequest(
        f"Invalid value: {quoted(got)}. Supported values are: {_listed(supported)}.",
        param=param,
        code="invalid_value",
    )


def quoted(got: object) -> str:
    """What a client sent, in at most 80 characters: an error is no place to send it all back."""
    said = _SHORT.repr(got)
    return said if len(said) <= 80 else said[:77] + "…"


def wrong_type(param: str, expected: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid type for '{param}': expected {expected}.", param=param, code="invalid_type")


def string(fields: dict[str, Any], key: str, path: str) -> str:
    """The string at `key`, which must be there."""
    value = fields.get(key)
    if value is None:
        raise missing(f"{path}.{key}")
    if not isinstance(value, str):
        raise wrong_type(f"{path}.{key}", "a string")
    return value


def check_depth(value: Any, path: str) -> None:
    """Refuse JSON nested deeper than any real schema: hosts answer it with a 500, or not at all."""
    if too_deep(value):
        raise InvalidRequest(
            f"Invalid '{path}': nested more than {MAX_DEPTH} levels deep.",
            param=path,
            code="invalid_value",
        )


def too_deep(value: Any) -> bool:
    """More than `MAX_DEPTH` arrays and objects stand in one another."""
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


def _invalid(said: str, kind: Any, base: str) -> InvalidRequest:
    """msgspec's `Expected `int`, got `str` - at `$.a[0].b`` in our words."""
    found = re.fullmatch(r"(?P<what>.*)(?: - at (?P<key>`key` in )?`\$(?P<at>.*?)`)", said, re.DOTALL)
    at = (found["at"] or "").replace("[...]", "") if found else ""
    path = base + (at if base else at.removeprefix("."))
    what = found["what"] if found else said
    if field := re.fullmatch(r"Object missing required field `(.*)`", what):
        return missing(f"{path}.{field[1]}" if path else field[1])
    if value := re.fullmatch(r"Invalid (?:enum )?value (.*)", what):
        supported = _supported(kind, at)
        got = value[1].strip("'")
        if supported:
            return bad_value(path, got, supported)
        return InvalidRequest(f"Invalid value: '{got}'.", param=path or None, code="invalid_value")
    if types := re.fullmatch(r"Expected `([^`<>]*)`, got `([^`]*)`", what):
        expected = [_NAMES.get(name, name) for name in types[1].split(" | ") if name != "null"]
        return InvalidRequest(
            f"Invalid type for '{path or 'body'}': expected {' or '.join(expected)}, "
            f"but got {_NAMES.get(types[2], types[2])} instead.",
            param=path or None,
            code="invalid_type",
        )
    what = re.sub(r"`(\w+)`", lambda name: _NAMES.get(name[1], name[1]), what)
    if found and found["key"]:
        what = f"of a key, {what[:1].lower()}{what[1:]}"
    return InvalidRequest(
        f"Invalid '{path or 'body'}': {what[:1].lower()}{what[1:]}.",
        param=path or None,
        code="invalid_value",
    )


def _supported(kind: Any, at: str) -> list[str]:
    """The values that a Literal, or the tags that a tagged union, allows at msgspec path `at` below `kind`."""
    for step in re.findall(r"\.(\w+)|\[[^\]]*\]", at):
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
    quoted = [f"'{value}'" for value in values]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + f" and {quoted[-1]}"
