"""One small function per route."""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from msgspec.structs import replace
from starlette.types import ASGIApp, Receive, Scope, Send

from responses_shim.asgi.answers import EventStream, WholeResponse, send_error
from responses_shim.asgi.auth import owner_of
from responses_shim.asgi.body import ClientDisconnect, read_json
from responses_shim.asgi.headers import Pairs
from responses_shim.asgi.tokenize import prompt_tokens
from responses_shim.asgi.upstream import InProcess
from responses_shim.core.codec import RequestView
from responses_shim.core.nemo_gym import SILENT, SideChannel, read_training_request, tell_host, with_audio
from responses_shim.core.params import SEALED, wants_logprobs, wants_summary
from responses_shim.core.policy import Policy
from responses_shim.core.report import Report
from responses_shim.core.request import Translation, new_response, read_request, to_chat
from responses_shim.core.splitters import Mend, ThinkSplitter
from responses_shim.core.stream import ResponseStream, Wanted
from responses_shim.core.types import CreateRequest
from responses_shim.errors import InvalidRequest, ShimError
from responses_shim.hosts import HostProfile
from responses_shim.runtime.audio import audio_urls
from responses_shim.runtime.files import read_files
from responses_shim.runtime.interceptors import Interceptor, intercept, tell
from responses_shim.runtime.runs import Run
from responses_shim.runtime.sealing import Keys
from responses_shim.settings import Settings

logger = logging.getLogger("responses_shim")


@dataclass(frozen=True)
class Request:
    """One HTTP request that is ours. `prefix` is the part of its path before the route (a root_path, as a rule)."""

    app: ASGIApp
    settings: Settings
    keys: Keys
    interceptors: tuple[Interceptor, ...]
    profile: HostProfile
    prefix: str
    scope: Scope
    receive: Receive
    send: Send

    @cached_property
    def owners(self) -> list[bytes]:
        """Who is asking, by each of the keys: what is made is made for the first."""
        return [owner_of(self.scope["headers"], self.settings, key) for key in self.keys.owner_keys]

    @property
    def policy(self) -> Policy:
        """What the host takes and the operator allows."""
        settings, policy = self.settings, self.profile.policy
        beside_tools, reasoning = settings.format_with_tools, settings.reasoning_replay
        return replace(
            policy,
            format_with_tools=policy.format_with_tools if beside_tools == "auto" else beside_tools,
            reasoning=policy.reasoning if reasoning == "auto" else reasoning,
            image_urls=settings.image_urls,
            system=settings.system_messages,
            unseal=lambda sealed: self.keys.open(self.owners, sealed),
        )


def new_id(prefix: str) -> str:
    """A prefix of the API (`resp`, `msg`, `fc`, …), an underscore and 32 random hexadecimal digits."""
    return f"{prefix}_{secrets.token_hex(16)}"


def noise(size: int) -> str:
    """So many random characters, none of which JSON escapes."""
    return secrets.token_hex((size + 1) // 2)[:size]


async def create(request: Request) -> None:
    """`POST /v1/responses`, streamed or not."""
    headers: Pairs = []
    view: RequestView | None = None
    stream: ResponseStream | None = None
    try:
        body = await read_json(request.scope, request.receive, request.settings.max_body)
        asked, side = _read(request, body)
        if isinstance(asked.input, list):
            asked.input = await read_files(asked.input, request.settings)
        if request.interceptors:
            body["input"] = asked.input
            view, (asked, side, translation, chat) = await intercept(
                request.interceptors,
                body,
                request.scope["headers"],
                lambda body: _translated(request, *_read(request, body)),
            )
        else:
            _, _, translation, chat = _translated(request, asked, side)
        if urls := await audio_urls(side, request.settings):
            chat["messages"] = with_audio(chat["messages"], urls)
        wanted = _wanted(request, asked, chat, translation.report)
        if report := translation.report.header():
            headers = [(b"responses-shim-report", report.encode("ascii"))]
        stream = ResponseStream(
            new_response(asked, translation.tools, new_id("resp"), int(time.time())),
            new_id=new_id,
            now=lambda: int(time.time()),
            tools=translation.tools,
            wanted=wanted,
        )
        run = Run(
            stream,
            (EventStream if asked.stream else WholeResponse)(request.send, headers),
            request.settings,
            disconnected=lambda: _disconnected(request.receive),
            mends=_mends(request, chat),
            unfinished=request.profile.unfinished,
            prompt_tokens=lambda: prompt_tokens(request.app, request.scope, request.prefix, request.profile, chat),
        )
        await run.execute(InProcess(request.app, request.scope, request.prefix, request.profile), chat)
    except ClientDisconnect:
        return
    except ShimError as error:
        await send_error(request.send, error, headers)
    if view is not None and stream is not None:
        await tell(request.interceptors, view, stream.response)


def _read(request: Request, body: Any) -> tuple[CreateRequest, SideChannel]:
    """The request, and what it says besides where NeMo Gym's keys are read."""
    asked, side = read_training_request(body) if request.settings.nemo_gym else (read_request(body), SILENT)
    if asked.return_token_ids is None and request.settings.return_token_ids:
        asked.return_token_ids = True
    return asked, side


def _translated(
    request: Request, asked: CreateRequest, side: SideChannel
) -> tuple[CreateRequest, SideChannel, Translation, dict[str, Any]]:
    """What was read, its translation, and the chat request as the host takes it."""
    policy = replace(request.policy, nemo_gym=request.settings.nemo_gym or bool(asked.return_token_ids))
    translation = to_chat(asked, policy=policy)
    chat = request.profile.adapt(translation.chat, translation.report)
    return asked, side, translation, tell_host(chat, side, policy, translation.report)


def _wanted(request: Request, asked: CreateRequest, chat: dict[str, Any], report: Report) -> Wanted:
    """What the client asked for besides, as far as it can be had here."""
    sealer = request.keys.sealer
    included: list[str] = [*(asked.include or ())]
    sealing = SEALED in included
    if sealing and sealer is None:
        report.dropped(f"include[{included.index(SEALED)}]")
    obfuscated = asked.stream_options is not None and asked.stream_options.include_obfuscation
    return Wanted(
        logprobs=wants_logprobs(asked),
        summary=wants_summary(asked) or request.settings.nemo_gym,
        seal=(lambda text: sealer.seal(request.owners[0], text)) if sealing and sealer is not None else None,
        token_ids="return_token_ids" in chat,
        noise=noise if obfuscated else None,
        message=request.settings.nemo_gym,
        overflow=request.settings.overflow == "incomplete",
    )


def _mends(request: Request, chat: dict[str, Any]) -> list[Mend]:
    """What puts the host's chunks right: its own quirks, then spans of thought that it leaves in its text."""
    settings = request.settings
    by_default = settings.nemo_gym and "think_tags" not in settings.model_fields_set
    tags = "anywhere" if by_default else settings.think_tags
    mends = [request.profile.mending(chat), ThinkSplitter(tags) if tags != "off" else None]
    return [mend for mend in mends if mend is not None]


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
