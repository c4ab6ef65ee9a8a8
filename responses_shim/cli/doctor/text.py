"""The report as text for a person, and as JSON for a program."""

from __future__ import annotations

import json
import textwrap
from itertools import groupby
from typing import Any

from responses_shim import __version__
from responses_shim.cli.doctor.findings import GRADES, Grade, Report, Result
from responses_shim.cli.transcript import printable

FORMAT = 1
"""The version of the JSON form. It changes when something is renamed or removed; keys may be added any time."""

WIDTH = 110
NAME = 26
"""The width of the column with the names of the checks."""

MEANINGS: dict[Grade, str] = {
    "ok": "works",
    "missing": "the server does not do it; requests that need it get less",
    "broken": "wrong: whoever relies on it fails or is misled",
    "untested": "could not be seen",
}
COLOURS: dict[Grade, str] = {"ok": "32", "missing": "33", "broken": "31", "untested": "2"}


def as_text(report: Report, *, colour: bool) -> str:
    """The report in lines: where, what, each group of checks with what to change, and the numbers at the end."""
    host = " ".join(filter(None, [report.host, report.host_version]))
    lines = [
        f"{printable(report.url)} · {printable(host)} · model {printable(report.model)} · /responses: {report.mount}",
        "",
        *(f"  {_painted(f'{grade:<8}', grade, colour)} {MEANINGS[grade]}" for grade in GRADES),
    ]
    for _, group in groupby(report.results, lambda result: result.name.partition(".")[0]):
        lines += ["", *(line for result in group for line in _result_lines(result, colour))]
    lines += ["", ", ".join(f"{report.count(grade)} {grade}" for grade in GRADES) + "."]
    if unmet := [result.name for result in report.failures if result.grade != "broken"]:
        lines.append(f"Required, and not ok: {', '.join(unmet)}.")
    return "\n".join(lines) + "\n"


def _result_lines(result: Result, colour: bool) -> list[str]:
    grade = _painted(f"{result.grade:<8}", result.grade, colour)
    indent = " " * (NAME + 9)
    lines = textwrap.wrap(result.reason, WIDTH - len(indent), break_on_hyphens=False) or [""]
    advice = textwrap.wrap(f"→ {result.advice}", WIDTH - len(indent), subsequent_indent="  ", break_on_hyphens=False)
    first = f"{grade} {result.name:<{NAME}}{lines[0]}"
    return [first, *(indent + line for line in [*lines[1:], *(advice if result.advice else [])])]


def _painted(text: str, grade: Grade, colour: bool) -> str:
    return f"\033[{COLOURS[grade]}m{text}\033[0m" if colour else text


def as_json(report: Report) -> str:
    """The report as one JSON object, in the form that integrations/README.md describes."""
    data: dict[str, Any] = {
        "format": FORMAT,
        "doctor": __version__,
        "url": report.url,
        "model": report.model,
        "host": {"kind": report.host, "version": report.host_version or None},
        "mount": report.mount,
        "exit_code": report.exit_code,
        "counts": {grade: report.count(grade) for grade in GRADES},
        "required": sorted(report.required),
        "checks": [
            {
                "name": result.name,
                "title": result.title,
                "grade": result.grade,
                "reason": result.reason,
                "advice": result.advice or None,
                "seconds": result.seconds,
            }
            for result in report.results
        ],
        "settings": [
            {"name": setting.name, "value": setting.value, "source": setting.source} for setting in report.settings
        ],
    }
    return json.dumps(data, ensure_ascii=True, indent=2) + "\n"
