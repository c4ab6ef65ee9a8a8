"""Runs clients that are programs of their own: finds where they are installed, and keeps them to the loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[1]

SECONDS = 120.0
"""How long a client may take for all that it is asked in one go; those in Python take seconds to start."""

# Should a client think of anything beside the shim, nobody listens there.
NOWHERE = dict.fromkeys(["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"], "http://127.0.0.1:9")
LOOPBACK_ONLY = {**NOWHERE, **dict.fromkeys(["NO_PROXY", "no_proxy"], "127.0.0.1")}
NO_TELEMETRY = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "HAYSTACK_TELEMETRY_ENABLED": "false",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "OTEL_SDK_DISABLED": "true",
}


def not_installed(reason: str) -> NoReturn:
    """Skip the test on a user's machine, where a client may be missing, and fail it in CI, where none may."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


def installation(variable: str) -> Path:
    """The folder that an environment variable names; one that does not exist, where it is not set."""
    return Path(os.environ.get(variable) or "no such folder").resolve()


def detected_host(python: str | Path, host: str) -> str:
    """The host that is detected in the app of `host`, which its own code builds where it is installed."""
    command = [python, "-m", "tests.captures.apps.record", host, "--print"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "VLLM_TARGET_DEVICE": "cpu", "HF_HUB_OFFLINE": "1"}
    run = subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert run.returncode == 0, run.stderr
    return str(json.loads(run.stdout.splitlines()[-1])["detected"])


def node_command(script: Path, package: str, variable: str, install: str, folder: Path) -> list[str]:
    """The command that runs a script beside which Node finds its packages.

    The script and the others in its folder are copied to `folder`, which is made, and linked with the packages that
    `install` has put into the folder that `variable` names. Where `package` is not there, see `not_installed`.
    """
    node, modules = shutil.which("node"), installation(variable) / "node_modules"
    if node is None or not (modules / package).is_dir():
        not_installed(f"needs node, and {variable} to name the folder of: {install}")
    folder.mkdir()
    for file in script.parent.glob("*.mjs"):
        shutil.copy(file, folder)
    (folder / "node_modules").symlink_to(modules)
    return [node, str(folder / script.name)]


def run_client(command: Sequence[str], environment: Mapping[str, str] | None = None, folder: Path | None = None) -> str:
    """Run a client to its end and give what it prints; if it fails, the test fails with what it complains of.

    `environment` is added to that of the tests; `folder` is where it runs, by default where they do.
    """
    run = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, **LOOPBACK_ONLY, **NO_TELEMETRY, **(environment or {})},
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout
