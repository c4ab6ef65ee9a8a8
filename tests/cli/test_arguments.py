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
def runs(monkeypatch: Patch) -> list[tuple[list[str], bool]]:
    """The commands that are run, which does nothing else: the command, `with_parent`."""
    calls: list[tuple[list[str], bool]] = []

    def record(command: list[str], *, with_parent: bool = False) -> Callable[[], None]:
        return lambda: calls.append((command, with_parent))

    monkeypatch.setattr(launch, "prepare", record)
    return calls


def test_version_prints_the_version_of_the_package(capsys: Capture) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"responses-shim {__version__}\n"


@pytest.mark.parametrize(
    ("words", "command", "with_parent"),
    [
        (["llama-cpp", "--", "--model", "m.gguf"], ["llama-cpp", "--", "--model", "m.gguf"], False),
        (["vllm-mlx", "serve", "--help"], ["vllm-mlx", "serve", "--help"], False),
        (["--", "vllm-mlx", "--", "x"], ["vllm-mlx", "--", "x"], False),
        (["-m", "llama_cpp.server", "--with-parent"], ["-m", "llama_cpp.server", "--with-parent"], False),
        (["--with-parent", "serve.py", "-h"], ["serve.py", "-h"], True),
        (["--with-parent", "--", "-m", "serve"], ["-m", "serve"], True),
    ],
)
def test_all_from_the_command_on_is_the_commands(
    runs: list[tuple[list[str], bool]], words: list[str], command: list[str], with_parent: bool
) -> None:
    assert main(["run", *words]) == 0
    assert runs == [(command, with_parent)]


@pytest.mark.parametrize("ended", [SystemExit(3), KeyboardInterrupt(), BrokenPipeError(), ValueError("broken")])
def test_what_the_command_raises_is_passed_on(monkeypatch: Patch, ended: BaseException) -> None:
    def end() -> None:
        raise ended

    monkeypatch.setattr(launch, "prepare", lambda command, with_parent: end)
    with pytest.raises(type(ended)) as passed_on:
        main(["run", "serve.py"])
    assert passed_on.value is ended


def test_the_help_of_run_lists_the_names_of_hosts(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--help"])
    assert ended.value.code == 0
    assert "Names of their own have: llama-cpp" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("words", [[], ["run"], ["no-such-command"], ["demo", "--port", "0"], ["demo", "--port", "x"]])
def test_a_wrong_command_line_prints_the_usage(capsys: Capture, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: responses-shim")


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
