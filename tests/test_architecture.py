"""The shape of the package, held by walking its imports: who may know whom, and what stays out of the core.

    errors ← core ← views, hosts, stores ← runtime ← extensions ← asgi ← cli
    core:   wire ← items ← tools ← request | response

Never upward. `settings` stands beside: only `errors` and `environment` are below it, and the core does not know it.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "responses_shim"
LONGEST = 400

BELOW = {
    "errors": set(),
    "environment": set(),
    "setting_types": set(),
    "settings": {"errors", "environment", "setting_types"},
    "core": {"errors"},
    "views": {"errors", "core"},
    "stores": {"errors", "core"},
    "hosts": {"errors", "environment", "settings", "core"},
    "runtime": {"errors", "settings", "core", "views", "hosts", "stores"},
    "extensions": {"errors", "settings", "core", "views", "hosts", "stores", "runtime"},
    "asgi": {"errors", "setting_types", "settings", "core", "views", "hosts", "stores", "runtime", "extensions"},
    "cli": {
        "errors",
        "environment",
        "settings",
        "core",
        "views",
        "hosts",
        "stores",
        "runtime",
        "extensions",
        "asgi",
        "",
    },
}
"""Each layer, and the layers it may import. The empty one is the public face: the package's own names."""

CORE_BELOW = {
    "wire": set(),
    "items": {"wire"},
    "tools": {"wire", "items"},
    "request": {"wire", "items", "tools"},
    "response": {"wire", "items", "tools"},
}
"""The floors of the core, and the floors each may import."""

IMPURE = {
    *("asyncio", "concurrent", "ctypes", "datetime", "importlib", "io", "logging", "multiprocessing", "os"),
    *(
        "pathlib",
        "random",
        "secrets",
        "select",
        "selectors",
        "signal",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
    ),
    *("sys", "tempfile", "threading", "time", "urllib.request", "uuid"),
}
"""Parts of the standard library through which a clock, chance, a thread or the outside could get in."""

EMPTY_WORDS = ("manager", "helper", "util", "handler")
ENGINES = {"vllm", "vllm_mlx", "mlx", "llama_cpp", "torch", "transformers", "numpy"}


@dataclass(frozen=True)
class Module:
    """One source file of the package, and what its text alone tells."""

    name: str
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def layer(self) -> str:
        """The first part of the name below the package; empty for the package itself."""
        return self.name.removeprefix(PACKAGE).lstrip(".").partition(".")[0]

    @cached_property
    def imports(self) -> list[str]:
        """Every dotted name it imports, inside functions and for type checking too."""
        return list(self._imports())

    def _imports(self) -> Iterator[str]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name}: a relative import hides where it leads"
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    @property
    def floor(self) -> str:
        """Of a module of the core: the folder it stands in."""
        return self.name.removeprefix(f"{PACKAGE}.core").lstrip(".").partition(".")[0]

    @property
    def floors(self) -> set[str]:
        """The floors of the core that it imports."""
        own = f"{PACKAGE}.core."
        return {name.removeprefix(own).partition(".")[0] for name in self.imports if name.startswith(own)}

    @property
    def packages(self) -> set[str]:
        """The top-level packages it imports."""
        return {name.partition(".")[0] for name in self.imports}

    @property
    def layers(self) -> set[str]:
        """The layers of our own package it imports; every layer may know the version."""
        own = {name for name in self.imports if name.partition(".")[0] == PACKAGE}
        found = {Module(name, "").layer for name in own - {f"{PACKAGE}.__version__"}}
        return {layer if layer in BELOW else "" for layer in found}

    def mentions(self, *names: str) -> bool:
        """One of the attributes is read, by whatever way it was imported."""
        nodes = list(ast.walk(self.tree))
        read = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        return bool(read & set(names)) or any(name.rpartition(".")[2] in names for name in self.imports)


def package_modules() -> list[Module]:
    paths = sorted((ROOT / PACKAGE).rglob("*.py"))
    return [Module(_dotted(path), path.read_text()) for path in paths]


def _dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = package_modules()
INNER = [module for module in MODULES if module.name != PACKAGE]
CORE = [module for module in MODULES if module.layer == "core"]


def names(modules: list[Module]) -> list[str]:
    return [module.name for module in modules]


def upward(module: Module) -> set[str]:
    return module.layers - BELOW[module.layer] - {module.layer}


def across_floors(module: Module) -> set[str]:
    return module.floors - CORE_BELOW.get(module.floor, set()) - {module.floor}


def circle(modules: list[Module]) -> list[str]:
    """The modules of a circle of imports, if there is one, and those that need them."""
    known = {module.name for module in modules}
    imports = {
        module.name: {name if name in known else name.rpartition(".")[0] for name in module.imports}
        & known - {module.name}
        for module in modules
    }
    while leaves := [name for name, needed in imports.items() if not needed & imports.keys()]:
        for name in leaves:
            del imports[name]
    return sorted(imports)


def impurities(module: Module) -> list[str]:
    """What a module of the core may not have."""
    foreign = module.packages - sys.stdlib_module_names - {"msgspec", PACKAGE}
    imports = set(module.imports) - {"io.BytesIO"}  # a buffer in memory, which reads and writes nothing else
    impure = {bad for bad in IMPURE for name in imports if f"{name}.".startswith(f"{bad}.")}
    found = [f"imports {name}" for name in sorted(foreign | impure)]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            found.append(f"line {node.lineno} is asynchronous")
        called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        if called in {"open", "print", "input", "__import__"}:
            found.append(f"calls {called}")
    return found


def test_every_module_has_a_layer() -> None:
    assert CORE, "the walk found no core: it walks the wrong tree"
    assert {module.layer for module in INNER} <= BELOW.keys()


@pytest.mark.parametrize("module", INNER, ids=names(INNER))
def test_imports_lead_downward(module: Module) -> None:
    assert not upward(module)


@pytest.mark.parametrize("module", CORE, ids=names(CORE))
def test_inside_the_core_imports_lead_downward(module: Module) -> None:
    assert module.floor in {"", *CORE_BELOW}
    assert not across_floors(module)


def test_no_module_imports_itself_by_a_detour() -> None:
    assert circle(INNER) == []


@pytest.mark.parametrize("module", CORE, ids=names(CORE))
def test_the_core_is_pure(module: Module) -> None:
    assert not impurities(module)


def test_errors_need_only_the_standard_library() -> None:
    (errors,) = [module for module in MODULES if module.layer == "errors"]
    assert errors.packages <= sys.stdlib_module_names


def test_starlette_is_known_at_the_edges_only() -> None:
    assert {m.layer for m in MODULES if "starlette" in m.packages} <= {"asgi", "hosts", "cli"}


def test_the_environment_is_read_in_one_place() -> None:
    readers = [m for m in MODULES if m.mentions("environ", "environb", "getenv", "getenvb")]
    assert [m.name for m in readers] == [f"{PACKAGE}.environment"]


def test_httpx_is_imported_where_something_is_fetched_or_forwarded_and_nowhere_else() -> None:
    importers = {m.name for m in MODULES if "httpx" in m.packages}
    fetching = {f"{PACKAGE}.cli.client", f"{PACKAGE}.cli.doctor.connection", f"{PACKAGE}.runtime.fetch"}
    assert importers == {*fetching, f"{PACKAGE}.asgi.reverse_proxy", f"{PACKAGE}.asgi.upstream_url"}


@pytest.mark.parametrize("module", MODULES, ids=names(MODULES))
def test_a_module_is_one_idea(module: Module) -> None:
    assert len(module.source.splitlines()) <= LONGEST


@pytest.mark.parametrize("module", MODULES, ids=names(MODULES))
def test_names_say_what_a_thing_is(module: Module) -> None:
    classes = [node.name for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)]
    empty = [n for n in [module.name, *classes] if any(word in n.lower() for word in EMPTY_WORDS)]
    assert not empty


# The walk itself: it sees what it is there to see.


@pytest.mark.parametrize(
    ("name", "source", "seen"),
    [
        ("core.response.stream", "from responses_shim.runtime.run import Run", {"runtime"}),
        ("core.response.stream", "from responses_shim import settings", {"settings"}),
        ("asgi.endpoints", "from responses_shim import ResponsesShim", {""}),
        ("core.response.stream", "if TYPE_CHECKING:\n    import responses_shim.asgi", {"asgi"}),
        ("hosts.vllm", "def f():\n    from responses_shim.runtime.run import Run", {"runtime"}),
        ("runtime.run", "import responses_shim.core.response.stream, responses_shim.hosts", set()),
        ("asgi", "from responses_shim import __version__", set()),
        ("cli", "from responses_shim import ResponsesShim", set()),
    ],
)
def test_an_upward_import_is_seen(name: str, source: str, seen: set[str]) -> None:
    assert upward(Module(f"{PACKAGE}.{name}", source)) == seen


@pytest.mark.parametrize(
    ("name", "source", "seen"),
    [
        ("core.request.prepare", "from responses_shim.core.response.stream import ResponseStream", {"response"}),
        ("core.items.base", "from responses_shim.core.tools.base import ToolKind", {"tools"}),
        ("core.wire.sse", "import responses_shim.core.items.message", {"items"}),
        ("core.response.stream", "from responses_shim.core.items.base import ItemBuilder", set()),
    ],
)
def test_an_import_across_the_floors_is_seen(name: str, source: str, seen: set[str]) -> None:
    assert across_floors(Module(f"{PACKAGE}.{name}", source)) == seen


def test_a_circle_is_seen() -> None:
    one = Module(f"{PACKAGE}.a", f"from {PACKAGE}.b import B")
    other = Module(f"{PACKAGE}.b", f"def f():\n    import {PACKAGE}.c")
    third = Module(f"{PACKAGE}.c", f"from {PACKAGE} import a")
    leaf = Module(f"{PACKAGE}.d", f"import {PACKAGE}.a")
    assert circle([one, other, third, leaf]) == [module.name for module in (one, other, third, leaf)]
    assert circle([one, other, leaf]) == []


@pytest.mark.parametrize(
    "source",
    [
        "import anyio",
        "from time import time",
        "async def f(): ...",
        "open('x')",
        "def f():\n    import os.path",
    ],
)
def test_an_impurity_is_seen(source: str) -> None:
    assert impurities(Module(f"{PACKAGE}.core.response.stream", source))


def test_pure_code_passes() -> None:
    source = "import json\nimport msgspec\nfrom urllib.parse import quote\nfrom responses_shim.core import sse"
    assert not impurities(Module(f"{PACKAGE}.core.response.stream", source))


@pytest.mark.parametrize(
    "source", ["import os\nos.environ['A']", "from os import getenv", "import os as o\no.getenv('A')"]
)
def test_a_reader_of_the_environment_is_seen(source: str) -> None:
    assert Module(PACKAGE, source).mentions("environ", "getenv")


# What really comes along, in an interpreter that has nothing loaded.


def loaded_by(*modules: str) -> set[str]:
    """The top-level packages in memory after the modules, or `module:name`s, have been imported."""
    program = """
import importlib, json, sys
for target in sys.argv[1:]:
    module, _, name = target.partition(":")
    loaded = importlib.import_module(module)
    if name:
        getattr(loaded, name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
    run = [sys.executable, "-c", program, *modules]
    out = subprocess.run(run, check=True, capture_output=True, text=True, cwd=ROOT, timeout=60).stdout
    return set(json.loads(out))


def test_the_core_brings_no_framework() -> None:
    brought = loaded_by(*names(CORE))
    assert "msgspec" in brought
    assert not brought & {"anyio", "asyncio", "starlette", "pydantic", "httpx"}


def test_the_mount_brings_no_engine_and_nothing_slow() -> None:
    brought = loaded_by(f"{PACKAGE}:ResponsesShim", f"{PACKAGE}:Settings")
    assert "starlette" in brought
    assert not brought & (ENGINES | {"fastapi", "uvicorn", "httpx", "openai", "mcp"})
