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

STREAMED = [f"stream:{situation}" for situation in (*SILENCES, *PARALLEL_CALLS, *BROKEN_ANSWERS)]
# There are no pings in whole responses.
WHOLE = [f"whole:{situation}" for situation in (*PARALLEL_CALLS, *BROKEN_ANSWERS)]


@dataclass(frozen=True)
class Asked:
    """What came of all the questions to one client.

    That is an outcome for each question, the requests that it made, and the chat requests that were made of these.
    """

    outcomes: dict[str, dict[str, Any]]
    requests: list[dict[str, Any]]
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
            questions = [*(STREAMED if client.streams else []), *WHOLE]
            host = SituationHost()
            with serving(host) as url:
                printed = run_client([*command, f"{url}/v1", *questions], environment)
            outcomes = dict(zip(questions, json.loads(printed), strict=True))
            asked[name] = Asked(outcomes, host.wire.requests, host.host.requests)
        return asked[name]

    return ask_once
