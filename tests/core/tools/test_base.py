"""Declarations and choices in the form of chat completions, which clients send out of habit."""

from __future__ import annotations

import pytest

from responses_shim.core.tools.base import flattened
from tests.core.driver import Json


@pytest.mark.parametrize(
    ("nested", "flat"),
    [
        ({"type": "function", "function": {"name": "f"}}, {"type": "function", "name": "f"}),
        ({"type": "custom", "custom": {"name": "c"}}, {"type": "custom", "name": "c"}),
        ({"type": "allowed_tools", "allowed_tools": {"tools": []}}, {"type": "allowed_tools", "tools": []}),
        ({"type": "function", "strict": True, "function": {"name": "f"}}, {"type": "function", "name": "f"}),
    ],
)
def test_what_is_nested_as_in_chat_completions_is_flattened(nested: Json, flat: Json) -> None:
    assert flattened(nested) == flat


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "name": "f"},
        {"type": "function", "function": "f"},
        {"type": "custom", "function": {"name": "c"}},
        {"type": "shell", "shell": {}},
        {"type": [], "function": {}},
        {"function": {"name": "f"}},
    ],
)
def test_anything_else_stays_as_it_is(tool: Json) -> None:
    assert flattened(tool) is tool
