"""The snippets, tested by running them: curl in a shell, the SDK's in Python, Codex's in a TOML parser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.cli import snippets
from responses_shim.cli.server import Server
from tests.cli.canned import EVENTS, Answer, Serve, sse

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

URL = "http://127.0.0.1:8000/v1"
MODEL = 'it\'s a "model"'


def run(command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)


@pytest.fixture(params=[None, "secret"])
def api_key(request: pytest.FixtureRequest) -> str | None:
    key: str | None = request.param
    return key


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_command_streams_a_response(serve: Serve, api_key: str | None) -> None:
    canned = serve({"/v1/responses": Answer(sse(EVENTS))})
    server = Server(canned.base_url, MODEL, api_key)
    answer = run(["sh", "-c", snippets.curl(server)], SHIM_API_KEY="secret", no_proxy="127.0.0.1")
    assert '"delta": "The sea"' in answer.stdout
    [(_, headers, body)] = canned.requests
    assert json.loads(body) == {"model": MODEL, "input": "Say hello.", "stream": True}
    assert headers.get("authorization") == (None if api_key is None else f"Bearer {api_key}")


def test_the_sdk_program_prints_the_text(serve: Serve, api_key: str | None) -> None:
    pytest.importorskip("openai")
    canned = serve({"/v1/responses": Answer(sse(numbered(EVENTS)))})
    server = Server(canned.base_url, MODEL, api_key)
    answer = run([sys.executable, "-c", snippets.openai_sdk(server)], SHIM_API_KEY="secret", NO_PROXY="127.0.0.1")
    assert answer.stdout == "The sea is blue."
    [(_, headers, body)] = canned.requests
    assert json.loads(body)["model"] == MODEL
    assert headers["authorization"] == ("Bearer none" if api_key is None else f"Bearer {api_key}")


def numbered(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events with their numbers and the other fields that the SDK requires."""
    indices = {"output_index": 0, "content_index": 0}
    response = {"id": "resp_1", "object": "response", "created_at": 0, "output": [], "tools": [], "model": "tiny"}
    complete = []
    for number, event in enumerate(events):
        event = {**indices, **event, "sequence_number": number}
        if "response" in event:
            event["response"] = {**response, **event["response"]}
            event["response"].pop("usage", None)
        if "item" in event:
            event["item"] = {"role": "assistant", "content": [], **event["item"]}
        if "part" in event:
            event["part"] = {"text": "", "annotations": [], **event["part"]}
        complete.append(event)
    return complete


def test_codex_gets_a_model_provider() -> None:
    config = tomllib.loads(snippets.codex(URL, MODEL, "SHIM_API_KEY", Path("/tmp/models.json")))
    assert config == {
        "model": MODEL,
        "model_provider": "shim",
        "model_catalog_json": "/tmp/models.json",
        "model_providers": {
            "shim": {
                "name": "responses-shim",
                "base_url": URL,
                "wire_api": "responses",
                "env_key": "SHIM_API_KEY",
            }
        },
    }


def test_codexs_block_has_a_key_and_a_catalogue_only_if_they_are_given() -> None:
    config = tomllib.loads(snippets.codex(URL, MODEL))
    assert "model_catalog_json" not in config
    assert "env_key" not in config["model_providers"]["shim"]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_codexs_block_is_ascii_toml_with_any_names(name: str) -> None:
    block = snippets.codex(name, name, name)
    assert block.isascii()
    config = tomllib.loads(block)
    provider = config["model_providers"]["shim"]
    assert config["model"] == provider["base_url"] == provider["env_key"] == name


def test_the_snippets_contain_the_variable_of_the_key_and_not_the_key() -> None:
    server = Server(URL, "m", "secret")
    texts = [snippets.curl(server), snippets.openai_sdk(server)]
    assert all("secret" not in text for text in texts)
    assert all("SHIM_API_KEY" in text for text in texts)
