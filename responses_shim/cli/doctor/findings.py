"""What a check finds: a grade, a reason, and what to change.

- `ok`: it works.
- `missing`: the server does not do it. Nothing is wrong with what it does, but requests that need this get less.
- `broken`: what the server does is wrong, and whoever relies on it fails or is misled.
- `untested`: it could not be seen. A model may choose to call no tool; a check may need something that is not there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from responses_shim.cli.doctor.advice import Topic

Grade = Literal["ok", "missing", "broken", "untested"]
GRADES: tuple[Grade, ...] = ("ok", "missing", "broken", "untested")

MAX_REASON = 400
"""The most characters of a reason: it may quote what a server has sent."""


@dataclass(frozen=True)
class Finding:
    """What one check has found.

    - `reason`: what was seen, as a sentence
    - `advice`: what to change, by its topic (see `advice`); empty where nothing is to be changed
    """

    grade: Grade
    reason: str
    advice: Topic = ""


def ok(reason: str) -> Finding:
    """It works."""
    return Finding("ok", reason)


def missing(reason: str, advice: Topic = "") -> Finding:
    """The server does not do it."""
    return Finding("missing", reason, advice)


def broken(reason: str, advice: Topic = "") -> Finding:
    """What the server does is wrong."""
    return Finding("broken", reason, advice)


def untested(reason: str, advice: Topic = "") -> Finding:
    """It could not be seen."""
    return Finding("untested", reason, advice)


@dataclass(frozen=True)
class Result:
    """A finding in the report: with the check that made it, the advice in words, and the seconds that it took."""

    name: str
    title: str
    grade: Grade
    reason: str
    advice: str
    seconds: float


@dataclass(frozen=True)
class Setting:
    """A setting as doctor's own environment has it. `source` is the variable, or `default`; secrets are masked."""

    name: str
    value: Any
    source: str


@dataclass(frozen=True)
class Report:
    """All that was found.

    - `url`: the base URL that was asked, with its `/v1`
    - `model`: the model that was asked
    - `host`: the kind of host by the name of its profile, or another server's name; `unknown`
    - `host_version`: as the server says it; empty if it does not
    - `mount`: what answers at `/responses`: `shim`, `native` (the server's own), `native: pass` (the same, which a shim
      has left there), `nothing`, or `unknown`
    - `required`: the checks that must be `ok` for the exit code 0, besides that nothing is broken
    """

    url: str
    model: str
    host: str
    host_version: str
    mount: str
    results: tuple[Result, ...]
    settings: tuple[Setting, ...]
    required: frozenset[str] = field(default_factory=frozenset)

    @property
    def failures(self) -> list[Result]:
        """What makes the exit code 1: all that is broken, and what was required and is not `ok`."""
        return [
            result
            for result in self.results
            if result.grade == "broken" or (result.name in self.required and result.grade != "ok")
        ]

    @property
    def exit_code(self) -> int:
        """1 if there is a failure, else 0."""
        return 1 if self.failures else 0

    def count(self, grade: Grade) -> int:
        """How many results have this grade."""
        return sum(result.grade == grade for result in self.results)
