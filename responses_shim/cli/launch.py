"""`responses-shim run`: start a server by its own command line, with the shim mounted on its app.

The command runs in this process, as Python would have run it (`program.py`). Before that, the classes of Starlette and
FastAPI are changed so that an app with a chat route gets the shim as its outermost middleware
(`startup/sitecustomize.py`, `mounting.py`), in this process and in those that it starts.

The hosts in `HOSTS` have a name of their own, and a function that runs them with better error messages.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from responses_shim import ResponsesShim, Settings
from responses_shim.cli import startup
from responses_shim.cli.mounting import Watch
from responses_shim.cli.program import Program, find_program
from responses_shim.cli.startup import sitecustomize
from responses_shim.environment import environment, export, variable_of
from responses_shim.errors import ConfigurationError

SHUTDOWN_SECONDS = 10.0
"""Seconds that a server may take to shut down after its parent process has ended."""

HOST_SETTINGS = {
    "llama_cpp.server": "llama-cpp",
    "mlx-openai-server": "mlx-openai-server",  # its package is called `app`: its routes do not tell what it is
}
"""The setting `host` for servers that are known by the name of their module or console script."""

HOST_VARIABLES = {"vllm-mlx": {"VLLM_MLX_SIMPLE_ENGINE_LOCK_ADMISSION": "wait"}}
"""Environment variables of servers that are known by that name, unless they are set.

- vllm-mlx's simple engine else refuses a request while it works on another, after it has sent the status 200.
"""

_QUESTIONS = {"-h", "--help", "-V", "--version"}
"""Arguments with which a server prints something and ends."""


def prepare(command: Sequence[str], *, with_parent: bool = False) -> Callable[[], None]:
    """The function that runs a server with the shim mounted, until it ends, for a command line such as it is typed.

    `command` is one of `HOSTS` with the host's arguments, or what `find_program` takes. `with_parent`: end when
    standard input is closed.

    Raises ConfigurationError if a setting is wrong, or there is no such command here. The function that is returned
    raises what the program raises, SystemExit included; for `HOSTS`, ConfigurationError if the host is not installed or
    refuses its settings.
    """
    name, *arguments = command
    if name in HOSTS:
        # The host's own usage and error messages begin with the program's name.
        words = [f"responses-shim run {name}", *(arguments[1:] if arguments[:1] == ["--"] else arguments)]

        def run() -> None:
            sys.argv = words
            HOSTS[name]()
    else:
        ResponsesShim(_no_app)  # raises if a setting is wrong; a large model takes minutes to load
        try:
            program = find_program(command)
        except ConfigurationError as error:
            close = get_close_matches(name, HOSTS, n=1)
            raise ConfigurationError(f"{error}; did you mean {close[0]}?") if close else error from None

        def run() -> None:
            _run_program(program)

    if with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    return run


def _run_program(program: Program) -> None:
    """Run a program with the shim mounted on the apps of its processes. Raises what it raises."""
    name = Path(program.name).name
    host = HOST_SETTINGS.get(name)
    if host is not None and variable_of("host") not in environment():
        export(variable_of("host"), host)
    for variable, value in HOST_VARIABLES.get(name, {}).items():
        if variable not in environment():
            export(variable, value)
    inherited = environment().get("PYTHONPATH")
    export("PYTHONPATH", os.pathsep.join(filter(None, [str(Path(startup.__file__).parent), inherited])))
    sitecustomize.install()
    watch = Watch()
    watch.start()
    failed = False
    try:
        program.run()
    except SystemExit as ended:
        failed = ended.code not in (0, None)
        raise
    except BaseException:
        failed = True
        raise
    finally:
        # A command that fails says why.
        if not failed and not _QUESTIONS.intersection(program.arguments):
            watch.finish()


async def _no_app(scope: Any, receive: Any, send: Any) -> None:
    """An app that answers nothing."""


def llama_cpp() -> ResponsesShim:
    """llama-cpp-python's app with the shim mounted, configured by its environment variables (MODEL, N_CTX, …).

        MODEL=model.gguf uvicorn --factory responses_shim.cli.launch:llama_cpp

    If a setting is wrong it exits with a message of one line; of an exception, uvicorn would print a traceback.
    """
    try:
        return _with_shim(_import_llama_cpp("llama_cpp.server.app").create_app, "llama-cpp")()
    except ConfigurationError as error:
        sys.exit(f"responses-shim: {error}")


def _run_llama_cpp() -> None:
    # `python -m llama_cpp.server` calls the function `create_app` of its own module. With that replaced, all of its
    # arguments and environment variables work as usual.
    server = _import_llama_cpp("llama_cpp.server.__main__")
    server.create_app = _with_shim(server.create_app, "llama-cpp")
    server.main()


HOSTS: dict[str, Callable[[], None]] = {
    "llama-cpp": _run_llama_cpp,
}
"""The hosts by name, each with the function that runs it with `sys.argv`."""


def _import_llama_cpp(module: str) -> Any:
    if find_spec("llama_cpp") is None:
        raise ConfigurationError(
            "llama-cpp-python is not installed: pip install 'llama-cpp-python[server]', or 'responses-shim[llama-cpp]' "
            "for a small model too; both compile it, which needs a C/C++ compiler"
        )
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"llama-cpp-python is installed without its server ({error}): pip install 'llama-cpp-python[server]'"
        ) from error
    except (OSError, RuntimeError) as error:
        # Its compiled library is missing, or was compiled for another machine.
        raise ConfigurationError(f"llama-cpp-python cannot be loaded: {_one_line(error)}") from error


def _with_shim(create_app: Callable[..., Any], host: str) -> Callable[..., ResponsesShim]:
    """A function that calls `create_app` and wraps the app in the shim, with the setting `host` unless that is set.

    It reads the shim's settings first, since a large model takes minutes to load. For the host's own settings,
    `create_app` raises ValueError if one is wrong: no such model, a bad configuration file.
    """

    def create(*args: Any, **options: Any) -> ResponsesShim:
        settings = Settings.load()
        if settings.host == "auto":
            settings = settings.model_copy(update={"host": host})
        try:
            app = create_app(*args, **options)
        except ValueError as error:
            raise ConfigurationError(f"the host cannot start: {_one_line(error)}") from error
        return ResponsesShim(app, settings)

    return create


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _end_with_parent() -> None:
    """Wait until standard input, a pipe that the parent process has open, is closed; then end this process.

    It reads with `os.read`, because the interpreter aborts at exit if a thread is in `sys.stdin.read`.
    """
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(SHUTDOWN_SECONDS)
    os._exit(1)
