"""Codex CLI on vllm-mlx's real server with the shim in it: a turn that runs a command, and one that patches a file.

    CODEX_CLI=~/codex-cli/node_modules/.bin/codex VLLM_MLX=~/vllm-mlx pytest -m live integrations/vllm_mlx/test_codex.py

The scripted model says what a model would. Prompt, tools, parsers and stream are the server's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.codex.codex_cli import CodexCLI
from integrations.codex.turns import CodexTurns, codex_for
from integrations.script import Script
from integrations.scripted_mlx.server import ScriptedServer, scripted_server
from integrations.vllm_mlx.test_live import COMMAND, INSTALL

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server("VLLM_MLX", INSTALL, COMMAND, tmp_path_factory.mktemp("models")) as running:
        yield running


@pytest.fixture
def script(server: ScriptedServer) -> Script:
    return server.script


@pytest.fixture
def codex(server: ScriptedServer, tmp_path: Path) -> CodexCLI:
    return codex_for(server.url.removesuffix("/v1"), tmp_path)


class TestCodex(CodexTurns):
    """What it does on every server."""

    answered = "<|im_start|>tool\n"
