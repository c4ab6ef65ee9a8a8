"""Coding agents on the command line: a turn of each, in which the model thinks, has a command run, and answers.

Codex CLI has tests of its own (`integrations/codex`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from integrations.clients.clients import CODING_AGENTS
from integrations.running import installation, not_installed, run_client
from responses_shim import ResponsesShim
from tests.scripted import ScriptedHost, Step, call_answer, chunk, text_answer
from tests.serving import serving

pytestmark = pytest.mark.live

README = Path(__file__).with_name("README.md")

QUESTION = "What is six times seven?"
COMMAND = "echo $((6 * 7)) | tee answer"
THOUGHT = "Let me count."


@dataclass(frozen=True)
class Agent:
    """An agent: its name in the README, the file for what the README shows, and the words of its command line."""

    name: str
    file: str
    words: tuple[str, ...]


OPENCODE = Agent(
    "opencode", ".config/opencode/opencode.json", ("opencode", "run", "--model", "shim/my-model", QUESTION)
)
QWEN_CODE = Agent("Qwen Code", ".qwen/settings.json", ("qwen", "--approval-mode", "yolo", "--prompt", QUESTION))


def recipe(agent: Agent, url: str) -> str:
    """The configuration that the README shows for the agent, with this URL in it."""
    _, _, behind = README.read_text(encoding="utf-8").partition(f"**{agent.name}**")
    block = re.search(r"```json\n(.*?)```", behind, re.S)
    assert block is not None
    return block[1].replace("http://127.0.0.1:8000/v1", url)


def thinks_calls_and_answers(chat: dict[str, Any]) -> list[Step]:
    """The model: it has a command run by whatever tool the agent has for that."""
    if any(message["role"] == "tool" for message in chat["messages"]):
        return text_answer("It is", " 42.")
    offered = {tool["function"]["name"]: tool["function"] for tool in chat.get("tools", ())}
    for name in ("bash", "run_shell_command"):
        if name in offered:
            needed = dict.fromkeys(offered[name]["parameters"].get("required", ()), "Counts.")
            types = offered[name]["parameters"]["properties"]
            arguments = {key: False if types[key].get("type") == "boolean" else text for key, text in needed.items()}
            return [
                chunk(reasoning=THOUGHT),
                *call_answer(("call_1", name, json.dumps({**arguments, "command": COMMAND}))),
            ]
    return text_answer("A question")  # opencode asks for a title


@pytest.mark.parametrize("agent", [OPENCODE, QWEN_CODE], ids=lambda agent: agent.words[0])
def test_a_command_is_run_and_its_output_is_answered(agent: Agent, tmp_path: Path) -> None:
    host = ScriptedHost(thinks_calls_and_answers)
    program, *words = agent.words
    binary = installation(CODING_AGENTS.variable or "") / "node_modules" / ".bin" / program
    if not binary.exists():
        not_installed(f"needs {CODING_AGENTS.variable} to name the folder of: {CODING_AGENTS.command}")
    settings, work = tmp_path / agent.file, tmp_path / "work"
    for folder in (settings.parent, work):
        folder.mkdir(parents=True)
    own = {"HOME": str(tmp_path), "PWD": str(work), "SHIM_API_KEY": "none", "XDG_CONFIG_HOME": "", "XDG_DATA_HOME": ""}
    quiet = {"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1"}
    with serving(ResponsesShim(host)) as url:
        settings.write_text(recipe(agent, f"{url}/v1"))
        assert "It is 42." in run_client([str(binary), *words], {**own, **quiet}, work)
    *_, called, output = host.requests[-1]["messages"]
    assert (work / "answer").read_text() == "42\n"
    assert output["tool_call_id"] == "call_1"
    if agent is OPENCODE:  # which has it encrypted, for it keeps no history on the server
        assert called["reasoning"] == THOUGHT
