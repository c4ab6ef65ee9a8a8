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
from responses_shim.asgi.headers import RawHeaders
from responses_shim.asgi.host_client import HostClient
from responses_shim.asgi.replies import send_error
from responses_shim.asgi.request import Request
from responses_shim.asgi.sinks import EventStreamSink, JSONSink
from responses_shim.core.request.params import SEALED, wants_logprobs, wants_summary
from responses_shim.core.request.parse import read_request, unknown_fields
from responses_shim.core.request.prepare import new_response, to_chat
from responses_shim.core.response.filters import Filter
from responses_shim.core.response.logprobs import LogprobFilter
from responses_shim.core.response.options import ResponseOptions
from responses_shim.core.response.stream import ResponseStream
from responses_shim.core.response.think_tags import ThinkTagFilter
from responses_shim.core.response.translator import Translator
from responses_shim.core.tools.tool_map import ToolMap
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.requests import CreateRequest
from responses_shim.errors import ShimError
from responses_shim.extensions.nemo_gym import (
    NO_OPTIONS,
    GymOptions,
    add_audio,
    apply_options,
    load_audio,
    read_gym_request,
)
from responses_shim.runtime.files import read_files
from responses_shim.runtime.interceptors import intercept, notify_interceptors
from responses_shim.runtime.interfaces import Sink
from responses_shim.runtime.offload import offload_if_large
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
    side: GymOptions
    tools: ToolMap
    chat: dict[str, Any]
    report: Report


async def create(request: Request) -> None:
    """`POST /v1/responses`, streamed or not."""
    headers: RawHeaders = []
    view: RequestView | None = None
    stream: ResponseStream | None = None
    host = HostClient(request.app, request.scope, request.prefix, request.profile)
    try:
        view, asked = await _ask(request)
        if report := asked.report.header():
            headers = [(b"responses-shim-report", report.encode("ascii"))]
        stream = ResponseStream(
            new_response(asked.request, asked.tools, new_id("resp"), int(time.time())),
            new_id=new_id,
            now=lambda: int(time.time()),
            tools=asked.tools,
            options=_options(request, asked),
        )
        sink: Sink = (EventStreamSink if asked.request.stream else JSONSink)(request.send, headers)
        run = Run(
            Translator(stream, filters=partial(_filters, request, asked), framing=sink.framing),
            sink,
            request.settings,
            disconnected=lambda: _disconnected(request.receive),
            unfinished=request.profile.unfinished,
            prompt_tokens=partial(host.prompt_tokens, asked.chat),
        )
        await run.execute(host.chat, asked.chat)
    except ClientDisconnect:
        return
    except ShimError as error:
        await send_error(request.send, error, headers)
    if view is not None and stream is not None:
        await notify_interceptors(request.interceptors, view, stream.response)


async def _ask(request: Request) -> tuple[RequestView | None, Asked]:
    """The body, read and translated; with interceptors also the view that they left of it."""
    body, size = await read_json(request.scope, request.receive, request.settings.max_body)
    read, side = await offload_if_large(size, lambda: _read(request, body))
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
        asked = await offload_if_large(size, lambda: _translated(request, read, side))
    for name in unknown_fields(body):
        asked.report.dropped(name)
    if urls := await load_audio(asked.side, request.settings):
        asked.chat["messages"] = add_audio(asked.chat["messages"], urls)
    return view, asked


def _read(request: Request, body: Any) -> tuple[CreateRequest, GymOptions]:
    """The request, and what it says besides where NeMo Gym's keys are read."""
    read, side = read_gym_request(body) if request.settings.nemo_gym else (read_request(body), NO_OPTIONS)
    if read.return_token_ids is None and request.settings.return_token_ids:
        read.return_token_ids = True
    return read, side


def _translated(request: Request, read: CreateRequest, side: GymOptions) -> Asked:
    policy = replace(request.policy, replay_tokens=request.settings.nemo_gym or bool(read.return_token_ids))
    translation = to_chat(read, policy=policy)
    report = translation.report
    chat = request.profile.adapt(translation.chat, report)
    chat = apply_options(chat, side, policy, report)
    if request.keys.sealer is None:
        for place, included in enumerate(read.include or ()):
            if included == SEALED:
                report.dropped(f"include[{place}]")
    return Asked(read, side, translation.tools, chat, report)


def _options(request: Request, asked: Asked) -> ResponseOptions:
    """What the client asked for besides the answer, as far as it can be had here."""
    sealer = request.keys.sealer if SEALED in (asked.request.include or ()) else None
    options = asked.request.stream_options
    return ResponseOptions(
        logprobs=wants_logprobs(asked.request),
        summary=wants_summary(asked.request) or request.settings.nemo_gym,
        seal=(lambda text: sealer.seal(request.owners[0], text)) if sealer is not None else None,
        token_ids="return_token_ids" in asked.chat,
        obfuscate=noise if asked.request.stream and options is not None and options.include_obfuscation else None,
        empty_message=request.settings.nemo_gym,
        incomplete_on_overflow=request.settings.overflow == "incomplete",
    )


def _filters(request: Request, asked: Asked) -> list[Filter]:
    """The filters of one round: the host's own, log-probabilities, spans of thought left in the text."""
    settings = request.settings
    by_default = settings.nemo_gym and "think_tags" not in settings.model_fields_set
    tags = "anywhere" if by_default else settings.think_tags
    filters = [
        request.profile.filters(asked.chat),
        LogprobFilter() if wants_logprobs(asked.request) else None,
        ThinkTagFilter(tags) if tags != "off" else None,
    ]
    return [chunk_filter for chunk_filter in filters if chunk_filter is not None]


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
