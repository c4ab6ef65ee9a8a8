"""Asks each client once in all situations; the tests look at what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from integrations.clients.clients import CLIENTS
from integrations.clients.situations import BROKEN_ANSWERS, PARALLEL_CALLS, SILENCES, SituationHost
from integrations.running import run_client
from tests.serving import serving

ROOT = Path(__file__).parents[2]

# In whole responses there are no pings.
QUESTIONS = [
    *[f"stream:{situation}" for situation in (*SILENCES, *PARALLEL_CALLS, *BROKEN_ANSWERS)],
    *[f"whole:{situation}" for situation in (*PARALLEL_CALLS, *BROKEN_ANSWERS)],
]


@dataclass(frozen=True)
class Asked:
    """What came of all the questions to one client: its outcome by question, and the chat requests that it caused."""

    outcomes: dict[str, dict[str, Any]]
    chats: list[dict[str, Any]]


@pytest.fixture(scope="session")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Asked]:
    """`ask(client)` runs the client of that name: in one process for all questions, for many take seconds to start."""
    asked: dict[str, Asked] = {}

    def ask_once(name: str) -> Asked:
        if name not in asked:
            client = CLIENTS[name]
            home = tmp_path_factory.mktemp(name)
            command = client.command(home / "scripts")
            # What a client writes down for itself, such as CrewAI's key, it writes into a home of its own.
            environment = {"HOME": str(home), "PYTHONPATH": str(ROOT), "PROVIDER": client.provider}
            host = SituationHost()
            with serving(host) as url:
                printed = run_client([*command, f"{url}/v1", *QUESTIONS], environment)
            asked[name] = Asked(dict(zip(QUESTIONS, json.loads(printed), strict=True)), host.host.requests)
        return asked[name]

    return ask_once
