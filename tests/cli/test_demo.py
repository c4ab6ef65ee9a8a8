"""`responses-shim demo`, with servers that send canned answers."""

from __future__ import annotations

import json
import os
import socket
import sys
import textwrap
from pathlib import Path

import pytest

from responses_shim.cli import client, demo, embedded, main
from responses_shim.cli.child import ChildServer, free_port
from tests.cli.canned import EVENTS, Answer, Serve, failure_of, sse

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

JSON = "application/json"


# With a server that is running already (--url).


def test_with_url_it_prints_the_answer_and_the_snippets(serve: Serve, capsys: Capture) -> None:
    canned = serve({"/v1/responses": Answer(sse(EVENTS))})
    assert main(["demo", "--url", canned.base_url + "/", "--model", "tiny", "--prompt", "What is the sea?"]) == 0
    out = capsys.readouterr().out
    assert "The sea is blue." in out
    assert "response.completed" in out
    assert f"curl -N {canned.base_url}/responses" in out
    assert f'base_url = "{canned.base_url}"' in out
    [(_, headers, body)] = canned.requests
    assert json.loads(body) == {
        "model": "tiny",
        "input": "What is the sea?",
        "max_output_tokens": demo.MAX_OUTPUT_TOKENS,
        "stream": True,
    }
    assert "authorization" not in headers


def test_the_default_model_is_the_first_that_the_server_lists(serve: Serve) -> None:
    models = Answer(b'{"object":"list","data":[{"id":"first"},{"id":"second"}]}', content_type=JSON)
    canned = serve({"/v1/models": models, "/v1/responses": Answer(sse(EVENTS))})
    assert main(["demo", "--url", canned.base_url]) == 0
    assert json.loads(canned.requests[1][2])["model"] == "first"


def test_the_key_in_an_environment_variable_is_sent_but_not_printed(
    serve: Serve, monkeypatch: Patch, capsys: Capture
) -> None:
    canned = serve({"/v1/responses": Answer(sse(EVENTS))})
    monkeypatch.setenv("MY_KEY", "secret")
    assert main(["demo", "--url", canned.base_url, "--model", "m", "--api-key-env", "MY_KEY"]) == 0
    assert canned.requests[0][1]["authorization"] == "Bearer secret"
    out = capsys.readouterr().out
    assert "secret" not in out
    assert 'env_key = "SHIM_API_KEY"' in out
    assert "First: export SHIM_API_KEY=" in out


def failure(capsys: Capture, *words: str) -> tuple[int, str]:
    """The exit code and the error message, which must be one line."""
    code, line, _ = failure_of(capsys, "demo", *words)
    return code, line


def test_the_error_for_a_missing_environment_variable_names_it(capsys: Capture, monkeypatch: Patch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    code, line = failure(capsys, "--url", "http://127.0.0.1:1/v1", "--api-key-env", "MY_KEY")
    assert (code, line) == (2, "--api-key-env: there is no MY_KEY in the environment")


def test_no_server_at_the_url_is_a_failure(capsys: Capture) -> None:
    code, line = failure(capsys, "--url", f"http://127.0.0.1:{free_port()}/v1", "--model", "m")
    assert code == 1
    assert line.startswith("nothing answers at http://127.0.0.1:")


@pytest.mark.parametrize("url", ["127.0.0.1:8000/v1", "localhost", "ftp://localhost/v1", "http://[::1/v1"])
def test_an_invalid_url_is_a_failure(capsys: Capture, url: str) -> None:
    code, line = failure(capsys, "--url", url, "--model", "m")
    assert code == 2
    assert "is not a URL of a server" in line


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (Answer(b'{"detail":"Not Found"}', 404, JSON), 2, "404 (Not Found): is the shim mounted there?"),
        (Answer(b"<html>", 405, "text/html"), 2, "405 (<html>): is the shim mounted there?"),
        (
            Answer(b'{"detail":"Invalid API key"}', 401, JSON),
            2,
            "requires an API key, or another one (401: Invalid API key): give it with --api-key",
        ),
        (Answer(b'{"error":{"message":"no\\nroom"}}', 400, JSON), 1, "answered 400: no room"),
        (Answer(b"", 500, "text/plain"), 1, "answered 500: no reason given"),
        (Answer(b"[]", 500, JSON), 1, "answered 500: []"),
        (Answer(b"{}", 200, JSON), 1, "answered with application/json, not with a stream of events"),
        (Answer(b"data: hello\n\n"), 1, "an event is not JSON: b'hello'"),
        (Answer(b"data: {}\n\n"), 1, "an event has no type: b'{}'"),
        (Answer(sse(EVENTS[:5]), breaks_off=True), 1, "the stream broke off after 5 events"),
        (Answer(sse(EVENTS[:5])), 1, "the stream ended too early: the server gave no reason"),
        (
            Answer(sse([{"type": "response.failed", "response": {"error": {"code": "c", "message": "why"}}}])),
            1,
            "the response failed: c: why",
        ),
    ],
)
def test_any_answer_but_a_complete_stream_is_a_failure(
    capsys: Capture, serve: Serve, answer: Answer, code: int, message: str
) -> None:
    canned = serve({"/v1/responses": answer})
    exit_code, line = failure(capsys, "--url", canned.base_url, "--model", "m")
    assert message in line
    assert exit_code == code


def test_the_error_for_a_url_without_v1_suggests_the_one_with_it(capsys: Capture, serve: Serve) -> None:
    root = serve({}).base_url.removesuffix("/v1")
    _, line = failure(capsys, "--url", root, "--model", "m")
    assert line.endswith(f"(did you mean --url {root}/v1?)")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(b'{"data":[]}', content_type=JSON), "lists no models (status 200): give the model with --model"),
        (Answer(b"not found", 404, "text/plain"), "lists no models (status 404): give the model with --model"),
        (Answer(b"{}", 403, JSON), "requires an API key, or another one (403: {})"),
    ],
)
def test_a_server_that_lists_no_models_is_a_failure(
    capsys: Capture, serve: Serve, answer: Answer, message: str
) -> None:
    code, line = failure(capsys, "--url", serve({"/v1/models": answer}).base_url)
    assert code == 2
    assert message in line


def test_a_server_that_sends_nothing_is_a_failure(capsys: Capture, monkeypatch: Patch) -> None:
    monkeypatch.setattr(client, "STREAM_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        code, line = failure(capsys, "--url", url, "--model", "m")
    assert code == 1
    assert "has sent nothing for" in line


def test_a_server_that_closes_the_connection_is_a_failure(capsys: Capture, monkeypatch: Patch, serve: Serve) -> None:
    canned = serve({"/v1/models": Answer(b"{", content_type=JSON, breaks_off=True)})
    code, line = failure(capsys, "--url", canned.base_url)
    assert code == 1
    assert line.startswith(f"the connection to {canned.base_url} failed")


# With a server that it starts.

SERVE_CANNED = """
    import http.server, sys

    class Canned(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            body = open(sys.argv[2], "rb").read()
            if body == b"die":
                sys.stderr.write("segmentation fault\\n")
                sys.stderr.flush()
                import os
                os._exit(3)
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            self.wfile.write(body)
        def log_message(self, *args): pass

    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Canned).serve_forever()
"""


@pytest.fixture
def canned_engine(monkeypatch: Patch, tmp_path: Path) -> Path:
    """A child process in place of the engine. It answers with the contents of the returned file."""
    answer = tmp_path / "answer"
    answer.write_bytes(sse(EVENTS))

    def server(engine: embedded.Engine, model: Path, port: int) -> ChildServer:
        command = [sys.executable, "-c", textwrap.dedent(SERVE_CANNED), str(port), str(answer)]
        return ChildServer(command, port=port, environment=os.environ)

    monkeypatch.setattr(embedded, "find_engine", lambda name: embedded.ENGINES[name or "mlx"])
    monkeypatch.setattr(embedded, "model_file", lambda: Path("tiny.gguf"))
    monkeypatch.setattr(embedded, "server", server)
    return answer


def test_with_once_it_ends_after_the_answer(canned_engine: Path, capsys: Capture) -> None:
    port = free_port()
    assert main(["demo", "--once", "--port", str(port)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Starting vllm-mlx with tiny.gguf")
    assert "The sea is blue." in out
    assert "curl" not in out
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_the_engine_can_be_chosen(canned_engine: Path, capsys: Capture) -> None:
    assert main(["demo", "--once", "--engine", "llama-cpp", "--port", str(free_port())]) == 0
    assert capsys.readouterr().out.startswith("Starting llama-cpp-python with tiny.gguf")


def test_without_once_it_keeps_running_until_ctrl_c(canned_engine: Path, capsys: Capture, monkeypatch: Patch) -> None:
    def interrupted(self: ChildServer) -> None:
        self.check()
        raise KeyboardInterrupt

    monkeypatch.setattr(ChildServer, "wait", interrupted)
    port = free_port()
    assert main(["demo", "--port", str(port)]) == 0
    out = capsys.readouterr().out
    assert "The server keeps running" in out
    assert "SHIM_API_KEY" not in out
    assert out.endswith("Ended.\n")


def test_the_error_for_a_server_that_crashes_has_its_last_lines(canned_engine: Path, capsys: Capture) -> None:
    canned_engine.write_bytes(b"die")
    assert main(["demo", "--once", "--port", str(free_port())]) == 1
    err = capsys.readouterr().err
    assert err == "responses-shim: the server ended with exit code 3; its last lines:\n  | segmentation fault\n"


def test_a_failed_answer_of_a_server_that_keeps_running_is_a_failure(canned_engine: Path, capsys: Capture) -> None:
    canned_engine.write_bytes(b"")
    code, line = failure(capsys, "--once", "--port", str(free_port()))
    assert (code, line) == (1, "the stream ended too early: the server gave no reason")


def test_a_port_option_that_is_taken_is_a_failure(canned_engine: Path, capsys: Capture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, line = failure(capsys, "--port", str(port))
    assert code == 2
    assert line == (
        f"port {port} cannot be used (Address already in use): choose another with --port, "
        f"or use the server that listens there with --url http://127.0.0.1:{port}/v1"
    )


def test_if_the_default_port_is_taken_a_free_one_is_used(
    canned_engine: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(demo, "PORT", port)
        assert main(["demo", "--once"]) == 0
    assert f"Port {port} cannot be used (Address already in use): taking " in capsys.readouterr().out


def test_the_default_port_is_used_if_it_is_free(canned_engine: Path, capsys: Capture, monkeypatch: Patch) -> None:
    port = free_port()
    monkeypatch.setattr(demo, "PORT", port)
    assert main(["demo", "--once"]) == 0
    assert f"http://127.0.0.1:{port}/v1/responses" in capsys.readouterr().out
