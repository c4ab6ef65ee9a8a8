"""The command line of a server: which program it is, and why it is none that can be run here."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from responses_shim.cli import launch, main
from responses_shim.cli.program import Program, find_program
from tests.cli.canned import failure_of

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: Patch) -> Path:
    """The working directory, with a module `serve.py` in it."""
    (tmp_path / "serve.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def script(folder: Path, first_lines: str | bytes) -> str:
    """The path of an executable file that begins so."""
    path = folder / "start"
    path.write_bytes(first_lines if isinstance(first_lines, bytes) else first_lines.encode())
    path.chmod(0o755)
    return "./start"


@pytest.mark.parametrize(
    ("command", "program"),
    [
        (["serve.py", "--port", "1"], Program("serve.py", ("--port", "1"))),
        (["./serve.py"], Program("./serve.py", ())),
        (["-m", "serve", "-m"], Program("serve", ("-m",), is_module=True)),
        (["python", "-m", "serve", "--", "x"], Program("serve", ("--", "x"), is_module=True)),
        (["python3", "serve.py", "-u"], Program("serve.py", ("-u",))),
        ([sys.executable, "serve.py"], Program("serve.py", ())),
        (["uvicorn", "serve:app"], Program(str(Path(sys.executable).parent / "uvicorn"), ("serve:app",))),
    ],
)
def test_the_program_of_a_command(folder: Path, command: list[str], program: Program) -> None:
    assert find_program(command) == program


def test_a_command_that_this_environment_lacks_is_looked_for_on_path(folder: Path, monkeypatch: Patch) -> None:
    script(folder, f"#!{sys.executable}\n")
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    assert find_program(["start"]) == Program(str(folder / "start"), ())


@pytest.mark.parametrize(
    "first_lines",
    [
        f"#!{sys.executable}",
        "#!/usr/bin/env python3",
        "#!/usr/bin/env -S python3 -u",
        f"#!/bin/sh\n'''exec' \"{sys.executable}\" \"$0\" \"$@\"\n' '''",
        f"#!/bin/sh\n'''exec' {sys.executable} \"$0\" \"$@\"\n' '''",
    ],
)
def test_a_script_says_by_its_first_line_that_it_is_python(folder: Path, first_lines: str) -> None:
    assert find_program([script(folder, first_lines), "x"]) == Program("./start", ("x",))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-server", "serve"], "there is no command no-such-server in this Python environment"),
        (["llama-cp"], "did you mean llama-cpp?"),
        (["./missing.py"], "there is no file ./missing.py"),
        (["python", "missing.py"], "there is no file missing.py"),
        (["-m", "no_such.module"], "there is no module no_such.module in this Python environment"),
        (["-m"], "-m needs the name of a module"),
        (["python"], "only a file or -m MODULE can be run, not no program"),
        (["python", "-X", "dev", "serve.py"], "options of Python's own as python OPTIONS -m responses_shim.cli"),
        (["/opt/else/bin/python", "-m", "vllm"], "/opt/else/bin/python belongs to another Python environment"),
        (["python2", "serve.py"], "python2 belongs to another Python environment"),
    ],
)
def test_a_command_that_cannot_be_run_is_an_error_of_one_line(
    folder: Path, capsys: Capture, words: list[str], message: str
) -> None:
    code, line, out = failure_of(capsys, "run", *words)
    assert (code, out) == (2, "")
    assert message in line


@pytest.mark.parametrize("content", [b"#!/bin/sh\nexec uvicorn serve:app\n", b"\x7fELF\x00\x00", b""])
def test_a_file_that_is_no_python_program_is_an_error(folder: Path, capsys: Capture, content: bytes) -> None:
    code, line, _ = failure_of(capsys, "run", script(folder, content))
    assert (code, line) == (2, "./start is not a Python program, so the shim cannot be mounted in it")


def test_a_script_of_another_environment_is_an_error_that_says_what_to_do(folder: Path, capsys: Capture) -> None:
    code, line, _ = failure_of(capsys, "run", script(folder, "#!/opt/else/bin/python3\n"), "serve", "--port", "1")
    assert code == 2
    assert line == (
        f"./start belongs to another Python environment (/opt/else) than this one ({sys.prefix}): "
        "/opt/else/bin/python3 -m pip install responses-shim, then /opt/else/bin/responses-shim run ./start serve …"
    )


def test_a_wrong_setting_is_an_error_before_the_command_runs(folder: Path, capsys: Capture, monkeypatch: Patch) -> None:
    monkeypatch.setenv("RESPONSES_SHIM_PING", "loud")
    monkeypatch.setattr(launch, "find_program", pytest.fail)
    code, line, _ = failure_of(capsys, "run", "serve.py")
    assert code == 2
    assert line.startswith("RESPONSES_SHIM_PING: ")


@pytest.mark.parametrize("words", [["run"], ["run", "--"], ["run", "--with-parent"]])
def test_run_without_a_command_prints_the_usage(capsys: Capture, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "run needs the command of a server" in capsys.readouterr().err
