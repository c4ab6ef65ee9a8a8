"""`GET /v1/models?client_version=…`: the host's own list of models, as the catalogue that Codex reads.

The host answers, in this process, to the client's own request, so that its auth, its CORS and its limits hold. Only
an answer that is a list of models is turned into a catalogue; any other goes out as it came in.
"""

from __future__ import annotations

import msgspec
from starlette.types import Message, Scope, Send

from responses_shim.asgi.headers import headers_from_host
from responses_shim.asgi.inner import inner_scope
from responses_shim.asgi.request import Request
from responses_shim.asgi.sinks import send_json
from responses_shim.extensions.codex import Model, catalog, read_models

PATH = "/v1/models"

MAX_LIST = 4 * 1024 * 1024
"""Bytes of the host's answer that are held back to be read; a longer one goes out as it is."""


def asks_for_catalog(scope: Scope) -> bool:
    """Whether a request for the list of models comes from Codex, which tells its version in the query."""
    query: bytes = scope.get("query_string", b"")
    return scope.get("method") == "GET" and any(
        field.partition(b"=")[0] == b"client_version" for field in query.split(b"&")
    )


async def model_catalog(request: Request) -> None:
    answer = _Answer(request.send)
    await request.app(_inner_scope(request), request.receive, answer.take)
    await answer.let_go()


def _inner_scope(request: Request) -> Scope:
    """The same request, but for what might keep the answer from coming whole and readable, in messages."""
    headers = [
        (name, value)
        for name, value in request.scope["headers"]
        if name.lower() not in (b"accept-encoding", b"range") and not name.lower().startswith(b"if-")
    ]
    return inner_scope(request.scope, request.prefix + PATH, headers)


class _Answer:
    """The host's answer: held back until it is whole if it may be a list, else handed on message by message."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: list[Message] = []
        self._size = 0
        self._passing = False

    async def take(self, message: Message) -> None:
        if self._passing:
            await self._send(message)
            return
        self._held.append(message)
        self._size += len(message.get("body", b""))
        if not _may_be_a_list(self._held[0]) or self._size > MAX_LIST:
            await self.let_go()
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            models = self._models()
            if models is None:
                await self.let_go()
            else:
                start, self._held = self._held[0], []
                await send_json(self._send, 200, catalog(models), headers_from_host(start.get("headers", ())))

    async def let_go(self) -> None:
        """Hands on what is held back, and whatever comes after it."""
        self._passing = True
        held, self._held = self._held, []
        for message in held:
            await self._send(message)

    def _models(self) -> list[Model] | None:
        body = b"".join(message.get("body", b"") for message in self._held)
        try:
            return read_models(msgspec.json.decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


def _may_be_a_list(start: Message) -> bool:
    headers = {name.lower(): value.lower() for name, value in start.get("headers", ())}
    return (
        start.get("status") == 200
        and headers.get(b"content-type", b"").startswith(b"application/json")
        and headers.get(b"content-encoding", b"identity") == b"identity"
    )
