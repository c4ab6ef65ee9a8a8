"""The package as its users meet it: the public names, the metadata, what it asks of an environment."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import responses_shim

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_public_name_is_there() -> None:
    assert responses_shim.__all__ == sorted(responses_shim.__all__)
    for name in responses_shim.__all__:
        assert getattr(responses_shim, name) is not None


def test_a_name_is_the_same_object_wherever_it_is_imported_from() -> None:
    assert responses_shim.ResponsesShim is import_module("responses_shim.asgi.middleware").ResponsesShim
    assert responses_shim.Settings is import_module("responses_shim.settings").Settings


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Responses'"):
        responses_shim.Responses  # noqa: B018


def test_it_is_typed() -> None:
    assert (Path(responses_shim.__file__).parent / "py.typed").exists()


def test_only_what_is_needed_is_required() -> None:
    names = {re.split(r"[^\w-]", requirement)[0] for requirement in PROJECT["dependencies"]}
    assert names == {"starlette", "anyio", "pydantic", "msgspec", "httpx"}


@pytest.mark.parametrize("requirement", PROJECT["dependencies"])
def test_a_dependency_has_a_floor_and_no_cap(requirement: str) -> None:
    """The host decides what it runs with; a cap of ours would break its install."""
    assert re.fullmatch(r"[\w-]+>=[\d.]+", requirement)


def test_the_command_is_installed() -> None:
    module, _, function = PROJECT["scripts"]["responses-shim"].partition(":")
    assert callable(getattr(import_module(module), function))


def test_the_project_can_be_found() -> None:
    urls = PROJECT["urls"]
    assert urls.keys() == {"Homepage", "Documentation", "Changelog", "Issues", "Source"}
    home = urls["Homepage"]
    for url in urls.values():
        assert url.startswith(home)
        _, in_repository, path = url.partition(f"{home}/blob/main/")
        assert not in_repository or (ROOT / path).is_file()
