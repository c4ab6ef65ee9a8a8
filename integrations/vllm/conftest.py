"""vLLM's real server for the live tests: with the scripted engine, and with a small model."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from integrations.running import not_installed
from integrations.vllm.server import MIDDLEWARE, PARSERS, Script, Server, environment, make_model

Start = Callable[..., Server]


@pytest.fixture(scope="session")
def installed() -> Path:
    """The environment that VLLM_ENVIRONMENT names. Where there is none the tests are skipped, but in CI they fail."""
    found = environment()
    if found is None:
        not_installed("needs VLLM_ENVIRONMENT to name an environment with vLLM: see integrations/vllm/README.md")
    return found


@pytest.fixture(scope="session")
def start(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """`start(*flags, script=…, **variables)` starts a server with these flags. It ends with the session.

    If a test has failed, what the servers have printed is shown at the end.
    """
    folder = tmp_path_factory.mktemp("vllm")
    model = make_model(installed, folder)
    servers: list[Server] = []
    with ExitStack() as running:

        def start_server(*flags: str, script: Script | None = None, **variables: str) -> Server:
            log = folder / f"server-{len(servers)}.log"
            server = running.enter_context(Server(installed, model, flags, log, script, **variables))
            servers.append(server)
            return server

        yield start_server
    for server in servers:
        errors = [line for line in server.log.splitlines() if "ERROR" in line]
        print(*errors[-40:], sep="\n", file=sys.stderr)


@pytest.fixture(scope="session")
def script(tmp_path_factory: pytest.TempPathFactory) -> Script:
    """What the scripted engine of `scripted` says."""
    return Script(tmp_path_factory.mktemp("script"))


@pytest.fixture(scope="session")
def scripted(start: Start, script: Script) -> Server:
    """The server with the scripted engine and the shim as a middleware, as most people mount it."""
    flags = [*PARSERS, *MIDDLEWARE, "--enable-prompt-tokens-details", "--scheduling-policy", "priority"]
    # More than the model was made for, which makes no difference to one that is not asked: Codex's prompt is long.
    return start(*flags, "--max-model-len", "32768", script=script, VLLM_ALLOW_LONG_MAX_MODEL_LEN="1")


@pytest.fixture(scope="session")
def real(start: Start) -> Server:
    """The server with the small model and the shim as a plugin, with a key, CORS and request ids."""
    flags = [*PARSERS, "--api-key", "right", "--enable-request-id-headers"]
    origins = ["--allowed-origins", '["https://app.test"]']
    return start(*flags, *origins, VLLM_PLUGINS="responses_shim")
