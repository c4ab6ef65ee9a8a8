"""The report header is a structured field that any RFC 9651 parser reads, whatever the paths are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import unquote

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.wire.report import MAX_BYTES, Report
from responses_shim.hosts import PROFILES
from tests.core.prepared import prepare_body, prepared

Dictionary: TypeAlias = dict[str, list[str] | bool | int]


def parse(header: str) -> Dictionary:
    """By a parser that nobody here wrote: inner lists of strings, a number, a boolean, none of them with parameters."""
    if not header:
        return {}
    members: Dictionary = {}
    parsed = http_sf.parse(header.encode("ascii"), tltype="dictionary")
    assert isinstance(parsed, dict)
    for name, member in parsed.items():
        value = without_parameters(member)
        if isinstance(value, list):
            paths = [without_parameters(path) for path in value]
            assert all(type(path) is str for path in paths)
            members[name] = [str(path) for path in paths]
        elif name == "retries":
            assert type(value) is int
            members[name] = value
        else:
            assert value is True
            members[name] = True
    return members


def without_parameters(member: object) -> object:
    """The value of a member of the dictionary or of an inner list, which has no parameters."""
    assert isinstance(member, tuple)
    value, parameters = member
    assert not parameters
    return value


METHODS: dict[str, Callable[[Report, str], None]] = {
    "mapped": Report.mapped,
    "dropped": Report.dropped,
    "defaulted": Report.defaulted,
    "composed": Report.composed,
    "described": Report.described,
    "repaired": Report.repaired,
}
REPORTED = st.lists(
    st.tuples(st.sampled_from(sorted(METHODS)), st.text(max_size=12) | st.sampled_from(["store", "a" * 700]))
)


def report(entries: list[tuple[str, str]]) -> Report:
    made = Report()
    for outcome, path in entries:
        METHODS[outcome](made, path)
    return made


@given(REPORTED)
def test_the_header_is_short_ascii_that_a_strict_parser_reads(entries: list[tuple[str, str]]) -> None:
    header = report(entries).header()
    assert header.isascii()
    assert header.isprintable()
    assert len(header) <= MAX_BYTES
    parse(header)


@given(REPORTED)
def test_it_has_each_path_once_in_order_or_says_that_it_is_truncated(entries: list[tuple[str, str]]) -> None:
    header = report(entries).header()
    members = parse(header)
    assert members.keys() <= {*METHODS, "truncated"}
    truncated = members.pop("truncated", False)
    last: dict[str, str] = {}
    for outcome, path in entries:
        if last.get(path) != outcome:
            last.pop(path, None)
            last[path] = outcome
    expected: dict[str, list[str]] = {}
    for path, outcome in last.items():
        expected.setdefault(outcome, []).append(path)
    read = {outcome: [unquote(path) for path in paths] for outcome, paths in members.items() if isinstance(paths, list)}
    if truncated:
        assert list(members) == list(expected)[: len(members)]
        assert all(paths == expected[outcome][: len(paths)] for outcome, paths in read.items())
        assert sum(map(len, read.values())) < sum(map(len, expected.values()))
    else:
        assert list(read.items()) == list(expected.items())


def test_a_field_that_a_host_drops_was_not_mapped_after_all() -> None:
    entries = [("mapped", "text.verbosity"), ("mapped", "max_output_tokens"), ("dropped", "text.verbosity")]
    assert parse(report(entries).header()) == {"mapped": ["max_output_tokens"], "dropped": ["text.verbosity"]}
    assert parse(report([*entries, ("dropped", "max_output_tokens")]).header()) == {
        "dropped": ["text.verbosity", "max_output_tokens"]
    }


def test_nothing_to_report_is_no_header() -> None:
    assert Report().header() == ""


def test_the_header_as_it_is_documented() -> None:
    entries = [
        ("mapped", "max_output_tokens"),
        ("dropped", "tools[2]"),
        ("dropped", "truncation"),
        ("defaulted", "store"),
    ]
    assert report(entries).header() == (
        'mapped=("max_output_tokens"), dropped=("tools[2]" "truncation"), defaulted=("store")'
    )


@pytest.mark.parametrize(("count", "complete"), [(10, True), (1000, False)])
def test_more_than_fits_is_cut_between_paths(count: int, complete: bool) -> None:
    header = report([("dropped", f"tools[{index}]") for index in range(count)]).header()
    members = parse(header)
    assert len(header) <= MAX_BYTES
    assert members.get("truncated", False) is not complete
    dropped = members["dropped"]
    assert isinstance(dropped, list)
    assert dropped == [f"tools[{index}]" for index in range(len(dropped))]
    assert complete or len(header) > MAX_BYTES - 30


def test_millions_of_paths_and_a_path_of_megabytes_are_no_more_work_than_what_fits() -> None:
    many = report([("dropped", f"include[{index}]") for index in range(100_000)] + [("mapped", "include[3]")])
    assert parse(many.header())["truncated"] is True
    assert parse(report([("dropped", "é" * 10_000_000)]).header()) == {"truncated": True}


def test_every_byte_is_counted() -> None:
    headers = [
        report([("mapped", "a"), ("dropped", "b"), ("defaulted", "c" * length)]).header()
        for length in range(MAX_BYTES - 80, MAX_BYTES)
    ]
    assert all(len(header) <= MAX_BYTES for header in headers)
    complete = [header for header in headers if "truncated" not in parse(header)]
    assert 0 < len(complete) < len(headers)
    assert max(map(len, complete)) > MAX_BYTES - 20


def test_a_list_of_which_no_path_fits_is_left_out() -> None:
    assert parse(report([("mapped", "a" * MAX_BYTES), ("dropped", "store")]).header()) == {"truncated": True}


def test_characters_that_a_string_cannot_hold_are_percent_encoded() -> None:
    (path,) = parse(report([("dropped", 'a "b"\\é%\n')]).header())["dropped"]  # type: ignore[misc]
    assert unquote(path) == 'a "b"\\é%\n'
    assert not set(path) & set(' "\\\n')


# What a request can give rise to -------------------------------------------------------------------------------------

F = {"type": "function", "name": "f"}
CALL = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
IMAGES = [{"type": "input_image", "image_url": "data:,"}]

REQUESTS: dict[str, tuple[Any, Dictionary]] = {
    "nothing": ({}, {}),
    "a limit": ({"max_output_tokens": 9}, {"mapped": ["max_output_tokens"]}),
    "two of a kind": (
        {
            "max_output_tokens": 9,
            "reasoning": {"effort": "max", "mode": "pro"},
            "truncation": "auto",
            "service_tier": "flex",
        },
        {
            "mapped": ["max_output_tokens", "reasoning.effort"],
            "dropped": ["truncation", "reasoning.mode"],
            "defaulted": ["service_tier"],
        },
    ),
    "a tool that nobody runs": ({"tools": [F, {"type": "web_search"}]}, {"dropped": ["tools[1]"]}),
    "a custom tool": ({"tools": [{"type": "custom", "name": "c"}]}, {"mapped": ["tools[0]"]}),
    "a namespace": (
        {"tools": [{"type": "namespace", "name": "n", "tools": [F]}]},
        {"mapped": ["tools[0].tools[0]"]},
    ),
    "allowed tools": (
        {"tools": [F], "tool_choice": {"type": "allowed_tools", "tools": [F, {"type": "web_search"}]}},
        {"dropped": ["tool_choice.tools[1]"], "mapped": ["tool_choice"]},
    ),
    "items": (
        {
            "input": [
                {"role": "user", "content": "Hi"},
                {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
                {"type": "web_search_call", "id": "ws_1"},
                CALL,
                {"type": "function_call_output", "call_id": "a", "output": IMAGES},
            ]
        },
        {"dropped": ["input[1].encrypted_content", "input[2]"], "mapped": ["input[4].output"]},
    ),
    "a format": ({"text": {"format": {"type": "json_object"}}}, {"mapped": ["text.format"]}),
    "an include": ({"include": ["code_interpreter_call.outputs"]}, {"dropped": ["include[0]"]}),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_report_of_a_request(name: str) -> None:
    fields, expected = REQUESTS[name]
    made = prepared(**fields)
    reported = parse(made.report.header())
    assert reported == expected
    assert list(reported) == list(expected)


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "max_output_tokens": st.just(9),
    "truncation": st.sampled_from(["auto", "disabled"]),
    "reasoning": st.fixed_dictionaries(
        {},
        optional={"effort": st.just("low"), "mode": st.just("pro"), "context": st.sampled_from(["auto", "all_turns"])},
    ),
    "text": st.fixed_dictionaries(
        {}, optional={"verbosity": st.just("low"), "format": st.just({"type": "json_object"})}
    ),
    "tools": st.lists(
        st.sampled_from([F, {"type": "custom", "name": 'c "\\é'}, {"type": "shell"}, {"type": "web_search"}]),
        max_size=3,
    ),
    "include": st.lists(st.sampled_from(["reasoning.encrypted_content", "code_interpreter_call.outputs"]), max_size=2),
    "service_tier": st.sampled_from(["auto", "flex"]),
    "prompt_cache_key": st.just("k"),
    "store": st.booleans(),
    "input": st.lists(st.sampled_from([{"type": "program", "id": "x"}, {"type": "computer_call"}]), max_size=5).map(
        lambda items: [{"role": "user", "content": "Hi"}, *items]
    ),
}


def at(body: Any, path: str) -> Any:
    """The value at a path of the request. Raises if there is none."""
    for step in path.replace("[", ".[").split("."):
        body = body[int(step[1:-1])] if step.startswith("[") else body[step]
    return body


@given(st.fixed_dictionaries({}, optional=FIELDS), st.sampled_from(sorted(PROFILES)))
def test_every_path_leads_to_something_that_the_client_sent(fields: Any, host: str) -> None:
    body = {"model": "m", "input": "Hi", **fields}
    profile = PROFILES[host]
    made = prepare_body(json.loads(json.dumps(body)), options=profile.policy)
    profile.adapt(made.chat, made.report)
    reported = parse(made.report.header())
    paths = [path for paths in reported.values() if isinstance(paths, list) for path in paths]
    assert len(paths) == len(set(paths))
    assert all(at(body, path) is not None for path in paths)


@given(REPORTED, st.integers(1, 20))
def test_the_retries_are_counted_however_much_else_there_is(reported: list[tuple[str, str]], retries: int) -> None:
    report = Report()
    for outcome, path in reported:
        METHODS[outcome](report, path)
    for _ in range(retries):
        report.retried()
    assert len(report.header()) <= MAX_BYTES
    assert parse(report.header())["retries"] == retries
