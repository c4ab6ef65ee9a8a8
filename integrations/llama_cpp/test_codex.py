"""Codex CLI on llama-cpp-python's real server, which has no tool parser: the shim reads the calls out of the text.

    CODEX_CLI=~/codex-cli/node_modules/.bin/codex pytest -m live integrations/llama_cpp/test_codex.py

The model says what a script says (`scripted.py`); prompt, tokenizer, locks and stream are the server's.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from integrations.codex.codex_cli import CodexCLI
from integrations.codex.turns import CodexTurns, codex_for

pytestmark = pytest.mark.live


@pytest.fixture
def codex(scripted_url: str, tmp_path: Path) -> CodexCLI:
    return codex_for(scripted_url.removesuffix("/v1"), tmp_path)


class TestCodex(CodexTurns):
    """What it does on every server. The tools, and the outputs of calls, are described to the model in words."""

    answered = "<tool_response>\n"
