"""Where Codex CLI is found, and a Codex for each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from integrations.codex.codex_cli import Codex, Host, Wire
from integrations.running import not_installed
from responses_shim import ResponsesShim
from tests.serving import serving

INSTALL = "npm install --prefix ~/codex-cli @openai/codex@0.169.0"


@pytest.fixture(scope="session")
def binary() -> str:
    """Codex: what CODEX_CLI names, else `codex`. Where there is none the tests are skipped, but in CI they fail."""
    found = shutil.which(os.environ.get("CODEX_CLI", "codex"))
    if found is None:
        not_installed(f"needs Codex CLI on the PATH, or named by CODEX_CLI: {INSTALL}")
    return found


@pytest.fixture
def start(binary: str, tmp_path: Path) -> Iterator[Callable[..., Codex]]:
    """`start(script, **settings)` serves the shim, so set, on a host that plays the script; gives a Codex for it.

    Codex knows the model from a catalogue, unless its `configure` is called again.
    """
    with ExitStack() as running:

        def start_codex(script: Any, **settings: Any) -> Codex:
            host = Host(script)
            wire = Wire(ResponsesShim(host, **settings))
            codex = Codex(binary, tmp_path, running.enter_context(serving(wire)), host, wire)
            codex.configure("--catalog", str(codex.home / "models.json"))
            return codex

        yield start_codex
