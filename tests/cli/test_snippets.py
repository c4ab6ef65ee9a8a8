"""The snippets are run, not looked at: curl by a shell, the SDK's by Python, Codex's by a TOML parser."""

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
    chosen: str | None = request.param
    return chosen


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_streams_from_the_server(serve: Serve, api_key: str | None) -> None:
    canned = serve({"/v1/responses": Answer(sse(EVENTS))})
    server = Server(canned.base_url, MODEL, api_key)
    answer = run(["sh", "-c", snippets.curl(server)], SHIM_API_KEY="secret", no_proxy="127.0.0.1")
    assert '"delta": "The sea"' in answer.stdout
    [(_, headers, body)] = canned.requests
    assert json.loads(body) == {"model": MODEL, "input": "Say hello.", "stream": True}
    assert headers.get("authorization") == (None if api_key is None else f"Bearer {api_key}")


def test_the_sdk_prints_the_text(serve: Serve, api_key: str | None) -> None:
    pytest.importorskip("openai")
    canned = serve({"/v1/responses": Answer(sse(numbered(EVENTS)))})
    server = Server(canned.base_url, MODEL, api_key)
    answer = run([sys.executable, "-c", snippets.openai_sdk(server)], SHIM_API_KEY="secret", NO_PROXY="127.0.0.1")
    assert answer.stdout == "The sea is blue."
    [(_, headers, body)] = canned.requests
    assert json.loads(body)["model"] == MODEL
    assert headers["authorization"] == ("Bearer none" if api_key is None else f"Bearer {api_key}")


def numbered(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`events` with what the SDK's accumulator needs beyond what a person reads."""
    places = {"output_index": 0, "content_index": 0}
    response = {"id": "resp_1", "object": "response", "created_at": 0, "output": [], "tools": [], "model": "tiny"}
    whole = []
    for number, event in enumerate(events):
        event = {**places, **event, "sequence_number": number}
        if "response" in event:
            event["response"] = {**response, **event["response"]}
            event["response"].pop("usage", None)
        if "item" in event:
            event["item"] = {"role": "assistant", "content": [], **event["item"]}
        if "part" in event:
            event["part"] = {"text": "", "annotations": [], **event["part"]}
        whole.append(event)
    return whole


def test_codex_gets_a_provider_of_its_own() -> None:
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


def test_codex_is_told_of_no_key_and_no_catalogue_where_there_is_none() -> None:
    config = tomllib.loads(snippets.codex(URL, MODEL))
    assert "model_catalog_json" not in config
    assert "env_key" not in config["model_providers"]["shim"]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_codexs_block_is_toml_in_ascii_whatever_the_names(name: str) -> None:
    block = snippets.codex(name, name, name)
    assert block.isascii()
    config = tomllib.loads(block)
    provider = config["model_providers"]["shim"]
    assert config["model"] == provider["base_url"] == provider["env_key"] == name


def test_the_key_is_named_but_never_shown() -> None:
    server = Server(URL, "m", "secret")
    texts = [snippets.curl(server), snippets.openai_sdk(server)]
    assert all("secret" not in text for text in texts)
    assert all("SHIM_API_KEY" in text for text in texts)
