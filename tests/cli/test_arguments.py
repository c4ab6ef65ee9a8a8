"""The command line itself: what goes where, exit codes, one line for every known failure."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from responses_shim import ConfigurationError, __version__
from responses_shim.cli import demo, launch, main
from responses_shim.cli.failure import CommandFailed

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


@pytest.fixture
def runs(monkeypatch: Patch) -> list[tuple[str, list[str], bool]]:
    """What `run` was asked to start, instead of starting it."""
    asked: list[tuple[str, list[str], bool]] = []

    def record(host: str, arguments: list[str], *, with_parent: bool = False) -> None:
        asked.append((host, arguments, with_parent))

    monkeypatch.setattr(launch, "run", record)
    return asked


def test_version_is_the_packages(capsys: Capture) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"responses-shim {__version__}\n"


@pytest.mark.parametrize(
    ("words", "hosts"),
    [
        (["--", "--model", "m.gguf"], ["--model", "m.gguf"]),
        (["--model", "m.gguf"], ["--model", "m.gguf"]),
        (["--help"], ["--help"]),
        (["--", "--help"], ["--help"]),
        (["serve", "model", "--", "x"], ["serve", "model", "--", "x"]),
        (["--", "--", "x"], ["--", "x"]),
        ([], []),
    ],
)
def test_everything_behind_the_host_is_the_hosts(
    runs: list[tuple[str, list[str], bool]], words: list[str], hosts: list[str]
) -> None:
    assert main(["run", "llama-cpp", *words]) == 0
    assert runs == [("llama-cpp", hosts, False)]


def test_options_of_run_come_before_the_host(runs: list[tuple[str, list[str], bool]]) -> None:
    assert main(["run", "--with-parent", "llama-cpp", "--", "--port", "1"]) == 0
    assert runs == [("llama-cpp", ["--port", "1"], True)]


def test_help_of_run_lists_the_hosts(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--help"])
    assert ended.value.code == 0
    assert "Hosts: llama-cpp" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("words", [[], ["run"], ["no-such-command"], ["demo", "--port", "0"], ["demo", "--port", "x"]])
def test_a_wrong_command_line_is_told_with_its_usage(capsys: Capture, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: responses-shim")


def test_an_unknown_host_lists_the_known_ones(capsys: Capture) -> None:
    assert main(["run", "llamacpp"]) == 2
    assert capsys.readouterr().err == (
        "responses-shim: no host is called 'llamacpp': did you mean llama-cpp? known hosts: llama-cpp\n"
    )


def failing(error: BaseException) -> Callable[[object], None]:
    def fail(options: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "exit_code", "lines"),
    [
        (ConfigurationError("FOO: there is no such setting"), 2, "responses-shim: FOO: there is no such setting\n"),
        (CommandFailed("it broke", details=["one", "two"]), 1, "responses-shim: it broke\n  | one\n  | two\n"),
        (CommandFailed("port taken", exit_code=2), 2, "responses-shim: port taken\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_known_failures_are_one_line_and_a_code(
    monkeypatch: Patch, capsys: Capture, error: BaseException, exit_code: int, lines: str
) -> None:
    monkeypatch.setattr(demo, "run", failing(error))
    assert main(["demo"]) == exit_code
    assert capsys.readouterr().err == lines


def test_a_reader_that_leaves_is_no_error(monkeypatch: Patch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setattr(demo, "run", failing(BrokenPipeError()))
    with open(tmp_path_factory.mktemp("out") / "stdout", "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main(["demo"]) == 1
        stdout.write("goes nowhere")
    assert (tmp_path_factory.getbasetemp() / "out0" / "stdout").read_text() == ""


def test_arguments_default_to_the_processes(monkeypatch: Patch) -> None:
    monkeypatch.setattr(sys, "argv", ["responses-shim", "version"])
    monkeypatch.setattr(sys, "stdout", out := io.StringIO())
    assert main() == 0
    assert out.getvalue() == f"responses-shim {__version__}\n"
