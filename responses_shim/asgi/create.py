"""`POST /v1/responses`: the steps from a body to a run, in their order."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from msgspec import UNSET

from responses_shim.asgi.admission import Admission
from responses_shim.asgi.body import ClientDisconnect, read_json
from responses_shim.asgi.client_watch import ClientWatch, until_disconnect
from responses_shim.asgi.follow import Following, follow
from responses_shim.asgi.host_client import HostClient
from responses_shim.asgi.replies import send_error, send_json
from responses_shim.asgi.request import Request
from responses_shim.asgi.sinks import EventStreamSink, JSONSink
from responses_shim.core.items.reasoning import ReasoningDisplay
from responses_shim.core.request.messages import Item
from responses_shim.core.request.params import ENCRYPTED_REASONING, wants_logprobs, wants_summary
from responses_shim.core.request.parse import parse_request, refuse_state
from responses_shim.core.request.prepare import PreparedRequest, prepare
from responses_shim.core.request.tool_outputs import next_round_request
from responses_shim.core.request.unread import unread_fields
from responses_shim.core.response.filters import Filter
from responses_shim.core.response.logprobs import LogprobFilter
from responses_shim.core.response.options import ResponseOptions
from responses_shim.core.response.stream import ResponseStream
from responses_shim.core.response.think_tags import ThinkTagFilter
from responses_shim.core.response.translator import Translator
from responses_shim.core.wire.requests import CreateRequest
from responses_shim.core.wire.stored import with_output
from responses_shim.core.wire.tokens import Tokens
from responses_shim.core.wire.validation import unsupported
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
from responses_shim.runtime.background import LogSink, until_ended
from responses_shim.runtime.files import read_files
from responses_shim.runtime.history import Turn, open_turn, uses_store
from responses_shim.runtime.ids import Ids
from responses_shim.runtime.interceptors import intercept, notify_interceptors
from responses_shim.runtime.interfaces import RawHeaders, Sink
from responses_shim.runtime.offload import offload_if_large
from responses_shim.runtime.run import NextRound, Run, last_round
from responses_shim.runtime.tool_outputs import ToolRounds, kept_while_running
from responses_shim.stores.base import RUNNING, StoreUnavailable
from responses_shim.views.request import RequestView


@dataclass
class TranslatedRequest:
    """A client's request, parsed, and prepared for the host.

    `ids` gives the ids of the response and of its items; `gym` is what NeMo Gym's keys in `metadata` ask for; `turn` is
    what it continues, and None where nothing is stored.
    """

    ids: Ids
    request: CreateRequest
    gym: GymOptions
    prepared: PreparedRequest
    turn: Turn | None

    @property
    def waiting(self) -> Turn | None:
        """The turn, if the response waits for the outputs of its calls."""
        return self.turn if self.prepared.response.tool_outputs is not UNSET else None


async def create(request: Request) -> None:
    """Answer `POST /v1/responses`, streamed or not."""
    async with AsyncExitStack() as turns:
        await _create(request, turns)


async def _create(request: Request, turns: AsyncExitStack) -> None:
    """Answer a create request. What it continues is open until `turns` are closed."""
    host = HostClient(request.app, request.scope, request.prefix, request.profile)
    admission = Admission(request, host)
    outcome: tuple[RequestView | None, TranslatedRequest] | None = None
    with ClientWatch(request.receive) as watch:
        try:
            outcome = await _translate(request, admission, watch, turns)
        except ClientDisconnect:
            return
        except ShimError as error:
            error = await admission.first(error)
            await send_error(request.send, error, admission.headers)
            return
    if outcome is None:
        return  # the client has left
    view, translated = outcome
    headers = _report_header(translated)
    if translated.request.background and translated.turn is not None:
        await _start_in_background(request, translated, host, [*admission.headers, *headers], view, turns)
        return
    sink: Sink = (EventStreamSink if translated.request.stream else JSONSink)(request.send, headers)
    translator = _translator(request, translated, sink)
    response, turn = translated.prepared.response, translated.waiting
    run = Run(
        translator,
        sink,
        request.settings,
        disconnected=partial(until_disconnect, request.receive),
        unfinished_message=request.profile.unfinished_message,
        headers=admission.headers,  # for a stream that begins before the chat call is answered
        prompt_tokens=lambda: host.prompt_tokens(translated.prepared.chat),
        next_round=_next_round(request, translated, translator),
        save=translated.turn.save if translated.turn is not None else None,
    )
    try:
        async with kept_while_running(turn, response) if turn is not None else nullcontext():
            await run.execute(host.chat, translated.prepared.chat)
    except ShimError as error:
        await send_error(request.send, error, headers)
    if view is not None:
        await notify_interceptors(request.interceptors, view, response)


async def _start_in_background(
    request: Request,
    translated: TranslatedRequest,
    host: HostClient,
    headers: RawHeaders,
    view: RequestView | None,
    turns: AsyncExitStack,
) -> None:
    """Keep the response as `queued`, start its run, and answer with it, or with its events as they come."""
    turn, response, chat = translated.turn, translated.prepared.response, translated.prepared.chat
    assert turn is not None
    store = turn.store.store
    sink = LogSink(store, turn.owner, response.id, turn.add_to_conversation, turn.unsaved_output)
    translator = _translator(request, translated, sink)
    run = Run(
        translator,
        sink,
        request.settings.model_copy(update={"ping": "off"}),  # followers fill silences themselves
        disconnected=partial(until_ended, store, turn.owner, response.id, secrets.token_hex(8)),
        unfinished_message=request.profile.unfinished_message,
        prompt_tokens=lambda: host.prompt_tokens(translated.prepared.chat),
        next_round=_next_round(request, translated, translator),
        starts_at_once=True,
    )
    opened = turns.pop_all()

    async def execute() -> None:
        async with opened:
            await run.execute(host.chat, chat)
        if view is not None:
            await notify_interceptors(request.interceptors, view, response)

    try:
        frames = translator.enqueue()
        record = await turn.add(response)
        await store.change(record.owner, record.id, among=RUNNING, events=frames)
    except ShimError as error:
        await opened.aclose()
        await send_error(request.send, error, headers)
        return
    request.runs.start(record.owner, record.id, execute)
    if translated.request.stream:
        await follow(request, store, Following(record, -1), headers)
    else:
        await send_json(request.send, 200, with_output(record.data, [], record.status), headers)


async def _translate(
    request: Request, admission: Admission, watch: ClientWatch, turns: AsyncExitStack
) -> tuple[RequestView | None, TranslatedRequest]:
    """Read the request and translate it, and show it to the interceptors, if there are any.

    Whatever takes long is done only if the host lets the client in, and only as long as the client is there.
    """

    async def admit() -> None:
        watch.start()
        await admission.ask()

    sent, size = await read_json(request.scope, request.receive, request.settings.max_body, admission.ask)
    if admission.asked:
        watch.start()
    body = _with_default_model(request, sent)
    parsed, gym = await offload_if_large(size, partial(_parse, request, body))
    if isinstance(parsed.input, list):
        parsed.input = await read_files(
            parsed.input, request.settings, queues=request.file_queues, owner=lambda: request.owners[0], admit=admit
        )
    turn = await _open_turn(request, parsed, admit, turns)
    size += turn.size if turn is not None else 0
    view: RequestView | None = None
    if request.interceptors:
        await admit()
        body["input"] = parsed.input
        view, translated = await _intercept(request, body, turn, size)
    else:
        translated = await offload_if_large(size, partial(_prepare, request, body, turn, parsed, gym))
    if translated.gym.audio_paths():
        await admit()
    await _add_audio(request, translated)
    if body is not sent and translated.request.model == request.settings.default_model:
        translated.prepared.report.defaulted("model")
    await watch.stop()
    return view, translated


async def _open_turn(
    request: Request, parsed: CreateRequest, admit: Callable[[], Awaitable[None]], turns: AsyncExitStack
) -> Turn | None:
    """What the request continues; None where nothing is stored."""
    if request.state is None:
        refuse_state(parsed)
        return None
    if parsed.background and not request.runs.accepting:
        raise unsupported(
            "background",
            "'background': the server has not told this middleware that it has started (ASGI lifespan); use "
            "'async with shim.running()', or leave it out.",
        )
    if uses_store(parsed):
        await admit()
    try:
        store = await request.client_store()
    except StoreUnavailable:
        if parsed.store or uses_store(parsed):
            raise
        return None
    return await turns.enter_async_context(open_turn(store, parsed))


def _with_default_model(request: Request, body: Any) -> Any:
    """The body with the operator's `default_model`, if it has no model itself and there is one."""
    default = request.settings.default_model
    return {**body, "model": default} if default and isinstance(body, dict) and not body.get("model") else body


def _parse(request: Request, body: Any) -> tuple[CreateRequest, GymOptions]:
    """The checked request and, where the operator has NeMo Gym's keys read, what they ask for."""
    parsed, gym = read_gym_request(body) if request.settings.nemo_gym else (parse_request(body), NO_OPTIONS)
    if parsed.return_token_ids is None and request.settings.return_token_ids:
        parsed.return_token_ids = True
    if parsed.tool_outputs is None and parsed.tools and parsed.store is not False:
        parsed.tool_outputs = request.settings.tool_outputs
    return parsed, gym


async def _intercept(
    request: Request, body: dict[str, Any], turn: Turn | None, size: int
) -> tuple[RequestView, TranslatedRequest]:
    """Show the request to the interceptors, and translate what they leave of it."""
    return await intercept(
        request.interceptors,
        body,
        request.scope["headers"],
        lambda body: _prepare(request, body, turn, *_parse(request, body)),
        size,
    )


def _prepare(
    request: Request, body: dict[str, Any], turn: Turn | None, parsed: CreateRequest, gym: GymOptions
) -> TranslatedRequest:
    """Translate a request into the chat request of this host, and report what of its body nobody reads."""
    ids = Ids()
    prepared = _prepare_round(request, turn, parsed, gym, ids.response)
    report = prepared.report
    if request.settings.reasoning_display == "text" and parsed.reasoning is not None and wants_summary(parsed):
        name = "generate_summary" if parsed.reasoning.summary is None else "summary"
        report.dropped(f"reasoning.{name}")
    if request.keys.sealer is None:
        for index, included in enumerate(parsed.include or ()):
            if included == ENCRYPTED_REASONING:
                report.dropped(f"include[{index}]")
    replay_tokens = request.options_for(parsed).replay_tokens
    for path in unread_fields(body, Tokens.__struct_fields__ if replay_tokens else ()):
        report.dropped(path)
    if turn is not None:
        turn.begin(prepared.response, parsed, ids)
        prepared.response.background = bool(parsed.background)
        prepared.response.tool_outputs = "wait" if parsed.tool_outputs == "wait" else UNSET
    return TranslatedRequest(ids, parsed, gym, prepared, turn)


def _prepare_round(
    request: Request, turn: Turn | None, parsed: CreateRequest, gym: GymOptions, response_id: str
) -> PreparedRequest:
    """The chat request for one round on this host."""
    options = request.options_for(parsed)
    history = turn.history() if turn is not None else ()
    prepared = prepare(parsed, history=history, options=options, response_id=response_id, created_at=_now())
    report = prepared.report
    prepared.chat = apply_options(request.profile.adapt(prepared.chat, report), gym, options, report)
    return prepared


def _next_round(request: Request, translated: TranslatedRequest, translator: Translator) -> NextRound:
    """What follows a round: nothing, or another one if the response waits for the outputs of its calls."""
    turn, gym, id = translated.waiting, translated.gym, translated.ids.response
    if turn is None:
        return last_round

    async def next_chat(items: list[Item]) -> Chat:
        parsed = next_round_request(translated.request, items)
        prepared = await offload_if_large(turn.size, partial(_prepare_round, request, turn, parsed, gym, id))
        translator.set_tools(prepared.tools)
        translated.prepared.chat = prepared.chat
        await _add_audio(request, translated)
        return prepared.chat

    return ToolRounds(turn, id, translated.ids, next_chat, request.settings.tool_timeout).next_round


async def _add_audio(request: Request, translated: TranslatedRequest) -> None:
    """Put the audio files that NeMo Gym's keys name into the chat request."""
    if urls := await load_audio(translated.gym, request.settings):
        chat = translated.prepared.chat
        chat["messages"] = add_audio(chat["messages"], urls)


def _report_header(translated: TranslatedRequest) -> RawHeaders:
    """`Responses-Shim-Report`, if there is anything to report."""
    report = translated.prepared.report.header()
    return [(b"responses-shim-report", report.encode("ascii"))] if report else []


def _translator(request: Request, translated: TranslatedRequest, sink: Sink) -> Translator:
    """What makes the frames of the response for a sink."""
    stream = ResponseStream(
        translated.prepared.response,
        new_id=translated.ids.new,
        now=_now,
        tools=translated.prepared.tools,
        options=_response_options(request, translated),
    )
    return Translator(stream, filters=partial(_filters, request, translated), framing=sink.framing)


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


def _filters(request: Request, translated: TranslatedRequest) -> list[Filter]:
    """The filters of one round: the host's own, log-probabilities, `<think>` spans left in the text."""
    settings = request.settings
    gym_default = settings.nemo_gym and "think_tags" not in settings.model_fields_set
    tags = "anywhere" if gym_default else settings.think_tags
    filters = [
        request.profile.make_filter(translated.prepared.chat),
        LogprobFilter() if wants_logprobs(translated.request) else None,
        ThinkTagFilter(tags) if tags != "off" else None,
    ]
    return [chunk_filter for chunk_filter in filters if chunk_filter is not None]


def _now() -> int:
    """Unix seconds."""
    return int(time.time())


def random_text(size: int) -> str:
    """`size` random characters that JSON does not escape."""
    return secrets.token_hex((size + 1) // 2)[:size]
