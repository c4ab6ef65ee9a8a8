"""Starts vLLM's own server, as a user does, from the environment in which it is installed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import httpx

from integrations import script
from responses_shim.cli import child

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "tests" / "captures" / "vllm" / "template.jinja"
"""A chat template with tools and reasoning, for the small model has none."""

START_SECONDS = 600.0
"""How long a server may take to start: half a minute on an idle machine with two cores, minutes on a busy one."""
STOP_SECONDS = 15.0
MODEL = "smol"

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
SMALL = {"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": "1"}
PARSERS = ("--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--reasoning-parser", "qwen3")
MIDDLEWARE = ("--middleware", "responses_shim.ResponsesShim")

PLUGIN = "scripted_engine"


def environment() -> Path | None:
    """The virtual environment that VLLM_ENVIRONMENT names; None if vLLM is not installed there."""
    found = Path(os.environ.get("VLLM_ENVIRONMENT") or "no such folder").resolve()
    return found if (found / "bin" / "vllm").is_file() else None


def make_model(installed: Path, folder: Path) -> Path:
    """SmolLM2, in the form that vLLM reads, with two unused tokens renamed to think tags. Takes about half a minute.

    It is made once, beside the environment; `folder` is where the program that makes it runs.
    """
    model = installed / "model"
    if not (model / "config.json").is_file():
        command = [str(installed / "bin" / "python"), "-m", "tests.captures.vllm.record", "model"]
        variables = {**os.environ, **OFFLINE, "PYTHONPATH": str(ROOT)}
        subprocess.run(command, cwd=folder, env=variables, check=True, capture_output=True)
        (folder / "model").rename(model)
    return model


class Script(script.Script):
    """What vLLM's scripted engine says, as `scripted_engine` describes it, with the plugin that installs the engine."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.plugins = folder / "plugins"
        _write_distribution(self.plugins)

    @property
    def ended(self) -> list[int]:
        """How many tokens the engine has given in each call that has ended since the script was set."""
        return self.lines("ended")


def _write_distribution(folder: Path) -> None:
    """The metadata of a package with the plugin in it: on PYTHONPATH that is as good as installed."""
    metadata = folder / f"{PLUGIN}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PLUGIN}\nVersion: 1.0\n")
    entry_point = f"{PLUGIN} = integrations.vllm.scripted_engine:install"
    (metadata / "entry_points.txt").write_text(f"[vllm.general_plugins]\n{entry_point}\n")


class Server:
    """`vllm serve` with these flags and environment variables, as long as a `with` block lasts.

    With a `script` the scripted engine speaks. `url` ends with `/v1`; `log` has what the server has printed.
    """

    def __init__(
        self,
        installed: Path,
        model: Path,
        flags: Sequence[str],
        log: Path,
        script: Script | None = None,
        **variables: str,
    ) -> None:
        port = child.free_port()
        self.address = f"http://127.0.0.1:{port}"
        self.url = f"{self.address}/v1"
        self._log = log
        self._command = [
            *(str(installed / "bin" / "vllm"), "serve", str(model), "--served-model-name", MODEL),
            *("--host", "127.0.0.1", "--port", str(port), "--dtype", "bfloat16", "--max-model-len", "8192"),
            *("--enforce-eager", "--chat-template", str(TEMPLATE), *flags),
        ]
        path, own = [str(ROOT)], {}
        if script is not None:
            path.append(str(script.plugins))
            own = {"SCRIPTED_ENGINE": str(script.file)}
        # vLLM warns of variables that begin like its own.
        inherited = {name: value for name, value in os.environ.items() if name != "VLLM_ENVIRONMENT"}
        self._environment = {**inherited, **OFFLINE, **SMALL, **own, "PYTHONPATH": os.pathsep.join(path), **variables}

    def __enter__(self) -> Server:
        with self._log.open("w") as log:
            # A group of its own, so that the engine's processes end with the server, whatever it does about them.
            self.process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_healthy()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()

    @property
    def log(self) -> str:
        """What the server has printed so far."""
        return self._log.read_text(errors="replace")

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"vLLM ended with {self.process.returncode}:\n{self.log[-4000:]}")
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.address}/health", trust_env=False).status_code == 200:
                    return
            time.sleep(0.2)
        raise RuntimeError(f"vLLM did not start within {START_SECONDS:.0f} s:\n{self.log[-4000:]}")

    def _end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
