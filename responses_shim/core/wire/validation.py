"""A client's mistakes as errors in OpenAI's words: one sentence for a person, and the path of the field in `param`.

`convert` checks JSON data against a msgspec type; `missing`, `wrong_type`, `bad_value` and `unsupported` make the
errors that code of our own raises. A path reads as in OpenAI's errors: `input[2].content[0].text`.
"""

from __future__ import annotations

import json
import re
import reprlib
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from responses_shim.errors import InvalidRequest

MAX_DEPTH = 100
"""How deep arrays and objects may be nested, those of the request body included.

No real schema or call comes near. Parsers and writers of JSON, Python's and those of hosts, give up somewhere between
300 and 1,000 levels, each at another depth; all of them take 100.
"""
MAX_STRING = 10 * 1024 * 1024
"""The longest text of a request in one string, in characters: OpenAI's limit. Data URLs may be longer."""

_SHORT = reprlib.Repr()  # cuts long values and deep ones
_SHORT.maxstring = 100

_MAX_MESSAGE = 1000  # characters of a message of msgspec's that are read

_TYPE_NAMES = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}

_json = msgspec.json.Encoder().encode
_NO_OPENING_BRACKETS = bytes(set(range(256)) - set(b"{["))


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


def check_objects(values: list[Any], path: str) -> None:
    """Raise InvalidRequest that names the first entry of an array, as in `input[3]`, that is not an object."""
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            convert(value, dict[str, Any], f"{path}[{index}]")


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


def too_long(param: str, length: int, maximum: int) -> InvalidRequest:
    """The error for a string of more than `maximum` characters."""
    return InvalidRequest(
        f"Invalid '{param}': string too long. Expected a string with maximum length {maximum}, "
        f"but got a string with length {length} instead.",
        param=param,
        code="string_above_max_length",
    )


def array_too_long(param: str, maximum: int) -> InvalidRequest:
    """The error for an array of more than `maximum` entries."""
    return InvalidRequest(
        f"Invalid '{param}': array too long. Expected an array with maximum length {maximum}.",
        param=param,
        code="array_above_max_length",
    )


def quoted(got: object) -> str:
    """A client's value as an error message quotes it: in at most 80 characters, however long it is."""
    text = _SHORT.repr(got)
    return text if len(text) <= 80 else text[:77] + "…"


def required_string(fields: dict[str, Any], key: str, path: str, maximum: int | None = MAX_STRING) -> str:
    """The string at `key`, of at most `maximum` characters (None: of any number).

    Raises InvalidRequest that names `path.key` if it is missing, of another type or too long.
    """
    value = fields.get(key)
    if isinstance(value, str):
        if maximum is not None and len(value) > maximum:
            raise too_long(f"{path}.{key}", len(value), maximum)
        return value
    raise missing(f"{path}.{key}") if value is None else wrong_type(f"{path}.{key}", "a string")


def check_depth(value: Any, path: str) -> None:
    """Raise InvalidRequest if more than `MAX_DEPTH` arrays and objects are nested in one another in `value`.

    For JSON data that did not come in a request's body, which `json_limits.check_json_limits` has checked: what is in
    a string of it, or what an interceptor has made of it.
    """
    if too_deep(value):
        raise nested_too_deep(path)


def nested_too_deep(path: str) -> InvalidRequest:
    """The error for JSON that is nested deeper than `MAX_DEPTH`; `path` is `""` if the field is not known."""
    return InvalidRequest(
        f"Invalid '{path or 'body'}': nested more than {MAX_DEPTH} levels deep.",
        param=path or None,
        code="invalid_value",
    )


def too_deep(value: Any) -> bool:
    """Whether more than `MAX_DEPTH` arrays and objects are nested in one another in `value`.

    To walk JSON data in Python takes several times as long as to write it with msgspec. So it is written, and only the
    opening brackets are kept: `{"a": [1, {}]}` leaves `{[{`. No more than `MAX_DEPTH` of them cannot be nested deeper
    than that, and only if there are more the data is walked.
    """
    try:
        if len(_json(value).translate(None, _NO_OPENING_BRACKETS)) <= MAX_DEPTH:
            return False
    except (RecursionError, ValueError, TypeError, OverflowError):  # too deep for msgspec too; or not JSON after all
        pass
    return _is_too_deep(value)


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
    if len(message) > _MAX_MESSAGE:  # it quotes a value, and the path is at its end
        message = f"{message[: _MAX_MESSAGE // 2]}…{message[-_MAX_MESSAGE // 2 :]}"
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
        return InvalidRequest(f"Invalid value: {quoted(got)}.", param=path or None, code="invalid_value")
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
