"""Codex CLI on vLLM's real server with the shim in it: a turn that runs a command, and one that patches a file.

    CODEX_CLI=~/codex-cli/node_modules/.bin/codex pytest -m live integrations/vllm/test_codex.py

The scripted engine says what a model would. Prompt, tools, parsers and stream are vLLM's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from integrations.codex.codex_cli import CodexCLI, Run, find_codex
from integrations.vllm.server import Script, Server

pytestmark = pytest.mark.live

PATCH = """\
*** Begin Patch
*** Update File: poem.txt
@@
 Roses are red,
-violets are green.
+violets are blue.
*** End Patch"""

ANSWERED = "<tool_response>"
"""What the chat template writes before the output of a call."""


@pytest.fixture
def codex(scripted: Server, tmp_path: Path) -> CodexCLI:
    made = CodexCLI(find_codex(), tmp_path, scripted.address)
    made.configure("--catalog", str(made.home / "models.json"))
    return made


def calls(script: Script, name: str, arguments: dict[str, Any]) -> None:
    """Have the engine think, call one function, and when it has the output say `Done.`"""
    call = json.dumps({"name": name, "arguments": arguments})
    script.play(
        {"when": ANSWERED, "text": "<think>It worked.</think>\n\nDone."},
        {"when": "", "text": f"<think>Let me see.</think>\n\nOne moment.\n<tool_call>\n{call}\n</tool_call>"},
    )


def well(run: Run) -> Run:
    """The run has ended as it should."""
    assert run.exit_code == 0, (run.errors, run.stderr)
    assert run.errors == []
    assert run.events[-1]["type"] == "turn.completed"
    return run


@pytest.mark.feature("Codex")
def test_a_command_is_run_and_its_output_reaches_the_model(codex: CodexCLI, script: Script) -> None:
    calls(script, "exec_command", {"cmd": "echo six times seven is $((6 * 7))"})
    run = well(codex.exec("What is six times seven?"))
    [command] = run.items("command_execution")
    assert (command["status"], command["exit_code"]) == ("completed", 0)
    assert run.text.split() == ["One", "moment.", "Done."]
    first, second = script.seen
    assert "six times seven is 42" in second["prompt"].split(ANSWERED)[1]
    assert first["cache_salt"] == second["cache_salt"] is not None  # Codex's prompt_cache_key
    assert run.events[-1]["usage"]["input_tokens"] > 1000


@pytest.mark.feature("Codex")
def test_a_patch_changes_a_real_file(codex: CodexCLI, script: Script) -> None:
    calls(script, "apply_patch", {"input": PATCH})
    (codex.work / "poem.txt").write_text("Roses are red,\nviolets are green.\n")
    run = well(codex.exec("Correct the poem."))
    assert (codex.work / "poem.txt").read_text() == "Roses are red,\nviolets are blue.\n"
    [change] = run.items("file_change")
    assert change["status"] == "completed"
    assert "poem.txt" in script.seen[1]["prompt"].split(ANSWERED)[1]
