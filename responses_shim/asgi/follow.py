"""The events of a response that runs in the background, read from its log and sent as an event stream."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import anyio

from responses_shim.asgi.client_watch import ClientWatch
from responses_shim.asgi.request import Request
from responses_shim.asgi.sinks import EVENT_STREAM
from responses_shim.core.wire.sse import COMMENT, DONE
from responses_shim.core.wire.validation import quoted
from responses_shim.errors import InvalidRequest
from responses_shim.runtime.interfaces import RawHeaders
from responses_shim.stores.base import END_OF_LOG, Record, Store


@dataclass(frozen=True)
class Following:
    """The answer to who follows a response: its events behind number `after`."""

    record: Record
    after: int


async def check_cursor(store: Store, record: Record, after: int) -> None:
    """Raise InvalidRequest if events behind `after` are no longer kept."""
    read = await store.read(record.owner, record.id, "events", after=END_OF_LOG, wait=0)
    if read is not None and after + 1 < read.first:
        raise InvalidRequest(
            f"The events of {quoted(record.id)} before number {read.first} are not kept any more; get it without "
            "'stream'.",
            param="starting_after",
            code="invalid_value",
        )


async def follow(request: Request, following: Following, headers: RawHeaders) -> None:
    """Send the events behind a number, and then those that come, until the response has ended.

    Silences are filled with comments: a repeated `response.in_progress` would tell a client to begin anew. A client
    that leaves, or does not read for `write_timeout`, ends nothing but this (see `runtime.live_log`).
    """
    record, after = following.record, following.after
    with ClientWatch(request.receive) as watch, suppress(OSError):
        watch.start()
        await _send(request, {"type": "http.response.start", "status": 200, "headers": [*headers, *EVENT_STREAM]})
        with request.runs.live_logs.following(record.owner, record.id, request.settings.ping_interval) as log:
            while (piece := await log.read(after)) is not None:
                if after + 1 < piece.first:
                    return  # What comes next has been dropped, so slow is the client. That the answer is cut shows it.
                after = piece.last
                await _send_body(request, piece.frames or COMMENT, more=True)
        await _send_body(request, DONE, more=False)


async def _send_body(request: Request, body: bytes, *, more: bool) -> None:
    await _send(request, {"type": "http.response.body", "body": body, "more_body": more})


async def _send(request: Request, message: dict[str, object]) -> None:
    with anyio.move_on_after(request.settings.write_timeout) as scope:
        await request.send(message)
    if scope.cancelled_caught:
        raise OSError("the client does not read")
