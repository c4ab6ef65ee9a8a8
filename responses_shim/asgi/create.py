"""`POST /v1/responses`: from a body to a run."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from msgspec.structs import replace
from starlette.types import Receive

from responses_shim.asgi.body import ClientDisconnect, read_json
from responses_shim.asgi.headers import Pairs
from responses_shim.asgi.host_client import InProcess
from responses_shim.asgi.request import Request
from responses_shim.asgi.sinks import EventStream, WholeResponse, send_error
from responses_shim.asgi.tokenize import prompt_tokens
from responses_shim.core.request.params import SEALED, wants_logprobs, wants_summary
from responses_shim.core.request.parse import parse_request, unknown_fields
from responses_shim.core.request.prepare import prepare
from responses_shim.core.response.filters import Mend
from responses_shim.core.response.logprobs import SpokenLogprobs
from responses_shim.core.response.stream import ResponseStream, Wanted
from responses_shim.core.response.think_tags import ThinkSplitter
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.requests import CreateRequest
from responses_shim.core.wire.responses import Response
from responses_shim.errors import ShimError
from responses_shim.extensions.nemo_gym import SILENT, SideChannel, read_training_request, tell_host, with_audio
from responses_shim.extensions.nemo_gym_audio import audio_urls
from responses_shim.runtime.files import read_files
from responses_shim.runtime.interceptors import intercept, tell
from responses_shim.runtime.offload import aside
from responses_shim.runtime.run import Run
from responses_shim.views.request import RequestView


def new_id(prefix: str) -> str:
    """A prefix of the API (`resp`, `msg`, `fc`, …), an underscore and 32 random hexadecimal digits."""
    return f"{prefix}_{secrets.token_hex(16)}"


def noise(size: int) -> str:
    """So many random characters, none of which JSON escapes."""
    return secrets.token_hex((size + 1) // 2)[:size]


@dataclass
class Asked:
    """What a client asked for: its request, what that says besides (NeMo Gym), and what it comes to for the host."""

    request: CreateRequest
    side: SideChannel
    tools: ToolMap
    chat: dict[str, Any]
    report: Report
    response: Response


async def create(request: Request) -> None:
    """`POST /v1/responses`, streamed or not."""
    headers: Pairs = []
    view: RequestView | None = None
    stream: ResponseStream | None = None
    host = (request.app, request.scope, request.prefix, request.profile)
    try:
        view, asked = await _ask(request)
        if report := asked.report.header():
            headers = [(b"responses-shim-report", report.encode("ascii"))]
        stream = ResponseStream(
            asked.response,
            new_id=new_id,
            now=lambda: int(time.time()),
            tools=asked.tools,
            wanted=_wanted(request, asked),
        )
        run = Run(
            stream,
            (EventStream if asked.request.stream else WholeResponse)(request.send, headers),
            request.settings,
            disconnected=lambda: _disconnected(request.receive),
            mends=_mends(request, asked),
            unfinished=request.profile.unfinished,
            prompt_tokens=partial(prompt_tokens, *host, asked.chat),
        )
        await run.execute(InProcess(*host), asked.chat)
    except ClientDisconnect:
        return
    except ShimError as error:
        await send_error(request.send, error, headers)
    if view is not None and stream is not None:
        await tell(request.interceptors, view, stream.response)


async def _ask(request: Request) -> tuple[RequestView | None, Asked]:
    """The body, read and translated; with interceptors also the view that they left of it."""
    body, size = await read_json(request.scope, request.receive, request.settings.max_body)
    read, side = await aside(size, lambda: _read(request, body))
    if isinstance(read.input, list):
        read.input = await read_files(read.input, request.settings)
    view = None
    if request.interceptors:
        body["input"] = read.input
        view, asked = await intercept(
            request.interceptors,
            body,
            request.scope["headers"],
            lambda body: _translated(request, *_read(request, body)),
            size,
        )
    else:
        asked = await aside(size, lambda: _translated(request, read, side))
    for name in unknown_fields(body):
        asked.report.dropped(name)
    if urls := await audio_urls(asked.side, request.settings):
        asked.chat["messages"] = with_audio(asked.chat["messages"], urls)
    return view, asked


def _read(request: Request, body: Any) -> tuple[CreateRequest, SideChannel]:
    """The request, and what it says besides where NeMo Gym's keys are read."""
    read, side = read_training_request(body) if request.settings.nemo_gym else (parse_request(body), SILENT)
    if read.return_token_ids is None and request.settings.return_token_ids:
        read.return_token_ids = True
    return read, side


def _translated(request: Request, read: CreateRequest, side: SideChannel) -> Asked:
    policy = replace(request.policy, replay_tokens=request.settings.nemo_gym or bool(read.return_token_ids))
    prepared = prepare(read, options=policy, response_id=new_id("resp"), created_at=int(time.time()))
    report = prepared.report
    chat = request.profile.adapt(prepared.chat, report)
    chat = tell_host(chat, side, policy, report)
    if request.keys.sealer is None:
        for place, included in enumerate(read.include or ()):
            if included == SEALED:
                report.dropped(f"include[{place}]")
    return Asked(read, side, prepared.tools, chat, report, prepared.response)


def _wanted(request: Request, asked: Asked) -> Wanted:
    """What the client asked for besides, as far as it can be had here."""
    sealer = request.keys.sealer if SEALED in (asked.request.include or ()) else None
    options = asked.request.stream_options
    return Wanted(
        logprobs=wants_logprobs(asked.request),
        summary=wants_summary(asked.request) or request.settings.nemo_gym,
        seal=(lambda text: sealer.seal(request.owners[0], text)) if sealer is not None else None,
        token_ids="return_token_ids" in asked.chat,
        noise=noise if asked.request.stream and options is not None and options.include_obfuscation else None,
        message=request.settings.nemo_gym,
        overflow=request.settings.overflow == "incomplete",
    )


def _mends(request: Request, asked: Asked) -> list[Mend]:
    """What puts the host's chunks right: its own quirks, log-probabilities, spans of thought left in its text."""
    settings = request.settings
    by_default = settings.nemo_gym and "think_tags" not in settings.model_fields_set
    tags = "anywhere" if by_default else settings.think_tags
    mends = [
        request.profile.mending(asked.chat),
        SpokenLogprobs() if wants_logprobs(asked.request) else None,
        ThinkSplitter(tags) if tags != "off" else None,
    ]
    return [mend for mend in mends if mend is not None]


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
