"""`responses-shim run COMMAND`: real servers in real processes, with the shim mounted on their apps."""

from __future__ import annotations

import os
import signal
import textwrap
from pathlib import Path

import pytest

from tests.cli.launched import CHAT_APP, UVICORN_URL, Launched, answer

MOUNTED = r"responses-shim: mounted in process (\d+); host profile: generic"
MISSING = "no Starlette or FastAPI app with a chat route (POST /v1/chat/completions)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with `chat_server.py`."""
    (tmp_path / "chat_server.py").write_text(CHAT_APP)
    return tmp_path


def write(folder: Path, name: str, program: str) -> str:
    (folder / name).write_text(textwrap.dedent(program))
    return name


UVICORN = ["uvicorn", "chat_server:app", "--port", "0"]


@pytest.mark.parametrize(
    "command",
    [UVICORN, ["--", "python", "-m", *UVICORN], ["-m", *UVICORN, "--lifespan", "off"]],
    ids=["console script", "python -m", "without lifespan"],
)
def test_a_server_by_its_own_command_has_the_responses_api(folder: Path, command: list[str]) -> None:
    with Launched(*command, cwd=folder) as server:
        url = server.until(UVICORN_URL)[1]
        assert answer(url) == "Hello."
        server.exit_code(by=signal.SIGINT)
        assert any("mounted" in line for line in server.own_lines)
        assert len(server.own_lines) == 1


@pytest.mark.parametrize(("by", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, -signal.SIGINT)])
def test_a_server_ends_by_a_signal_as_it_would_alone(folder: Path, by: signal.Signals, code: int) -> None:
    program = """
        import signal, sys, time
        print("ready", flush=True)
        signal.pause()
    """
    with Launched(write(folder, "wait.py", program), cwd=folder) as server:
        server.until("ready")
        assert server.exit_code(by=by) == code
        assert server.own_lines == []


def test_uvicorns_workers_have_it(folder: Path) -> None:
    with Launched(*UVICORN, "--workers", "2", cwd=folder) as server:
        url = server.until(UVICORN_URL)[1]
        processes = {server.until(MOUNTED)[1], server.until(MOUNTED)[1]}
        assert len(processes) == 2
        server.until("Application startup complete")
        assert {answer(url) for _ in range(4)} == {"Hello."}
        assert server.exit_code(by=signal.SIGINT) == 0
        assert len(server.own_lines) == 2


def test_a_server_that_reloads_has_it_again(folder: Path) -> None:
    with Launched(*UVICORN, "--reload", cwd=folder) as server:
        url = server.until(UVICORN_URL)[1]
        first = server.until(MOUNTED)[1]
        server.until("Application startup complete")
        assert answer(url) == "Hello."
        (folder / "chat_server.py").write_text(CHAT_APP.replace("Hello.", "Hello again."))
        assert server.until(MOUNTED)[1] != first
        server.until("Application startup complete")
        assert answer(url) == "Hello again."
        assert server.exit_code(by=signal.SIGINT) == 0


def test_a_file_finds_the_world_as_python_would_make_it(folder: Path) -> None:
    """Its folder is on the path, its arguments are its own, and what it spawns finds its main module again."""
    program = """
        import multiprocessing, os, sys
        import uvicorn
        from chat_server import app

        def report(answers):
            answers.put((__name__, sys.argv[1:]))

        if __name__ == "__main__":
            spawn = multiprocessing.get_context("spawn")
            answers = spawn.SimpleQueue()
            child = spawn.Process(target=report, args=(answers,))
            child.start()
            print("child", answers.get(), flush=True)
            print("main", sys.argv, os.path.basename(sys.path[0]), flush=True)
            uvicorn.run(app, port=0)
            sys.exit(7)
    """
    (folder / "inner").mkdir()
    (folder / "inner" / "chat_server.py").write_text(CHAT_APP)
    write(folder, "inner/serve.py", program)
    with Launched("inner/serve.py", "--help", "--", "-x", cwd=folder) as server:
        server.until(r"child \('__mp_main__', \['--help', '--', '-x'\]\)")
        server.until(r"main \['inner/serve.py', '--help', '--', '-x'\] inner")
        assert answer(server.until(UVICORN_URL)[1]) == "Hello."
        assert server.exit_code(by=signal.SIGINT) in (7, -signal.SIGINT, 130)


@pytest.mark.parametrize(("environment", "host"), [({}, "llama-cpp"), ({"RESPONSES_SHIM_HOST": "generic"}, "generic")])
def test_a_server_that_is_known_by_its_name_gets_its_profile(
    folder: Path, environment: dict[str, str], host: str
) -> None:
    program = "#!/usr/bin/env python3\nimport os\nprint(os.environ['RESPONSES_SHIM_HOST'])\n"
    write(folder, "llama_cpp.server", program)
    with Launched("./llama_cpp.server", "--help", cwd=folder, environment=environment) as server:
        assert server.exit_code() == 0
    assert server.lines == [host]


@pytest.mark.parametrize(
    ("script", "variable", "environment", "value"),
    [
        ("mlx-openai-server", "RESPONSES_SHIM_HOST", {}, "mlx-openai-server"),
        ("vllm-mlx", "VLLM_MLX_SIMPLE_ENGINE_LOCK_ADMISSION", {}, "wait"),
        ("vllm-mlx", "VLLM_MLX_SIMPLE_ENGINE_LOCK_ADMISSION", {"VLLM_MLX_SIMPLE_ENGINE_LOCK_ADMISSION": "x"}, "x"),
    ],
)
def test_an_mlx_server_gets_the_variables_that_it_needs_unless_they_are_set(
    folder: Path, script: str, variable: str, environment: dict[str, str], value: str
) -> None:
    program = f"#!/usr/bin/env python3\nimport os\nprint(os.environ[{variable!r}])\n"
    write(folder, script, program)
    with Launched(f"./{script}", "--help", cwd=folder, environment=environment) as server:
        assert server.exit_code() == 0
    assert server.lines == [value]


def test_a_python_process_that_the_command_starts_has_it(folder: Path) -> None:
    program = f"""
        import subprocess, sys
        sys.exit(subprocess.run([sys.executable, "-m", *{UVICORN!r}]).returncode)
    """
    with Launched(write(folder, "start.py", program), cwd=folder) as server:
        server.until(MOUNTED)
        assert answer(server.until(UVICORN_URL)[1]) == "Hello."


def test_a_sitecustomize_of_the_users_still_runs(folder: Path) -> None:
    site = folder / "site"
    site.mkdir()
    write(site, "sitecustomize.py", "print('customized', __name__, flush=True)")
    environment = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(site)])}
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(\"child\")'], check=True)"
    with Launched(write(folder, "start.py", program), cwd=folder, environment=environment) as server:
        assert server.exit_code() == 0
    assert [line for line in server.lines if not line.startswith("responses-shim")] == [
        "customized sitecustomize",
        "customized sitecustomize",
        "child",
    ]


# What has the shim already


@pytest.mark.parametrize(
    "mounting",
    ["app.add_middleware(ResponsesShim)", "app = ResponsesShim(app)"],
)
def test_an_app_that_has_the_shim_is_left_as_it_is(folder: Path, mounting: str) -> None:
    (folder / "chat_server.py").write_text(f"{CHAT_APP}\nfrom responses_shim import ResponsesShim\n\n{mounting}\n")
    with Launched(*UVICORN, cwd=folder) as server:
        assert answer(server.until(UVICORN_URL)[1]) == "Hello."
        server.exit_code(by=signal.SIGINT)
        assert server.own_lines == ["the app has the shim already; nothing is mounted"]


# What the launcher cannot do


def test_a_server_that_is_no_starlette_app_is_reported_once_it_listens(folder: Path) -> None:
    with Launched("-m", "http.server", "0", "--bind", "127.0.0.1", cwd=folder) as server:
        port = server.until(r"a server listens at 127.0.0.1:(\d+)")[1]
        assert server.own_lines == [
            f"a server listens at 127.0.0.1:{port}, but so far {MISSING}: there is no /v1/responses"
        ]
        server.exit_code(by=signal.SIGINT)
        assert len(server.own_lines) == 1


def test_an_app_without_a_chat_route_is_reported(folder: Path) -> None:
    (folder / "other.py").write_text(CHAT_APP.replace("/chat/completions", "/embeddings"))
    with Launched("uvicorn", "other:app", "--port", "0", cwd=folder) as server:
        server.until("an app of another kind has come up")
        assert MISSING in server.own_lines[0]
        server.exit_code(by=signal.SIGINT)
        assert len(server.own_lines) == 1


def test_a_command_that_ends_without_an_app_is_reported(folder: Path) -> None:
    with Launched(write(folder, "nothing.py", "print('done')"), cwd=folder) as server:
        assert server.exit_code() == 0
    assert server.lines == ["done", f"responses-shim: the command has ended, and there was {MISSING}"]


@pytest.mark.parametrize(
    ("program", "arguments", "code", "last_line"),
    [
        ("print('no'); raise SystemExit(3)", [], 3, "no"),
        ("import sys; sys.exit('no model')", [], 1, "no model"),
        ("1 / 0", [], 1, "ZeroDivisionError: division by zero"),
        ("print('usage')", ["--help"], 0, "usage"),
    ],
)
def test_a_command_that_fails_or_helps_speaks_for_itself(
    folder: Path, program: str, arguments: list[str], code: int, last_line: str
) -> None:
    with Launched(write(folder, "end.py", program), *arguments, cwd=folder) as server:
        assert server.exit_code() == code
    assert server.own_lines == []
    assert server.lines[-1] == last_line
