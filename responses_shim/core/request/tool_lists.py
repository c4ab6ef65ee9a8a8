"""The tool lists of recent requests, so that one that is sent again is neither decoded nor translated again.

An agent sends the same `tools` with every turn, and to read and translate twenty of them takes longer than everything
else that is done with its request. So a list is found by the bytes of its JSON:

    lists = ToolLists()
    lists.find(b'[{"type": "shell"}]')                         # None: it is decoded and checked as any other
    lists.is_repeated(b'[{"type": "shell"}]')                  # False at first, then True: it is worth keeping
    lists.add(b'[{"type": "shell"}]', ToolList([{"type": "shell"}]), size=69)
    lists.find(b'[{"type": "shell"}]').tool_map("auto", …)     # made once

A list is kept when it comes for the second time: of a client that writes a time into its tools, nothing is.

What is kept depends on these bytes alone, whoever has sent them: a list tells one client nothing of another.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from responses_shim.core.request.unread import unread_fields
from responses_shim.core.tools.base import Tool
from responses_shim.core.tools.kinds import ToolKinds
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report

MAX_LISTS = 100
"""How many lists are kept: as many agents, or versions of them, can take turns."""
MAX_SEEN = 1000
"""How many lists are remembered that have come once."""
MAX_SIZE = 4 * 1024 * 1024
"""How large they may be together, by the measure of `ToolLists.add`. In memory they take about five times as much."""


class ToolList:
    """The `tools` of a request. It is shared by all requests that repeat it, so nothing of it is ever changed."""

    def __init__(self, tools: list[Tool]) -> None:
        self.tools = tools
        self._maps: dict[tuple[str | None, bool | None, ToolKinds], tuple[ToolMap, Report]] = {}

    @cached_property
    def unread(self) -> list[str]:
        """The paths of the fields that are read nowhere."""
        return unread_fields({"tools": self.tools})

    def tool_map(
        self, choice: str | dict[str, Any] | None, parallel: bool | None, report: Report, kinds: ToolKinds
    ) -> ToolMap:
        """The `ToolMap` of these tools for a request with no others; the parameters are those of that class.

        It is made anew only for a `tool_choice` that names tools, of which there may be any number.
        """
        if isinstance(choice, dict):
            return ToolMap(self.tools, choice, parallel, report, kinds=kinds)
        key = choice, parallel, kinds
        if key not in self._maps:
            own_report = Report()
            self._maps[key] = ToolMap(self.tools, choice, parallel, own_report, kinds=kinds), own_report
        tools, own_report = self._maps[key]
        report.include(own_report)
        return tools


NO_TOOLS = ToolList([])


class ToolLists:
    """Finds tool lists by their JSON. Of those that are too many, or too large together, the latest used are kept."""

    def __init__(self) -> None:
        self._lists: dict[bytes, tuple[ToolList, int]] = {}  # with their sizes; the one used last is the last
        self._size = 0
        self._seen: dict[int, None] = {}  # hashes of lists that have come once, the last one last

    def find(self, json: bytes) -> ToolList | None:
        """The list with exactly that JSON, if it is kept."""
        found = self._lists.pop(json, None)
        if found is None:
            return None
        self._lists[json] = found
        return found[0]

    def is_repeated(self, json: bytes) -> bool:
        """Whether a list that `find` has not found was asked about before, as far as that is remembered."""
        key = hash(json)
        if key in self._seen:
            del self._seen[key]
            return True
        self._seen[key] = None
        if len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        return False

    def add(self, json: bytes, tools: ToolList, size: int) -> None:
        """Keep a list that `find` has not found. `size` is what it counts as: its bytes, and 50 for each node."""
        self._lists[json] = tools, size
        self._size += size
        while len(self._lists) > MAX_LISTS or self._size > MAX_SIZE:
            _, dropped = self._lists.pop(next(iter(self._lists)))
            self._size -= dropped
