"""`POST /v1/responses`: the steps from a body to a run, in their order."""

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
from responses_shim.core.request.params import ENCRYPTED_REASONING, wants_logprobs, wants_summary
from responses_shim.core.request.parse import parse_request, unknown_fields
from responses_shim.core.request.prepare import PreparedRequest, prepare
from responses_shim.core.response.filters import Filter
from responses_shim.core.response.logprobs import LogprobFilter
from responses_shim.core.response.options import ResponseOptions
from responses_shim.core.response.stream import ResponseStream
from responses_shim.core.response.think_tags import ThinkTagFilter
from responses_shim.core.response.translator import Translator
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
from responses_shim.runtime.ids import Ids
from responses_shim.runtime.interceptors import intercept, notify_interceptors
from responses_shim.runtime.interfaces import Sink
from responses_shim.runtime.offload import offload_if_large
from responses_shim.runtime.run import Run
from responses_shim.views.request import RequestView


@dataclass
class Turn:
    """One request of a client on its way to the host: as it was parsed, and prepared for the host.

    `ids` gives the ids of the response and of its items; `gym` is what NeMo Gym's keys in `metadata` ask for.
    """

    ids: Ids
    request: CreateRequest
    gym: GymOptions
    prepared: PreparedRequest


async def create(request: Request) -> None:
    """Answer `POST /v1/responses`, streamed or not."""
    host = HostClient(request.app, request.scope, request.prefix, request.profile)
    headers: RawHeaders = []
    view: RequestView | None = None
    turn: Turn | None = None
    try:
        body, size = await read_json(request.scope, request.receive, request.settings.max_body)
        parsed, gym = await offload_if_large(size, partial(_parse, request, body))
        if isinstance(parsed.input, list):
            parsed.input = await read_files(parsed.input, request.settings)
        if request.interceptors:
            body["input"] = parsed.input
            view, turn = await _intercept(request, body, size)
        else:
            turn = await offload_if_large(size, partial(_prepare, request, parsed, gym))
        await _finish_chat(request, turn, body)
        headers = _report_header(turn)
        run = _new_run(request, turn, host, headers)
        await run.execute(host.chat, turn.prepared.chat)
    except ClientDisconnect:
        return
    except ShimError as error:
        await send_error(request.send, error, headers)
    if view is not None and turn is not None:
        await notify_interceptors(request.interceptors, view, turn.prepared.response)


def _parse(request: Request, body: Any) -> tuple[CreateRequest, GymOptions]:
    """The checked request and, where the operator has NeMo Gym's keys read, what they ask for."""
    parsed, gym = read_gym_request(body) if request.settings.nemo_gym else (parse_request(body), NO_OPTIONS)
    if parsed.return_token_ids is None and request.settings.return_token_ids:
        parsed.return_token_ids = True
    return parsed, gym


async def _intercept(request: Request, body: dict[str, Any], size: int) -> tuple[RequestView, Turn]:
    """Show the request to the interceptors, and prepare what they leave of it."""
    return await intercept(
        request.interceptors,
        body,
        request.scope["headers"],
        lambda body: _prepare(request, *_parse(request, body)),
        size,
    )


def _prepare(request: Request, parsed: CreateRequest, gym: GymOptions) -> Turn:
    """Translate a request into the chat request of this host."""
    ids = Ids()
    replay_tokens = request.settings.nemo_gym or bool(parsed.return_token_ids)
    options = replace(request.translation_options, replay_tokens=replay_tokens)
    prepared = prepare(parsed, options=options, response_id=ids.response, created_at=_now())
    report = prepared.report
    prepared.chat = apply_options(request.profile.adapt(prepared.chat, report), gym, options, report)
    if request.keys.sealer is None:
        for index, included in enumerate(parsed.include or ()):
            if included == ENCRYPTED_REASONING:
                report.dropped(f"include[{index}]")
    return Turn(ids, parsed, gym, prepared)


async def _finish_chat(request: Request, turn: Turn, body: dict[str, Any]) -> None:
    """What is left to do for the chat request: unknown fields are reported, audio files are read."""
    for name in unknown_fields(body):
        turn.prepared.report.dropped(name)
    if urls := await load_audio(turn.gym, request.settings):
        chat = turn.prepared.chat
        chat["messages"] = add_audio(chat["messages"], urls)


def _report_header(turn: Turn) -> RawHeaders:
    """`Responses-Shim-Report`, if there is anything to report."""
    report = turn.prepared.report.header()
    return [(b"responses-shim-report", report.encode("ascii"))] if report else []


def _new_run(request: Request, turn: Turn, host: HostClient, headers: RawHeaders) -> Run:
    """The run that makes the response; `headers` are those of the shim's own."""
    sink: Sink = (EventStreamSink if turn.request.stream else JSONSink)(request.send, headers)
    stream = ResponseStream(
        turn.prepared.response,
        new_id=turn.ids.new,
        now=_now,
        tools=turn.prepared.tools,
        options=_response_options(request, turn),
    )
    return Run(
        Translator(stream, filters=partial(_filters, request, turn), framing=sink.framing),
        sink,
        request.settings,
        disconnected=partial(_disconnected, request.receive),
        unfinished=request.profile.unfinished,
        prompt_tokens=partial(host.prompt_tokens, turn.prepared.chat),
    )


def _response_options(request: Request, turn: Turn) -> ResponseOptions:
    """What the client asked for besides the answer, as far as it can be had here."""
    asked, settings = turn.request, request.settings
    sealer = request.keys.sealer if ENCRYPTED_REASONING in (asked.include or ()) else None
    obfuscates = asked.stream and asked.stream_options is not None and asked.stream_options.include_obfuscation
    return ResponseOptions(
        logprobs=wants_logprobs(asked),
        summary=wants_summary(asked) or settings.nemo_gym,
        seal=(lambda text: sealer.seal(request.owners[0], text)) if sealer is not None else None,
        token_ids="return_token_ids" in turn.prepared.chat,
        obfuscate=random_text if obfuscates else None,
        empty_message=settings.nemo_gym,
        incomplete_on_overflow=settings.overflow == "incomplete",
    )


def _filters(request: Request, turn: Turn) -> list[Filter]:
    """The filters of one round: the host's own, log-probabilities, `<think>` spans left in the text."""
    settings = request.settings
    by_default = settings.nemo_gym and "think_tags" not in settings.model_fields_set
    tags = "anywhere" if by_default else settings.think_tags
    filters = [
        request.profile.filters(turn.prepared.chat),
        LogprobFilter() if wants_logprobs(turn.request) else None,
        ThinkTagFilter(tags) if tags != "off" else None,
    ]
    return [chunk_filter for chunk_filter in filters if chunk_filter is not None]


async def _disconnected(receive: Receive) -> None:
    """Wait until the server says that the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _now() -> int:
    """Unix seconds."""
    return int(time.time())


def random_text(size: int) -> str:
    """So many random characters, none of which JSON escapes."""
    return secrets.token_hex((size + 1) // 2)[:size]
