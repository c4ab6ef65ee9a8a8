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
from responses_shim.asgi.host_client import HostClient
from responses_shim.asgi.replies import send_error
from responses_shim.asgi.request import Request
from responses_shim.asgi.sinks import EventStreamSink, JSONSink
from responses_shim.core.items.reasoning import ReasoningDisplay
from responses_shim.core.request.params import ENCRYPTED_REASONING, wants_logprobs, wants_summary
from responses_shim.core.request.parse import parse_request
from responses_shim.core.request.prepare import PreparedRequest, prepare
from responses_shim.core.request.unread import unread_fields
from responses_shim.core.response.filters import Filter
from responses_shim.core.response.logprobs import LogprobFilter
from responses_shim.core.response.options import ResponseOptions
from responses_shim.core.response.stream import ResponseStream
from responses_shim.core.response.think_tags import ThinkTagFilter
from responses_shim.core.response.translator import Translator
from responses_shim.core.wire.requests import CreateRequest
from responses_shim.core.wire.responses import Response
from responses_shim.core.wire.tokens import Tokens
from responses_shim.errors import ShimError
from responses_shim.extensions.nemo_gym import (
    NO_OPTIONS,
    GymOptions,
    add_audio,
    apply_options,
    load_audio,
    read_gym_request,
)
from responses_shim.hosts.profile import Chat
from responses_shim.runtime.files import read_files
from responses_shim.runtime.ids import Ids
from responses_shim.runtime.interceptors import intercept, notify_interceptors
from responses_shim.runtime.interfaces import RawHeaders, Sink
from responses_shim.runtime.offload import offload_if_large
from responses_shim.runtime.run import Run
from responses_shim.views.request import RequestView


@dataclass
class TranslatedRequest:
    """A client's request, parsed, and prepared for the host.

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
    response: Response | None = None
    try:
        sent, size = await read_json(request.scope, request.receive, request.settings.max_body)
        body = _with_default_model(request, sent)
        parsed, gym = await offload_if_large(size, partial(_parse, request, body))
        if isinstance(parsed.input, list):
            parsed.input = await read_files(parsed.input, request.settings)
        if request.interceptors:
            body["input"] = parsed.input
            view, translated = await _intercept(request, body, size)
        else:
            translated = await offload_if_large(size, partial(_prepare, request, body, parsed, gym))
        await _add_audio(request, translated)
        if body is not sent:
            translated.prepared.report.defaulted("model")
        headers = _report_header(translated)
        run = _new_run(request, translated, host, headers)
        chat, response = translated.prepared.chat, translated.prepared.response
        # A stream may be open for long, and keeps only what it needs.
        del sent, body, parsed, gym, translated
        await run.execute(host.chat, chat)
    except ClientDisconnect:
        return
    except ShimError as error:
        await send_error(request.send, error, headers, timeout=request.settings.write_timeout)
    if view is not None and response is not None:
        await notify_interceptors(request.interceptors, view, response)


def _with_default_model(request: Request, body: Any) -> Any:
    """The body with the operator's `default_model`, if it has no model itself and there is one."""
    default = request.settings.default_model
    return {**body, "model": default} if default and isinstance(body, dict) and not body.get("model") else body


def _parse(request: Request, body: Any) -> tuple[CreateRequest, GymOptions]:
    """The checked request and, where the operator has NeMo Gym's keys read, what they ask for."""
    parsed, gym = read_gym_request(body) if request.settings.nemo_gym else (parse_request(body), NO_OPTIONS)
    if parsed.return_token_ids is None and request.settings.return_token_ids:
        parsed.return_token_ids = True
    return parsed, gym


async def _intercept(request: Request, body: dict[str, Any], size: int) -> tuple[RequestView, TranslatedRequest]:
    """Show the request to the interceptors, and prepare what they leave of it."""
    return await intercept(
        request.interceptors,
        body,
        request.scope["headers"],
        lambda body: _prepare(request, body, *_parse(request, body)),
        size,
    )


def _prepare(request: Request, body: dict[str, Any], parsed: CreateRequest, gym: GymOptions) -> TranslatedRequest:
    """Translate a request into the chat request of this host, and report what of its body nobody reads."""
    ids = Ids()
    replay_tokens = request.settings.nemo_gym or bool(parsed.return_token_ids)
    options = replace(request.translation_options, replay_tokens=replay_tokens)
    prepared = prepare(parsed, options=options, response_id=ids.response, created_at=_now())
    report = prepared.report
    prepared.chat = apply_options(request.profile.adapt(prepared.chat, report), gym, options, report)
    if request.settings.reasoning_display == "text" and parsed.reasoning is not None and wants_summary(parsed):
        name = "generate_summary" if parsed.reasoning.summary is None else "summary"
        report.dropped(f"reasoning.{name}")
    if request.keys.sealer is None:
        for index, included in enumerate(parsed.include or ()):
            if included == ENCRYPTED_REASONING:
                report.dropped(f"include[{index}]")
    for path in unread_fields(body, Tokens.__struct_fields__ if replay_tokens else ()):
        report.dropped(path)
    return TranslatedRequest(ids, parsed, gym, prepared)


async def _add_audio(request: Request, translated: TranslatedRequest) -> None:
    """Put the audio files that NeMo Gym's keys name into the chat request."""
    if urls := await load_audio(translated.gym, request.settings):
        chat = translated.prepared.chat
        chat["messages"] = add_audio(chat["messages"], urls)


def _report_header(translated: TranslatedRequest) -> RawHeaders:
    """`Responses-Shim-Report`, if there is anything to report."""
    report = translated.prepared.report.header()
    return [(b"responses-shim-report", report.encode("ascii"))] if report else []


def _new_run(request: Request, translated: TranslatedRequest, host: HostClient, headers: RawHeaders) -> Run:
    """The run that makes the response; `headers` are the shim's own."""
    sink: Sink = (EventStreamSink if translated.request.stream else JSONSink)(request.send, headers)
    stream = ResponseStream(
        translated.prepared.response,
        new_id=translated.ids.new,
        now=_now,
        tools=translated.prepared.tools,
        options=_response_options(request, translated),
    )
    filters = partial(_filters, request, translated.prepared.chat, wants_logprobs(translated.request))
    return Run(
        Translator(stream, filters=filters, framing=sink.framing),
        sink,
        request.settings,
        disconnected=partial(_disconnected, request.receive),
        unfinished_message=request.profile.unfinished_message,
        prompt_tokens=partial(host.prompt_tokens, translated.prepared.chat),
    )


def _response_options(request: Request, translated: TranslatedRequest) -> ResponseOptions:
    """The options of the response: what the client asked for, as far as this server can give it."""
    parsed, settings = translated.request, request.settings
    sealer = request.keys.sealer if ENCRYPTED_REASONING in (parsed.include or ()) else None
    obfuscates = parsed.stream and parsed.stream_options is not None and parsed.stream_options.include_obfuscation
    return ResponseOptions(
        logprobs=wants_logprobs(parsed),
        reasoning=_reasoning_display(request, parsed),
        seal=(lambda text: sealer.seal(request.owners[0], text)) if sealer is not None else None,
        token_ids="return_token_ids" in translated.prepared.chat,
        obfuscate=random_text if obfuscates else None,
        empty_message=settings.nemo_gym,
        incomplete_on_overflow=settings.overflow == "incomplete",
    )


def _reasoning_display(request: Request, parsed: CreateRequest) -> ReasoningDisplay:
    """How reasoning is shown: as the operator has set it, else as the client asks."""
    settings = request.settings
    if settings.reasoning_display != "auto":
        return settings.reasoning_display
    return "summary" if wants_summary(parsed) or settings.nemo_gym else "text"


def _filters(request: Request, chat: Chat, logprobs: bool) -> list[Filter]:
    """The filters of one round: the host's own, log-probabilities, `<think>` spans left in the text."""
    settings = request.settings
    gym_default = settings.nemo_gym and "think_tags" not in settings.model_fields_set
    tags = "anywhere" if gym_default else settings.think_tags
    filters = [
        request.profile.make_filter(chat),
        LogprobFilter() if logprobs else None,
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
    """`size` random characters that JSON does not escape."""
    return secrets.token_hex((size + 1) // 2)[:size]
