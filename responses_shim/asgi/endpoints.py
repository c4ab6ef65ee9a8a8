"""One small function per route."""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from responses_shim.asgi.answers import EventStream, WholeResponse, send_error
from responses_shim.asgi.body import ClientDisconnect, read_json
from responses_shim.asgi.headers import Pairs
from responses_shim.asgi.upstream import InProcess
from responses_shim.core.params import wants_logprobs
from responses_shim.core.request import new_response, read_request, to_chat
from responses_shim.core.stream import ResponseStream
from responses_shim.errors import InvalidRequest, ShimError
from responses_shim.hosts import HostProfile
from responses_shim.runtime.runs import Run
from responses_shim.settings import Settings

logger = logging.getLogger("responses_shim")


@dataclass(frozen=True)
class Request:
    """One HTTP request that is ours. `prefix` is the part of its path before the route (a root_path, as a rule)."""

    app: ASGIApp
    settings: Settings
    profile: HostProfile
    prefix: str
    scope: Scope
    receive: Receive
    send: Send


def new_id(prefix: str) -> str:
    """`resp_`, `msg_`, `rs_`, `fc_` or `call_` and 32 random hexadecimal digits."""
    return f"{prefix}_{secrets.token_hex(16)}"


async def create(request: Request) -> None:
    """`POST /v1/responses`, streamed or not."""
    headers: Pairs = []
    try:
        asked = read_request(await read_json(request.scope, request.receive, request.settings.max_body))
        translation = to_chat(asked)
        chat = request.profile.adapt(translation.chat, translation.report)
        if report := translation.report.header():
            headers = [(b"responses-shim-report", report.encode("ascii"))]
        response = new_response(asked, translation.tools, new_id("resp"), int(time.time()))
        stream = ResponseStream(response, new_id=new_id, now=lambda: int(time.time()), logprobs=wants_logprobs(asked))
        run = Run(
            stream,
            (EventStream if asked.stream else WholeResponse)(request.send, headers),
            request.settings,
            disconnected=lambda: _disconnected(request.receive),
            mend=request.profile.mending(chat),
            unfinished=request.profile.unfinished,
        )
        await run.execute(InProcess(request.app, request.scope, request.prefix, request.profile), chat)
    except ClientDisconnect:
        return
    except ShimError as error:
        await send_error(request.send, error, headers)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def not_found(request: Request) -> None:
    """The rest of `/v1/responses…` and `/v1/conversations…`: nothing is stored here, so nothing is found."""
    path = request.scope["path"][len(request.prefix) :]
    await send_error(
        request.send,
        InvalidRequest(
            f"There is nothing at {request.scope['method']} {path}: responses and conversations are not stored here.",
            status=404,
            code="not_found",
        ),
        [],
    )


async def wrong_method(request: Request) -> None:
    method, path = request.scope["method"], request.scope["path"][len(request.prefix) :]
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


async def upgrade_required(send: Send) -> None:
    """No WebSocket here. Codex goes on over HTTP at once after a 426, and after nothing else."""
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
