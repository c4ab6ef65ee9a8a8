"""Codex CLI as a test runs it: configured by `responses-shim codex`, on a host that plays a script, over loopback."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from integrations.running import LOOPBACK_ONLY, not_installed
from responses_shim import ResponsesShim
from responses_shim.cli import main
from tests.scripted import ScriptedHost, read_body

SECONDS = 60.0

MODEL = "scripted"
CONTEXT = 32768

# Keeps Codex from calling home: for news of itself, to tell of its use, for plugins.
QUIET = (
    "check_for_update_on_startup=false",
    "analytics.enabled=false",
    'otel.exporter="none"',
    'otel.metrics_exporter="none"',
    'otel.trace_exporter="none"',
    "features.plugins=false",
    "features.apps=false",
)


INSTALL = "npm install --prefix ~/codex-cli @openai/codex@0.169.0"


def find_codex() -> str:
    """Codex: what CODEX_CLI names, else `codex`. Where there is none the tests are skipped, but in CI they fail."""
    found = shutil.which(os.environ.get("CODEX_CLI", "codex"))
    if found is None:
        not_installed(f"needs Codex CLI on the PATH, or named by CODEX_CLI: {INSTALL}")
    return found


class Host(ScriptedHost):
    """A chat host that also lists its one model."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (scope["method"], scope["path"]) == ("GET", "/v1/models"):
            listed = {"id": MODEL, "object": "model", "max_model_len": CONTEXT}
            answer = JSONResponse({"object": "list", "data": [listed]})
            await answer(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class Wire:
    """Stands before the shim and keeps what Codex asks; `watch`, if set, sees each piece of what it gets."""

    def __init__(self, app: ResponsesShim) -> None:
        self.app = app
        self.routes: list[str] = []
        self.requests: list[dict[str, Any]] = []
        """The bodies of POST /v1/responses, as Codex wrote them."""
        self.watch: Callable[[bytes], None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        query = scope["query_string"].decode()
        self.routes.append(f"{scope['method']} {scope['path']}{'?' if query else ''}{query}")
        body = await read_body(receive)
        if body:
            self.requests.append(json.loads(body))
        given = False

        async def receive_again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send_watched(message: Message) -> None:
            if self.watch is not None:
                self.watch(message.get("body", b""))
            await send(message)

        await self.app(scope, receive_again, send_watched)


@dataclass(frozen=True)
class Run:
    """One run of `codex exec --json` that has ended."""

    exit_code: int
    events: list[dict[str, Any]]
    stderr: str

    def items(self, kind: str) -> list[dict[str, Any]]:
        """The completed items of one kind: `agent_message`, `command_execution`, `file_change`, `error`, …"""
        done = [event["item"] for event in self.events if event["type"] == "item.completed"]
        return [item for item in done if item["type"] == kind]

    @property
    def text(self) -> str:
        return "\n".join(item["text"] for item in self.items("agent_message"))

    @property
    def errors(self) -> list[str]:
        """Whatever Codex complained of, warnings included."""
        messages = [event["message"] for event in self.events if event["type"] == "error"]
        return [*messages, *(item["message"] for item in self.items("error"))]


class CodexCLI:
    """Codex with a home and a workspace of its own, configured by `responses-shim codex` for the shim at `url`."""

    def __init__(self, binary: str, folder: Path, url: str) -> None:
        self.binary = binary
        self.home = folder / "home"
        self.work = folder / "work"
        self.url = url
        for made in (self.home, self.work):
            made.mkdir()

    def configure(self, *words: str) -> str:
        """Runs `responses-shim codex` with the words and makes what it prints the whole `config.toml`."""
        printed = io.StringIO()
        with redirect_stdout(printed):
            assert main(["codex", "--url", f"{self.url}/v1", *words]) == 0
        (self.home / "config.toml").write_text(printed.getvalue())
        return printed.getvalue()

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Codex's command line, in the workspace."""
        own = {"PATH": os.environ["PATH"], "HOME": str(self.home), "CODEX_HOME": str(self.home)}
        return subprocess.run(
            [self.binary, *words],
            cwd=self.work,
            env={**own, **LOOPBACK_ONLY, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def exec(self, *words: str, config: tuple[str, ...] = (), **environment: str) -> Run:
        """One headless run; the prompt is the last of `words`, `config` are settings as `-c` takes them."""
        settings = [word for setting in (*QUIET, *config) for word in ("-c", setting)]
        how = ["--strict-config", "--skip-git-repo-check", "--sandbox", "danger-full-access", "--json"]
        ended = self.run("exec", *settings, *how, *words, **environment)
        return Run(ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()], ended.stderr)


class Codex(CodexCLI):
    """Codex on a host that plays a script; `wire` has what it asks."""

    def __init__(self, binary: str, folder: Path, url: str, host: Host, wire: Wire) -> None:
        super().__init__(binary, folder, url)
        self.host = host
        self.wire = wire
