"""`responses-shim run llama-cpp`: the host's own command runs, with the shim around its app."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from responses_shim import ConfigurationError, ResponsesShim
from responses_shim.cli import launch

Patch = pytest.MonkeyPatch


@pytest.fixture
def fake_llama_cpp(monkeypatch: Patch, tmp_path: Path) -> Path:
    """A package `llama_cpp` with the parts of the real one that `run` uses. Returns the directory of its server."""
    server = tmp_path / "llama_cpp" / "server"
    server.mkdir(parents=True)
    (tmp_path / "llama_cpp" / "__init__.py").touch()
    (server / "__init__.py").touch()
    (server / "app.py").write_text(
        textwrap.dedent("""
            calls = []

            async def host_app(scope, receive, send): ...

            def create_app(**options):
                calls.append(options)
                return host_app
        """)
    )
    (server / "__main__.py").write_text(
        textwrap.dedent("""
            import sys
            from llama_cpp.server.app import create_app

            served = []

            def main():
                served.append((create_app(server_settings=1, model_settings=[2]), list(sys.argv)))
        """)
    )
    forget_llama_cpp(monkeypatch)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    return server


def forget_llama_cpp(monkeypatch: Patch) -> None:
    """Remove `llama_cpp` from the imported modules, and again at the end of the test, when the former are restored."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "llama_cpp"]:
        monkeypatch.delitem(sys.modules, name)
    for part in ("", ".server", ".server.app", ".server.__main__"):
        monkeypatch.setitem(sys.modules, f"llama_cpp{part}", None)  # so that it is removed at the end of the test
        del sys.modules[f"llama_cpp{part}"]


def imported(module: str) -> Any:
    return sys.modules[module]


def test_llama_cpp_serves_its_app_wrapped_in_the_shim(fake_llama_cpp: Path) -> None:
    launch.prepare(["llama-cpp", "--", "--model", "m.gguf"])()
    [(app, argv)] = imported("llama_cpp.server.__main__").served
    assert isinstance(app, ResponsesShim)
    host = imported("llama_cpp.server.app")
    assert app.app is host.host_app
    assert app.settings.host == "llama-cpp"
    assert host.calls == [{"server_settings": 1, "model_settings": [2]}]
    assert argv == ["responses-shim run llama-cpp", "--model", "m.gguf"]


def test_the_factory_for_uvicorn_returns_the_app_wrapped_in_the_shim(fake_llama_cpp: Path) -> None:
    assert isinstance(launch.llama_cpp(), ResponsesShim)
    assert imported("llama_cpp.server.app").calls == [{}]


def test_the_setting_host_is_kept_if_it_is_set(fake_llama_cpp: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("RESPONSES_SHIM_HOST", "generic")
    assert launch.llama_cpp().settings.host == "generic"


def test_a_wrong_setting_is_an_error_before_the_model_is_loaded(fake_llama_cpp: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("RESPONSES_SHIM_PING", "loud")
    with pytest.raises(ConfigurationError, match="RESPONSES_SHIM_PING"):
        launch.prepare(["llama-cpp"])()
    assert imported("llama_cpp.server.app").calls == []


def test_the_factory_exits_with_one_line_for_a_wrong_setting(fake_llama_cpp: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("RESPONSES_SHIM_PING", "loud")
    with pytest.raises(SystemExit, match="responses-shim: RESPONSES_SHIM_PING: Input should be "):
        launch.llama_cpp()


def test_a_setting_that_the_host_refuses_is_an_error_of_one_line(fake_llama_cpp: Path) -> None:
    (fake_llama_cpp / "app.py").write_text(
        "def create_app(**options):\n    raise ValueError('Model path does not\\n exist: m.gguf')\n"
    )
    with pytest.raises(ConfigurationError) as refused:
        launch.prepare(["llama-cpp"])()
    assert str(refused.value) == "the host cannot start: Model path does not exist: m.gguf"


def test_without_llama_cpp_the_error_says_what_to_install(monkeypatch: Patch) -> None:
    forget_llama_cpp(monkeypatch)
    monkeypatch.setattr(launch, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError) as missing:
        launch.prepare(["llama-cpp"])()
    assert "pip install 'llama-cpp-python[server]'" in str(missing.value)
    assert "responses-shim[llama-cpp]" in str(missing.value)
    assert "\n" not in str(missing.value)


def test_without_llama_cpps_server_extra_the_error_names_it(fake_llama_cpp: Path) -> None:
    (fake_llama_cpp / "app.py").write_text("import no_such_module_of_the_server_extra\n")
    with pytest.raises(ConfigurationError, match=r"without its server .*no_such_module.*\[server\]"):
        launch.prepare(["llama-cpp"])()


def test_a_library_that_cannot_be_loaded_is_an_error_of_one_line(fake_llama_cpp: Path) -> None:
    (fake_llama_cpp / "app.py").write_text("raise RuntimeError('Failed to load shared library\\n libllama.so')\n")
    with pytest.raises(ConfigurationError, match=r"cannot be loaded: Failed to load shared library libllama.so$"):
        launch.prepare(["llama-cpp"])()


def test_a_host_run_with_parent_ends_when_its_standard_input_is_closed() -> None:
    program = """
        import threading
        from responses_shim.cli import launch

        def serve():
            print("serving", flush=True)
            threading.Event().wait()

        launch.HOSTS["forever"] = serve
        launch.prepare(["forever"], with_parent=True)()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as host:
        assert host.stdin is not None
        assert host.stdout is not None
        assert host.stdout.readline() == b"serving\n"
        host.stdin.write(b"input is ignored")
        host.stdin.close()
        assert host.wait(timeout=30) == -15
