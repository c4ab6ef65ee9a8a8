"""The endpoints that only refuse: what is not stored here, a wrong method, a WebSocket."""

from __future__ import annotations

from starlette.types import Send

from responses_shim.asgi.replies import send_error
from responses_shim.asgi.request import Request
from responses_shim.errors import InvalidRequest, excerpt


async def not_found(request: Request) -> None:
    """Answer 404 to everything below `/v1/responses` and `/v1/conversations`: nothing is stored here."""
    method, path = excerpt(request.scope["method"]), _path(request)
    await send_error(
        request.send,
        InvalidRequest(
            f"There is nothing at {method} {path}: responses and conversations are not stored here.",
            status=404,
            code="not_found",
        ),
        [],
    )


async def wrong_method(request: Request) -> None:
    """Answer 405 to any method but POST (RFC 9110 §15.5.6)."""
    method, path = excerpt(request.scope["method"]), _path(request)
    await send_error(
        request.send,
        InvalidRequest(
            f"{method} is not allowed at {path}; use POST.",
            status=405,
            code="method_not_allowed",
            headers=[("allow", "POST, OPTIONS")],
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
