"""One HTTP request to an ASGI app, called directly, with everything the app sent kept as it came."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

Message = dict[str, Any]


@dataclass
class Exchange:
    """A request, and after `run` what the app sent and how its call ended.

    `body` is sent as JSON, unless it is bytes: those go as they are. `run` may be called once.
    """

    body: Any
    method: str = "POST"
    path: str = "/v1/chat/completions"
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    on_send: Callable[[Message], None] = lambda message: None
    """Called with every message before it is kept: the place to start something in the middle of a stream."""

    sent: list[Message] = field(default_factory=list)
    ended: dict[str, str] = field(default_factory=dict)
    gone: anyio.Event = field(default_factory=anyio.Event)
    """Set it, and the app learns that the client has disconnected."""

    async def run(self, app: Any) -> None:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [
                (b"host", b"127.0.0.1"),
                *((name.encode(), value.encode()) for name, value in self.headers.items()),
                (b"content-length", str(len(body)).encode()),
            ],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
        }
        requests = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            # The host reads from two places at once and keeps cancelling one: no state after an await.
            if requests:
                return requests.pop()
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            self.on_send(message)
            self.sent.append(message)

        try:
            await app(scope, receive, send)
        except Exception as error:
            kind = type(error)
            self.ended = {
                "how": "raised",
                "type": f"{kind.__module__}.{kind.__qualname__}",
                "message": str(error),
            }
        else:
            self.ended = {"how": "returned"}

    def as_json(self) -> dict[str, Any]:
        """The shape the README beside this file describes. Bytes become text: each message is whole UTF-8."""
        return {
            "request": {
                "method": self.method,
                "path": self.path,
                "headers": self.headers,
                **({"text": self.body.decode()} if isinstance(self.body, bytes) else {"json": self.body}),
            },
            "sent": [_readable(message) for message in self.sent],
            "ended": self.ended,
        }


def _readable(message: Message) -> Message:
    readable = dict(message)
    if "headers" in message:
        readable["headers"] = [[name.decode(), value.decode()] for name, value in message["headers"]]
    if "body" in message:
        readable["body"] = message["body"].decode()
    return readable
