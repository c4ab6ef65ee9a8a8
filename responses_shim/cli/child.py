"""A server in a child process that does not outlive this one; and ports of the loopback interface."""

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
"""How many lines of the child's output are kept."""
STOP_SECONDS = 5.0
"""How long a child may take to shut down before it is killed."""


def port_error(port: int) -> str | None:
    """Why a server cannot listen at `port` on the loopback interface, in the system's words; None if it can."""
    with socket.socket() as probe:
        if os.name == "posix":
            # As servers do, so that closed connections that the system still remembers do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            return error.strerror or str(error)
    return None


def free_port() -> int:
    """A port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


class ChildServer:
    """A server process that runs while a `with` block lasts.

    `command` starts it, with these `environment` variables, and it should listen at `port` on the loopback interface.

    Its standard input is a pipe that only this process has open. A child that watches it, as `run --with-parent` does,
    ends even if this process is killed. Its output is read all the time, so that it cannot block on a full pipe, and
    the last lines are kept for error messages.
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
        """Wait until the port takes connections. Raises CommandFailed if the child ends, or takes longer than this."""
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
        """Raise CommandFailed, with the last lines of its output, if the child has ended or ends `within` seconds."""
        try:
            self._process.wait(timeout=within)
        except subprocess.TimeoutExpired:
            return
        raise self._failure()

    def wait(self) -> None:
        """Wait for the end of the child and raise CommandFailed: a server does not end by itself unless it fails."""
        self._process.wait()
        raise self._failure()

    def _failure(self) -> CommandFailed:
        self._reader.join(timeout=5)
        code = self._process.returncode
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        output = "its last lines:" if self._lines else "it printed nothing"
        return CommandFailed(f"the server {how}; {output}", details=self._lines)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line.rstrip())
