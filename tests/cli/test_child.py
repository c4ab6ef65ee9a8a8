"""A server in a child process: one that listens, one that crashes, one that does not end. The processes are real."""

from __future__ import annotations

import os
import socket
import sys
import textwrap

import pytest

from responses_shim.cli import child as child_module
from responses_shim.cli.child import ChildServer, free_port, port_error
from responses_shim.cli.failure import CommandFailed

SECONDS = 30.0

LISTEN = """
    import socket, sys, threading
    server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    threading.Event().wait()
"""


def child(program: str, port: int | None = None) -> ChildServer:
    port = free_port() if port is None else port
    command = [sys.executable, "-c", textwrap.dedent(program), str(port)]
    return ChildServer(command, port=port, environment=os.environ)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_child_that_listens_runs_until_the_end_of_the_block() -> None:
    with child(LISTEN) as server:
        server.wait_until_listening(SECONDS)
        server.check()
        pid = server._process.pid
        assert is_running(pid)
    assert not is_running(pid)


def test_an_exception_in_the_block_ends_the_child() -> None:
    def fail() -> None:
        with child(LISTEN) as server:
            pids.append(server._process.pid)
            raise KeyboardInterrupt

    pids: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not is_running(pids[0])


def test_a_child_that_does_not_shut_down_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "STOP_SECONDS", 0.1)
    ignore = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + textwrap.dedent(LISTEN)
    with child(ignore) as server:
        server.wait_until_listening(SECONDS)
        pid = server._process.pid
    assert not is_running(pid)
    assert server._process.returncode == -9


def test_the_error_for_a_child_that_ends_at_start_has_its_last_lines() -> None:
    dying = "import sys\nfor n in range(50): print('line', n)\nsys.exit('out of memory')"
    with child(dying) as server, pytest.raises(CommandFailed) as failed:
        server.wait_until_listening(SECONDS)
    assert str(failed.value) == "the server ended with exit code 1; its last lines:"
    assert "out of memory" in failed.value.details
    assert len(failed.value.details) == child_module.LAST_LINES


def test_the_error_for_a_child_that_crashes_has_its_signal() -> None:
    with child("import os; os.kill(os.getpid(), 11)") as server, pytest.raises(CommandFailed) as failed:
        server.wait()
    assert str(failed.value) == "the server was ended by signal 11; it printed nothing"


def test_a_child_that_never_listens_is_given_up_after_the_timeout() -> None:
    with child("import threading; threading.Event().wait()") as server, pytest.raises(CommandFailed) as failed:
        server.wait_until_listening(0.2)
    assert str(failed.value).startswith("the server did not start within")


def test_a_child_may_print_more_than_a_pipe_holds() -> None:
    talkative = "import sys\nsys.stdout.write('x' * 1_000_000 + '\\n')\nsys.stdout.flush()\n" + textwrap.dedent(LISTEN)
    with child(talkative) as server:
        server.wait_until_listening(SECONDS)


def test_port_error_says_why_a_port_cannot_be_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert port_error(port) == "Address already in use"
    assert port_error(port) is None
    assert port_error(free_port()) is None
