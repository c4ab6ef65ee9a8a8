"""Tool lists that are kept from request to request: what is made of one is the same as without that, and bounded."""

from __future__ import annotations

from typing import Any

import pytest

from responses_shim.core.request.tool_lists import MAX_LISTS, MAX_SEEN, MAX_SIZE, ToolList, ToolLists
from responses_shim.core.tools.kinds import KINDS
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from responses_shim.errors import InvalidRequest
from tests.core.driver import Json

TOOLS: list[Json] = [
    {"type": "function", "name": "find", "parameters": {}, "later": 1},
    {"type": "web_search"},
    {"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "find"}]},
    {"type": "shell"},
]
SHELL = {"type": "shell"}


def both(choice: Any = None, parallel: bool | None = None) -> tuple[tuple[ToolMap, str], tuple[ToolMap, str]]:
    """The map of `TOOLS` and its report: of a list that others have used, and as it is made without one."""
    shared = ToolList(TOOLS)
    shared.tool_map(choice, parallel, Report(), KINDS)
    shared_report, report = Report(), Report()
    shared_map = shared.tool_map(choice, parallel, shared_report, KINDS)
    return (shared_map, shared_report.header()), (ToolMap(TOOLS, choice, parallel, report), report.header())


@pytest.mark.parametrize("choice", [None, "none", "required", SHELL, {"type": "function", "name": "find"}])
@pytest.mark.parametrize("parallel", [None, True, False])
def test_a_shared_list_gives_what_its_tools_give(choice: Any, parallel: bool | None) -> None:
    (shared, shared_report), (own, report) = both(choice, parallel)
    assert shared_report == report
    assert shared.chat_params() == own.chat_params()
    assert (shared.echo, shared.encoded_echo, shared.names()) == (own.echo, own.encoded_echo, own.names())
    assert shared.choice == own.choice


def test_what_depends_on_the_list_alone_is_made_once() -> None:
    tools = ToolList(TOOLS)
    first = tools.tool_map("auto", None, Report(), KINDS)
    assert tools.tool_map("auto", None, Report(), KINDS) is first
    assert tools.tool_map("none", None, Report(), KINDS) is not first


def test_a_choice_that_names_tools_is_not_kept() -> None:
    tools = ToolList(TOOLS)
    assert tools.tool_map(SHELL, None, Report(), KINDS) is not tools.tool_map(SHELL, None, Report(), KINDS)


def test_a_wrong_choice_is_an_error_each_time() -> None:
    tools = ToolList(TOOLS)
    for _ in range(2):
        with pytest.raises(InvalidRequest):
            tools.tool_map("sometimes", None, Report(), KINDS)


def test_unread_fields_of_a_list() -> None:
    assert ToolList(TOOLS).unread == ["tools[0].later"]


# What is kept --------------------------------------------------------------------------------------------------------


def test_a_list_is_found_by_its_bytes_alone() -> None:
    lists, tools = ToolLists(), ToolList([SHELL])
    assert lists.find(b'[{"type":"shell"}]') is None
    lists.add(b'[{"type":"shell"}]', tools, 100)
    assert lists.find(b'[{"type":"shell"}]') is tools
    assert lists.find(b'[{"type": "shell"}]') is None


@pytest.mark.parametrize(("size", "kept"), [(1, MAX_LISTS), (MAX_SIZE // 4, 4), (MAX_SIZE // 4 + 1, 3)])
def test_the_lists_that_were_used_last_are_kept(size: int, kept: int) -> None:
    lists = ToolLists()
    names = [b"[%d]" % number for number in range(MAX_LISTS + 20)]
    for name in names:
        lists.find(names[0])
        lists.add(name, ToolList([]), size)
    found = [name for name in names if lists.find(name) is not None]
    assert found == [names[0], *names[-kept + 1 :]]


def test_a_list_is_repeated_when_it_comes_for_the_second_time() -> None:
    lists = ToolLists()
    assert [lists.is_repeated(json) for json in (b"[1]", b"[2]", b"[1]", b"[2]")] == [False, False, True, True]


def test_it_is_forgotten_after_many_others() -> None:
    lists = ToolLists()
    first, *others = [b"[%d]" % number for number in range(MAX_SEEN + 1)]
    assert not lists.is_repeated(first)
    assert not any(map(lists.is_repeated, others))
    assert not lists.is_repeated(first)


def test_a_list_that_is_too_large_is_not_kept() -> None:
    lists = ToolLists()
    lists.add(b"[]", ToolList([]), MAX_SIZE + 1)
    assert lists.find(b"[]") is None
    lists.add(b"[1]", ToolList([]), MAX_SIZE)
    assert lists.find(b"[1]") is not None
