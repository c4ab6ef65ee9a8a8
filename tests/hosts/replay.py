"""The recorded host: an ASGI app that answers a chat call with what a real server once sent, message by message."""

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
    """One capture; as an app, it plays it to whoever calls and ends the way it ended then."""

    sent: list[Message]
    ended: dict[str, str]
    requests: list[Any] = field(default_factory=list)
    """The bodies of the calls that were made."""

    @property
    def body(self) -> list[bytes]:
        """The body messages that hold something."""
        return [message["body"] for message in self.sent if message.get("body")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests.append(json.loads(await read_body(receive)))
        for message in self.sent:
            await send(message)
        if self.ended["how"] == "raised":
            raise self._error()

    def _error(self) -> Exception:
        """An exception of the recorded name: the real class where it is a built-in one."""
        name = self.ended["type"].rpartition(".")[2]
        kind = getattr(builtins, name, None) or type(name, (Exception,), {})
        error: Exception = kind(self.ended["message"])
        return error


@cache
def names(host: str) -> list[str]:
    return sorted(path.stem for path in (CAPTURES / host).glob("*.json"))


def recorded(host: str, name: str) -> Recorded:
    capture = json.loads((CAPTURES / host / f"{name}.json").read_text())
    return Recorded([_as_asgi(message) for message in capture["sent"]], capture["ended"])


def _as_asgi(message: dict[str, Any]) -> Message:
    """JSON has no bytes: bodies and headers are text in the file."""
    asgi = dict(message)
    if "body" in message:
        asgi["body"] = message["body"].encode()
    if "headers" in message:
        asgi["headers"] = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in message["headers"]]
    return asgi
