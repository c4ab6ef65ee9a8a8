"""Codex CLI on llama-cpp-python's real server, which has no tool parser: the shim reads the calls out of the text.

    CODEX_CLI=~/codex-cli/node_modules/.bin/codex pytest -m live integrations/llama_cpp/test_codex.py

The model says what a script says (`scripted.py`); prompt, tokenizer, locks and stream are the server's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from integrations.codex.codex_cli import CodexCLI
from integrations.codex.turns import CodexTurns, codex_for
from integrations.llama_cpp.conftest import Start
from integrations.script import Script

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Script:
    return Script(tmp_path_factory.mktemp("script"))


@pytest.fixture(scope="module")
def scripted_url(start: Start, script: Script) -> str:
    # The model reads nothing of the prompt, so the context may be longer than it was made for: Codex's prompt is long.
    flags = ["--n_ctx", "32768", "--logits_all", "False", "--interrupt_requests", "False", "--port", "PORT"]
    command = [sys.executable, "-m", "integrations.llama_cpp.scripted", *flags]
    return start(command=command, variables={"SCRIPT": str(script.file)})


@pytest.fixture
def codex(scripted_url: str, tmp_path: Path) -> CodexCLI:
    return codex_for(scripted_url.removesuffix("/v1"), tmp_path)


class TestCodex(CodexTurns):
    """What it does on every server. The tools, and the outputs of calls, are described to the model in words."""

    answered = "<tool_response>\n"
