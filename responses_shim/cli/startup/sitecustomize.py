"""Has the shim mounted on the Starlette and FastAPI apps of a process that `responses-shim run` has started.

Python imports a module of this name at the start of each process whose `PYTHONPATH` has its folder. The launcher sets
that variable for the workers that a server spawns, and calls `install` itself for its own process.

Many such processes never serve an app, so nothing but the standard library is imported here. The rest is, when the
first app is about to build its middleware.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

APPLICATIONS = {"starlette.applications": "Starlette", "fastapi.applications": "FastAPI"}
"""The modules with the two classes that build a stack of middleware; FastAPI has a method of its own for that."""


def install() -> None:
    """Have the shim mounted on every app of this process that has a chat route, and has not been called yet."""
    sys.meta_path.insert(0, _AfterImport())
    for name in APPLICATIONS:
        if name in sys.modules:
            _hook(sys.modules[name])


class _AfterImport(MetaPathFinder):
    """Finds no module itself; it changes the two application modules once they have been imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in APPLICATIONS:
            return None
        spec = _find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_hook(module: ModuleType) -> None:
            execute(module)
            _hook(module)

        spec.loader.exec_module = execute_and_hook  # type: ignore[method-assign]
        return spec


def _find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
    """What the other finders of this process find."""
    for finder in sys.meta_path:
        if not isinstance(finder, _AfterImport) and hasattr(finder, "find_spec"):
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
    return None


def _hook(module: ModuleType) -> None:
    """Have the module's class mount the shim before it builds an app's middleware."""
    application = getattr(module, APPLICATIONS[module.__name__])
    build: Callable[..., Any] | None = vars(application).get("build_middleware_stack")
    if build is None or hasattr(build, "mounts_the_shim"):
        return

    @wraps(build)
    def mount_and_build(app: Any) -> Any:
        _mount(app)
        return build(app)

    mount_and_build.mounts_the_shim = True  # type: ignore[attr-defined]
    application.build_middleware_stack = mount_and_build


def _mount(app: Any) -> None:
    try:
        mounting = import_module("responses_shim.cli.mounting")
    except ModuleNotFoundError:
        # The launcher's copy of the package, which may have been found by its working directory only.
        sys.path.append(str(Path(__file__).parents[3]))
        try:
            mounting = import_module("responses_shim.cli.mounting")
        except ImportError as error:
            print(f"responses-shim: cannot be mounted in {sys.executable}: {error}", file=sys.stderr)
            return
    mounting.mount(app)


def _run_shadowed() -> None:
    """Run the `sitecustomize` that Python would have imported if this one were not before it."""
    here = Path(__file__).parent
    elsewhere = [entry for entry in sys.path if Path(entry or ".").resolve() != here.resolve()]
    spec = PathFinder.find_spec(__name__, elsewhere)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules[__name__] = module
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    install()
    _run_shadowed()
