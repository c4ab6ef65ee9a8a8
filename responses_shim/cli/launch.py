"""Mounts the shim on hosts that offer no hook for it, then hands over to the host's own command line.

A host is one entry in `HOSTS`: a function that runs the host's command with `sys.argv` as it finds it.
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

GRACE = 10.0
"""Seconds in which a server may end in good order after its parent has gone."""


def run(host: str, arguments: Sequence[str], *, with_parent: bool = False) -> None:
    """Runs `host` until it ends. ConfigurationError if it is unknown, not installed or badly set up."""
    if host not in HOSTS:
        close = get_close_matches(host, HOSTS, n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        raise ConfigurationError(f"no host is called {host!r}: {meant}known hosts: {', '.join(sorted(HOSTS))}")
    if with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    # The host's own usage line and errors name the program by this.
    sys.argv = [f"responses-shim run {host}", *arguments]
    HOSTS[host]()


def llama_cpp() -> ResponsesShim:
    """llama-cpp-python's app with the shim mounted, set up by its environment variables (MODEL, N_CTX, …).

        MODEL=model.gguf uvicorn --factory responses_shim.cli.launch:llama_cpp

    Exits with one line where the settings are wrong: an exception would leave uvicorn as a traceback.
    """
    try:
        return _mounted(_import_llama_cpp("llama_cpp.server.app").create_app, "llama-cpp")()
    except ConfigurationError as error:
        sys.exit(f"responses-shim: {error}")


def _run_llama_cpp() -> None:
    # `python -m llama_cpp.server` looks up `create_app` in its own module: replaced there, every flag and
    # variable of that command stays as it is.
    server = _import_llama_cpp("llama_cpp.server.__main__")
    server.create_app = _mounted(server.create_app, "llama-cpp")
    server.main()


HOSTS: dict[str, Callable[[], None]] = {
    "llama-cpp": _run_llama_cpp,
}


def _import_llama_cpp(module: str) -> Any:
    if find_spec("llama_cpp") is None:
        raise ConfigurationError(
            "llama-cpp-python is not installed: pip install 'llama-cpp-python[server]', or, to have a small "
            "model with it, 'responses-shim[demo]'; both compile it, for which they need a C/C++ compiler"
        )
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"llama-cpp-python lacks its server's parts ({error}): pip install 'llama-cpp-python[server]'"
        ) from error
    except (OSError, RuntimeError) as error:
        # The compiled library is missing, or was compiled for another machine.
        raise ConfigurationError(f"llama-cpp-python cannot be loaded: {_one_line(error)}") from error


def _mounted(create_app: Callable[..., Any], host: str) -> Callable[..., ResponsesShim]:
    """`create_app` with the shim around its app, outermost, and told which host it is.

    The shim's settings are read first, for a large model takes minutes to load. The host refuses its own by
    ValueError: a model that is not there, a bad config file.
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
    """Waits for the end of standard input, which is a pipe the parent holds, then ends this process.

    `os.read`, because a thread that sits in `sys.stdin.read` makes the interpreter abort on its way out.
    """
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)
