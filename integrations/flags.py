"""Whether the flags that the document of a server names are flags of that server."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

SECONDS = 120.0
FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
OTHERS = frozenset(
    {
        *("--catalog", "--model", "--url", "--engine", "--profile"),  # of our own command and Codex
        *("--force-reinstall", "--no-cache-dir", "--no-deps", "--dest"),  # of pip
        *("--factory", "--install"),  # of uvicorn and xcode-select
    }
)
"""Flags of other programs that the documents name."""


def unknown_flags(document: Path, command: Sequence[str], environment: Mapping[str, str] | None = None) -> set[str]:
    """The flags in a document that the server's help does not have. `command` prints that help."""
    variables = {**os.environ, **(environment or {})}
    run = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=SECONDS, check=True)
    named = set(FLAG.findall(document.read_text(encoding="utf-8"))) - OTHERS
    assert named, f"{document} names no flag"
    return named - set(FLAG.findall(run.stdout))
