"""A call of the host's other routes, in this process, with the client's own headers."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from anyio import sleep_forever
from starlette.types import ASGIApp, Message, Scope

from responses_shim.asgi.headers import RawHeaders

# What a router or framework put into the scope for the route that it matched, which is not the one that is called.
_OF_THE_ROUTE = ("endpoint", "path_params", "route", "router")


def inner_scope(outer: Scope, path: str, headers: RawHeaders, **changed: Any) -> Scope:
    """The scope of a call to the host at `path` on behalf of `outer`'s client; `changed` are other keys of it."""
    scope = {name: value for name, value in outer.items() if name not in _OF_THE_ROUTE}
    scope.update(
        path=path,
        raw_path=quote(path).encode("ascii"),
        headers=headers,
        state=dict(outer.get("state", {})),
        extensions={name: value for name, value in (outer.get("extensions") or {}).items() if name == "tls"},
    )
    scope.update(changed)
    return scope


async def ask(app: ASGIApp, scope: Scope, body: bytes) -> tuple[int, bytes]:
    """The host's whole answer to a request with `body`: status (0 if there was none) and body. It may raise."""
    status, parts = 0, list[bytes]()
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if asked:
            await sleep_forever()
        asked = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return status, b"".join(parts)
