"""vLLM's real server for the live tests: with the scripted engine, and with a small model."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integrations.running import not_installed
from integrations.vllm.server import MIDDLEWARE, PARSERS, Script, Server, environment, make_model

Serve = Callable[..., Server]


@pytest.fixture(scope="session")
def installed() -> Path:
    """The environment that VLLM_ENVIRONMENT names. Where there is none the tests are skipped, but in CI they fail."""
    found = environment()
    if found is None:
        not_installed("needs VLLM_ENVIRONMENT to name an environment with vLLM: see integrations/vllm/README.md")
    return found


@pytest.fixture(scope="session")
def serve(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """`with serve(*flags, script=…, **variables) as server`: a server with these flags. Each takes 4 GB of memory.

    If a test has failed, what the servers have printed is shown at the end.
    """
    folder = tmp_path_factory.mktemp("vllm")
    model = make_model(installed, folder)
    servers: list[Server] = []

    def make_server(*flags: str, script: Script | None = None, **variables: str) -> Server:
        log = folder / f"server-{len(servers)}.log"
        servers.append(Server(installed, model, flags, log, script, **variables))
        return servers[-1]

    yield make_server
    for server in servers:
        errors = [line for line in server.log.splitlines() if "ERROR" in line]
        print(*errors[-40:], sep="\n", file=sys.stderr)


@pytest.fixture(scope="session")
def script(tmp_path_factory: pytest.TempPathFactory) -> Script:
    """What the scripted engine says."""
    return Script(tmp_path_factory.mktemp("script"))


@pytest.fixture(scope="session")
def scripted(serve: Serve, script: Script) -> Iterator[Server]:
    """The server with the scripted engine and the shim as a middleware, as most people mount it."""
    flags = [*PARSERS, *MIDDLEWARE, "--enable-prompt-tokens-details", "--scheduling-policy", "priority"]
    # More than the model was made for, which makes no difference to one that is not asked: Codex's prompt is long.
    long_context = ["--max-model-len", "32768"]
    with serve(*flags, *long_context, script=script, VLLM_ALLOW_LONG_MAX_MODEL_LEN="1") as server:
        yield server


@pytest.fixture(scope="session")
def real(serve: Serve) -> Iterator[Server]:
    """The server with the small model and the shim as a plugin, with a key, CORS and request ids."""
    flags = [*PARSERS, "--api-key", "right", "--enable-request-id-headers", "--enable-prompt-tokens-details"]
    origins = ["--allowed-origins", '["https://app.test"]']
    with serve(*flags, *origins, VLLM_PLUGINS="responses_shim") as server:
        yield server
