"""Calls an ASGI app in this process and watches its answer, message by message.

`httpx.ASGITransport` runs an app to its end before it gives a byte, so it cannot show when a message was sent, nor what
happens when the client leaves. This caller stands in for the server: it takes each message as it is sent, can stop
taking them, and can hang up.

    async with call(app, "POST", "/v1/responses", json={...}) as exchange:
        await exchange.start()
        first = await exchange.next_event()
        await exchange.disconnect()

Every wait has a deadline (`TEST_DEADLINE`, in seconds, where five are too few). At the end of the block the client
hangs up and the app must end; what it raised is raised there.
"""

from __future__ import annotations

import asyncio
import json as jsonlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import anyio
import anyio.lowlevel
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Scope

DEADLINE = float(os.environ.get("TEST_DEADLINE", "5"))
"""Seconds that anything may take that is waited for."""
DONE = "[DONE]"

HeaderPairs = Mapping[str, str] | Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Event:
    """One server-sent event: its `event:` line, if any, and its data decoded, or the string `[DONE]`."""

    name: str | None
    data: Any

    @property
    def is_done(self) -> bool:
        return bool(self.data == DONE)


class EventReader:
    """Reads an event stream strictly: each event has at most one `event:` and one `data:` line, and a blank line."""

    def __init__(self) -> None:
        self.comments: list[str] = []
        self.rest = b""

    def feed(self, body: bytes) -> list[Event]:
        """The events that these bytes complete."""
        *blocks, self.rest = (self.rest + body).split(b"\n\n")
        return [event for block in blocks if (event := self._read(block.decode())) is not None]

    def _read(self, block: str) -> Event | None:
        fields: dict[str, str] = {}
        for line in block.split("\n"):
            name, colon, value = line.partition(":")
            assert colon, f"not a line of an event stream: {line!r}"
            if name:
                assert name not in fields, f"a second {name!r} line in {block!r}"
                fields[name] = value.removeprefix(" ")
            else:
                self.comments.append(value.strip())
        if not fields:
            return None
        assert fields.keys() <= {"event", "data"}, f"unexpected fields in {block!r}"
        data = DONE if fields["data"] == DONE else jsonlib.loads(fields["data"])
        declared = data.get("type") if isinstance(data, dict) else None
        assert fields.get("event") == declared, f"the event line is not the type of the data: {block!r}"
        return Event(fields.get("event"), data)


def parse_events(body: bytes) -> list[Event]:
    """The events of a complete stream; nothing may follow its last blank line."""
    reader = EventReader()
    events = reader.feed(body)
    assert not reader.rest, f"the stream ends inside an event: {reader.rest!r}"
    return events


def payloads(events: Sequence[Event]) -> list[dict[str, Any]]:
    """The data of the events without `[DONE]`, which must be the last and only there."""
    assert events, "the stream is empty"
    assert events[-1].is_done, f"the stream does not end with [DONE] but with {events[-1]}"
    assert not any(event.is_done for event in events[:-1]), "[DONE] before the end"
    return [event.data for event in events[:-1]]


@dataclass(frozen=True)
class Reply:
    """A complete answer."""

    status: int
    headers: Headers
    body: bytes

    @property
    def json(self) -> Any:
        return jsonlib.loads(self.body)

    @property
    def events(self) -> list[Event]:
        return parse_events(self.body)


class Exchange:
    """One request and its answer, as the server sees them."""

    def __init__(self, app: ASGIApp, scope: Scope, body: Sequence[bytes]) -> None:
        self.app = app
        self.scope = scope
        self.sent: list[Message] = []
        """Every message the app has sent, in order and undivided."""
        self.error: Exception | None = None
        """What the app raised."""
        self.violation: AssertionError | None = None
        """A message that a server would have refused."""
        self.ended = anyio.Event()
        """The app has returned or raised."""
        self._pending = [
            {"type": "http.request", "body": part, "more_body": more}
            for part, more in zip(body, [True] * (len(body) - 1) + [False], strict=True)
        ]
        self._reader = EventReader()
        self._events: list[Event] = []
        self._taken = 0
        self._changed = anyio.Event()
        self._may_send = anyio.Event()
        self._may_send.set()
        self._blocked = anyio.Event()
        self._disconnected = False
        self._broken = False

    # What the test sees ----------------------------------------------------------------------------------------------

    @property
    def status(self) -> int:
        return int(self._start["status"])

    @property
    def headers(self) -> Headers:
        return Headers(raw=list(self._start["headers"]))

    @property
    def body(self) -> bytes:
        """What has been sent of the body so far."""
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def complete(self) -> bool:
        """The final body message has been sent."""
        last = self.sent[-1] if self.sent else {"type": "nothing"}
        return last["type"] == "http.response.body" and not last.get("more_body", False)

    @property
    def comments(self) -> list[str]:
        """The comment lines of the event stream, as far as it has been read."""
        return self._reader.comments

    async def start(self) -> int:
        """Wait until the answer has started, and return its status."""
        with anyio.fail_after(DEADLINE):
            while not self.sent and not self.ended.is_set():
                await self._changed.wait()
        if not self.sent:
            raise self.error or AssertionError("the app returned without an answer")
        return self.status

    async def next_message(self) -> Message | None:
        """The next message as it was sent, the start included; None when no more will come."""
        with anyio.fail_after(DEADLINE):
            while self._taken == len(self.sent):
                if self.ended.is_set() or self.complete:
                    return None
                await self._changed.wait()
        self._taken += 1
        return self.sent[self._taken - 1]

    async def messages(self) -> AsyncIterator[Message]:
        """The rest of the messages, each as soon as it has been sent."""
        while (message := await self.next_message()) is not None:
            yield message

    async def next_event(self) -> Event | None:
        """The next event, `[DONE]` included, as soon as it has been sent; None when the stream is over."""
        while not self._events:
            message = await self.next_message()
            if message is None:
                assert not self._reader.rest, f"the stream ends inside an event: {self._reader.rest!r}"
                return None
            self._events += self._reader.feed(message.get("body", b""))
        return self._events.pop(0)

    async def events(self) -> list[Event]:
        """The rest of the events, all within one deadline: pings alone could go on for ever."""
        rest = []
        with anyio.fail_after(DEADLINE):
            while (event := await self.next_event()) is not None:
                rest.append(event)
        return rest

    async def read(self) -> bytes:
        """The complete body, from its beginning, within the deadline."""
        with anyio.fail_after(DEADLINE):
            async for _ in self.messages():
                pass
        return self.body

    async def reply(self) -> Reply:
        """The complete answer."""
        await self.start()
        body = await self.read()
        return Reply(self.status, self.headers, body)

    # What the test does ----------------------------------------------------------------------------------------------

    async def disconnect(self, *, broken_pipe: bool = False) -> None:
        """Hang up. A message that is sent after that is dropped or, with `broken_pipe`, raises OSError."""
        self._disconnected = True
        self._broken = broken_pipe
        self._may_send.set()
        self._notify()
        await anyio.lowlevel.checkpoint()

    def body_ends_at(self, part: int) -> None:
        """Send no more than so many parts of the body. The app must not have asked for one yet."""
        del self._pending[part:]

    def stall(self) -> None:
        """Take no more messages: the next `send` blocks."""
        self._may_send = anyio.Event()
        self._blocked = anyio.Event()

    async def blocked(self) -> None:
        """Wait until the app is blocked in a `send`."""
        with anyio.fail_after(DEADLINE):
            await self._blocked.wait()

    def resume(self) -> None:
        """Take messages again."""
        self._may_send.set()

    async def finish(self) -> None:
        """Wait until the app has returned or raised."""
        with anyio.fail_after(DEADLINE):
            await self.ended.wait()

    # What the app sees -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        try:
            await self.app(self.scope, self._receive, self._send)
        except Exception as error:
            self.error = error
        finally:
            self.ended.set()
            self._notify()

    async def _receive(self) -> Message:
        await anyio.lowlevel.checkpoint()
        if self._pending:
            return self._pending.pop(0)
        while not (self._disconnected or self.complete):
            await self._changed.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if not self._may_send.is_set():
            self._blocked.set()
            await self._may_send.wait()
        await anyio.lowlevel.checkpoint()
        if self._broken:
            raise OSError("the client is gone")
        if self._disconnected:
            return
        starts = message["type"] == "http.response.start"
        if starts != (not self.sent) or self.complete:
            self.violation = AssertionError(f"out of order, after {len(self.sent)} messages: {message}")
            raise self.violation
        self.sent.append(dict(message))
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    @property
    def _start(self) -> Message:
        assert self.sent, "the answer has not started"
        return self.sent[0]


@asynccontextmanager
async def call(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    json: Any = None,
    body: bytes | Sequence[bytes] = b"",
    headers: HeaderPairs = (),
    query: str = "",
    root_path: str = "",
    scope: Mapping[str, Any] | None = None,
) -> AsyncIterator[Exchange]:
    """Call the app. A body in several pieces arrives in as many messages, without a content-length.

    - `path`: percent-encoded, as on the wire, below `root_path`, where the app is mounted
    - `scope`: overrides any key of the scope
    """
    exchange = Exchange(app, *_request(method, path, json, body, headers, query, root_path, scope or {}))
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(exchange.run)
        try:
            yield exchange
            await exchange.disconnect()
            await exchange.finish()
        except Exception as error:  # raised below, outside the group, which would wrap it
            failure = error
        group.cancel_scope.cancel()
    if exchange.violation is not None:
        raise exchange.violation
    if isinstance(failure, AssertionError):
        raise failure from exchange.error
    if exchange.error is not None:
        raise exchange.error
    if failure is not None:
        raise failure


async def settle() -> None:
    """Let every task that can run do so until all of them wait."""
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


async def tasks_left() -> list[asyncio.Task[Any]]:
    """The tasks of the event loop that do not end by themselves, beside those that run the test."""
    for _ in range(5):  # a task that was cancelled takes a turn or two of the loop to end
        await anyio.lowlevel.checkpoint()
    own = asyncio.current_task()
    return [task for task in asyncio.all_tasks() if task is not own and "TestRunner" not in repr(task.get_coro())]


async def request(app: ASGIApp, method: str, path: str, **options: Any) -> Reply:
    """Call the app and wait for its complete answer."""
    async with call(app, method, path, **options) as exchange:
        return await exchange.reply()


async def post(app: ASGIApp, path: str, json: Any, **options: Any) -> Reply:
    """POST this JSON to the app and wait for its complete answer."""
    return await request(app, "POST", path, json=json, **options)


def _request(
    method: str,
    path: str,
    json: Any,
    body: bytes | Sequence[bytes],
    headers: HeaderPairs,
    query: str,
    root_path: str,
    overrides: Mapping[str, Any],
) -> tuple[Scope, Sequence[bytes]]:
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    named = {name.lower() for name, _ in pairs}
    if json is not None:
        body = jsonlib.dumps(json).encode()
        if "content-type" not in named:
            pairs.append(("content-type", "application/json"))
    if isinstance(body, bytes):
        if body and "content-length" not in named:
            pairs.append(("content-length", str(len(body))))
        body = [body]
    if "host" not in named:
        pairs.insert(0, ("host", "testserver"))
    full_path = root_path + path
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(full_path),
        "raw_path": full_path.encode(),
        "query_string": query.encode(),
        "root_path": root_path,
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "state": {},
        **overrides,
    }
    return scope, body
