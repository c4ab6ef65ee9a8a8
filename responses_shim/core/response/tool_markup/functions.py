"""The functions that a model may call, by the names that it gives them in its markup."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

_DECORATED = re.compile(r"(?:functions?[._])?(?P<numbered>(?P<name>.+?)(?:[:_]\d+|\.call)?)")
"""A name as Kimi writes it: `functions.get_weather:0`, or `functions_get_weather_0` after a client has changed that.

Llama 3.1 writes `brave_search.call`.
"""


class Function(NamedTuple):
    """A function under the name that it was offered by, with the JSON schema of its parameters."""

    name: str
    schema: dict[str, Any]

    @property
    def properties(self) -> dict[str, Any]:
        """The schemas of its parameters by their names."""
        properties = self.schema.get("properties")
        return properties if isinstance(properties, dict) else {}


class Functions:
    """The functions that were offered to a model.

    - `schemas`: the JSON schema of each one's parameters, by its name
    - `resolve`: the function that is meant by a name that is not quite its own; None if none is
    """

    def __init__(
        self, schemas: Mapping[str, dict[str, Any]], resolve: Callable[[str], str | None] = lambda name: None
    ) -> None:
        self._schemas = schemas
        self._resolve = resolve

    def find(self, spelling: str) -> Function | None:
        """The function that a model calls by this name; None if it was not offered."""
        decorated = _DECORATED.fullmatch(spelling)
        # A function's own name may end with a number.
        bare = (decorated["numbered"], decorated["name"]) if decorated is not None else ()
        for name in (spelling, *bare):
            known: str | None = name if name in self._schemas else self._resolve(name)
            if known is not None and known in self._schemas:
                return Function(known, self._schemas[known])
        return None

    def exactly(self, name: str) -> Function | None:
        """The function of that very name; None if there is none."""
        return Function(name, self._schemas[name]) if name in self._schemas else None

    def begins(self, name: str) -> bool:
        """Whether the name of a function begins so."""
        return any(known.startswith(name) for known in self._schemas)

    def beginning(self, text: str) -> Function | None:
        """The function with whose name a text begins, the longest of them; None if it begins with none."""
        name = max((name for name in self._schemas if text.startswith(name)), key=len, default=None)
        return self.exactly(name) if name is not None else None
