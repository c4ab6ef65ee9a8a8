"""Codex CLI where clients of the Responses API go wrong: a silence, two calls at once, a host that breaks.

The other clients are in integrations/clients, with the host that plays these situations.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from integrations.clients.situations import (
    BROKEN_ANSWERS,
    ERROR_MESSAGE,
    PARALLEL_CALLS,
    SILENCES,
    STOPPED_MESSAGE,
    SUNNY,
    Call,
    Pings,
    broken_answers,
    parallel_calls,
    silences,
)
from integrations.codex.codex_cli import Codex, Run
from tests.scripted import Step

pytestmark = pytest.mark.live

Start = Callable[..., Codex]

PARIS: Call = (
    "call_paris",
    "exec_command",
    json.dumps({"cmd": "echo It is sunny in Paris > paris.txt; cat paris.txt"}),
)
ROME: Call = ("call_rome", "exec_command", json.dumps({"cmd": "echo It is noon in Rome"}))

NO_RETRIES = ("model_providers.shim.stream_max_retries=0", "model_providers.shim.request_max_retries=0")


def exec_in(start: Start, answers: Callable[[anyio.Event], dict[str, list[Step]]], situation: str) -> tuple[Codex, Run]:
    """Run Codex once on a host that gives the answer of that name, and a text to the outputs of commands."""
    pings = Pings()

    def script(chat: dict[str, Any]) -> list[Step]:
        return SUNNY if chat["messages"][-1]["role"] == "tool" else answers(pings.enough)[situation]

    codex = start(script, ping_interval=0.05, commit_after=0)
    codex.wire.watch = pings.watch
    return codex, codex.exec("What is the weather in Paris, and the time in Rome?", config=NO_RETRIES)


def outputs(codex: Codex) -> dict[str, str]:
    """The outputs of the commands by call, as the last request to the host has them."""
    messages = codex.host.requests[-1]["messages"]
    return {message["tool_call_id"]: message["content"] for message in messages if message["role"] == "tool"}


@pytest.mark.parametrize("situation", SILENCES)
def test_a_silence_of_three_pings(start: Start, situation: str) -> None:
    _, run = exec_in(start, lambda enough: silences(PARIS, enough), situation)
    assert (run.exit_code, run.errors, run.text) == (0, [], "It is sunny.")
    commands = run.items("command_execution")
    assert [command["exit_code"] for command in commands] == [0] * (situation == "silent-within-a-call")


@pytest.mark.parametrize("situation", PARALLEL_CALLS)
def test_two_calls_at_once(start: Start, situation: str) -> None:
    codex, run = exec_in(start, lambda _: parallel_calls(PARIS, ROME), situation)
    assert (run.exit_code, run.errors, run.text) == (0, [], "It is sunny.")
    assert [command["exit_code"] for command in run.items("command_execution")] == [0, 0]
    assert list(outputs(codex)) == ["call_paris", "call_rome"]
    assert "It is sunny in Paris" in outputs(codex)["call_paris"]
    assert "It is noon in Rome" in outputs(codex)["call_rome"]


@pytest.mark.parametrize("situation", BROKEN_ANSWERS)
def test_a_host_that_breaks_fails_the_turn(start: Start, situation: str) -> None:
    """With the host's words. Codex then asks again, as often as `stream_max_retries` says: here never."""
    codex, run = exec_in(start, lambda _: broken_answers(PARIS), situation)
    assert run.exit_code == 1
    assert run.events[-1]["type"] == "turn.failed"
    assert (ERROR_MESSAGE if situation.startswith("error") else STOPPED_MESSAGE) in run.events[-1]["error"]["message"]
    assert len(codex.host.requests) == 1
    # A call whose arguments can be read Codex makes at its `output_item.done`, whatever the status of the item.
    assert (codex.work / "paris.txt").exists() == situation.endswith("behind-a-call")


def test_a_command_of_an_answer_that_broke_is_not_run_twice(start: Start) -> None:
    """When Codex asks again, it sends what the command put out."""
    answers = [broken_answers(PARIS)["stops-behind-a-call"], SUNNY]
    codex = start(lambda _: answers.pop(0), commit_after=0)
    run = codex.exec("What is the weather in Paris?", config=("model_providers.shim.stream_max_retries=1",))
    assert (run.exit_code, run.text) == (0, "It is sunny.")
    assert len(run.items("command_execution")) == 1
    assert "It is sunny in Paris" in outputs(codex)["call_paris"]
