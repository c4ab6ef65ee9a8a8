"""What a form of tool-call markup is made of, as data, and how a pattern is matched against text as it comes.

A family of models writes its calls in a *block*: an opener, calls, a closer. A call is a *head* with the function's
name, then arguments, then a closer. For example, this call

    <tool_call><function=get_weather><parameter=city>Paris</parameter></function></tool_call>

is read by this data:

    Block("qwen3_coder", "<tool_call>", (
        CallForm(("<function=", NAME, ">"), "parameters", ("</function>",),
                 ParameterForm(("<parameter=", KEY, ">"), "</parameter>")),
    ), ("</tool_call>",))

A pattern is a sequence of literal texts, of holes (`NAME`, `KEY`), of `SPACE` (white space or none), and of literals
that may be missing (`Maybe`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

from msgspec import Struct

from responses_shim.core.response.tool_markup.source import NOT_SPACE

TRIGGERS = "<[]`"
"""The characters with which markup may begin within a text. `filters.MARKUP_CHARACTERS` has them all."""
MAX_HOLE = 64
"""The most characters of a name: that of a function, of a parameter, of a call."""


class Hole(Struct, frozen=True):
    """A part of a pattern that is not always the same: `key` names it, and `pattern` says of what it may consist."""

    key: str
    pattern: re.Pattern[str]


class Maybe(Struct, frozen=True):
    """A literal that may be missing."""

    literal: str


class Space(Struct, frozen=True):
    """White space, or nothing."""


SPACE = Space()
NAME = Hole("name", re.compile(r"[\w.:/-]+"))
KEY = Hole("key", re.compile(r"[^\s<>=\"'][^<>=\"'\n]*"))
ATTRIBUTES = Hole("attributes", re.compile(r"[^<>]*"))
CALL_ID = Hole("id", re.compile(r"[\w-]+"))
CHANNEL = Hole("channel", re.compile(r"[a-z]+"))

Pattern: TypeAlias = "tuple[str | Hole | Maybe | Space, ...]"


class Match(NamedTuple):
    """A pattern was found: where the text goes on behind it, and what is in its holes."""

    end: int
    values: dict[str, str]


PENDING = Match(-1, {})
"""More text may make it a match."""


def match(pattern: Pattern, text: str, position: int, plausible: Callable[[str], bool] | None = None) -> Match | None:
    """Match `pattern` at `position`: a `Match`; `PENDING` if the text ends before that is decided; None if not.

    `plausible` says of the beginning of a function's name whether it may go on to be one that is known.
    """
    values: dict[str, str] = {}
    for element in pattern:
        if isinstance(element, str):
            if not text.startswith(element, position):
                return PENDING if element.startswith(text[position : position + len(element)]) else None
            position += len(element)
        elif isinstance(element, Space):
            found = NOT_SPACE.search(text, position)
            end = found.start() if found is not None else len(text)
            if end - position > MAX_HOLE:
                return None
            position = end
        elif isinstance(element, Maybe):
            rest = text[position : position + len(element.literal)]
            if rest == element.literal:
                position += len(rest)
            elif element.literal.startswith(rest):
                return PENDING
        else:
            found = element.pattern.match(text, position)
            end = found.end() if found is not None else position
            if end - position > MAX_HOLE:
                return None
            if end == len(text):
                known = plausible is None or element.key != "name" or plausible(text[position:end])
                return PENDING if known else None
            if found is None:
                return None
            values[element.key] = found[0]
            position = end
    return Match(position, values)


Form = Literal[
    "hermes",
    "qwen3_coder",
    "glm",
    "kimi_k2",
    "kimi_k3",
    "deepseek_v3",
    "deepseek_dsml",
    "step3",
    "minimax",
    "minimax_m3",
    "gemma4",
    "mistral",
    "llama3_json",
    "pythonic",
    "harmony",
]
"""The forms that can be chosen, as values of the setting `tool_markup`."""

Body = Literal["object", "json", "parameters", "elements", "braces", "python"]
"""How arguments are written.

- `object`: one JSON object has both name and arguments: `{"name": "f", "arguments": {"a": 1}}`
- `json`: a JSON object has the arguments: `{"a": 1}`
- `parameters`: each in markup of its own: `<parameter=a>1</parameter>`
- `elements`: each in tags of its own name, and what is in an array or object too: `<a><item>1</item></a>`
- `braces`: like JSON, with bare keys and strings in quotes of the form's own: `{a:<|"|>x<|"|>}`
- `python`: the call is Python's: `f(a=1)`, or a list of such calls
"""


class ParameterForm(Struct, frozen=True):
    """How one parameter is written.

    - `opener`: a pattern with the hole `key`, up to the value
    - `closer`: what ends the value
    - `trims`: a line end at the beginning and one at the end of the value belong to the markup
    - `cdata`: a value may be in a CDATA section of XML
    - `first`: the first closer ends the value, whatever is behind it
    """

    opener: Pattern
    closer: str
    trims: bool = False
    cdata: bool = False
    first: bool = False


class CallForm(Struct, frozen=True):
    """How one call is written within a block.

    - `head`: what it begins with, up to the arguments; for `object` and `python` only what shows that it is one
    - `closers`: what may end it, the usual one first
    - `quote`: for `braces`, the quotes of strings
    - `mark`: for `elements`, what is before each tag
    - `glues_names`: models leave out the tag between the function's name and that of its first parameter
    """

    head: Pattern
    body: Body
    closers: tuple[str, ...] = ()
    parameters: ParameterForm | None = None
    quote: str = '"'
    mark: str = ""
    glues_names: bool = False


class Block(Struct, frozen=True):
    """How calls are set apart from text.

    - `form`: the form that it belongs to
    - `opener`: the literal by which a block is recognised
    - `calls`: the forms of a call in it; the first that fits counts
    - `closers`: what may end it. Without any it ends where no further call follows
    - `inner`: more openers that may come before a call
    - `bare`: `opener` is the beginning of a call, and the block itself has none
    - `leading`: it counts only at the beginning of an answer, since text might begin with the opener too
    """

    form: Form
    opener: str
    calls: tuple[CallForm, ...]
    closers: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()
    bare: bool = False
    leading: bool = False
