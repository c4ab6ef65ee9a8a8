r"""The form of calls that a model's own `response_template` describes, in the terms of this package.

Hugging Face's tokenizers may have one since transformers 5.13 (`utils/chat_parsing` there). It is JSON data that says
how the text of an answer is taken apart; of its fields the one for calls counts here. For example

    {"fields": {"tool_calls": {
        "open_pattern": "<call>\\s*<f:(?P<name>\\w+)>",
        "close": "</call>",
        "content": "xml-inline",
        "content_args": {"tag_pattern": "<arg name=(?P<key>\\w+)>(?P<value>.*?)</arg>"},
        "transform": {"type": "function", "function": {"name": "{name}", "arguments": "{content}"}}}}}

becomes a block that begins with `<call>`. Where the block is one that is known, the known form is used: it gets along
with much that models write and their templates do not say. What cannot be translated is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from responses_shim.core.response.tool_markup.forms import BLOCKS, OBJECT, marked_form
from responses_shim.core.response.tool_markup.grammar import (
    KEY,
    NAME,
    SPACE,
    TRIGGERS,
    Block,
    Body,
    CallForm,
    Form,
    Hole,
    Maybe,
    ParameterForm,
    Pattern,
    Space,
)
from responses_shim.core.response.tool_markup.json_body import ARGUMENTS_KEYS, NAME_KEYS

MIN_OPENER = 4
"""The shortest opener, in characters: anything may begin with a shorter one."""
MAX_PATTERN = 500
"""The longest regular expression that is looked at."""

_VALUE = Hole("value", re.compile(""))  # stands for a parameter's value, and is never matched
_HOLES = {"name": NAME, "key": KEY, "value": _VALUE}
_PART = re.compile(
    r"""
      (?P<space>\\s[*+]\??)
    | \(\?P<(?P<hole>name|key|value)>(?:\\w|\.|\[\^?(?:\\.|[^\]\\])+\])[*+]\??\)
    | \(\?:(?P<optional>(?:\\[^\w\s]|\\n|[^\\()\[\]{}*+?.|^$])+)\)\?
    | (?P<literal>\\[^\w\s]|\\n|[^\\()\[\]{}*+?.|^$])(?P<maybe>\??)(?![*+{])
    """,
    re.VERBOSE,
)
_PLACEHOLDER = re.compile(r"\{(?:content\.)?(\w+)\}")


class TemplateForm(NamedTuple):
    """What a response template says: the form, if it is a known one, or else the blocks that it describes."""

    form: Form | None = None
    blocks: tuple[Block, ...] = ()


class _Unknown(ValueError):
    """The template says something that cannot be said in the terms of this package."""


def template_form(template: Mapping[str, Any] | None) -> TemplateForm:
    """The form of calls that a response template describes; neither form nor blocks if that cannot be translated."""
    fields = template.get("fields") if template is not None else None
    field = fields.get("tool_calls") if isinstance(fields, Mapping) else None
    if not isinstance(field, Mapping):
        return TemplateForm()
    try:
        blocks = _blocks(field)
    except _Unknown:
        return TemplateForm()
    if not all(block.opener[0] in TRIGGERS and len(block.opener) >= MIN_OPENER for block in blocks):
        return TemplateForm()
    for block in blocks:
        known = next((each for each in BLOCKS if not each.leading and _same_opener(each.opener, block.opener)), None)
        if known is not None:
            literals = "".join(each for each in block.calls[0].head if isinstance(each, str))
            return TemplateForm(marked_form(block.opener + literals) or known.form)
    return TemplateForm(None, blocks)


def _same_opener(known: str, opener: str) -> bool:
    return known.startswith(opener) or opener.startswith(known)


def _blocks(field: Mapping[str, Any]) -> tuple[Block, ...]:
    closers = _closers(field)
    openers = _strings(field.get("open"))
    if openers:
        if field.get("content") != "json" or not _has_object(field):
            raise _Unknown
        return tuple(Block("hermes", opener, (OBJECT,), closers) for opener in openers)
    head = _pattern(field.get("open_pattern"))
    if not head or not isinstance(head[0], str) or [each for each in head if isinstance(each, Hole)] != [NAME]:
        raise _Unknown
    if _function(field) != {"name": "{name}", "arguments": "{content}"}:
        raise _Unknown
    body, quote, parameters = _body(field)
    call = CallForm(head, body, closers, parameters, quote)
    return (Block("hermes", head[0], (call,), closers, bare=True),)


def _body(field: Mapping[str, Any]) -> tuple[Body, str, ParameterForm | None]:
    """How the arguments behind a name are written."""
    options = field.get("content_args")
    options = options if isinstance(options, Mapping) else {}
    if field.get("content") == "xml-inline":
        return "parameters", '"', _parameters(_pattern(options.get("tag_pattern")))
    if field.get("content") != "json":
        raise _Unknown
    if not options.get("unquoted_keys") and not options.get("string_delims"):
        return "json", '"', None
    match options.get("string_delims"):
        case [[str(opening), str(closing)]] if opening == closing:
            return "braces", opening, None
        case None | []:
            return "braces", '"', None
    raise _Unknown


def _parameters(pattern: Pattern) -> ParameterForm:
    """The form of a parameter: what is before its value, and the literal behind that."""
    holes = [each for each in pattern if isinstance(each, Hole)]
    if holes != [KEY, _VALUE]:
        raise _Unknown
    index = pattern.index(_VALUE)
    opener, closer = [*pattern[:index]], [*pattern[index + 1 :]]
    trims = bool(closer) and isinstance(closer[0], (Space, Maybe)) and isinstance(opener[-1], (Space, Maybe))
    if trims:
        del opener[-1], closer[0]
    match closer:
        case [str(literal)] if opener and isinstance(opener[0], str):
            return ParameterForm(tuple(opener), literal, trims=trims, first=True)
    raise _Unknown


def _function(field: Mapping[str, Any]) -> Any:
    """What the template makes of the parts of a call."""
    transform = field.get("transform")
    return transform.get("function") if isinstance(transform, Mapping) else None


def _has_object(field: Mapping[str, Any]) -> bool:
    """Whether the JSON in the markup is a call, as it is read: name and arguments under one of the usual keys."""
    function = _function(field)
    if function == "{content}":
        return True
    if not isinstance(function, Mapping):
        return False
    keys = [_PLACEHOLDER.fullmatch(str(function.get(part))) for part in ("name", "arguments")]
    name, arguments = (key[1] if key is not None else None for key in keys)
    return name in NAME_KEYS and arguments in ARGUMENTS_KEYS


def _closers(field: Mapping[str, Any]) -> tuple[str, ...]:
    closers = _strings(field.get("close"))
    if closers or "close_pattern" not in field:
        return closers
    literals = [each for each in _pattern(field["close_pattern"]) if not isinstance(each, (Space, Maybe))]
    match literals:
        case [str(literal)]:
            return (literal,)
    raise _Unknown


def _strings(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(each for each in values if isinstance(each, str) and each)


def _pattern(expression: Any) -> Pattern:
    """A regular expression as a pattern: literals, white space, named groups and what may be missing, nothing else."""
    if not isinstance(expression, str) or len(expression) > MAX_PATTERN:
        raise _Unknown
    pattern: list[str | Hole | Maybe | Space] = []
    position = 0
    while position < len(expression):
        found = _PART.match(expression, position)
        if found is None:
            raise _Unknown
        position = found.end()
        if found["space"]:
            pattern.append(SPACE)
        elif found["hole"]:
            pattern.append(_HOLES[found["hole"]])
        elif found["optional"] or found["maybe"]:
            pattern.append(Maybe(_unescaped(found["optional"] or found["literal"])))
        elif pattern and isinstance(pattern[-1], str):
            pattern[-1] += _unescaped(found["literal"])
        else:
            pattern.append(_unescaped(found["literal"]))
    return tuple(pattern)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda escape: "\n" if escape[1] == "n" else escape[1], text)
