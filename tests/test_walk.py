"""What `responses_shim/README.md` says is so: the list of calls of a streamed request, and the layout."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import anyio
import pytest

from responses_shim import RequestView, ResponsesShim
from tests.caller import post
from tests.scripted import ScriptedHost, text_answer

PACKAGE = Path(__file__).parents[1] / "responses_shim"
README = (PACKAGE / "README.md").read_text()
STEP = re.compile(r"^ +([\w/]+\.py) +([\w.]+(?:, \w+)*)", re.M)
SECTION = README.partition("\n## One streamed request\n")[2].partition("\n## ")[0]
WALK = [(file, name) for file, names in STEP.findall(SECTION) for name in names.split(", ")]


async def passing(view: RequestView, headers: Mapping[str, str]) -> None:
    """An interceptor that lets everything through."""


def calls_of_a_request() -> list[tuple[str, str]]:
    """File, below the package, and name of every function of ours that a streamed request calls, in order."""
    calls: list[tuple[str, str]] = []

    def trace(frame: FrameType, event: str, argument: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and PACKAGE in path.parents:
            calls.append((path.relative_to(PACKAGE).as_posix(), frame.f_code.co_name))

    async def ask() -> None:
        app = ResponsesShim(ScriptedHost(text_answer("Hello", " you")), interceptors=[passing])
        tools = [{"type": "function", "name": "find"}]
        body = {"model": "m", "stream": True, "input": [{"role": "user", "content": "Hi"}], "tools": tools}
        sys.setprofile(trace)
        try:
            reply = await post(app, "/v1/responses", body)
        finally:
            sys.setprofile(None)
        assert reply.status == 200

    before = sys.getprofile()
    anyio.run(ask)
    sys.setprofile(before)
    return calls


@pytest.fixture(scope="module")
def calls() -> list[tuple[str, str]]:
    return calls_of_a_request()


def test_the_walk_is_there() -> None:
    assert len(WALK) > 20


@pytest.mark.parametrize(("file", "name"), WALK, ids=[name for _, name in WALK])
def test_a_streamed_request_takes_every_step_of_the_walk(file: str, name: str, calls: list[tuple[str, str]]) -> None:
    """A class stands for its constructor, the profile for whichever host's it is."""
    function = name.rpartition(".")[2]
    function = "__init__" if function[0].isupper() else function
    files = {called for called, _ in calls if called.startswith("hosts/")} if file == "hosts/profile.py" else {file}
    assert any((of, function) in calls for of in files), f"{file}: {name} is not called"


def test_the_walk_of_the_request_is_in_the_order_of_the_calls(calls: list[tuple[str, str]]) -> None:
    before = [
        "__call__",
        "create",
        "read_body",
        "decode_json",
        "parse_request",
        "read_files",
        "intercept",
        "prepare",
        "execute",
        "chat",
    ]
    after = ["send", "data", "write", "close"]
    named = [name.rpartition(".")[2] for _, name in WALK]
    assert [name for name in named if name in before] == before
    first = [next(index for index, (_, called) in enumerate(calls) if called == name) for name in before]
    assert first == sorted(first)
    # The host answers a probe too, before: what is meant here is its answer to the chat call.
    answer = [called for _, called in calls[first[-1] :]]
    assert answer.index(after[0]) < answer.index(after[1])


def test_the_layout_names_every_module() -> None:
    modules = [path for path in PACKAGE.rglob("*.py") if path.name not in ("__init__.py", "__main__.py")]
    unnamed = [path for path in modules if "cli" not in path.parts and path.name not in README]
    assert not unnamed


def test_every_file_that_is_named_exists() -> None:
    named = set(re.findall(r"[\w/]+\.py", README))
    assert named
    for name in named:
        assert list(PACKAGE.parent.glob(name)) or list(PACKAGE.rglob(Path(name).name)), f"there is no {name}"
