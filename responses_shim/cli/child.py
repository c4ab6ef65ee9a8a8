"""A server in a child process, which never outlives this one."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType

from responses_shim.cli.failure import CommandFailed

LOOPBACK = "127.0.0.1"
LAST_LINES = 12
STOP_SECONDS = 5.0
"""How long a child may take to end in good order before it is killed."""


def why_not_free(port: int) -> str | None:
    """What the system says to a server that wants the loopback's `port`, or None if it may have it."""
    with socket.socket() as probe:
        if os.name == "posix":
            # As servers do it: remains of connections that have ended do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            return error.strerror or str(error)
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


class ChildServer:
    """Runs `command` while its `with` block lasts.

    The child's standard input is a pipe that only this process holds: a child that watches it, as
    `run --with-parent` does, ends even if this process is killed. Its output is read all the time, so that it
    cannot block on a full pipe, and the last lines are kept to be shown when something goes wrong.
    """

    def __init__(self, command: Sequence[str], *, port: int, environment: Mapping[str, str]) -> None:
        self._command = command
        self._port = port
        self._environment = environment
        self._lines: deque[str] = deque(maxlen=LAST_LINES)

    def __enter__(self) -> ChildServer:
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            self._reader.join(timeout=5)
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()

    def wait_until_listening(self, seconds: float) -> None:
        """Returns when the port takes connections. CommandFailed if the child ends first or is too slow."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check()
            try:
                socket.create_connection((LOOPBACK, self._port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise CommandFailed(f"the server did not start within {seconds:.0f} s", details=self._lines)

    def check(self, *, within: float = 0.0) -> None:
        """CommandFailed, with the end of its log, if the child has ended or does so `within` these seconds."""
        try:
            self._process.wait(timeout=within)
        except subprocess.TimeoutExpired:
            return
        raise self._has_ended()

    def wait(self) -> None:
        """Returns never: a server that ends by itself is a failure, and Ctrl-C is an exception."""
        self._process.wait()
        raise self._has_ended()

    def _has_ended(self) -> CommandFailed:
        self._reader.join(timeout=5)
        code = self._process.returncode
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        said = "its last lines:" if self._lines else "it said nothing"
        return CommandFailed(f"the server {how}; {said}", details=self._lines)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line.rstrip())
