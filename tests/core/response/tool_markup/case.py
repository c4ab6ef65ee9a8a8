"""An answer of a model with calls in it, and what is read in it."""

from __future__ import annotations

from typing import NamedTuple

from responses_shim.core.response.tool_markup import Form

Calls = list[tuple[str, str]]

WEATHER = ("get_weather", '{"city": "Paris"}')
TIME = ("get_time", "{}")


class Case(NamedTuple):
    """An answer, and what is read in it: the calls with their arguments, and the text."""

    name: str
    answer: str
    calls: Calls
    text: str = ""
    form: Form = "hermes"
    required: bool = False
