"""The servers that are compared, each in processes of its own, and what the kernel knows of those processes.

Linux only: CPU clocks of other processes and `/proc` are read.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .client import CHAT, RESPONSES, Dialect

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Server:
    """A port, the API that it speaks, and the processes behind it."""

    port: int
    dialect: Dialect
    pids: tuple[int, ...]

    def cpu_seconds(self) -> float:
        """User and system time so far, of all threads of all processes, in nanosecond steps."""
        return sum(time.clock_gettime(_cpu_clock(pid)) for pid in self.pids)

    def resident_kb(self) -> float:
        """Resident memory of all processes, counted page by page (`/proc/<pid>/statm` may lag behind)."""
        return sum(_resident_kb(pid) for pid in self.pids)

    def forget_peak(self) -> None:
        """Have the kernel begin anew to note the peak of resident memory."""
        for pid in self.pids:
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak_kb(self) -> float:
        """The most resident memory that the processes have had since `forget_peak`."""
        return sum(_kb(pid, "status", "VmHWM:") for pid in self.pids)


@contextlib.contextmanager
def raw() -> Iterator[Server]:
    """The host alone."""
    with _uvicorn("raw") as (port, pid):
        yield Server(port, CHAT, (pid,))


@contextlib.contextmanager
def shim(send_buffer: int | None = None, **environment: str) -> Iterator[Server]:
    """The host with the shim mounted on it, configured from the environment.

    `send_buffer`: how much the kernel keeps for a client that does not read, in bytes.
    """
    with _uvicorn("shim", environment, send_buffer) as (port, pid):
        yield Server(port, RESPONSES, (pid,))


@contextlib.contextmanager
def hostile(**environment: str) -> Iterator[Server]:
    """The host of `hostile_host` with the shim mounted on it, configured from the environment."""
    with _uvicorn("hostile", environment) as (port, pid):
        yield Server(port, RESPONSES, (pid,))


@contextlib.contextmanager
def redis_server(folder: str) -> Iterator[int]:
    """The port of a Redis that keeps nothing on the disk."""
    port = _free_port()
    options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--logfile", "redis.log"]
    with _process(["redis-server", "--port", str(port), "--dir", folder, *options], {}) as process:
        _wait_for(port, process)
        yield port


@contextlib.contextmanager
def guarded(**environment: str) -> Iterator[Server]:
    """The same host with a key."""
    with _uvicorn("guarded", environment) as (port, pid):
        yield Server(port, RESPONSES, (pid,))


@contextlib.contextmanager
def relay() -> Iterator[Server]:
    """The host with codex-relay in front: the usual way to get the same API today."""
    command = relay_command()
    if command is None:
        raise FileNotFoundError("codex-relay is not installed (pip install codex-relay==0.5.8)")
    port = _free_port()
    with _uvicorn("raw") as (host_port, host_pid):
        upstream = f"http://127.0.0.1:{host_port}/v1"
        arguments = [command, "--port", str(port), "--upstream", upstream, "--api-key", "none"]
        with _process(arguments, {"RUST_LOG": "error"}) as process:
            _wait_for(port, process)
            yield Server(port, RESPONSES, (host_pid, process.pid))


@contextlib.contextmanager
def proxy() -> Iterator[Server]:
    """The host with `responses-shim proxy` in front."""
    port = _free_port()
    with _uvicorn("raw") as (host_port, host_pid):
        upstream = f"http://127.0.0.1:{host_port}/v1"
        arguments = [sys.executable, "-m", "responses_shim.cli", "proxy", upstream, "--port", str(port)]
        with _process(arguments, {"RESPONSES_SHIM_HOST": "generic"}) as process:
            _wait_for(port, process)
            yield Server(port, RESPONSES, (host_pid, process.pid))


def relay_command() -> str | None:
    """Where the relay's binary is: on the path, or beside this interpreter; None if it is not installed."""
    return shutil.which("codex-relay") or shutil.which("codex-relay", path=str(Path(sys.executable).parent))


@contextlib.contextmanager
def _uvicorn(
    name: str, environment: dict[str, str] | None = None, send_buffer: int | None = None
) -> Iterator[tuple[int, int]]:
    """The listening socket is made here and inherited: no race for the port, no wait before connecting."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        if send_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        port, number = listener.getsockname()[1], listener.fileno()
        arguments = [sys.executable, "-m", "tests.benchmarks.host", name, str(number)]
        with _process(arguments, environment or {}, keep=(number,)) as process:
            listener.close()  # The child has its own: should it die, clients are refused, not kept waiting.
            yield port, process.pid


@contextlib.contextmanager
def _process(
    arguments: list[str], environment: dict[str, str], keep: tuple[int, ...] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(arguments, cwd=ROOT, env=os.environ | environment, pass_fds=keep) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def _wait_for(port: int, process: subprocess.Popen[bytes], patience: float = 10.0) -> None:
    """Return once the port answers; the relay gives no other sign that it is up."""
    until = time.monotonic() + patience
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise TimeoutError(f"{process.args!r} did not answer on port {port}")


def _cpu_clock(pid: int) -> int:
    clock = ctypes.c_int()
    if error := ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock)):
        raise OSError(error, os.strerror(error))
    return clock.value


def _resident_kb(pid: int) -> float:
    return _kb(pid, "smaps_rollup", "Rss:")


def _kb(pid: int, file: str, name: str) -> float:
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(name):
            return float(line.split()[1])
    raise RuntimeError(f"no {name} in /proc/{pid}/{file}")
