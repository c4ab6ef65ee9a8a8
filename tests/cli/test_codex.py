"""`responses-shim codex`: what it prints and writes. `integrations/codex` tests that the real Codex accepts it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from responses_shim.cli import main
from responses_shim.cli.child import free_port
from responses_shim.extensions.codex import Model, catalog
from tests.cli.canned import Answer, CannedServer, Serve, failure_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

JSON = "application/json"
LIST = Answer(b'{"data": [{"id": "first", "max_model_len": 32768}, {"id": "second"}]}', content_type=JSON)
LISTED = [Model("first", 32768), Model("second")]


def block(capsys: Capture, *words: str) -> dict[str, Any]:
    """What the command prints, read as TOML."""
    assert main(["codex", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return tomllib.loads(out)


def failure(capsys: Capture, *words: str) -> tuple[int, str]:
    """The exit code and the error message, which must be one line and the only output."""
    code, line, out = failure_of(capsys, "codex", *words)
    assert out == ""
    return code, line


@pytest.fixture
def server(serve: Serve) -> CannedServer:
    return serve({"/v1/models": LIST})


def test_the_default_model_is_the_first_that_the_server_lists(capsys: Capture, server: CannedServer) -> None:
    config = block(capsys, "--url", server.base_url + "/")
    assert config == {
        "model": "first",
        "model_provider": "shim",
        "model_providers": {
            "shim": {"name": "responses-shim", "base_url": server.base_url, "wire_api": "responses"},
        },
    }
    assert "authorization" not in server.requests[0][1]


def test_with_a_model_and_no_catalogue_the_server_is_not_called(capsys: Capture) -> None:
    config = block(capsys, "--model", "m", "--api-key-env", "NOT_SET_HERE")
    assert config["model"] == "m"
    assert config["model_providers"]["shim"]["base_url"] == "http://127.0.0.1:8000/v1"
    assert config["model_providers"]["shim"]["env_key"] == "NOT_SET_HERE"


def test_the_key_is_sent_to_the_server_but_not_printed(
    capsys: Capture, server: CannedServer, monkeypatch: Patch
) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    assert main(["codex", "--url", server.base_url, "--api-key-env", "MY_KEY"]) == 0
    out = capsys.readouterr().out
    assert server.requests[0][1]["authorization"] == "Bearer secret"
    assert 'env_key = "MY_KEY"' in out
    assert "secret" not in out


def test_the_catalogue_has_the_models_that_the_server_lists(
    capsys: Capture, server: CannedServer, tmp_path: Path
) -> None:
    path = tmp_path / "models.json"
    config = block(capsys, "--url", server.base_url, "--catalog", str(path))
    assert config["model_catalog_json"] == str(path)
    assert json.loads(path.read_text()) == catalog(LISTED)


def test_the_path_of_the_catalogue_is_printed_as_an_absolute_one(
    capsys: Capture, server: CannedServer, tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in ("models.json", "~/models.json"):
        config = block(capsys, "--url", server.base_url, "--catalog", given)
        assert config["model_catalog_json"] == str((tmp_path / "models.json").resolve())


@pytest.mark.parametrize(
    ("model", "models"), [("second", LISTED), ("unlisted", [Model("unlisted"), *LISTED])], ids=["listed", "not listed"]
)
def test_the_catalogue_contains_the_model_given_with_model(
    capsys: Capture, server: CannedServer, tmp_path: Path, model: str, models: list[Model]
) -> None:
    path = tmp_path / "models.json"
    config = block(capsys, "--url", server.base_url, "--model", model, "--catalog", str(path))
    assert config["model"] == model
    assert json.loads(path.read_text()) == catalog(models)


def test_a_catalogue_that_cannot_be_written_is_a_failure(capsys: Capture, server: CannedServer, tmp_path: Path) -> None:
    code, line = failure(capsys, "--url", server.base_url, "--catalog", str(tmp_path / "missing" / "models.json"))
    assert code == 2
    assert line.startswith("--catalog: ")
    assert "No such file" in line


def test_no_server_at_the_url_is_a_failure(capsys: Capture) -> None:
    code, line = failure(capsys, "--url", f"http://127.0.0.1:{free_port()}/v1")
    assert code == 1
    assert line.startswith("nothing answers at http://127.0.0.1:")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(b'{"data": []}', content_type=JSON), "lists no models (status 200): give the model with --model"),
        (Answer(b'{"models": []}', content_type=JSON), "lists no models (status 200)"),
        (Answer(b"<html>", content_type="text/html"), "lists no models (status 200)"),
        (Answer(b'{"data": [{"id": "m"}]}', 500, JSON), "lists no models (status 500)"),
        (Answer(b'{"detail": "no"}', 401, JSON), "another one (401: no): give it with --api-key-env"),
    ],
)
def test_a_server_that_lists_no_models_is_a_failure(
    capsys: Capture, serve: Serve, answer: Answer, message: str
) -> None:
    code, line = failure(capsys, "--url", serve({"/v1/models": answer}).base_url)
    assert code == 2
    assert message in line


def test_the_error_for_a_missing_environment_variable_names_it(
    capsys: Capture, server: CannedServer, monkeypatch: Patch
) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    code, line = failure(capsys, "--url", server.base_url, "--api-key-env", "MY_KEY")
    assert (code, line) == (2, "--api-key-env: there is no MY_KEY in the environment")
    assert not server.requests
