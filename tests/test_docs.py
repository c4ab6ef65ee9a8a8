"""The documents are true: their snippets run, their commands, links and names exist, their tables are the code's.

A fenced block of a kind that nothing here tests is a failure too.
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
from itertools import dropwhile, pairwise, takewhile
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette

import responses_shim
from responses_shim import ResponsesShim, Settings
from responses_shim.cli import launch, main
from responses_shim.cli.surface import markdown
from responses_shim.environment import API_KEY, UPSTREAM_KEY
from tests import caller
from tests.oracle import check_response, check_stream
from tests.scripted import ScriptedHost, call_then_text
from tests.serving import serving

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
CHANGELOG = ROOT / "CHANGELOG.md"
SETTINGS = ROOT / "integrations" / "README.md"
CLIENTS = ROOT / "integrations" / "clients" / "README.md"
SURFACE = ROOT / "tests" / "conformance" / "README.md"
DOCUMENTS = [
    README,
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted(ROOT.glob("integrations/**/README.md")),
    ROOT / "tests" / "README.md",
    *sorted(ROOT.glob("tests/*/README.md")),
]
FRONT_PAGE = 12 * 1024
"""The most bytes that the README may have: what does not fit belongs in the document of its subject."""

FENCED = re.compile(r"(?:^<!-- (?P<marker>[\w-]+) -->\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
LOCAL_URL = re.compile(r"http://(?:localhost|127\.0\.0\.1)(?::\d+)?")
OWN_NAME = re.compile(r"\bresponses_shim(?:\.\w+)+(?::\w+)?\b")
VARIABLE = re.compile(r"\bRESPONSES_SHIM_[A-Z_]*[A-Z]\b")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.M)


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
    text = path.read_text()
    for found in FENCED.finditer(text):
        line = text.count("\n", 0, found.start("text"))
        yield Block(f"{path.relative_to(ROOT)}:{line}", found["language"], found["text"], found["marker"])


BLOCKS = [block for path in DOCUMENTS for block in blocks_in(path)]
PYTHON = [block for block in BLOCKS if block.language == "python"]
SHELL = [block for block in BLOCKS if block.language in ("bash", "console")]
CURL = [block for block in SHELL if re.search(r"^\s*curl\b", block.text, re.M)]
COMMANDS = [block for block in SHELL if block not in CURL]
DATA: dict[str, Callable[[str], object]] = {"json": json.loads, "toml": tomllib.loads}
OUTPUT = "text"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The root of a real server: the shim over a host that answers anything."""
    with serving(ResponsesShim(ScriptedHost(call_then_text))) as root:
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


def test_the_readme_is_a_front_page() -> None:
    assert len(README.read_bytes()) <= FRONT_PAGE


def test_data_can_be_read() -> None:
    for block in BLOCKS:
        if block.language in DATA:
            assert DATA[block.language](block.text), block.where


# Links and names.


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    headings = HEADING.findall(re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.M | re.S))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for link in LINK.finditer(document.read_text()):
        path, _, anchor = link["target"].partition("#")
        if path.startswith("https://"):
            continue
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{link[0]}: there is no such file"
        assert not anchor or anchor in anchors(target), f"{link[0]}: there is no such heading"


def test_every_document_can_be_reached_from_the_readme() -> None:
    reached, following = {README}, [README]
    while following:
        document = following.pop()
        for link in LINK.finditer(document.read_text()):
            target = (document.parent / link["target"].partition("#")[0]).resolve()
            if target.suffix == ".md" and target not in reached:
                reached.add(target)
                following.append(target)
    assert reached >= {*DOCUMENTS, CHANGELOG}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_variables_are_settings(document: Path) -> None:
    known = {API_KEY, UPSTREAM_KEY, *[f"RESPONSES_SHIM_{name.upper()}" for name in Settings.model_fields]}
    assert set(VARIABLE.findall(document.read_text())) <= known


# Python: a block runs as it is. What it mounts must answer, and the server it calls is a real one.


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
    if re.search(r"^app\b", block.text, re.M):
        anyio.run(answers, names["app"])
    if "print(" in block.text:
        assert capsys.readouterr().out.strip(), "it prints nothing"


async def answers(app: Any) -> None:
    """The app of a snippet, given a chat route if it has none yet, has the Responses API."""
    inner = app
    while not hasattr(inner, "mount"):
        inner = inner.app
    inner.mount("/", ScriptedHost(call_then_text))
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


def test_the_readme_shows_the_events_of_a_stream(url: str) -> None:
    """As they come for the curl command above them, each name once."""
    (block,) = [block for block in BLOCKS if block.marker == "events"]
    body = {"model": "m", "input": "Say hello.", "stream": True}
    reply = httpx.post(f"{url}/v1/responses", json=body, trust_env=False)
    streamed = [event["type"] for event in caller.payloads(caller.parse_events(reply.content))]
    assert block.text.split() == list(dict.fromkeys(streamed))


def pip(words: list[str]) -> None:
    extras = {extra for word in words for extra in re.findall(r"\[([\w,-]+)\]", word)}
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    own = {"server", "openai", "cpu"} | known.keys()  # llama-cpp-python's, Mirascope's, mlx's
    assert {part for extra in extras for part in extra.split(",")} <= own


def pytest_(words: list[str]) -> None:
    for before, word in pairwise(words):
        if not word.startswith("-") and before not in ("-k", "-m", "-n"):
            assert (ROOT / word).exists(), f"there is no {word}"


def python(words: list[str]) -> None:
    if words[1] == "-c":
        compile(words[2], "the command line", "exec")
    elif words[1] != "-m":
        assert (ROOT / words[1]).is_file(), f"there is no {words[1]}"
    elif words[2] == "pytest":
        pytest_(words[2:])
    else:
        assert find_spec(words[2]) is not None, f"there is no module {words[2]}"


def uvicorn(words: list[str]) -> None:
    if "--app-dir" in words:
        folder = ROOT / words[words.index("--app-dir") + 1]
        module, _, app = words[-1].partition(":")
        assert re.search(rf"^{app}\b", (folder / f"{module}.py").read_text(), re.M), f"there is no {words[-1]}"


def ci(words: list[str]) -> None:
    script = ROOT / words[0]
    assert os.access(script, os.X_OK), f"there is no {words[0]} to run"
    functions = re.findall(r"^(\w+)\(\) \{$", script.read_text(), re.M)
    assert set(words[1:]) <= set(functions), f"{words[0]} has no such part"


def shim(words: list[str]) -> None:
    """Our own command, up to where it would do something."""
    commands: list[list[str]] = []

    def run(command: list[str], *, with_parent: bool) -> Callable[[], None]:
        return lambda: commands.append(command)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("responses_shim.cli.launch.prepare", run)
        patch.setattr("responses_shim.cli.demo.run", lambda options: None)
        patch.setattr("responses_shim.cli.proxy.run", lambda options: None)
        patch.setattr("responses_shim.cli.codex.run", lambda options: None)
        patch.setattr("responses_shim.cli.doctor.run", lambda options: 0)
        patch.setattr("responses_shim.cli.store.run", lambda options: None)
        assert main(words[1:]) == 0
    mlx = {"vllm-mlx", "mlx_vlm.server", "rapid-mlx", "mlx-openai-server"}
    assert {command[0] for command in commands} <= {*launch.HOSTS, *mlx, "uvicorn", "vllm", "-m", "./serve.py"}


def npm(words: list[str]) -> None:
    """What is installed from npm are clients, and the tests beside the document say the same version."""
    assert any(" ".join(words) in path.read_text() for path in (ROOT / "integrations").glob("*/*.py"))


def uv(words: list[str]) -> None:
    assert words[1:3] == ["pip", "install"]
    pip(words)


def elsewhere(words: list[str]) -> None:
    """A command of another project. Names of this one in its arguments are looked up, as in all commands."""


RULES: dict[str, Callable[[list[str]], None]] = {
    ".ci/check": ci,
    ".ci/run": ci,
    "npm": npm,
    "pip": pip,
    "pytest": pytest_,
    "python": python,
    "responses-shim": shim,
    "uv": uv,
    "uvicorn": uvicorn,
    **dict.fromkeys(["cd", "codex", "export", "git", "mkdir", "source", "vllm"], elsewhere),
    **dict.fromkeys(["grep", "printf", "sed", "tr", "unzip"], elsewhere),
}


@pytest.mark.parametrize("block", COMMANDS, ids=str)
def test_commands_exist(block: Block) -> None:
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
    for words in block.commands:
        program = (
            words[0] if words[0].startswith(".ci/") else re.sub(r"^python3(\.\d+)?$", "python", Path(words[0]).name)
        )
        assert program in RULES, f"no rule tests {shlex.join(words)!r}"
        RULES[program](words)
    check_own_names(block.text)


def check_own_names(text: str) -> None:
    """What the text names of this package exists."""
    for name in OWN_NAME.findall(text):
        module, _, attribute = name.replace(":", ".").rpartition(".")
        if find_spec(f"{module}.{attribute}" if module == "responses_shim" else module) is None:
            assert hasattr(importlib.import_module(module), attribute), f"there is no {name}"


@pytest.mark.parametrize("path", sorted(ROOT.glob("integrations/*/Dockerfile")), ids=lambda path: path.parent.name)
def test_a_dockerfile_adds_the_shim_to_the_servers_own_image(path: Path) -> None:
    image, install, *_ = path.read_text().splitlines()
    assert image.startswith("FROM ")
    assert re.fullmatch(r"RUN pip install --no-cache-dir (responses-shim|'responses-shim\[\w+\]')", install)
    check_own_names(path.read_text())
    assert "(Dockerfile)" in path.with_name("README.md").read_text()


def test_the_readme_says_how_to_run_the_tests() -> None:
    """One command, which continuous integration takes from here and runs."""
    (block,) = [b for b in SHELL if b.marker == "test-command" and b.where.startswith("README")]
    assert ["pip", "install", "-e", ".[dev]"] in block.commands
    assert ["python", "-m", "pytest", "-n", "auto"] in block.commands


def test_the_example_of_a_codex_profile_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    """But for the key: that comes from a command, with which Codex fetches the catalogue by itself."""
    example = tomllib.loads((ROOT / "integrations" / "codex" / "shim.config.toml").read_text())
    assert example["model_providers"]["shim"].pop("auth").keys() == {"command", "args"}
    assert main(["codex", "--model", example["model"]]) == 0
    assert example == tomllib.loads(capsys.readouterr().out)


# Tables.


def settings_table() -> dict[str, list[str]]:
    """The rows of the table whose first cell is a setting's name: the cells of each, without code marks."""
    section = SETTINGS.read_text().partition("\n## Settings\n")[2].partition("\n## ")[0]
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


def test_the_table_of_clients_names_the_versions_that_are_tested() -> None:
    """As the commands and the extra `dev` install them."""
    rows = re.findall(r"^\|[^|]*\| (\S+) ([\d.]+) \|", CLIENTS.read_text(), re.M)
    commands = "\n".join(block.text for block in SHELL if block.marker == "install-command")
    installed = re.sub(r"\[\w+\]", "", commands + (ROOT / "pyproject.toml").read_text())
    assert len(rows) == 24
    for package, version in rows:
        assert re.search(rf"(?<![\w/-]){re.escape(package)}(==|@){re.escape(version)}(?![\d.])", installed), package


def test_the_table_of_what_is_supported_is_what_the_command_prints() -> None:
    """To renew it, put the output of `responses-shim surface` between the two marks."""
    shown = re.search(r"^<!-- surface -->\n(.*?)^<!-- /surface -->$", SURFACE.read_text(), re.M | re.S)
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
