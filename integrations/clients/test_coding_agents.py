"""Coding agents on the command line: a turn of each, in which the model thinks, has a command run, and answers.

Codex CLI has tests of its own (`integrations/codex`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integrations.clients.clients import CODING_AGENTS
from integrations.running import installation, not_installed, run_client
from responses_shim import ResponsesShim
from tests.scripted import ScriptedHost, Step, call_answer, chunk, text_answer
from tests.serving import serving

pytestmark = pytest.mark.live

QUESTION = "What is six times seven?"
COMMAND = "echo $((6 * 7)) | tee answer"
THOUGHT = "Let me count."


def opencode(url: str, home: Path) -> list[str]:
    """opencode: writes its configuration, and gives the words of its command line."""
    limits = {"context": 32000, "output": 4096}
    shows_reasoning = {"forceReasoning": True, "reasoningSummary": "auto"}
    model = {"tool_call": True, "reasoning": True, "limit": limits, "options": shows_reasoning}
    provider = {"npm": "@ai-sdk/openai", "options": {"baseURL": url, "apiKey": "none"}, "models": {"my-model": model}}
    folder = home / ".config" / "opencode"
    folder.mkdir(parents=True)
    (folder / "opencode.json").write_text(json.dumps({"provider": {"shim": provider}}))
    return ["opencode", "run", "--model", "shim/my-model", QUESTION]


def qwen_code(url: str, home: Path) -> list[str]:
    """Qwen Code, in the same way."""
    model = {"id": "my-model", "wireApi": "responses", "envKey": "SHIM_API_KEY", "baseUrl": url}
    settings = {
        "modelProviders": {"openai": [model]},
        "security": {"auth": {"selectedType": "openai"}},
        "model": {"name": "my-model"},
        "privacy": {"usageStatisticsEnabled": False},
    }
    (home / ".qwen").mkdir()
    (home / ".qwen" / "settings.json").write_text(json.dumps(settings))
    return ["qwen", "--approval-mode", "yolo", "--prompt", QUESTION]


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


@pytest.mark.parametrize("agent", [opencode, qwen_code])
def test_a_command_is_run_and_its_output_is_answered(agent: Callable[[str, Path], list[str]], tmp_path: Path) -> None:
    host = ScriptedHost(thinks_calls_and_answers)
    work = tmp_path / "work"
    work.mkdir()
    with serving(ResponsesShim(host)) as url:
        program, *words = agent(f"{url}/v1", tmp_path)
        binary = installation(CODING_AGENTS.variable or "") / "node_modules" / ".bin" / program
        if not binary.exists():
            not_installed(f"needs {CODING_AGENTS.variable} to name the folder of: {CODING_AGENTS.command}")
        own = {"HOME": str(tmp_path), "SHIM_API_KEY": "none", "XDG_CONFIG_HOME": "", "XDG_DATA_HOME": ""}
        quiet = {"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1"}
        environment = {**own, **quiet, "PWD": str(work)}
        assert "It is 42." in run_client([str(binary), *words], environment, work)
    *_, called, output = host.requests[-1]["messages"]
    assert (work / "answer").read_text() == "42\n"
    assert output["tool_call_id"] == "call_1"
    if agent is opencode:  # which has it encrypted, for it keeps no history on the server
        assert called["reasoning"] == THOUGHT
