"""The report header is a structured field that any RFC 9651 parser reads, whatever the paths are."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.report import MAX_BYTES, Report

Dictionary: TypeAlias = dict[str, list[str] | bool]


class Parser:
    """RFC 9651, section 4.2.2, as strict as it is there, for dictionaries of inner lists of strings and booleans."""

    def __init__(self, text: str) -> None:
        self.rest = text

    def take(self, pattern: str) -> str:
        match = re.match(pattern, self.rest)
        assert match, f"expected {pattern} at {self.rest[:40]!r}"
        self.rest = self.rest[match.end() :]
        return match[0]

    def dictionary(self) -> Dictionary:
        members: Dictionary = {}
        while self.rest:
            key = self.take(r"[a-z*][a-z0-9_.*-]*")
            assert key not in members, f"{key} is there twice"
            self.take("=")
            members[key] = self.inner_list() if self.rest.startswith("(") else self.boolean()
            if self.rest:
                self.take(r"[ \t]*,[ \t]*")
                assert self.rest, "a trailing comma"
        return members

    def inner_list(self) -> list[str]:
        self.take(r"\(")
        strings: list[str] = []
        while not self.rest.startswith(")"):
            strings.append(self.string())
            assert self.rest[:1] in (" ", ")"), f"two strings without a space at {self.rest[:40]!r}"
            self.rest = self.rest.lstrip(" ")
        self.take(r"\)")
        return strings

    def string(self) -> str:
        return re.sub(r"\\(.)", r"\1", self.take(r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"')[1:-1])

    def boolean(self) -> bool:
        return self.take(r"\?[01]") == "?1"


def parse(header: str) -> Dictionary:
    return Parser(header).dictionary()


TELLERS: dict[str, Callable[[Report, str], None]] = {
    "mapped": Report.mapped,
    "dropped": Report.dropped,
    "defaulted": Report.defaulted,
}
TOLD = st.lists(
    st.tuples(st.sampled_from(sorted(TELLERS)), st.text(max_size=12) | st.sampled_from(["store", "a" * 700]))
)


def report(told: list[tuple[str, str]]) -> Report:
    made = Report()
    for what, path in told:
        TELLERS[what](made, path)
    return made


@given(TOLD)
def test_the_header_is_short_ascii_that_a_strict_parser_reads(told: list[tuple[str, str]]) -> None:
    header = report(told).header()
    assert header.isascii()
    assert header.isprintable()
    assert len(header) <= MAX_BYTES
    parse(header)


@given(TOLD)
def test_it_tells_all_paths_once_in_order_or_says_that_it_does_not(told: list[tuple[str, str]]) -> None:
    members = parse(report(told).header())
    truncated = members.pop("truncated", False)
    expected: dict[str, list[str]] = {}
    for what, path in dict.fromkeys(told):
        expected.setdefault(what, []).append(path)
    read = {what: [unquote(path) for path in paths] for what, paths in members.items() if isinstance(paths, list)}
    if truncated:
        assert all(paths == expected[what][: len(paths)] for what, paths in read.items())
        assert sum(map(len, read.values())) < sum(map(len, expected.values()))
    else:
        assert read == expected


def test_nothing_to_report_is_no_header() -> None:
    assert Report().header() == ""


def test_the_header_as_it_is_documented() -> None:
    told = [("mapped", "max_output_tokens"), ("dropped", "tools[2]"), ("dropped", "truncation"), ("defaulted", "store")]
    assert report(told).header() == (
        'mapped=("max_output_tokens"), dropped=("tools[2]" "truncation"), defaulted=("store")'
    )


@pytest.mark.parametrize(("count", "complete"), [(10, True), (1000, False)])
def test_more_than_fits_is_cut_between_paths(count: int, complete: bool) -> None:
    header = report([("dropped", f"tools[{place}]") for place in range(count)]).header()
    members = parse(header)
    assert members.get("truncated", False) is not complete
    dropped = members["dropped"]
    assert isinstance(dropped, list)
    assert dropped == [f"tools[{place}]" for place in range(len(dropped))]
    assert complete or len(header) > MAX_BYTES - 30


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


def test_what_a_string_cannot_hold_is_percent_encoded() -> None:
    (path,) = parse(report([("dropped", 'a "b"\\é%\n')]).header())["dropped"]  # type: ignore[misc]
    assert unquote(path) == 'a "b"\\é%\n'
    assert not set(path) & set(' "\\\n')
