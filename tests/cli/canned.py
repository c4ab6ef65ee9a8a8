"""A server with canned answers, the events of a plain answer, and the failure of a command."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from responses_shim.cli import main

EVENTS: list[dict[str, Any]] = [
    {"type": "response.created", "response": {"id": "resp_1", "model": "tiny"}},
    {"type": "response.in_progress", "response": {"id": "resp_1"}},
    {"type": "response.output_item.added", "item": {"id": "msg_1", "type": "message", "status": "in_progress"}},
    {"type": "response.content_part.added", "item_id": "msg_1", "part": {"type": "output_text"}},
    {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "The sea"},
    {"type": "response.output_text.delta", "item_id": "msg_1", "delta": " is blue."},
    {"type": "response.output_text.done", "item_id": "msg_1", "text": "The sea is blue."},
    {"type": "response.content_part.done", "item_id": "msg_1", "part": {"type": "output_text"}},
    {"type": "response.output_item.done", "item": {"id": "msg_1", "type": "message", "status": "completed"}},
    {"type": "response.completed", "response": {"id": "resp_1", "usage": {"input_tokens": 9, "output_tokens": 2}}},
]


def failure_of(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """The exit code, the error message (which must be one line) and the other output of a command that fails."""
    code = main(words)
    out, err = capsys.readouterr()
    assert err.startswith("responses-shim: ")
    assert err.count("\n") == 1
    return code, err.removeprefix("responses-shim: ").rstrip(), out


def sse(events: list[dict[str, Any]]) -> bytes:
    frames = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
    return "".join([*frames, "data: [DONE]\n\n"]).encode()


@dataclass
class Answer:
    """What the server sends to a request."""

    body: bytes = b""
    status: int = 200
    content_type: str = "text/event-stream; charset=utf-8"
    breaks_off: bool = False
    """Whether it closes the connection before it has sent all the bytes that it announced."""


@dataclass
class CannedServer:
    """A running server: its answers by path, and the path, headers and body of each request it got."""

    base_url: str
    answers: dict[str, Answer]
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


Serve = Callable[[dict[str, Answer]], CannedServer]


class CannedHTTPServer(ThreadingHTTPServer):
    """The HTTP server behind a `CannedServer`, at a free port of the loopback interface."""

    daemon_threads = False

    def __init__(self, answers: dict[str, Answer]) -> None:
        super().__init__(("127.0.0.1", 0), CannedHandler)
        self.canned = CannedServer(f"http://127.0.0.1:{self.server_port}/v1", answers)


class CannedHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, CannedHTTPServer)
        canned = self.server.canned
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        canned.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        missing = Answer(b'{"detail":"Not Found"}', 404, "application/json")
        answer = canned.answers.get(self.path, missing)
        self.send_response(answer.status)
        self.send_header("content-type", answer.content_type)
        self.send_header("content-length", str(len(answer.body) + answer.breaks_off))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST  # noqa: N815 (the name is http.server's)

    def log_message(self, format: str, *args: object) -> None:
        pass
