"""Where Codex CLI is found, and a Codex for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from integrations.codex.codex_cli import Codex, Host, Wire, find_codex
from responses_shim import ResponsesShim
from tests.serving import serving


@pytest.fixture(scope="session")
def binary() -> str:
    return find_codex()


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
