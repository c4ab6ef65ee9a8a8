"""`GET /v1/models?client_version=…`: answer Codex with its catalogue, made from the host's own list of models.

The host answers the client's own request first, in this process, so that its authentication, CORS and rate limits
hold. If the answer is a list of models, the client gets the catalogue instead; any other answer is passed on as it is.
"""

from __future__ import annotations

from starlette.types import Message, Send

from responses_shim.asgi.headers import headers_from_host
from responses_shim.asgi.host_answer import Answer
from responses_shim.asgi.host_client import HostClient
from responses_shim.asgi.replies import send_json
from responses_shim.asgi.request import Request
from responses_shim.extensions.codex import catalog, decode_models
from responses_shim.runtime.interfaces import RawHeaders

PATH = "/v1/models"

MAX_LIST_SIZE = 4 * 1024 * 1024
"""The longest answer of the host, in bytes, that is read as a list of models; a longer one is passed on as it is."""


async def model_catalog(request: Request) -> None:
    """Answer a request that `extensions.codex.is_catalog_request` recognises."""
    host = HostClient(request.app, request.scope, request.prefix, request.profile)
    response = _ListResponse(request.send)
    await host.pass_on(PATH, _list_headers(request), request.receive, response.send)
    await response.release()


def _list_headers(request: Request) -> RawHeaders:
    """The client's headers, without those that ask for part of the list, a compressed one, or none (304)."""
    return [
        (name, value)
        for name, value in request.scope["headers"]
        if name.lower() not in (b"accept-encoding", b"range") and not name.lower().startswith(b"if-")
    ]


class _ListResponse:
    """The host's response: held back while it may be a list of models, else passed on message by message."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held = Answer(MAX_LIST_SIZE + 1)
        self._released = False

    async def send(self, message: Message) -> None:
        """The `send` that the host gets."""
        if self._released:
            await self._send(message)
            return
        self._held.take(message)
        if not _may_be_a_list(self._held) or self._held.size > MAX_LIST_SIZE:
            await self.release()
        elif self._held.complete:
            await self._send_catalog()

    async def release(self) -> None:
        """Pass on what is held back, and from then on every message as it comes."""
        if self._released:
            return
        self._released = True
        for message in self._held.messages:
            await self._send(message)

    async def _send_catalog(self) -> None:
        models = decode_models(self._held.body)
        if models is None:
            await self.release()
            return
        self._released = True
        await send_json(self._send, 200, catalog(models), headers_from_host(self._held.headers))


def _may_be_a_list(answer: Answer) -> bool:
    """Whether a response that starts like this may be a list of models that we can read."""
    headers = {name.lower(): value.lower() for name, value in answer.headers}
    return (
        answer.status == 200
        and headers.get(b"content-type", b"").startswith(b"application/json")
        and headers.get(b"content-encoding", b"identity") == b"identity"
    )
