"""`POST /v1/responses`: the request is translated, and a run makes the response."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from functools import partial

from responses_shim.asgi.admission import Admission
from responses_shim.asgi.answer import answer_check, next_round, translator
from responses_shim.asgi.body import ClientDisconnect
from responses_shim.asgi.client_watch import ClientWatch, until_disconnect
from responses_shim.asgi.follow import Following, follow
from responses_shim.asgi.host_client import HostClient
from responses_shim.asgi.replies import send_error, send_json
from responses_shim.asgi.request import Request
from responses_shim.asgi.sinks import EventStreamSink, JSONSink
from responses_shim.asgi.translate import TranslatedRequest, report_header, translate
from responses_shim.core.wire.report import Report
from responses_shim.core.wire.stored import with_output
from responses_shim.errors import ShimError
from responses_shim.hosts.profile import Chat
from responses_shim.runtime.background import LogSink, until_ended
from responses_shim.runtime.history import Turn
from responses_shim.runtime.interceptors import notify_interceptors
from responses_shim.runtime.interfaces import RawHeaders, Sink, Upstream
from responses_shim.runtime.run import Run
from responses_shim.runtime.tool_outputs import kept_while_running
from responses_shim.stores.base import RUNNING
from responses_shim.views.request import RequestView


async def create(request: Request) -> None:
    """Answer `POST /v1/responses`, streamed or not."""
    host = HostClient(request.app, request.scope, request.prefix, request.profile, request.settings.max_retries)
    admission = Admission(request, host)
    outcome = await _translate_or_refuse(request, admission)
    if outcome is None:
        return
    view, translated = outcome
    headers = report_header(translated.prepared.report)
    turn = translated.turn
    if translated.request.background and turn is not None:
        await _start_in_background(request, translated, turn, host, [*admission.headers, *headers], view)
        return
    try:
        run = _new_run(request, translated, host, headers, admission.headers)
        response, waiting = translated.prepared.response, translated.waiting
        upstream, chats = _upstream(host, translated, headers), [translated.prepared.chat]
        del outcome, translated, admission  # a stream may be open for long, and keeps only what it needs
        try:
            async with kept_while_running(waiting, response) if waiting is not None else nullcontext():
                await run.execute(upstream, chats.pop())
        except ShimError as error:
            await send_error(request.send, error, headers, timeout=request.settings.write_timeout)
        if view is not None:
            await notify_interceptors(request.interceptors, view, response)
    finally:
        if turn is not None:
            await turn.release()


async def _translate_or_refuse(
    request: Request, admission: Admission
) -> tuple[RequestView | None, TranslatedRequest] | None:
    """`translate`; None if the request has been answered by an error, or the client has left."""
    with ClientWatch(request.receive) as watch:
        try:
            return await translate(request, admission, watch)
        except ClientDisconnect:
            return None
        except ShimError as error:
            first = await admission.first(error)
            await send_error(request.send, first, admission.headers, timeout=request.settings.write_timeout)
            return None
    return None  # the client has left, which ends the block


def _upstream(host: HostClient, translated: TranslatedRequest, headers: RawHeaders) -> Upstream:
    """The chat calls of a response, each of which is as large as the rounds before it have made it.

    It keeps the translated request only if there may be such rounds: a stream may be open for long. `headers` are those
    of the answer, which say how often a call was made again.
    """
    on_retry = partial(_report_retry, translated.prepared.report, headers)
    if translated.waiting is None:
        return partial(host.chat, size=translated.size, on_retry=on_retry)
    return lambda chat, listener: host.chat(chat, listener, translated.chat_size, on_retry)


def _report_retry(report: Report, headers: RawHeaders) -> None:
    report.retried()
    headers[:] = report_header(report)


def _prompt_tokens(
    host: HostClient, translated: TranslatedRequest
) -> Callable[[Chat], Awaitable[list[int] | None]] | None:
    """What gets the token ids of a chat's prompt, of any size as `_upstream`; None if nobody wants them."""
    if "return_token_ids" not in translated.prepared.chat:
        return None
    if translated.waiting is None:
        return partial(host.prompt_tokens, size=translated.size)
    return lambda chat: host.prompt_tokens(chat, translated.chat_size)


def _new_run(
    request: Request,
    translated: TranslatedRequest,
    host: HostClient,
    headers: RawHeaders,
    probed: RawHeaders,
) -> Run:
    """The run that makes the response.

    `headers` are the shim's own. `probed` are those of the host's answer to a probe, for a stream that begins before
    the chat call is answered.
    """
    check = answer_check(translated, headers)
    sink: Sink = (EventStreamSink if translated.request.stream else JSONSink)(request.send, headers)
    frames_of = translator(request, translated, sink, hold_answers=check is not None)
    return Run(
        frames_of,
        sink,
        request.settings,
        disconnected=partial(until_disconnect, request.receive),
        unfinished_message=request.profile.unfinished_message,
        headers=probed,
        prompt_tokens=_prompt_tokens(host, translated),
        next_round=next_round(request, translated, frames_of),
        answer_check=check,
        save=translated.turn.save if translated.turn is not None else None,
    )


async def _start_in_background(
    request: Request,
    translated: TranslatedRequest,
    turn: Turn,
    host: HostClient,
    headers: RawHeaders,
    view: RequestView | None,
) -> None:
    """Keep the response as `queued`, start its run, and answer with it, or with its events as they come."""
    store, response, chat = turn.store.store, translated.prepared.response, translated.prepared.chat
    sink = LogSink(turn, response.id)
    check = answer_check(translated, headers)
    frames_of = translator(request, translated, sink, hold_answers=check is not None)
    run = Run(
        frames_of,
        sink,
        request.settings.model_copy(update={"ping": "off"}),  # followers fill silences themselves
        disconnected=partial(until_ended, store, turn.owner, response.id, secrets.token_hex(8)),
        unfinished_message=request.profile.unfinished_message,
        prompt_tokens=_prompt_tokens(host, translated),
        next_round=next_round(request, translated, frames_of),
        answer_check=check,
        starts_at_once=True,
    )
    upstream, chats = _upstream(host, translated, []), [chat]
    del chat

    async def execute() -> None:
        try:
            await run.execute(upstream, chats.pop())
        finally:
            await turn.release()
        if view is not None:
            await notify_interceptors(request.interceptors, view, response)

    try:
        frames = frames_of.enqueue()
        if frames_of.error is not None:
            raise frames_of.error
        record = await turn.add(response)
        await store.change(record.owner, record.id, among=RUNNING, events=frames)
    except BaseException as error:
        await turn.release()
        if not isinstance(error, ShimError):
            raise
        await send_error(request.send, error, headers, timeout=request.settings.write_timeout)
        return
    request.runs.start(record.owner, record.id, execute)
    if translated.request.stream:
        await follow(request, Following(record, -1), headers)
    else:
        with suppress(OSError):  # the client has left; the response goes on
            await send_json(request.send, 200, with_output(record.data, [], record.status), headers)
