"""`POST /v1/responses`: the request is translated, and a run makes the response."""

from __future__ import annotations

from functools import partial

from responses_shim.asgi.admission import Admission
from responses_shim.asgi.answer import answer_check, translator
from responses_shim.asgi.body import ClientDisconnect
from responses_shim.asgi.client_watch import ClientWatch, until_disconnect
from responses_shim.asgi.host_client import HostClient
from responses_shim.asgi.replies import send_error
from responses_shim.asgi.request import Request
from responses_shim.asgi.sinks import EventStreamSink, JSONSink
from responses_shim.asgi.translate import TranslatedRequest, report_header, translate
from responses_shim.errors import ShimError
from responses_shim.runtime.interceptors import notify_interceptors
from responses_shim.runtime.interfaces import RawHeaders, Sink
from responses_shim.runtime.run import Run
from responses_shim.views.request import RequestView


async def create(request: Request) -> None:
    """Answer `POST /v1/responses`, streamed or not."""
    host = HostClient(request.app, request.scope, request.prefix, request.profile)
    admission = Admission(request, host)
    outcome = await _translate_or_refuse(request, admission)
    if outcome is None:
        return
    view, translated = outcome
    headers = report_header(translated)
    run = _new_run(request, translated, host, headers, admission.headers)
    try:
        await run.execute(partial(host.chat, size=translated.size), translated.prepared.chat)
    except ShimError as error:
        await send_error(request.send, error, headers)
    if view is not None:
        await notify_interceptors(request.interceptors, view, translated.prepared.response)


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
            await send_error(request.send, first, admission.headers)
            return None
    return None  # the client has left, which ends the block


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
    return Run(
        translator(request, translated, sink, hold_answers=check is not None),
        sink,
        request.settings,
        disconnected=partial(until_disconnect, request.receive),
        unfinished_message=request.profile.unfinished_message,
        headers=probed,
        prompt_tokens=partial(host.prompt_tokens, size=translated.size),
        answer_check=check,
    )
