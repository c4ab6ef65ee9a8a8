"""Which function answers which path and method, and the answers that only refuse."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from starlette.types import Send

from responses_shim.asgi import conversations, stored_responses, tool_outputs
from responses_shim.asgi.admission import Admission
from responses_shim.asgi.body import ClientDisconnect
from responses_shim.asgi.create import create
from responses_shim.asgi.follow import Following, follow
from responses_shim.asgi.host_client import HostClient
from responses_shim.asgi.replies import send_error, send_json
from responses_shim.asgi.request import Request
from responses_shim.errors import InvalidRequest, ShimError, excerpt
from responses_shim.runtime.client_store import ClientStore

Endpoint = Callable[[Request], Awaitable[None]]
StateEndpoint = Callable[[Request, ClientStore], Awaitable[Any]]


def _of_store(answer: StateEndpoint) -> Endpoint:
    """An endpoint that asks the host whether it lets the client in, and sends what `answer` returns, mostly as JSON."""

    async def endpoint(request: Request) -> None:
        admission = Admission(request, HostClient(request.app, request.scope, request.prefix, request.profile))
        try:
            await admission.ask()
            store = await request.client_store()
            body = await answer(request, store)
        except ClientDisconnect:
            return
        except ShimError as error:
            await send_error(request.send, error, admission.headers)
            return
        if isinstance(body, Following):
            await follow(request, body, admission.headers)
        else:
            with suppress(OSError):  # the client has left
                await send_json(request.send, 200, body, admission.headers)

    return endpoint


_ID = r"[A-Za-z0-9_-]{1,128}"
_RESPONSE = rf"/responses/(?P<response_id>{_ID})"
_CONVERSATION = rf"/conversations/(?P<conversation_id>{_ID})"
_ROUTES: dict[str, dict[str, Endpoint]] = {
    "/responses": {"POST": create},
    _RESPONSE: {"GET": _of_store(stored_responses.retrieve), "DELETE": _of_store(stored_responses.delete)},
    f"{_RESPONSE}/cancel": {"POST": _of_store(stored_responses.cancel)},
    f"{_RESPONSE}/tool_outputs": {"POST": _of_store(tool_outputs.add_output)},
    f"{_RESPONSE}/input_items": {"GET": _of_store(stored_responses.list_input_items)},
    "/conversations": {"POST": _of_store(conversations.create)},
    _CONVERSATION: {
        "GET": _of_store(conversations.retrieve),
        "POST": _of_store(conversations.update),
        "DELETE": _of_store(conversations.delete),
    },
    f"{_CONVERSATION}/items": {
        "GET": _of_store(conversations.list_items),
        "POST": _of_store(conversations.add_items),
    },
    rf"{_CONVERSATION}/items/(?P<item_id>{_ID})": {
        "GET": _of_store(conversations.retrieve_item),
        "DELETE": _of_store(conversations.delete_item),
    },
}
_NOT_YET = frozenset({"/responses/compact", "/responses/input_tokens"})
"""Paths of the API that are not served here. They are not ids."""
_COMPILED = [(re.compile(f"{pattern}/?"), methods) for pattern, methods in _ROUTES.items()]


def route(path: str, method: str) -> tuple[Endpoint, Mapping[str, str]]:
    """What answers a path of ours without the version before it, and the ids in the path."""
    if path.rstrip("/") in _NOT_YET:
        return _not_found, {}
    for pattern, methods in _COMPILED:
        if match := pattern.fullmatch(path):
            endpoint = methods.get(method)
            return endpoint or partial(_wrong_method, list(methods)), match.groupdict()
    return _not_found, {}


async def _not_found(request: Request) -> None:
    """Answer 404 to whatever else is below `/v1/responses` and `/v1/conversations`."""
    message = f"There is nothing at {excerpt(request.scope['method'])} {_path(request)}."
    await send_error(request.send, InvalidRequest(message, status=404, code="not_found"), [])


async def _wrong_method(allowed: Sequence[str], request: Request) -> None:
    """Answer 405, with the methods that are `allowed` besides OPTIONS, which is the host's (RFC 9110 §15.5.6)."""
    await send_error(
        request.send,
        InvalidRequest(
            f"{excerpt(request.scope['method'])} is not allowed at {_path(request)}; use {' or '.join(allowed)}.",
            status=405,
            code="method_not_allowed",
            headers=[("allow", ", ".join([*allowed, "OPTIONS"]))],
        ),
        [],
    )


def _path(request: Request) -> str:
    """The path of the request without its prefix, for a message."""
    return excerpt(request.scope["path"][len(request.prefix) :])


async def upgrade_required(send: Send) -> None:
    """Answer 426 to a WebSocket: after that Codex goes on over HTTP at once, and after nothing else."""
    await send_error(
        send,
        InvalidRequest(
            "Responses over WebSocket are not served here; use POST.",
            status=426,
            code="websocket_not_supported",
            headers=[("upgrade", "HTTP/1.1")],
        ),
        [],
    )
