"""`responses-shim run`: start a host by its own command line, with the shim mounted on its app.

This is for hosts that have no option to add a middleware. Each is an entry in `HOSTS`: a function that runs the host's
command, which reads its arguments from `sys.argv`.
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
from typing import Any

from responses_shim import ResponsesShim, Settings
from responses_shim.errors import ConfigurationError

SHUTDOWN_SECONDS = 10.0
"""Seconds that a server may take to shut down after its parent process has ended."""


def run(host: str, arguments: Sequence[str], *, with_parent: bool = False) -> None:
    """Run a host with the shim mounted, until it ends.

    `host` is a key of `HOSTS`, `arguments` are the host's own. `with_parent`: end when standard input is closed.

    Raises ConfigurationError if the host is unknown, not installed, or refuses its settings.
    """
    if host not in HOSTS:
        close = get_close_matches(host, HOSTS, n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        raise ConfigurationError(f"no host is called {host!r}: {meant}known hosts: {', '.join(sorted(HOSTS))}")
    if with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    # The host's own usage and error messages begin with the program's name.
    sys.argv = [f"responses-shim run {host}", *arguments]
    HOSTS[host]()


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
            "llama-cpp-python is not installed: pip install 'llama-cpp-python[server]', or 'responses-shim[demo]' "
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
