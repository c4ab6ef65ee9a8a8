"""Long answers of a host that makes calls, one entry for each dimension (see `linear`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report

from .answers import call, delta, dimension, end, repeated


def functions(count: int, prefix: str = "f") -> ToolMap:
    """So many functions, `f0`, `f1` …"""
    tools: list[dict[str, Any]] = [{"type": "function", "name": f"{prefix}{number}"} for number in range(count)]
    return ToolMap(tools, None, None, Report())


def custom() -> ToolMap:
    """One custom tool, `write`."""
    return ToolMap([{"type": "custom", "name": "write"}], None, None, Report())


def shell() -> ToolMap:
    """The shell."""
    return ToolMap([{"type": "shell"}], None, None, Report())


# Answers ------------------------------------------------------------------------------------------------------------


def complete_calls(n: int, **identified: Callable[[int], Any]) -> Iterator[bytes]:
    """n complete calls, told apart by what `identified` gives for the number of each."""
    for number in range(n):
        yield call("{}", name="f0", **{key: value(number) for key, value in identified.items()})
    yield end("tool_calls")


def calls_in_two_pieces(n: int, **identified: Callable[[int], Any]) -> Iterator[bytes]:
    """n calls: the first piece of each, then the second of each, so that they wait for one another."""
    for number in range(n):
        yield call('{"a":', name="f0", **{key: value(number) for key, value in identified.items()})
    for number in range(n):
        yield call("1}", **{key: value(number) for key, value in identified.items()})
    yield end("tool_calls")


def calls_without_a_name(n: int) -> Iterator[bytes]:
    """n calls whose name never comes."""
    for number in range(n):
        yield call("{}", index=number, id=f"call_{number}")
    yield end("tool_calls")


def text_and_calls(n: int) -> Iterator[bytes]:
    """Text and complete calls in turns."""
    for number in range(n):
        yield delta(content="x")
        yield call("{}", name="f0", index=number)
    yield end("tool_calls")


def text_within_a_call(n: int) -> Iterator[bytes]:
    """Text and pieces of one call in turns: the text waits for the end of the call."""
    yield call('{"a":"', name="f0", index=0)
    for _ in range(n):
        yield call("x", index=0)
        yield delta(content="x")
    yield call('"}', index=0)
    yield end("tool_calls")


def repeated_call(n: int, pieces: Sequence[str], again: str, name: str = "f0") -> Iterator[bytes]:
    """A call whose arguments have n pieces in their middle, then n deltas with its name and the arguments `again`."""
    first, middle, last = pieces
    yield call(first, name=name, index=0)
    for _ in range(n):
        yield call(middle, index=0)
    yield call(last, index=0)
    for _ in range(n):
        yield call(again, name=name, index=0)
    yield end("tool_calls")


def extended_call(n: int, arguments: str, name: str = "f0") -> Iterator[bytes]:
    """A complete call that goes on in n pieces; after each comes its name and id again, with other arguments."""
    yield call(arguments, name=name, id="call_0")
    for _ in range(n):
        yield call("x" * 64, id="call_0")
        yield call("y", name=name, id="call_0")
    yield end("tool_calls")


def extended_waiting_call(n: int) -> Iterator[bytes]:
    """The same of a call that waits for one that never ends."""
    yield call("{", name="f0", id="call_1")
    yield from extended_call(n, "{}")


def name_in_pieces(n: int) -> Iterator[bytes]:
    """n calls whose names come letter by letter, each the beginning of another name."""
    for number in range(n):
        for letter in "f99":
            yield call(name=letter, index=number)
        yield call("{}", index=number)
    yield end("tool_calls")


def custom_input(n: int, piece: str) -> Iterator[bytes]:
    """The input of a custom tool, in n pieces of its JSON string."""
    yield call('{"input":"', name="write", index=0)
    for _ in range(n):
        yield call(piece, index=0)
    yield call('"}', index=0)
    yield end("tool_calls")


def custom_input_of_another_shape(n: int) -> Iterator[bytes]:
    """The input of a custom tool as JSON of another shape, in n pieces, and then n times all at once."""
    yield call('{"patch":"', name="write", index=0)
    for _ in range(n):
        yield call("x", index=0)
    yield call('"}', index=0)
    for _ in range(n):
        yield call('{"patch":"y"}', name="write", index=0)
    yield end("tool_calls")


def calls_in_one_chunk(n: int) -> bytes:
    """A frame with n complete calls."""
    return delta(tool_calls=[{"index": number, "function": {"name": "f", "arguments": "{}"}} for number in range(n)])


# The dimensions -----------------------------------------------------------------------------------------------------

DIMENSIONS = [
    dimension(
        "tokens of arguments",
        20_000,
        partial(repeated, call("1", index=0), first=[call('{"a":"', name="f0", index=0)], last=[call('"}', index=0)]),
    ),
    dimension(
        "tokens of arguments of a nameless call",
        5_000,
        partial(repeated, call("1", index=0), first=[call('{"a":"', index=0)], last=[call('"}', index=0)]),
    ),
    dimension("calls with an index", 1_000, partial(complete_calls, index=lambda number: number)),
    dimension("calls with an id and no index", 1_000, partial(complete_calls, id=lambda number: f"call_{number}")),
    dimension("calls with neither", 1_000, complete_calls),
    dimension("calls of one index", 1_000, partial(complete_calls, index=lambda _: 0)),
    dimension(
        "calls of one index, with ids",
        1_000,
        partial(complete_calls, index=lambda _: 0, id=lambda number: f"call_{number}"),
    ),
    dimension("calls that wait", 1_000, partial(calls_in_two_pieces, index=lambda number: number)),
    dimension("calls with an id that wait", 1_000, partial(calls_in_two_pieces, id=lambda number: f"call_{number}")),
    dimension("calls in one chunk", 1_000, lambda n: [calls_in_one_chunk(n), end("tool_calls")]),
    dimension("calls without a name", 1_000, calls_without_a_name),
    dimension("text and calls in turns", 1_000, text_and_calls),
    dimension("text within a call", 5_000, text_within_a_call),
    dimension(
        "a complete call, repeated with its name", 5_000, lambda n: repeated_call(n, ('{"a":"', "x", '"}'), "{}")
    ),
    dimension("a complete call that goes on", 1_000, partial(extended_call, arguments="{}")),
    dimension("a complete call that waits and goes on", 1_000, extended_waiting_call),
    dimension(
        "a complete call of a custom tool that goes on",
        1_000,
        partial(extended_call, arguments='{"input":"x"}', name="write"),
        custom,
    ),
    dimension(
        "a complete call of a custom tool, of another shape, that goes on",
        1_000,
        partial(extended_call, arguments='{"patch":"x"}', name="write"),
        custom,
    ),
    dimension("names in pieces, with 1,000 tools", 500, name_in_pieces, partial(functions, 1_000)),
    dimension("unknown names, with 1,000 tools", 500, complete_calls, partial(functions, 1_000, "g")),
    dimension(
        "a complete call of a custom tool, repeated",
        1_000,
        lambda n: repeated_call(n, ('{"input":"', "x", '"}'), '{"input":"y"}', "write"),
        custom,
    ),
    dimension("escapes in the input of a custom tool", 5_000, partial(custom_input, piece="\\n"), custom),
    dimension("backslashes in the input of a custom tool", 5_000, partial(custom_input, piece="\\"), custom),
    dimension("quotes in the input of a custom tool", 5_000, partial(custom_input, piece='"'), custom),
    dimension(
        "escapes in the input of a custom tool, in one delta", 20_000, lambda n: custom_input(1, "\\u00e9" * n), custom
    ),
    dimension(
        "quotes in the input of a custom tool, in one delta", 20_000, lambda n: custom_input(1, '"x' * n), custom
    ),
    dimension("input of a custom tool, of another shape", 1_000, custom_input_of_another_shape, custom),
    dimension(
        "commands of the shell",
        5_000,
        lambda n: [call(json.dumps({"commands": ["x"] * n}), name="shell", index=0), end("tool_calls")],
        shell,
    ),
]
