"""A server that answers what a test tells it to, and the events of a plain answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

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


def sse(events: list[dict[str, Any]]) -> bytes:
    frames = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
    return "".join([*frames, "data: [DONE]\n\n"]).encode()


@dataclass
class Answer:
    body: bytes = b""
    status: int = 200
    content_type: str = "text/event-stream; charset=utf-8"
    breaks_off: bool = False
    """Announces more bytes than it sends."""


@dataclass
class CannedServer:
    """Answers by path; `requests` are the paths, headers and bodies that came."""

    base_url: str
    answers: dict[str, Answer]
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


Serve = Callable[[dict[str, Answer]], CannedServer]


class CannedHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        canned: CannedServer = self.server.canned  # type: ignore[attr-defined]
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
