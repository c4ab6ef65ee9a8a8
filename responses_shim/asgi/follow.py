"""The events of a response that runs in the background, read from its log and sent as an event stream."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import anyio

from responses_shim.asgi.client_watch import ClientWatch
from responses_shim.asgi.request import Request
from responses_shim.asgi.sinks import EVENT_STREAM
from responses_shim.core.wire.sse import COMMENT, DONE, sse_framing
from responses_shim.core.wire.validation import quoted
from responses_shim.errors import InvalidRequest
from responses_shim.runtime.background import RETRY_SECONDS
from responses_shim.runtime.interfaces import RawHeaders
from responses_shim.stores.base import Entries, Record, Store, StoreUnavailable


@dataclass(frozen=True)
class Following:
    """The answer to who follows a response: its events behind number `after`."""

    record: Record
    after: int


_TYPE = b'{"type":"'


async def check_cursor(store: Store, record: Record, after: int) -> None:
    """Raise InvalidRequest if events behind `after` are no longer kept."""
    read = await store.read(record.owner, record.id, "events", after=after, wait=0)
    if read is not None and after + 1 < read.first:
        raise InvalidRequest(
            f"The events of {quoted(record.id)} before number {read.first} are not kept any more; get it without "
            "'stream'.",
            param="starting_after",
            code="invalid_value",
        )


async def follow(request: Request, store: Store, following: Following, headers: RawHeaders) -> None:
    """Send the events behind a number, and then each one as it comes, until the response has ended.

    Silences are filled with comments: a repeated `response.in_progress` would tell a client to begin anew. A client
    that leaves, or does not read for `write_timeout`, ends nothing but this.
    """
    record, after = following.record, following.after
    with ClientWatch(request.receive) as watch, suppress(OSError):
        watch.start()
        await _send(request, {"type": "http.response.start", "status": 200, "headers": [*headers, *EVENT_STREAM]})
        while True:
            read = await _read(request, store, record, after)
            if read is not None and after + 1 < read.first:
                return  # What comes next has been dropped, so slow is the client. That the answer is cut shows it.
            if read is not None and read.entries:
                after = read.entries[-1][0]
                await _send_body(request, b"".join([_framed(data) for _, data in read.entries]), more=True)
            elif read is None or read.ended:
                break
            else:
                await _send_body(request, COMMENT, more=True)
        await _send_body(request, DONE, more=False)


async def _read(request: Request, store: Store, record: Record, after: int) -> Entries | None:
    """The next events; nothing new if the store is away for a moment."""
    try:
        return await store.read(record.owner, record.id, "events", after=after, wait=request.settings.ping_interval)
    except StoreUnavailable:
        await anyio.sleep(RETRY_SECONDS)
        return Entries([], ended=False)


def _framed(data: bytes) -> bytes:
    """An event of the log as a frame: its JSON begins with its type."""
    before, after = sse_framing(data[len(_TYPE) : data.index(b'"', len(_TYPE))].decode())
    return before + data + after


async def _send_body(request: Request, body: bytes, *, more: bool) -> None:
    await _send(request, {"type": "http.response.body", "body": body, "more_body": more})


async def _send(request: Request, message: dict[str, object]) -> None:
    with anyio.move_on_after(request.settings.write_timeout) as scope:
        await request.send(message)
    if scope.cancelled_caught:
        raise OSError("the client does not read")
