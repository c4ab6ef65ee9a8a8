"""Codex CLI on vLLM's real server with the shim in it: a turn that runs a command, and one that patches a file.

    CODEX_CLI=~/codex-cli/node_modules/.bin/codex pytest -m live integrations/vllm/test_codex.py

The scripted engine says what a model would. Prompt, tools, parsers and stream are vLLM's.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from integrations.codex.codex_cli import CodexCLI
from integrations.codex.turns import CodexTurns, codex_for, well
from integrations.vllm.server import Script, Server

pytestmark = pytest.mark.live


@pytest.fixture
def codex(scripted: Server, tmp_path: Path) -> CodexCLI:
    return codex_for(scripted.address, tmp_path)


class TestCodex(CodexTurns):
    """What it does on every server."""

    def test_its_cache_key_and_usage_are_those_of_the_server(self, codex: CodexCLI, script: Script) -> None:
        """The key, `prompt_cache_key`, is the same in both rounds of a turn."""
        self.calls(script, "exec_command", {"cmd": "echo violets"})
        run = well(codex.exec("Count the violets."))
        first, second = script.seen
        assert first["cache_salt"] == second["cache_salt"] is not None
        assert run.events[-1]["usage"]["input_tokens"] > 1000
