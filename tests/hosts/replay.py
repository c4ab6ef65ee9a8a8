"""An ASGI app that replays a capture: it answers a chat call with the messages that a real server once sent."""

from __future__ import annotations

import builtins
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from tests.scripted import read_body

CAPTURES = Path(__file__).parent.parent / "captures"


@dataclass
class Recorded:
    """A capture. Called as an app, it sends the recorded messages, and raises where the server raised."""

    sent: list[Message]
    ended: dict[str, str]
    requests: list[Any] = field(default_factory=list)
    """The bodies of the calls it got, as JSON data."""

    @property
    def body(self) -> list[bytes]:
        """The bodies of the recorded messages, without empty ones."""
        return [message["body"] for message in self.sent if message.get("body")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests.append(json.loads(await read_body(receive)))
        for message in self.sent:
            await send(message)
        if self.ended["how"] == "raised":
            raise self._error()

    def _error(self) -> Exception:
        """An exception with the recorded class name: the class itself if it is a built-in one."""
        name = self.ended["type"].rpartition(".")[2]
        kind = getattr(builtins, name, None) or type(name, (Exception,), {})
        error: Exception = kind(self.ended["message"])
        return error


@cache
def names(host: str) -> list[str]:
    """The names of all captures of a host."""
    return sorted(path.stem for path in (CAPTURES / host).glob("*.json"))


def recorded(host: str, name: str) -> Recorded:
    """The capture of that name."""
    capture = json.loads((CAPTURES / host / f"{name}.json").read_text())
    return Recorded([_as_asgi(message) for message in capture["sent"]], capture["ended"])


def _as_asgi(message: dict[str, Any]) -> Message:
    """The message with its body and headers as bytes; in the file they are text."""
    asgi = dict(message)
    if "body" in message:
        asgi["body"] = message["body"].encode()
    if "headers" in message:
        asgi["headers"] = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in message["headers"]]
    return asgi
