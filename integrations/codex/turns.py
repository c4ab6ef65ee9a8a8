"""The turns that Codex CLI makes on each real server with a scripted model, as a class of tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from integrations.codex.codex_cli import CodexCLI, Run, find_codex
from integrations.script import Script

PATCH = """\
*** Begin Patch
*** Update File: poem.txt
@@
 Roses are red,
-violets are green.
+violets are blue.
*** End Patch"""


def codex_for(url: str, folder: Path) -> CodexCLI:
    """Codex, configured for the server at `url` (without the `/v1`), with a home and a workspace in `folder`."""
    made = CodexCLI(find_codex(), folder, url)
    made.configure("--catalog", str(made.home / "models.json"))
    return made


def well(run: Run) -> Run:
    """The run has ended as it should."""
    assert run.exit_code == 0, (run.errors, run.stderr)
    assert run.errors == []
    assert run.events[-1]["type"] == "turn.completed"
    return run


class CodexTurns:
    """A turn that runs a command, and one that patches a file.

    The subclass's module has the fixtures `codex` and `script`; `answered` is what the prompt has before the output of
    a call, and nowhere else.
    """

    answered = "<tool_response>"

    def calls(self, script: Script, name: str, arguments: dict[str, Any]) -> None:
        """Have the model think, call one function, and when it has the output say `Done.`"""
        call = json.dumps({"name": name, "arguments": arguments})
        script.play(
            {"when": self.answered, "text": "<think>It worked.</think>\n\nDone."},
            {"when": "", "text": f"<think>Let me see.</think>\n\nOne moment.\n<tool_call>\n{call}\n</tool_call>"},
        )

    def output_seen(self, script: Script) -> str:
        """What the last prompt with an output has from there on."""
        prompts = [str(seen["prompt"]) for seen in script.seen if self.answered in seen["prompt"]]
        return prompts[-1].split(self.answered)[1]

    @pytest.mark.feature("Codex")
    def test_a_command_is_run_and_its_output_reaches_the_model(self, codex: CodexCLI, script: Script) -> None:
        self.calls(script, "exec_command", {"cmd": "echo six times seven is $((6 * 7))"})
        run = well(codex.exec("What is six times seven?"))
        [command] = run.items("command_execution")
        assert (command["status"], command["exit_code"]) == ("completed", 0)
        assert run.text.split() == ["One", "moment.", "Done."]
        assert "six times seven is 42" in self.output_seen(script)

    @pytest.mark.feature("Codex")
    def test_a_patch_changes_a_real_file(self, codex: CodexCLI, script: Script) -> None:
        self.calls(script, "apply_patch", {"input": PATCH})
        (codex.work / "poem.txt").write_text("Roses are red,\nviolets are green.\n")
        run = well(codex.exec("Correct the poem."))
        assert (codex.work / "poem.txt").read_text() == "Roses are red,\nviolets are blue.\n"
        [change] = run.items("file_change")
        assert change["status"] == "completed"
        assert run.text.split() == ["One", "moment.", "Done."]
        assert "poem.txt" in self.output_seen(script)
