"""Rewriting regular expressions for llama-cpp-python: what is rewritten matches no more than the original."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from responses_shim.hosts.llama_cpp_pattern import rewrite
from tests.hosts.odd_schemas import PATTERNS, as_python

ANY = r"[^\x00-\x1F\x22\x5C]"

REWRITTEN = {
    r"^[a-z]+$": r"^[a-z]+$",
    r"^\d{3}-\d{4}$": r"^[0-9]{3}-[0-9]{4}$",
    r"^[a-z0-9]+(?:-[a-z0-9]+)*$": r"^[0-9a-z]+(-[0-9a-z]+)*$",
    r"^\w+\.\w+$": r"^[0-9A-Z\x5Fa-z]+[\x2E][0-9A-Z\x5Fa-z]+$",
    r"^[\w.-]{2,5}?$": r"^[\x2D-\x2E0-9A-Z\x5Fa-z]{2,5}$",
    r"^[^@]+@\S+$": r"^[^\x00-\x1F\x22\x40\x5C]+@[^\x00-\x20\x22\x5C\u00A0]+$",
    r"^\D\W$": r"^[^\x00-\x1F\x220-9\x5C][^\x00-\x1F\x220-9A-Z\x5C\x5Fa-z]$",
    r"^.[^]$": f"^{ANY}{ANY}$",
    r"\d": f"^{ANY}*[0-9]{ANY}*$",
    r"": f"^{ANY}*$",
    r"^a|b$|c": f"^(a{ANY}*|{ANY}*b|{ANY}*c{ANY}*)$",
    r"^$": r"^$",
    r"^(a|)(|)()b{0}$": r"^a?$",
    r"^(a?)?(b*|c)d{1}e{1,}f{0,1}g{0,}$": r"^a?(b*|c)de+f?g*$",
    r"^(ab){2}(c+d)+(-[e-z]+)*$": r"^(ab){2}(c+d)+(-[e-z]+)*$",
    r"^\d+\.\d+\.\d+(-\w+)?(#\w+)?$": (r"^[0-9]+[\x2E][0-9]+[\x2E][0-9]+(-[0-9A-Z\x5Fa-z]+)?(#[0-9A-Z\x5Fa-z]+)?$"),
    r"^a+b*c?d{2,3}$": r"^a+b*c?d{2,3}$",
    r"^\x41\u00e9😀\/\-$": "^Aé😀/-$",
    r"^[a\b\n\"\\-]$": r"^[\x2Da]$",
    r"^[\x00-\x7f]$": r"^[\x20-\x21\x23-\x5B\x5D-\x7F]$",
    r"^[a-cb-d]$": r"^[a-d]$",
}


@pytest.mark.parametrize("pattern", REWRITTEN)
def test_what_a_pattern_becomes(pattern: str) -> None:
    assert rewrite(pattern) == REWRITTEN[pattern]
    assert rewrite(REWRITTEN[pattern]) == REWRITTEN[pattern]


UNSUPPORTED = [
    *("^(", "^)$", "^a)$", "^(a$", "^[a$", "^a{$", "^a{b}$", "^a{2,1}$", "^a{,2}$", "^a**$", "^*$", "^]$", "^}$"),
    *(r"^\b$", r"^\1$", r"^\p{L}$", r"^\u{41}$", r"^\x4$", r"^\xzz$", "^\\", r"^(?=a)$", r"^(?<n>a)$", r"^(?i)a$"),
    *(
        "^[]$",
        "^[z-a]$",
        r"^[a-\d]$",
        r"^[\D]$",
        '^"$',
        '^["]$',
        r"^\\$",
        r"^\n$",
        "^a\n$",
        r"^[\ud800]$",
        "^a^b$",
        "^a$b$",
    ),
    *("^a+b*c?d{2,3}e*$", "^(a+)+$", "^((a+b?)|c){2}$", "^(a+(b?(c*|d)))+$", "^(a*b*c*)(d*e*)$"),
    *("^(a*)*$", "^(a?|b)+$", "^((a|)b?){2}$", "^a{1001}$", "^(a{500}b{501})$", "^(" * 30, "^" + "a" * 1000 + "$"),
    "^(" + "(" * 30 + "a" + ")" * 30 + ")$",
]


@pytest.mark.parametrize("pattern", UNSUPPORTED)
def test_what_cannot_be_rewritten(pattern: str) -> None:
    assert rewrite(pattern) is None


@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")
@given(PATTERNS, st.data())
def test_whatever_matches_the_rewritten_pattern_matches_the_original(pattern: str, data: st.DataObject) -> None:
    rewritten = rewrite(pattern)
    assume(rewritten is not None)
    assert rewritten is not None
    text = data.draw(st.from_regex(re.compile(rewritten.replace("$", r"\Z"), re.ASCII), fullmatch=True))
    assert re.search(as_python(pattern), text, re.ASCII)
    assert not re.search(r'["\\\x00-\x1f]', text)


@given(PATTERNS)
def test_a_rewritten_pattern_is_its_own_rewritten_form(pattern: str) -> None:
    rewritten = rewrite(pattern)
    assert rewritten is None or rewrite(rewritten) == rewritten
