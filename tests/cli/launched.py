"""A server that `responses-shim run` or `proxy` has started in a process of its own, and what it prints."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60.0
"""How long a server may take for each thing that it is expected to do."""

SHIM = [sys.executable, "-m", "responses_shim.cli"]
RUN = [*SHIM, "run"]

UVICORN_URL = r"Uvicorn running on (http://\S+)"

CHAT_APP = """
import json

from fastapi import APIRouter, FastAPI
from fastapi.responses import StreamingResponse

CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
router = APIRouter(prefix="/v1")


@router.post("/chat/completions")
async def chat() -> StreamingResponse:
    async def chunks():
        for delta, finish in (({"role": "assistant", "content": "Hello."}, None), ({}, "stop")):
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            yield f"data: {json.dumps({**CHUNK, 'choices': [choice]})}\\n\\n"
        yield "data: [DONE]\\n\\n"

    return StreamingResponse(chunks(), media_type="text/event-stream")


app = FastAPI()
app.include_router(router)
"""
"""A module with the app of a chat server that always says hello."""


class Launched:
    """`responses-shim run` with these words, in this directory; all of it is killed at the end of the `with` block.

    `command` are other words than `run`.
    """

    def __init__(
        self,
        *words: str,
        cwd: Path,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = ("run",),
    ) -> None:
        self._process = subprocess.Popen(
            [*SHIM, *command, *words],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=_heed_interrupts,
            start_new_session=True,
        )
        self.lines: list[str] = []
        """The lines of its output, standard error included, that have been read."""
        self._unread: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Launched:
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # what it has started too
        self._process.wait()
        self._reader.join(SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def until(self, pattern: str) -> re.Match[str]:
        """Read its output until a line matches, and return the match."""
        while (line := self._unread.get(timeout=SECONDS)) is not None:
            self.lines.append(line)
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"no line has {pattern!r}: {self.lines}")

    def exit_code(self, by: signal.Signals | None = None) -> int:
        """Wait for its end, after sending a signal if one is given; read what is left of its output."""
        if by is not None:
            self._process.send_signal(by)
        code = self._process.wait(SECONDS)
        while (line := self._unread.get(timeout=SECONDS)) is not None:
            self.lines.append(line)
        return code

    @property
    def own_lines(self) -> list[str]:
        """The lines that the launcher itself has printed, without its name."""
        prefix = "responses-shim: "
        return [line.removeprefix(prefix) for line in self.lines if line.startswith(prefix)]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._unread.put(line.rstrip())
        self._unread.put(None)


def answer(url: str) -> str:
    """The text of a response of the server at this URL."""
    response: dict[str, Any] = (
        httpx.post(f"{url}/v1/responses", json={"model": "m", "input": "Hi"}, timeout=SECONDS).raise_for_status().json()
    )
    return "".join(part["text"] for item in response["output"] for part in item.get("content", ()))


def _heed_interrupts() -> None:
    """A shell starts what it runs in the background deaf to SIGINT, the tests and their children included."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
