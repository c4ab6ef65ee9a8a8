"""The command line: which arguments are the host's, exit codes, and one line for every known failure."""

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
    """The calls of `launch.run`, which does nothing else: host, the host's arguments, `with_parent`."""
    calls: list[tuple[str, list[str], bool]] = []

    def record(host: str, arguments: list[str], *, with_parent: bool = False) -> None:
        calls.append((host, arguments, with_parent))

    monkeypatch.setattr(launch, "run", record)
    return calls


def test_version_prints_the_version_of_the_package(capsys: Capture) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"responses-shim {__version__}\n"


@pytest.mark.parametrize(
    ("words", "host_arguments"),
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
def test_all_arguments_after_the_host_are_the_hosts(
    runs: list[tuple[str, list[str], bool]], words: list[str], host_arguments: list[str]
) -> None:
    assert main(["run", "llama-cpp", *words]) == 0
    assert runs == [("llama-cpp", host_arguments, False)]


def test_options_before_the_host_are_those_of_run(runs: list[tuple[str, list[str], bool]]) -> None:
    assert main(["run", "--with-parent", "llama-cpp", "--", "--port", "1"]) == 0
    assert runs == [("llama-cpp", ["--port", "1"], True)]


def test_the_help_of_run_lists_the_hosts(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--help"])
    assert ended.value.code == 0
    assert "Hosts: llama-cpp" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("words", [[], ["run"], ["no-such-command"], ["demo", "--port", "0"], ["demo", "--port", "x"]])
def test_a_wrong_command_line_prints_the_usage(capsys: Capture, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: responses-shim")


def test_the_error_for_an_unknown_host_lists_the_known_ones(capsys: Capture) -> None:
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
def test_a_known_failure_is_one_line_and_an_exit_code(
    monkeypatch: Patch, capsys: Capture, error: BaseException, exit_code: int, lines: str
) -> None:
    monkeypatch.setattr(demo, "run", failing(error))
    assert main(["demo"]) == exit_code
    assert capsys.readouterr().err == lines


def test_a_closed_output_pipe_prints_no_error(monkeypatch: Patch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setattr(demo, "run", failing(BrokenPipeError()))
    with open(tmp_path_factory.mktemp("out") / "stdout", "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main(["demo"]) == 1
        stdout.write("goes nowhere")
    assert (tmp_path_factory.getbasetemp() / "out0" / "stdout").read_text() == ""


def test_the_default_arguments_are_those_of_the_process(monkeypatch: Patch) -> None:
    monkeypatch.setattr(sys, "argv", ["responses-shim", "version"])
    monkeypatch.setattr(sys, "stdout", out := io.StringIO())
    assert main() == 0
    assert out.getvalue() == f"responses-shim {__version__}\n"
