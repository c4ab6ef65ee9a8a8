"""What the documents say is true: their snippets run, their commands exist, their tables are those of the code.

A fenced block that nothing here knows how to test is a failure too, so that none slips in untested.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec
from itertools import dropwhile, takewhile
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette

import responses_shim
from responses_shim import ResponsesShim, Settings
from responses_shim.cli import launch, main
from responses_shim.cli.surface import markdown
from tests import caller
from tests.oracle import check_response, check_stream
from tests.scripted import ScriptedHost, obliging
from tests.serving import serving

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
CHANGELOG = ROOT / "CHANGELOG.md"
DOCUMENTS = [README, *sorted((ROOT / "integrations").glob("*/README.md"))]

FENCED = re.compile(r"(?:^<!-- (?P<marker>[\w-]+) -->\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
LOCAL_URL = re.compile(r"http://(?:localhost|127\.0\.0\.1)(?::\d+)?")
OWN_NAME = re.compile(r"\bresponses_shim(?:\.\w+)+(?::\w+)?\b")


@dataclass(frozen=True)
class Block:
    """A fenced block, the file and line it stands at, and the `<!-- marker -->` right before it."""

    where: str
    language: str
    text: str
    marker: str | None

    def __str__(self) -> str:
        return self.where

    @property
    def commands(self) -> list[list[str]]:
        """Of a shell block: each command's words, without comments, leading variables and where its output goes."""
        lines = self.text.replace("\\\n", " ").splitlines()
        words = [shlex.split(part, comments=True) for line in lines for part in line.split("&&")]
        bare = [list(dropwhile(re.compile(r"\w+=").match, command)) for command in words]
        return [list(takewhile(lambda word: word != ">", command)) for command in bare if command]


def blocks_in(path: Path) -> Iterator[Block]:
    if not path.exists():
        return
    text = path.read_text()
    for found in FENCED.finditer(text):
        line = text.count("\n", 0, found.start("text"))
        yield Block(f"{path.relative_to(ROOT)}:{line}", found["language"], found["text"], found["marker"])


BLOCKS = [block for path in DOCUMENTS for block in blocks_in(path)]
PYTHON = [block for block in BLOCKS if block.language == "python"]
SHELL = [block for block in BLOCKS if block.language in ("bash", "console")]
CURL = [block for block in SHELL if re.search(r"^\s*curl\b", block.text, re.M)]
COMMANDS = [block for block in SHELL if block not in CURL]
DATA: dict[str, Callable[[str], Any]] = {"json": json.loads, "toml": tomllib.loads}
OUTPUT = "text"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The root of a real server: the shim over a host that answers anything."""
    with serving(ResponsesShim(ScriptedHost(obliging))) as root:
        yield root


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a snippet asks for an engine's app, it gets one that has no model to load."""
    server = ModuleType("llama_cpp.server.app")
    server.create_app = Starlette  # type: ignore[attr-defined]
    for name in ("llama_cpp", "llama_cpp.server"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, server.__name__, server)


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    assert {block.language for block in BLOCKS} <= {"python", "bash", "console", *DATA, OUTPUT}
    kinds = {"python": PYTHON, "shell": SHELL, "curl": CURL}
    in_readme = {kind for kind, blocks in kinds.items() for b in blocks if b.where.startswith("README")}
    assert in_readme == kinds.keys(), "the README shows no Python, no shell, or no curl"


def test_data_can_be_read() -> None:
    for block in BLOCKS:
        if block.language in DATA:
            assert DATA[block.language](block.text), block.where


# Python: a block runs as it stands. What it mounts must answer, and the server it calls is a real one.


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_runs(
    block: Block, url: str, key: None, engine: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[Any] = []
    monkeypatch.setattr("uvicorn.run", lambda app, **options: served.append(app))
    names: dict[str, Any] = {"__name__": "__main__"}
    if not re.search(r"^app\s*=", block.text, re.M):
        names["app"] = Starlette()
    exec(compile(LOCAL_URL.sub(url, block.text), block.where, "exec"), names)
    if "ResponsesShim" in block.text:
        anyio.run(answers, names["app"])
    if "print(" in block.text:
        assert capsys.readouterr().out.strip(), "it prints nothing"


async def answers(app: Any) -> None:
    """The app of a snippet, given a chat route if it has none yet, has the Responses API."""
    inner = app
    while not hasattr(inner, "mount"):
        inner = inner.app
    inner.mount("/", ScriptedHost(obliging))
    reply = await caller.post(app, "/v1/responses", {"model": "m", "input": "Hi"})
    check_response(reply.json)


# The shell: curl is run against the real server; other commands are looked up, not run.


@pytest.mark.parametrize("block", CURL, ids=str)
def test_curl_is_answered(block: Block, url: str, key: None) -> None:
    if shutil.which("curl") is None:
        assert "CI" not in os.environ, "there is no curl"
        pytest.skip("there is no curl")
    script = LOCAL_URL.sub(url, block.text)
    run = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=30, check=False)
    assert run.returncode == 0, run.stderr
    if "event:" in run.stdout:
        check_stream(caller.payloads(caller.parse_events(run.stdout.encode())))
    else:
        check_response(json.loads(run.stdout))


def pip(words: list[str]) -> None:
    extras = {extra for word in words for extra in re.findall(r"\[([\w,-]+)\]", word)}
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    own = {"server"} | known.keys()  # `server` is llama-cpp-python's
    assert {part for extra in extras for part in extra.split(",")} <= own


def pytest_(words: list[str]) -> None:
    for path in words[1:]:
        assert path.startswith("-") or (ROOT / path).exists(), f"there is no {path}"


def python(words: list[str]) -> None:
    assert words[1] == "-m", f"{words} runs no module"
    assert find_spec(words[2]) is not None, f"there is no module {words[2]}"


def shim(words: list[str]) -> None:
    """Our own command, up to where it would do something."""
    hosts: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("responses_shim.cli.launch.run", lambda host, *rest, **options: hosts.append(host))
        patch.setattr("responses_shim.cli.demo.run", lambda options: None)
        patch.setattr("responses_shim.cli.codex.run", lambda options: None)
        assert main(words[1:]) == 0
    assert set(hosts) <= set(launch.HOSTS)


def npm(words: list[str]) -> None:
    """What is installed from npm are clients, and the tests beside the document say the same version."""
    assert any(" ".join(words) in path.read_text() for path in (ROOT / "integrations").glob("*/*.py"))


def elsewhere(words: list[str]) -> None:
    """A command of somebody else's. The names of ours in its arguments are looked up, as in all of them."""


RULES = {
    "npm": npm,
    "pip": pip,
    "pytest": pytest_,
    "python": python,
    "responses-shim": shim,
    **dict.fromkeys(["cd", "codex", "export", "git", "mkdir", "source", "uvicorn", "vllm"], elsewhere),
}


@pytest.mark.parametrize("block", COMMANDS, ids=str)
def test_commands_exist(block: Block) -> None:
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
    for words in block.commands:
        program = Path(words[0]).name.replace("python3", "python")
        assert program in RULES, f"no rule tests {shlex.join(words)!r}"
        RULES[program](words)
    for name in OWN_NAME.findall(block.text):
        module, _, attribute = name.replace(":", ".").rpartition(".")
        if find_spec(f"{module}.{attribute}" if module == "responses_shim" else module) is None:
            assert hasattr(importlib.import_module(module), attribute), f"there is no {name}"


def test_the_readme_says_how_to_run_the_tests() -> None:
    """One command, which continuous integration takes from here and runs."""
    (block,) = [b for b in SHELL if b.marker == "test-command" and b.where.startswith("README")]
    assert ["pip", "install", "-e", ".[dev]"] in block.commands
    assert ["python", "-m", "pytest"] in [words[:3] for words in block.commands]


# Tables.


def settings_table() -> dict[str, list[str]]:
    """The rows of the README whose first cell is a setting's name: the cells of each, code marks taken off."""
    section = README.read_text().partition("\n## Settings\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\|(.*)\|\s*$", section, re.M)
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)] for row in rows]
    named = {row[0].strip("`"): row for row in cells if re.fullmatch(r"`[a-z_]+`", row[0])}
    return {name: [cell.strip("`") for cell in row] for name, row in named.items()}


def test_the_settings_table_has_every_setting() -> None:
    assert list(settings_table()) == list(Settings.model_fields)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_settings_table_tells_the_variable_and_the_default(name: str) -> None:
    """The default is given as one would write it into the variable."""
    cells = settings_table().get(name, [])
    variable = f"RESPONSES_SHIM_{name.upper()}"
    default = getattr(Settings(), name)
    assert variable in cells
    loaded = []
    for cell in cells:
        try:
            loaded.append(getattr(Settings.load({variable: cell}), name))
        except responses_shim.ConfigurationError:
            continue
    assert default in loaded, f"no cell of {cells} is the default, {default!r}"


def test_the_readme_shows_what_of_the_api_is_there() -> None:
    """Between two marks, as `responses-shim surface` prints it."""
    shown = re.search(r"^<!-- surface -->\n(.*?)^<!-- /surface -->$", README.read_text(), re.M | re.S)
    assert shown is not None
    assert shown[1].strip() == markdown().strip()


# The changelog.


def releases() -> list[tuple[str, str]]:
    """Version and date of each release, as the changelog lists them."""
    return re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\S+)$", CHANGELOG.read_text(), re.M)


def test_the_changelog_is_kept() -> None:
    text = CHANGELOG.read_text()
    assert text.startswith("# Changelog\n")
    assert "keepachangelog.com" in text
    headings = re.findall(r"^## (.*)$", text, re.M)
    assert len(headings) - len(releases()) == headings.count("[Unreleased]"), f"odd headings: {headings}"
    kinds = set(re.findall(r"^### (.*)$", text, re.M))
    assert kinds
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert all(date.fromisoformat(day) for _, day in releases())


def test_the_newest_release_is_this_version() -> None:
    versions = [tuple(map(int, version.split("."))) for version, _ in releases()]
    assert versions == sorted(versions, reverse=True)
    assert releases()[0][0] == responses_shim.__version__
