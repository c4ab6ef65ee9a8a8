"""`GET /v1/models?client_version=…`: answer Codex with its catalogue, made from the host's own list of models.

The host answers the client's own request first, in this process, so that its authentication, CORS and rate limits
hold. If the answer is a list of models, the client gets the catalogue instead; any other answer is passed on as it is.
"""

from __future__ import annotations

from starlette.types import Message, Scope, Send

from responses_shim.asgi.headers import headers_from_host
from responses_shim.asgi.inner import inner_scope
from responses_shim.asgi.request import Request
from responses_shim.asgi.sinks import send_json
from responses_shim.extensions.codex import catalog, decode_models

PATH = "/v1/models"

MAX_LIST_SIZE = 4 * 1024 * 1024
"""The longest answer of the host, in bytes, that is read as a list of models; a longer one is passed on as it is."""


async def model_catalog(request: Request) -> None:
    """Answer a request that `extensions.codex.is_catalog_request` recognises."""
    response = _ListResponse(request.send)
    await request.app(_list_scope(request), request.receive, response.send)
    await response.release()


def _list_scope(request: Request) -> Scope:
    """The client's own request, without the headers that ask for part of the list, a compressed one, or none (304)."""
    headers = [
        (name, value)
        for name, value in request.scope["headers"]
        if name.lower() not in (b"accept-encoding", b"range") and not name.lower().startswith(b"if-")
    ]
    return inner_scope(request.scope, request.prefix + PATH, headers)


class _ListResponse:
    """The host's response: held back while it may be a list of models, else passed on message by message."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: list[Message] = []
        self._size = 0
        self._passing = False

    async def send(self, message: Message) -> None:
        """The `send` that the host gets."""
        if self._passing:
            await self._send(message)
            return
        self._held.append(message)
        self._size += len(message.get("body", b""))
        if not _may_be_a_list(self._held[0]) or self._size > MAX_LIST_SIZE:
            await self.release()
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            await self._send_catalog()

    async def release(self) -> None:
        """Pass on what is held back, and from then on every message as it comes."""
        self._passing = True
        held, self._held = self._held, []
        for message in held:
            await self._send(message)

    async def _send_catalog(self) -> None:
        models = decode_models(b"".join(message.get("body", b"") for message in self._held))
        if models is None:
            await self.release()
            return
        start, self._held = self._held[0], []
        await send_json(self._send, 200, catalog(models), headers_from_host(start.get("headers", ())))


def _may_be_a_list(start: Message) -> bool:
    """Whether a response that starts like this may be a list of models that we can read."""
    headers = {name.lower(): value.lower() for name, value in start.get("headers", ())}
    return (
        start.get("status") == 200
        and headers.get(b"content-type", b"").startswith(b"application/json")
        and headers.get(b"content-encoding", b"identity") == b"identity"
    )
