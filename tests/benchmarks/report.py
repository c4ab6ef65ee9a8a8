"""One row of the result, the machine that it was measured on, and the Markdown of both."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from responses_shim import __version__

from .sampling import Spread

HEADINGS = ["what", "median", "min – max", "bar", "in numbers"]

PACKAGES = ("starlette", "msgspec", "uvicorn", "uvloop", "httptools", "codex-relay")


@dataclass(frozen=True)
class Row:
    """One measured number: the median over the rounds, its extremes, and the bar that it is held against."""

    what: str
    spread: Spread | None
    """None if it could not be measured here; `detail` says why."""
    unit: str = ""
    bar: str = ""
    detail: str = ""

    def cells(self) -> list[str]:
        if self.spread is None:
            return [self.what, "not measured", "", self.bar, self.detail]
        median, low, high = map(_number, (self.spread.median, self.spread.low, self.spread.high))
        return [self.what, f"**{median}**{self.unit}", f"{low} – {high}", self.bar, self.detail]


def line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def heading() -> str:
    return line(HEADINGS) + "\n" + line(["---"] * len(HEADINGS))


def machine() -> str:
    """Where and when, in two lines: the date, the processor and its load, and the versions that matter."""
    date = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    load = os.getloadavg()[0]
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    system = f"{platform.system()} {platform.release()}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    hardware = f"{_processor()}, {os.cpu_count()} cores (load {load:.1f} at the start)"
    return f"{date} · {hardware} · {system} · {python}\n\nresponses-shim {__version__}, {versions}"


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def _processor() -> str:
    for entry in Path("/proc/cpuinfo").read_text().splitlines():
        if entry.startswith("model name"):
            return entry.partition(":")[2].strip()
    return platform.machine()
